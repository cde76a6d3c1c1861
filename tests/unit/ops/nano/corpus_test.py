"""The generator of r1-nano's corpus: every document is right by its own checker, the splits are apart,
and a prompt is word for word what the engine makes of the same messages."""
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
ENGINE = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike-engine"
sys.path.insert(0, str(SOURCE / "ops/nano"))
import arithmetic  # noqa: E402
import corpus  # noqa: E402
import held_out  # noqa: E402


class CorpusTest(unittest.TestCase):
    def test_every_document_passes_its_own_checker(self):
        for split in ("train", "test"):
            rng = random.Random(11)
            families = collections.Counter()
            for _ in range(5000):
                drawn = corpus.sample(rng, split)
                families[drawn.family] += 1
                self.assertEqual(corpus.is_held_out(drawn.problem), split == "test")
                self.assertTrue(corpus.check(drawn, corpus.parsed(drawn.segments[-1][0])), drawn)
            self.assertEqual(set(families), set(corpus.WEIGHTS))

    def test_a_wrong_reply_does_not_pass(self):
        rng = random.Random(12)
        for _ in range(2000):
            drawn, other = corpus.sample(rng, "test"), corpus.sample(rng, "test")
            if drawn.family == other.family and drawn.answer == other.answer:
                continue
            reply = corpus.parsed(other.segments[-1][0])
            if isinstance(drawn.answer, dict) or drawn.family in corpus.SUMS:
                self.assertEqual(corpus.check(drawn, reply), drawn.answer == other.answer, (drawn, reply))
            self.assertFalse(corpus.check(drawn, {"content": ""}))
            self.assertFalse(corpus.check(drawn, {"content": None, "tool_calls": []}))

    def test_the_same_seed_draws_the_same_documents(self):
        first, second = held_out.draw(5, 200), held_out.draw(5, 200)
        self.assertEqual(first, second)
        self.assertNotEqual(first, held_out.draw(6, 200))

    def test_sums_are_right(self):
        rng = random.Random(13)
        for _ in range(2000):
            a, b = rng.randrange(10000), rng.randrange(10000)
            self.assertEqual(int(arithmetic.adding(a, b)[1]), a + b)
            self.assertEqual(int(arithmetic.multiplying(a % 100, b % 100)[1]), (a % 100) * (b % 100))

    def test_the_committed_problems_are_held_out(self):
        problems = held_out.load()
        self.assertEqual(len(problems), 1200)
        for problem in problems:
            self.assertTrue(corpus.is_held_out(problem.problem), problem.problem)

    def test_a_prompt_is_what_the_engine_renders(self):
        rng = random.Random(14)
        model = SOURCE / "config/files/models/r1-nano"
        seen = collections.Counter()
        while len(seen) < len(corpus.WEIGHTS) or min(seen.values()) < 2:
            drawn = corpus.sample(rng, "train")
            if seen[drawn.family] == 4:
                continue
            seen[drawn.family] += 1
            body = {"messages": drawn.messages} | ({"tools": drawn.tools} if drawn.tools else {})
            done = subprocess.run([ENGINE, "render", "--model", model, "--json"], check=True,
                                  input=json.dumps(body), capture_output=True, text=True)
            prompt = "".join(text for text, _ in drawn.segments[:-1])
            self.assertEqual(json.loads(done.stdout)["text"], prompt)


if __name__ == "__main__":
    unittest.main()
