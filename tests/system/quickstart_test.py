#!/usr/bin/env python3
"""ops/quickstart on the binaries of this build: starting, starting again, state that is damaged or
cut short, stopping what a crash left behind, and each refusal in one clear line."""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from stack import BIN_DIR, DEADLINE_S, SOURCE_DIR, Guard, reserve_port, wait_until

# What apt-get says on Debian 12; an update that reaches nobody still succeeds.
NO_NETWORK = """\
Err:1 http://deb.debian.org/debian bookworm InRelease
  Temporary failure resolving 'deb.debian.org'
W: Some index files failed to download. They have been ignored, or old ones used instead.
E: Unable to locate package libfmt-dev"""
NO_SPACE = "E: You don't have enough free space in /var/cache/apt/archives/."
WOULD_REMOVE = "E: Packages need to be removed but remove is disabled."
BUILD_NO_SPACE = """\
/usr/include/c++/12/string:41: fatal error: error writing to /tmp/ccX.s: No space left on device
ninja: build stopped: subcommand failed."""


class QuickstartTest(unittest.TestCase):
    """Each test has a repository of its own, made of links to this one and to its build."""

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="turnpike-quickstart-"))
        self.state = self.root / ".turnpike"
        self.guard = Guard(self.state, self.root)
        self.addCleanup(self.guard.finish)
        (self.root / "ops").symlink_to(SOURCE_DIR / "ops")
        (self.root / "config").symlink_to(SOURCE_DIR / "config")
        (self.root / "build/release").mkdir(parents=True)
        (self.root / "build/release/bin").symlink_to(BIN_DIR)
        self.holder = reserve_port()
        self.addCleanup(self.holder.close)
        self.port = self.holder.getsockname()[1]
        self.environment = dict(os.environ)

    def run_script(self, *options, builds=False):
        """(status, standard output, standard error)"""
        began = time.monotonic()
        done = subprocess.run(
            [self.root / "ops/quickstart", *([] if builds else ["--no-build"]), *options],
            capture_output=True, text=True, check=False, env=self.environment)
        print(f"quickstart {' '.join(options)}: {done.returncode} after "
              f"{time.monotonic() - began:.1f} s", flush=True)
        return done.returncode, done.stdout, done.stderr

    def start(self):
        status, out, problem = self.run_script("--detach", "--port", str(self.port))
        self.assertEqual(status, 0, out + problem + self.logs())
        self.assertIn(r"\boxed{4042}", out)
        self.assertRegex(out, r"\nIt cost 0\.\d+ USD\.")
        return out

    def logs(self):
        return "".join(path.read_text() for path in self.state.glob("logs/*.log"))

    def assert_refuses(self, answer, *words):
        """Status 1 and one line on standard error, with all these words."""
        status, out, problem = answer
        self.assertEqual(status, 1, out + problem)
        self.assertEqual(problem.count("\n"), 1, problem)
        for word in words:
            self.assertIn(word, problem)
        self.assertEqual(self.processes(), [])

    def processes(self):
        """Those of this state directory, by the same rule as the script's own."""
        script = ('. "$root/ops/lib/processes.sh"; . "$root/ops/lib/state.sh"; processes')
        done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, check=True,
                              env={**os.environ, "root": str(SOURCE_DIR),
                                   "state": str(self.state)})
        return [int(pid) for pid in done.stdout.split()]

    def ask_with_env(self):
        """The status of GET /v1/models from a shell that has sourced the env file."""
        script = ('. "$1"; curl -s -o /dev/null -w "%{http_code}" --cacert "$TURNPIKE_CA_CERT" '
                  '-H "Authorization: Bearer $TURNPIKE_API_KEY" "$TURNPIKE_BASE_URL/models"; '
                  'echo " $TURNPIKE_API_KEY"; "$2/turnpike" usage >/dev/null')
        done = subprocess.run(["bash", "-euc", script, "shell", self.state / "env", BIN_DIR],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        status, key = done.stdout.split()
        return int(status), key

    def run_printed_line(self, out):
        """The line that the quickstart prints for curl, in a shell that has sourced the env file."""
        (line,) = re.findall(r"^  (curl -sSN --cacert .*/chat/completions.*)$", out, re.MULTILINE)
        done = subprocess.run(["bash", "-euc", f". {self.state}/env; {line}"], capture_output=True,
                              text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.endswith("data: [DONE]\n\n"), done.stdout[-300:])
        self.assertIn('"reasoning"', done.stdout)

    def test_start_stop_and_start_again(self):
        self.run_printed_line(self.start())
        status, key = self.ask_with_env()
        self.assertEqual(status, 200)
        kept = [self.state / name for name in ("ca.crt", "server.key", "peppers")]
        before = [path.stat().st_mtime_ns for path in kept]
        status, _, problem = self.run_script("--detach", "--port", str(self.port))
        self.assertEqual((status, problem.count("\n")), (1, 1), problem)
        self.assertIn("already running", problem)
        self.assertIn("--stop", problem)
        self.assertEqual(self.ask_with_env(), (200, key), "the refusal touched the service")

        self.assertEqual(self.run_script("--stop")[0], 0)
        self.assertEqual(self.processes(), [])
        self.assertEqual(self.run_script("--stop")[0], 0, "stopping nothing is no failure")

        self.start()
        self.assertEqual([path.stat().st_mtime_ns for path in kept], before, "made anew")
        self.assertEqual(self.ask_with_env(), (200, key))
        # Of a killed `up`, the other processes live on.
        up = int((self.state / "run/up.pid").read_text())
        os.kill(up, signal.SIGKILL)
        wait_until("`up` has ended", lambda: up not in self.processes())
        self.assertGreaterEqual(len(self.processes()), 3)
        self.assertEqual(self.run_script("--stop")[0], 0)
        self.assertEqual(self.processes(), [])

    def test_a_run_that_was_cut_short_is_repeated(self):
        # What a kill between any two steps leaves: halves beside their places, the rest missing.
        for folder in ("tls.new", "data", "logs"):
            (self.state / folder).mkdir(parents=True)
        (self.state / "tls.new/ca.key").write_text("half")
        (self.state / "gateway.json.new").write_text("{")
        self.start()
        self.run_script("--stop")
        # Files that were lost or cut off later.
        (self.state / "server.key").unlink()
        (self.state / "env").write_text("export TURNPIKE_API_KEY=")
        self.start()
        _, key = self.ask_with_env()
        self.run_script("--stop")
        # New stores do not know the old key.
        for file in (self.state / "data").iterdir():
            file.unlink()
        self.start()
        status, new_key = self.ask_with_env()
        self.assertEqual(status, 200)
        self.assertNotEqual(new_key, key)
        self.run_script("--stop")

        (self.state / "data/control.db").write_bytes(b"not a database" * 99)
        self.assert_refuses(self.run_script("--detach", "--port", str(self.port)),
                            "control.db", f"delete {self.state}")

    def test_a_model_that_is_not_whole(self):
        (self.root / "config").unlink()
        shutil.copytree(SOURCE_DIR / "config/files", self.root / "config/files")
        os.truncate(self.root / "config/files/models/r1-nano/model.safetensors", 1000)
        self.assert_refuses(self.run_script("--detach", "--port", str(self.port)),
                            "r1-nano is not whole", "git checkout")

    def test_ctrl_c_ends_everything(self):
        with open(self.root / "out", "wb") as out:
            script = subprocess.Popen([self.root / "ops/quickstart", "--no-build", "--port",
                                       str(self.port)], stdout=out, stderr=out,
                                      stdin=subprocess.DEVNULL, start_new_session=True)
        self.addCleanup(script.kill)
        wait_until("it runs in the foreground",
                   lambda: "Ctrl-C stops everything." in (self.root / "out").read_text())
        self.assertEqual(self.ask_with_env()[0], 200)
        os.killpg(script.pid, signal.SIGINT)
        self.assertEqual(script.wait(DEADLINE_S), 0, (self.root / "out").read_text())
        self.assertEqual(self.processes(), [])

    def test_refusals_before_anything_is_made(self):
        self.holder.listen()
        self.assert_refuses(self.run_script("--detach", "--port", str(self.port)),
                            f"port {self.port} is taken", "--port N")
        self.assert_refuses(self.run_script("--port", "many"), "--port wants a number")
        self.assert_refuses(self.run_script("--up"), "unknown option --up", "--help")
        (self.root / "build/release/bin").unlink()
        self.assert_refuses(self.run_script("--port", str(self.free_port())),
                            "turnpike is not there", "without --no-build")
        self.assertFalse(self.state.exists())

    def free_port(self):
        holder = reserve_port()
        self.addCleanup(holder.close)
        return holder.getsockname()[1]

    def stub(self, name, output, status, when="true"):
        """Puts `name` first in PATH: prints `output` and ends with `status` in the case `when`."""
        folder = self.root / "stubs"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.text").write_text(output + "\n")
        (folder / name).write_text(f'#!/bin/bash\nif {when}; then cat "$0.text"; exit {status}; fi\n')
        (folder / name).chmod(0o755)
        self.environment["PATH"] = f"{folder}:{os.environ['PATH']}"

    def test_packages_that_cannot_be_installed(self):
        port = ("--port", str(self.port))
        self.stub("dpkg-query", "install ok installed", 0, when='[ "$4" != libfmt-dev ]')
        self.stub("id", "1000", 0)
        self.stub("apt-get", "", 0)
        self.assert_refuses(self.run_script(*port, builds=True), "libfmt-dev", "run as root")
        self.stub("id", "0", 0)
        for text, words in ((NO_NETWORK, ("cannot be reached", "network")),
                            (NO_SPACE, ("no space is left", "/var")),
                            (WOULD_REMOVE, ("stand in their way", "--dry-run libfmt-dev"))):
            self.stub("apt-get", text, 100, when='[ "$1" = install ]')
            answer = self.run_script(*port, builds=True)
            self.assertRegex(answer[1], r"Packages to install: +libfmt-dev")
            self.assert_refuses(answer, *words)
            log = re.search(r"its words: (\S+)\)", answer[2])[1]
            self.assertIn(text, pathlib.Path(log).read_text())
            pathlib.Path(log).unlink()
        self.assertFalse(self.state.exists())

    def test_a_full_disk(self):
        port = ("--port", str(self.port))
        self.stub("dpkg-query", "install ok installed", 0)
        self.stub("cmake", BUILD_NO_SPACE, 1, when='[ "$1" = --build ]')
        self.stub("df", "Avail\n12", 0)
        self.assert_refuses(self.run_script(*port, builds=True), "the build failed",
                            f"no space is left in {self.root}/build")
        self.stub("cmake", "No space left on device", 1)
        self.assert_refuses(self.run_script(*port, builds=True), "could not configure",
                            "build/configure.log", "no space is left")
        self.assertFalse(self.state.exists())
        self.stub("openssl", "req: No space left on device", 1)
        self.assert_refuses(self.run_script(*port), "openssl failed: req: No space",
                            f"no space is left in {self.state}")


if __name__ == "__main__":
    unittest.main()
