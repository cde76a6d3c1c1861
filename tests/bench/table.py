#!/usr/bin/env python3
# One line of ops/bench's table from the JSON that `turnpike-engine bench` writes.
import json
import sys

COLUMNS = "{:<34} {:>12} {:>10} {:>8} {:>10} {:>10} {:>9} {:>8}"


def main():
    if sys.argv[1] == "--header":
        print(COLUMNS.format("run", "prefill t/s", "GFLOP/s", "of peak", "decode t/s", "weights",
                             "read loop", "of read"))
        return
    result = json.load(sys.stdin)
    cells = [sys.argv[1]]
    prefill = result.get("prefill")
    if prefill:
        cells += [f"{prefill['tokens_per_second']['median']:.0f}",
                  f"{prefill['gflops']['median']:.0f}", f"{prefill['of_peak']['median']:.2f}"]
    else:
        cells += ["-"] * 3
    decode = result.get("decode")
    if decode:
        cells += [f"{decode['tokens_per_second']['median']:.1f}",
                  f"{decode['weight_gb_per_second']['median']:.1f} GB/s",
                  f"{decode['read_loop_gb_per_second']['median']:.1f}",
                  f"{decode['of_read_loop']['median']:.2f}"]
    else:
        cells += ["-"] * 4
    print(COLUMNS.format(*cells), flush=True)


if __name__ == "__main__":
    main()
