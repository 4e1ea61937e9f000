"""Pipeline stages: which layers, embedding and head each one holds, and how many micro-batches it has in flight.

A stage is asked for by its number, 0 to ``pipeline - 1``; number and layout may be arrays. Where the layers do not
divide, some stages hold one fewer: where two are missing one at either end (Llama 3 2024, section 3.3.2: 126 layers on
16 stages, 7 at the ends), else the last stages. Nothing is averaged: the fullest stage decides what fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from costsim.training.architecture import Architecture, moe_layers, parameters
from costsim.training.layout import Layout
from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class Stage:
    """What one rank of a stage holds, before sharding over replicas.

    Attributes:
        dense_layers: layers with a dense feed-forward block.
        moe_layers: layers with experts, multi-token prediction modules included.
        dense: parameters that every replica shares: all but routed experts.
        sparse: parameters of routed experts.
        embedding: 1 on the first stage, else 0.
        head: 1 on the last stage, which makes the logits, else 0.
        in_flight: micro-batches whose activations it stores at its peak.
    """

    dense_layers: Num
    moe_layers: Num
    dense: Num
    sparse: Num
    embedding: Num
    head: Num
    in_flight: Num


@dataclass(frozen=True)
class Weights:
    """Parameters of the pieces that stages are made of.

    Attributes:
        dense_layer: a layer with a dense feed-forward block, without its norms.
        moe_layer: a layer with experts, without its norms and its routed experts.
        routed: all routed experts of a layer.
        norms: norms of a layer; held whole by every tensor rank.
        embedding: token and position embedding.
        head: the head where it is not tied, and its bias.
        copy: of a tied embedding, which the last stage needs beside the first one's.
        outer: norms outside the layers; on the last stage.
        joining: projections and norms of the multi-token prediction modules, besides their layers; on the last stage.
    """

    dense_layer: float
    moe_layer: float
    routed: float
    norms: float
    embedding: float
    head: float
    copy: float
    outer: float
    joining: float


@lru_cache(maxsize=256)
def weights(a: Architecture) -> Weights:
    """Count the pieces."""
    p = parameters(a)
    routed = a.experts.routed * p.expert_each if a.experts is not None else 0
    return Weights(
        dense_layer=float(p.attention_per_layer + p.ffn_dense_per_layer),
        moe_layer=float(p.attention_per_layer + p.shared_experts_per_layer + p.router_per_layer),
        routed=float(routed),
        norms=float(p.norms_per_layer),
        embedding=float(p.embedding),
        head=float(p.head),
        copy=float(a.vocab_size * a.hidden_size) if a.tied_embeddings else 0.0,
        outer=float(p.norms_total - a.layers * p.norms_per_layer),
        joining=float(p.multi_token_prediction) - a.multi_token_prediction * _module_layer(a, routed),
    )


def _module_layer(a: Architecture, routed: float) -> float:
    """Parameters of the transformer layer within a multi-token prediction module."""
    p = parameters(a)
    sparse = routed + p.shared_experts_per_layer + p.router_per_layer
    ffn = sparse if a.experts is not None else p.ffn_dense_per_layer
    return float(p.attention_per_layer + p.norms_per_layer + ffn)


def layers_before(a: Architecture, layout: Layout, stage: Num) -> Num:
    """Layers of all stages before ``stage``; at ``stage = pipeline`` all of them.

    Multi-token prediction modules count as layers after the last.
    """
    layers = a.layers + a.multi_token_prediction
    most = np.ceil(layers / layout.pipeline)
    missing = most * layout.pipeline - layers
    from_end = np.maximum(0.0, stage - (layout.pipeline - missing))
    both_ends = np.minimum(stage, 1.0) + np.maximum(0.0, stage - (layout.pipeline - 1))
    return stage * most - np.where(missing == 2, both_ends, from_end)


def moe_before(a: Architecture, layer: Num) -> Num:
    """Layers with experts among the first ``layer`` ones, multi-token prediction modules included."""
    e = a.experts
    if e is None:
        return 0.0
    if e.every == 1:
        plain: Num = np.maximum(0.0, layer - e.dense_layers)
        return plain
    within = np.minimum(layer, a.layers)
    sparse = np.maximum(0.0, within // e.every - e.dense_layers // e.every)
    total: Num = sparse + np.maximum(0.0, layer - a.layers)
    return total


def in_flight(layout: Layout, after: Num) -> Num:
    """Micro-batches whose activations a stage stores at its peak.

    1F1B: ``p - stage``. Interleaved: ``(v - 1) p + 2 (p - stage - 1) + 1`` chunks of a v-th of the stage, which on the
    first is ``p (1 + (p - 1) / (p v))`` (Narayanan et al. 2021, section 2.2; Korthikanti et al. 2022, section 4.2.3).

    Args:
        layout: floats or arrays.
        after: ``p - stage``, the stages from this one on.
    """
    p, v = layout.pipeline, layout.virtual_pipeline
    interleaved = p + (2 * after - 1 - p) / v
    return np.minimum(layout.gradient_accumulation, np.where(np.asarray(v) > 1, interleaved, after))


class Place(NamedTuple):
    """Where a stage lies: its layers from ``start`` to ``end``, flags of embedding and head, and ``p - stage``."""

    start: Num
    end: Num
    embedding: Num
    head: Num
    after: Num


def stage_of(a: Architecture, layout: Layout, stage: Num) -> Stage:
    """What one rank of a stage holds.

    Args:
        a: the model's shape.
        layout: floats or arrays.
        stage: 0 to ``pipeline - 1``.
    """
    return _held(a, layout, _place(a, layout, stage))


def fullest(a: Architecture, layout: Layout) -> list[Stage]:
    """The stages that can be the fullest: the first, the second and the last.

    The first holds the most micro-batches and the embedding; the second may hold a layer more than the first; the last
    holds the head and the logits. Where the first layers are dense and the others have experts, also the first stage
    beyond them. Any other holds what one of these holds and fewer micro-batches (experts in every layer or every
    second). Each is equal to its `stage_of`, in fewer steps.
    """
    return [_held(a, layout, place) for place in _places(a, layout)]


def heaviest(a: Architecture, layout: Layout) -> tuple[Num, Num]:
    """Parameters that the heaviest rank holds before sharding over replicas: (shared by all, routed experts)."""
    stages = [_parameters(a, layout, place) for place in _places(a, layout)]
    dense, sparse, _ = stages[0]
    for other, routed, _ in stages[1:]:
        if not moe_layers(a):
            dense = np.maximum(dense, other)
            continue
        more = other + routed > dense + sparse
        dense, sparse = np.where(more, other, dense), np.where(more, routed, sparse)
    return dense, sparse


def _place(a: Architecture, layout: Layout, stage: Num) -> Place:
    """Of a stage by its number."""
    first = np.where(np.asarray(stage) == 0, 1.0, 0.0)
    last = np.where(np.asarray(stage) == layout.pipeline - 1, 1.0, 0.0)
    start, end = layers_before(a, layout, stage), layers_before(a, layout, stage + 1)
    return Place(start, end, first, last, layout.pipeline - stage)


def _places(a: Architecture, layout: Layout) -> list[Place]:
    """Of the stages that can be the fullest; of the only one where nothing is split."""
    p = layout.pipeline
    layers = float(a.layers + a.multi_token_prediction)
    if np.all(np.asarray(p) == 1):
        return [Place(0.0, layers, 1.0, 1.0, 1.0)]
    most = np.ceil(layers / p)
    missing = most * p - layers
    both_ends = missing == 2
    alone = np.where(np.asarray(p) > 1, 0.0, 1.0)
    first = most - both_ends
    last = most - (missing > 0)
    fewer = (missing >= p - 1) & (missing > 0) & ~both_ends
    second = np.where(np.asarray(p) > 2, most - fewer, last)
    start = first * (1.0 - alone)
    final = np.where(np.asarray(p) > 2, 0.0, 1.0)
    places = [
        Place(0.0, first, 1.0, alone, p),
        Place(start, start + second, alone, final, np.maximum(1.0, p - 1.0)),
        Place(layers - last, layers, alone, 1.0, 1.0),
    ]
    if a.experts is not None and a.experts.dense_layers > 1:
        beyond = 1 + np.ceil(np.maximum(0.0, a.experts.dense_layers - first) / most)
        places.append(_place(a, layout, np.minimum(beyond, p - 1)))
    return places


def _parameters(a: Architecture, layout: Layout, place: Place) -> tuple[Num, Num, Num]:
    """(shared parameters, parameters of routed experts, layers with experts) of one rank of a stage."""
    w = weights(a)
    count = place.end - place.start
    split = count * w.dense_layer + place.embedding * w.embedding + place.head * (w.head + w.joining)
    if a.tied_embeddings:
        split = split + place.head * (1.0 - place.embedding) * w.copy
    sparse: Num = 0.0
    routed: Num = 0.0
    if moe_layers(a):
        sparse = moe_before(a, place.end) - moe_before(a, place.start)
        split = split + sparse * (w.moe_layer - w.dense_layer)
        routed = sparse * (w.routed / (layout.expert * layout.expert_tensor))
    return split / layout.tensor + count * w.norms + place.head * w.outer, routed, sparse


def _held(a: Architecture, layout: Layout, place: Place) -> Stage:
    """What a stage holds, and its micro-batches."""
    dense, routed, sparse = _parameters(a, layout, place)
    return Stage(
        dense_layers=place.end - place.start - sparse,
        moe_layers=sparse,
        dense=dense,
        sparse=routed,
        embedding=place.embedding,
        head=place.head,
        in_flight=in_flight(layout, place.after),
    )
