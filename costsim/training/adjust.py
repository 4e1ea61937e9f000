"""What a fit changes in a stack's constants: a few multipliers, each with a physical meaning.

A fit never sets a constant; it multiplies the prior that a file states, in logarithms, and never past what is
physically possible.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
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
