"""Pipeline stages: which layers, embedding and head each one holds, and how many micro-batches it has in flight.

A stage is asked for by its number, 0 to ``pipeline - 1``; number and layout may be arrays. Where the layers do not
divide, some stages hold one fewer: where two are missing one at either end (Llama 3 2024, section 3.3.2: 126 layers on
16 stages, 7 at the ends), else the last stages. Nothing is averaged: the fullest stage decides what fits.
"""

from __future__ import annotations

from dataclasses import dataclass

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
        return np.maximum(0.0, layer - e.dense_layers)
    within = np.minimum(layer, a.layers)
    sparse = np.maximum(0.0, within // e.every - e.dense_layers // e.every)
    return sparse + np.maximum(0.0, layer - a.layers)


def in_flight(layout: Layout, stage: Num) -> Num:
    """Micro-batches whose activations a stage stores at its peak.

    1F1B: ``p - stage``. Interleaved: ``(v - 1) p + 2 (p - stage - 1) + 1`` chunks of a v-th of the stage, which on the
    first is ``p (1 + (p - 1) / (p v))`` (Narayanan et al. 2021, section 2.2; Korthikanti et al. 2022, section 4.2.3).
    """
    p, v = layout.pipeline, layout.virtual_pipeline
    after = p - stage
    interleaved = ((v - 1) * p + 2 * after - 1) / v
    return np.minimum(layout.gradient_accumulation, np.where(np.asarray(v) > 1, interleaved, after))


def stage_of(a: Architecture, layout: Layout, stage: Num) -> Stage:
    """What one rank of a stage holds.

    Args:
        a: the model's shape.
        layout: floats or arrays.
        stage: 0 to ``pipeline - 1``; a number beyond is taken as the last.
    """
    last = layout.pipeline - 1
    stage = np.minimum(stage, last)
    w = weights(a)
    start, end = layers_before(a, layout, stage), layers_before(a, layout, stage + 1)
    count = end - start
    sparse: Num = 0.0
    if moe_layers(a):
        sparse = moe_before(a, end) - moe_before(a, start)
    head = np.where(np.asarray(stage) == last, 1.0, 0.0)
    first = np.where(np.asarray(stage) == 0, 1.0, 0.0)
    split = count * w.dense_layer + first * w.embedding + head * (w.head + w.joining)
    if a.tied_embeddings:
        split = split + np.where((first < 1) & (head > 0), w.copy, 0.0)
    routed: Num = 0.0
    if moe_layers(a):
        split = split + sparse * (w.moe_layer - w.dense_layer)
        routed = sparse * (w.routed / (layout.expert * layout.expert_tensor))
    dense = split / layout.tensor + count * w.norms + head * w.outer
    return Stage(count - sparse, sparse, dense, routed, first, head, in_flight(layout, stage))


def fullest(a: Architecture, layout: Layout) -> tuple[Stage, Stage, Stage]:
    """The stages that can be the fullest: the first, the second and the last.

    The first holds the most micro-batches and the embedding; the second may hold a layer more than the first, or
    experts where the first layers are dense; the last holds the head and the logits. Any other holds the layers of
    the second and fewer micro-batches.
    """
    return stage_of(a, layout, 0.0), stage_of(a, layout, 1.0), stage_of(a, layout, layout.pipeline - 1)
