"""The decoder on several ranks: replicated with gradients averaged (DDP), or fully sharded (FSDP2)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh

from costsim.bench.decoder import Decoder
from costsim.bench.devices import Backend
from costsim.bench.dtypes import computing
from costsim.bench.kernels import adamw
from costsim.bench.record import Dtype
from costsim.bench.room import Work

Parallel = Literal["none", "ddp", "fsdp2"]
PARALLEL: tuple[Parallel, ...] = get_args(Parallel)


def fully_sharded(model: Decoder, mesh: DeviceMesh) -> None:
    """Shard it in place with FSDP2: each block by itself; embedding, last norm and head together."""
    from torch.distributed.fsdp import fully_shard

    for block in model.layers:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


class ParallelTrainer:
    """A model on all ranks, its optimizer and this rank's batch of random tokens.

    Args:
        backend: this rank's device.
        work: shape and tokens of one rank.
        dtype: of weights, activations, gradients on the wire and optimizer states.
        parallel: ``none`` (ranks side by side without a word), ``ddp`` or ``fsdp2``.
        rank: of this process, so that every rank has tokens of its own.
        ranks: of all.
    """

    def __init__(self, backend: Backend, work: Work, dtype: Dtype, parallel: Parallel, rank: int, ranks: int) -> None:
        self.backend, self.dtype = backend, dtype
        torch.manual_seed(0)
        a = work.architecture
        with computing(dtype, backend.device):
            model = Decoder(a, work.sequence)
            torch.manual_seed(1 + rank)
            text = torch.randint(0, a.vocab_size, (work.micro_batch, work.sequence + 1))
            self.tokens, self.targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()
            self.model = self._wrapped(model, parallel, ranks)
            self.optimizer, _ = adamw(list(self.model.parameters()))

    def _wrapped(self, model: Decoder, parallel: Parallel, ranks: int) -> nn.Module:
        if parallel == "ddp":
            own = [self.backend.device.index] if self.backend.device.type == "cuda" else None
            return nn.parallel.DistributedDataParallel(model, device_ids=own, gradient_as_bucket_view=True)
        if parallel == "fsdp2":
            fully_sharded(model, init_device_mesh(self.backend.device.type, (ranks,)))
        return model

    def step(self) -> None:
        """Forward, backward and update."""
        with computing(self.dtype, self.backend.device):
            self.model(self.tokens, self.targets).backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

    def seconds(self) -> list[float]:
        """Times of as many steps as the device times at once."""
        return times(self.backend, self.step)


def times(backend: Backend, call: Callable[[], object], repeats: int = 1) -> list[float]:
    """Seconds of a call, as many times as the device times at once; ``repeats`` calls in each."""
    marks = [backend.mark()]
    for _ in range(backend.batch):
        for _ in range(repeats):
            call()
        marks.append(backend.mark())
    stamps = backend.stamps(marks)
    return [(after - before) / repeats for before, after in pairwise(stamps)]
