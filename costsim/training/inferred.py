"""A plausible shape for a model of which only the size is known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from costsim.training.architecture import Architecture, Experts, parameters


@dataclass(frozen=True)
class Proportions:
    """Proportions of the models that are copied; facts of published models, kept as data.

    Attributes:
        aspect: hidden size over layers.
        ffn_ratio: inner width of the feed-forward layers that a token uses, over the hidden size.
        head_size: width of a head.
        kv_heads: key and value heads, or the greatest number of them that divides the query heads.
        vocab_size: rows of the vocabulary.
        small_vocab_size: those of models of fewer parameters than ``tied_below``.
        tied_below: parameters below which the embeddings are tied.
        active_experts: routed experts that a token uses in a mixture of experts.
    """

    aspect: float
    ffn_ratio: float
    head_size: int
    kv_heads: int
    vocab_size: int
    small_vocab_size: int
    tied_below: float
    active_experts: int


LAYER_STEP, FFN_STEP, EXPERT_STEP = 4, 16, 8
"""Layers, feed-forward widths and experts are multiples of these, so that they can be split over devices."""


def infer_shape(total: int, active: int | None, like: Proportions) -> Architecture:
    """Choose a shape of the given size.

    Tried are hidden sizes that are multiples of the head size (of eight of them from there on), layers in multiples of
    4, and a feed-forward layer that gives the number of parameters to within its step of 16. Chosen is the shape whose
    proportions are nearest to ``like``, measured by the logarithm of their ratio, a miss of the size weighing 100
    times as much. With fewer active parameters every layer is a mixture of a multiple of 8 experts, and a shared one
    whose width gives the number of active parameters.

    Args:
        total: parameters.
        active: parameters that a token uses; None, or ``total``, for a dense model.
        like: the proportions to copy.

    Raises:
        ValueError: no shape of that size has anything like these proportions.
    """
    sparse = active is not None and active < total
    used = active if sparse and active is not None else total

    def cost(a: Architecture) -> float:
        count, e = parameters(a), a.experts
        miss = abs(count.total / total - 1) + (abs(count.active / used - 1) if e else 0.0)
        width = e.active * e.ffn_size + e.shared_ffn_size if e else a.ffn_size
        proportions = _apart(a.hidden_size / a.layers, like.aspect) + _apart(width / a.hidden_size, like.ffn_ratio)
        return proportions + 100 * miss + (0.3 * _apart(e.active, like.active_experts) if e else 0.0)

    candidates = [
        shape
        for skeleton in _skeletons(total, used, like)
        for shape in (_sparse(skeleton, total, used, like) if sparse else _dense(skeleton, total))
    ]
    if not candidates:
        raise ValueError(f"no shape of {total:,} parameters is in proportion")
    return min(candidates, key=cost)


def _apart(value: float, other: float) -> float:
    """How far two positive numbers are apart, as a logarithm."""
    return abs(math.log(value / other))


def _skeletons(total: int, used: int, like: Proportions) -> Iterator[Architecture]:
    """Shapes without feed-forward layers: each hidden size with the layers that go with it."""
    small, step = total < like.tied_below, like.head_size
    for hidden in [step * i for i in range(1, 8)] + [8 * step * i for i in range(1, 129)]:
        heads = hidden // step
        a = Architecture(
            layers=1,
            hidden_size=hidden,
            heads=heads,
            kv_heads=math.gcd(heads, like.kv_heads),
            head_size=step,
            ffn_size=round(like.ffn_ratio * hidden),
            vocab_size=like.small_vocab_size if small else like.vocab_size,
            tied_embeddings=small,
        )
        one = parameters(a).total
        layer = parameters(replace(a, layers=2)).total - one
        groups = round((1 + (used - one) / layer) / LAYER_STEP)
        for layers in {LAYER_STEP * n for n in (groups - 1, groups, groups + 1) if n > 0}:
            if _apart(hidden / layers, like.aspect) < math.log(4):
                yield replace(a, layers=layers, ffn_size=0)


def _dense(skeleton: Architecture, total: int) -> Iterator[Architecture]:
    """The skeleton with the feed-forward layers that give the parameters."""
    room = total - parameters(skeleton).total
    width = FFN_STEP * round(room / (3 * skeleton.hidden_size * skeleton.layers) / FFN_STEP)
    if width > 0:
        yield replace(skeleton, ffn_size=width)


def _sparse(skeleton: Architecture, total: int, used: int, like: Proportions) -> Iterator[Architecture]:
    """The skeleton with experts: routed ones for what a token does not use, a shared one for what is left to use."""
    base, matrix = parameters(skeleton).total, 3 * skeleton.hidden_size * skeleton.layers
    for active in range(1, like.active_experts + 1) if used > base else ():
        enough = active * (total - base) / (used - base)
        for step in (0, 1, 2):
            routed = EXPERT_STEP * (math.ceil(enough / EXPERT_STEP) + step)
            width = FFN_STEP * round((total - used) / (matrix * (routed - active)) / FFN_STEP)
            room = used - base - skeleton.layers * skeleton.hidden_size * routed - matrix * active * width
            shared = FFN_STEP * round(room / matrix / FFN_STEP)
            if width > 0 and shared >= 0:
                experts = Experts(routed, active, width, shared=1 if shared else 0, shared_ffn_size=shared)
                yield replace(skeleton, ffn_size=width, experts=experts)
