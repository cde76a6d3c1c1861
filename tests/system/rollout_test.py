#!/usr/bin/env python3
"""A rolling update under load: one replica over the wanted number, then one drained for each that is READY. No
request fails, and never fewer than the wanted number serve."""
import threading
import unittest

from stack import Stack, SystemTest, wait_until


class RolloutTest(SystemTest):
    @classmethod
    def make_stack(cls):
        def widen(settings):
            settings["hardware"][0]["slots"] = 8

        return Stack(controlplane_settings=widen)

    def test_replaces_every_replica_and_loses_no_request(self):
        endpoint = self.stack.cli_json("endpoints", "create", "--org", "demo", "--model", "turnpike/tiny-random",
                                       "--hardware", "1x_cpu", "--min-replicas", "2", "--max-replicas", "2", "--wait")
        name, identity = endpoint["name"], endpoint["id"]
        wait_until("both serve", lambda: self.ready(identity) == {1: 2})
        wait_until("the name is known", lambda: name in [row["id"] for row in self.stack.models()])
        before = {replica["pid"] for replica in self.replicas(identity)}
        counts, completed, is_over = [], [], threading.Event()

        def load():
            while not is_over.is_set():
                completed.append(self.bench(name, num_prompts=60, concurrency=6, random_output_len=48))

        def watch():
            while not is_over.wait(0.02):
                ready = self.ready(identity)
                if not counts or counts[-1] != ready:
                    counts.append(ready)

        threads = [threading.Thread(target=load), threading.Thread(target=watch)]
        for thread in threads:
            thread.start()
        try:
            restarted = self.stack.cli_json("endpoints", "restart", identity, "--wait")
        finally:
            is_over.set()
            for thread in threads:
                thread.join()
        print("READY replicas by rollout:", *counts)
        print(f"{sum(completed)} requests, none failed")
        self.assertEqual(restarted["rollout"], 2)
        self.assertEqual(restarted["state"], "STARTED")
        self.assertGreater(sum(completed), 0)
        self.assertGreaterEqual(min(sum(ready.values()) for ready in counts), 2)
        replicas = self.replicas(identity)
        self.assertEqual([replica["generation"] for replica in replicas], [2, 2])
        self.assertFalse(before & {replica["pid"] for replica in replicas})

    def test_other_settings_of_a_model_roll_it_when_the_control_plane_starts(self):
        endpoint = self.stack.cli_json("endpoints", "create", "--org", "demo", "--model", "turnpike/tiny-random",
                                       "--hardware", "1x_cpu", "--wait")
        wait_until("it serves", lambda: self.ready(endpoint["id"]) == {1: 1})

        def draft(settings):
            settings["models"][0]["speculative_tokens"] = 1

        self.stack.edit("controlplane.json", draft)
        self.stack.kill("turnpike-controlplane")
        self.stack.wait_controlplane()
        wait_until("its replica is replaced", lambda: self.ready(endpoint["id"]) == {2: 1})

    def replicas(self, identity):
        return self.stack.cli_json("endpoints", "replicas", identity)["data"]

    def ready(self, identity):
        """How many serve, by rollout."""
        sql = (f"SELECT generation, COUNT(*) FROM replicas WHERE endpoint = '{identity}' AND state = 'READY' "
               "GROUP BY generation")
        return dict(self.stack.query(sql))


if __name__ == "__main__":
    unittest.main()
