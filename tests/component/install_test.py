"""ops/install, staged: what is where with which mode, that it keeps what it finds, certificates, and settings that the programs take."""

import json
import os
import pathlib
import re
import stat
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
BIN = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"])
H200 = "\n".join(["NVIDIA H200, 143771"] * 8)


class InstallTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tp-install-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)
        self.root = self.dir / "root"
        self.etc = self.root / "etc/turnpike"
        self.tls = self.etc / "tls"
        (self.dir / "fake").mkdir()
        self.gpus("")

    def gpus(self, rows):
        """What nvidia-smi says; nothing: it fails, as without a GPU."""
        smi = self.dir / "fake/nvidia-smi"
        smi.write_text(f"#!/bin/sh\ncat <<'END'\n{rows}\nEND\n" if rows else "#!/bin/sh\nexit 9\n")
        smi.chmod(0o755)

    def run_script(self, *options):
        return subprocess.run([SOURCE / "ops/install", "--root", self.root, "--build", BIN.parent, *options], capture_output=True,
                              text=True, timeout=120, env=os.environ | {"PATH": f"{self.dir}/fake:{os.environ['PATH']}"})

    def install(self, *options):
        done = self.run_script("--name", "api.example.org", *options)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout

    def refused(self, reason, *options):
        done = self.run_script(*options)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stderr, rf"^install: .*{reason}.*\n$")

    def mode(self, path):
        return f"{stat.S_IMODE((self.root / path).stat().st_mode):o}"

    def files(self):
        return {str(path.relative_to(self.root)): path.read_bytes() for path in self.root.rglob("*") if path.is_file()}

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def settings(self, name):
        """As JSON without the comments."""
        return json.loads(re.sub(r"^\s*//.*$", "", (self.etc / name).read_text(), flags=re.M))

    def check_config(self, program, name, *verb):
        """The effective settings. What the program reads is below the root: so say copies of the settings."""
        share = "/usr/share/turnpike"
        copy = self.dir / name
        copy.write_text((self.etc / name).read_text().replace(share, f"{self.root}{share}"))
        done = subprocess.run([self.root / "usr/bin" / program, *verb, "--config", copy, "--check-config"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_files_and_modes(self):
        told = self.install()
        for path, mode in {
                "usr/bin/turnpike": "755", "usr/bin/turnpike-gateway": "755", "usr/bin/turnpike-controlplane": "755",
                "usr/bin/turnpike-engine": "755", "usr/bin/turnpike-chat": "755", "usr/bin/turnpike-bench": "755",
                "usr/lib/systemd/system/turnpike-gateway.service": "644", "usr/lib/systemd/system/turnpike-controlplane.service": "644",
                "usr/lib/systemd/system/turnpike-engine@.service": "644", "usr/lib/systemd/system/turnpike.target": "644",
                "usr/lib/sysusers.d/turnpike.conf": "644", "usr/lib/tmpfiles.d/turnpike.conf": "644",
                "usr/share/polkit-1/rules.d/60-turnpike-engines.rules": "644", "usr/share/doc/turnpike/install.md": "644",
                "usr/share/turnpike/models/r1-nano/model.safetensors": "644",
                "etc/turnpike": "755", "etc/turnpike/gateway.json": "644", "etc/turnpike/controlplane.json": "644",
                "etc/turnpike/peppers": "600", "etc/turnpike/operators": "600",
                "var/lib/turnpike/controlplane": "700", "var/lib/turnpike/gateway": "700", "var/lib/turnpike/models": "755"}.items():
            self.assertEqual(self.mode(path), mode, path)
            if (self.root / path).is_file():
                self.assertIn(f"installed  /{path}\n", told)
        for name in ("ca", "server", "engine", "gateway", "controlplane"):
            self.assertEqual((self.mode(f"etc/turnpike/tls/{name}.key"), self.mode(f"etc/turnpike/tls/{name}.crt")), ("600", "644"))
        self.assertRegex((self.etc / "peppers").read_text(), r"^1 [0-9a-f]{64}\n$")
        self.assertIn("systemctl enable --now", told)
        self.assertEqual([str(path) for path in self.root.rglob("*.new")], [])

    def test_again_it_changes_nothing_and_keeps_what_is_the_operators(self):
        self.install()
        before = self.files()
        told = self.install()
        self.assertEqual(self.files(), before)
        self.assertIn("kept       /etc/turnpike/peppers\n", told)
        self.assertIn("kept       /etc/turnpike/tls/ca.crt\n", told)
        (self.etc / "gateway.json").write_text("mine")
        (self.etc / "operators").write_text("alice 00\n")
        (self.root / "usr/bin/turnpike").write_text("an old version")
        (self.tls / "gateway.crt").unlink()
        (self.tls / "gateway.key").unlink()
        self.install()
        after = self.files()
        changed = {path for path in before if before[path] != after[path]}
        self.assertEqual(changed, {"etc/turnpike/gateway.json", "etc/turnpike/operators",
                                   "etc/turnpike/tls/gateway.crt", "etc/turnpike/tls/gateway.key"})
        self.assertEqual(after["etc/turnpike/gateway.json"], b"mine")

    def test_certificates(self):
        self.install()
        for name, purpose in (("server", "sslserver"), ("engine", "sslserver"), ("gateway", "sslclient"), ("controlplane", "sslclient")):
            self.openssl("verify", "-x509_strict", "-CAfile", self.tls / "ca.crt", "-purpose", purpose, self.tls / f"{name}.crt")
            self.assertEqual(self.openssl("x509", "-in", self.tls / f"{name}.crt", "-noout", "-pubkey"),
                             self.openssl("pkey", "-in", self.tls / f"{name}.key", "-pubout"))
        names = {name: self.openssl("x509", "-in", self.tls / f"{name}.crt", "-noout", "-ext", "subjectAltName").split("\n")[1].strip()
                 for name in ("server", "engine")}
        self.assertEqual(names["engine"], "DNS:turnpike-engine")
        self.assertEqual(names["server"], "DNS:api.example.org, DNS:localhost, IP Address:127.0.0.1")
        # A server's certificate lets nobody in as a client.
        done = subprocess.run(["openssl", "verify", "-CAfile", self.tls / "ca.crt", "-purpose", "sslclient", self.tls / "server.crt"],
                              capture_output=True)
        self.assertNotEqual(done.returncode, 0)

    def test_a_certificate_that_is_given_is_used(self):
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90", "-subj", "/CN=mine",
                     "-keyout", self.dir / "k", "-out", self.dir / "c")
        self.install("--server-cert", self.dir / "c", "--server-key", self.dir / "k")
        self.assertEqual((self.tls / "server.crt").read_bytes(), (self.dir / "c").read_bytes())
        self.assertEqual((self.tls / "server.key").read_bytes(), (self.dir / "k").read_bytes())
        self.assertEqual(self.mode("etc/turnpike/tls/server.key"), "600")

    def test_the_programs_take_the_settings(self):
        self.install("--port", "9443")
        gateway = self.check_config("turnpike-gateway", "gateway.json")
        self.assertEqual(gateway["listen"], ["tcp:0.0.0.0:9443"])
        controlplane = self.check_config("turnpike-controlplane", "controlplane.json", "serve")
        self.assertEqual((controlplane["driver"], controlplane["run_dir"]), ("systemd", "/run/turnpike"))
        self.assertEqual(controlplane["listen_internal"], gateway["controlplane"])
        self.assertEqual([row["id"] for row in controlplane["hardware"]], ["1x_cpu"])

    def test_credentials_of_the_settings_are_loaded_by_the_units(self):
        self.install()
        for service in ("gateway", "controlplane"):
            unit = (self.root / f"usr/lib/systemd/system/turnpike-{service}.service").read_text()
            loaded = dict(re.findall(r"^LoadCredential=([^:]+):(.+)$", unit, re.M))
            named = re.findall(r"/run/credentials/([^/\"]+)/([^\"]+)", (self.etc / f"{service}.json").read_text())
            self.assertGreater(len(named), 3)
            for where, name in named:
                self.assertEqual(where, f"turnpike-{service}.service")
                self.assertIn(name, loaded)
            # systemd does not start a unit whose credential is absent.
            for path in loaded.values():
                self.assertTrue((self.root / path.lstrip("/")).is_file(), path)

    def test_hardware_is_what_nvidia_smi_finds(self):
        for rows, hardware, kind, link, memory, count in (
                (H200, "8x_nvidia_h200_140gb_sxm", "h200-140gb", "sxm", 140, 8),
                ("NVIDIA H100 80GB HBM3, 81559", "1x_nvidia_h100_80gb_sxm", "h100-80gb", "sxm", 80, 1),
                ("NVIDIA H100 PCIe, 81559\nNVIDIA H100 PCIe, 81559", "2x_nvidia_h100_80gb_pcie", "h100-80gb", "pcie", 80, 2)):
            self.gpus(rows)
            (self.etc / "controlplane.json").unlink(missing_ok=True)
            self.install()
            row = self.check_config("turnpike-controlplane", "controlplane.json", "serve")["hardware"][0]
            self.assertEqual((row["id"], row["gpu_type"], row["gpu_link"], row["gpu_memory_gb"], row["gpu_count"]),
                             (hardware, kind, link, memory, count))
            self.assertEqual(self.settings("controlplane.json")["serverless"][0]["hardware"], hardware)

    def test_another_prefix(self):
        self.install("--prefix", "/opt/turnpike")
        unit = (self.root / "opt/turnpike/lib/systemd/system/turnpike-engine@.service").read_text()
        self.assertIn("\nExecStart=/opt/turnpike/bin/turnpike-engine serve", unit)
        self.assertIn("file:///opt/turnpike/share/doc/turnpike/install.md", unit)
        self.assertTrue((self.root / "etc/polkit-1/rules.d/60-turnpike-engines.rules").is_file())
        self.assertEqual(self.settings("controlplane.json")["engine_binary"], "/opt/turnpike/bin/turnpike-engine")
        self.assertFalse((self.root / "usr").exists())

    def test_uninstall_leaves_settings_keys_and_data(self):
        self.install()
        mine = {path: data for path, data in self.files().items() if path.startswith(("etc/", "var/"))}
        done = self.run_script("--uninstall")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.files(), mine)
        self.assertIn("kept       /etc/turnpike", done.stdout)
        self.assertEqual(self.run_script("--uninstall").returncode, 0)

    def test_refusals(self):
        self.refused("absent/bin/turnpike is not there", "--build", self.dir / "absent")
        self.refused("--server-cert and --server-key go together", "--server-cert", SOURCE / "LICENSE")
        self.refused("cannot read", "--server-cert", "/no/such", "--server-key", "/no/such")
        self.refused("--port wants a number", "--port", "https")
        self.refused("--prefix wants an absolute path", "--prefix", "usr")
        self.refused("--name wants a host name", "--name", "a b")
        self.refused("unknown option", "--force")
        self.refused("--root wants a value", "--root", "")
        self.assertFalse(self.root.exists())
        self.gpus("NVIDIA H200, 143771\nNVIDIA H100 PCIe, 81559")
        self.refused("GPUs of several kinds")
        (self.tls / "engine.crt").unlink()
        self.refused("engine.key is there")


if __name__ == "__main__":
    unittest.main()
