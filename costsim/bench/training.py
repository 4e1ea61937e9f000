"""A training step of one shape: built, warmed up, timed by component, and checked that it learns."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from typing import Literal

import torch

from costsim.bench import noise
from costsim.bench.decoder import Decoder
from costsim.bench.devices import Backend
from costsim.bench.dtypes import computing
from costsim.bench.kernels import adamw
from costsim.bench.record import COMPONENTS, Dtype, Step, Timing
from costsim.bench.statistics import Rule, median, timing
from costsim.bench.step import StepTimes, spans, timed_step
from costsim.bench.timing import watched
from costsim.inputs.bench import NoiseLimits
from costsim.training.architecture import Architecture


class Trainer:
    """A model with its optimizer and one batch of random tokens.

    Args:
        backend: the device.
        a: the shape, its layers included.
        sequence: tokens of a sequence.
        micro_batch: sequences.
        dtype: of weights, activations and optimizer states.
        compiled: compile the three parts of the model.
        seed: of weights and tokens.
    """

    def __init__(
        self,
        backend: Backend,
        a: Architecture,
        sequence: int,
        micro_batch: int,
        dtype: Dtype,
        compiled: bool = False,
        seed: int = 0,
    ) -> None:
        self.backend, self.dtype = backend, dtype
        torch.manual_seed(seed)
        with computing(dtype, backend.device):
            self.model = Decoder(a, sequence)
            # Uniform tokens: one that came again and again would make the embedding's gradient cheap.
            text = torch.randint(0, a.vocab_size, (micro_batch, sequence + 1))
        self.tokens, self.targets = text[:, :-1].contiguous(), text[:, 1:].contiguous()
        self.optimizer, self.optimizer_kind = adamw(list(self.model.parameters()))
        self.loss: torch.Tensor | None = None
        if compiled:
            self.model.embedding = torch.compile(self.model.embedding)
            self.model.blocks = torch.compile(self.model.blocks)  # type: ignore[method-assign]
            self.model.head = torch.compile(self.model.head)

    def update(self) -> None:
        """The optimizer's part of a step."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def steps(self) -> list[StepTimes]:
        """Run as many steps as the device times at once."""
        backend, runs = self.backend, []
        with computing(self.dtype, backend.device):
            for _ in range(backend.batch):
                before = time.perf_counter()
                marks, self.loss = timed_step(self.model, self.update, self.tokens, self.targets, backend.mark)
                runs.append((marks, time.perf_counter() - before))
        return [StepTimes(spans(backend.stamps(marks)), host) for marks, host in runs]

    def loss_now(self) -> float:
        """Loss of the last step that ran, nats per token, before its update."""
        return float("nan") if self.loss is None else float(self.loss.detach())


def measure(
    backend: Backend,
    a: Architecture,
    sequence: int,
    micro_batch: int,
    dtype: Dtype,
    rule: Rule,
    limits: NoiseLimits,
    *,
    compiled: bool = False,
    role: Literal["designed", "target"] = "designed",
    after: Callable[[Trainer], None] | None = None,
) -> Step:
    """Time the step of one shape.

    The peak of memory is that of the first two steps, in which a CPU's allocator gives back what is freed.

    Args:
        backend: the device.
        a: the shape.
        sequence: tokens of a sequence.
        micro_batch: sequences.
        dtype: number format.
        rule: when to stop.
        limits: of the noise.
        compiled: with torch.compile.
        role: what the shape is for.
        after: is given the trainer while it is still there.
    """
    gc.collect()
    backend.release()
    floor = backend.start_peak()
    trainer = Trainer(backend, a, sequence, micro_batch, dtype, compiled)
    early: list[StepTimes] = []
    first_loss = None
    while len(early) < 2:
        early += trainer.steps()
        first_loss = trainer.loss_now() if first_loss is None else first_loss
    peak = backend.end_peak()
    gc.freeze()
    gc.disable()
    try:
        collected, conditions = watched(backend, trainer.steps, lambda one: one.seconds, rule)
    finally:
        gc.enable()
        gc.unfreeze()
    whole = timing(
        [one.seconds for one in collected.samples],
        [one.seconds for one in (*early, *collected.warmup)],
        settled=collected.settled,
    )
    if after is not None:
        after(trainer)
    return Step(
        timing=whole,
        conditions=conditions,
        verdict=noise.verdict(conditions, whole, limits, backend.threads),
        architecture=a,
        sequence=sequence,
        micro_batch=micro_batch,
        dtype=dtype,
        components=_by_component(collected.samples),
        compiled=compiled,
        role=role,
        peak_bytes=None if floor is None or peak is None or peak <= floor else peak - floor,
        host_seconds=median([one.host for one in collected.samples]),
        first_loss=first_loss,
        last_loss=trainer.loss_now(),
    )


def _by_component(samples: Sequence[StepTimes]) -> dict[str, Timing]:
    """Times of each component over the steps."""
    columns = zip(*(one.components for one in samples), strict=True)
    return {name: timing(column) for name, column in zip(COMPONENTS, columns, strict=True)}
