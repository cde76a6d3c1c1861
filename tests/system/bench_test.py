#!/usr/bin/env python3
"""`turnpike bench` sends 1,000 requests, some of which it leaves, to an engine: both must count the same."""
import http.client
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
BIN = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"])
VARIABLES = ("TURNPIKE_BASE_URL", "TURNPIKE_API_KEY", "TURNPIKE_CA_CERT")
NUM_REQUESTS = 1000
DEADLINE_S = 120


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=DEADLINE_S)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect(self.path)


class BenchTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tp-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        config = SOURCE / "config/files/models/tiny-random/config.json"
        subprocess.run([BIN / "turnpike-engine", "synth", "--config", config, "--seed", "1", "--out",
                        self.folder / "model"], check=True, stdout=subprocess.DEVNULL)
        # Room for 32 sequences of a block each, so that some wait and some give way.
        (self.folder / "engine.json").write_text(json.dumps({
            "model_dir": str(self.folder / "model"), "card": str(SOURCE / "config/files/models/tiny-random.json"),
            "listen": f"unix:{self.folder}/s", "lock_file": str(self.folder / "lock"),
            "meter_file": str(self.folder / "meter"), "num_threads": 1, "max_running": 32, "kv_tokens": 2048}))
        engine = subprocess.Popen([BIN / "turnpike-engine", "serve", "--config", self.folder / "engine.json"],
                                  stderr=subprocess.DEVNULL)
        self.addCleanup(engine.wait)
        self.addCleanup(engine.kill)
        self.poll(self.is_ready, "the engine to be ready")
        self.connection = UnixConnection(str(self.folder / "s"))
        self.addCleanup(self.connection.close)

    def poll(self, condition, what):
        deadline = time.monotonic() + DEADLINE_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, f"waited {DEADLINE_S} s for {what}")
            os.sched_yield()

    def is_ready(self):
        connection = UnixConnection(str(self.folder / "s"))
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def get(self, path):
        self.connection.request("GET", path)
        response = self.connection.getresponse()
        self.assertEqual(response.status, 200, path)
        return json.loads(response.read())

    def is_idle(self):
        load = self.get("/load")
        return load["running"] == load["waiting"] == 0

    def run_bench(self, *arguments):
        environment = {k: v for k, v in os.environ.items() if k not in VARIABLES}
        outcome = subprocess.run(
            [BIN / "turnpike", "bench", "--base-url", f"unix:{self.folder}/s:/v1", "--concurrency", "32",
             "--random-input-len", "8", "--random-prefix-len", "8", "--random-output-len", "24",
             "--random-range-ratio", "0.75", "--json", self.folder / "report.json", "--save-requests", *arguments],
            env=environment, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)
        print(outcome.stdout)
        return json.loads((self.folder / "report.json").read_text())

    def test_1000_requests_with_disconnects(self):
        report = self.run_bench("--num-prompts", str(NUM_REQUESTS), "--disconnect-rate", "0.3", "--seed", "11")
        requests = report["requests"]
        self.assertEqual(requests["failures"], {})
        self.assertEqual(requests["completed"] + requests["disconnected"], NUM_REQUESTS)
        self.assertGreater(requests["disconnected_before_first_byte"], 20)
        self.assertGreater(requests["disconnected"] - requests["disconnected_before_first_byte"], 100)

        self.poll(self.is_idle, "the engine to be idle")
        load = self.get("/load")
        self.assertEqual(load["kv_blocks_used"], 0, load)  # what is only cached counts as free
        totals = self.get("/meter")
        self.assertEqual((totals["requests"], totals["open"]), (NUM_REQUESTS, 0))

        known = {"prompt_tokens": 0, "completion_tokens": 0}
        num_unknown = 0
        for row in report["rows"]:
            if not row["request_id"]:  # left before the server could name it
                num_unknown += 1
                continue
            entry = self.get("/meter/" + row["request_id"])
            self.assertTrue(entry["final"])
            for name in known:
                known[name] += entry[name]
            if row["outcome"] == "completed":
                counts = (entry["prompt_tokens"], entry["completion_tokens"], entry["cached_tokens"])
                self.assertEqual(counts, (row["input_tokens"], row["output_tokens"], row["cached_tokens"]))
            else:
                self.assertGreaterEqual(entry["completion_tokens"], row["text_events"])
        self.assertEqual(num_unknown, requests["disconnected_before_first_byte"])
        self.assertLessEqual(known["completion_tokens"], totals["completion_tokens"])
        self.assertLessEqual(totals["completion_tokens"], known["completion_tokens"] + num_unknown * 42)
        self.assertEqual(totals["completion_tokens"], load["generated_tokens"])

    def test_without_disconnects_the_totals_are_the_same(self):
        report = self.run_bench("--num-prompts", "100", "--endpoint", "completions", "--random-vocab-size", "200")
        self.assertEqual(report["requests"]["completed"], 100)
        totals = self.get("/meter")
        self.assertEqual((totals["requests"], totals["open"]), (100, 0))
        tokens = report["tokens"]
        self.assertEqual((tokens["input"], tokens["output"], tokens["cached"]),
                         (totals["prompt_tokens"], totals["completion_tokens"], totals["cached_tokens"]))


if __name__ == "__main__":
    unittest.main()
