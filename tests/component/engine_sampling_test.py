"""What clients may ask of the sampler, through turnpike-engine's API, on a synthetic checkpoint."""

import concurrent.futures
import json
import pathlib
import subprocess
import tempfile
import unittest

from engine_fixture import ENGINE, MODEL, SOURCE, UnixConnection, poll

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
        # Nothing but thoughts: the model's noise never closes one.
        (cls.dir / "card.json").write_text(CARD.read_text().replace('"reasoning": "none"', '"reasoning": "deepseek_r1"'))
        settings = {"model_dir": str(cls.dir / "model"), "card": str(cls.dir / "card.json"), "listen": f"unix:{cls.socket}", "epoch": 1,
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

    def chat(self, **fields):
        body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 12, "seed": 5, **fields}
        status, text = self.post("/v1/chat/completions", body)
        self.assertEqual(status, 200, text)
        return text

    def test_chat_logprobs_are_objects(self):
        answer = json.loads(self.chat(logprobs=True, top_logprobs=4))
        content = answer["choices"][0]["logprobs"]["content"]
        self.assertEqual(len(content), answer["usage"]["completion_tokens"])
        for entry in content:
            self.assertLess(entry["logprob"], 0)
            self.assertEqual(len(entry["top_logprobs"]), 4)
            ranked = [other["logprob"] for other in entry["top_logprobs"]]
            self.assertEqual(ranked, sorted(ranked, reverse=True))
            self.assertLessEqual(entry["logprob"], ranked[0])
            self.assertEqual(bytes(entry["bytes"]).decode(errors="backslashreplace"), entry["token"])
        plain = json.loads(self.chat(logprobs=True))["choices"][0]["logprobs"]["content"]
        self.assertEqual([{**entry, "top_logprobs": []} for entry in content], plain)
        self.assertIsNone(json.loads(self.chat())["choices"][0]["logprobs"])

    def test_completion_logprobs_are_arrays(self):
        choice = self.complete(logprobs=2)
        logprobs = choice["logprobs"]
        self.assertEqual("".join(logprobs["tokens"]), choice["text"].encode("utf-8", "backslashreplace").decode())
        self.assertEqual(len(logprobs["token_ids"]), 24)
        for token, logprob, top in zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"]):
            self.assertEqual(max(top.values()), logprob)  # greedy
            self.assertEqual(top[token], logprob)
        self.assertIsNone(self.complete(logprobs=0)["logprobs"]["top_logprobs"])
        # Of the model's own distribution, whatever edits it.
        (x,) = self.ids("x")
        biased = self.complete(logprobs=1, logit_bias={x: 100}, max_tokens=1)["logprobs"]
        self.assertEqual(biased["tokens"], ["x"])
        self.assertLess(biased["token_logprobs"][0], max(biased["top_logprobs"][0].values()))

    def test_a_stream_tells_each_token_once(self):
        whole = json.loads(self.chat(logprobs=True, top_logprobs=1))["choices"][0]["logprobs"]["content"]
        told = []
        for line in self.chat(logprobs=True, top_logprobs=1, stream=True).splitlines():
            if line.startswith("data: {"):
                for choice in json.loads(line[6:])["choices"]:
                    told += choice["logprobs"]["content"]
        self.assertEqual(told, whole)

    def test_hidden_thoughts_and_stop_tokens_stay_untold(self):
        shown = json.loads(self.chat(logprobs=True, reasoning_format="hidden"))["choices"][0]
        inline = json.loads(self.chat(logprobs=True, reasoning_format="inline"))["choices"][0]
        self.assertEqual(shown["message"]["content"], "")
        self.assertEqual(shown["logprobs"]["content"], [])
        self.assertEqual(len(inline["logprobs"]["content"]), 12)
        (x,) = self.ids("x")
        stopped = self.complete(logprobs=0, logit_bias={x: 100}, stop="xxx")
        self.assertEqual((stopped["text"], stopped["logprobs"]["tokens"]), ("", ["x", "x"]))

    def test_a_bias_for_no_token_is_refused(self):
        status, text = self.post("/v1/completions", {"prompt": "p", "logit_bias": {"1000000": 1}})
        self.assertEqual((status, json.loads(text)["error"]["param"]), (400, "logit_bias"))


if __name__ == "__main__":
    unittest.main()
