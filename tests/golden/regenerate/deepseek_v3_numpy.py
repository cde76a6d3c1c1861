"""Golden logits of DeepSeek-V3 that transformers cannot give: quantised activations, and the
multi-token-prediction layer.

    python deepseek_v3_numpy.py --engine build/release/bin/turnpike-engine

An emulation in float64 numpy of the published definition, written from the papers and the
published inference code's description, sharing nothing with the engine but the checkpoint's bytes
(`turnpike-engine synth`). Its unquantised main logits are held against transformers' golden of the
same case first, so what the new files differ in is the quantisation and the draft layer alone.

w8a8_block: a linear stored as FP8 takes x as float32, per row and 128 channels: s = max(amax,
1e-4) / 448, code = e4m3(x / s); the codes' products are summed per 128 channels and scaled by s
and the weight's scale. Here the sums are float64.

Pinned: torch 2.15.0 (for its e4m3 rounding), numpy 2.4.6.
"""

import argparse
import json
import math
import pathlib
import sys
import tempfile

import numpy as np
import torch

from deepseek_v3_logits import (
    CASES,
    DATA,
    PINNED,
    SEED,
    make_checkpoint,
    make_tokens,
    read_safetensors,
)

BLOCK = 128
# (golden's name, case, seed, positions or None for all, numerics, is of the draft layer, tolerance)
# Quantisation amplifies: an activation within float32's rounding of the border between two codes
# falls either way, moves its row by a part in a thousand, and with it the codes of all that follows.
# So a quantised golden ends before the first such activation, which was found by running it whole.
GOLDENS = [
    ("groups_w8a8", "groups", SEED, None, "w8a8_block", False, 2e-3),
    ("uneven_w8a8", "uneven", SEED, 58, "w8a8_block", False, 2e-3),
    ("dense2_w8a8", "dense2", SEED, 27, "w8a8_block", False, 2e-3),
    ("tiny_w8a8", "tiny", 2, 24, "w8a8_block", False, 2e-3),
    ("tiny_mtp", "tiny", SEED, None, "w8a16", True, 1e-4),
    ("groups_mtp", "groups", SEED, None, "w8a16", True, 1e-4),
]
WHY = {
    "w8a16": "The engine's float32 against float64.",
    "w8a8_block": "As w8a16, with room for an activation at the border of two codes.",
}


def e4m3(values):
    codes = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    return codes.to(torch.float8_e4m3fn).to(torch.float32).numpy().astype(np.float64)


class Weight:
    def __init__(self, values, scales=None):
        self.values = values
        self.scales = scales  # one per 128 x 128, or None

    def dequantised(self):
        if self.scales is None:
            return self.values
        grown = self.scales.repeat(BLOCK, 0).repeat(BLOCK, 1)
        return self.values * grown[: self.values.shape[0], : self.values.shape[1]]

    def apply(self, x, is_quantised):
        if self.scales is None or not is_quantised:
            return x @ self.dequantised().T
        x = x.astype(np.float32)
        out = np.zeros((x.shape[0], self.values.shape[0]))
        row_block = np.arange(self.values.shape[0]) // BLOCK
        for block in range(math.ceil(x.shape[1] / BLOCK)):
            cut = slice(block * BLOCK, (block + 1) * BLOCK)
            largest = np.maximum(np.abs(x[:, cut]).max(axis=1, keepdims=True), np.float32(1e-4))
            scale = largest / np.float32(448)
            codes = e4m3(x[:, cut] / scale)
            products = codes @ self.values[:, cut].T
            out += products * scale.astype(np.float64) * self.scales[row_block, block]
        return out


def load(checkpoint):
    kinds = {"F32": torch.float32, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn}
    tensors = {}
    for path in sorted(checkpoint.glob("*.safetensors")):
        for name, dtype, data, shape in read_safetensors(path):
            values = torch.frombuffer(data, dtype=kinds[dtype]).reshape(shape).to(torch.float64)
            tensors[name] = values.numpy()
    weights = {}
    for name, values in tensors.items():
        if not name.endswith("_scale_inv"):
            weights[name] = Weight(values, tensors.get(name + "_scale_inv"))
    return weights


def frequencies(config):
    dim, base = config["qk_rope_head_dim"], config["rope_theta"]
    plain = base ** (-2.0 * np.arange(dim // 2) / dim)
    scaling = config.get("rope_scaling")
    if not scaling:
        return plain, 1.0

    def index(turns):
        span = scaling["original_max_position_embeddings"]
        return dim * math.log(span / (turns * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(index(scaling["beta_fast"])), 0)
    high = min(math.ceil(index(scaling["beta_slow"])), dim - 1)
    ramp = np.clip((np.arange(dim // 2) - low) / max(high - low, 1e-3), 0, 1)
    mixed = plain * (1 - ramp) + plain / scaling["factor"] * ramp
    return mixed, 0.1 * scaling["mscale_all_dim"] * math.log(scaling["factor"]) + 1


class Emulation:
    def __init__(self, config, weights, is_quantised):
        self.config, self.weights, self.is_quantised = config, weights, is_quantised

    def linear(self, x, name):
        return self.weights[name + ".weight"].apply(x, self.is_quantised)

    def norm(self, x, name):
        mean = np.mean(x * x, axis=-1, keepdims=True)
        scale = self.weights[name + ".weight"].values
        is_latent = name.endswith("_a_layernorm")  # whose epsilon no config sets
        return x / np.sqrt(mean + (1e-6 if is_latent else self.config["rms_norm_eps"])) * scale

    def rotate(self, x):  # [positions, heads, rope]
        angles = np.arange(x.shape[0])[:, None] * frequencies(self.config)[0]
        cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
        out = np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return out

    def attention(self, x, prefix):
        config = self.config
        heads, nope = config["num_attention_heads"], config["qk_nope_head_dim"]
        rope, rank = config["qk_rope_head_dim"], config["kv_lora_rank"]
        count = x.shape[0]
        if config.get("q_lora_rank"):
            latent = self.norm(self.linear(x, prefix + "q_a_proj"), prefix + "q_a_layernorm")
            queries = self.linear(latent, prefix + "q_b_proj")
        else:
            queries = self.linear(x, prefix + "q_proj")
        queries = queries.reshape(count, heads, nope + rope)
        q_rope = self.rotate(queries[..., nope:])
        kv = self.linear(x, prefix + "kv_a_proj_with_mqa")
        k_rope = self.rotate(kv[:, None, rank:])[:, 0]
        latent = self.norm(kv[:, :rank], prefix + "kv_a_layernorm")
        up = self.linear(latent, prefix + "kv_b_proj").reshape(count, heads, -1)
        keys, values = up[..., :nope], up[..., nope:]
        scores = np.einsum("qhd,khd->hqk", queries[..., :nope], keys)
        scores += np.einsum("qhd,kd->hqk", q_rope, k_rope)
        scores *= frequencies(config)[1] ** 2 / math.sqrt(nope + rope)
        scores[:, np.triu(np.ones((count, count), dtype=bool), 1)] = -np.inf
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        out = np.einsum("hqk,khd->qhd", scores, values).reshape(count, -1)
        return self.linear(out, prefix + "o_proj")

    def mlp(self, x, prefix):
        gate = self.linear(x, prefix + "gate_proj")
        gate = gate / (1 + np.exp(-gate))
        return self.linear(gate * self.linear(x, prefix + "up_proj"), prefix + "down_proj")

    def route(self, x, prefix):
        """The chosen experts and their weights, [positions, chosen]; the biased scores."""
        config = self.config
        scores = 1 / (1 + np.exp(-self.linear(x, prefix + "gate")))
        biased = scores + self.weights[prefix + "gate.e_score_correction_bias"].values
        groups = biased.reshape(x.shape[0], config["n_group"], -1).copy()
        sums = np.sort(groups, axis=-1)[..., -2:].sum(axis=-1)
        dropped = np.argsort(-sums, axis=-1)[:, config["topk_group"] :]
        for row, group in enumerate(dropped):
            groups[row, group] = -np.inf
        chosen = np.argsort(-groups.reshape(biased.shape), axis=-1)
        chosen = np.sort(chosen[:, : config["num_experts_per_tok"]], axis=-1)
        weights = np.take_along_axis(scores, chosen, axis=-1)
        if config["norm_topk_prob"]:
            weights = weights / weights.sum(axis=-1, keepdims=True)
        return chosen, weights * config["routed_scaling_factor"], biased

    def experts(self, x, prefix):
        chosen, weights, _ = self.route(x, prefix)
        out = self.mlp(x, prefix + "shared_experts.")
        for row in range(x.shape[0]):
            for expert, weight in zip(chosen[row], weights[row]):
                out[row] += weight * self.mlp(x[row : row + 1], f"{prefix}experts.{expert}.")[0]
        return out

    def layer(self, x, index):
        prefix = f"model.layers.{index}."
        x = x + self.attention(self.norm(x, prefix + "input_layernorm"), prefix + "self_attn.")
        normed = self.norm(x, prefix + "post_attention_layernorm")
        is_dense = index < self.config["first_k_dense_replace"]
        run = self.mlp if is_dense else self.experts
        return x + run(normed, prefix + "mlp.")

    def main_output(self, tokens):
        x = self.weights["model.embed_tokens.weight"].values[tokens]
        for index in range(self.config["num_hidden_layers"]):
            x = self.layer(x, index)
        return self.norm(x, "model.norm")

    def logits(self, tokens):
        return self.linear(self.main_output(tokens), "lm_head")

    def draft_logits(self, tokens):
        index = self.config["num_hidden_layers"]
        prefix = f"model.layers.{index}."
        hidden = self.norm(self.main_output(tokens)[:-1], prefix + "hnorm")
        # The layer's own copies of embedding and head: the engine reads the main model's.
        following = self.weights[prefix + "embed_tokens.weight"].values[tokens[1:]]
        following = self.norm(following, prefix + "enorm")
        joined = self.linear(np.concatenate([following, hidden], axis=1), prefix + "eh_proj")
        out = self.norm(self.layer(joined, index), prefix + "shared_head.norm")
        return self.linear(out, prefix + "shared_head.head")


def check_against_transformers(case, config, weights, tokens):
    golden = json.loads((DATA / f"deepseek_v3_{case}.json").read_text())
    stored = np.fromfile(DATA / f"deepseek_v3_{case}.bin", dtype="<f4").reshape(golden["shape"])
    logits = Emulation(config, weights, False).logits(tokens)
    difference = np.abs(logits - stored).max() / golden["deviation"]
    print(f"{case}: emulation against transformers {difference:.2e} of the deviation")
    assert difference < 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True, help="the turnpike-engine binary")
    arguments = parser.parse_args()
    found = {module.__name__: module.__version__.split("+")[0] for module in (torch, np)}
    if any(PINNED[name] != version for name, version in found.items()):
        sys.exit(f"expected {PINNED}, found {found}")
    checked = set()
    with tempfile.TemporaryDirectory() as scratch:
        for name, case, seed, limit, numerics, is_draft, tolerance in GOLDENS:
            config, num_positions, _ = CASES[case]
            checkpoint = pathlib.Path(scratch) / case
            config = make_checkpoint(config, seed, arguments.engine, checkpoint)
            weights = load(checkpoint)
            tokens = make_tokens(config, num_positions)
            if case not in checked and seed == SEED:
                check_against_transformers(case, config, weights, tokens)
                checked.add(case)
            tokens = tokens[:limit]
            emulation = Emulation(config, weights, numerics == "w8a8_block")
            logits = emulation.draft_logits(tokens) if is_draft else emulation.logits(tokens)
            logits.astype("<f4").tofile(DATA / f"deepseek_v3_{name}.bin")
            description = {
                "script": "tests/golden/regenerate/deepseek_v3_numpy.py",
                "arguments": "--engine build/release/bin/turnpike-engine",
                "versions": found,
                "source": "emulation in float64 numpy",
                "quantity": "draft" if is_draft else "logits",
                "numerics": numerics,
                "tolerance": tolerance,
                "why": WHY[numerics],
                "shape": list(logits.shape),
                "first_row": 0,
                "deviation": float(logits.std()),
                "seed": seed,
                "tokens": tokens,
                "config": config,
            }
            text = json.dumps(description, indent=1) + "\n"
            (DATA / f"deepseek_v3_{name}.json").write_text(text)
            print(f"{name}: logits {logits.shape}, deviation {logits.std():.3f}")


if __name__ == "__main__":
    main()
