# The driver reports what a target dies of: the input is saved, the advice repeats it, and a seed
# gives the same inputs again.
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(os.environ["TURNPIKE_BIN_DIR"]).parent / "fuzz" / "fuzz_planted"


def run(*arguments, seed=None):
    environment = dict(os.environ)
    environment.pop("TURNPIKE_TEST_SEED", None)
    if seed is not None:
        environment["TURNPIKE_TEST_SEED"] = str(seed)
    return subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                          env=environment, check=False)


class Driver(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = Path(folder.name)
        (self.dir / "corpus").mkdir()
        (self.dir / "failures").mkdir()

    def seed_input(self, data):
        (self.dir / "corpus" / "seed").write_bytes(data)

    def fuzz(self, runs, seed=1):
        return run("--corpus", self.dir / "corpus", "--failures", self.dir / "failures",
                   "--runs", runs, seed=seed)

    def saved(self):
        return list((self.dir / "failures").iterdir())

    def test_a_clean_run_saves_nothing(self):
        self.seed_input(b"x")
        done = self.fuzz(runs=0)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.saved(), [])
        self.assertIn("TURNPIKE_TEST_SEED=1", done.stdout)

    def test_each_kind_of_failure_saves_its_input(self):
        for kind in (b"abort now", b"throw now", b"stack now"):
            self.seed_input(kind)
            done = self.fuzz(runs=0)
            self.assertNotEqual(done.returncode, 0, kind)
            self.assertEqual([path.read_bytes() for path in self.saved()], [kind], done.stderr)
            path = self.saved()[0]
            self.assertIn(f"{PROGRAM} {path}", done.stderr)
            self.assertNotEqual(run(path).returncode, 0, "the saved input fails alone")
            path.unlink()

    def test_a_seed_finds_the_same_mutation_again(self):
        found = []
        for _ in range(2):
            self.seed_input(b"planted fault")
            done = self.fuzz(runs=1000000, seed=7)
            self.assertNotEqual(done.returncode, 0, "no mutation found the planted fault")
            self.assertIn("TURNPIKE_TEST_SEED=7", done.stderr)
            found.append(self.saved()[0].read_bytes())
        self.assertEqual(found[0], found[1])
        self.assertNotEqual(found[0], b"planted fault")

    def test_bad_arguments_are_refused(self):
        for arguments in ([], ["--runs"], ["--odd", "1"], [self.dir / "missing"]):
            self.assertEqual(run(*arguments).returncode, 2, arguments)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
