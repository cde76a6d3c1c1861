"""Trains r1-nano: `python3 ops/nano/train.py --tokenizer FOLDER --out FOLDER`.

With --start it begins with an exported model's weights. --resume goes on with a run that was cut, from its last
checkpoint in --out to the weights that it would have had. The learning rate rises, holds and falls over --steps; with
--minutes the steps follow from the measured speed, so only a run with --steps can be repeated. From --round-from of the
way on, weights are rounded to FP8 in the forward pass.
"""

import argparse
import json
import os
import time
from pathlib import Path

import torch

import batches
import model

DRAFT_WEIGHT = 0.3
BIAS_STEP = 1e-3
CHECKPOINT = "checkpoint.pt"
WARM_UP = 300
UNKNOWN = 10**9  # steps, before the speed is known
SETTLED, FIRST_GUESS = 10, 60  # the steps after which speed is measured, and first used


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="folder of an exported model to start from")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--save-every", type=int, default=200, help="steps")
    parser.add_argument("--steps", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--rows", type=int, default=65536)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--round-from", type=float, default=0.6)
    parser.add_argument("--fall-from", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=max(1, os.cpu_count() - 2))
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args()


def save(folder, params, biases, optimizer, info):
    """All that a run needs to go on, in one file that is whole whenever it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    held = {"params": params, "biases": biases, "optimizer": optimizer.state_dict(), "info": info}
    torch.save(held, folder / (CHECKPOINT + ".part"))
    os.replace(folder / (CHECKPOINT + ".part"), folder / CHECKPOINT)
    (folder / "info.json").write_text(json.dumps(info, indent=1) + "\n")  # for people


def restore(folder):
    """What save() was given, on the processor: "params", "biases", the state of "optimizer", "info"."""
    return torch.load(folder / CHECKPOINT, map_location="cpu", weights_only=True)


def resumed(args):
    """The checkpoint in --out, which must be of the run that is asked for."""
    if not args.steps:
        raise SystemExit("--resume wants --steps: a run by the clock has no same end twice")
    if not (args.out / CHECKPOINT).exists():
        raise SystemExit(f"--resume: expected a checkpoint in {args.out}, found none")
    held = restore(args.out)
    for name, asked in recipe(args, args.steps).items():
        if held["info"][name] != asked:
            raise SystemExit(f"--resume: the run began with {name} {held['info'][name]}, asked is {asked}")
    return held


def recipe(args, steps):
    """What the weights follow from, beside --start."""
    names = ("rows", "rate", "seed", "round_from", "fall_from")
    return {"of_steps": steps} | {name: getattr(args, name) for name in names}


def from_model(folder, device):
    """Parameters and biases of an exported model: what its FP8 weights stand for."""
    from safetensors.torch import load_file

    held = {n: t.float() for n, t in load_file(folder / "model.safetensors").items()}
    params = {}

    def value(name):
        scales = held.get(name + "_scale_inv")
        return held[name] if scales is None else model.from_fp8(held[name], scales)

    for name, shape in model.shapes().items():
        if len(shape) < 3:
            params[name] = value(name)
            continue
        before, after = name.split(".experts.")
        params[name] = torch.stack([value(f"{before}.experts.{e}.{after}") for e in range(shape[0])])
    names = {i: f"model.layers.{i}.mlp.gate.e_score_correction_bias" for i in model.initial_biases("cpu")}
    biases = {i: held[n].to(device) for i, n in names.items()}
    return {n: t.to(device).contiguous().requires_grad_() for n, t in params.items()}, biases


def optimizer_of(params, rate, is_cuda):
    matrices = [p for n, p in params.items() if not model.is_norm(n) and "embed" not in n]
    others = [p for n, p in params.items() if model.is_norm(n) or "embed" in n]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.97), eps=1e-10, fused=is_cuda)


def to_device(batch, shapes, device):
    out = {}
    for name, array in batch.items():
        tensor = torch.from_numpy(array)
        out[name] = tensor.pin_memory().to(device, non_blocking=True) if device == "cuda" else tensor
    out["groups"] = shapes
    return out


def rate_at(step, steps, args):
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    progress = step / steps
    if progress < args.fall_from:
        return 1.0
    return max(0.01, (1 - progress) / (1 - args.fall_from))


@torch.no_grad()
def balance(biases, loads):
    """Experts with less than their share get a higher bias, the others a lower: balance without a loss."""
    for i, load in loads.items():
        biases[i] += BIAS_STEP * torch.sign(load.mean() - load)
        biases[i] -= biases[i].mean()


class Pace:
    """How many steps there will be: as told, or as many as fit into the minutes at the speed seen so far."""

    def __init__(self, args):
        self.began = time.monotonic()
        self.minutes = args.minutes
        self.steps = args.steps or UNKNOWN

    def seconds(self):
        return time.monotonic() - self.began

    def update(self, step):
        if step == SETTLED:
            self.settled = self.seconds()
        is_due = step == FIRST_GUESS or step > FIRST_GUESS and step % 200 == 0
        if not self.minutes or not is_due:
            return
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        a_step = (self.seconds() - self.settled) / (step - SETTLED)
        self.steps = step + max(1, int((self.minutes * 60 - self.seconds()) / a_step))


def report(step, pace, rate, figures, loads):
    most = max(float(load.max() / load.mean()) for load in loads.values())
    print(
        f"step {step} of {pace.steps} loss {figures[0]:.4f} right {figures[1]:.4f} draft {figures[2]:.4f} "
        f"{figures[3]:.4f} busiest expert {most:.2f} x mean, rate {rate:.2e} {pace.seconds():.0f} s",
        flush=True,
    )


def main():
    args = parse()
    if not (args.steps or args.minutes):
        raise SystemExit("expected --steps or --minutes, found neither")
    pace = Pace(args)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    file = (args.tokenizer / "tokenizer.json").read_text(encoding="utf-8")
    held = resumed(args) if args.resume else None
    step = held["info"]["steps"] if held else 0
    source = batches.stream(file, args.seed, args.rows, args.workers, step)
    first = next(source)  # the workers are forked before the device is opened
    if held:
        params = {n: t.detach().to(device).requires_grad_() for n, t in held["params"].items()}
        biases = {i: t.to(device) for i, t in held["biases"].items()}
    elif args.start:
        params, biases = from_model(args.start, device)
    else:
        params, biases = model.initial(args.seed, device), model.initial_biases(device)
    print(f"{sum(p.numel() for p in params.values()) / 1e6:.2f} M parameters on {device}", flush=True)
    network = model.Network(args.compile)
    optimizer = optimizer_of(params, args.rate, device == "cuda")
    if held:
        optimizer.load_state_dict(held["optimizer"])
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    begun_at = step
    while step < pace.steps:
        batch = to_device(*(first if step == begun_at else next(source)), device)
        rate = args.rate * rate_at(step, pace.steps, args)
        for group in optimizer.param_groups:
            group["lr"] = rate
        is_rounded = pace.steps < UNKNOWN and step >= args.round_from * pace.steps
        weights = model.compute_weights(params, is_rounded, dtype)
        loss, right, draft_loss, draft_right, loads = network.forward(weights, biases, batch)
        count = (batch["targets"] >= 0).sum()
        draft_count = (batch["draft_targets"] >= 0).sum()
        (loss / count + DRAFT_WEIGHT * draft_loss / draft_count).backward()
        torch.nn.utils.clip_grad_norm_(list(params.values()), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        balance(biases, loads)
        step += 1
        pace.update(step)
        is_last = step >= pace.steps
        if step % 100 == 0 or step in (1, 10, FIRST_GUESS) or is_last:
            sums = (loss / count, right / count, draft_loss / draft_count, draft_right / draft_count)
            report(step, pace, rate, [float(x.detach()) for x in sums], loads)
        if step % args.save_every == 0 or is_last:
            shares = {i: [round(float(x), 4) for x in load / load.sum()] for i, load in loads.items()}
            info = {"steps": step} | recipe(args, pace.steps)
            info |= {"seconds": round(pace.seconds()), "loss": float(loss.detach() / count), "loads": shares}
            save(args.out, params, biases, optimizer, info)


if __name__ == "__main__":
    main()
