"""The committed held-out problems, held_out.jsonl: drawn once, so that they stay what they are when the corpus changes.

    python3 ops/nano/held_out.py SEED COUNT     # prints a new set

One JSON object a line: what corpus.Sample holds, without the trained text.
"""

import itertools
import json
import pathlib
import random
import sys

import corpus

FILE = pathlib.Path(__file__).with_name("held_out.jsonl")
FIELDS = ("family", "problem", "messages", "answer", "tools")


def stream(seed):
    """Problems of the test split without end."""
    rng = random.Random(seed)
    while True:
        yield corpus.sample(rng, "test")


def draw(seed, count):
    return list(itertools.islice(stream(seed), count))


def load():
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    return [corpus.Sample(segments=[], **row) for row in rows]


def main():
    for drawn in draw(int(sys.argv[1]), int(sys.argv[2])):
        print(json.dumps({name: getattr(drawn, name) for name in FIELDS}, ensure_ascii=False))


if __name__ == "__main__":
    main()
