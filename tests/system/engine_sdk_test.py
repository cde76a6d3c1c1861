#!/usr/bin/env python3
"""The openai SDK, unchanged, straight at a turnpike-engine, as benchmarks are pointed at it. Runs in
the virtual environment that ops/test makes from sdk-requirements.txt."""
import os
import pathlib
import sys
import unittest

SOURCE = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
VENV = SOURCE / "build/venv-sdk"
PYTHON = VENV / "bin/python"
if not (VENV / "made-from").exists():  # written when it is complete
    sys.exit(f"{VENV}, with the SDKs that this test needs, is missing or cut short: run ops/test")
if not os.path.samefile(sys.prefix, VENV):
    os.execv(PYTHON, [PYTHON, __file__, *sys.argv[1:]])

sys.path.insert(0, str(SOURCE / "tests/component"))

import httpx  # noqa: E402
import openai  # noqa: E402

from engine_fixture import MODEL, EngineFixture  # noqa: E402

HELLO = [{"role": "user", "content": "Hello"}]


class EngineSdkTest(EngineFixture):
    def setUp(self):
        super().setUp()
        transport = httpx.HTTPTransport(uds=self.socket)
        self.client = openai.OpenAI(api_key="none", base_url="http://engine/v1", max_retries=0,
                                    http_client=httpx.Client(transport=transport, timeout=60))
        self.addCleanup(self.client.close)

    def ask(self, **fields):
        return self.client.chat.completions.create(
            **{"model": MODEL, "messages": HELLO, "max_tokens": 16, "seed": 3} | fields)

    def test_chat(self):
        answer = self.ask(n=2, logprobs=True, top_logprobs=2)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1])
        self.assertTrue(answer.choices[0].message.content)
        self.assertEqual(len(answer.choices[0].logprobs.content[0].top_logprobs), 2)
        self.assertEqual(answer.usage.total_tokens,
                         answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertEqual(answer.usage.completion_tokens_details.reasoning_tokens, 0)

    def test_stream(self):
        chunks = list(self.ask(stream=True, stream_options={"include_usage": True}))
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        whole = self.ask()
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, whole.usage.completion_tokens)
        self.assertEqual(chunks[-2].choices[0].finish_reason, whole.choices[0].finish_reason)

    def test_completions(self):
        ids = [5, 60, 700, 8]
        answer = self.client.completions.create(
            model=MODEL, prompt=[ids, ids[:2]], max_tokens=3, n=2, echo=True, logprobs=2,
            extra_body={"ignore_eos": True})
        self.assertEqual(len(answer.choices), 4)
        self.assertEqual(len(answer.choices[0].logprobs.token_logprobs), len(ids) + 3)
        self.assertIsNone(answer.choices[0].logprobs.token_logprobs[0])
        self.assertEqual(answer.usage.completion_tokens, 12)
        scored = self.client.completions.create(model=MODEL, prompt="the weather", max_tokens=0,
                                                echo=True, logprobs=1)
        self.assertEqual(scored.choices[0].text, "the weather")
        self.assertEqual(scored.choices[0].finish_reason, "length")
        self.assertEqual(scored.usage.completion_tokens, 0)

    def test_models(self):
        (row,) = self.client.models.list()
        self.assertEqual((row.id, row.object), (MODEL, "model"))
        self.assertEqual(self.client.models.retrieve(MODEL), row)

    def test_errors_are_the_sdks_own(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.ask(max_tokens=100_000)
        self.assertEqual(caught.exception.code, "context_length_exceeded")
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.completions.create(model=MODEL, prompt="p", best_of=4)
        self.assertEqual(caught.exception.param, "best_of")
        for stream in (False, True):
            with self.assertRaises(openai.NotFoundError):
                self.ask(model="other", stream=stream)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("other")
        with self.assertRaises(openai.InternalServerError) as caught:
            self.ask(max_tokens=8000, extra_headers={"x-turnpike-deadline-ms": "200"},
                     extra_body={"ignore_eos": True})
        self.assertEqual(caught.exception.status_code, 504)


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
