#!/usr/bin/env python3
"""The openai and the together SDK, unchanged, against a running service. Runs in the virtual
environment that ops/test makes from sdk-requirements.txt."""
import os
import pathlib
import sys
import unittest

VENV = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"]) / "build/venv-sdk"
PYTHON = VENV / "bin/python"
if not (VENV / "made-from").exists():  # written when it is complete
    sys.exit(f"{VENV}, with the SDKs that this test needs, is missing or cut short: run ops/test")
if not os.path.samefile(sys.prefix, VENV):
    os.execv(PYTHON, [PYTHON, __file__, *sys.argv[1:]])

import httpx  # noqa: E402
import openai  # noqa: E402
import together  # noqa: E402

from stack import DEADLINE_S, R1, SystemTest  # noqa: E402

HELLO = [{"role": "user", "content": "Hello"}]


class SdkCalls:
    """What each SDK must do. A subclass says which `module` it is and makes its `client`."""

    def ask(self, key=None, **fields):
        request = {"model": R1, "messages": HELLO, "max_tokens": 16, "seed": 3} | fields
        with self.client(key or self.stack.key) as client:
            answer = client.chat.completions.create(**request)
            return list(answer) if request.get("stream") else answer

    def check_usage(self, usage, request_id):
        self.assertEqual(usage.prompt_tokens + usage.completion_tokens, usage.total_tokens)
        row = self.stack.usage_of(request_id)
        self.assertEqual((row["prompt_tokens"], row["completion_tokens"], row["outcome"]),
                         (usage.prompt_tokens, usage.completion_tokens, "completed"))

    def test_unary(self):
        answer = self.ask()
        self.assertTrue(answer.choices[0].message.content)
        self.assertIn(answer.choices[0].finish_reason, ("stop", "length"))
        self.check_usage(answer.usage, answer.id)

    def test_stream(self):
        chunks = self.ask(stream=True)
        self.assertGreater(len(chunks), 4)
        text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
        self.assertEqual(text, self.ask().choices[0].message.content)
        self.check_usage(chunks[-1].usage, chunks[-1].id)

    def test_bad_key(self):
        for stream in (False, True):
            with self.assertRaises(self.module.AuthenticationError) as caught:
                self.ask(key=self.stack.wrong_key(), stream=stream)
            self.assertEqual(caught.exception.status_code, 401)

    def test_unknown_model(self):
        for stream in (False, True):
            with self.assertRaises(self.module.NotFoundError) as caught:
                self.ask(model="no/such-model", stream=stream)
            self.assertEqual(caught.exception.status_code, 404)
            self.assertIn("no/such-model", str(caught.exception))


class SdkTest(SystemTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Both SDKs trust what this names; it is what their users would set.
        os.environ["SSL_CERT_FILE"] = str(cls.stack.ca)


class OpenaiTest(SdkCalls, SdkTest):
    module = openai

    def client(self, key):
        return openai.OpenAI(api_key=key, base_url=self.stack.url, timeout=DEADLINE_S,
                             max_retries=0)

    def test_models_are_listed_as_openai_lists_them(self):
        with self.client(self.stack.key) as client:
            rows = {row.id: row for row in client.models.list()}
        self.assertIn(R1, rows)
        self.assertIn("turnpike/tiny-random", rows)
        self.assertEqual(rows[R1].object, "model")


class TogetherTest(SdkCalls, SdkTest):
    module = together

    def client(self, key):
        # This SDK writes the /v1 of its paths itself.
        return together.Together(api_key=key, base_url=self.stack.url.removesuffix("/v1"),
                                 timeout=DEADLINE_S, max_retries=0)

    def test_models_are_a_bare_array_as_together_has_them(self):
        # The SDK's own models.list() asks for a project first; its User-Agent decides the shape.
        with self.client(self.stack.key) as client:
            agent = client.user_agent
        with httpx.Client() as client:
            headers = {"authorization": f"Bearer {self.stack.key}"}
            openai_rows = client.get(f"{self.stack.url}/models", headers=headers).json()["data"]
            rows = client.get(f"{self.stack.url}/models",
                              headers=headers | {"user-agent": agent}).json()
        self.assertIsInstance(rows, list)
        self.assertEqual([row["id"] for row in rows], [row["id"] for row in openai_rows])
        (row,) = [row for row in rows if row["id"] == R1]
        self.assertEqual((row["pricing"]["input"], row["pricing"]["output"]), (3, 7))


if __name__ == "__main__":
    unittest.main()
