"""Our tokenizer beside the `tokenizers` package, one thread each, in one run.

    python compare.py --bench build/release/bin/bench_tokenizer [--require 1.0]

Texts: English (the help topics of CPython), code (its standard library) and Chinese and Japanese
characters (invented words with Zipf's frequencies), in documents of about 4,000 characters, encoded
with the trained tokenizers of tests/golden. The rounds of the two alternate and the fastest of each
counts, so that a busy machine hurts both alike. Of the package the faster of encode() and
encode_batch_fast() counts, the latter computing no offsets.

Needs tokenizers 0.22.2. Exits with 1 when a ratio is below --require or the numbers of tokens
differ.
"""

import argparse
import os
import pathlib
import pydoc_data.topics
import random
import subprocess
import sys
import tempfile
import time

os.environ["RAYON_NUM_THREADS"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "golden" / "regenerate"))

import tokenizer as golden  # noqa: E402
import tokenizers  # noqa: E402

ROUNDS = 5
NUM_CHARACTERS = 1_200_000
DOCUMENT = 4_000


def east_asian():
    rng = random.Random(golden.SEED)
    scripts = [golden.Script(rng, golden.SCRIPTS[name][0]) for name in ["han", "han", "kana"]]
    text, size = [], 0
    while size < NUM_CHARACTERS // 2:
        text.append(rng.choice(scripts).text(rng, rng.randint(3, 12), "") + rng.choice("，。、！\n"))
        size += len(text[-1])
    return "".join(text)


def documents(text):
    text = text[:NUM_CHARACTERS].replace("\0", "")
    return [text[at:at + DOCUMENT] for at in range(0, len(text), DOCUMENT)]


def package_rounds(theirs, texts):
    begin = time.perf_counter()
    num_tokens = sum(len(theirs.encode(text, add_special_tokens=False).ids) for text in texts)
    middle = time.perf_counter()
    theirs.encode_batch_fast(texts, add_special_tokens=False)
    return min(middle - begin, time.perf_counter() - middle), num_tokens


def our_round(bench, spec, text_file):
    run = subprocess.run([bench, spec, text_file, "2"], capture_output=True, text=True, check=True)
    *seconds, num_tokens = run.stdout.split()
    return min(map(float, seconds)), int(num_tokens)


def compare(bench, spec, texts, folder):
    text_file = folder / "text"
    text_file.write_bytes("\0".join(texts).encode())
    theirs = tokenizers.Tokenizer.from_file(str(spec))
    ours_best = theirs_best = float("inf")
    for _ in range(ROUNDS):
        seconds, their_tokens = package_rounds(theirs, texts)
        theirs_best = min(theirs_best, seconds)
        seconds, our_tokens = our_round(bench, spec, text_file)
        ours_best = min(ours_best, seconds)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    return megabytes / ours_best, megabytes / theirs_best, our_tokens, their_tokens


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bench", required=True)
    parser.add_argument("--require", type=float, default=0.0, help="the smallest ratio that passes")
    options = parser.parse_args()
    assert tokenizers.__version__ == "0.22.2"
    texts = {
        "English": documents("\n".join(pydoc_data.topics.topics.values())),
        "code": documents("".join(golden.standard_sources())),
        "CJK": documents(east_asian()),
    }
    failed = False
    print(f"{'tokenizer':10} {'text':8} {'ours MB/s':>10} {'tokenizers':>10} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for kind in golden.KINDS:
            spec = folder / f"{kind}.json"
            golden.write(kind, spec)
            for label, documents_of in texts.items():
                ours, theirs, our_tokens, their_tokens = compare(options.bench, spec, documents_of, folder)
                print(f"{kind:10} {label:8} {ours:10.1f} {theirs:10.1f} {ours / theirs:6.2f}", flush=True)
                if our_tokens != their_tokens:
                    print(f"  tokens differ: ours {our_tokens}, theirs {their_tokens}")
                failed |= our_tokens != their_tokens or ours / theirs < options.require
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
