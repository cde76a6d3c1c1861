"""Batches of tokenised documents, made by worker processes ahead of the trainer.

Batch n is made from seed (seed, n) alone, so the run is the same with any number of workers.
"""

import multiprocessing
import os
import queue
import random

import numpy as np
from tokenizers import Tokenizer

import corpus

NUM_GROUPS = 8
MAX_DOCUMENT = 512
NO_TARGET = -100


def encode(tokenizer, segments):
    """(ids, whether each is trained). Segments begin and end at special tokens, so they are encoded apart."""
    ids, trained = [], []
    for text, is_trained in segments:
        part = tokenizer.encode(text, add_special_tokens=False).ids
        ids += part
        trained += [is_trained] * len(part)
    return ids, trained


def grouped(documents):
    """Documents by length in groups; a group's documents are padded to its longest. Returns [(length, documents)]."""
    ordered = sorted(documents, key=lambda d: len(d[0]))
    size = -(-len(ordered) // NUM_GROUPS)
    groups = [ordered[i : i + size] for i in range(0, len(ordered), size)]
    return [(-(-len(g[-1][0]) // 8) * 8, g) for g in groups]


def make_batch(tokenizer, seed, index, num_rows):
    """(arrays of num_rows by name, the groups as (documents, padded length)). A draft's target is two tokens on."""
    rng = random.Random(f"{seed}/{index}")
    documents, total = [], 0
    while total < num_rows * 0.97:
        document = encode(tokenizer, corpus.sample(rng, "train").segments)
        if len(document[0]) > MAX_DOCUMENT:
            continue
        documents.append(document)
        total += len(document[0])
    while sum(length * len(g) for length, g in grouped(documents)) > num_rows:
        documents.pop()
    batch = {
        "tokens": np.zeros(num_rows, np.int64),
        "next_tokens": np.zeros(num_rows, np.int64),
        "targets": np.full(num_rows, NO_TARGET, np.int64),
        "draft_targets": np.full(num_rows, NO_TARGET, np.int64),
        "positions": np.zeros(num_rows, np.int64),
        "is_real": np.zeros(num_rows, np.float32),
    }
    row = 0
    shapes = []
    for length, group in grouped(documents):
        shapes.append((len(group), length))
        for ids, trained in group:
            fill(batch, row, np.array(ids), np.array(trained))
            row += length
    return batch, shapes


def fill(batch, row, ids, trained):
    n = len(ids)
    batch["tokens"][row : row + n] = ids
    batch["next_tokens"][row : row + n - 1] = ids[1:]
    batch["targets"][row : row + n - 1] = np.where(trained[1:], ids[1:], NO_TARGET)
    batch["draft_targets"][row : row + n - 2] = np.where(trained[2:], ids[2:], NO_TARGET)
    batch["positions"][row : row + n] = np.arange(n)
    batch["is_real"][row : row + n] = 1


def work(tokenizer_json, seed, first, step, num_rows, batches):
    """Until the process that began it is gone, however that ended."""
    tokenizer = Tokenizer.from_str(tokenizer_json)
    trainer = os.getppid()
    index, batch = first, None
    while os.getppid() == trainer:
        if batch is None:
            batch = make_batch(tokenizer, seed, index, num_rows)
        try:
            batches.put(batch, timeout=1)
        except queue.Full:
            continue
        index, batch = index + step, None
    batches.cancel_join_thread()  # nobody reads what is in it


def stream(tokenizer_json, seed, num_rows, num_workers, first=0):
    """Batches first, first + 1, … in order."""
    context = multiprocessing.get_context("fork")
    queues = [context.Queue(4) for _ in range(num_workers)]
    for i, own in enumerate(queues):
        args = (tokenizer_json, seed, first + i, num_workers, num_rows, own)
        context.Process(target=work, args=args, daemon=True).start()
    index = 0
    while True:
        yield queues[index % num_workers].get()
        index += 1
