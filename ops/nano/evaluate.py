"""Asks a running engine the held-out problems and prints the table of what it got right.

    python3 ops/nano/evaluate.py --socket PATH [--fresh SEED] [--only ROW] [--problems N] [--samples N] [--temperature T]

The problems are those of held_out.jsonl, or with --fresh those that the corpus' generator draws with that seed, only of
its test split (corpus.is_held_out).
pass@1 is the mean over all samples; cons is the share of problems where the most frequent answer is right.
"""

import argparse
import concurrent.futures
import http.client
import itertools
import json
import socket

import held_out
import score


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=600)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(600)
        self.sock.connect(self.path)


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket", required=True)
    parser.add_argument("--fresh", type=int, metavar="SEED", help="draw new problems instead of the committed ones")
    parser.add_argument("--problems", type=int, default=1200, help="at most; the first ones")
    parser.add_argument("--only", metavar="ROW", help="problems of this row of the table")
    parser.add_argument("--seed", type=int, default=1, help="of the samples")
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--temperature", type=float, default=0.6)
    parser.add_argument("--top-p", type=float, default=0.95)
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--in-flight", type=int, default=8)
    parser.add_argument("--failures", type=int, default=0, help="print this many wrong replies")
    return parser.parse_args()


def ask(args, sample, seed):
    """Returns (the messages of the choices, the usage) of one request for all samples of a problem."""
    body = {
        "model": "turnpike/r1-nano",
        "messages": sample.messages,
        "n": args.samples,
        "temperature": args.temperature,
        "top_p": args.top_p,
        "max_tokens": args.max_tokens,
        "seed": seed,
    }
    if sample.tools:
        body["tools"] = sample.tools
    connection = UnixConnection(args.socket)
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    if response.status != 200:
        raise SystemExit(f"HTTP {response.status}: {answer}")
    return [choice["message"] for choice in answer["choices"]], answer["usage"]


def problems(args):
    """The first --problems of the set that have the wanted row."""
    drawn = held_out.load() if args.fresh is None else held_out.stream(args.fresh)
    wanted = (problem for problem in drawn if args.only in (None, score.row_of(problem)))
    return list(itertools.islice(wanted, args.problems))


def main():
    args = parse()
    samples = problems(args)
    with concurrent.futures.ThreadPoolExecutor(args.in_flight) as pool:
        replies = list(pool.map(lambda i: ask(args, samples[i], args.seed + i), range(len(samples))))
    tokens = [usage["completion_tokens"] for _, usage in replies]
    score.print_table(score.score(samples, [answers for answers, _ in replies], tokens, args.failures))


if __name__ == "__main__":
    main()
