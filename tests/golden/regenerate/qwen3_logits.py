"""Golden logits of Qwen3 from an independent implementation.

    python qwen3_logits.py --engine build/release/bin/turnpike-engine

As deepseek_v3_logits.py: synth writes the checkpoint, transformers' Qwen3ForCausalLM runs over it
in float32 with eager attention. transformers does not know rope_scaling's attn_factor and would
scale cosines and sines by 0.1 ln(factor) + 1 alone; where a case has the key, the oracle is given
the product as attention_factor.

Pinned: transformers 4.57.6, torch 2.15.0, numpy 2.4.6.
"""

import argparse
import json
import math
import pathlib
import sys
import tempfile

import numpy
import torch
import transformers
from transformers import Qwen3Config, Qwen3ForCausalLM

from deepseek_v3_logits import (
    DATA,
    PINNED,
    SEED,
    TOLERANCE,
    dequantised_weights,
    make_checkpoint,
    make_tokens,
)

# The published head size and YaRN block, a 4:1 group, untied head.
DISTILL = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_size": 256,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 128,
    "intermediate_size": 384,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 1000000,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32768,
        "attn_factor": 0.8782488562869419,
    },
    "max_position_embeddings": 131072,
    "attention_bias": False,
    "use_sliding_window": False,
    "tie_word_embeddings": False,
    "vocab_size": 512,
    "bos_token_id": 0,
    "eos_token_id": 1,
}
# Odd widths, a 3:1 group, tied head, YaRN's magnitude as transformers has it.
TIED = {
    **DISTILL,
    "hidden_size": 200,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 40,
    "intermediate_size": 300,
    "tie_word_embeddings": True,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32768,
    },
    "vocab_size": 320,
}
# Every head its own keys, no YaRN.
PLAIN = {
    **DISTILL,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "head_dim": 64,
    "rope_scaling": None,
    "max_position_embeddings": 40960,
    "vocab_size": 320,
}
# Positions beyond the original context, up to 3 times of it; the published magnitude of 1.
FAR = {
    **DISTILL,
    "hidden_size": 192,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "intermediate_size": 250,
    "rope_scaling": {**DISTILL["rope_scaling"], "original_max_position_embeddings": 64},
    "max_position_embeddings": 256,
    "vocab_size": 320,
}
CASES = {
    "distill": (DISTILL, 140),
    "tied": (TIED, 80),
    "plain": (PLAIN, 70),
    "far": (FAR, 200),
}


def oracle_config(config):
    scaling = config.get("rope_scaling")
    if not scaling or "attn_factor" not in scaling:
        return config
    scaling = dict(scaling)
    magnitude = (0.1 * math.log(scaling["factor"]) + 1) * scaling.pop("attn_factor")
    return {**config, "rope_scaling": {**scaling, "attention_factor": magnitude}}


def load_oracle(config, checkpoint):
    hf_config = Qwen3Config(
        **oracle_config(config), attn_implementation="eager", torch_dtype="float32"
    )
    model = Qwen3ForCausalLM(hf_config).eval()
    missing, unexpected = model.load_state_dict(dequantised_weights(checkpoint), strict=False)
    tied = ["lm_head.weight"] if config["tie_word_embeddings"] else []
    assert missing == tied and not unexpected, (missing, unexpected)
    model.tie_weights()
    return model


def run_case(name, config, num_positions, engine, scratch):
    checkpoint = scratch / name
    config = make_checkpoint(config, SEED, engine, checkpoint)
    model = load_oracle(config, checkpoint)
    tokens = make_tokens(config, num_positions)
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    logits.astype("<f4").tofile(DATA / f"qwen3_{name}.bin")
    description = {
        "script": "tests/golden/regenerate/qwen3_logits.py",
        "arguments": "--engine build/release/bin/turnpike-engine",
        "versions": PINNED,
        "source": "transformers Qwen3ForCausalLM, float32, eager attention, CPU",
        "tolerance": TOLERANCE,
        "why": "Both sides compute in float32 and differ only in the order of additions.",
        "shape": list(logits.shape),
        "first_row": 0,
        "deviation": float(logits.std()),
        "seed": SEED,
        "tokens": tokens,
        "config": config,
    }
    (DATA / f"qwen3_{name}.json").write_text(json.dumps(description, indent=1) + "\n")
    print(f"{name}: logits {logits.shape}, deviation {logits.std():.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True, help="the turnpike-engine binary")
    arguments = parser.parse_args()
    modules = (transformers, torch, numpy)
    found = {module.__name__: module.__version__.split("+")[0] for module in modules}
    if found != PINNED:
        sys.exit(f"expected {PINNED}, found {found}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for name, (config, num_positions) in CASES.items():
            run_case(name, config, num_positions, arguments.engine, pathlib.Path(scratch))


if __name__ == "__main__":
    main()
