#!/usr/bin/env python3
"""An endpoint of real engines that scales by itself: none, one for a first request that waits, three under
the load of `turnpike bench`, one again when it ebbs, none. No request fails; the timeline is printed."""
import threading
import time
import unittest

from stack import DEADLINE_S, R1, Stack, SystemTest, wait_until

# A tenth of the product's windows and less, so that a whole day takes a minute.
WINDOWS = {"target_in_flight": 4, "stable_window_s": 4, "panic_window_s": 1, "down_window_s": 8,
           "idle_window_s": 6}


class Timeline:
    """How many replicas are READY, start and drain, whenever one of these changes."""

    def __init__(self, stack, endpoint):
        self.stack, self.endpoint = stack, endpoint
        self.rows = []
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.begin = time.monotonic()
        self.look()
        self.thread.start()

    def run(self):
        while not self.is_over.wait(0.02):
            self.look()

    def look(self):
        sql = f"SELECT state, COUNT(*) FROM replicas WHERE endpoint = '{self.endpoint}' GROUP BY state"
        counts = dict(self.stack.query(sql))
        row = (counts.get("READY", 0), sum(counts.get(state, 0) for state in ("PENDING", "STARTING", "LOADING")),
               counts.get("DRAINING", 0))
        if not self.rows or self.rows[-1][1:] != row:
            self.rows.append((time.monotonic() - self.begin, *row))

    def end(self):
        self.is_over.set()
        self.thread.join()

    def ready(self):
        """The numbers of READY replicas, one after the other."""
        numbers = []
        for _, ready, _, _ in self.rows:
            if not numbers or numbers[-1] != ready:
                numbers.append(ready)
        return numbers

    def __str__(self):
        lines = ["   s  ready  starting  draining"]
        lines += [f"{at:4.1f}  {ready:5}  {starting:8}  {draining:8}" for at, ready, starting, draining in self.rows]
        return "\n".join(lines)


class AutoscaleTest(SystemTest):
    @classmethod
    def make_stack(cls):
        return Stack(controlplane_settings=lambda settings: settings.update(autoscaling=WINDOWS))

    def test_from_none_to_three_and_back(self):
        endpoint = self.stack.cli_json(
            "endpoints", "create", "--org", "demo", "--model", "turnpike/tiny-random", "--hardware", "1x_cpu",
            "--min-replicas", "0", "--max-replicas", "3", "--wait")
        self.assertEqual(endpoint["state"], "STARTED")
        name = endpoint["name"]
        timeline = Timeline(self.stack, endpoint["id"])
        try:
            # The name reaches the gateway within moments; the request then waits for its replica.
            wait_until("the name is known", lambda: name in self.names())
            status, answer = self.stack.chat(name, max_tokens=4)
            self.assertEqual(status, 200, answer)
            wait_until("one replica", lambda: timeline.ready() == [0, 1])
            # One at a time is one replica, once the rush is a down window ago.
            with self.trickle(name):
                # Many more at a time than three replicas of four, for as long as it takes: how soon a
                # burst is over is the machine's.
                deadline = time.monotonic() + DEADLINE_S
                while 3 not in timeline.ready():
                    self.assertLess(time.monotonic(), deadline, "no three replicas")
                    self.assertEqual(self.bench(name, num_prompts=300, concurrency=24, random_output_len=64), 300)
                wait_until("one replica", lambda: timeline.ready()[-1] == 1)
            wait_until("none", lambda: timeline.ready()[-1] == 0)
        finally:
            timeline.end()
            print(timeline)
        seen = timeline.ready()
        self.assertEqual((seen[0], max(seen), seen[-1]), (0, 3, 0), seen)
        peak = seen.index(3)
        self.assertEqual(seen[:peak], sorted(seen[:peak]))
        self.assertEqual(seen[peak:], sorted(seen[peak:], reverse=True))
        self.assertEqual(self.stack.cli_json("endpoints", "get", endpoint["id"])["state"], "STARTED")
        # Another endpoint's name, another pool: untouched.
        self.assertEqual(self.stack.chat(R1, max_tokens=4)[0], 200)

    def names(self):
        return [row["id"] for row in self.stack.models()]

    def trickle(self, name):
        """A request after the other, while it lasts."""
        test = self

        class Trickle:
            def __enter__(self):
                self.is_over = threading.Event()
                self.failures = []
                self.thread = threading.Thread(target=self.run)
                self.thread.start()

            def run(self):
                while not self.is_over.is_set():
                    status, answer = test.stack.chat(name, max_tokens=32)
                    if status != 200:
                        self.failures.append(answer)

            def __exit__(self, *_):
                self.is_over.set()
                self.thread.join()
                test.assertEqual(self.failures, [])

        return Trickle()


if __name__ == "__main__":
    unittest.main()
