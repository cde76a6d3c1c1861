"""What clients may ask of the sampler, through turnpike-engine's API, on a synthetic checkpoint."""

import concurrent.futures
import json
import pathlib
import subprocess
import tempfile
import unittest

from engine_test import ENGINE, MODEL, SOURCE, UnixConnection, poll

CARD = SOURCE / "config/files/models/tiny-random.json"
CONFIG = SOURCE / "config/files/models/tiny-random/config.json"


class EngineSamplingTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="tp-sampling-")
        cls.dir = pathlib.Path(cls.folder.name)
        subprocess.run([ENGINE, "synth", "--config", CONFIG, "--seed", "1", "--out", cls.dir / "model"],
                       check=True, stdout=subprocess.DEVNULL)
        cls.socket = str(cls.dir / "s")
        settings = {"model_dir": str(cls.dir / "model"), "card": str(CARD), "listen": f"unix:{cls.socket}", "epoch": 1,
                    "lock_file": str(cls.dir / "lock"), "meter_file": str(cls.dir / "meter"), "num_threads": 1}
        (cls.dir / "engine.json").write_text(json.dumps(settings))
        cls.engine = subprocess.Popen([ENGINE, "serve", "--config", cls.dir / "engine.json"], stderr=subprocess.DEVNULL)
        poll(cls.is_ready, "the engine to be ready")

    @classmethod
    def tearDownClass(cls):
        cls.engine.kill()
        cls.engine.wait()
        cls.folder.cleanup()

    @classmethod
    def is_ready(cls):
        connection = UnixConnection(cls.socket)
        try:
            connection.request("GET", "/health")
            return json.loads(connection.getresponse().read())["state"] == "ready"
        except OSError:
            return False
        finally:
            connection.close()

    def post(self, path, body):
        connection = UnixConnection(self.socket)
        connection.request("POST", path, json.dumps({"model": MODEL, **body}))
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def complete(self, **fields):
        status, text = self.post("/v1/completions", {"prompt": "the weather", "max_tokens": 24, "temperature": 0, **fields})
        self.assertEqual(status, 200, text)
        return json.loads(text)["choices"][0]

    def ids(self, text):
        out = subprocess.run([ENGINE, "tokenize", "--plain", "--model", self.dir / "model"], input=text.encode(),
                             capture_output=True, check=True).stdout
        return [int(word) for word in out.split()]

    def test_bias_chooses_and_bans(self):
        (wanted,) = self.ids("x")
        self.assertEqual(self.complete(logit_bias={wanted: 100})["text"], "x" * 24)
        text = self.complete()["text"]
        banned = self.ids(text)[0]
        self.assertNotEqual(self.complete(logit_bias={banned: -100})["text"][:1], text[:1])

    def test_penalties_make_repetition_rarer(self):
        (x,), (y,) = self.ids("x"), self.ids("y")
        bias = {x: 60, y: 45}
        self.assertEqual(self.complete(logit_bias=bias)["text"], "x" * 24)
        self.assertEqual(set(self.complete(logit_bias=bias, frequency_penalty=2)["text"]), {"x", "y"})
        # Of prompt and output: "x" is in the prompt, so its biased logit is halved at once.
        text = self.complete(prompt="x", logit_bias=bias, max_tokens=2, repetition_penalty=2)["text"]
        self.assertEqual(text, "yx")
        # A token counts once: what was generated stays as attractive as it was made.
        kinds = [len(set(self.ids(self.complete(presence_penalty=penalty)["text"]))) for penalty in (-2, 2)]
        self.assertLess(*kinds)

    def test_the_same_alone_and_among_others(self):
        fields = {"temperature": 0.9, "repetition_penalty": 1.2, "presence_penalty": 0.5, "frequency_penalty": 0.5,
                  "logit_bias": {300: 2}}
        alone = [self.complete(seed=seed, **fields)["text"] for seed in range(6)]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            together = list(pool.map(lambda seed: self.complete(seed=seed, **fields)["text"], range(6)))
        self.assertEqual(alone, together)
        self.assertGreater(len(set(alone)), 1)

    def test_a_bias_for_no_token_is_refused(self):
        status, text = self.post("/v1/completions", {"prompt": "p", "logit_bias": {"1000000": 1}})
        self.assertEqual((status, json.loads(text)["error"]["param"]), (400, "logit_bias"))


if __name__ == "__main__":
    unittest.main()
