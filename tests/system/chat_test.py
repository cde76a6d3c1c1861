#!/usr/bin/env python3
"""Chat from a real client to the bill: exact tokens and money, streaming, a client that leaves,
draining, and the errors as they are documented."""
import json
import os
import pathlib
import re
import signal
import subprocess
import time
import unittest

from stack import (BIN_DIR, R1, R1_INPUT_NANO_USD, R1_OUTPUT_NANO_USD, SystemTest, chat_body,
                   wait_until)

QUESTION = [{"role": "user", "content": "What are some fun things to do in New York?"}]


def cost_of(usage):
    return (usage["prompt_tokens"] * R1_INPUT_NANO_USD
            + usage["completion_tokens"] * R1_OUTPUT_NANO_USD)


class ChatTest(SystemTest):
    def curl(self, path, body=None, key=None, headers=(), method=None):
        """(status, headers, body) through curl, which checks the certificate."""
        command = ["curl", "-sS", "-i", "--max-time", "60", "--cacert", self.stack.ca,
                   self.stack.url + path]
        key = self.stack.key if key is None else key
        if key:
            command += ["-H", f"Authorization: Bearer {key}"]
        for header in headers or (["Content-Type: application/json"] if body else []):
            command += ["-H", header]
        if method:
            command += ["-X", method]
        # A large body would get `100 Continue` ahead of its answer; this asks for none.
        command += ["-H", "Expect:"]
        if body:
            command += ["--data-binary", "@-"]
        done = subprocess.run(command, input=body, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        head, _, text = done.stdout.partition("\n\n")
        status, *lines = head.split("\n")
        fields = dict(line.lower().split(": ", 1) for line in lines)
        return int(status.split()[1]), fields, text

    def test_curl_is_answered_and_billed_to_the_nano_dollar(self):
        before, _ = self.stack.billing()
        status, headers, text = self.curl("/chat/completions",
                                          json.dumps({"model": R1, "messages": QUESTION}))
        self.assertEqual(status, 200, text)
        self.assertEqual(headers["content-type"], "application/json")
        answer = json.loads(text)
        self.assertTrue(answer["choices"][0]["message"]["content"])
        self.assertEqual(answer["model"], "turnpike/tiny-random")
        usage = answer["usage"]
        self.assertGreater(usage["prompt_tokens"], 0)
        self.assertGreater(usage["completion_tokens"], 0)
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])

        row = self.stack.usage_of(answer["id"])
        self.assertEqual(
            (row["prompt_tokens"], row["completion_tokens"], row["model"], row["outcome"]),
            (usage["prompt_tokens"], usage["completion_tokens"], R1, "completed"))
        self.assertTrue(row["billed"])
        self.assertEqual(row["cost_nano_usd"], cost_of(usage))
        after, whole = self.stack.billing()
        self.assertEqual(after["charged_nano_usd"] - before["charged_nano_usd"], cost_of(usage))
        self.assertEqual(after["balance_nano_usd"],
                         after["credited_nano_usd"] - after["charged_nano_usd"])
        self.assertEqual((whole["agrees"], whole["ledger_sum_nano_usd"]), (True, 0))

    def test_a_stream_arrives_event_by_event_and_ends_in_done(self):
        stream = self.stack.open_stream(seed=1, max_tokens=40,
                                        stream_options={"include_usage": True}).read_done()
        self.assertEqual(stream.status(), 200, stream.bytes)
        self.assertTrue(stream.is_whole(), stream.bytes[-300:])
        events = stream.events()
        self.assertEqual({event["id"] for event in events}, {stream.request_id()})
        self.assertNotIn(b": meter", stream.bytes)
        usage = events[-1]["usage"]
        self.assertEqual(events[-1]["choices"], [])
        # An event for each token, but for those that end within a character.
        self.assertGreater(len(events), usage["completion_tokens"] // 2)
        unary = self.stack.chat(seed=1, max_tokens=40)[1]
        text = "".join(choice["delta"].get("content", "")
                       for event in events for choice in event["choices"])
        self.assertEqual(text, unary["choices"][0]["message"]["content"])
        self.assertEqual(usage["completion_tokens"], unary["usage"]["completion_tokens"])
        self.assertEqual(self.stack.usage_of(stream.request_id())["cost_nano_usd"], cost_of(usage))

    def test_turnpike_chat_shows_the_answer_and_what_is_billed(self):
        environment = os.environ | {"TURNPIKE_BASE_URL": self.stack.url,
                                    "TURNPIKE_API_KEY": self.stack.key,
                                    "TURNPIKE_CA_CERT": str(self.stack.ca)}
        done = subprocess.run([BIN_DIR / "turnpike", "chat", "--seed", "4", "--max-tokens", "20",
                               "Hello"], capture_output=True, text=True, check=False,
                              env=environment)
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = self.stack.chat(seed=4, max_tokens=20)[1]
        self.assertEqual(done.stdout, answer["choices"][0]["message"]["content"] + "\n")
        cost, request_id = re.search(r" ([0-9.]+) USD, .* request (\w+)$", done.stderr.strip()).groups()
        self.assertEqual(cost, self.stack.usage_of(request_id)["cost_usd"])

    def test_a_client_that_leaves_stops_the_engine_and_pays_once(self):
        before, _ = self.stack.billing()
        steps = self.stack.engine_get("/load")["steps"]
        stream = self.stack.open_stream(temperature=0, max_tokens=4096).read_events(10)
        steps = self.stack.engine_get("/load")["steps"] - steps
        print(f"engine steps at the client's tenth event: {steps}")
        self.assertEqual(stream.status(), 200, stream.bytes)
        self.assertGreaterEqual(stream.num_events(), 10)
        self.assertLess(steps, 1000)
        stream.close()

        request_id = stream.request_id()
        wait_until("the engine has let it go",
                   lambda: self.stack.engine_get(f"/meter/{request_id}")["final"])
        meter = self.stack.engine_get(f"/meter/{request_id}")
        print(f"tokens when the engine had stopped: {meter['completion_tokens']}")
        self.assertLess(meter["completion_tokens"], 1000)
        # Were it still generating, its tokens would come on top of the next request's.
        generated = self.stack.engine_get("/load")["generated_tokens"]
        answer = self.stack.chat(temperature=0, max_tokens=8)[1]
        self.assertEqual(self.stack.engine_get("/load")["generated_tokens"] - generated,
                         answer["usage"]["completion_tokens"])

        self.stack.usage_of(answer["id"])
        row = self.stack.usage_of(request_id)
        self.assertEqual((row["outcome"], row["billed"]), ("client_gone", True))
        for name in ("prompt_tokens", "completion_tokens"):
            self.assertEqual(row[name], meter[name])
        after, whole = self.stack.billing()
        self.assertEqual(after["charged_nano_usd"] - before["charged_nano_usd"],
                         cost_of(meter) + cost_of(answer["usage"]))
        self.assertTrue(whole["agrees"])

    def test_a_gateway_told_to_end_finishes_what_it_began(self):
        self.addCleanup(self.stack.shell, "wait_ready")
        began = time.monotonic()
        self.stack.chat(temperature=0, max_tokens=100)
        # Some 3 s of work for this engine: far from the drain's limit, and time to look around.
        num_tokens = min(4000, max(200, int(300 / (time.monotonic() - began))))
        stream = self.stack.open_stream(temperature=0, max_tokens=num_tokens).read_events(10)
        pid = self.stack.kill("turnpike-gateway", signal.SIGTERM)

        def refuses():
            try:
                self.stack.connect().close()
            except OSError:
                return True
            return False
        wait_until("the door is closed", refuses)
        self.assertTrue(pathlib.Path(f"/proc/{pid}").exists(), "it did not wait for its stream")
        stream.read_done()
        self.assertTrue(stream.is_whole(), stream.bytes[-300:])
        row = self.stack.usage_of(stream.request_id())
        self.assertEqual((row["outcome"], row["completion_tokens"]), ("completed", num_tokens))
        self.stack.shell("wait_ready")
        self.assertNotEqual(self.stack.pids("turnpike-gateway"), [pid])
        self.assertIn("gateway ended (status 0)", (self.stack.dir / "logs/up.log").read_text())

    def test_client_errors(self):
        def body(**fields):
            return chat_body(**({"model": R1} | fields))
        chat = "/chat/completions"
        bad_request, bad_key = ("invalid_request_error", "invalid_argument"), "invalid_api_key"
        cases = [
            (400, bad_request, "temperature", {"body": body(temperature=3)}),
            (400, bad_request, "max_tokens", {"body": body(max_tokens="many")}),
            (400, bad_request, "messages", {"body": body(messages=[])}),
            (400, (bad_request[0], "context_length_exceeded"), "max_tokens",
             {"body": body(max_tokens=9000)}),
            (401, (bad_request[0], bad_key), None, {"body": body(), "key": ""}),
            (401, (bad_request[0], bad_key), None,
             {"body": body(), "key": self.stack.wrong_key()}),
            (404, (bad_request[0], "model_not_available"), "model", {"body": body(model="no/such")}),
            (404, (bad_request[0], "not_found"), None, {"path": "/nothing"}),
            (405, (bad_request[0], "method_not_allowed"), None, {"method": "DELETE"}),
            (413, (bad_request[0], "too_large"), None,
             {"body": body(messages=[{"role": "user", "content": "x" * (5 << 20)}])}),
            (415, (bad_request[0], "unsupported_media"), None,
             {"body": body(), "headers": ["Content-Type: text/plain"]}),
        ]
        before = self.stack.engine_get("/load")["generated_tokens"]
        for status, (kind, code), param, request in cases:
            with self.subTest(status=status, param=param):
                found, headers, text = self.curl(request.pop("path", chat), **request)
                self.assertEqual(found, status, text)
                self.assertEqual(headers["content-type"], "application/json")
                answer = json.loads(text)
                self.assertEqual(set(answer), {"id", "error"})
                self.assertEqual(answer["id"].lower(), headers["x-request-id"])
                error = answer["error"]
                self.assertEqual(set(error), {"message", "type", "param", "code"})
                self.assertEqual((error["type"], error["param"], error["code"]),
                                 (kind, param, code))
                self.assertTrue(error["message"])
        self.assertEqual(self.stack.engine_get("/load")["generated_tokens"], before)
        account, whole = self.stack.billing()
        self.assertTrue(whole["agrees"], account)


if __name__ == "__main__":
    unittest.main()
