"""The trainer: a run that was cut and goes on ends at the weights of one that was not. Where torch is missing, which
no package of the system has in a new enough release, it is skipped with that reason."""
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
sys.path.insert(0, str(SOURCE / "ops/nano"))
try:
    import torch
    import train
    missing = None
except ImportError as error:
    missing = f"{error}: it takes torch, tokenizers and safetensors"

MODEL = SOURCE / "config/files/models/r1-nano"


def is_group_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@unittest.skipIf(missing, missing)
class TrainTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def words(self, name, *options, steps=6):
        """The folder of a run and its command."""
        out = pathlib.Path(self.folder.name) / name
        return out, [sys.executable, SOURCE / "ops/nano/train.py", "--tokenizer", MODEL, "--out", out,
                     "--rows", "1024", "--steps", str(steps), "--save-every", "1", *options]

    def train(self, name, *options, steps=6):
        out, words = self.words(name, *options, steps=steps)
        return out, subprocess.run(words, capture_output=True, text=True, check=False)

    def train_and_kill(self, name):
        """Killed as soon as a checkpoint stands; its workers end by themselves."""
        out, words = self.words(name)
        run = subprocess.Popen(words, start_new_session=True)
        pause = threading.Event()  # never set
        while not (out / train.CHECKPOINT).exists():
            self.assertIsNone(run.poll())
            pause.wait(0.01)
        run.kill()
        run.wait()
        deadline = time.monotonic() + 60
        while is_group_alive(run.pid):
            self.assertLess(time.monotonic(), deadline, "workers without a trainer")
            pause.wait(0.1)

    def test_a_run_that_was_cut_ends_at_the_same_weights(self):
        whole, done = self.train("whole")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.train_and_kill("cut")
        out, done = self.train("cut", "--resume")
        self.assertEqual(done.returncode, 0, done.stderr)
        one, other = train.restore(whole), train.restore(out)
        self.assertEqual(other["info"]["steps"], 6)
        for name, value in one["params"].items():
            self.assertTrue(torch.equal(value, other["params"][name]), name)
        for layer, value in one["biases"].items():
            self.assertTrue(torch.equal(value, other["biases"][layer]), layer)

    def test_another_run_is_not_gone_on_with(self):
        _, done = self.train("none", "--resume")
        self.assertIn("expected a checkpoint", done.stderr)
        self.train("one", steps=1)
        _, done = self.train("one", "--resume", steps=2)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("of_steps 1, asked is 2", done.stderr)


if __name__ == "__main__":
    unittest.main()
