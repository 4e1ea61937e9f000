"""Peak memory of a step of the bench's decoder as torch's own tracker counts it, without running it.

Tensors are fake: they have a shape, a dtype and a lifetime, and no storage: 8 billion parameters need no memory.
The tracker books every one of them where torch's autograd and optimizer make and free it.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from functools import partial
from typing import Any

from costsim.inputs.stack import load_stack
from costsim.training.architecture import Architecture, parameters
from costsim.training.device import Workload
from costsim.training.layout import Layout
from costsim.training.memory import Memory, memory

FULL = 2.0  # index of full recomputation


@dataclass(frozen=True)
class Case:
    """A step: the shape, its tokens, and how it is trained.

    Attributes:
        ranks: over which FSDP2 shards it; 0 for one device without it.
    """

    a: Architecture
    sequence: int
    micro_batch: int
    element_bytes: int = 2
    recompute: bool = False
    accumulation: int = 1
    ranks: int = 0


def shape(layers: int, hidden: int, ffn: int, vocab: int, heads: int = 0, kv: int = 0, **more: Any) -> Architecture:
    """A Llama with heads of 64, or of 128 from 2,048 wide on."""
    heads = heads or hidden // (64 if hidden < 2048 else 128)
    return Architecture(layers, hidden, heads, kv or heads, hidden // heads, ffn, vocab, **more)


def analytic(case: Case, stack: str = "eager-cpu") -> Memory:
    """The plan's own count, with the constants of a stack: eager torch on a CPU."""
    size, ranks = float(case.element_bytes), max(1, case.ranks)
    layout = Layout(
        data=float(ranks),
        sharding=3.0 if case.ranks else 0.0,
        micro_batch=float(case.micro_batch),
        recompute=FULL if case.recompute else 0.0,
        gradient_accumulation=float(case.accumulation),
    )
    sequences = float(case.micro_batch * ranks * case.accumulation)
    work = Workload(float(case.sequence), sequences, matmul_bytes=size, activation_bytes=size)
    return memory(case.a, load_stack(stack).stack.constants(), layout, work)


def naive_bytes(case: Case) -> float:
    """What is often reckoned: weights and moments, 11 d + 4 f elements a token and layer, and 8 bytes a logit."""
    a, size, rows = case.a, case.element_bytes, case.micro_batch * case.sequence
    layer = a.hidden_size if case.recompute else 11 * a.hidden_size + 4 * a.ffn_size
    gradients = size if case.accumulation > 1 else 0
    states = (3 * size + gradients) * parameters(a).total / max(1, case.ranks)
    return states + rows * (a.layers * layer * size + 8 * a.vocab_size)


def tracked_bytes(case: Case) -> float:
    """The tracker's peak of the second of two steps, in bytes."""
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    device = torch.device("cpu")
    with _mesh(case.ranks) as mesh, _default_dtype(case.element_bytes), FakeTensorMode(), device:
        model, optimizer, tracker = _tracked(case, mesh)
        with tracker:
            for _ in range(2):
                for _ in range(case.accumulation):
                    size = case.micro_batch, case.sequence
                    tokens, targets = (torch.randint(0, case.a.vocab_size, size) for _ in range(2))
                    model(tokens, targets).backward()
                    tracker.reset_mod_stats()
                optimizer.step()
                optimizer.zero_grad()
        return float(tracker.get_tracker_snapshot("peak")[device]["Total"])


def _tracked(case: Case, mesh: Any) -> tuple[Any, Any, Any]:
    """Model, optimizer and the tracker of both."""
    import torch
    from torch.distributed._tools.fsdp2_mem_tracker import FSDPMemTracker
    from torch.distributed._tools.mem_tracker import MemTracker

    from costsim.bench.decoder import Decoder

    model = Decoder(case.a, case.sequence)
    if case.recompute:
        for block in model.layers:
            block.forward = partial(torch.utils.checkpoint.checkpoint, block.forward, use_reentrant=False)
    if mesh is None:
        optimizer = torch.optim.AdamW(model.parameters(), fused=True)
        tracker = MemTracker()
        tracker.track_external(model, optimizer)
        return model, optimizer, tracker
    from costsim.bench.parallel import fully_sharded

    # With fused or foreach updates the propagation of shardings makes whole tensors, which the tracker books.
    fully_sharded(model, mesh)
    optimizer = torch.optim.AdamW(model.parameters(), foreach=False)
    return model, optimizer, FSDPMemTracker(model, optimizer)


@contextlib.contextmanager
def _mesh(ranks: int) -> Any:
    """A group of so many ranks of which only this one is there; None for none."""
    if not ranks:
        yield None
        return
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        yield init_device_mesh("cpu", (ranks,))
    finally:
        dist.destroy_process_group()


@contextlib.contextmanager
def _default_dtype(element_bytes: int) -> Any:
    import torch

    before = torch.get_default_dtype()
    torch.set_default_dtype({2: torch.bfloat16, 4: torch.float32}[element_bytes])
    try:
        yield
    finally:
        torch.set_default_dtype(before)


# Parameters from 10 million to 8 billion. The first few are the tests'; all of them are the benchmark's.
LLAMA_8B = shape(32, 4096, 14336, 128256, kv=8)
SMALL = shape(8, 256, 704, 8192)  # 10.6 M
GPT_2 = shape(12, 768, 3072, 50304, gated_ffn=False, tied_embeddings=True, learned_positions=1024, norm_bias=True)
MIDDLE = shape(16, 1024, 2816, 32768, kv=4)  # 0.25 B
BILLION = shape(16, 2048, 8192, 128256, kv=4, tied_embeddings=True)  # 1.1 B
THREE = shape(28, 3072, 8192, 128256, kv=8, tied_embeddings=True)  # 3.2 B

PLAIN = [
    Case(SMALL, 512, 4),
    Case(shape(4, 512, 1408, 32768), 1024, 4),
    Case(GPT_2, 1024, 8),
    Case(GPT_2, 1024, 8, element_bytes=4),
    Case(GPT_2, 1024, 16, recompute=True),
    Case(MIDDLE, 2048, 4),
    Case(MIDDLE, 128, 1, element_bytes=4),
    Case(MIDDLE, 2048, 4, recompute=True, element_bytes=4),
    Case(MIDDLE, 1024, 2, accumulation=2),
    Case(BILLION, 2048, 2),
    Case(BILLION, 8192, 1, recompute=True),
    Case(BILLION, 512, 1, element_bytes=4),
    Case(THREE, 4096, 2, recompute=True),
    Case(LLAMA_8B, 8192, 1),
    Case(LLAMA_8B, 8192, 1, recompute=True),
    Case(LLAMA_8B, 2048, 1, element_bytes=4),
]
SHARDED = [
    Case(shape(8, 512, 1408, 8192), 512, 2, ranks=2),
    Case(shape(4, 512, 1408, 32768), 512, 2, ranks=2),
    Case(MIDDLE, 2048, 4, ranks=8),
    Case(MIDDLE, 1024, 1, element_bytes=4, ranks=8, recompute=True),
    Case(GPT_2, 1024, 8, ranks=4),
    Case(BILLION, 4096, 1, ranks=8, recompute=True),
    Case(BILLION, 2048, 2, ranks=16, element_bytes=4),
    Case(THREE, 4096, 1, ranks=64, recompute=True),
    Case(LLAMA_8B, 8192, 1, ranks=8),
    Case(LLAMA_8B, 8192, 1, ranks=64, recompute=True),
    Case(LLAMA_8B, 4096, 2, ranks=256, element_bytes=4),
]
