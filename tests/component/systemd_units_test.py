"""ops/systemd as systemd itself judges it: no warning about any unit, and how much each leaves open."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

UNITS = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"]) / "ops/systemd"
BIN = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"])
# What `systemd-analyze security` calls exposure, from 0 to 10. The engine needs devices.
LIMITS = {"turnpike-engine@.service": 2.5, "turnpike-gateway.service": 2.0, "turnpike-controlplane.service": 2.0}


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd is not here (ops/test installs it)")
class SystemdUnitsTest(unittest.TestCase):
    def analyze(self, *arguments):
        return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=120,
                              env=os.environ | {"SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": "cat", "LC_ALL": "C.UTF-8"})

    def verify(self, change=lambda text: text):
        """What systemd says of copies whose programs are those of this build."""
        with tempfile.TemporaryDirectory(prefix="tp-units-") as folder:
            paths = []
            for unit in sorted([*UNITS.glob("*.service"), *UNITS.glob("*.target")]):
                copy = pathlib.Path(folder) / unit.name
                text = unit.read_text()
                copy.write_text(change(text.replace("/usr/bin/turnpike", f"{BIN}/turnpike")))
                paths.append(copy)
            self.assertEqual(len(paths), 4)
            return self.analyze("verify", "--man=no", *paths)

    def test_systemd_has_nothing_to_say_of_them(self):
        done = self.verify()
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_it_would_say_what_is_wrong(self):
        done = self.verify(lambda text: text.replace("ProtectClock=", "ProtectClocks="))
        self.assertIn("ProtectClocks", done.stderr)
        done = self.verify(lambda text: text.replace("turnpike-gateway --config", "absent --config"))
        self.assertNotEqual(done.returncode, 0)

    def test_exposure_is_within_its_limits(self):
        for unit, limit in LIMITS.items():
            done = self.analyze("security", "--offline=true", f"--threshold={round(limit * 10)}", UNITS / unit)
            found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
            self.assertTrue(found, done.stdout + done.stderr)
            print(f"{unit}: exposure {found[1]}, at most {limit}")
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertLessEqual(float(found[1]), limit)

    def test_programs_have_what_the_units_promise(self):
        for unit in UNITS.glob("*.service"):
            text = unit.read_text()
            self.assertIn("\nType=notify\n", text, unit)
            self.assertRegex(text, r"\nWatchdogSec=\d+(s|min)\n", unit)
            program = re.search(r"\nExecStart=/usr/bin/(\S+)", text)[1]
            self.assertTrue(os.access(BIN / program, os.X_OK), program)


if __name__ == "__main__":
    unittest.main()
