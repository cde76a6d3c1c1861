"""Scores the shipped weights, dequantised to f32, as transformers runs them: the same held-out problems, temperature
and checker as evaluate.py, and transformers' own sampler.

    python3 ops/nano/peer.py [--samples N] [--problems N] [--batch N] [--model FOLDER] [--engine PROGRAM]

Wants torch, transformers, safetensors and tokenizers; the engine only renders the prompts.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

import export
import held_out
import model
import score
import torch
import train
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

ROOT = pathlib.Path(__file__).resolve().parents[2]
EOS = 1


def parse():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=pathlib.Path, default=ROOT / "config/files/models/r1-nano")
    parser.add_argument("--engine", type=pathlib.Path, default=ROOT / "build/release/bin/turnpike-engine")
    parser.add_argument("--problems", type=int, default=1200)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=512)
    parser.add_argument("--failures", type=int, default=0)
    return parser.parse_args()


def load(folder):
    """transformers' model of the main layers in f32; it has no draft layer."""
    params, biases = train.from_model(folder, "cpu")
    config = {k: v for k, v in model.CONFIG.items() if v is not None and k != "quantization_config"}
    with tempfile.TemporaryDirectory(prefix="nano-peer-") as out:
        out = pathlib.Path(out)
        tensors = {n: v.detach().float().contiguous().clone() for n, v in export.named(params, biases)}
        save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
        (out / "config.json").write_text(json.dumps(config | {"torch_dtype": "float32"}))
        return AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()


def prompt_ids(args, problem):
    body = {"messages": problem.messages} | ({"tools": problem.tools} if problem.tools else {})
    done = subprocess.run([args.engine, "render", "--model", args.model, "--json"], check=True,
                          input=json.dumps(body), capture_output=True, text=True)
    return json.loads(done.stdout)["ids"]


def generate(args, network, prompts):
    """The new tokens of each prompt, up to the end token; prompts are padded on the left."""
    width = max(map(len, prompts))
    ids = torch.tensor([[EOS] * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    with torch.no_grad():
        out = network.generate(ids, attention_mask=mask, do_sample=True, temperature=0.6, top_p=0.95, top_k=0,
                               max_new_tokens=args.max_tokens, eos_token_id=EOS, pad_token_id=EOS)
    answers = [row[width:].tolist() for row in out]
    return [a[: a.index(EOS)] if EOS in a else a for a in answers]


def message(tokenizer, tokens):
    text = tokenizer.decode(tokens, skip_special_tokens=False)
    thought, closed, content = text.partition("</think>")
    return {"reasoning": thought.replace("<think>", "").strip() if closed else "", "content": content.strip()}


def main():
    args = parse()
    torch.manual_seed(1)
    network = load(args.model)
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    problems = held_out.load()[: args.problems]
    # Prompts of like length together: less padding.
    asked = [(i, ids) for i, p in enumerate(problems) for ids in [prompt_ids(args, p)] for _ in range(args.samples)]
    asked.sort(key=lambda pair: len(pair[1]))
    replies, tokens = [[] for _ in problems], [0] * len(problems)
    for first in range(0, len(asked), args.batch):
        batch = asked[first : first + args.batch]
        for (i, _), new in zip(batch, generate(args, network, [ids for _, ids in batch])):
            replies[i].append(message(tokenizer, new))
            tokens[i] += len(new) + 1
    score.print_table(score.score(problems, replies, tokens, args.failures))


if __name__ == "__main__":
    main()
