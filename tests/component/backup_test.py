#!/usr/bin/env python3
"""Backups as an operator makes them: while usage comes in, by `turnpike backup`; restored by
turnpike-controlplane; and the gateways' records, delivered again, count once."""
import json
import os
import pathlib
import subprocess
import threading
import time
import unittest

from controlplane_fixture import BINARY, DEADLINE_S, ControlplaneProcess, wait_until

TURNPIKE = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike"
BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def request_id(number):
    value = int(time.time() * 1000) << 80 | number
    return "".join(BASE32[value >> shift & 31] for shift in range(125, -1, -5))


class BackupTest(ControlplaneProcess):
    def setUp(self):
        super().setUp()
        self.org = self.expect(200, "POST", "/admin/v1/organisations", {"name": "demo"})["id"]
        models = self.expect(200, "GET", "/admin/v1/models")["data"]
        self.price = next(row["price"]["version"] for row in models
                          if row["name"] == "deepseek-ai/DeepSeek-R1")
        self.num_made = 0

    def records(self, number):
        now_us = int(time.time() * 1e6)
        made = []
        for _ in range(number):
            self.num_made += 1
            made.append({
                "request_id": request_id(self.num_made), "org": self.org, "key": "key_1",
                "model": "deepseek-ai/DeepSeek-R1", "served_model": "turnpike/tiny-random",
                "endpoint": "e", "replica": "r", "epoch": 1, "price_version": self.price,
                "outcome": "completed", "http_status": 200, "prompt_tokens": 1,
                "cached_tokens": 0, "completion_tokens": 1, "reasoning_tokens": 0,
                "provider_reported": False, "opened_at_us": now_us, "closed_at_us": now_us})
        return made

    def deliver(self, records):
        status, answer = self.call("POST", "/internal/v1/usage",
                                   {"outbox": "o", "first_sequence": 1, "records": records},
                                   name="internal")
        self.assertEqual(status, 200, answer)
        return answer

    def turnpike(self, *arguments, status=0):
        done = subprocess.run([TURNPIKE, "--admin", f"unix:{self.dir}/run/admin.sock", *arguments],
                              capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def restore(self, backup, to, status=0):
        done = subprocess.run([BINARY, "--restore-backup", backup, "--to", to],
                              capture_output=True, text=True, check=False, timeout=DEADLINE_S)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def stop(self):
        self.process.terminate()
        self.assertEqual(self.process.wait(DEADLINE_S), 0)

    def reconciled(self):
        """Once everything is posted: the books, which agree."""
        books = wait_until("the books are posted", lambda: [
            found for found in [self.expect(200, "GET", "/admin/v1/reconcile")]
            if found["usage"]["unposted"] == 0])[0]
        self.assertEqual(books["misfits"], [])
        return books

    def test_made_while_usage_comes_in_and_restored(self):
        delivered, is_over = [], threading.Event()

        def gateway():
            while not is_over.is_set():
                batch = self.records(20)
                self.deliver(batch)
                delivered.extend(batch)

        thread = threading.Thread(target=gateway)
        thread.start()
        self.addCleanup(is_over.set)
        wait_until("usage comes in", lambda: len(delivered) >= 100)
        backup = f"{self.dir}/backup"
        made = json.loads(self.turnpike("backup", "create", "--to", backup, "--json"))
        num_by_then = len(delivered)
        wait_until("more usage comes in", lambda: len(delivered) > num_by_then + 100)
        is_over.set()
        thread.join()
        old_store = self.expect(200, "GET", "/healthz")["store"]
        self.assertEqual((made["store_id"], made["path"]), (old_store, backup))
        self.assertIn(made["ledger"]["head"], self.turnpike("backup", "verify", backup))
        self.assertIn("backup.create", self.turnpike("audit", "list"))
        self.assertIn("exists", self.turnpike("backup", "create", "--to", backup, status=1))

        # The first data directory is lost.
        self.stop()
        self.assertIn("has a database", self.restore(backup, f"{self.dir}/data", status=1))
        self.assertIn("restored to", self.restore(backup, f"{self.dir}/data2"))
        self.settings["data_dir"] = f"{self.dir}/data2"
        self.start()
        new_store = self.expect(200, "GET", "/healthz")["store"]
        self.assertNotEqual(new_store, old_store)
        delta = self.call("GET", f"/internal/v1/snapshot?store={old_store}&after=1",
                          name="internal")[1]
        self.assertEqual((delta["store"], delta["full"]), (new_store, True))
        kept = self.reconciled()["usage"]["events"]
        self.assertGreaterEqual(kept, 100)
        self.assertLess(kept, len(delivered))

        # Everything again, and once more.
        for records in (delivered, delivered):
            for begin in range(0, len(records), 500):
                self.deliver(records[begin:begin + 500])
        books = self.reconciled()
        self.assertEqual(books["usage"]["events"], len(delivered))
        self.assertEqual(books["ledger"]["transactions"], len(delivered))
        self.assertEqual(books["ledger"]["charged_nano_usd"], len(delivered) * 10_000)
        self.assertIn("rows fit the chain", self.turnpike("audit", "verify"))
        self.assertIn("fit the chain", self.turnpike("billing", "verify"))
        self.assertIn("store.restore", self.turnpike("audit", "list", "--limit", "1000"))

    def test_what_is_damaged_is_refused(self):
        self.deliver(self.records(3))
        backup = pathlib.Path(self.dir / "backup")
        self.turnpike("backup", "create", "--to", str(backup))
        self.turnpike("backup", "verify", str(backup))
        file = backup / "control.db"
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        self.assertIn("control.db: expected SHA-256",
                      self.turnpike("backup", "verify", str(backup), status=1))
        self.assertIn("control.db: expected SHA-256",
                      self.restore(backup, f"{self.dir}/data2", status=1))
        self.assertFalse((self.dir / "data2").exists())
        self.turnpike("backup", "verify", str(self.dir / "none"), status=1)
        self.expect(400, "POST", "/admin/v1/backups", {"path": "relative"})
        self.expect(400, "POST", "/admin/v1/backups", {})


if __name__ == "__main__":
    unittest.main()
