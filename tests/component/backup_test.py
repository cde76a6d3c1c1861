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

from controlplane_fixture import (BINARY, DEADLINE_S, ControlplaneProcess, usage_record,
                                  wait_until)

TURNPIKE = pathlib.Path(os.environ["TURNPIKE_BIN_DIR"]) / "turnpike"


class BackupTest(ControlplaneProcess):
    def setUp(self):
        super().setUp()
        self.org = self.expect(200, "POST", "/admin/v1/organisations", {"name": "demo"})["id"]
        self.price = self.price_version("deepseek-ai/DeepSeek-R1")
        self.num_made = 0

    def records(self, number):
        self.num_made += number
        return [usage_record(self.org, self.price, time.time(), self.num_made - i)
                for i in range(number)]

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
