"""Trains the byte-level BPE tokenizer on the corpus and writes it as Hugging Face's tokenizer.json.

The pre-tokenizer is DeepSeek-V3's. Digits are never merged, so a number is read and written digit by digit.
"""

import json
import random
import re
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import corpus
from special_tokens import BOS, EOS, LEADING, TRAILING

VOCAB_SIZE = 2560
DIGITS = r"\p{N}{1,3}"
HAN_AND_KANA = "[一-龥぀-ゟ゠-ヿ]+"
WORDS = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
    r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def pre_tokenizer(digits):
    splits = [pre_tokenizers.Split(Regex(p), "isolated") for p in (digits, HAN_AND_KANA, WORDS)]
    return pre_tokenizers.Sequence(splits + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def texts(count, seed):
    """The documents without their special tokens."""
    rng = random.Random(seed)
    special = re.compile("|".join(re.escape(t) for t in LEADING + TRAILING))
    for _ in range(count):
        text = "".join(part for part, _ in corpus.sample(rng, "train").segments)
        yield from filter(None, special.split(text))


def learn(count, seed):
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizer(r"\p{N}")
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(LEADING) - len(TRAILING),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learner.train_from_iterator(texts(count, seed), trainer)
    return json.loads(learner.to_str())["model"]


def build(count=60000, seed=1):
    """Returns the Tokenizer: ids 0-2 the leading special tokens, then the bytes and merges, then the others."""
    learnt = learn(count, seed)
    ordered = sorted(learnt["vocab"], key=learnt["vocab"].get)
    vocab = {text: i + len(LEADING) for i, text in enumerate(ordered)}
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in learnt["merges"]]
    file = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": []},
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": vocab,
            "merges": [" ".join(m) for m in merges],
        },
    }
    scratch = Tokenizer(models.BPE())
    scratch.pre_tokenizer = pre_tokenizer(DIGITS)
    scratch.decoder = decoders.ByteLevel(add_prefix_space=False, use_regex=False)
    parts = json.loads(scratch.to_str())
    file["pre_tokenizer"], file["decoder"] = parts["pre_tokenizer"], parts["decoder"]
    for i, text in enumerate(LEADING):
        vocab[text] = i
    first = max(vocab.values()) + 1
    for i, text in enumerate(LEADING + TRAILING):
        token_id = i if i < len(LEADING) else first + i - len(LEADING)
        file["added_tokens"].append(
            {
                "id": token_id,
                "content": text,
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": text in ("<think>", "</think>"),
                "special": text not in ("<think>", "</think>"),
            }
        )
    return json.dumps(file, ensure_ascii=False, indent=1) + "\n"


def main(folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(build(), encoding="utf-8")
    config = {
        "tokenizer_class": "LlamaTokenizerFast",
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": EOS,
        "unk_token": None,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
