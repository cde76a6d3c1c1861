"""Tokenizers trained for the test, and what the `tokenizers` package makes of 12,000 strings.

    python tokenizer.py train       writes ../data/tokenizer_<name>.merges      (minutes)
    python tokenizer.py encode      writes ../data/tokenizer_strings.bin and tokenizer_<name>.hashes
    python tokenizer.py write NAME FILE     writes the tokenizer.json that the merges stand for

Two tokenizers: `deepseek` with DeepSeek-V3's normaliser and pre-tokenizer and 129,280 entries, and
`qwen3` with Qwen3's and 20,000. Only their merges are stored, as pairs of ids of three bytes each;
tests/golden/tokenizer_fixture.h builds the same tokenizer.json from them. Ids: 0..2 the first added
tokens, 3..258 the bytes, then one per merge that makes a new token, then the other added tokens.

The corpus of the training: the Python sources of CPython's standard library (English and code), and text made of
invented words and Zipf-distributed characters of other scripts, from a fixed seed.

Made with tokenizers 0.22.2 under CPython 3.11.7.
"""

import collections
import json
import pathlib
import random
import struct
import sys
import sysconfig
import unicodedata

import tokenizers
from tokenizers import Regex, models, normalizers, pre_tokenizers, trainers

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
SEED = 20261124

DEEPSEEK = [
    r"\p{N}{1,3}",
    "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
]
QWEN3 = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
]
FIRST = ["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"]
LAST = [
    "<think>", "</think>", "<｜fim▁hole｜>", "<｜User｜>", "<｜Assistant｜>", "<|EOT|>",
    "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>",
    "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>",
    "<｜tool▁output▁end｜>", "<｜tool▁sep｜>",
]
KINDS = {
    "deepseek": {"patterns": DEEPSEEK, "nfc": False, "entries": 129280},
    "qwen3": {"patterns": QWEN3, "nfc": True, "entries": 20000},
}
FIRST_MERGED = len(FIRST) + 256


# --- the corpus ----------------------------------------------------------------------------------

def standard_sources():
    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if not {"site-packages", "test", "tests", "lib2to3", "idlelib"} & set(parts):
            yield path.read_text(encoding="utf-8", errors="ignore")


SCRIPTS = {  # name: (ranges of letters, share of the corpus)
    "latin": ([(0x61, 0x7A), (0xE0, 0xF6), (0xF8, 0x17F)], 4), "cyrillic": ([(0x430, 0x45F)], 3),
    "greek": ([(0x3B1, 0x3C9)], 1), "hebrew": ([(0x5D0, 0x5EA)], 1), "arabic": ([(0x620, 0x64A)], 2),
    "devanagari": ([(0x904, 0x94D)], 2), "thai": ([(0xE01, 0xE3A), (0xE40, 0xE4E)], 1),
    "hangul": ([(0xAC00, 0xD7A3)], 3), "han": ([(0x4E00, 0x9FA5)], 12), "kana": ([(0x3041, 0x30FE)], 4),
    "emoji": ([(0x1F300, 0x1F64F)], 1), "symbols": ([(0x2010, 0x2BFF)], 1),
}
SPACELESS = {"han", "kana", "thai", "emoji"}


class Script:
    """Invented words whose letters and frequencies follow Zipf's law."""

    def __init__(self, rng, ranges):
        letters = [c for low, high in ranges for c in map(chr, range(low, high + 1))
                   if unicodedata.category(c) != "Cn"]
        rng.shuffle(letters)
        letters = letters[:3000]
        weights = [1 / (i + 2) for i in range(len(letters))]
        self.words = ["".join(rng.choices(letters, weights, k=rng.choice([1, 2, 2, 3, 4, 5, 6, 8])))
                      for _ in range(9000)]
        self.weights = [1 / (i + 3) for i in range(len(self.words))]

    def text(self, rng, count, separator):
        return separator.join(rng.choices(self.words, self.weights, k=count))


def corpus():
    rng = random.Random(SEED)
    yield from standard_sources()
    for name, (ranges, share) in SCRIPTS.items():
        script = Script(rng, ranges)
        for _ in range(share * 120):
            separator = "" if name in SPACELESS else " "
            yield script.text(rng, rng.randint(40, 900), separator) + rng.choice(["。", ". ", "\n", "!"])


# --- tokenizers ----------------------------------------------------------------------------------

def pre_tokenizer(kind):
    stages = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in kind["patterns"]]
    stages.append(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False))
    return pre_tokenizers.Sequence(stages)


def byte_characters():
    """GPT-2's character of each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(others)) for b in range(256)]


def train(name):
    kind = KINDS[name]
    trained = tokenizers.Tokenizer(models.BPE())
    if kind["nfc"]:
        trained.normalizer = normalizers.NFC()
    trained.pre_tokenizer = pre_tokenizer(kind)
    alphabet = byte_characters()
    trainer = trainers.BpeTrainer(vocab_size=kind["entries"] - len(FIRST) - len(LAST), min_frequency=2,
                                  initial_alphabet=alphabet, show_progress=False)
    trained.train_from_iterator(corpus(), trainer)
    ids = {c: len(FIRST) + i for i, c in enumerate(alphabet)}
    out = bytearray()
    for merge in json.loads(trained.to_str())["model"]["merges"]:
        left, right = merge
        out += ids[left].to_bytes(3, "little") + ids[right].to_bytes(3, "little")
        ids.setdefault(left + right, len(FIRST) + len(ids))
    (DATA / f"tokenizer_{name}.merges").write_bytes(out)
    print(f"{name}: {len(ids) + len(FIRST) + len(LAST)} entries, {len(out)} bytes of merges")


def specification(name):
    """tokenizer.json from the stored merges."""
    kind = KINDS[name]
    texts = FIRST + byte_characters()
    ids = {c: i for i, c in enumerate(texts)}
    merges = []
    stored = (DATA / f"tokenizer_{name}.merges").read_bytes()
    for at in range(0, len(stored), 6):
        left = texts[int.from_bytes(stored[at:at + 3], "little")]
        right = texts[int.from_bytes(stored[at + 3:at + 6], "little")]
        merges.append([left, right])
        if left + right not in ids:
            ids[left + right] = len(texts)
            texts.append(left + right)
    added = [{"id": i, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
              "normalized": i >= len(FIRST) and text != "<|EOT|>",
              "special": i < len(FIRST) or text == "<|EOT|>"}
             for i, text in [*enumerate(FIRST), *enumerate(LAST, len(texts))]]
    split = [{"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
             for pattern in kind["patterns"]]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": {"type": "NFC"} if kind["nfc"] else {"type": "Sequence", "normalizers": []},
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [*split, level]},
        "post_processor": None, "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "vocab": ids, "merges": merges},
    }


def write(name, path):
    pathlib.Path(path).write_text(json.dumps(specification(name), ensure_ascii=False), encoding="utf-8")


# --- strings -------------------------------------------------------------------------------------

FIXED = [
    "", " ", "  ", "a", "hello world", "Hello, world!", "  leading", "trailing  ", "tab\tand\nnewline",
    "\r\n", "a\r\n\r\nb", "1", "12", "123", "1234", "12345", "123456", "1234567", "3.14159", "1,000,000",
    "x=1;y=22", "(foo)", "'s it's don't WE'LL I'M You'Re 'ſ 'ſx x'ſ", "日本語テスト", "中文和English混排",
    "カタカナひらがな漢字123", "한국어", "naïve café", "cafe\u0301", "Å A\u030a \u212b", "ﬁ", "🙂",
    "👩\u200d👩\u200d👧\u200d👦", "🇩🇪", "a\u0300\u0301b", "\u00a0nbsp\u2003em", "\u200bzero\u200d", "--flag=value",
    "/usr/local/bin", "user@example.org", "for (int i = 0; i < n; ++i) { sum += a[i]; }",
    "def f(x):\n    return x * 2\n", "\n\n\n", " \n ", "   a   b   ", "…—–", "«quoted»", "<think", "｜User｜",
    "What are some fun things to do in New York?", "Привет, мир", "שלום", "مرحبا", "नमस्ते", "ไทย",
    "½ ² ③ Ⅷ", "\x00\x01\x7f", "x\u180ey \u180e\u180e z", "x \u180ey  \u180e1", "\u180e\n \u180e\r\n", "\u0085\u0085a \u0085", "a" * 3000, " " * 2000 + "x",
    "日" * 1500, "ab1" * 700, "\n" * 500 + "a", "-" * 999, "é" * 777, "\u0301" * 600, "🙂" * 300,
]


def pool(rng):
    """Short pieces of many kinds, to stand around the character that a string is about."""
    common = ["a", "the", " of", "Ab", "x1", "42", "007", "日本", "テ", "é", "—", "!", "\n", " ", "  ", "\t",
              "\r\n", "'s", "'LL", ".", "/", "_", "ü", "Ж", "ع", "न", "한", "🙂", "\u0301", "\u00a0", "（", "½"]
    return lambda: rng.choice(common)


def category_strings(rng):
    members = {}
    for code_point in range(0x110000):
        members.setdefault(unicodedata.category(chr(code_point)), []).append(code_point)
    around = pool(rng)
    for category in sorted(set(members) - {"Cs"}):
        for _ in range(60):
            text = "".join(around() for _ in range(rng.randint(0, 3)))
            for _ in range(rng.randint(1, 4)):
                text += chr(rng.choice(members[category])) + around()
            yield text


def newer_strings(rng):
    """Code points that the package knows and Unicode 14 does not."""
    known = pre_tokenizers.Split(Regex(r"[\p{L}\p{M}\p{N}\p{P}\p{S}]"), "removed")
    unassigned = [c for c in range(0x110000) if unicodedata.category(chr(c)) == "Cn"]
    newer = []
    for begin in range(0, len(unassigned), 4096):
        part = unassigned[begin:begin + 4096]
        left = {ord(c) for piece, _ in known.pre_tokenize_str("".join(map(chr, part))) for c in piece}
        newer += [c for c in part if c not in left]
    around = pool(rng)
    for begin in range(0, len(newer), 10):
        yield "".join(chr(c) + (around() if rng.random() < 0.4 else "") for c in newer[begin:begin + 10])


def digit_strings(rng):
    around = pool(rng)
    digits = ["0123456789", "٠١٢٣٤٥٦٧٨٩", "०१२३४५६७८९", "²³¹", "ⅣⅧ"]
    for i in range(420):
        run = "".join(rng.choices(rng.choice(digits[:1] * 5 + digits), k=i % 7 + 1))
        yield around() + run + around() + run[:2]


def east_asian_strings(rng):
    ranges = [(0x4E00, 0x9FA5), (0x3041, 0x3096), (0x30A1, 0x30FE), (0x9FA6, 0x9FFF), (0x3400, 0x3450),
              (0x20000, 0x20100), (0x31F0, 0x31FF), (0xFF66, 0xFF9D), (0xAC00, 0xD7A3), (0x3000, 0x3030)]
    weights = [6, 4, 4, 1, 1, 1, 1, 1, 1, 2]
    around = pool(rng)
    for _ in range(1200):
        text = ""
        for _ in range(rng.randint(1, 6)):
            low, high = rng.choices(ranges, weights)[0]
            text += "".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 4)))
            text += around() if rng.random() < 0.3 else ""
        yield text


def project_strings(rng):
    """Code and English: lines of this repository, as it is when the script runs."""
    root = DATA.parent.parent.parent
    lines = []
    for folder in ["config", "controlplane", "engine", "gateway", "kernels", "migrations", "ops"]:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in {".h", ".cpp", ".py", ".sql", ".md", ".json"}:
                lines += [x for x in path.read_text(encoding="utf-8").splitlines(keepends=True) if x.strip()]
    for _ in range(2200):
        at = rng.randrange(len(lines))
        yield "".join(lines[at:at + rng.choice([1, 1, 1, 2])])[:90]


def whitespace_strings(rng):
    spaces = [" ", " ", "  ", "\t", "\n", "\r\n", "\r", "\u00a0", "\u2003", "\u3000", "\u0085", "\u2028", "\x0b"]
    for _ in range(900):
        text = ""
        for _ in range(rng.randint(1, 5)):
            text += "".join(rng.choices(spaces, k=rng.randint(0, 5))) + rng.choice(["a", "b.", "1", "日", ""])
        yield text


def normal_form_strings(rng):
    bases = "aAoOuceEnsI가ᄀᄒ한कক\u0b47\u1025\u30ab\u30cf\u2126\u212b\u1e9b\u0344\uf900\u2f800\u1d15e𑄱\U00011935"
    marks = [chr(c) for c in [*range(0x300, 0x345), 0x1161, 0x11A8, 0x93C, 0x9BE, 0xB3E, 0x102E, 0x3099, 0x309A,
                              0x11127, 0x11930, 0x8CA, 0x8D3, 0x897, 0x1ABF, 0x1DF6, 0x10D24, 0x11070, 0x1E130,
                              0x1E4EC, 0x10EFD, 0x5B0, 0x64B, 0x670, 0xE48]]
    for _ in range(1000):
        yield "".join(rng.choice(bases) + "".join(rng.choices(marks, k=rng.randint(0, 3)))
                      for _ in range(rng.randint(1, 6)))


def injection_strings(rng):
    tokens = FIRST + LAST
    around = pool(rng)
    for _ in range(700):
        text = ""
        for _ in range(rng.randint(1, 4)):
            token = rng.choice(tokens)
            cut = rng.random()
            text += around() + (token if cut < 0.6 else token[:rng.randint(1, len(token))] if cut < 0.8
                                else token[rng.randint(0, len(token) - 1):])
        yield text + rng.choice(["", "\u0301", "\u0338", "x"])


def mixed_strings(rng):
    ranges = [(32, 126), (32, 126), (160, 591), (0x370, 0x52F), (0x3040, 0x30FF), (0x4E00, 0x9FA5),
              (0x1F300, 0x1F64F), (0x2000, 0x206F), (0x900, 0xDFF), (0x1E00, 0x1FFF), (0x10000, 0x1FFFF),
              (0xE000, 0xFFFD), (0x590, 0x74F)]
    for _ in range(3000):
        text = "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, 14)))
        yield text


def strings():
    rng = random.Random(SEED)
    yield from FIXED
    for make in [category_strings, newer_strings, digit_strings, east_asian_strings, project_strings,
                 whitespace_strings, normal_form_strings, injection_strings, mixed_strings]:
        yield from make(rng)


def check_categories(texts):
    """At least 50 strings hold a member of each general category but Cs."""
    counts = collections.Counter(c for text in texts for c in set(map(unicodedata.category, text)))
    assert len(counts) == 29 and min(counts.values()) >= 50, counts
    assert len(set(texts)) >= 10000, len(set(texts))
    print(f"{len(set(texts))} distinct strings, {len(counts)} categories, the rarest in {min(counts.values())} strings")


# --- what the package says -----------------------------------------------------------------------

def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value


def hash_ids(ids):
    return fnv1a(struct.pack(f"<{len(ids)}i", *ids))


def sweep_texts():
    """Every code point of the planes in use, each between letters and digits."""
    for begin in [*range(0, 0xD800, 0x800), *range(0xF800, 0x33000, 0x800), 0xE0000]:
        yield "".join(f"{chr(c)}a{chr(c)}1 " for c in range(begin, begin + 0x800))


def id_lists(num_ids):
    """Random ids from a generator that is easily written again (splitmix64)."""
    state = SEED

    def draw():
        nonlocal state
        state = state + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        z = state
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        z = (z ^ z >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        return z ^ z >> 31

    for _ in range(1000):
        # Half of the ids are single bytes, so that broken UTF-8 is common.
        yield [draw() % num_ids if draw() % 2 else len(FIRST) + draw() % 256 for _ in range(12)]


def encode(name, texts):
    spec = specification(name)
    matching = tokenizers.Tokenizer.from_str(json.dumps(spec, ensure_ascii=False))
    plain = tokenizers.Tokenizer.from_str(json.dumps({**spec, "added_tokens": []}, ensure_ascii=False))
    num_ids = matching.get_vocab_size()
    hashes = [hash_ids(plain.encode(text, add_special_tokens=False).ids) for text in texts]
    hashes += [hash_ids(matching.encode(text, add_special_tokens=False).ids) for text in texts]
    sweep = [hash_ids(plain.encode(text, add_special_tokens=False).ids) for text in sweep_texts()]
    decoded = [fnv1a(matching.decode(ids, skip_special_tokens=False).encode()) for ids in id_lists(num_ids)]
    hashes += sweep + decoded
    (DATA / f"tokenizer_{name}.hashes").write_bytes(struct.pack(f"<{len(hashes)}Q", *hashes))
    meta = {
        "script": "tests/golden/regenerate/tokenizer.py", "arguments": "train, then encode",
        "source": "tokenizers 0.22.2, with tokenizers trained by it", "seed": SEED,
        "entries": num_ids, "strings": len(texts), "sweep": len(sweep), "decoded": len(decoded),
        "layout": "u64 FNV-1a hashes, little-endian: ids of each string with added tokens as plain text, "
                  "the same with added tokens matched, ids of each sweep text, text of each id list",
        "tolerance": "identical ids and text",
        "why": "the tokenizer must cut text exactly as the package does that the models were trained with",
    }
    (DATA / f"tokenizer_{name}.json").write_text(json.dumps(meta, indent=4, ensure_ascii=False) + "\n")
    print(f"{name}: {num_ids} entries, {len(texts)} strings, {len(sweep)} sweep texts, {len(decoded)} id lists")


def main():
    assert tokenizers.__version__ == "0.22.2"
    command = sys.argv[1]
    if command == "train":
        for name in sys.argv[2:] or KINDS:
            train(name)
    elif command == "write":
        write(sys.argv[2], sys.argv[3])
    else:
        texts = list(strings())
        check_categories(texts)
        blob = b"".join(struct.pack("<H", len(text.encode())) + text.encode() for text in texts)
        (DATA / "tokenizer_strings.bin").write_bytes(blob)
        for name in KINDS:
            encode(name, texts)


if __name__ == "__main__":
    main()
