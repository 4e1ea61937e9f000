"""Matrix products, linear layers, memory and the optimizer, each by itself. Operands are normal numbers, never zeros.

Zeros would flatter: a GPU that multiplies them draws less power and keeps a higher clock (15 % on an A100).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from costsim.bench.devices import Backend
from costsim.bench.dtypes import computing, torch_dtype
from costsim.bench.record import Bandwidth, Dtype, Gemm, Layout, Linear, Optimizer
from costsim.bench.statistics import Rule
from costsim.bench.timing import timed
from costsim.inputs.bench import NoiseLimits

SMALLEST = 2**28  # bytes to copy where the system tells of no cache


def gemm(
    backend: Backend, m: int, n: int, k: int, layout: Layout, dtype: Dtype, rule: Rule, limits: NoiseLimits
) -> Gemm:
    """Time one product of m × k by k × n, its operands in memory as the layout has them."""
    with computing(dtype, backend.device), torch.no_grad():
        call = product(m, n, k, layout)
        return Gemm(*timed(backend, call, rule, limits), m, n, k, layout, dtype)


def product(m: int, n: int, k: int, layout: Layout) -> Callable[[], torch.Tensor]:
    """The product as a call, with operands and result allocated.

    Of a linear layer y = x Wᵀ with W in memory as (outputs, inputs): forward multiplies x by the transposed W, the
    gradient of x multiplies g by W as it is, the gradient of W multiplies the transposed g by x.
    """
    left = torch.randn(k, m).T if layout == "wgrad" else torch.randn(m, k)
    right = torch.randn(n, k).T if layout == "forward" else torch.randn(k, n)
    out = torch.empty(m, n)
    return lambda: torch.mm(left, right, out=out)


def linear(
    backend: Backend, tokens: int, inputs: int, outputs: int, dtype: Dtype, rule: Rule, limits: NoiseLimits
) -> Linear:
    """Time forward and backward of one linear layer."""
    with computing(dtype, backend.device):
        x = torch.randn(tokens, inputs, requires_grad=True)
        weight = (torch.randn(outputs, inputs) * inputs**-0.5).requires_grad_()
        gradient = torch.randn(tokens, outputs)

        def call() -> None:
            torch.autograd.grad(torch.nn.functional.linear(x, weight), (x, weight), gradient)

        return Linear(*timed(backend, call, rule, limits), tokens, inputs, outputs, dtype)


def bandwidth(
    backend: Backend, cache_bytes: int, wanted_bytes: int, free_bytes: int, rule: Rule, limits: NoiseLimits
) -> Bandwidth:
    """Time a copy between two arrays that no cache holds, filled with a block of normal numbers over and over.

    Args:
        backend: the device.
        cache_bytes: of its last-level cache.
        wanted_bytes: of both arrays; at least 256 MiB are taken, and half of the free memory at most.
        free_bytes: memory that is free.
        rule: when to stop.
        limits: of the noise.
    """
    size = min(max(wanted_bytes, SMALLEST), free_bytes // 2) // 2
    block = torch.randn(2**20, device=backend.device, dtype=torch.float32)
    first, second = (torch.empty(size // 4 // 2**20, 2**20, device=backend.device) for _ in range(2))
    first.copy_(block)
    second.copy_(block)
    moved = 2 * first.numel() * 4
    return Bandwidth(*timed(backend, lambda: second.copy_(first), rule, limits), "copy", moved, moved, cache_bytes)


def adamw(parameters: list[torch.nn.Parameter], rate: float = 1e-3) -> tuple[torch.optim.Optimizer, str]:
    """AdamW, fused into one kernel where torch has that for the device, and which it is."""
    try:
        return torch.optim.AdamW(parameters, lr=rate, fused=True), "fused"
    except RuntimeError:
        return torch.optim.AdamW(parameters, lr=rate, foreach=True), "foreach"


def optimizer(backend: Backend, count: int, dtype: Dtype, rule: Rule, limits: NoiseLimits) -> Optimizer:
    """Time one update of ``count`` parameters whose weights, gradients and moments have this format.

    In FP32 that is what mixed precision does to its master copy.
    """
    width = 1024
    with computing(dtype, backend.device):
        weights = [torch.nn.Parameter(torch.randn(width, width)) for _ in range(max(1, count // width**2))]
        for weight in weights:
            weight.grad = torch.randn(width, width)
        updating, kind = adamw(weights)
        measured = timed(backend, updating.step, rule, limits)
    return Optimizer(*measured, len(weights) * width**2, dtype, dtype, kind)


def bytes_of(dtype: Dtype) -> int:
    """Bytes of an element."""
    return torch_dtype(dtype).itemsize
