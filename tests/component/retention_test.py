#!/usr/bin/env python3
"""Retention as an operator sets it: a month that is old enough goes at the first pass after the
start, its bill stays, and what is delivered again counts once."""
import time
import unittest

from controlplane_fixture import ControlplaneProcess, usage_record, wait_until

DAY_S = 86_400


class RetentionTest(ControlplaneProcess):
    def usage_files(self):
        return sorted(path.name for path in self.dir.glob("data/usage-*.db"))

    def test_old_months_go_and_their_sums_stay(self):
        org = self.expect(200, "POST", "/admin/v1/organisations", {"name": "demo"})["id"]
        price = self.price_version("deepseek-ai/DeepSeek-R1")
        old = [usage_record(org, price, time.time() - 100 * DAY_S, i) for i in range(3)]
        new = [usage_record(org, price, time.time(), i) for i in range(2)]
        self.assertEqual(self.deliver(old + new)["new"], 5)
        before = self.reconciled()
        self.assertEqual(len(self.usage_files()), 2)

        self.stop()
        self.settings["retention"] = {"usage_months": 2, "finished_operations_days": 30}
        self.start()
        wait_until("the old month is deleted", lambda: len(self.usage_files()) == 1)
        after = self.reconciled()
        self.assertEqual(after["usage"], before["usage"])
        self.assertEqual(after["ledger"], before["ledger"])
        self.assertTrue(self.expect(200, "GET", "/admin/v1/billing")["agrees"])
        audit = self.expect(200, "GET", "/admin/v1/audit")["data"]
        deleted = [row for row in audit if row["action"] == "usage.delete"]
        self.assertEqual([(row["actor"], row["detail"]) for row in deleted],
                         [("retention", "3 events that cost 0.00003 USD")])
        month = deleted[0]["subject"]
        answer = self.expect(404, "GET", f"/admin/v1/invoice?org=demo&month={month}")
        self.assertIn("were deleted", answer["error"]["message"])

        self.assertEqual(self.deliver(old + new),
                         {"new": 0, "repeated": 5, "quarantined": 0})
        self.assertEqual(self.reconciled()["usage"], before["usage"])


if __name__ == "__main__":
    unittest.main()
