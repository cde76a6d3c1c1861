#!/usr/bin/env python3
"""From a receipt to an invoice: what an answer says it cost is what the past request, the invoice,
the queries and the ledger say; and engines, usage and ledger reconcile."""
import contextlib
import csv
import decimal
import http.client
import io
import json
import time
import unittest

from stack import R1, ChatStream, DEADLINE_S, SystemTest, UnixConnection, wait_until

ASK = {"usage": {"include": True}}


class BillingTest(SystemTest):
    def get(self, path, key=None):
        with contextlib.closing(http.client.HTTPSConnection(
                "localhost", self.stack.port, timeout=DEADLINE_S, context=self.stack.tls)) as line:
            line.request("GET", path, headers={"authorization": f"Bearer {key or self.stack.key}"})
            response = line.getresponse()
            return response.status, json.loads(response.read(), parse_float=decimal.Decimal)

    def generation(self, request_id):
        """The past request, once its record has arrived."""
        def find():
            status, answer = self.get(f"/v1/generation?id={request_id}")
            return answer["data"] if status == 200 else None
        return wait_until(f"{request_id} can be asked for", find)

    def reconcile(self):
        def settled():
            done = self.stack.run_cli("billing", "reconcile", "--json", check=False)
            answer = json.loads(done.stdout)
            return answer if done.returncode == 0 and answer["usage"]["unposted"] == 0 else None
        return wait_until("the books reconcile", settled)

    def month(self):
        return time.strftime("%Y-%m", time.gmtime())

    def test_a_receipt_is_what_is_billed(self):
        status, answer = self.stack.chat(max_tokens=8, **ASK)
        self.assertEqual(status, 200, answer)
        usage = answer["usage"]
        stream = ChatStream(self.stack, max_tokens=8, **ASK).read_done()
        self.assertTrue(stream.is_whole())
        streamed = [event["usage"] for event in stream.events() if event.get("usage")][-1]
        for found, request_id in ((usage, answer["id"]), (streamed, stream.request_id())):
            row = self.stack.usage_of(request_id)
            self.assertEqual(f"{found['cost']:.9f}", f"{decimal.Decimal(row['cost_usd']):.9f}")
            past = self.generation(request_id)
            self.assertEqual(past["total_cost"], decimal.Decimal(row["cost_usd"]))
            self.assertEqual(past["tokens_completion"], found["completion_tokens"])
        self.assertNotIn("cost", self.stack.chat(max_tokens=2)[1]["usage"])

    def test_a_past_request_is_its_organisations_alone(self):
        _, answer = self.stack.chat(max_tokens=2)
        self.generation(answer["id"])
        self.stack.run_cli("org", "create", "stranger")
        made = self.stack.run_cli("key", "create", "--org", "stranger", "--name", "k")
        other = made.stdout.strip()
        def known():
            status, me = self.get("/v1/whoami", other)
            return me if status == 200 else None
        me = wait_until("the other key is known", known)
        self.assertEqual(me["organization_name"], "stranger")
        self.assertEqual(self.get(f"/v1/generation?id={answer['id']}", other)[0], 404)
        start = int(time.time()) - 86400
        costs = self.get(f"/v1/organization/costs?start_time={start}", other)[1]
        self.assertFalse(any(bucket["results"] for bucket in costs["data"]))

    def test_queries_invoice_and_ledger_say_the_same(self):
        for _ in range(3):
            self.stack.chat(max_tokens=4)
        self.reconcile()
        account, whole = self.stack.billing()
        self.assertTrue(whole["agrees"])
        charged = decimal.Decimal(account["charged_usd"])
        start = int(time.time()) - 86400
        costs = self.get(f"/v1/organization/costs?start_time={start}")[1]
        self.assertEqual(sum(result["amount"]["value"] for bucket in costs["data"]
                             for result in bucket["results"]), charged)
        usage = self.get(f"/v1/organization/usage/completions?start_time={start}&group_by=model")[1]
        models = {result["model"] for bucket in usage["data"] for result in bucket["results"]}
        self.assertEqual(models, {R1})
        demo = ("--org", "demo", "--month", self.month())
        invoice = self.stack.cli_json("billing", "invoice", *demo)
        self.assertEqual(decimal.Decimal(invoice["total_usd"]), charged)
        exported = self.stack.run_cli("usage", "export", *demo)
        rows = list(csv.DictReader(io.StringIO(exported.stdout)))
        self.assertEqual(sum(decimal.Decimal(row["cost_usd"]) for row in rows), charged)

    def test_a_new_price_holds_from_the_next_request_on(self):
        self.stack.run_cli("prices", "set", R1, "--input", "6", "--output", "14")
        prices = self.stack.cli_json("prices", "list", "--name", R1)["data"]
        version = max(row["version"] for row in prices)
        def new_price():
            _, answer = self.stack.chat(max_tokens=2)
            row = self.stack.usage_of(answer["id"])
            return row if row["price_version"] == version else None
        row = wait_until("the gateway has the new price", new_price)
        self.assertEqual(row["cost_nano_usd"],
                         6000 * row["prompt_tokens"] + 14000 * row["completion_tokens"])

    def test_credit_comes_and_goes_and_the_chain_is_whole(self):
        before, _ = self.stack.billing()
        for verb, amount in (("add", "5"), ("refund", "2"), ("adjust", "0.5")):
            self.stack.run_cli("credit", verb, amount, "--org", "demo", "--reason", "a test")
        after, whole = self.stack.billing()
        self.assertEqual(after["credited_nano_usd"] - before["credited_nano_usd"], 3_500_000_000)
        self.assertTrue(whole["agrees"])
        self.assertEqual(self.stack.run_cli("credit", "refund", "1", "--org", "demo",
                                            check=False).returncode, 2)
        self.assertIn("fit the chain", self.stack.run_cli("billing", "verify").stdout)
        self.reconcile()
        self.assertIn("engines, usage and ledger agree",
                      self.stack.run_cli("billing", "reconcile").stdout)

    def test_limits_are_set_shown_kept_and_cleared(self):
        def rows():
            return self.stack.cli_json("limits", "show", "model:" + R1)
        self.stack.run_cli("limits", "set", "model:" + R1, "--rpm", "1", "--monthly", "12.5")
        wait_until("the second request is refused", lambda: self.stack.chat(max_tokens=2)[0] == 429)
        self.stack.run_cli("limits", "set", "model:" + R1, "--concurrent", "7")
        self.assertEqual([rows()[name] for name in ("requests_per_minute", "tokens_per_minute", "concurrent_requests",
                                                    "monthly_nano_usd")], [1, None, 7, 12_500_000_000])
        table = self.stack.run_cli("limits", "show").stdout
        self.assertRegex(table, rf"model:{R1} +1 +7 +12\.50\n")
        self.stack.run_cli("limits", "set", "model:" + R1, "--clear", "rpm", "--clear", "concurrent", "--clear", "monthly")
        wait_until("requests are let in again", lambda: self.stack.chat(max_tokens=2)[0] == 200)
        self.assertIsNone(rows()["requests_per_minute"])
        for subject, flags, status, words in (
                ("organisation:none", ("--rpm", "3"), 4, "none"), ("demo", ("--rpm", "3"), 1, "organisation:<id>"),
                ("organisation:demo", ("--rpm", "0"), 1, "requests_per_minute"), ("organisation:demo", (), 2, "--clear")):
            done = self.stack.run_cli("limits", "set", subject, *flags, check=False)
            self.assertEqual(done.returncode, status, (subject, flags, done.stdout, done.stderr))
            self.assertIn(words, done.stderr)

    def test_the_control_plane_away_is_told(self):
        self.stack.kill("turnpike-controlplane")
        self.assertEqual(self.stack.chat(max_tokens=2)[0], 200)
        self.stack.wait_controlplane()
        self.assertEqual(self.get("/v1/whoami")[0], 200)


class MisfitTest(SystemTest):
    def test_what_an_engine_did_without_a_gateway_is_found(self):
        self.assertEqual(self.stack.chat(max_tokens=3)[0], 200)
        def whole():
            return self.stack.run_cli("billing", "reconcile", check=False).returncode == 0
        wait_until("the books reconcile", whole)
        (replica, path), = self.stack.engines().items()
        body = json.dumps({"model": "turnpike/tiny-random", "max_tokens": 3,
                           "messages": [{"role": "user", "content": "Hello"}]})
        with contextlib.closing(UnixConnection(path)) as connection:
            connection.request("POST", "/v1/chat/completions", body,
                               {"content-type": "application/json"})
            self.assertEqual(connection.getresponse().status, 200)
        done = self.stack.run_cli("billing", "reconcile", "--json", check=False)
        self.assertEqual(done.returncode, 1)
        (misfit,) = json.loads(done.stdout)["misfits"]
        self.assertEqual(misfit["check"], "engine")
        self.assertIn(f"replica {replica}: the engine counted", misfit["what"])


if __name__ == "__main__":
    unittest.main()
