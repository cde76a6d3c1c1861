#!/usr/bin/env python3
"""`turnpike doctor` on a service that is well, and on one fault after the other."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from stack import BIN_DIR, DEADLINE_S, Stack, SystemTest


class DoctorTest(SystemTest):
    @classmethod
    def make_stack(cls):
        return Stack(gateway_settings=lambda run: {"metrics_listen": f"unix:{run}/gateway-metrics.sock"})

    def doctor(self, *settings, without=(), **variables):
        """(status, checks by name, standard error); a name that comes twice has the last."""
        env_file = (self.stack.dir / "env").read_text()
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("TURNPIKE_")}
        environment |= dict(re.findall("export (.*)='(.*)'", env_file)) | variables
        for name in without:
            del environment[name]
        words = ["--settings", *(str(self.stack.dir / file) for file in settings)] if settings else []
        done = subprocess.run([BIN_DIR / "turnpike", "doctor", "--json", *words], check=False,
                              capture_output=True, text=True, env=environment,
                              timeout=DEADLINE_S, cwd=self.stack.dir)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["ok"], done.returncode == 0)
        return done.returncode, {row["check"]: row for row in answer["checks"]}, done.stderr

    def state(self, checks, name):
        return checks[name]["state"]

    def test_a_service_that_is_well(self):
        self.stack.shell("wait_ready")
        status, checks, problem = self.doctor("gateway.json", "controlplane.json")
        self.assertEqual((status, problem), (0, ""), checks)
        for name in ("settings", "certificate", "driver", "model files", "databases", "builds",
                     "gpus", "health control plane", "health gateway"):
            self.assertIn(name, checks)
            self.assertIn(self.state(checks, name), ("ok",) if name != "gpus" else ("ok", "warn"),
                          checks[name])
        for name in ("disk data", "disk outbox", "disk run", "clock", "open files"):
            self.assertIn(name, checks)
        self.assertIn("localhost", checks["certificate"]["found"])
        self.assertRegex(checks["databases"]["found"], r"^schema \d+, revision \d+$")
        self.assertRegex(checks["builds"]["found"], r": turnpike, control plane, gateway, engine \S+$")

    def test_without_settings_it_takes_those_of_the_folder(self):
        folder = self.stack.dir / "place"
        folder.mkdir()
        self.addCleanup(shutil.rmtree, folder)
        (folder / ".turnpike").symlink_to(self.stack.dir)
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith("TURNPIKE_")}
        done = subprocess.run([BIN_DIR / "turnpike", "doctor"], check=False, capture_output=True,
                              text=True, env=environment, timeout=DEADLINE_S, cwd=folder)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"(?m)^settings +ok +\.turnpike/gateway\.json: of the gateway$")
        self.assertRegex(done.stdout, r"(?m)^health gateway +ok ")

    def fault(self, check, words, *settings, **more):
        status, checks, problem = self.doctor(*settings, **more)
        self.assertEqual((status, self.state(checks, check)), (1, "fail"), checks)
        self.assertIn(words, checks[check]["found"])
        self.assertTrue(checks[check]["advice"])
        self.assertIn(check, problem)
        return checks

    def test_settings_that_do_not_load(self):
        self.stack.edit("gateway.json", lambda settings: settings.update(surprise=1), to="odd.json")
        self.fault("settings", "surprise", "odd.json")
        (self.stack.dir / "junk.json").write_text("[]")
        self.fault("settings", "expected settings of a gateway", "junk.json")
        self.fault("settings", "absent.json", "absent.json")

    def test_a_key_of_another_certificate(self):
        other = self.stack.dir / "other.key"
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-out", other], check=True, capture_output=True)
        self.stack.edit("gateway.json", lambda settings: settings.update(tls_key=str(other)),
                        to="mixed.json")
        self.fault("certificate", "another certificate's", "mixed.json")
        self.stack.edit("gateway.json", lambda settings: settings.update(outbox_dir="/nonexistent/o"),
                        to="homeless.json")
        self.fault("disk outbox", "/nonexistent/o", "homeless.json")

    def test_a_shard_that_was_cut_and_an_engine_that_is_not_there(self):
        settings = json.loads((self.stack.dir / "controlplane.json").read_text())
        whole = pathlib.Path(settings["models"][0]["model_dir"])
        cut = self.stack.dir / "models/cut"
        shutil.copytree(whole, cut)
        self.addCleanup(shutil.rmtree, cut)
        shard = max(cut.glob("*.safetensors"), key=lambda path: path.stat().st_size)
        os.truncate(shard, shard.stat().st_size - 1)
        def point_at_cut(edited):
            edited["models"][0]["model_dir"] = str(cut)
        self.stack.edit("controlplane.json", point_at_cut, to="cut.json")
        self.fault("model files", shard.name, "cut.json")
        shard.unlink()
        self.fault("model files", shard.name, "cut.json")
        self.stack.edit("controlplane.json",
                        lambda edited: edited.update(engine_binary="/nonexistent/engine"),
                        to="engineless.json")
        self.fault("driver", "/nonexistent/engine", "engineless.json")

    def test_who_does_not_answer(self):
        checks = self.fault("databases", "/nonexistent", "gateway.json",
                            TURNPIKE_ADMIN="unix:/nonexistent/socket")
        self.assertEqual(self.state(checks, "health control plane"), "fail")
        self.fault("health gateway", "unreachable", "gateway.json",
                   TURNPIKE_BASE_URL="https://localhost:1/v1")
        _, checks, _ = self.doctor("gateway.json", without=["TURNPIKE_BASE_URL"])
        self.assertEqual(self.state(checks, "health gateway"), "warn")

    def test_a_name_that_the_certificate_is_not_for(self):
        _, checks, _ = self.doctor("gateway.json", TURNPIKE_BASE_URL="https://api.example.org:1/v1")
        self.assertEqual(self.state(checks, "certificate"), "warn")
        self.assertIn("api.example.org", checks["certificate"]["advice"])


if __name__ == "__main__":
    unittest.main()
