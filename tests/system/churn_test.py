#!/usr/bin/env python3
"""kill -9 of the control plane while endpoints are made, scaled, restarted, stopped and deleted: half of the times at
a random moment, half right behind one of its durable steps. In the end everything is as it was asked: no process that
nobody wants, none twice. TURNPIKE_CHURN_KILLS says how often (100)."""
import collections
import json
import os
import pathlib
import random
import time
import unittest

from failpoints import Failpoints
from keeper import Keeper
from stack import BIN_DIR, Stack, SystemTest, UnixConnection, wait_until

NUM_KILLS = int(os.environ.get("TURNPIKE_CHURN_KILLS", "100"))
NUM_ENDPOINTS = 4
MAX_REPLICAS = 3


def is_of_the_loop(name):
    return name.startswith(("reconcile.", "controlplane.replica_"))


class KeptStack(Stack):
    """The control plane starts again at once whenever it dies."""

    def start_up(self):
        class Us:  # for ops/lib: whoever keeps the processes is this one
            pid = os.getpid()

            @staticmethod
            def poll():
                return 0
        self.up = Us

        def widen(settings):
            settings["hardware"][0]["slots"] = 32
        self.edit("controlplane.json", widen)
        environment = dict(os.environ, TURNPIKE_FAILPOINTS=str(self.dir / "failpoints"))
        self.controlplane, self.gateway = (
            Keeper(name, command, self.dir / f"logs/{name}.log", environment) for name, command in (
                ("controlplane", [BIN_DIR / "turnpike-controlplane", "serve", "--config", self.dir / "controlplane.json"]),
                ("gateway", [BIN_DIR / "turnpike-gateway", "--config", self.dir / "gateway.json"])))
        self.shell("wait_ready")

    def stop(self):
        for keeper in (self.gateway, self.controlplane):
            status = keeper.stop()
            assert status == 0, f"{keeper.name} ended with {status}"
        self.remove()


class ChurnTest(SystemTest):
    @classmethod
    def make_stack(cls):
        return KeptStack()

    def ask(self, method, path, body=None):
        """What the control plane answers, asked again while it is away: every question may be repeated."""
        def once():
            connection = UnixConnection(self.stack.run_dir / "admin.sock")
            try:
                connection.request(method, path, body and json.dumps(body))
                answer = connection.getresponse()
                return answer.status, answer.read()
            except OSError:
                return None
            finally:
                connection.close()
        return wait_until(f"{method} {path}", once)

    def create(self, number):
        body = {"model": "turnpike/tiny-random", "hardware": "1x_cpu", "idempotency_key": f"churn-{number}",
                "autoscaling": {"min_replicas": 1, "max_replicas": MAX_REPLICAS}}
        status, answer = self.ask("POST", "/v1/endpoints?org=demo", body)
        self.assertEqual(status, 200, answer)
        identity = json.loads(answer)["id"]
        # Asked again, as somebody does who lost the answer.
        self.assertEqual(json.loads(self.ask("POST", "/v1/endpoints?org=demo", body)[1])["id"], identity)
        return identity

    def change_one(self):
        """One wish more; `self.wanted` is how many replicas each endpoint is to have."""
        rng = self.random
        if len(self.wanted) < NUM_ENDPOINTS:
            self.num_made += 1
            self.wanted[self.create(self.num_made)] = 1
            return
        identity = rng.choice(list(self.wanted))
        action = rng.choice(("scale", "scale", "scale", "stop", "start", "restart", "delete"))
        if action == "delete":
            self.ask("DELETE", f"/v1/endpoints/{identity}")
            del self.wanted[identity]
        elif action == "restart":
            self.ask("POST", f"/admin/v1/endpoints/{identity}/restart")
        elif action == "scale":
            number = rng.randint(1, MAX_REPLICAS)
            self.ask("PATCH", f"/v1/endpoints/{identity}",
                     {"state": "STARTED", "autoscaling": {"min_replicas": number, "max_replicas": number}})
            self.wanted[identity] = number
        elif action == "stop":
            self.ask("PATCH", f"/v1/endpoints/{identity}", {"state": "STOPPED"})
            self.wanted[identity] = 0
        elif self.wanted[identity] == 0:
            self.ask("PATCH", f"/v1/endpoints/{identity}",
                     {"state": "STARTED", "autoscaling": {"min_replicas": 1, "max_replicas": 1}})
            self.wanted[identity] = 1

    def kill_once(self, points):
        """Behind the durable step that has killed least, or within the next moments."""
        before = self.stack.controlplane.num_kills
        if self.random.random() < 0.5:
            name = min(points.offsets, key=lambda each: (points.counts(each)[1], self.random.random()))
            points.arm(name, self.random.randint(1, 2))
            deadline = time.monotonic() + 1.0
            while self.stack.controlplane.num_kills == before and time.monotonic() < deadline:
                self.change_one()
            points.disarm_all()
            if self.stack.controlplane.num_kills > before:
                return
        self.change_one()
        deadline = time.monotonic() + self.random.uniform(0.0, 0.3)
        while time.monotonic() < deadline:
            self.ask("GET", "/healthz")
        self.stack.controlplane.kill()
        wait_until("it is dead", lambda: self.stack.controlplane.num_kills > before)
        self.random_kills += 1

    def engines(self):
        """The ids of replicas that run, each as often as it does."""
        found = collections.Counter()
        for pid in self.stack.pids("turnpike-engine"):
            arguments = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            (settings,) = [argument for argument in arguments if argument.endswith("/engine.json")]
            found[pathlib.Path(settings).parent.name] += 1
        return found

    def is_as_asked(self):
        rows = self.stack.query("SELECT r.id, r.state, r.endpoint, r.generation = e.rollout, e.type FROM replicas r "
                                "JOIN endpoints e ON e.id = r.endpoint WHERE r.forgotten_at_us IS NULL")
        live = [row for row in rows if row[1] != "STOPPED"]
        ready = collections.Counter(endpoint for _, state, endpoint, is_new, kind in live
                                    if state == "READY" and is_new and kind == "dedicated")
        states = dict(self.stack.query("SELECT id, state FROM endpoints WHERE deleted_at_us IS NULL"))
        return (ready == collections.Counter(self.wanted)
                and all(states[identity] == ("STARTED" if number else "STOPPED")
                        for identity, number in self.wanted.items())
                and len(live) == sum(ready.values()) + 1  # and the pool's
                and self.engines() == {identity: 1 for identity, *_ in live})

    def test_the_end_is_as_asked(self):
        seed = int(os.environ.get("TURNPIKE_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"repeat with TURNPIKE_TEST_SEED={seed}")
        self.random = random.Random(seed)
        self.wanted, self.num_made, self.random_kills = {}, 0, 0
        self.stack.run_cli("credit", "add", "--org", "demo", "1000")
        points = Failpoints(self.stack.dir / "failpoints", is_of_the_loop)
        while self.stack.controlplane.num_kills < NUM_KILLS:
            self.kill_once(points)
            self.assertEqual(self.stack.controlplane.unexpected, [])
        try:
            wait_until("the end is as asked", self.is_as_asked, 120)
        except AssertionError:
            print("wanted:", self.wanted)
            print(self.stack.query("SELECT id, endpoint, generation, epoch, state, reason FROM replicas "
                                   "WHERE forgotten_at_us IS NULL"))
            raise
        print(f"{self.stack.controlplane.num_kills} kills, {self.random_kills} of them at random moments;",
              f"{self.num_made} endpoints were made")
        for name in points.offsets:
            print(f"{name:<34}{points.counts(name)[0]:>8} passes{points.counts(name)[1]:>6} kills")
        self.assertEqual(self.stack.controlplane.unexpected + self.stack.gateway.unexpected, [])
        if NUM_KILLS >= 100:
            self.assertEqual([name for name in points.offsets if points.counts(name)[1] == 0
                              and name != "reconcile.target_written"], [])


if __name__ == "__main__":
    unittest.main()
