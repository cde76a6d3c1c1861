#!/usr/bin/env python3
"""kill -9 of the gateway ten times in mid-stream, among concurrent requests: what the engine counted
is what was billed and written off, every request once."""
import concurrent.futures
import http.client
import os
import random
import time
import unittest

from stack import SystemTest, wait_until

NUM_KILLS = 10
# Of about a million bytes that a whole stream has; some fall into the head, below byte 300.
MAX_OFFSETS = (300, 3_000, 30_000)
COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")


def prompt(text):
    return [{"role": "user", "content": text}]


class GatewayKillTest(SystemTest):
    def setUp(self):
        seed = int(os.environ.get("TURNPIKE_TEST_SEED") or random.randrange(1 << 32))
        print(f"seed {seed} (TURNPIKE_TEST_SEED)", flush=True)
        self.random = random.Random(seed)
        self.pool = concurrent.futures.ThreadPoolExecutor(4)
        self.addCleanup(self.pool.shutdown)

    def ask_whole(self, **fields):
        """A unary chat whose connection may be cut: its id, when there was an answer."""
        try:
            status, answer = self.stack.chat(**fields)
        except (OSError, http.client.HTTPException):
            return None
        self.assertEqual(status, 200, answer)
        return answer["id"]

    def serve_a_while(self):
        """Whole answers for longer than `up` takes for a failed start, after which it would wait
        before the next one; their ids."""
        answered, deadline = [], time.monotonic() + 1.2
        while time.monotonic() < deadline:
            answered.append(self.ask_whole(temperature=0, max_tokens=200))
        self.assertNotIn(None, answered)
        return answered

    def kill_in_mid_stream(self, number):
        """The ids that clients saw: of the streams, and of unary requests that were answered."""
        served = self.serve_a_while()
        offset = self.random.randrange(1, MAX_OFFSETS[number % len(MAX_OFFSETS)])
        others = [self.stack.open_stream(temperature=0, max_tokens=4096,
                                         messages=prompt(f"kill {number} other {i}"))
                  for i in range(2)]
        reading = [self.pool.submit(stream.read_done) for stream in others]
        unary = [self.pool.submit(self.ask_whole, temperature=0, max_tokens=tokens)
                 for tokens in (4, 4096)]
        stream = self.stack.open_stream(temperature=0, max_tokens=4096,
                                        messages=prompt(f"kill {number}")).read_to(offset)
        had = len(stream.bytes)
        killed = self.stack.kill("turnpike-gateway")
        began = time.monotonic()
        streams = [stream.read_done(), *(future.result() for future in reading)]
        answered = [future.result() for future in unary]
        self.stack.shell("wait_ready")
        (pid,) = self.stack.pids("turnpike-gateway")
        print(f"kill {number}: at byte {had} of the stream (asked for {offset}), the others had "
              f"{[len(other.bytes) for other in others]}; pid {killed} became {pid}, ready after "
              f"{time.monotonic() - began:.1f} s", flush=True)
        self.assertEqual(had, offset)
        self.assertNotEqual(pid, killed)
        self.assertIsNone(answered[1], "4096 tokens were answered before the kill")
        for each in streams:
            self.assertFalse(each.is_whole(), "a stream ended before the kill")
        return ([each.request_id() for each in streams if each.request_id()],
                [request_id for request_id in (*served, *answered) if request_id])

    def settled_usage(self):
        """The usage, once the engine has nothing open and the sums have caught up with it."""
        def settled():
            meter = self.stack.engine_get("/meter")
            usage = self.stack.usage()
            billed, lost = usage["totals"], usage["totals"]["written_off"]
            is_even = all(billed[name] + lost[name] == meter[name] for name in COUNTS)
            return usage if meter["open"] == 0 and is_even else None
        return wait_until("engine totals = billed + written off", settled)

    def test_nothing_is_lost_and_nothing_counts_twice(self):
        cut, answered = [], []
        for number in range(1, NUM_KILLS + 1):
            more_cut, more_answered = self.kill_in_mid_stream(number)
            cut += more_cut
            answered += more_answered
        answered.append(self.ask_whole(temperature=0, max_tokens=4))
        usage = self.settled_usage()
        rows = {row["request_id"]: row for row in usage["data"]}
        self.assertEqual(len(rows), len(usage["data"]), "a request has two rows")
        self.check_outcomes(rows, cut, answered)
        self.check_against_engine(rows)
        self.check_sums(usage)

        # A gateway that starts again delivers nothing anew.
        killed = self.stack.kill("turnpike-gateway")
        wait_until("another gateway", lambda: self.stack.pids("turnpike-gateway") not in ([], [killed]))
        self.stack.shell("wait_ready")
        last = self.ask_whole(temperature=0, max_tokens=4)
        self.stack.usage_of(last)
        again = {row["request_id"]: row for row in self.settled_usage()["data"]}
        again.pop(last)
        self.assertEqual(again, rows)

    def check_outcomes(self, rows, cut, answered):
        """Every id that a client saw has its row: what was cut is written off, the rest billed."""
        self.assertEqual({rows[request_id]["outcome"] for request_id in cut}, {"gateway_failed"})
        self.assertEqual({rows[request_id]["outcome"] for request_id in answered}, {"completed"})
        for row in rows.values():
            self.assertEqual(row["billed"], row["outcome"] == "completed", row)
        num_lost = sum(not row["billed"] for row in rows.values())
        print(f"{len(rows)} requests: {len(rows) - num_lost} billed, {num_lost} written off; "
              f"clients saw {len(cut)} ids of cut streams and {len(answered)} answers")

    def check_against_engine(self, rows):
        num_known = 0
        for request_id, row in rows.items():
            meter = self.stack.engine_get(f"/meter/{request_id}")
            if "error" in meter:  # the gateway died before the engine had the request
                meter = {name: 0 for name in COUNTS}
            else:
                num_known += 1
            self.assertEqual([row[name] for name in COUNTS], [meter[name] for name in COUNTS], row)
        self.assertEqual(num_known, self.stack.engine_get("/meter")["requests"])

    def check_sums(self, usage):
        for is_billed, totals in ((True, usage["totals"]), (False, usage["totals"]["written_off"])):
            rows = [row for row in usage["data"] if row["billed"] == is_billed]
            self.assertEqual(len(rows), totals["num_requests"])
            for name in COUNTS:
                self.assertEqual(sum(row[name] for row in rows), totals[name])
        meter, lost = self.stack.engine_get("/meter"), usage["totals"]["written_off"]
        self.assertGreater(lost["completion_tokens"], 0)
        print(f"engine {meter['completion_tokens']} tokens = billed "
              f"{usage['totals']['completion_tokens']} + written off {lost['completion_tokens']}")
        account, whole = self.stack.billing()
        self.assertEqual(account["charged_nano_usd"],
                         sum(row["cost_nano_usd"] for row in usage["data"] if row["billed"]))
        self.assertEqual((whole["agrees"], whole["ledger_sum_nano_usd"]), (True, 0))


if __name__ == "__main__":
    unittest.main()
