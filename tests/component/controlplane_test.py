#!/usr/bin/env python3
"""turnpike-controlplane as a process, over its sockets: an endpoint's whole life, with kill -9 of
its engine and of the control plane. A fake engine answers /health."""
import os
import signal
import unittest

from controlplane_fixture import DEADLINE_S, ControlplaneProcess, is_alive, wait_until


class ControlplaneTest(ControlplaneProcess):
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
        found = self.metrics()
        prefix = "turnpike_controlplane_"
        self.assertEqual(found[prefix + "replica_failures_total"], 1, found)
        self.assertEqual(found[prefix + "replica_restarts_total"], 1, found)
        self.assertEqual(found[prefix + 'replicas{state="READY"}'], 2, found)
        self.assertEqual(found[prefix + "replicas_wanted"], 2, found)
        self.assertEqual(found[prefix + 'endpoints{state="STARTED"}'], 2, found)
        self.assertEqual(found[prefix + 'actions_total{kind="start",outcome="done"}'], 3, found)
        self.assertGreater(found[prefix + "pass_seconds_count"], 0)
        self.assertLess(found[prefix + "pass_age_seconds"], DEADLINE_S)
        self.assertEqual(self.call("GET", "/healthz", name="metrics")[1]["status"], "ok")

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
        last = self.expect(200, "GET", "/admin/v1/audit?limit=1")["data"][0]
        self.assertEqual((last["actor"], last["action"]), ("operator", "replicas.park"))
        self.process.terminate()
        self.assertEqual(self.process.wait(DEADLINE_S), 0)
        self.start()
        self.wait_state(pool["id"], "STARTED")


if __name__ == "__main__":
    unittest.main()
