#!/usr/bin/env python3
"""Records the load that controlplane_autoscale_test.cpp replays: how many requests a gateway has in hand, four times a
second, while `turnpike bench` sends bursts, a steady stream, nothing, and bursts again to a real engine. Prints one
number a line; run it with TURNPIKE_SOURCE_DIR and TURNPIKE_BIN_DIR and keep what it prints in data/recorded_load.txt."""
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

sys.path.append(str(pathlib.Path(os.environ["TURNPIKE_SOURCE_DIR"]) / "tests/system"))
from stack import BIN_DIR, Stack, UnixConnection  # noqa: E402  (its folder is known only now)

PERIOD_S = 0.25
# (requests a second, burstiness, seconds); no rate: a rest.
PHASES = ((6, 0.2, 25), (14, 1.0, 25), (None, None, 15), (10, 0.1, 25))


def in_hand(stack):
    connection = UnixConnection(stack.run_dir / "gateway-metrics.sock")
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    return int(float(re.search(r"(?m)^turnpike_gateway_slots (\S+)$", text)[1]))


def send(stack, rate, burstiness, seconds):
    environment = os.environ | {"TURNPIKE_BASE_URL": stack.url, "TURNPIKE_API_KEY": stack.key,
                                "TURNPIKE_CA_CERT": str(stack.ca)}
    subprocess.run([BIN_DIR / "turnpike", "bench", "--model", "turnpike/tiny-random", "--num-prompts",
                    str(rate * seconds), "--request-rate", str(rate), "--burstiness", str(burstiness),
                    "--random-input-len", "16", "--random-output-len", "800"], env=environment, check=True,
                   stdout=subprocess.DEVNULL)


def main():
    stack = Stack(gateway_settings=lambda run: {"metrics_listen": f"unix:{run}/gateway-metrics.sock"})
    is_over = threading.Event()

    def phases():
        for rate, burstiness, seconds in PHASES:
            if rate is None:
                is_over.wait(seconds)
            else:
                send(stack, rate, burstiness, seconds)
        is_over.set()

    thread = threading.Thread(target=phases)
    thread.start()
    begin = time.monotonic()
    for number in range(10_000):
        if is_over.wait(max(0.0, begin + number * PERIOD_S - time.monotonic())):
            break
        print(in_hand(stack), flush=True)
    thread.join()
    stack.stop()


if __name__ == "__main__":
    main()
