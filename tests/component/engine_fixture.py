"""A turnpike-engine on a synthetic checkpoint, and how tests talk to it, over its Unix socket if they do not say otherwise."""

import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
ENGINE = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike-engine"
MODEL = "turnpike/tiny-random"
# Of every engine started here: "cuda" on a GPU host, whatever the CPU has if it is not given.
ISA = os.environ.get("TURNPIKE_ENGINE_ISA", "auto")


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def poll(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}")
        os.sched_yield()


def synthesize(folder):
    """The checkpoint of MODEL."""
    config = SOURCE / "config/files/models/tiny-random/config.json"
    subprocess.run([ENGINE, "synth", "--config", config, "--seed", "1", "--out", folder],
                   check=True, stdout=subprocess.DEVNULL)


class EngineFixture(unittest.TestCase):
    """One engine process for each test."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="tp-engine-")
        cls.dir = pathlib.Path(cls.folder.name)
        synthesize(cls.dir / "model")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def setUp(self):
        self.run = pathlib.Path(tempfile.mkdtemp(dir=self.dir))
        self.socket = str(self.run / "s")
        self.start(1)

    def tearDown(self):
        self.engine.kill()
        self.engine.wait()

    def start(self, epoch, **more):
        self.launch(epoch, **more)
        poll(self.is_ready, "the engine to be ready")

    def restart(self, epoch, **more):
        self.engine.kill()
        self.engine.wait()
        self.start(epoch, **more)

    def launch(self, epoch, stderr=subprocess.DEVNULL, environment=None, **more):
        settings = {"model_dir": str(self.dir / "model"), "card": str(SOURCE / "config/files/models/tiny-random.json"),
                    "listen": f"unix:{self.socket}", "epoch": epoch, "lock_file": str(self.run / "lock"),
                    "meter_file": str(self.run / "meter"), "num_threads": 1, "isa": ISA} | more
        (self.run / "engine.json").write_text(json.dumps(settings))
        self.engine = subprocess.Popen([ENGINE, "serve", "--config", self.run / "engine.json"], stderr=stderr, env=environment)

    def connect(self):
        return UnixConnection(self.socket)

    def is_ready(self):
        try:
            return self.get("/health")["state"] == "ready"
        except OSError:
            return False

    def get(self, path):
        connection = self.connect()
        connection.request("GET", path)
        body = json.loads(connection.getresponse().read())
        connection.close()
        return body

    def post(self, body, **headers):
        connection = self.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text

    def chat(self, **fields):
        return {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 8, "seed": 5, **fields}

    def text_of(self, body):
        return json.loads(self.post(body)[1])["choices"][0]["message"]["content"]

    def open_stream(self, request_id, **fields):
        """A metered stream that no end token ends, after its third event."""
        body = self.chat(stream=True, logit_bias={"1": -100}, **fields)
        connection = self.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"x-turnpike-meter": "1", "x-request-id": request_id})
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        seen = b""
        while seen.count(b"data:") < 3:
            piece = response.read1(65536)
            self.assertTrue(piece, seen)
            seen += piece
        return response, seen

    def drain(self):
        self.engine.send_signal(signal.SIGTERM)
        return poll(lambda: (now := self.get("/health"))["state"] == "draining" and now, "the engine to drain")
