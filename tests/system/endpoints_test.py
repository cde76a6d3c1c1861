#!/usr/bin/env python3
"""A dedicated endpoint with real engines: made by the CLI, served under its own name, repaired after
kill -9, kept over a crash of the control plane, stopped and deleted."""
import os
import pathlib
import signal
import unittest

from stack import SystemTest, wait_until


def is_alive(pid):
    return pathlib.Path(f"/proc/{pid}/exe").exists()  # a zombie has none


class EndpointsTest(SystemTest):
    def replica_of(self, endpoint):
        """(name, pid) of the endpoint's only replica that runs; its name begins with its id."""
        begin = endpoint["id"].removeprefix("endpoint-").replace("-", "")[:12]
        found = []
        for pid in self.stack.pids("turnpike-engine"):
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            (name,) = [pathlib.Path(word).parent.name for word in words if "/r/" in word]
            if name.startswith(begin):
                found.append((name, pid))
        (replica,) = found
        return replica

    def state_of(self, endpoint):
        return self.stack.cli_json("endpoints", "get", endpoint["id"])["state"]

    def generated(self):
        """Tokens that each engine has generated, by its replica."""
        return {name: self.stack.engine_get("/load", name)["generated_tokens"]
                for name in self.stack.engines()}

    def chat(self, endpoint):
        """The status of a chat to the endpoint's own name, and the tokens of its answer."""
        status, answer = self.stack.chat(endpoint["name"], temperature=0, max_tokens=6)
        return status, answer["usage"]["completion_tokens"] if status == 200 else answer["error"]

    def wait_served(self, endpoint):
        wait_until(f"{endpoint['name']} is served", lambda: self.chat(endpoint)[0] == 200)

    def test_life_of_a_dedicated_endpoint(self):
        (pool_engine,) = self.stack.pids("turnpike-engine")
        (pool,) = self.stack.engines()
        endpoint = self.stack.cli_json(
            "endpoints", "create", "--model", "turnpike/tiny-random", "--hardware", "1x_cpu",
            "--min-replicas", "1", "--max-replicas", "1", "--wait")
        self.assertEqual((endpoint["state"], endpoint["type"]), ("STARTED", "dedicated"))
        self.assertEqual(len(self.stack.pids("turnpike-engine")), 2)
        self.wait_served(endpoint)
        self.check_served_by_its_own_engine(endpoint, pool)
        self.check_repaired(endpoint)
        self.check_owned_after_crash(endpoint, pool_engine)
        self.check_stopped_and_deleted(endpoint, pool_engine)

    def check_served_by_its_own_engine(self, endpoint, pool):
        name, _ = self.replica_of(endpoint)
        before = self.generated()
        self.assertEqual(self.chat(endpoint), (200, 6))
        self.assertEqual(self.generated(), before | {name: before[name] + 6})
        before = self.generated()
        self.assertEqual(self.stack.chat("turnpike/tiny-random", max_tokens=6)[0], 200)
        self.assertEqual(self.generated()[name], before[name])
        self.assertGreater(self.generated()[pool], before[pool])

    def check_repaired(self, endpoint):
        name, pid = self.replica_of(endpoint)
        os.kill(pid, signal.SIGKILL)
        wait_until("the engine has ended", lambda: not is_alive(pid))
        wait_until("another engine", lambda: len(self.stack.pids("turnpike-engine")) == 2)
        self.wait_served(endpoint)
        again, other_pid = self.replica_of(endpoint)
        self.assertEqual(again, name)
        self.assertNotEqual(other_pid, pid)
        self.assertEqual(self.stack.engine_get("/health", name)["epoch"], 2)
        wait_until("it is STARTED again", lambda: self.state_of(endpoint) == "STARTED")

    def check_owned_after_crash(self, endpoint, pool_engine):
        name, pid = self.replica_of(endpoint)
        self.stack.up.send_signal(signal.SIGSTOP)  # which would start it again at once
        try:
            killed = self.stack.kill("turnpike-controlplane")
            wait_until("the control plane has ended", lambda: not is_alive(killed))
            self.assertEqual(self.stack.run_cli("endpoints", "list", check=False).returncode, 3)
            self.assertEqual(self.chat(endpoint), (200, 6))
            self.assertEqual(self.stack.chat(max_tokens=6)[0], 200)
            self.assertEqual(self.stack.pids("turnpike-controlplane"), [])
        finally:
            self.stack.up.send_signal(signal.SIGCONT)
        self.stack.wait_controlplane()
        wait_until("it is STARTED", lambda: self.state_of(endpoint) == "STARTED")
        self.assertEqual(self.chat(endpoint), (200, 6))
        self.assertEqual(self.replica_of(endpoint), (name, pid))
        self.assertEqual(sorted(self.stack.pids("turnpike-engine")), sorted([pid, pool_engine]))
        self.assertEqual(self.stack.engine_get("/health", name)["epoch"], 2)

    def check_stopped_and_deleted(self, endpoint, pool_engine):
        _, pid = self.replica_of(endpoint)
        stopped = self.stack.cli_json("endpoints", "stop", endpoint["id"], "--wait")
        self.assertEqual(stopped["state"], "STOPPED")
        self.assertFalse(is_alive(pid))
        wait_until("the gateway has heard of it", lambda: self.chat(endpoint)[0] == 503)
        self.stack.run_cli("endpoints", "delete", endpoint["id"])
        self.assertEqual(self.stack.run_cli("endpoints", "get", endpoint["id"],
                                            check=False).returncode, 4)
        ids = [row["id"] for row in self.stack.cli_json("endpoints", "list")["data"]]
        self.assertNotIn(endpoint["id"], ids)
        wait_until("its name is unknown", lambda: self.chat(endpoint)[0] == 404)
        self.assertEqual(self.stack.pids("turnpike-engine"), [pool_engine])
        self.assertEqual(self.stack.chat("turnpike/tiny-random", max_tokens=6)[0], 200)


if __name__ == "__main__":
    unittest.main()
