#!/usr/bin/env python3
"""Every way that a request can end, with the real engine: how it is recorded, who pays, and that the
record has the engine's own counts. Each end prints its line."""
import concurrent.futures
import contextlib
import http.client
import json
import signal
import unittest

from stack import R1, ChatStream, DEADLINE_S, SystemTest, Stack, UnixConnection, chat_body, wait_until

COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
END, END_OF_THOUGHT = "1", "2550"  # tokens of r1-nano
ENDLESS = {"max_tokens": 3000, "logit_bias": {END: -100}}
THINKING = {"max_tokens": 3000, "logit_bias": {END: -100, END_OF_THOUGHT: -100}}
LINE = "{:<44} {:<15} {:>6} {:>6} {:>6} {:>6} {:>12}"
HEAD = LINE.format("end", "recorded as", "in", "cached", "out", "pays", "nano-USD")
MAX_RUNNING = 8  # of an engine: see ops/docs/formats/settings.md


def question(text):
    return [{"role": "user", "content": text}]


class Ends(SystemTest):
    @classmethod
    def make_stack(cls):
        print(HEAD, flush=True)
        return Stack("r1-nano")

    def expect(self, name, request_id, outcome, is_billed):
        """The one row of a request, which has the engine's counts and the price's exact sum."""
        row = self.stack.usage_of(request_id)
        pays = "yes" if row["billed"] else "no"
        print(LINE.format(name, row["outcome"], *(row[count] for count in COUNTS[:3]), pays, row["cost_nano_usd"]),
              flush=True)
        self.assertEqual((row["outcome"], row["billed"]), (outcome, is_billed), row)
        meter = self.stack.engine_get(f"/meter/{request_id}")
        self.assertEqual([row[count] for count in COUNTS], [meter[count] for count in COUNTS], row)
        # 3 USD in, cached at the card's price, 7 USD out, each per million.
        price = self.price()
        cost = ((row["prompt_tokens"] - row["cached_tokens"]) * price["input_nano_usd"]
                + row["cached_tokens"] * price["cached_input_nano_usd"]
                + row["completion_tokens"] * price["output_nano_usd"])
        self.assertEqual((row["cost_nano_usd"], row["written_off_nano_usd"]), (cost, 0) if is_billed else (0, cost))
        return row

    def price(self):
        prices = self.stack.cli_json("prices", "list")["data"]
        (price,) = [row for row in prices if row["name"] == R1]
        return price

    def expect_new(self, name, before, outcome, is_billed):
        """The same for a request whose id its client never saw: the row that was not there before."""
        def find():
            return [row for row in self.stack.usage()["data"] if row["request_id"] not in before]
        (row,) = wait_until("one more row", find)
        return self.expect(name, row["request_id"], outcome, is_billed)

    def known(self):
        """The ids of all rows, once nothing is open."""
        wait_until("nothing is open", lambda: self.stack.engine_get("/meter")["open"] == 0)
        return {row["request_id"] for row in self.stack.usage()["data"]}

    def open(self, **fields):
        return ChatStream(self.stack, model=R1, **({"temperature": 0} | fields))

    def read_until(self, stream, is_there):
        while not any(is_there(event) for event in stream.events()):
            self.assertTrue(stream.read_some(), stream.bytes[-300:])
        return stream

    def delta_has(self, name):
        return lambda event: any(choice.get("delta", {}).get(name) for choice in event.get("choices", ()))


class EndsTest(Ends):
    def test_finished(self):
        for name, fields, reason in (("finish: stop token", {"max_tokens": 400}, "stop"),
                                     ("finish: length", {"max_tokens": 5}, "length"),
                                     ("finish: stop string", {"max_tokens": 400, "stop": ["boxed"]}, "stop")):
            status, answer = self.stack.chat(messages=question("What is 47 * 86?"), temperature=0, **fields)
            self.assertEqual((status, answer["choices"][0]["finish_reason"]), (200, reason), answer)
            row = self.expect(name, answer["id"], "completed", True)
            self.assertEqual(row["completion_tokens"], answer["usage"]["completion_tokens"])

    def test_a_cached_prompt_costs_the_cached_price(self):
        messages = question("Tell me of the sea. " * 40 + "What is 2 + 2?")
        for name in ("prompt not cached", "prompt cached"):
            status, answer = self.stack.chat(messages=messages, max_tokens=4)
            self.assertEqual(status, 200, answer)
            row = self.expect(name, answer["id"], "completed", True)
            self.assertEqual(row["cached_tokens"] > 0, name == "prompt cached", row)

    def test_several_choices_pay_for_one_prompt(self):
        status, answer = self.stack.chat(messages=question("What is 3 + 4?"), max_tokens=6, n=3, temperature=1)
        self.assertEqual((status, len(answer["choices"])), (200, 3))
        row = self.expect("n = 3", answer["id"], "completed", True)
        self.assertEqual(row["completion_tokens"], answer["usage"]["completion_tokens"])
        self.assertLessEqual(row["prompt_tokens"], 20)

    def test_refused_requests_pay_nothing_and_have_no_row(self):
        before = self.known()
        for fields in ({"max_tokens": -1}, {"messages": []}, {"model": "no/such"}):
            self.assertGreaterEqual(self.stack.chat(**fields)[0], 400)
        status, answer = self.stack.chat(messages=question("word " * 5000))
        self.assertEqual((status, answer["error"]["code"]), (400, "context_length_exceeded"), answer)
        # The engine refused the last one: zero is a count, not a missing one.
        row = wait_until("its row", lambda: [row for row in self.stack.usage()["data"]
                                             if row["request_id"] not in before])[0]
        print(LINE.format("context overflow", row["outcome"], 0, 0, 0, "yes", row["cost_nano_usd"]), flush=True)
        self.assertEqual((row["outcome"], [row[name] for name in COUNTS], row["cost_nano_usd"]), ("refused", [0] * 4, 0))

    def test_left_while_thinking_and_while_answering(self):
        stream = self.read_until(self.open(messages=question("What is 5 + 6?"), **THINKING),
                                 self.delta_has("reasoning"))
        stream.close()
        row = self.expect("left while thinking", stream.request_id(), "client_gone", True)
        self.assertEqual(row["reasoning_tokens"], row["completion_tokens"])
        stream = self.read_until(self.open(messages=question("What is 5 + 6?"), **ENDLESS), self.delta_has("content"))
        stream.close()
        row = self.expect("left while answering", stream.request_id(), "client_gone", True)
        self.assertGreater(row["completion_tokens"], row["reasoning_tokens"])
        self.assertLess(row["completion_tokens"], 3000)

    def test_left_while_queued(self):
        before = self.known()
        running = [self.read_until(self.open(messages=question(f"What is {i} + 6?"), **THINKING),
                                   self.delta_has("reasoning")) for i in range(MAX_RUNNING)]
        waiting = self.open(messages=question("Am I waiting?"), **THINKING)
        wait_until("one waits", lambda: self.stack.engine_get("/load")["waiting"] == 1)
        waiting.close()
        row = self.expect_new("left while queued", before, "client_gone", True)
        self.assertGreater(row["prompt_tokens"], 0)
        self.assertEqual(row["completion_tokens"], 0)
        for stream in running:
            stream.close()
        self.known()

    def test_left_while_prefilling(self):
        """The moment is short, so a few may be needed."""
        for number in range(30):
            before = self.known()
            stream = self.open(messages=question(f"{number} apples. " * 300), **(THINKING | {"max_tokens": 200}))
            wait_until("its prompt is counted", lambda: self.stack.engine_get("/meter")["open"] == 1)
            stream.close()
            (row,) = wait_until("one more row", lambda: [each for each in self.stack.usage()["data"]
                                                         if each["request_id"] not in before])
            if row["completion_tokens"] == 0:
                break
        row = self.expect("left while prefilling", row["request_id"], "client_gone", True)
        self.assertGreater(row["prompt_tokens"], 1000)
        self.assertEqual(row["completion_tokens"], 0)

    def test_left_a_unary_request(self):
        before = self.known()
        connection = http.client.HTTPSConnection("localhost", self.stack.port, timeout=DEADLINE_S,
                                                 context=self.stack.tls)
        connection.request("POST", "/v1/chat/completions", chat_body(messages=question("2 + 2?"), **THINKING),
                           {"authorization": f"Bearer {self.stack.key}", "content-type": "application/json"})
        wait_until("it runs", lambda: self.stack.engine_get("/load")["running"] == 1)
        connection.close()
        row = self.expect_new("left a unary request", before, "client_gone", True)
        self.assertLess(row["completion_tokens"], 3000)

    def test_the_control_plane_is_away(self):
        self.stack.kill("turnpike-controlplane", signal.SIGSTOP)
        try:
            answers = [self.stack.chat(messages=question(f"What is {i} + 1?"), max_tokens=4) for i in range(5)]
        finally:
            self.stack.kill("turnpike-controlplane", signal.SIGCONT)
        for number, (status, answer) in enumerate(answers):
            self.assertEqual(status, 200, answer)
            self.expect(f"control plane away, {number + 1}", answer["id"], "completed", True)

    def test_a_batch_that_is_delivered_twice(self):
        """As a gateway does whose acknowledgement was lost."""
        status, answer = self.stack.chat(messages=question("What is 9 + 9?"), max_tokens=4)
        self.assertEqual(status, 200)
        self.expect("delivered once", answer["id"], "completed", True)
        account, _ = self.stack.billing()
        stored = self.stack.usage_rows()[answer["id"]]
        record = {name: stored[name] for name in (
            "request_id", "org", "key", "model", "served_model", "endpoint", "replica", "epoch", "price_version",
            "outcome", "http_status", *COUNTS, "opened_at_us", "closed_at_us")}
        record["provider_reported"] = bool(stored["provider_reported"])
        batch = json.dumps({"outbox": "01K0000000000000000000000A", "first_sequence": 1, "records": [record]})
        for _ in range(2):
            with contextlib.closing(UnixConnection(self.stack.run_dir / "internal.sock")) as connection:
                connection.request("POST", "/internal/v1/usage", batch, {"content-type": "application/json"})
                response = connection.getresponse()
                told = json.loads(response.read())
            self.assertEqual((response.status, told["new"], told["repeated"]), (200, 0, 1), told)
        self.expect("delivered three times", answer["id"], "completed", True)
        self.assertEqual(self.stack.billing()[0]["charged_nano_usd"], account["charged_nano_usd"])


class CrashEndsTest(Ends):
    """Ends in a crash, apart: each takes the engine or the gateway with it."""

    def ask_whole(self, **fields):
        try:
            return self.stack.chat(temperature=0, **fields)
        except (OSError, http.client.HTTPException):
            return None, None

    def serves_again(self):
        wait_until("it serves again", lambda: self.ask_whole(max_tokens=2)[0] == 200)

    def test_engine_dies_before_the_first_byte(self):
        before = self.known()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.ask_whole, messages=question("What is 5 + 6?"), **THINKING)
            wait_until("it runs", lambda: self.stack.engine_get("/load")["running"] == 1)
            self.stack.kill("turnpike-engine")
            status, answer = asked.result()
        self.assertEqual(status, 502, answer)
        self.assertEqual(answer["error"]["type"], "server_error")
        self.serves_again()
        self.expect_one("engine died before the first byte", before, "replica_failed")

    def test_engine_dies_after_the_first_byte(self):
        before = self.known()
        stream = self.read_until(self.open(messages=question("What is 5 + 6?"), **THINKING),
                                 self.delta_has("reasoning"))
        self.stack.kill("turnpike-engine")
        stream.read_done()
        self.assertIn("error", stream.events()[-1])
        self.serves_again()
        self.expect_one("engine died after the first byte", before, "replica_failed")

    def test_gateway_dies(self):
        before = self.known()
        stream = self.read_until(self.open(messages=question("What is 5 + 6?"), **THINKING),
                                 self.delta_has("reasoning"))
        self.stack.kill("turnpike-gateway")
        stream.read_done()
        self.stack.shell("wait_ready")
        self.expect_one("gateway died", before, "gateway_failed")

    def expect_one(self, name, before, outcome):
        """One row of that outcome is new, of whatever else came."""
        def find():
            return [row for row in self.stack.usage()["data"]
                    if row["request_id"] not in before and row["outcome"] == outcome]
        (row,) = wait_until(f"a row of {outcome}", find)
        row = self.expect(name, row["request_id"], outcome, False)
        self.assertGreater(row["prompt_tokens"], 0)


if __name__ == "__main__":
    unittest.main()
