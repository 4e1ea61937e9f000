"""Whether a step fits: its predicted peak memory, and the sizes below where it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from costsim.inputs.stack import load_stack
from costsim.training.architecture import Architecture
from costsim.training.device import Stack, Workload
from costsim.training.layout import Layout
from costsim.training.memory import counted, memory

SHARE = 0.8  # of the free memory; the rest is for fragments and for what the estimate misses
SHORTEST = 128  # tokens; below, a step tells little of the model


@dataclass(frozen=True)
class Work:
    """A step: its shape and how many tokens."""

    architecture: Architecture
    sequence: int
    micro_batch: int

    def smaller(self) -> Work | None:
        """A size down: half the sequences, else half of each; None where it would tell little."""
        if self.micro_batch > 1:
            return replace(self, micro_batch=self.micro_batch // 2)
        return replace(self, sequence=self.sequence // 2) if self.sequence >= 2 * SHORTEST else None


def predicted_bytes(work: Work, element_bytes: int, kind: str) -> float:
    """Peak of live tensors in a step, as `costsim.training.memory` counts it.

    Args:
        work: the step.
        element_bytes: of a weight, an activation and an optimizer state.
        kind: of device.
    """
    layout = Layout(micro_batch=work.micro_batch)
    size = float(element_bytes)
    load = Workload(work.sequence, work.micro_batch, matmul_bytes=size, activation_bytes=size)
    return float(counted(memory(work.architecture, _stack(kind), layout, load), "allocated"))


@cache
def _stack(kind: str) -> Stack:
    return load_stack("eager-cpu" if kind == "cpu" else "eager").stack.constants()


def fitting(work: Work, element_bytes: int, kind: str, free_bytes: float) -> Work | None:
    """The largest size of a step that fits; None if even the smallest does not."""
    current: Work | None = work
    while current is not None and predicted_bytes(current, element_bytes, kind) > SHARE * free_bytes:
        current = current.smaller()
    return current
