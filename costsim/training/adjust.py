"""What a fit changes in a stack's constants: a few multipliers, each with a physical meaning.

A fit never sets a constant; it multiplies the prior that a file states, in logarithms, and never past what is
physically possible. Multipliers are pooled: those of a stack lie around those of its family, which lie around those of
all stacks, so that a stack without measurements has its family's, and a family without any has the prior.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from costsim.training.device import Stack
from costsim.uncertainty.ranges import Num

Adjustment: TypeAlias = Mapping[str, Num]
"""Log multiplier by handle; a handle that is absent is left as it is."""

HANDLES: Mapping[str, str] = MappingProxyType(
    {
        "matmul": "rate of matrix products",
        "attention": "rate of the attention core",
        "memory": "rate of element-wise passes, by how well they are fused",
        "host": "host time of a layer",
        "tensor": "exposed share of tensor-parallel communication",
        "network": "share of the network cards' bandwidth",
        "experts": "rate of grouped expert products",
        "launches": "host time of a layer with experts over that of a dense one",
        "dispatch": "exposed share of the experts' exchange",
        "data": "share of the backward pass that cannot hide gradient communication",
        "pipeline": "exposed share of hand-over between stages",
    }
)

_CAPPED = {"attention": ("attention_efficiency", 0.9), "network": ("scale_out_efficiency", 0.97)}  # fmt: skip
_PLAIN = {"matmul": "matmul", "host": "host_seconds", "experts": "grouped_matmul", "launches": "host_experts"}
_EXPOSED = {"tensor": "tensor_overlap", "dispatch": "expert_overlap", "data": "data_overlap"}


REFERENCE_YEAR = 2024.5
"""The year at which trends of software are zero: the middle of the measurements."""
TREND_SINCE = 2023.0
"""Trends start here: software of before is told apart as stacks of their own."""

Key: TypeAlias = tuple[str, str, str]
"""A parameter of a fit: kind of scope, its name, and the handle that it moves."""


@dataclass(frozen=True)
class Run:
    """What a fit tells runs apart by.

    Attributes:
        stack: name in the catalogue.
        family: of the stack.
        accelerator: name in the catalogue.
        generation: of the accelerator.
        precision: of the matrix products.
        scaling: how finely low-precision products are scaled: "tensor", "row", "block" or "".
        year: of the software, decimal.
        experts: whether the model is a mixture of experts.
    """

    stack: str
    family: str
    accelerator: str
    generation: str
    precision: str
    scaling: str = ""
    year: float = REFERENCE_YEAR
    experts: bool = False


ONLY_EXPERTS = frozenset({"experts", "launches", "dispatch"})
LOW_PRECISION = frozenset({"fp8", "fp4", "int8"})


def scopes(run: Run) -> Iterator[tuple[str, str, float]]:
    """The scopes that a run belongs to: kind, name, and by how much their parameters count."""
    yield "all", "all", 1.0
    yield "chip", run.accelerator, 1.0
    yield "family", run.family, 1.0
    yield "stack", run.stack, 1.0
    yield "stack on generation", f"{run.stack} on {run.generation}", 1.0
    if run.precision in LOW_PRECISION:
        yield "precision", f"{run.precision} {run.scaling}".strip(), 1.0
        yield "precision on generation", f"{run.precision} on {run.generation}", 1.0
    if run.year > TREND_SINCE:
        yield "trend of family", run.family, run.year - REFERENCE_YEAR
        yield "trend of stack", run.stack, run.year - REFERENCE_YEAR


def parameters_of(run: Run, spreads: Mapping[str, Mapping[str, float]]) -> Iterator[tuple[Key, float]]:
    """Parameters that move a run's constants, with their weight.

    Args:
        run: which.
        spreads: prior standard deviation of the parameters, by kind of scope and handle.
    """
    for kind, name, weight in scopes(run):
        for handle in spreads.get(kind, {}):
            if run.experts or handle not in ONLY_EXPERTS:
                yield (kind, name, handle), weight


def adjustment(run: Run, values: Mapping[Key, float]) -> dict[str, float]:
    """Log multipliers of a run under fitted values; what was not fitted counts as zero."""
    found = dict.fromkeys(HANDLES, 0.0)
    for kind, name, weight in scopes(run):
        for handle in found:
            if run.experts or handle not in ONLY_EXPERTS:
                found[handle] += weight * values.get((kind, name, handle), 0.0)
    return found


def constant_of(handle: str) -> str:
    """The constant of `costsim.training.device.Stack` that a handle moves."""
    if handle in _CAPPED:
        return _CAPPED[handle][0]
    return {"memory": "elementwise", "pipeline": "pipeline_exposed"}.get(handle) or {**_PLAIN, **_EXPOSED}[handle]


def adjusted(stack: Stack, by: Adjustment) -> Stack:
    """A stack with its constants multiplied.

    Args:
        stack: the priors.
        by: log multipliers by handle; arrays broadcast.
    """
    changed: dict[str, Num] = {}
    for handle, log in by.items():
        factor = np.exp(log)
        if handle in _CAPPED:
            name, most = _CAPPED[handle]
            changed[name] = np.minimum(getattr(stack, name) * factor, most)
        elif handle in _PLAIN:
            name = _PLAIN[handle]
            changed[name] = getattr(stack, name) * factor
        elif handle in _EXPOSED:
            name = _EXPOSED[handle]
            changed[name] = 1 - np.minimum((1 - getattr(stack, name)) * factor, 1.0)
        elif handle == "memory":
            changed["elementwise"] = stack.elementwise / factor
        elif handle == "pipeline":
            changed["pipeline_exposed"] = np.minimum(stack.pipeline_exposed * factor, 1.0)
    return replace(stack, **changed)
