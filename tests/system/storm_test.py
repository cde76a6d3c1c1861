#!/usr/bin/env python3
"""The storm of storm.py, short: some thousand requests, a kill every 0.4 s, each failpoint at least once."""
import os
import random
import unittest

import storm


class StormTest(unittest.TestCase):
    def test_the_books_agree_after_a_storm(self):
        seed = int(os.environ.get("TURNPIKE_TEST_SEED") or random.SystemRandom().randrange(1 << 30))
        print(f"seed {seed} (TURNPIKE_TEST_SEED)", flush=True)
        storm.Storm(storm.parse(["--requests", "1500", "--kills", "25", "--point-kills", "1", "--passes", "1",
                                 "--round", "800", "--pause", "0.4", "--seed", str(seed)])).run()


if __name__ == "__main__":
    unittest.main()
