#!/usr/bin/env python3
"""A storm: requests of `turnpike bench` through two gateways, clients that leave at every phase, and
kill -9 of gateways, control plane and engines: at random moments, and right behind each named
durable step (config/base/failpoint.h). Afterwards the books must agree request for request.
`ops/storm` runs the long one; storm_test.py is the short one."""
import argparse
import collections
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import signal
import struct
import subprocess
import sys
import threading
import time

from failpoints import Failpoints
from keeper import Keeper
from stack import BIN_DIR, SOURCE_DIR, Stack, UnixConnection, reserve_port, wait_until

PROMPTS = SOURCE_DIR / "ops/nano/held_out.jsonl"
COUNTS = ("prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens")
SETTLE_S = 180
NUM_ENGINES = 4
NUM_SLOTS = 6  # room for an endpoint that comes and goes, and for its successor
# An engine that is killed again before it has served for a minute waits ever longer to come back.
ENGINE_PAUSE_S = 20
# What a client may be told, or see, while processes are killed under it; 429 for a millisecond by the
# gateway that joins, as its share of the limits counts as used.
EXPECTED_FAILURES = {"connect", "cut_off", "in_stream", "status_429", "status_500", "status_502", "status_503", "status_504"}
ROW = "{:<34} {:>12} {:>12}"


class StormStack(Stack):
    """A control plane and two gateways under keepers, engines under the control plane."""

    def __init__(self):
        self.keepers = {}
        self.strange_replicas = set()  # of no pool
        self.holder_b = reserve_port()
        super().__init__("r1-nano")

    def gateways(self):
        return [self.keepers["gateway-a"], self.keepers["gateway-b"]]

    def start_up(self):
        class Us:  # for ops/lib: whoever keeps the processes is this one
            pid = os.getpid()

            @staticmethod
            def poll():
                return 0
        self.up = Us
        port_b = self.holder_b.getsockname()[1]
        self.ports = (self.port, port_b)

        def more_engines(settings):
            settings["serverless"][0] |= {"min_replicas": NUM_ENGINES, "max_replicas": NUM_ENGINES}
            settings["hardware"][0]["slots"] = NUM_SLOTS
        self.edit("controlplane.json", more_engines)
        self.edit("gateway.json", lambda s: s.update(metrics_listen=f"unix:{self.run_dir}/metrics-a", num_threads=1))
        self.edit("gateway.json", lambda s: s.update(
            listen=[f"tcp:0.0.0.0:{port_b}"], metrics_listen=f"unix:{self.run_dir}/metrics-b",
            outbox_dir=f"{self.dir}/outbox-b", snapshot_file=f"{self.dir}/snapshot-b.json",
            handover_socket=""), to="gateway-b.json")
        environment = dict(os.environ, TURNPIKE_FAILPOINTS=str(self.dir / "failpoints"))
        for name, command in (
                ("controlplane", [BIN_DIR / "turnpike-controlplane", "serve", "--config",
                                  self.dir / "controlplane.json"]),
                ("gateway-a", [BIN_DIR / "turnpike-gateway", "--config", self.dir / "gateway.json"]),
                ("gateway-b", [BIN_DIR / "turnpike-gateway", "--config", self.dir / "gateway-b.json"])):
            self.keepers[name] = Keeper(name, command, self.dir / f"logs/{name}.log", environment)
        self.shell("wait_ready")

    def remove(self):
        for keeper in self.keepers.values():
            keeper.stop(signal.SIGKILL)
        self.up = None
        super().remove()
        self.holder_b.close()

    def gateway_metrics(self, letter):
        """Unlabelled samples of one gateway; none when it does not answer."""
        try:
            with contextlib.closing(UnixConnection(self.run_dir / f"metrics-{letter}")) as connection:
                connection.request("GET", "/metrics")
                text = connection.getresponse().read().decode()
        except OSError:
            return None
        return {name: float(value) for name, value in re.findall(r"^(\w+) (\S+)$", text, re.MULTILINE)}

    def meters(self):
        """What the engines counted, request by request, from their meter files."""
        slot = struct.Struct("<40sqqqqii")
        found = {}
        for path in self.run_dir.glob("r/*/meter"):
            data = path.read_bytes()
            for at in range(4096, len(data) - slot.size + 1, slot.size):
                name, *counts, state, _ = slot.unpack_from(data, at)
                if state not in (1, 2):
                    continue
                request_id = name.rstrip(b"\0").decode()
                assert request_id not in found, f"two engines served {request_id}"
                assert state == 2, f"{request_id} is still open"
                found[request_id] = dict(zip(COUNTS, counts))
        return found

    def engine_totals(self):
        """The totals of the pool's engines, or none while one does not answer or has something open."""
        totals = collections.Counter()
        engines = [name for name in self.engines() if name not in self.strange_replicas]
        if len(engines) != NUM_ENGINES:
            return None
        for name in engines:
            try:
                meter = self.engine_get("/meter", name)
            except (OSError, ValueError):
                return None
            totals.update({key: meter[key] for key in (*COUNTS, "open", "requests")})
        return None if totals["open"] else totals


class Killer:
    """Ends processes until told to stop, half of them at a random moment, half at a failpoint."""

    def __init__(self, stack, points, rng, pause_s):
        self.stack, self.points, self.random, self.pause_s = stack, points, rng, pause_s
        self.random_kills = collections.Counter()
        self.next_engine_at = 0.0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        while not self.is_over.wait(self.random.expovariate(1 / self.pause_s)):
            if self.random.random() < 0.5:
                self.kill_at_random()
            else:
                self.arm_one()

    def engines_are_due(self):
        return time.monotonic() >= self.next_engine_at

    def note_engine(self):
        self.next_engine_at = time.monotonic() + ENGINE_PAUSE_S

    def kill_at_random(self):
        target = self.random.choice(("gateway-a", "gateway-b", "controlplane", "engine"))
        if target == "engine":
            pids = self.stack.pids("turnpike-engine")
            if not pids or not self.engines_are_due():
                return
            self.note_engine()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(pids), signal.SIGKILL)
        else:
            self.stack.keepers[target].kill()
        self.random_kills[target.split("-")[0]] += 1

    def arm_one(self):
        """The point that has killed least; engines' are armed as seldom as engines may be killed."""
        names = [name for name in self.points.offsets if not self.points.is_armed(name)
                 and (self.engines_are_due() or not name.startswith("engine."))]
        if not names:
            return
        name = min(names, key=lambda each: (self.points.counts(each)[1], self.random.random()))
        if name.startswith("engine."):
            self.note_engine()
        self.points.arm(name, self.random.randint(1, 3))

    def stop(self):
        self.is_over.set()
        self.thread.join()
        self.points.disarm_all()

    def num_kills(self):
        return sum(self.random_kills.values()) + sum(self.points.counts(name)[1] for name in self.points.offsets)

    def least_point_kills(self):
        return min(self.points.counts(name)[1] for name in self.points.offsets if not name.startswith("engine."))


class Churn:
    """A dedicated endpoint that is started and stopped over and over: replicas come and go whose starts
    are killed, too, and the pool's engines live long enough to serve."""

    def __init__(self, stack):
        self.stack = stack
        self.num_starts = 0
        self.is_over = threading.Event()
        before = set(stack.engines())
        made = stack.cli_json("endpoints", "create", "--model", "turnpike/r1-nano", "--hardware", "1x_cpu",
                              "--min-replicas", "1", "--max-replicas", "1", "--wait")
        self.id = made["id"]
        stack.strange_replicas = set(stack.engines()) - before
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        verbs = itertools.cycle((("stop", "STOPPED"), ("start", "STARTED")))
        for verb, state in verbs:
            if not self.reach(verb, state):
                return
            self.num_starts += verb == "start"

    def reach(self, verb, state):
        """Asks until it is so, as often as the control plane is killed meanwhile. False: it is over."""
        while not self.is_over.is_set():
            self.stack.run_cli("endpoints", verb, self.id, check=False)
            for _ in range(40):
                done = self.stack.run_cli("endpoints", "get", self.id, "--json", check=False)
                if done.returncode == 0 and json.loads(done.stdout)["state"] == state:
                    return True
                if self.is_over.wait(0.1):
                    break
        return False

    def stop(self):
        self.is_over.set()
        self.thread.join()
        wait_until("the endpoint is stopped", self.is_stopped, SETTLE_S)

    def is_stopped(self):
        self.stack.run_cli("endpoints", "stop", self.id, check=False)
        done = self.stack.run_cli("endpoints", "get", self.id, "--json", check=False)
        return done.returncode == 0 and json.loads(done.stdout)["state"] == "STOPPED"


class Load:
    """Rounds of `turnpike bench` against both gateways, and what the clients saw."""

    def __init__(self, stack, rng, rate):
        self.stack, self.random, self.rate = stack, rng, rate
        self.rows = []
        self.phases = {"stream": collections.Counter(), "unary": collections.Counter()}
        self.failures = collections.Counter()
        self.prompts = stack.dir / "prompts.jsonl"
        with open(self.prompts, "w", encoding="utf-8") as file:
            for line in PROMPTS.read_text().splitlines():
                lengths = {"messages": json.loads(line)["messages"], "max_tokens": rng.choice((8, 24, 60, 160))}
                file.write(json.dumps(lengths) + "\n")

    def run_bench(self, port, number, rate, name, *flags):
        """The report; a gateway that is just being killed when the run asks what it serves is asked again."""
        report = self.stack.dir / f"report-{name}.json"
        environment = dict(os.environ, TURNPIKE_API_KEY=self.stack.key, TURNPIKE_CA_CERT=str(self.stack.ca))
        command = [
            BIN_DIR / "turnpike-bench", "--base-url", f"https://localhost:{port}/v1", "--model",
            "deepseek-ai/DeepSeek-R1", "--prompts", self.prompts, "--num-prompts", str(number), "--request-rate",
            str(rate), "--concurrency", "64", "--disconnect-rate", "0.5", "--disconnect-early", "--seed",
            str(self.random.randrange(10 ** 9)), "--timeout", "60", "--json", report, "--save-requests", *flags]
        for _ in range(20):
            done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                  text=True, timeout=1800, check=False)
            if done.returncode in (0, 1):
                return json.loads(report.read_text())
            assert done.returncode == 3, f"turnpike-bench ended with {done.returncode}: {done.stderr}"
        raise AssertionError(f"no gateway is reached: {done.stderr}")

    def round(self, number):
        """About `number` requests: streams and, one in five, unary ones, half through each gateway."""
        runs = []
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for letter, port in zip("ab", self.stack.ports):
                runs.append(("stream", pool.submit(self.run_bench, port, number * 4 // 10, self.rate * 0.4,
                                                   f"{letter}-stream")))
                runs.append(("unary", pool.submit(self.run_bench, port, number // 10, self.rate * 0.1,
                                                  f"{letter}-unary", "--no-stream")))
        for kind, run in runs:
            found = run.result()
            self.rows += found["rows"]
            self.phases[kind].update(found["requests"]["disconnected_while"])
            self.failures.update(found["requests"]["failures"])


class Storm:
    def __init__(self, options, out=sys.stdout):
        self.options, self.out = options, out
        self.random = random.Random(options.seed)
        self.stack = StormStack()
        self.began = time.monotonic()

    def say(self, text=""):
        print(text, file=self.out, flush=True)

    def run(self):
        try:
            self.rage()
            self.settle()
            self.check()
            self.leave()
        except BaseException:
            print(self.stack.log_tails(20), file=sys.stderr)
            raise
        finally:
            self.stack.remove()

    def rage(self):
        options = self.options
        points = Failpoints(self.stack.dir / "failpoints", lambda name: not name.startswith("reconcile."))
        self.load = Load(self.stack, self.random, options.rate)
        churn = Churn(self.stack)
        self.killer = Killer(self.stack, points, self.random, options.pause)
        try:
            while (len(self.load.rows) < options.requests or self.killer.num_kills() < options.kills
                   or points.least_passes() < options.passes
                   or self.killer.least_point_kills() < options.point_kills):
                self.load.round(options.round)
                self.say(f"[{time.monotonic() - self.began:5.0f} s] {len(self.load.rows)} requests, "
                         f"{self.killer.num_kills()} kills, each point at least {self.killer.least_point_kills()}")
                for keeper in self.stack.keepers.values():
                    assert not keeper.unexpected, keeper.unexpected
        finally:
            self.killer.stop()
            churn.stop()

    def settle(self):
        """Until nothing is in flight anywhere and the sums have caught up."""
        def is_quiet():
            for letter in "ab":
                metrics = self.stack.gateway_metrics(letter)
                names = ("slots", "holds", "open_requests", "unresolved_requests", "undelivered_records")
                if metrics is None or any(metrics[f"turnpike_gateway_{name}"] for name in names):
                    return False
            return True
        wait_until("both gateways have no slot, hold, open request or undelivered record", is_quiet, SETTLE_S)
        self.totals = wait_until("every engine answers and has nothing open", self.stack.engine_totals, SETTLE_S)

        def reconciled():
            done = self.stack.run_cli("billing", "reconcile", check=False)
            return done.stdout if done.returncode == 0 else None
        self.reconciled = wait_until("the books reconcile", reconciled, SETTLE_S)

    def check(self):
        rows, meters = self.stack.usage_rows(), self.stack.meters()
        num_seen = 0
        for request_id, row in rows.items():
            counts = {name: row[name] for name in COUNTS}
            expected = meters.get(request_id, dict.fromkeys(COUNTS, 0))
            num_seen += request_id in meters
            assert counts == expected, f"{request_id}: recorded {counts}, the engine counted {expected}"
        assert num_seen == len(meters), f"{len(meters) - num_seen} requests of engines have no row"
        self.check_clients(rows)
        self.check_charges(rows)
        self.print_tables(rows)

    def check_charges(self, rows):
        """One transaction of the ledger for each request that costs something, over that amount."""
        charges = self.stack.query(
            "SELECT t.ref, e.amount_nano_usd FROM transactions t JOIN entries e ON e.transaction_id = t.id "
            "JOIN accounts a ON a.id = e.account_id WHERE t.ref LIKE 'usage:%' AND a.kind = 'revenue'")
        charged = {ref.removeprefix("usage:"): amount for ref, amount in charges}
        assert len(charged) == len(charges), "a request was charged twice"
        assert charged == {name: row["cost_nano_usd"] for name, row in rows.items() if row["cost_nano_usd"]}
        self.num_charges = len(charges)

    def check_clients(self, rows):
        """What a client got whole is recorded so; every id that it saw has a row."""
        self.crossed = collections.Counter()
        for seen in self.load.rows:
            row = rows.get(seen["request_id"])
            if seen["outcome"] == "completed":
                assert row, f"{seen['request_id']} was answered and has no row"
                told = (seen["input_tokens"], seen["output_tokens"])
                assert row["outcome"] == "completed", row
                assert told == (row["prompt_tokens"], row["completion_tokens"]), (seen, row)
            recorded = row["outcome"] if row else "an id without a row" if seen["request_id"] else "no id came"
            self.crossed[(seen["outcome"], recorded)] += 1
        strange = set(self.load.failures) - EXPECTED_FAILURES
        assert not strange, f"clients saw {self.load.failures}"

    def print_tables(self, rows):
        say, load, killer = self.say, self.load, self.killer
        say(f"\nseed {self.options.seed}; {len(load.rows)} requests in {time.monotonic() - self.began:.0f} s")
        say("\n" + ROW.format("clients left while", "streams", "unary"))
        for phase in ("connecting", "sending", "waiting", "thinking", "answering"):
            say(ROW.format(phase, load.phases["stream"][phase], load.phases["unary"][phase]))
        gone = [row for row in rows.values() if row["outcome"] == "client_gone"]
        before = sum(row["completion_tokens"] == 0 for row in gone)
        thinking = sum(0 < row["completion_tokens"] == row["reasoning_tokens"] for row in gone)
        say(f"billed as client_gone: {before} before the first token, {thinking} while thinking, "
            f"{len(gone) - before - thinking} while answering")
        say("\n" + ROW.format("client saw", "recorded as", "requests"))
        for (seen, recorded), count in sorted(self.crossed.items()):
            say(ROW.format(seen, recorded, count))
        say("\nclients' failures: " + ", ".join(f"{name} {count}" for name, count in load.failures.most_common()))
        say("\n" + ROW.format("killed at random", "kills", ""))
        for name, count in sorted(killer.random_kills.items()):
            say(ROW.format(name, count, ""))
        say("\n" + ROW.format("failpoint", "passes", "kills"))
        for name in killer.points.offsets:
            say(ROW.format(name, *killer.points.counts(name)))
        say(f"kills in all: {killer.num_kills()}")
        self.print_sums(rows)

    def print_sums(self, rows):
        self.say("\n" + ("{:<20}" + "{:>14}" * 4).format("", "engines", "billed", "written off", "difference"))
        for name in COUNTS:
            billed = sum(row[name] for row in rows.values() if row["is_billed"])
            lost = sum(row[name] for row in rows.values() if not row["is_billed"])
            difference = self.totals[name] - billed - lost
            self.say(("{:<20}" + "{:>14}" * 4).format(name, self.totals[name], billed, lost, difference))
            assert difference == 0, name
        self.say(f"{len(rows)} rows, {self.totals['requests']} requests of engines, {self.num_charges} charges; "
                 "no row, request or charge twice")
        self.say(self.reconciled.strip())
        for name in self.killer.points.offsets:
            passes, kills = self.killer.points.counts(name)
            assert passes >= self.options.passes, f"{name} was passed {passes} times"
            assert kills > 0 or name.startswith("engine."), f"nobody was killed at {name}"

    def leave(self):
        """Gateways that are told to stop leave no lease behind."""
        for keeper in self.stack.gateways():
            status = keeper.stop()
            assert status == 0, f"{keeper.name} ended with {status}"
        (count, held), = self.stack.query(
            "SELECT count(*), ifnull(sum(granted_nano_usd - settled_nano_usd - returned_nano_usd), 0) FROM leases "
            "WHERE granted_nano_usd > settled_nano_usd + returned_nano_usd")
        shares, = self.stack.query("SELECT sum(share_ppm) FROM gateways")[0]
        self.say(f"after both gateways left: {count} leases with {held} nano-USD, shares of {shares} ppm")
        assert (count, held, shares) == (0, 0, 0)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000, help="at least so many (100000)")
    parser.add_argument("--kills", type=int, default=200, help="at least so many, all together (200)")
    parser.add_argument("--point-kills", type=int, default=20,
                        help="at least so many at each failpoint of gateways and control plane (20)")
    parser.add_argument("--passes", type=int, default=100, help="at least so many of each failpoint (100)")
    parser.add_argument("--rate", type=float, default=150, help="requests per second, all together (150)")
    parser.add_argument("--round", type=int, default=5000, help="requests between two looks (5000)")
    parser.add_argument("--pause", type=float, default=1.0, help="mean seconds between kills (1)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 30))
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    print(f"storm: seed {options.seed}", flush=True)
    Storm(options).run()


if __name__ == "__main__":
    main()
