"""Kernel times: the matrix-product law, the attention core, and traffic-bound passes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costsim.training.architecture import Architecture, moe_layers, query_width
from costsim.training.device import Chip, Stack, Workload
from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class Product:
    """A weight matrix that every token of a layer meets: ``inner × columns``, split over tensor ranks on one side."""

    inner: float
    columns: float
    split: str  # "columns", "rows" or "none"


def smooth_max(a: Num, b: Num, order: int = 4) -> Num:
    """The ``order``-norm of two times: near the larger where they differ, above both where they meet.

    A kernel that is nearly bound by both compute and memory overlaps them imperfectly; the 4-norm fits measured matrix
    products within 4–9 % on seven GPUs (fit to NVIDIA aiconfigurator kernel tables, 32,500 shapes each).
    """
    high = np.maximum(a, b)
    low = np.minimum(a, b)
    ratio = low / np.where(high > 0, high, 1.0)
    return high * (1 + ratio**order) ** (1 / order)


def matmul_seconds(rows: Num, inner: Num, columns: Num, chip: Chip, stack: Stack, work: Workload) -> Num:
    """Seconds of one ``rows × inner`` by ``inner × columns`` product.

    t = ((2mnk / P e)⁴ + (bytes / B μ)⁴)^¼ + t₀, with e and μ the efficiencies of large products and t₀ the launch.
    """
    flops = 2 * rows * inner * columns
    nbytes = work.matmul_bytes * (rows * inner + inner * columns) + work.activation_bytes * rows * columns
    busy = smooth_max(
        flops / (chip.matmul_flops * matmul_efficiency(chip, stack)),
        nbytes / (chip.memory_bandwidth * chip.matmul_memory_efficiency),
    )
    return busy + chip.launch_seconds


def matmul_efficiency(chip: Chip, stack: Stack) -> Num:
    """Share of peak that large products reach in this stack, never above 97 % whatever the multiplier says."""
    return np.minimum(chip.matmul_efficiency * stack.matmul, 0.97)


def attention_products(a: Architecture) -> list[Product]:
    """The weight matrices of one attention block (Vaswani 2017; MLA: DeepSeek-V2 2024, §2.1.1)."""
    mla = a.attention
    if mla.kind != "mla":
        width = query_width(a)
        fused = width + 2 * a.kv_heads * a.head_size
        return [Product(a.hidden_size, fused, "columns"), Product(width, a.hidden_size, "rows")]
    query_size = mla.nope_size + mla.rope_size
    query = [Product(a.hidden_size, a.heads * query_size, "columns")]
    if mla.q_rank:
        query = [
            Product(a.hidden_size, mla.q_rank, "none"),
            Product(mla.q_rank, a.heads * query_size, "columns"),
        ]
    return [
        *query,
        Product(a.hidden_size, mla.kv_rank + mla.rope_size, "none"),
        Product(mla.kv_rank, a.heads * (mla.nope_size + mla.v_size), "columns"),
        Product(a.heads * mla.v_size, a.hidden_size, "rows"),
    ]


def ffn_products(a: Architecture, ffn_size: float) -> list[Product]:
    """The weight matrices of one feed-forward block; gate and up projections run as one product."""
    up = ffn_size * (2 if a.gated_ffn else 1)
    return [Product(a.hidden_size, up, "columns"), Product(ffn_size, a.hidden_size, "rows")]


def products_seconds(products: list[Product], rows: Num, tensor: Num, chip: Chip, stack: Stack, work: Workload) -> Num:
    """Seconds of the products of a block for ``rows`` tokens, each split over ``tensor`` ranks."""
    total: Num = 0.0
    for product in products:
        inner = product.inner / tensor if product.split == "rows" else product.inner
        columns = product.columns / tensor if product.split == "columns" else product.columns
        total = total + matmul_seconds(rows, inner, columns, chip, stack, work)
    return total


def experts_seconds(
    a: Architecture, pairs: Num, experts: Num, tensor: Num, chip: Chip, stack: Stack, work: Workload
) -> Num:
    """Seconds of the grouped products of a rank's ``experts`` for ``pairs`` token-expert pairs.

    One grouped kernel reads every local expert's weights once. It runs below a dense product's rate, the more so the
    narrower the experts are: tiles and inner loops are short.
    """
    if a.experts is None:
        return 0.0
    ffn = a.experts.ffn_size / tensor
    up = ffn * (2 if a.gated_ffn else 1)
    flops = 2 * pairs * a.hidden_size * (up + ffn)
    weights = experts * a.hidden_size * (up + ffn) * work.matmul_bytes
    traffic = pairs * (2 * a.hidden_size + up + ffn) * work.activation_bytes
    grouped = stack.grouped_matmul * ffn / (ffn + stack.grouped_half_width)
    rate = chip.matmul_flops * matmul_efficiency(chip, stack) * np.minimum(grouped, 1.0) / stack.expert_imbalance
    bandwidth = chip.memory_bandwidth * chip.matmul_memory_efficiency
    return smooth_max(flops / rate, (weights + traffic) / bandwidth) + 2 * chip.launch_seconds


def attention_core_seconds(
    a: Architecture, causal_flops: Num, rows: Num, sequence_length: Num, tensor: Num, chip: Chip, stack: Stack
) -> Num:
    """Seconds of one layer's attention scores and values, forward.

    Flash attention (Dao 2023) skips the upper triangle and never writes scores. Earlier stacks compute the full square
    as two batched products and pass over the scores about 5.5 times (mask, softmax, dropout), 2 bytes an element.

    Args:
        a: the model's shape.
        causal_flops: of one layer, for the rank's tokens and heads, causal pairs only.
        rows: tokens of the rank.
        sequence_length: keys that each token meets in the full square.
        tensor: ranks that split the heads.
        chip: the device.
        stack: ``unfused_attention`` says which.
    """
    flash = causal_flops / (chip.vector_flops * stack.attention_efficiency) + chip.launch_seconds
    if not np.any(np.asarray(stack.unfused_attention) > 0):
        return flash
    scores = rows * sequence_length * a.heads / tensor
    square = 2 * causal_flops / (chip.vector_flops * matmul_efficiency(chip, stack))
    passes = SCORE_PASSES * 2 * scores / (chip.memory_bandwidth * chip.matmul_memory_efficiency)
    return np.where(np.asarray(stack.unfused_attention) > 0, square + passes, flash)


SCORE_PASSES = 5.5


def elementwise_bytes_per_token(a: Architecture, tensor: Num, sequence_parallel: Num, stack: Stack) -> Num:
    """Forward traffic of a layer's norms, residuals and activation, bytes per token of a rank.

    22 bytes per hidden element for norms, dropout and residuals in an unfused 16-bit layer and 4 per feed-forward
    element (6 with a gate), times the stack's fusion factor (term list of Calculon, SC'23).
    """
    split = np.where(np.asarray(sequence_parallel) > 0, tensor, 1.0)
    active_ffn = float(a.ffn_size)
    if a.experts is not None:
        share = moe_layers(a) / a.layers
        sparse = a.experts.active * a.experts.ffn_size + a.experts.shared * a.experts.shared_ffn_size
        active_ffn = (1 - share) * a.ffn_size + share * sparse
    activation = (6 if a.gated_ffn else 4) * active_ffn / tensor
    return stack.elementwise * (22 * a.hidden_size / split + activation)
