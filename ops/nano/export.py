"""Writes a trained checkpoint as Hugging Face's files: `python3 ops/nano/export.py CHECKPOINT OUT`.

Linear layers are FP8 e4m3 with a scale per 128 x 128 block (`weight_scale_inv`), as in DeepSeek-V3's checkpoints;
embedding, head, norms, routers and eh_proj are BF16, the routers' biases F32.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

import model
import train


def named(params, biases):
    """The tensors under the names of the published checkpoints: experts one by one."""
    for name, value in params.items():
        if ".experts." in name and "shared_experts" not in name:
            before, after = name.split(".experts.")
            for e in range(value.shape[0]):
                yield f"{before}.experts.{e}.{after}", value[e]
        else:
            yield name, value
    for i, bias in biases.items():
        yield f"model.layers.{i}.mlp.gate.e_score_correction_bias", bias


def checkpoint_tensors(params, biases):
    out = {}
    for name, value in named(params, biases):
        value = value.detach().float()
        if name.endswith("e_score_correction_bias"):
            out[name] = value.contiguous()
        elif model.is_fp8(name):
            out[name], out[name + "_scale_inv"] = model.to_fp8(value)
        else:
            out[name] = value.to(torch.bfloat16).contiguous()
    return out


def main(checkpoint, folder):
    held = train.restore(Path(checkpoint))
    tensors = checkpoint_tensors(held["params"], held["biases"])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {k: v for k, v in model.CONFIG.items() if v is not None}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    size = (folder / "model.safetensors").stat().st_size
    print(f"{len(tensors)} tensors, {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:3])
