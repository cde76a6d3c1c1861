"""Token ids by the `tokenizers` package for tests/golden/tokenizer_test.cpp.

    python3 tokenizer.py TOKENIZER_JSON NAME [--nfc]

TOKENIZER_JSON is what `turnpike-engine synth` writes for a head of 2,048 rows. With --nfc the normaliser and
pre-tokenizer of Qwen3 replace its own before encoding, and the changed file is stored beside the ids.
Made with tokenizers 0.22.2.
"""

import json
import random
import sys
import unicodedata

import tokenizers

QWEN3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SEED = 20261123

FIXED = [
    "", " ", "  ", "a", "hello world", "Hello, world!", "  leading", "trailing  ", "tab\tand\nnewline", "\r\n", "a\r\n\r\nb",
    "1", "12", "123", "1234", "12345", "123456", "1234567", "3.14159", "1,000,000", "x=1;y=22", "(foo)", "'s it's don't WE'LL",
    "日本語テスト", "中文和English混排", "カタカナひらがな漢字123", "한국어", "naïve café", "cafe\u0301", "Å A\u030a \u212b", "ﬁ", "🙂", "👩‍👩‍👧‍👦",
    "🇩🇪", "a\u0300\u0301b", "\u00a0nbsp\u2003em", "\u200bzero\u200d", "--flag=value", "/usr/local/bin", "user@example.org",
    "for (int i = 0; i < n; ++i) { sum += a[i]; }", "def f(x):\n    return x * 2\n", "\n\n\n", " \n ", "   a   b   ", "…—–", "«quoted»",
    "<think>", "</think>", "<｜User｜>hi<｜Assistant｜>", "<｜begin▁of▁sentence｜>x<｜end▁of▁sentence｜>", "<|EOT|>", "<think", "｜User｜",
    "What are some fun things to do in New York?", "Привет, мир", "שלום", "مرحبا", "नमस्ते", "ไทย", "½ ² ③ Ⅷ", "\x00\x01\x7f",
]


def random_strings(count):
    rng = random.Random(SEED)
    ranges = [(32, 126), (32, 126), (160, 591), (0x370, 0x52F), (0x3040, 0x30FF), (0x4E00, 0x9FA5), (0x1F300, 0x1F64F), (0x2000, 0x206F)]
    for _ in range(count):
        text = ""
        for _ in range(rng.randint(1, 40)):
            low, high = rng.choice(ranges)
            c = chr(rng.randint(low, high))
            # Code points newer than Unicode 14 have other categories in the two engines.
            if unicodedata.category(c) not in ("Cn", "Cs"):
                text += c
        yield text


def main():
    path, name = sys.argv[1], sys.argv[2]
    spec = json.load(open(path, encoding="utf-8"))
    if "--nfc" in sys.argv:
        spec["normalizer"] = {"type": "NFC"}
        spec["pre_tokenizer"]["pretokenizers"] = [
            {"type": "Split", "pattern": {"Regex": QWEN3}, "behavior": "Isolated", "invert": False},
            spec["pre_tokenizer"]["pretokenizers"][-1],
        ]
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))
    cases = []
    for text in FIXED + list(random_strings(400)):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        cases.append({"text": text, "ids": ids})
    with open(name, "w", encoding="utf-8") as out:
        json.dump({"cases": cases}, out, ensure_ascii=True, separators=(",", ":"))
        out.write("\n")
    print(f"{len(cases)} cases, {sum(len(c['ids']) for c in cases)} tokens, tokenizers {tokenizers.__version__}")


if __name__ == "__main__":
    main()
