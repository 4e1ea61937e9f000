"""What a layer keeps for its backward pass, tensor by tensor, and what the loss needs.

Widths are elements per token. A tensor is *split* over tensor ranks, or *replicated* on them unless the sequence is
split. The inputs of matrix products are apart: a stack may keep them in the products' precision.

Sources: Korthikanti et al. 2022, section 4 and Table 2; the operators' cached tensors of Megatron-Core with
TransformerEngine as listed in SimuMax 1.2; DeepSeek-V2 2024, section 2.1 (latent attention).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costsim.training.architecture import (
    Architecture,
    attention_output_width,
    key_width,
    moe_layers,
    query_width,
    value_width,
)
from costsim.training.device import Stack, Workload
from costsim.training.layout import Layout
from costsim.uncertainty.ranges import Num

FULL_BYTES = 4.0  # of a 32-bit element
SCORE_BYTES = 5.0  # of a score: 16-bit scores and softmax, one-byte dropout mask (Korthikanti et al. 2022, section 4.1)


@dataclass(frozen=True)
class Widths:
    """Elements per token that a block keeps.

    Attributes:
        split: on tensor ranks.
        split_inputs: on tensor ranks, read by a matrix product.
        replicated: on every tensor rank unless the sequence is split.
        replicated_inputs: the same, read by a matrix product.
        dispatched: inputs of routed experts, of the tokens sent to a rank; whole on each rank of an expert.
    """

    split: Num = 0.0
    split_inputs: Num = 0.0
    replicated: Num = 0.0
    replicated_inputs: Num = 0.0
    dispatched: Num = 0.0

    def __add__(self, other: Widths) -> Widths:
        """Two blocks together."""
        return Widths(*(x + y for x, y in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class Layer:
    """Bytes of one layer and one micro-batch on one rank.

    Attributes:
        stored: kept until the backward pass.
        working: made again and flowing while the layer's backward pass runs.
    """

    stored: Num
    working: Num


def attention_widths(a: Architecture) -> Widths:
    """Kept by an attention block and its norm.

    Replicated: the norm's input and output. Split: queries, keys, values and the core's result. Latent attention adds
    the compressed vectors before and after their norms, and keeps the up-projection of keys and values whole, because
    the values are a view of it, beside the keys joined with their rotary part.
    """
    h, out = float(a.hidden_size), float(attention_output_width(a))
    if a.attention.kind != "mla":
        return Widths(float(query_width(a) + key_width(a) + value_width(a)), out, h, h)
    m = a.attention
    raised = float(a.heads * (m.nope_size + m.v_size))
    latent = float(m.q_rank + m.kv_rank)
    return Widths(query_width(a) + key_width(a) + raised, out, h + latent + m.rope_size, h + latent)


def ffn_widths(a: Architecture, inner: float) -> Widths:
    """Kept by a dense feed-forward block and its norm: pre-activations (two if gated) and their product are split."""
    h = float(a.hidden_size)
    return Widths((2.0 if a.gated_ffn else 1.0) * inner, inner, h, h)


def expert_widths(a: Architecture, imbalance: Num) -> Widths:
    """Kept by a mixture of experts and its norm, for each token of a rank.

    Every active expert keeps its permuted input, its pre-activations and their product; shared experts theirs; the
    router reads the norm's output. The busiest rank gets ``imbalance`` times the mean number of tokens.
    """
    e = a.experts
    if e is None:
        return Widths()
    shared = ffn_widths(a, float(e.shared * e.shared_ffn_size))
    inner = imbalance * e.active * e.ffn_size
    routed = Widths(split=(2.0 if a.gated_ffn else 1.0) * inner, split_inputs=inner)
    return shared + routed + Widths(dispatched=imbalance * e.active * a.hidden_size)


def kept_bytes(widths: Widths, stack: Stack, layout: Layout, work: Workload) -> Num:
    """Bytes per token of one rank that a block of these widths keeps."""
    full = work.activation_bytes
    low = np.where(np.asarray(stack.low_precision_storage) > 0, np.minimum(work.matmul_bytes, full), full)
    spread = np.where(np.asarray(layout.sequence_parallel) > 0, 1.0 / layout.tensor, 1.0)
    split = widths.split * full + widths.split_inputs * low
    if np.any(widths.dispatched):
        split = split + widths.dispatched * low * layout.expert_tensor
    return (split / layout.tensor + (widths.replicated * full + widths.replicated_inputs * low) * spread) * (
        stack.activation_factor
    )


def norm_copy_bytes(a: Architecture, stack: Stack, work: Workload) -> Num:
    """Bytes of an element that a norm keeps beyond its input and output: unfused, an RMS norm works on a 32-bit copy.

    It keeps that copy in place of the input, and the normalised one (layer norms have a kernel of their own).
    """
    return 0.0 if a.norm_bias else stack.unfused_norms * (2 * FULL_BYTES - work.activation_bytes)


def unfused_bytes(a: Architecture, stack: Stack, layout: Layout, work: Workload, inner: Num) -> Num:
    """Bytes per token of one rank that a layer keeps because its small kernels are not fused, and keys repeated.

    Autograd keeps what each kernel reads. Rotation makes copies of queries and keys, while the joint projection stays
    because values are a view of it, unless those are repeated; the gate's activation is kept beside gate and product.

    Args:
        a: the model's shape.
        stack: which kernels are fused.
        layout: floats or arrays.
        work: bytes of elements.
        inner: width of the feed-forward block.
    """
    spread = np.where(np.asarray(layout.sequence_parallel) > 0, 1.0 / layout.tensor, 1.0)
    attention: Num = 0.0
    if a.attention.kind != "mla":
        queries, joint = float(query_width(a)), float(query_width(a) + key_width(a) + value_width(a))
        rotated = 0.0 if a.learned_positions else stack.unfused_blocks * (queries + key_width(a))
        attention = rotated
        if a.kv_heads < a.heads:
            all_three = 2 * queries + (joint if a.learned_positions else queries)
            attention = attention + stack.repeated_keys * (all_three - joint - rotated)
    gates = stack.unfused_blocks * inner if a.gated_ffn else 0.0
    extra_norms = max(0, a.norms_per_layer - 2) * work.activation_bytes * stack.unfused_norms
    norms = a.hidden_size * (a.norms_per_layer * norm_copy_bytes(a, stack, work) + extra_norms)
    return work.activation_bytes * (attention + gates) / layout.tensor + norms * spread


def layer(a: Architecture, stack: Stack, layout: Layout, work: Workload, rows: Num, *, sparse: bool) -> Layer:
    """Bytes of one layer for one micro-batch.

    Recomputation in full keeps the layer's input; selective keeps ``selective_kept`` of the rest and drops unfused
    scores. Split over context ranks, the result of attention is kept in both orders of its exchange.

    Args:
        a: the model's shape.
        stack: what it keeps.
        layout: floats or arrays.
        work: sequence length and bytes of elements.
        rows: tokens of a rank, from `costsim.training.schedule.tokens_of_rank`.
        sparse: a layer with experts rather than a dense one.
    """
    blocks = expert_widths(a, stack.expert_imbalance) if sparse else ffn_widths(a, float(a.ffn_size))
    whole = rows * kept_bytes(attention_widths(a) + blocks, stack, layout, work)
    if any(np.any(np.asarray(x) > 0) for x in (stack.unfused_blocks, stack.unfused_norms, stack.repeated_keys)):
        whole = whole + rows * unfused_bytes(a, stack, layout, work, inner_width(a, sparse=sparse))
    per_hidden = rows * (a.hidden_size * work.activation_bytes)
    exchanged = np.where(np.asarray(layout.context) > 1, attention_output_width(a) * work.activation_bytes, 0.0)
    whole = whole + rows * exchanged / layout.tensor
    spread = np.where(np.asarray(layout.sequence_parallel) > 0, 1.0 / layout.tensor, 1.0)
    full = per_hidden * spread
    unfused, scores = stack.unfused_attention, 0.0 * rows
    if np.any(np.asarray(unfused) > 0):  # that generation also trained with dropout: two masks of a byte
        scores = unfused * rows * (SCORE_BYTES * a.heads) * work.sequence_length / layout.tensor
        whole = whole + unfused * rows * (2.0 * a.hidden_size) * spread
    recompute = np.asarray(layout.recompute)
    again = np.where(recompute >= 2, full, np.minimum(whole, full + (whole - full) * stack.selective_kept))
    everything = whole + scores
    repeated = np.where(recompute >= 1, layout.recompute_share * (everything - again), 0.0)
    dropped = np.where(recompute >= 1, everything - again, 0.0)
    return Layer(everything - repeated, dropped + gradient_bytes(a, layout, work, rows, sparse=sparse))


def inner_width(a: Architecture, *, sparse: bool) -> float:
    """Elements per token between the two products of a feed-forward block, over all active and shared experts."""
    e = a.experts if sparse else None
    return float(e.active * e.ffn_size + e.shared * e.shared_ffn_size if e is not None else a.ffn_size)


def hidden_bytes(a: Architecture, layout: Layout, work: Workload, rows: Num) -> Num:
    """Bytes of one state of the residual stream on one rank."""
    spread = np.where(np.asarray(layout.sequence_parallel) > 0, layout.tensor, 1.0)
    return rows * (a.hidden_size * work.activation_bytes) / spread


def gradient_bytes(a: Architecture, layout: Layout, work: Workload, rows: Num, *, sparse: bool) -> Num:
    """Bytes of the gradients that flow through a layer: of the pre-activations, and twice of the residual stream."""
    split = (2.0 if a.gated_ffn else 1.0) * inner_width(a, sparse=sparse) / layout.tensor
    return rows * work.activation_bytes * (split + 2.0 * a.hidden_size)


def head_bytes(a: Architecture, stack: Stack, layout: Layout, work: Workload, rows: Num) -> Num:
    """Bytes of the final norm, the logits and the loss at their peak, on the last stage.

    The norm's input and output are kept; the head's input and its gradient are whole on each tensor rank; logits, the
    loss's copies of them and their gradient take ``logits_memory_bytes`` a vocabulary entry, split over tensor ranks.
    """
    spread = np.where(np.asarray(layout.sequence_parallel) > 0, 1.0 / layout.tensor, 1.0)
    hidden = a.hidden_size * work.activation_bytes
    return rows * (a.vocab_size * stack.logits_memory_bytes / layout.tensor + hidden * (2.0 + 2.0 * spread))


def has(a: Architecture) -> tuple[bool, bool]:
    """Whether the model has dense layers, and layers with experts."""
    return moe_layers(a) < a.layers, moe_layers(a) > 0
