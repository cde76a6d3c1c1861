"""Golden insides of a forward pass: what every layer gives and which experts every token chooses.

    python layers.py --engine build/release/bin/turnpike-engine

For each logits golden listed below, made again from that golden's config, seed and tokens with the
same implementation: transformers in float32 (w8a16), or the numpy emulation (w8a8_block). Writes
../data/<golden>_layers.bin, little-endian, without gaps:

    float32 hidden [layers, rows, hidden]     after each layer, before any final norm, of some rows
    int32 experts [moe layers, positions, chosen]       ascending; of every position
    float32 weights [moe layers, positions, chosen]     of those experts
    float32 gaps [moe layers, positions]     how far the choice is from another one, in biased score

and the .json beside it with the rows and the deviation of each layer.

Pinned: transformers 4.57.6, torch 2.15.0, numpy 2.4.6.
"""

import argparse
import json
import pathlib
import sys
import tempfile

import numpy as np
import torch
import transformers
from transformers.models.deepseek_v3 import modeling_deepseek_v3

import deepseek_v3_logits
import deepseek_v3_numpy
import qwen3_logits
from deepseek_v3_logits import DATA, PINNED, make_checkpoint, router_gaps

MAX_ROWS = 24
GOLDENS = [
    *(f"deepseek_v3_{name}" for name in deepseek_v3_logits.CASES),
    *(f"deepseek_v3_{entry[0]}" for entry in deepseek_v3_numpy.GOLDENS if not entry[5]),
    *(f"qwen3_{name}" for name in qwen3_logits.CASES),
]
# Of the layer's deviation; the numpy goldens' as those of the logits.
TOLERANCE = {"w8a16": 1e-4, "w8a8_block": 2e-3}


class Insides:
    """What is collected over one forward pass."""

    def __init__(self):
        self.hidden, self.experts, self.weights, self.gaps = [], [], [], []

    def add_choice(self, experts, weights, gaps):
        order = np.argsort(experts, axis=-1)
        self.experts.append(np.take_along_axis(experts, order, axis=-1))
        self.weights.append(np.take_along_axis(weights, order, axis=-1))
        self.gaps.append(gaps)


class WatchedEmulation(deepseek_v3_numpy.Emulation):
    def __init__(self, config, weights, is_quantised, seen):
        super().__init__(config, weights, is_quantised)
        self.seen = seen

    def layer(self, x, index):
        out = super().layer(x, index)
        self.seen.hidden.append(out)
        return out

    def route(self, x, prefix):
        experts, weights, biased = super().route(x, prefix)
        gaps = router_gaps(torch.from_numpy(biased), self.config)
        self.seen.add_choice(experts, weights, gaps.numpy())
        return experts, weights, biased


def run_transformers(model, tokens):
    seen = Insides()

    def watch_layer(_layer, _inputs, output):
        hidden = output[0] if isinstance(output, tuple) else output
        seen.hidden.append(hidden.reshape(len(tokens), -1).numpy())

    def watch_gate(gate, inputs, output):
        hidden = inputs[0].reshape(-1, gate.config.hidden_size)
        biased = torch.sigmoid(hidden @ gate.weight.T) + gate.e_score_correction_bias
        assert biased.min() > 0, "transformers' mask of 0.0 is not the published one's -inf here"
        gaps = router_gaps(biased, gate.config.to_dict())
        seen.add_choice(output[0].numpy(), output[1].numpy(), gaps.numpy())

    for layer in model.model.layers:
        layer.register_forward_hook(watch_layer)
    for module in model.modules():
        if isinstance(module, modeling_deepseek_v3.DeepseekV3TopkRouter):
            module.register_forward_hook(watch_gate)
    with torch.no_grad():
        model(torch.tensor([tokens]), use_cache=False)
    return seen


def run_golden(about, checkpoint):
    config, tokens = about["config"], about["tokens"]
    if about.get("numerics", "w8a16") == "w8a8_block":
        seen = Insides()
        weights = deepseek_v3_numpy.load(checkpoint)
        WatchedEmulation(config, weights, True, seen).main_output(tokens)
        return seen
    family = qwen3_logits if config["model_type"] == "qwen3" else deepseek_v3_logits
    return run_transformers(family.load_oracle(config, checkpoint), tokens)


def write(name, about, seen):
    count = len(about["tokens"])
    rows = sorted({int(i) for i in np.linspace(0, count - 1, MAX_ROWS)})
    hidden = np.stack(seen.hidden)
    parts = [hidden[:, rows].astype("<f4")]
    if seen.experts:
        parts += [np.stack(seen.experts).astype("<i4"), np.stack(seen.weights).astype("<f4")]
        parts += [np.stack(seen.gaps).astype("<f4")]
    numerics = about.get("numerics", "w8a16")
    description = {
        "script": "tests/golden/regenerate/layers.py",
        "arguments": "--engine build/release/bin/turnpike-engine",
        "versions": PINNED,
        "of": name,
        "source": about["source"],
        "tolerance": TOLERANCE[numerics],
        "why": "As the logits: " + about["why"],
        "rows": rows,
        "deviations": [float(layer.std()) for layer in hidden],
        "num_moe_layers": len(seen.experts),
        "num_chosen": int(seen.experts[0].shape[1]) if seen.experts else 0,
    }
    (DATA / f"{name}_layers.bin").write_bytes(b"".join(part.tobytes() for part in parts))
    (DATA / f"{name}_layers.json").write_text(json.dumps(description, indent=1) + "\n")
    smallest = min((gaps.min() for gaps in seen.gaps), default=float("nan"))
    print(f"{name}: hidden {hidden.shape}, smallest gap {smallest:.2e}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--engine", required=True, help="the turnpike-engine binary")
    parser.add_argument("goldens", nargs="*", default=GOLDENS, help="names; all when left out")
    arguments = parser.parse_args()
    modules = {"transformers": transformers, "torch": torch, "numpy": np}
    found = {name: module.__version__.split("+")[0] for name, module in modules.items()}
    if found != PINNED:
        sys.exit(f"expected {PINNED}, found {found}")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for name in arguments.goldens:
            about = json.loads((DATA / f"{name}.json").read_text())
            checkpoint = pathlib.Path(scratch) / name
            make_checkpoint(about["config"], about["seed"], arguments.engine, checkpoint)
            write(name, about, run_golden(about, checkpoint))


if __name__ == "__main__":
    main()
