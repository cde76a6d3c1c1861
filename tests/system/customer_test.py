#!/usr/bin/env python3
"""What a customer does with dedicated endpoints through the gateway, with the key that completions use: Together's
routes. Nobody sees another's endpoint, and an organisation has a quota and needs credit."""
import http.client
import json
import unittest

from stack import Stack, SystemTest, wait_until

CREATE = {"model": "turnpike/tiny-random", "hardware": "1x_cpu",
          "autoscaling": {"min_replicas": 1, "max_replicas": 1}}


class CustomerTest(SystemTest):
    @classmethod
    def make_stack(cls):
        def bound(settings):
            settings["quota"] = {"endpoints": 2, "replicas": 4}
            settings["hardware"][0]["availability_zone"] = "rack-1"
            settings["hardware"].append({"id": "8x_nvidia_h200_140gb_sxm", "gpu_type": "h200-140gb", "gpu_link": "sxm",
                                         "gpu_memory_gb": 140, "gpu_count": 8, "cents_per_minute": 5000, "slots": 0})
        return Stack(controlplane_settings=bound)

    def call(self, method, path, body=None, key=None, **headers):
        """(status, answer); the answer of a 204 is empty."""
        connection = http.client.HTTPSConnection("localhost", self.stack.port, timeout=30, context=self.stack.tls)
        head = {"authorization": f"Bearer {key or self.stack.key}"} | headers
        if body is not None:
            head["content-type"] = "application/json"
        connection.request(method, f"/v1{path}", body and json.dumps(body), head)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status == 204:
            self.assertIsNone(answer.getheader("content-length"))
        connection.close()
        return answer.status, json.loads(text) if text else None

    def key_of_another(self):
        self.stack.run_cli("org", "create", "rival")
        key = self.stack.cli_json("key", "create", "--org", "rival", "--name", "k")["key"]
        wait_until("the gateway knows the key", lambda: self.call("GET", "/models", key=key)[0] == 200)
        return key

    def test_life_of_an_endpoint(self):
        status, made = self.call("POST", "/endpoints", CREATE, **{"Idempotency-Key": "a"})
        self.assertEqual(status, 200, made)
        self.assertEqual((made["object"], made["type"], made["owner"]), ("endpoint", "dedicated", "demo"))
        self.assertRegex(made["name"], r"^demo/turnpike/tiny-random-[0-9a-f]{8}$")
        again = self.call("POST", "/endpoints", CREATE, **{"Idempotency-Key": "a"})
        self.assertEqual(again[1]["id"], made["id"])
        path = f"/endpoints/{made['id']}"
        wait_until("it is STARTED", lambda: self.call("GET", path)[1]["state"] == "STARTED")
        wait_until("it answers", lambda: self.stack.chat(made["name"], max_tokens=4)[0] == 200)
        self.assertIn(made["id"], [row["id"] for row in self.call("GET", "/endpoints?type=dedicated")[1]["data"]])
        status, changed = self.call("PATCH", path, {"display_name": "mine", "state": "STOPPED"})
        self.assertEqual((status, changed["display_name"]), (200, "mine"))
        wait_until("it is STOPPED", lambda: self.call("GET", path)[1]["state"] == "STOPPED")
        self.check_hidden_from_others(made)
        self.assertEqual(self.call("DELETE", path), (204, None))
        self.assertEqual(self.call("GET", path)[0], 404)
        audit = self.stack.cli_json("audit", "list", "--limit", "100")["data"]
        actors = {row["actor"] for row in audit if row["subject"] == made["id"]}
        self.assertTrue(actors and all(actor.startswith("key:") for actor in actors), audit)

    def check_hidden_from_others(self, made):
        rival = self.key_of_another()
        unknown = self.call("GET", "/endpoints/endpoint-00000000-0000-4000-8000-000000000000", key=rival)
        for method, body in (("GET", None), ("PATCH", {"state": "STARTED"}), ("DELETE", None)):
            status, answer = self.call(method, f"/endpoints/{made['id']}", body, key=rival)
            self.assertEqual((status, answer["error"]["type"]), (404, unknown[1]["error"]["type"]), answer)
        rows = self.call("GET", "/endpoints", key=rival)[1]["data"]
        self.assertEqual({row["type"] for row in rows}, {"serverless"})
        # Nor is a shared pool a customer's to stop.
        self.assertEqual(self.call("PATCH", f"/endpoints/{rows[0]['id']}", {"state": "STOPPED"}, key=rival)[0], 404)
        self.assertEqual(self.call("DELETE", f"/endpoints/{rows[0]['id']}", key=rival)[0], 404)

    def test_hardware_and_zones(self):
        status, hardware = self.call("GET", "/hardware?model=turnpike/tiny-random")
        self.assertEqual(status, 200)
        rows = {row["id"]: row for row in hardware["data"]}
        self.assertEqual(rows["1x_cpu"]["pricing"]["cents_per_minute"], 1)
        self.assertEqual(rows["1x_cpu"]["availability"]["status"], "available")
        self.assertEqual(rows["8x_nvidia_h200_140gb_sxm"]["availability"]["status"], "insufficient")
        self.assertEqual(self.call("GET", "/clusters/availability-zones"), (200, {"avzones": ["rack-1"]}))
        for place in ({"availability_zone": "rack-2"}, {}):
            query = "" if place else "?availability_zone=rack-2"
            status, answer = self.call("POST", f"/endpoints{query}", CREATE | place)
            self.assertEqual((status, answer["error"]["param"]), (400, "availability_zone"))

    def test_what_is_refused(self):
        self.assertEqual(self.call("POST", "/endpoints", CREATE, key="tp_live_wrong")[0], 401)
        self.assertEqual(self.call("DELETE", "/endpoints")[0], 405)
        self.assertEqual(self.call("GET", "/endpoints/a/b")[0], 404)
        status, answer = self.call("POST", "/endpoints", CREATE | {"hardware": "toaster"})
        self.assertEqual((status, answer["error"]["param"]), (400, "hardware"))
        status, answer = self.call("POST", "/endpoints", CREATE | {"autoscaling": {"min_replicas": 1, "max_replicas": 5}})
        self.assertEqual(status, 403, answer)
        self.assertIn("its quota is 4", answer["error"]["message"])
        # An hour of it costs 3,000 USD, and the overdraft is 1,000; its 0 slots would refuse a replica first.
        dear = CREATE | {"hardware": "8x_nvidia_h200_140gb_sxm", "autoscaling": {"min_replicas": 0, "max_replicas": 1}}
        status, answer = self.call("POST", "/endpoints", dear)
        self.assertEqual(status, 402, answer)


if __name__ == "__main__":
    unittest.main()
