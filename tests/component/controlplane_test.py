#!/usr/bin/env python3
"""turnpike-controlplane as a process, over its sockets: an endpoint's whole life, with kill -9 of
its engine and of the control plane. A fake engine answers /health."""
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


def is_alive(pid):
    """A zombie is dead: who adopts an orphan may be slow to reap it."""
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


class ControlplaneTest(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="tp-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.addCleanup(self.end_everything)
        self.process = None
        self.settings = {
            "data_dir": f"{self.dir}/data", "pepper_file": f"{self.dir}/peppers",
            "listen_internal": f"unix:{self.dir}/run/internal.sock",
            "listen_admin": f"unix:{self.dir}/run/admin.sock", "run_dir": f"{self.dir}/run",
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

    def call(self, method, path, body=None, name="admin"):
        connection = UnixConnection(self.dir / "run" / f"{name}.sock")
        with contextlib.closing(connection):
            connection.request(method, path, json.dumps(body) if body is not None else None)
            response = connection.getresponse()
            text = response.read().decode()
        return response.status, json.loads(text) if text else None

    def expect(self, status, method, path, body=None):
        found, answer = self.call(method, path, body)
        self.assertEqual(found, status, answer)
        return answer

    def replicas(self, endpoint):
        return self.expect(200, "GET", f"/admin/v1/endpoints/{endpoint}/replicas")["data"]

    def published(self, endpoint):
        rows = self.call("GET", "/internal/v1/snapshot?store=&after=0", name="internal")[1]
        found = [row["row"] for row in rows["endpoints"] if row["id"] == endpoint]
        return found[0]["replicas"] if found and found[0] else []

    def wait_state(self, endpoint, state):
        wait_until(f"{endpoint} is {state}", lambda: self.expect(
            200, "GET", f"/v1/endpoints/{endpoint}")["state"] == state)

    def create(self, **fields):
        body = {"model": "turnpike/tiny-random", "hardware": "1x_cpu",
                "autoscaling": {"min_replicas": 1, "max_replicas": 1}} | fields
        return self.call("POST", "/v1/endpoints?org=demo", body)

    def test_life_of_an_endpoint(self):
        self.expect(200, "POST", "/admin/v1/organisations", {"name": "demo"})
        self.expect(200, "POST", "/admin/v1/organisations", {"name": "other"})
        status, made = self.create(idempotency_key="once")
        self.assertEqual(status, 200, made)
        self.assertEqual(made["state"], "PENDING")
        self.assertRegex(made["name"], r"^demo/turnpike/tiny-random-[0-9a-f]{8}$")
        self.assertEqual(self.create(idempotency_key="once")[1]["id"], made["id"])
        endpoint = made["id"]
        self.wait_state(endpoint, "STARTED")
        self.assertEqual(len(self.published(endpoint)), 1)
        self.expect(200, "GET", f"/v1/endpoints/{endpoint}?org=demo")
        for method, body in (("GET", None), ("PATCH", {"state": "STOPPED"}), ("DELETE", None)):
            self.expect(404, method, f"/v1/endpoints/{endpoint}?org=other", body)

        before = self.replicas(endpoint)[0]
        os.kill(before["pid"], signal.SIGKILL)
        wait_until("the engine is repaired", lambda: any(
            row["epoch"] > before["epoch"] for row in self.published(endpoint)))
        after = self.replicas(endpoint)[0]
        self.assertEqual((after["id"], after["epoch"]), (before["id"], before["epoch"] + 1))
        self.wait_state(endpoint, "STARTED")

        self.process.kill()
        self.process.wait()
        self.assertTrue(is_alive(after["pid"]))
        self.start()
        self.wait_state(endpoint, "STARTED")
        self.assertEqual(self.replicas(endpoint)[0]["pid"], after["pid"])
        self.assertEqual(self.replicas(endpoint)[0]["epoch"], after["epoch"])
        models = self.expect(200, "GET", "/admin/v1/models")["data"]
        prices = {row["name"]: row["price"] for row in models}
        self.assertEqual(prices[made["name"]]["per_minute_nano_usd"], 20_000_000)
        self.assertEqual(prices["deepseek-ai/DeepSeek-R1"]["output_nano_usd"], 7000)
        self.assertEqual(max(price["version"] for price in prices.values()), 3,
                         "a restart made new price versions")

        self.expect(200, "PATCH", f"/v1/endpoints/{endpoint}?org=demo", {"state": "STOPPED"})
        self.wait_state(endpoint, "STOPPED")
        self.assertFalse(is_alive(after["pid"]))
        self.assertEqual(self.published(endpoint), [])
        self.expect(200, "PATCH", f"/v1/endpoints/{endpoint}", {"state": "STARTED"})
        self.wait_state(endpoint, "STARTED")
        self.assertEqual(self.replicas(endpoint)[0]["epoch"], after["epoch"] + 1)
        self.assertEqual(self.call("DELETE", f"/v1/endpoints/{endpoint}")[0], 204)
        self.expect(404, "GET", f"/v1/endpoints/{endpoint}")
        wait_until("its engine ends", lambda: len(self.running()) == 1)

    def running(self):
        pids = [int(file.read_text().split()[0]) for file in self.dir.glob("run/r/*/pid")]
        return [pid for pid in pids if is_alive(pid)]

    def test_refusals_pools_and_parking(self):
        self.expect(200, "POST", "/admin/v1/organisations", {"name": "demo"})
        for fields, param in (({"model": "no/such"}, "model"), ({"hardware": "8x"}, "hardware"),
                              ({"hardware": ""}, "hardware"), ({"state": "MAYBE"}, "state"),
                              ({"autoscaling": None}, "autoscaling"),
                              ({"autoscaling": {"min_replicas": 2, "max_replicas": 1}},
                               "autoscaling.min_replicas"),
                              ({"autoscaling": {"min_replicas": 5, "max_replicas": 5}},
                               "autoscaling.min_replicas"),
                              ({"inactive_timeout": -1}, "inactive_timeout")):
            status, answer = self.create(**fields)
            self.assertEqual((status, answer["error"]["param"]), (400, param), answer)
        self.expect(400, "POST", "/v1/endpoints", {})
        self.expect(404, "POST", "/v1/endpoints?org=nobody", {})
        self.expect(404, "GET", "/v1/hardware?model=no/such")
        row = self.expect(200, "GET", "/v1/hardware?model=turnpike/tiny-random")["data"][0]
        self.assertEqual(row["availability"], {"status": "available"})
        pool = self.expect(200, "GET", "/v1/endpoints?org=demo&type=serverless")["data"][0]
        self.assertEqual(self.call("DELETE", f"/v1/endpoints/{pool['id']}")[0], 409)
        self.wait_state(pool["id"], "STARTED")
        self.assertEqual(self.expect(200, "POST", "/admin/v1/park"), {"parked": True})
        self.assertEqual(self.running(), [])
        self.process.terminate()
        self.assertEqual(self.process.wait(DEADLINE_S), 0)
        self.start()
        self.wait_state(pool["id"], "STARTED")


if __name__ == "__main__":
    unittest.main()
