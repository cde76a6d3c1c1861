"""Asks a running engine the held-out problems and prints the table of what it got right.

    python3 ops/nano/evaluate.py --socket PATH [--fresh SEED] [--problems N] [--samples N] [--temperature T]

The problems are those of held_out.jsonl, or with --fresh those that the corpus' generator draws with that seed, only of
its test split (corpus.is_held_out).
pass@1 is the mean over all samples; cons is the share of problems where the most frequent answer is right.
"""

import argparse
import collections
import concurrent.futures
import http.client
import json
import socket
import sys

import corpus
import held_out


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
    parser.add_argument("--problems", type=int, default=400, help="at most; the first ones")
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


def key_of(reply):
    """What majority voting counts: the call, or the text after the last \\boxed, or the whole answer."""
    if reply.get("tool_calls"):
        call = reply["tool_calls"][0]["function"]
        return call["name"] + call["arguments"]
    content = reply.get("content") or ""
    return content.rpartition("\\boxed")[2] or content


def main():
    args = parse()
    samples = held_out.load() if args.fresh is None else held_out.draw(args.fresh, args.problems)
    samples = samples[: args.problems]
    with concurrent.futures.ThreadPoolExecutor(args.in_flight) as pool:
        replies = list(pool.map(lambda i: ask(args, samples[i], args.seed + i), range(len(samples))))
    rows = collections.defaultdict(lambda: [0, 0, 0, 0, 0])
    shown = 0
    for sample, (answers, usage) in zip(samples, replies):
        right = [bool(corpus.check(sample, a)) for a in answers]
        votes = collections.Counter(key_of(a) for a in answers)
        winner = votes.most_common(1)[0][0]
        is_right = any(r for a, r in zip(answers, right) if key_of(a) == winner)
        thinks = sum(bool(a.get("reasoning")) for a in answers)
        for name in (sample.family, "all"):
            for i, value in enumerate((1, sum(right), is_right, thinks, usage["completion_tokens"])):
                rows[name][i] += value
        for answer, ok in zip(answers, right):
            if not ok and shown < args.failures:
                shown += 1
                asked = sample.messages[-1]["content"]
                print(f"--- {sample.family}: {asked!r} wants {sample.answer!r}\n{answer}", file=sys.stderr)
    print(f"{'family':16} {'problems':>8} {'pass@1':>8} {'cons@' + str(args.samples):>8} {'thinks':>8} {'tokens':>8}")
    for name in sorted(rows, key=lambda n: (n == "all", n)):
        count, right, voted, thinks, tokens = rows[name]
        total = count * args.samples
        print(
            f"{name:16} {count:8} {right / total:8.1%} {voted / count:8.1%} {thinks / total:8.1%} {tokens / total:8.0f}"
        )


if __name__ == "__main__":
    main()
