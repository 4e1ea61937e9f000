"""Trains two steps in a process of its own and writes the peak of resident memory above its start, in bytes."""

from __future__ import annotations

import gc
import importlib
import sys
from typing import Any

import memory_oracle

from costsim.bench import system
from costsim.bench.decoder import Decoder
from costsim.bench.kernels import adamw
from costsim.training.architecture import Architecture

torch: Any = importlib.import_module("torch")


def train(a: Architecture, sequence: int, micro: int) -> None:
    """Two steps."""
    model = Decoder(a, sequence)
    optimizer, _ = adamw(list(model.parameters()))
    tokens, targets = (torch.randint(0, a.vocab_size, (micro, sequence)) for _ in range(2))
    for _ in range(2):
        model(tokens, targets).backward()
        optimizer.step()
        optimizer.zero_grad()


layers, hidden, ffn, vocab, length, sequences = map(int, sys.argv[1:])
if not system.return_heap():
    sys.exit("malloc is not glibc's")
torch.set_num_threads(1)
train(memory_oracle.shape(2, 64, 64, 64), 16, 1)  # libraries come into memory with their first use
gc.collect()
system.reset_peak()
before = system.resident_bytes() or 0
train(memory_oracle.shape(layers, hidden, ffn, vocab), length, sequences)
sys.stdout.write(str((system.resident_bytes(peak=True) or 0) - before))
