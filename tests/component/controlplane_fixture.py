"""turnpike-controlplane as a process of a test, with a fake engine, and how tests talk to it."""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import unittest

SOURCE_DIR = pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"])
BINARY = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike-controlplane"
DEADLINE_S = 30
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=40)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def wait_until(what, condition):
    deadline = time.monotonic() + DEADLINE_S
    pause = threading.Event()  # never set: between two looks, the machine is others'
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        pause.wait(0.02)
    raise AssertionError(f"not within {DEADLINE_S} s: {what}")


def request_id(at_s, number):
    """The ULID of a moment, with `number` where randomness stands."""
    value = int(at_s * 1000) << 80 | number
    return "".join(BASE32[value >> shift & 31] for shift in range(125, -1, -5))


def usage_record(org, price_version, at_s, number):
    """A token in and one out, completed."""
    at_us = int(at_s * 1e6)
    return {
        "request_id": request_id(at_s, number), "org": org, "key": "key_1",
        "model": "deepseek-ai/DeepSeek-R1", "served_model": "turnpike/tiny-random",
        "endpoint": "e", "replica": "r", "epoch": 1, "price_version": price_version,
        "outcome": "completed", "http_status": 200, "prompt_tokens": 1, "cached_tokens": 0,
        "completion_tokens": 1, "reasoning_tokens": 0, "provider_reported": False,
        "opened_at_us": at_us, "closed_at_us": at_us}


def is_alive(pid):
    """A zombie is dead: who adopts an orphan may be slow to reap it."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class ControlplaneProcess(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tp-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.addCleanup(self.end_everything)
        self.process = None
        self.settings = {
            "data_dir": f"{self.dir}/data", "pepper_file": f"{self.dir}/peppers",
            "listen_internal": f"unix:{self.dir}/run/internal.sock",
            "listen_admin": f"unix:{self.dir}/run/admin.sock",
            "listen_metrics": f"unix:{self.dir}/run/metrics.sock", "run_dir": f"{self.dir}/run",
            "cards_dir": str(SOURCE_DIR / "config/files/models"),
            "engine_binary": str(SOURCE_DIR / "tests/component/fake_engine.py"),
            "models": [{"card": "tiny-random.json", "model_dir": f"{self.dir}/model", "names": [
                {"name": "turnpike/tiny-random"},
                {"name": "deepseek-ai/DeepSeek-R1", "card": "deepseek-r1-0528.json"}]}],
            "serverless": [{"model": "turnpike/tiny-random", "hardware": "1x_cpu",
                            "min_replicas": 1, "max_replicas": 1}],
            "hardware": [{"id": "1x_cpu", "gpu_type": "cpu", "gpu_link": "none",
                          "gpu_memory_gb": 0, "gpu_count": 0, "cents_per_minute": 2, "slots": 4}],
        }
        self.start()

    def start(self):
        config = self.dir / "controlplane.json"
        config.write_text(json.dumps(self.settings))
        subprocess.run([BINARY, "init", "--config", config], check=True, capture_output=True)
        with open(self.dir / "controlplane.log", "ab") as log:
            self.process = subprocess.Popen([BINARY, "serve", "--config", config], stderr=log)
        wait_until("the admin socket answers", self.is_healthy)

    def is_healthy(self):
        self.assertIsNone(self.process.poll(), (self.dir / "controlplane.log").read_text())
        try:
            return self.call("GET", "/healthz")[0] == 200
        except OSError:
            return False

    def end_everything(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid_file in self.dir.glob("run/r/*/pid"):
            try:
                os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def call(self, method, path, body=None, name="admin", headers=None):
        connection = UnixConnection(self.dir / "run" / f"{name}.sock")
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None, headers or {})
            response = connection.getresponse()
            text = response.read().decode()
            self.number = response.getheader("x-turnpike-protocol")
        return response.status, json.loads(text) if text else None

    def metrics(self):
        """Each sample of GET /metrics by its name and labels."""
        connection = UnixConnection(self.dir / "run/metrics.sock")
        with contextlib.closing(connection):
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        samples = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in samples}

    def expect(self, status, method, path, body=None):
        found, answer = self.call(method, path, body)
        self.assertEqual(found, status, answer)
        return answer

    def deliver(self, records):
        status, answer = self.call("POST", "/internal/v1/usage",
                                   {"outbox": "o", "first_sequence": 1, "records": records},
                                   name="internal")
        self.assertEqual(status, 200, answer)
        return answer

    def price_version(self, name):
        models = self.expect(200, "GET", "/admin/v1/models")["data"]
        return next(row["price"]["version"] for row in models if row["name"] == name)

    def reconciled(self):
        """Once everything is posted: the books, which agree."""
        books = wait_until("the books are posted", lambda: [
            found for found in [self.expect(200, "GET", "/admin/v1/reconcile")]
            if found["usage"]["unposted"] == 0])[0]
        self.assertEqual(books["misfits"], [])
        return books

    def stop(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(DEADLINE_S), 0)

    def replicas(self, endpoint):
        return self.expect(200, "GET", f"/admin/v1/endpoints/{endpoint}/replicas")["data"]

    def published(self, endpoint):
        rows = self.call("GET", "/internal/v1/snapshot?store=&after=0", name="internal")[1]
        found = [row["row"] for row in rows["endpoints"] if row["id"] == endpoint]
        return found[0]["replicas"] if found and found[0] else []

    def wait_state(self, endpoint, state):
        wait_until(f"{endpoint} is {state}", lambda: self.expect(
            200, "GET", f"/v1/endpoints/{endpoint}")["state"] == state)

    def running(self):
        pids = [int(file.read_text().split()[0]) for file in self.dir.glob("run/r/*/pid")]
        return [pid for pid in pids if is_alive(pid)]
