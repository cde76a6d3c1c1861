"""turnpike-engine as several processes: the same text as one, and one end for all of them."""

import concurrent.futures
import http.client
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

from engine_fixture import ENGINE, MODEL, SOURCE, UnixConnection, poll, synthesize


def is_running(pid):
    """False for a process that has ended, waited for or not."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rsplit(")", 1)[1].split()[0] != "Z"


class Engine:
    """A running engine; its log is read from a file."""

    def __init__(self, folder, **more):
        self.run = pathlib.Path(tempfile.mkdtemp(dir=folder))
        self.socket = str(self.run / "s")
        settings = {"model_dir": str(folder / "model"), "card": str(SOURCE / "config/files/models/tiny-random.json"),
                    "listen": f"unix:{self.socket}", "lock_file": str(self.run / "lock"),
                    "meter_file": str(self.run / "meter"), "num_threads": 1} | more
        (self.run / "engine.json").write_text(json.dumps(settings))
        with open(self.run / "log", "w") as log:
            self.process = subprocess.Popen([ENGINE, "serve", "--config", self.run / "engine.json"], stderr=log)

    def wait_ready(self):
        poll(lambda: self.process.poll() is not None or self.is_ready(), "the engine to be ready")
        return self

    def is_ready(self):
        try:
            return self.get("/health")["state"] == "ready"
        except OSError:
            return False

    def get(self, path):
        connection = UnixConnection(self.socket)
        connection.request("GET", path)
        body = json.loads(connection.getresponse().read())
        connection.close()
        return body

    def text(self, seed):
        body = {"model": MODEL, "messages": [{"role": "user", "content": f"hello, {seed} times " * 9}],
                "max_tokens": 40, "seed": seed, "temperature": 0.2 * (seed % 3)}
        connection = UnixConnection(self.socket)
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return answer["choices"][0]["message"]["content"]

    def open_stream(self):
        """A stream that no end token ends, after its third event."""
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "stream": True,
                "logit_bias": {"1": -100}, "max_tokens": 8000}
        connection = UnixConnection(self.socket)
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        response = connection.getresponse()
        seen = b""
        while seen.count(b"data:") < 3:
            seen += response.read1(65536)
        return response

    def log(self):
        return (self.run / "log").read_text()

    def ranks(self):
        """Process ids of ranks 1 and on."""
        return [int(pid) for pid in re.findall(r"rank_started.* pid=(\d+)", self.log())]

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class EngineRanksTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="tp-ranks-")
        cls.dir = pathlib.Path(cls.folder.name)
        synthesize(cls.dir / "model")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def start(self, **more):
        engine = Engine(self.dir, **more)
        self.addCleanup(engine.stop)
        return engine.wait_ready()

    def assert_all_end(self, pids):
        poll(lambda: not any(is_running(pid) for pid in pids), "every rank to end", 10)

    def test_any_number_of_ranks_gives_the_same_text(self):
        layouts = [{}, {"ranks": 2}, {"ranks": 2, "speculative_tokens": 3},
                   {"ranks": 2, "attention": "data"}, {"ranks": 4, "attention": "data"}]
        answers = []
        for layout in layouts:
            engine = self.start(**layout)
            self.assertEqual(len(engine.ranks()), layout.get("ranks", 1) - 1)
            with concurrent.futures.ThreadPoolExecutor(8) as pool:
                answers.append(list(pool.map(engine.text, range(8))))
            ranks = engine.ranks()
            engine.process.send_signal(signal.SIGTERM)
            self.assertEqual(engine.process.wait(timeout=60), 0, engine.log())
            self.assert_all_end(ranks)
            self.assertNotIn("rank_lost", engine.log())
        self.assertGreater(len(set(answers[0])), 1)
        for layout, texts in zip(layouts, answers):
            self.assertEqual(texts, answers[0], layout)

    def test_a_killed_rank_ends_an_idle_replica_with_the_reason(self):
        engine = self.start(ranks=4, attention="data")
        ranks = engine.ranks()
        os.kill(ranks[1], signal.SIGKILL)
        self.assertEqual(engine.process.wait(timeout=10), 1)
        self.assertRegex(engine.log(), rf"rank_lost reason=\"rank 2 \(process {ranks[1]}\) ended without warning\"")
        self.assert_all_end(ranks)

    def test_a_killed_rank_ends_a_busy_replica_with_the_reason(self):
        engine = self.start(ranks=2)
        stream = engine.open_stream()
        ranks = engine.ranks()
        os.kill(ranks[0], signal.SIGKILL)
        self.assertEqual(engine.process.wait(timeout=10), 1)
        self.assertRegex(engine.log(), rf"rank 1 \(process {ranks[0]}\) ended without warning")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            stream.read()

    def test_no_rank_outlives_a_killed_leader(self):
        engine = self.start(ranks=4, attention="data")
        engine.open_stream()
        ranks = engine.ranks()
        self.assertEqual(len(ranks), 3)
        engine.process.kill()
        engine.process.wait()
        self.assert_all_end(ranks)
        self.assertIn("rank 0 (process", engine.log())

    def test_signals_are_the_leaders_business(self):
        """A terminal sends Ctrl-C to every process of the group; the replica still drains."""
        engine = self.start(ranks=2)
        before = engine.text(3)
        for pid in engine.ranks():
            os.kill(pid, signal.SIGINT)
            os.kill(pid, signal.SIGTERM)
        self.assertEqual(engine.text(3), before)
        engine.process.send_signal(signal.SIGINT)
        self.assertEqual(engine.process.wait(timeout=60), 0, engine.log())

    def test_what_cannot_be_divided_is_refused(self):
        for settings, reason in (({"ranks": 4}, "4 heads in units of 2 do not divide among 4 ranks"),
                                 ({"ranks": 65}, "'ranks' expected 1 to 64"),
                                 ({"attention": "both"}, "'attention' expected")):
            engine = Engine(self.dir, **settings)
            self.addCleanup(engine.stop)
            self.assertEqual(engine.process.wait(timeout=60), 1)
            self.assertIn(reason, engine.log())
            self.assert_all_end(engine.ranks())


if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
