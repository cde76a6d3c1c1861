#!/usr/bin/env python3
"""kill -9 of the engine and of the control plane in mid-stream: what each takes with it, and that
the books agree afterwards. The gateway's turn is gateway_kill_test.py."""
import unittest

from stack import SystemTest, wait_until


class CrashTest(SystemTest):
    def books(self):
        """Usage rows by request, once everything that the engine counted is in them."""
        def settled():
            meter, usage = self.stack.engine_get("/meter"), self.stack.usage()
            billed, lost = usage["totals"], usage["totals"]["written_off"]
            is_even = all(billed[name] + lost[name] == meter[name]
                          for name in ("prompt_tokens", "completion_tokens"))
            return usage["data"] if meter["open"] == 0 and is_even else None
        rows = wait_until("engine totals = billed + written off", settled)
        self.assertTrue(self.stack.billing()[1]["agrees"])
        self.assertEqual(len({row["request_id"] for row in rows}), len(rows))
        return {row["request_id"]: row for row in rows}

    def test_an_engine_that_dies_takes_its_streams_but_no_count(self):
        streams = [self.stack.open_stream(temperature=0, max_tokens=4096).read_events(10)
                   for _ in range(3)]
        killed = self.stack.kill("turnpike-engine")
        for stream in streams:
            stream.read_done()
            self.assertFalse(stream.is_whole())
            self.assertEqual(stream.events()[-1]["error"]["type"], "server_error")
        # The next engine has the same meter file, and the gateway asks it for the last counts.
        wait_until("another engine serves", lambda: self.stack.chat(max_tokens=4)[0] == 200)
        self.assertNotIn(killed, self.stack.pids("turnpike-engine"))
        rows = self.books()
        for stream in streams:
            row = rows[stream.request_id()]
            self.assertEqual((row["outcome"], row["billed"]), ("replica_failed", False))
            num_seen = stream.num_events() - 1  # the last one is the error
            self.assertGreaterEqual(row["completion_tokens"], num_seen)
            self.assertEqual(row["cost_nano_usd"], 0)
            self.assertGreater(row["written_off_nano_usd"], 0)

    def test_a_control_plane_that_dies_interrupts_nothing(self):
        stream = self.stack.open_stream(temperature=0, max_tokens=400).read_events(10)
        engine = self.stack.pids("turnpike-engine")
        killed = self.stack.kill("turnpike-controlplane")
        stream.read_done()
        self.assertTrue(stream.is_whole(), stream.bytes[-300:])
        self.stack.wait_controlplane()
        self.assertNotIn(killed, self.stack.pids("turnpike-controlplane"))
        row = wait_until("it is in the books", lambda: self.books().get(stream.request_id()))
        self.assertEqual((row["outcome"], row["completion_tokens"]), ("completed", 400))
        self.assertEqual(self.stack.pids("turnpike-engine"), engine)


if __name__ == "__main__":
    unittest.main()
