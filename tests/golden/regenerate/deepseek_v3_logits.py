"""Golden logits of DeepSeek-V3 from an independent implementation.

    python deepseek_v3_logits.py --engine build/release/bin/turnpike-engine

For each case below: `turnpike-engine synth` writes a checkpoint from the case's config and seed,
this script reads the safetensors files by itself, dequantises them to float32 and runs
transformers' DeepseekV3ForCausalLM over them (float32, eager attention, CPU). The logits of every
position go to ../data/deepseek_v3_<case>.bin (float32, little-endian, [positions, vocab]), and
everything needed to repeat the run to the .json beside it.

Pinned: transformers 4.57.6, torch 2.15.0, numpy 2.4.6. Other versions differ in known ways: from
version 5 on, experts are stored fused.

What has to hold for transformers to be an oracle, asserted below:
  - It takes YaRN's factor as max_position_embeddings / original_max_position_embeddings.
  - It masks excluded groups with 0.0 instead of -inf, so every biased score has to be positive.
  - A near tie between two experts may fall either way, so the smallest gap has to be clear of
    rounding.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy
import torch
import transformers
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM
from transformers.models.deepseek_v3 import modeling_deepseek_v3

DATA = pathlib.Path(__file__).resolve().parent.parent / "data"
PINNED = {"transformers": "4.57.6", "torch": "2.15.0", "numpy": "2.4.6"}
SEED = 20260101
MIN_ROUTER_GAP = 1e-5
TOLERANCE = 1e-4
WHY = (
    "Largest difference over the standard deviation of the golden logits. Both sides compute in "
    "float32 and differ only in the order of additions: 9e-6 was the largest seen. Planted errors "
    "(scale index transposed, rotation mirrored, router weights biased, mscale left out) moved "
    "the logits by 0.08 of their deviation or more."
)

YARN = {
    "type": "yarn",
    "factor": 40,
    "original_max_position_embeddings": 4096,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
}
FP8 = {
    "quant_method": "fp8",
    "fmt": "e4m3",
    "activation_scheme": "dynamic",
    "weight_block_size": [128, 128],
}

# The published head sizes: 192-row heads straddle scale blocks, 192 cache rows end in half a block.
TINY = {
    "architectures": ["DeepseekV3ForCausalLM"],
    "model_type": "deepseek_v3",
    "hidden_size": 256,
    "num_hidden_layers": 4,
    "first_k_dense_replace": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": 128,
    "kv_lora_rank": 128,
    "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64,
    "v_head_dim": 128,
    "intermediate_size": 384,
    "moe_intermediate_size": 128,
    "n_routed_experts": 16,
    "n_shared_experts": 1,
    "num_experts_per_tok": 4,
    "n_group": 4,
    "topk_group": 2,
    "norm_topk_prob": True,
    "routed_scaling_factor": 2.5,
    "scoring_func": "sigmoid",
    "topk_method": "noaux_tc",
    "moe_layer_freq": 1,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-6,
    "rope_theta": 10000,
    "rope_scaling": YARN,
    "max_position_embeddings": 163840,
    "attention_bias": False,
    "tie_word_embeddings": False,
    "num_nextn_predict_layers": 1,
    "vocab_size": 512,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "quantization_config": FP8,
}
PLAIN = {
    **TINY,
    "num_hidden_layers": 3,
    "first_k_dense_replace": 2,
    "q_lora_rank": None,
    "rope_scaling": None,
    "num_nextn_predict_layers": 0,
    "quantization_config": None,
}
UNEVEN = {
    **TINY,
    "hidden_size": 320,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "q_lora_rank": 200,
    "kv_lora_rank": 160,
    "qk_nope_head_dim": 80,
    "qk_rope_head_dim": 32,
    "v_head_dim": 72,
    "intermediate_size": 450,
    "moe_intermediate_size": 136,
    "n_routed_experts": 12,
    "n_shared_experts": 2,
    "num_experts_per_tok": 3,
    "n_group": 3,
    "norm_topk_prob": False,
    "routed_scaling_factor": 1.5,
}
# Eight groups of four, two shared experts, hidden and intermediate sizes that end in half blocks.
GROUPS = {
    **TINY,
    "hidden_size": 192,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "q_lora_rank": 96,
    "kv_lora_rank": 64,
    "intermediate_size": 320,
    "moe_intermediate_size": 64,
    "n_routed_experts": 32,
    "n_shared_experts": 2,
    "num_experts_per_tok": 8,
    "n_group": 8,
    "topk_group": 4,
    "vocab_size": 320,
}
# Two dense layers before two of experts; FP8 without a query LoRA; one head of odd widths.
DENSE2 = {
    **TINY,
    "hidden_size": 224,
    "first_k_dense_replace": 2,
    "num_attention_heads": 5,
    "num_key_value_heads": 5,
    "q_lora_rank": None,
    "kv_lora_rank": 144,
    "qk_nope_head_dim": 48,
    "qk_rope_head_dim": 16,
    "v_head_dim": 56,
    "n_routed_experts": 8,
    "num_experts_per_tok": 3,
    "n_group": 2,
    "topk_group": 1,
    "num_nextn_predict_layers": 0,
    "vocab_size": 320,
}
# What the published config does not vary: another epsilon, which the norms over latents ignore,
# mscale other than 1, a factor that is no integer, routing weights as they are, odd widths all over.
ODD = {
    **TINY,
    "hidden_size": 117,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "q_lora_rank": 61,
    "kv_lora_rank": 45,
    "qk_nope_head_dim": 35,
    "qk_rope_head_dim": 22,
    "v_head_dim": 27,
    "intermediate_size": 131,
    "moe_intermediate_size": 33,
    "n_routed_experts": 15,
    "num_experts_per_tok": 5,
    "n_group": 3,
    "norm_topk_prob": False,
    "routed_scaling_factor": 0.3,
    "rms_norm_eps": 1e-3,
    "rope_theta": 500000,
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 10.5,
        "original_max_position_embeddings": 16,
        "beta_fast": 16,
        "beta_slow": 2,
        "mscale": 0.707,
        "mscale_all_dim": 0.707,
    },
    "max_position_embeddings": 168,
    "num_nextn_predict_layers": 0,
    "vocab_size": 333,
}
# Beyond the original context: no experts, whose near ties would decide over thousands of tokens.
LONG = {
    **TINY,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "first_k_dense_replace": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "q_lora_rank": 64,
    "kv_lora_rank": 64,
    "qk_nope_head_dim": 32,
    "v_head_dim": 32,
    "intermediate_size": 160,
    "num_nextn_predict_layers": 0,
    "vocab_size": 320,
}
# name -> (config, number of positions, first position stored); most go beyond a block of 64.
CASES = {
    "tiny": (TINY, 80, 0),
    "plain": (PLAIN, 70, 0),
    "uneven": (UNEVEN, 70, 0),
    "groups": (GROUPS, 130, 0),
    "dense2": (DENSE2, 70, 0),
    "odd": (ODD, 130, 0),
    "long": (LONG, 4200, 4130),
}


def read_safetensors(path):
    """Yields (name, dtype, bytes, shape), by the format's description and without a library."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        data = bytearray(raw[8 + length + begin : 8 + length + end])
        yield name, entry["dtype"], data, entry["shape"]


def as_float32(dtype, data, shape):
    kinds = {"F32": torch.float32, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}
    return torch.frombuffer(data, dtype=kinds[dtype]).reshape(shape).to(torch.float32)


def dequantised_weights(checkpoint):
    tensors = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        for name, dtype, data, shape in read_safetensors(path):
            tensors[name] = as_float32(dtype, data, shape)
    scales = {name: tensors.pop(name) for name in list(tensors) if name.endswith("_scale_inv")}
    for name, scale in scales.items():
        weight = tensors[name.removesuffix("_scale_inv")]
        expanded = scale.repeat_interleave(128, 0).repeat_interleave(128, 1)
        weight *= expanded[: weight.shape[0], : weight.shape[1]]
    return tensors


def load_oracle(config, checkpoint):
    # transformers' own defaults are the published model's: what the case leaves out has to be said.
    plain = {"q_lora_rank": None, "rope_scaling": None, **config}
    plain.pop("quantization_config", None)
    if scaling := plain["rope_scaling"]:
        wanted = scaling["factor"] * scaling["original_max_position_embeddings"]
        assert config["max_position_embeddings"] == wanted
    hf_config = DeepseekV3Config(**plain, attn_implementation="eager", torch_dtype="float32")
    model = DeepseekV3ForCausalLM(hf_config).eval()
    first_mtp = f"model.layers.{config['num_hidden_layers']}."
    tensors = dequantised_weights(checkpoint)
    weights = {name: tensors[name] for name in tensors if not name.startswith(first_mtp)}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not missing and not unexpected, (missing, unexpected)
    return model


def router_gaps(biased, config):
    """Per token, how far the choice of groups and of experts is from another one."""
    count, num_groups = biased.shape[0], config["n_group"]
    groups = biased.view(count, num_groups, -1)
    sums = groups.topk(2, dim=-1)[0].sum(-1)
    kept = torch.zeros_like(sums, dtype=torch.bool)
    kept.scatter_(1, sums.topk(config["topk_group"])[1], True)
    allowed = groups.masked_fill(~kept.unsqueeze(-1), float("-inf")).flatten(1)
    smallest = torch.full((count,), float("inf"), dtype=biased.dtype)
    for scores, chosen in ((sums, config["topk_group"]), (allowed, config["num_experts_per_tok"])):
        ranked = scores.sort(descending=True)[0]
        if chosen < ranked.shape[1]:
            smallest = torch.minimum(smallest, ranked[:, chosen - 1] - ranked[:, chosen])
    return smallest


def watch_router(model):
    """Collects the two figures that decide whether transformers' router is ours."""
    seen = {"smallest_biased_score": float("inf"), "smallest_gap": float("inf")}

    def watch(gate, inputs, _):
        hidden = inputs[0].reshape(-1, gate.config.hidden_size)
        biased = torch.sigmoid(hidden @ gate.weight.T) + gate.e_score_correction_bias
        gap = router_gaps(biased, gate.config.to_dict()).min().item()
        seen["smallest_biased_score"] = min(seen["smallest_biased_score"], biased.min().item())
        seen["smallest_gap"] = min(seen["smallest_gap"], gap)

    kind = modeling_deepseek_v3.DeepseekV3TopkRouter
    routers = [module for module in model.modules() if isinstance(module, kind)]
    for module in routers:
        module.register_forward_hook(watch)
    return seen, routers


def make_tokens(config, count):
    return [(31 * i * i + 17 * i + 7) % config["vocab_size"] for i in range(count)]


def make_checkpoint(config, seed, engine, folder):
    """Writes the config without its null entries and the checkpoint that the engine makes of it."""
    config = {key: value for key, value in config.items() if value is not None}
    config_path = folder.with_suffix(".json")
    config_path.write_text(json.dumps(config))
    command = [engine, "synth", "--config", config_path, "--seed", str(seed), "--out", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return config


def run_case(name, config, num_positions, first_row, engine, scratch):
    checkpoint = scratch / name
    config = make_checkpoint(config, SEED, engine, checkpoint)
    model = load_oracle(config, checkpoint)
    router, routers = watch_router(model)
    tokens = make_tokens(config, num_positions)
    with torch.no_grad():
        logits = model(torch.tensor([tokens]), use_cache=False).logits[0].numpy()
    logits = logits[first_row:]
    assert router["smallest_biased_score"] > 0 and router["smallest_gap"] > MIN_ROUTER_GAP, router
    logits.astype("<f4").tofile(DATA / f"deepseek_v3_{name}.bin")
    description = {
        "script": "tests/golden/regenerate/deepseek_v3_logits.py",
        "arguments": "--engine build/release/bin/turnpike-engine",
        "versions": PINNED,
        "source": "transformers DeepseekV3ForCausalLM, float32, eager attention, CPU",
        "tolerance": TOLERANCE,
        "why": WHY,
        "shape": list(logits.shape),
        "first_row": first_row,
        "deviation": float(logits.std()),
        "router": router if len(routers) > 0 else None,
        "seed": SEED,
        "tokens": tokens,
        "config": config,
    }
    (DATA / f"deepseek_v3_{name}.json").write_text(json.dumps(description, indent=1) + "\n")
    print(f"{name}: logits {logits.shape}, deviation {logits.std():.3f}, router {router}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True, help="the turnpike-engine binary")
    parser.add_argument("cases", nargs="*", default=list(CASES), help="names; all when left out")
    arguments = parser.parse_args()
    modules = (transformers, torch, numpy)
    found = {module.__name__: module.__version__.split("+")[0] for module in modules}
    if found != PINNED:
        sys.exit(f"expected {PINNED}, found {found}")
    torch.set_num_threads(1)
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.cases:
            config, num_positions, first_row = CASES[name]
            run_case(
                name, config, num_positions, first_row, arguments.engine, pathlib.Path(scratch)
            )


if __name__ == "__main__":
    main()
