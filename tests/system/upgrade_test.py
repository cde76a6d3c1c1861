#!/usr/bin/env python3
"""`turnpike upgrade` under load: gateway, control plane, then both. No request fails, no connection
is refused at any moment, streams that span it are whole, and the books have each request once.
A new process that cannot serve leaves the old one in service."""
import contextlib
import subprocess
import threading
import time
import unittest

from stack import BIN_DIR, R1, Stack, SystemTest, UnixConnection, wait_until

CONNECT_EVERY_S = 0.005
LONG_TOKENS = 4096
GATEWAY, CONTROLPLANE = "turnpike-gateway", "turnpike-controlplane"


class Visitor(threading.Thread):
    """Opens a connection every few milliseconds, asks once on it, and keeps how long that took, or
    what went wrong."""

    def __init__(self, visit):
        super().__init__(daemon=True)
        self.visit, self.is_over = visit, threading.Event()
        self.waits, self.failures = [], []

    def run(self):
        while not self.is_over.wait(CONNECT_EVERY_S):
            began = time.monotonic()
            try:
                self.visit()
            except Exception as problem:  # whatever it is, the test shows it
                self.failures.append(f"{problem!r}")
            self.waits.append(time.monotonic() - began)

    def finish(self):
        self.is_over.set()
        self.join()


class UpgradeTest(SystemTest):
    @classmethod
    def make_stack(cls):
        return Stack(gateway_settings=lambda run_dir: {"drain_seconds": 120})

    def setUp(self):
        self.wait_for_one_of_each()

    def wait_for_one_of_each(self):
        for program in (GATEWAY, CONTROLPLANE):
            wait_until(f"one {program}", lambda name=program: len(self.stack.pids(name)) == 1)

    def visit_gateway(self):
        with contextlib.closing(self.stack.connect()) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            answer = b""
            while piece := connection.recv(4096):
                answer += piece
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise AssertionError(f"found {answer!r}")

    def visit_admin(self):
        with contextlib.closing(UnixConnection(f"{self.stack.run_dir}/admin.sock")) as connection:
            connection.request("GET", "/admin/v1/billing")
            response = connection.getresponse()
            response.read()
        if response.status != 200:
            raise AssertionError(f"found {response.status}")

    def upgrade(self, what, check=True):
        done = subprocess.run([BIN_DIR / "turnpike", "upgrade", what, "--dir", self.stack.dir],
                              capture_output=True, text=True, timeout=200, check=False)
        if check:
            self.assertEqual((done.returncode, done.stdout), (0, "ok\n"), done.stderr)
        return done

    def only(self, program):
        (pid,) = self.stack.pids(program)
        return pid

    def visitors(self):
        """Knocks at both doors until the test's end."""
        found = [Visitor(self.visit_gateway), Visitor(self.visit_admin)]
        for each in found:
            each.start()
            self.addCleanup(each.finish)
        return found

    def load(self):
        """`turnpike bench` over and over, until `is_over`; how many requests each had."""
        is_over, completed, failures = threading.Event(), [], []

        def run():
            try:
                while not is_over.is_set():
                    completed.append(self.bench(R1, num_prompts=40, concurrency=4, random_output_len=64))
            except BaseException as problem:
                failures.append(problem)
        thread = threading.Thread(target=run, daemon=True)
        thread.start()

        def finish():
            is_over.set()
            thread.join()
            self.assertEqual(failures, [])
            return sum(completed)
        self.addCleanup(is_over.set)
        return finish

    def test_nothing_fails_while_everything_is_replaced(self):
        rows_before = len(self.stack.usage_rows())
        before = {self.only(GATEWAY), self.only(CONTROLPLANE)}
        visitors, finish = self.visitors(), self.load()
        streams, reading = [], []
        for what in ("gateway", "controlplane", "all"):
            streams.append(self.stack.open_stream(seed=1, n=4, max_tokens=LONG_TOKENS).read_events(1))
            reading.append(threading.Thread(target=streams[-1].read_done))
            reading[-1].start()
            self.upgrade(what)
            print(f"{what} upgraded; streams have {[each.num_events() for each in streams]} events",
                  flush=True)
            self.assertTrue(reading[-1].is_alive(), "the stream ended before the upgrade")
        for thread in reading:
            thread.join()
        num_completed = finish()
        for each in visitors:
            each.finish()
        gate, admin = visitors
        print(f"{num_completed} requests; {len(gate.waits)} connections to the gateway, the longest "
              f"{max(gate.waits):.3f} s; {len(admin.waits)} to the control plane, the longest "
              f"{max(admin.waits):.3f} s", flush=True)
        self.assertEqual((gate.failures, admin.failures), ([], []))
        self.assertTrue(all(stream.status() == 200 and stream.is_whole() for stream in streams))
        self.assertGreater(num_completed, 0)
        self.assertLess(max(admin.waits), 5.0)

        self.wait_for_one_of_each()
        self.assertTrue(before.isdisjoint({self.only(GATEWAY), self.only(CONTROLPLANE)}))
        self.check_books(rows_before + num_completed + len(streams), streams)

    def check_books(self, num_rows, streams):
        rows = wait_until("every record", lambda: (
            self.stack.usage_rows() if len(self.stack.usage_rows()) >= num_rows else None))
        self.assertEqual(len(rows), num_rows)
        self.assertEqual({row["outcome"] for row in rows.values()}, {"completed"})
        self.assertTrue({stream.request_id() for stream in streams} <= set(rows))
        account, whole = self.stack.billing()
        self.assertEqual((whole["agrees"], whole["ledger_sum_nano_usd"]), (True, 0))
        self.assertGreater(account["charged_nano_usd"], 0)
        usage, meter = self.stack.usage(), self.stack.engine_get("/meter")
        for name in ("prompt_tokens", "completion_tokens"):
            self.assertEqual(usage["totals"][name], meter[name])
        self.assertEqual(meter["open"], 0)
        # A gateway that has ended holds nothing: the one that serves has the whole limits.
        wait_until("the whole share", lambda: self.stack.query(
            "SELECT count(*), max(share_ppm) FROM gateways WHERE share_ppm > 0") == [(1, 1_000_000)])

    def test_one_that_cannot_serve_leaves_the_old_one(self):
        visitors = self.visitors()
        gateway, controlplane = self.only(GATEWAY), self.only(CONTROLPLANE)
        for name, what, key in (("gateway.json", "gateway", "pepper_file"),
                                ("controlplane.json", "controlplane", "pepper_file")):
            good = (self.stack.dir / name).read_text()
            self.stack.edit(name, lambda settings, field=key: settings.update({field: "/missing"}))
            failed = self.upgrade(what, check=False)
            (self.stack.dir / name).write_text(good)
            self.assertEqual(failed.returncode, 1, failed.stdout)
            self.assertIn(f"{what} not upgraded", failed.stdout)
        self.assertEqual((self.only(GATEWAY), self.only(CONTROLPLANE)), (gateway, controlplane))
        # One that fails only once the store is its own: the old one opens it again.
        name = "controlplane.json"
        good = (self.stack.dir / name).read_text()
        self.stack.edit(name, lambda settings: settings.update(listen_admin="unix:/missing/admin.sock"))
        failed = self.upgrade("controlplane", check=False)
        (self.stack.dir / name).write_text(good)
        self.assertEqual(failed.returncode, 1, failed.stdout)
        self.assertEqual(self.only(CONTROLPLANE), controlplane)
        self.assertIn("store_taken_back", (self.stack.dir / "logs/controlplane.log").read_text())
        status, answer = self.stack.chat(max_tokens=4)
        self.assertEqual(status, 200, answer)
        self.stack.usage_of(answer["id"])
        self.upgrade("all")
        for each in visitors:
            each.finish()
            self.assertEqual(each.failures, [])

    def test_what_a_killed_gateway_leaves_is_inherited(self):
        old = self.only(GATEWAY)
        stream = self.stack.open_stream(temperature=0, max_tokens=LONG_TOKENS).read_events(1)
        self.upgrade("gateway")
        self.assertIn(old, self.stack.pids(GATEWAY))
        subprocess.run(["kill", "-KILL", str(old)], check=True)
        self.assertFalse(stream.read_done().is_whole())
        self.assertEqual(self.stack.usage_of(stream.request_id())["outcome"], "gateway_failed")
        wait_until("the whole share", lambda: self.stack.query(
            "SELECT count(*), max(share_ppm) FROM gateways WHERE share_ppm > 0") == [(1, 1_000_000)])


if __name__ == "__main__":
    unittest.main()
