"""A training step of one device as a sum of few terms, each a count of the shape times a measured coefficient.

The counts are those that the step-time schedule makes of a shape, so that coefficients that were fitted to timed
components (``identify``) say what the schedule's constants are on that device (``calibrated``), and both agree on it.
Every time is linear in the coefficients but for the roofline of thin products, whose bandwidth is given.

Sources: llm-foundry's throughput table is fitted within 3 % by such a sum (docs/bench.md); Narayanan et al. 2021 §5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from costsim.training.architecture import (
    Architecture,
    attention_flops_per_token,
    attention_output_width,
    parameters,
    query_width,
)
from costsim.training.kernels import attention_products, ffn_products, smooth_max

Array: TypeAlias = NDArray[np.float64]

ATTENTION_BACKWARD = 2.8  # Dao 2023, FlashAttention-2 §4: 2.5 times the FLOPs at about 0.9 of the forward's rate
PASSES = 3  # products of a weight in a step: forward, gradient of its input, gradient of itself

COEFFICIENTS: Mapping[str, str] = MappingProxyType(
    {
        "matmul": "s per FLOP of large matrix products",
        "weight": "s per weight of a product and micro-batch, beyond its FLOPs: packing, writing its gradient",
        "launch": "s per kernel of products and attention: what small shapes pay",
        "attention": "s per causal FLOP of the attention core, forward; backward 2.8 times that",
        "score": "s per causal score, forward and backward: its exponential",
        "hidden": "s per element of the residual stream, token and layer: norms, rotations, residuals",
        "head": "s per head of queries and keys, token and layer: what rotations pay for short rows",
        "ffn": "s per inner element of the feed-forward layer, token and layer: its activation",
        "logit": "s per token and vocabulary entry: cross-entropy",
        "update": "s per parameter and optimizer step",
        "embedding": "s per parameter of the embedding and micro-batch: its gradient is as large as it is",
    }
)
NAMES = tuple(COEFFICIENTS)
PARTS = ("embedding", "blocks", "head", "optimizer")


@dataclass(frozen=True)
class Work:
    """A step of one device.

    Attributes:
        architecture: the shape.
        sequence: tokens of a sequence.
        micro_batch: sequences.
        element_bytes: of weights and activations.
    """

    architecture: Architecture
    sequence: float
    micro_batch: float
    element_bytes: float = 2.0

    @property
    def tokens(self) -> float:
        """Tokens of a micro-batch."""
        return self.sequence * self.micro_batch


def product_flops(rows: float, inner: float, columns: float, work: Work, rate: float, bandwidth: float) -> float:
    """FLOPs of one product, more where it is so thin that memory sets its time (``kernels.matmul_seconds``).

    Args:
        rows: of the left factor: tokens.
        inner: what is summed over.
        columns: of the right factor.
        work: for the bytes of an element.
        rate: FLOP/s of large products.
        bandwidth: bytes/s of products.
    """
    flops = 2 * rows * inner * columns
    nbytes = work.element_bytes * (rows * inner + inner * columns + rows * columns)
    return float(smooth_max(flops / rate, nbytes / bandwidth) * rate)


def counts(work: Work, rate: float, bandwidth: float) -> dict[str, Array]:
    """What each part of a step has of each coefficient; arrays over ``NAMES``.

    Args:
        work: the step, one micro-batch.
        rate: FLOP/s of large products, for the roofline of thin ones.
        bandwidth: bytes/s of products.
    """
    a, n = work.architecture, work.tokens
    products = [*attention_products(a), *ffn_products(a, a.ffn_size)]
    flops = sum(product_flops(n, p.inner, p.columns, work, rate, bandwidth) for p in products)
    count = parameters(a)
    core = float(attention_flops_per_token(a, work.sequence, multi_token_prediction=False)) * n
    blocks = {
        "matmul": a.layers * PASSES * flops,
        "weight": a.layers * sum(p.inner * p.columns for p in products),
        "launch": a.layers * (PASSES * len(products) + 1 + ATTENTION_BACKWARD),
        "attention": core * (1 + ATTENTION_BACKWARD),
        "score": core * scores_per_flop(a),
        "hidden": a.layers * n * a.hidden_size,
        "head": a.layers * n * (a.heads + a.kv_heads),
        "ffn": a.layers * n * a.ffn_size,
    }
    head = {
        "matmul": PASSES * product_flops(n, a.hidden_size, a.vocab_size, work, rate, bandwidth),
        "weight": a.hidden_size * a.vocab_size,
        "launch": PASSES,
        "logit": n * a.vocab_size,
    }
    return {
        "embedding": _row({"embedding": count.embedding}),
        "blocks": _row(blocks),
        "head": _row(head),
        "optimizer": _row({"update": count.total}),
    }


def linear_counts(tokens: float, inputs: float, outputs: float, work: Work, rate: float, bandwidth: float) -> Array:
    """What the forward and backward pass of one linear layer has of each coefficient; an array over ``NAMES``."""
    flops = PASSES * product_flops(tokens, inputs, outputs, work, rate, bandwidth)
    return _row({"matmul": flops, "weight": inputs * outputs, "launch": PASSES})


def scores_per_flop(a: Architecture) -> float:
    """Causal scores over causal FLOPs of the attention core: one of the four FLOPs times the head's size."""
    return a.heads / (2.0 * (query_width(a) + attention_output_width(a)))


def _row(found: Mapping[str, float]) -> Array:
    return np.array([float(found.get(name, 0.0)) for name in NAMES])


@dataclass(frozen=True)
class Coefficients:
    """Fitted coefficients of one device, software and number format.

    Attributes:
        values: of ``NAMES``, in the units of ``COEFFICIENTS``; none is negative.
        covariance: of their estimates, in the squares of those units.
        identified: of each, whether the measurements say it rather than its prior.
        bandwidth: bytes/s of products, which was given.
        transfer: standard deviation of log measured over predicted time of shapes that were not fitted, beyond what the
            covariance says.
    """

    values: Array
    covariance: Array
    identified: tuple[bool, ...]
    bandwidth: float
    transfer: float

    @property
    def rate(self) -> float:
        """FLOP/s of large matrix products."""
        return float(1 / self.values[0])

    def of(self, name: str) -> float:
        """One of them."""
        return float(self.values[NAMES.index(name)])


def part_seconds(c: Coefficients, work: Work) -> dict[str, float]:
    """Seconds of each part of a step."""
    return {part: float(row @ c.values) for part, row in counts(work, c.rate, c.bandwidth).items()}


def step_seconds(c: Coefficients, work: Work) -> float:
    """Seconds of a step of one micro-batch."""
    return sum(part_seconds(c, work).values())


def step_spread(c: Coefficients, work: Work) -> float:
    """Standard deviation of the logarithm of a step's time: the coefficients' own doubt, and that of a new shape."""
    row = sum(counts(work, c.rate, c.bandwidth).values(), start=np.zeros(len(NAMES)))
    seconds = float(row @ c.values)
    own = float(row @ c.covariance @ row) / seconds**2
    return float(np.sqrt(own + c.transfer**2))
