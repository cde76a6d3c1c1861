#!/usr/bin/env python3
# The engine as a server, measured: `ops/bench serve` runs it. Each line is a ratio or a time with its bound; a rate alone
# would move with whatever else the machine does.
# serve.py BIN MODEL MTP_MODEL THREADS [NAME...]
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parents[3]
CARD = SOURCE / "config/files/models/tiny-random.json"
LINE = "{:<70} {:>12} {:>10}  {}"
READY_S = 120
HTTP_STREAMS = 64
PREFIX_TOKENS = 2000
# Answers of exactly the length asked for: the end token of the shapes is never likely.
NO_END = ["--extra-body", '{"logit_bias": {"1": -100}}']


class Engine:
    """One engine process on a Unix socket, and turnpike-bench to send it load."""

    def __init__(self, binary, model, threads, **settings):
        self.folder = tempfile.TemporaryDirectory(prefix="tp-bench-")
        folder = pathlib.Path(self.folder.name)
        self.socket = folder / "s"
        self.report = folder / "report.json"
        (folder / "engine.json").write_text(json.dumps({
            "model_dir": str(model), "card": str(CARD), "listen": f"unix:{self.socket}",
            "lock_file": str(folder / "lock"), "meter_file": str(folder / "meter"), "num_threads": threads} | settings))
        self.log = open(folder / "log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([binary, "serve", "--config", folder / "engine.json"], stderr=self.log)

    def __enter__(self):
        deadline = time.monotonic() + READY_S
        while "engine_ready" not in pathlib.Path(self.log.name).read_text(encoding="utf-8"):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the engine did not start:\n" + pathlib.Path(self.log.name).read_text(encoding="utf-8"))
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.log.close()
        self.folder.cleanup()

    def cpu_s(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def bench(self, *arguments):
        command = [BIN / "turnpike-bench", "--base-url", f"unix:{self.socket}:/v1", "--json", self.report,
                   "--save-requests", *[str(argument) for argument in arguments]]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return json.loads(self.report.read_text())


def show(name, value, bound, note=""):
    print(LINE.format(name, value, bound, note), flush=True)


def decode_rate(engine, streams, seed):
    """Tokens in a second of all streams, prompts left out."""
    report = engine.bench("--endpoint", "completions", "--random-vocab-size", 30000, "--random-input-len", 16,
                          "--random-output-len", 64, "--num-prompts", streams, "--concurrency", streams, "--seed", seed,
                          *NO_END)
    return sum(1000 / row["tpot_ms"] for row in report["rows"])


def batch():
    with Engine(BIN / "turnpike-engine", MODEL, THREADS, max_running=16) as engine:
        decode_rate(engine, 16, 99)
        rates = [(decode_rate(engine, 1, seed), decode_rate(engine, 16, seed)) for seed in range(3)]
    one, many = (statistics.median(column) for column in zip(*rates))
    ratio = statistics.median(many / one for one, many in rates)
    show("16 sequences decode: their tokens/s over one sequence's", f"{ratio:.2f}x", ">= 4", f"{many:.0f} and {one:.0f} tokens/s")
    result = figures("bench_steps", MODEL, THREADS)
    show("  the same without the server", f"{16 / result['ratio']:.2f}x", "",
         f"steps of {result['second_step_ms']:.2f} and {result['first_step_ms']:.2f} ms")


def prefix():
    ratios, cold, warm = [], [], []
    with Engine(BIN / "turnpike-engine", MODEL, THREADS) as engine:
        for seed in range(3):
            rows = engine.bench("--endpoint", "completions", "--random-vocab-size", 30000, "--random-prefix-len",
                                PREFIX_TOKENS, "--random-input-len", 8, "--random-output-len", 4, "--num-prompts", 2,
                                "--concurrency", 1, "--seed", seed)["rows"]
            cold.append(rows[0]["ttft_ms"])
            warm.append(rows[1]["ttft_ms"])
            ratios.append(cold[-1] / warm[-1])
    show(f"first token with a known prefix of {PREFIX_TOKENS}: sooner by", f"{statistics.median(ratios):.1f}x", ">= 10",
         f"{statistics.median(cold):.0f} and {statistics.median(warm):.0f} ms")


def figures(program, *arguments):
    command = [BIN / program, *[str(argument) for argument in arguments]]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def speculation():
    """A step's time from the first token of an answer to its last, drafts that are tried at its start included."""
    for row in figures("bench_speculation", MTP_MODEL, THREADS):
        show(f"a speculating step over a plain one, {row['case']}", f"{row['step_ratio']:.3f}x",
             "<= 1.15" if row["case"] == "nothing accepted" else "",
             f"{row['step_ms']:.2f} and {row['plain_step_ms']:.2f} ms; {row['accepted']} of {row['drafts']} accepted; "
             f"tokens/s {row['speed_ratio']:.2f}x")


def scheduler():
    for row in figures("bench_scheduler"):
        show(f"the scheduler's own step, {row['sequences']} sequences, {row['case']}", f"{row['median_us']:.0f} us", "< 200",
             f"p99 {row['p99_us']:.0f} us")


def http():
    arguments = [*NO_END, "--random-input-len", 16, "--random-output-len", 250, "--concurrency", HTTP_STREAMS]
    with Engine(BIN / "bench_instant_engine", MODEL, 1, max_running=HTTP_STREAMS, kv_tokens=64 * 1024) as engine:
        engine.bench("--num-prompts", HTTP_STREAMS, *arguments)
        before = engine.cpu_s()
        report = engine.bench("--num-prompts", 4 * HTTP_STREAMS, *arguments)
        used_us = (engine.cpu_s() - before) * 1e6
    show(f"the engine's CPU of a streamed token, {HTTP_STREAMS} streams, no kernels",
         f"{used_us / report['tokens']['output']:.1f} us", "<= 50",
         f"{report['tokens']['text_events']} events of {report['tokens']['output']} tokens; "
         f"turnpike bench itself {report['client']['cpu_us_per_text_event']:.1f} us")


PARTS = {"batch": batch, "speculation": speculation, "prefix": prefix, "scheduler": scheduler, "http": http}

if __name__ == "__main__":
    BIN, MODEL, MTP_MODEL = (pathlib.Path(argument) for argument in sys.argv[1:4])
    THREADS = int(sys.argv[4])
    show("what", "measured", "bound", "")
    for part in sys.argv[5:] or PARTS:
        PARTS[part]()
