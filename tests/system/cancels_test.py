#!/usr/bin/env python3
"""10,000 clients that leave, at every phase, streams and whole answers: no slot, no hold and no open
request is left, and who was served pays for it."""
import os
import re
import subprocess
import unittest

from stack import BIN_DIR, R1, Stack, SystemTest, UnixConnection, wait_until

NUM_STREAMS, NUM_WHOLE = 8000, 2000
GAUGES = ("slots", "holds", "open_requests", "unresolved_requests", "undelivered_records", "connections")
COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")


class CancelsTest(SystemTest):
    @classmethod
    def make_stack(cls):
        return Stack(gateway_settings=lambda run_dir: {"metrics_listen": f"unix:{run_dir}/metrics"})

    def gauges(self):
        connection = UnixConnection(self.stack.run_dir / "metrics")
        self.addCleanup(connection.close)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        found = dict(re.findall(r"^turnpike_gateway_(\w+) (\S+)$", text, re.MULTILINE))
        return {name: int(found[name]) for name in GAUGES}

    def leave(self, number, *flags):
        done = subprocess.run(
            [BIN_DIR / "turnpike-bench", "--base-url", self.stack.url, "--model", R1, "--num-prompts", str(number),
             "--concurrency", "48", "--disconnect-rate", "1", "--disconnect-early", "--random-input-len", "8",
             "--random-output-len", "24", "--seed", "4", *flags],
            env=dict(os.environ, TURNPIKE_API_KEY=self.stack.key, TURNPIKE_CA_CERT=str(self.stack.ca)),
            capture_output=True, text=True, check=False)
        print("\n".join(done.stdout.splitlines()[:12]), flush=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_ten_thousand_cancels_leave_nothing(self):
        self.leave(NUM_STREAMS)
        self.leave(NUM_WHOLE, "--no-stream")
        none = dict.fromkeys(GAUGES, 0)
        wait_until("nothing is left", lambda: self.gauges() == none)
        print(f"after {NUM_STREAMS + NUM_WHOLE} cancels: {none}")
        meter, usage = self.stack.engine_get("/meter"), self.stack.usage()
        self.assertEqual(meter["open"], 0)
        billed, lost = usage["totals"], usage["totals"]["written_off"]
        self.assertEqual([billed[name] + lost[name] for name in COUNTS], [meter[name] for name in COUNTS])
        self.assertGreater(meter["requests"], NUM_STREAMS // 2)


if __name__ == "__main__":
    unittest.main()
