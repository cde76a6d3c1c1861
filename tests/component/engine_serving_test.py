"""What turnpike-engine is as a server: its settings, what it tells of itself, deadlines, slow readers."""

import json
import subprocess
import unittest

from engine_fixture import ENGINE, SOURCE, EngineFixture


class SpeculationTest(EngineFixture):
    def test_drafts_are_counted_and_change_no_token(self):
        bodies = [self.chat(seed=seed, max_tokens=40, logprobs=True) for seed in range(3)]
        plain = [json.loads(self.post(body)[1])["choices"] for body in bodies]
        self.assertEqual(self.get("/load")["drafts"], 0)
        self.restart(2, speculative_tokens=1)
        self.assertEqual([json.loads(self.post(body)[1])["choices"] for body in bodies], plain)
        load = self.get("/load")
        self.assertGreater(load["drafts"], 10)
        self.assertEqual(load["draft_tokens"], load["drafts"])
        self.assertLess(load["steps"], 3 * 40 + 3 * 2)

    def test_a_model_without_a_draft_layer_is_refused(self):
        config = json.loads((SOURCE / "config/files/models/tiny-random/config.json").read_text())
        config["num_nextn_predict_layers"] = 0
        (self.run / "config.json").write_text(json.dumps(config))
        subprocess.run([ENGINE, "synth", "--config", self.run / "config.json", "--seed", "1", "--out", self.run / "model"],
                       check=True, stdout=subprocess.DEVNULL)
        self.engine.kill()
        self.engine.wait()
        self.launch(2, stderr=subprocess.PIPE, model_dir=str(self.run / "model"), speculative_tokens=1)
        _, stderr = self.engine.communicate(timeout=60)
        self.assertEqual(self.engine.returncode, 1)
        self.assertIn(b"no multi-token-prediction layer", stderr)

    def test_too_small_a_step_is_refused(self):
        (self.run / "engine.json").write_text(json.dumps(
            json.loads((self.run / "engine.json").read_text()) | {"speculative_tokens": 1, "max_step_tokens": 15}))
        checked = subprocess.run([ENGINE, "serve", "--check-config", "--config", self.run / "engine.json"],
                                 capture_output=True, text=True, timeout=60)
        self.assertEqual(checked.returncode, 1)
        self.assertIn("'max_step_tokens' expected at least 16", checked.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
