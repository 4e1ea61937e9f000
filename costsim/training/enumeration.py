"""Every legal layout of a cluster: degrees are crossed key by key, and what breaks a rule is dropped at once.

Rules are checked as soon as the keys that they speak of are there, so that the full product of all keys, of which few
per cent are legal, is never made; what a dropped layout would have become is counted as refused all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from math import prod
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from costsim.training.architecture import Architecture, moe_layers
from costsim.training.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_TOKENS = 4096  # of a context rank: shorter pieces of a sequence are not worth their exchanges
MOST_STAGES, MOST_CHUNKS, MOST_TENSOR, MOST_CONTEXT, MOST_EXPERT, MOST_MICRO_BATCH = 64, 12, 16, 16, 256, 64
POD = 256  # accelerators of a domain that is no node or rack: groups of ranks are parts of a torus, of any size
AXES = (
    "tensor",
    "pipeline",
    "context",
    "virtual_pipeline",
    "sharding",
    "expert",
    "expert_tensor",
    "micro_batch",
    "shard_ranks",
    "sequence_parallel",
    "offload",
    "recompute_share",
    "recompute",
)


@dataclass(frozen=True)
class Space:
    """What a stack allows the search to use, with each key fixed where the scenario gives it.

    Attributes:
        tensor: whether tensor parallelism may be used.
        pipeline: whether pipeline parallelism may be used.
        context: whether context parallelism may be used.
        sharding: indices into ``SHARDING``.
        recompute: indices into ``RECOMPUTE``.
        sequence_parallel: whether it is used with tensor parallelism.
        fixed: keys that the scenario gives, by name.
    """

    tensor: bool
    pipeline: bool
    context: bool
    sharding: Sequence[int]
    recompute: Sequence[int]
    sequence_parallel: bool
    fixed: Mapping[str, float]


@dataclass(frozen=True)
class Candidates:
    """Legal layouts and why the others were refused.

    Attributes:
        grid: the layouts: arrays of shape ``(m,)``, but ``recompute`` of shape ``(r, 1)`` where all of its modes are
            crossed with each; or arrays of shape ``(n,)``, one by one.
        refused: how many combinations broke which rule.
        least_recomputation: whether each is to recompute as few layers as it can; else all layers.
    """

    grid: Layout
    refused: Mapping[str, int]
    least_recomputation: bool = False

    @property
    def layouts(self) -> Layout:
        """The layouts one by one: arrays of one shape ``(n,)``."""
        values = np.broadcast_arrays(*vars(self.grid).values())
        return Layout(**{f.name: np.ravel(v.T) for f, v in zip(fields(Layout), values, strict=True)})

    def __len__(self) -> int:
        """How many layouts are legal."""
        return int(np.broadcast(self.grid.tensor, self.grid.recompute).size)


Broken: TypeAlias = "dict[str, NDArray[np.bool_]]"


@dataclass
class _Survey:
    """The layouts that have broken no rule so far, and a count of the others.

    Attributes:
        a: the model's shape.
        accelerators: of the cluster.
        sequence_length: tokens.
        batch: sequences of a step.
        exact_batch: whether it must divide.
        axes: values of each key.
        fixed: keys that the scenario gives.
        made: arrays of one shape, for the keys crossed so far.
        refused: by reason.
    """

    a: Architecture
    accelerators: int
    sequence_length: float
    batch: float
    exact_batch: bool
    axes: Mapping[str, Sequence[float]]
    fixed: Mapping[str, float]
    made: Layout = field(default_factory=lambda: Layout(tensor=np.ones(1)))
    refused: dict[str, int] = field(default_factory=dict)
    crossed: list[str] = field(default_factory=list)

    def cross(self, *keys: str) -> None:
        """Combine each layout so far with each value of further keys."""
        made = {name: v for name, v in vars(self.made).items() if isinstance(v, np.ndarray)}
        for key in keys:
            values, count = np.array(self.axes[key], dtype=float), len(made["tensor"])
            if len(values) > 1:
                made = {name: np.repeat(v, len(values)) for name, v in made.items()}
            made[key] = np.tile(values, count)
        self.made = replace(self.made, **made)
        self.crossed += keys

    def drop(self, rules: Callable[[_Survey], Broken]) -> None:
        """Leave out what breaks a rule, counted with all the keys that are still to be crossed."""
        rest = prod(len(values) for key, values in self.axes.items() if key not in self.crossed)
        legal = np.ones(np.shape(self.made.tensor), dtype=bool)
        for reason, broken in rules(self).items():
            count = int(np.count_nonzero(legal & broken)) * rest
            if count:
                self.refused[reason] = self.refused.get(reason, 0) + count
            legal &= ~broken
        if not legal.all():
            index = np.flatnonzero(legal)
            kept = {name: v[index] for name, v in vars(self.made).items() if isinstance(v, np.ndarray)}
            self.made = replace(self.made, **kept)


def powers(limit: float) -> list[float]:
    """Powers of two up to ``limit``, inclusive."""
    return [float(2**i) for i in range(int(np.log2(max(1.0, limit))) + 1)]


def divisors(n: int, limit: float) -> list[float]:
    """Divisors of ``n`` up to ``limit``."""
    return [float(d) for d in range(1, int(min(n, limit)) + 1) if n % d == 0]


def options(a: Architecture, accelerators: int, domain: float, batch: float, space: Space) -> dict[str, list[float]]:
    """Values to try for each key, before the rules that join them.

    Tensor ranks stay within a scale-up domain: their collectives are on the critical path of every layer (Narayanan et
    al. 2021, section 3.2). They are powers of two, and divisors of the heads that fill a domain or a part of a pod
    (PaLM: 48 heads on 12 ranks). Stages are those that divide the layers, or the layers and the two ends (Llama 3 405B:
    126 and 2 on 16 stages), and powers of two; chunks are the divisors of a stage's layers.
    """
    sparse = a.experts.routed if a.experts is not None else 1
    layers = a.layers + a.multi_token_prediction
    ends = {*divisors(a.layers, MOST_STAGES), *divisors(a.layers + 2, MOST_STAGES), *powers(MOST_STAGES)}
    stages = sorted(p for p in ends if p <= accelerators) if space.pipeline else [1.0]
    chunks = {d for p in stages if p > 1 for d in divisors(int(np.ceil(layers / p)), MOST_CHUNKS)}
    wide = min(domain, MOST_TENSOR, a.heads)
    tensor = {*powers(wide), *(d for d in divisors(a.heads, wide) if domain % d == 0 or domain >= POD)}
    found: dict[str, list[float]] = {
        "tensor": sorted(tensor) if space.tensor else [1.0],
        "pipeline": stages,
        "virtual_pipeline": sorted({1.0, *chunks}),
        "context": powers(MOST_CONTEXT) if space.context else [1.0],
        "expert": [e for e in powers(MOST_EXPERT) if sparse % e == 0] if sparse > 1 else [1.0],
        "expert_tensor": [1.0],
        "shard_ranks": [0.0],
        "sharding": [float(s) for s in space.sharding],
        "sequence_parallel": [1.0 if space.sequence_parallel else 0.0],
        "micro_batch": [m for m in powers(MOST_MICRO_BATCH) if m <= batch],
        "recompute": [float(r) for r in space.recompute],
        "recompute_share": [1.0],
        "offload": [0.0],
    }
    return found | {key: [value] for key, value in space.fixed.items() if key in found}


def enumerate_layouts(
    a: Architecture,
    accelerators: int,
    domain: float,
    sequence_length: float,
    batch: float,
    space: Space,
    *,
    exact_batch: bool = True,
) -> Candidates:
    """All legal layouts of ``accelerators`` ranks.

    A layout is legal when its degrees multiply to the cluster, heads and experts divide, chunks of layers exist, the
    batch divides over replicas and micro-batches, and no rule of its stack is broken. Keys that the scenario gives
    are kept whatever the stack prefers.

    Args:
        a: the model's shape.
        accelerators: of the cluster.
        domain: accelerators of a scale-up domain.
        sequence_length: tokens.
        batch: sequences of a step.
        space: what may vary.
        exact_batch: whether the batch must divide; else it is rounded to whole micro-batches.

    Returns:
        The legal ones, and how many were refused for which reason.
    """
    axes = options(a, accelerators, domain, batch, space)
    survey = _Survey(a, accelerators, sequence_length, batch, exact_batch, axes, space.fixed)
    for keys, complete, rules in STEPS:
        survey.cross(*keys)
        if complete is not None:
            survey.made = complete(survey)
        survey.drop(rules)
    made = survey.made
    parallel = np.full_like(made.tensor, axes["sequence_parallel"][0])
    if "sequence_parallel" not in space.fixed:
        parallel = np.where(np.asarray(made.tensor) > 1, parallel, 0.0)
    grid = replace(
        made,
        sequence_parallel=parallel,
        shard_ranks=np.full_like(made.tensor, axes["shard_ranks"][0]),
        offload=np.full_like(made.tensor, axes["offload"][0]),
        recompute_share=np.full_like(made.tensor, axes["recompute_share"][0]),
        recompute=np.array(axes["recompute"])[:, np.newaxis],
    )
    least = "recompute" not in space.fixed and "recompute_share" not in space.fixed
    return Candidates(grid, survey.refused, least)


def _replicas(s: _Survey) -> Layout:
    """Data-parallel ranks follow from the other degrees."""
    used = s.made.tensor * s.made.pipeline * s.made.context
    data = np.floor(s.accelerators / used)
    data = np.full_like(data, s.fixed["data"]) if "data" in s.fixed else data
    return replace(s.made, data=data, shard_ranks=np.full_like(data, s.axes["shard_ranks"][0]))


def _micro_batches(s: _Survey) -> Layout:
    """Micro-batches of a replica follow from the batch, and are rounded where it may be."""
    accumulation = s.batch / np.maximum(1.0, s.made.data * s.made.micro_batch)
    if not s.exact_batch:
        accumulation = np.maximum(np.floor(accumulation + 0.5), np.where(accumulation >= 0.5, 1.0, accumulation))
    return replace(s.made, gradient_accumulation=accumulation)


def _placement_rules(s: _Survey) -> Broken:
    made, layers = s.made, s.a.layers + s.a.multi_token_prediction
    per_stage = np.ceil(layers / made.pipeline)
    split = np.asarray(made.context) > 1
    short = split & (s.sequence_length / made.context < FEWEST_TOKENS) & ("context" not in s.fixed)
    return {
        "degrees do not multiply to the cluster": np.asarray(made.accelerators != s.accelerators),
        "tensor ranks do not divide the heads": np.asarray(s.a.heads % made.tensor != 0),
        "more stages than layers": np.asarray(made.pipeline > layers),
        "stages leave one without a layer": np.asarray((made.pipeline - 1) * per_stage >= layers + 1),
        "sequence does not divide over context ranks": split & (s.sequence_length % (2 * made.context) != 0),
        f"context ranks would hold fewer than {FEWEST_TOKENS:,} tokens": short,
    }


def _chunk_rules(s: _Survey) -> Broken:
    per_stage = np.ceil((s.a.layers + s.a.multi_token_prediction) / s.made.pipeline)
    undivided = (s.made.pipeline == 1) | (per_stage % s.made.virtual_pipeline != 0)
    return {"chunks of a stage do not divide its layers": (np.asarray(s.made.virtual_pipeline) > 1) & undivided}


def _sharding_rules(s: _Survey) -> Broken:
    sharding, asked = np.asarray(s.made.sharding), s.axes["shard_ranks"][0]
    return {
        "fewer replicas than shard_ranks": np.asarray(s.made.data * s.made.context < asked),
        "shard_ranks without sharding": (sharding == 0) & (asked > 0),
        "full sharding with a pipeline": (sharding >= 3) & (np.asarray(s.made.pipeline) > 1),
        "copies do not divide the replicas": np.asarray((s.made.data * s.made.context) % s.made.shard_size != 0),
        "nothing to shard over": (sharding >= 2) & (np.asarray(s.made.data * s.made.context) == 1),
    }


def _expert_rules(s: _Survey) -> Broken:
    ranks = s.made.tensor * s.made.context * s.made.data
    uneven = np.asarray(ranks % (s.made.expert * s.made.expert_tensor) != 0) & (moe_layers(s.a) > 0)
    return {"expert ranks do not divide the cluster's replicas": uneven}


def _batch_rules(s: _Survey) -> Broken:
    """Of the batch; Megatron's interleaved schedule takes micro-batches in groups of as many as there are stages."""
    made, count = s.made, np.asarray(s.made.gradient_accumulation)
    idle = (np.asarray(made.pipeline) > 1) & (count < made.pipeline) & (count < s.batch / np.maximum(1.0, made.data))
    ragged = (np.asarray(made.virtual_pipeline) > 1) & (count % made.pipeline != 0)
    return {
        "batch does not divide over replicas and micro-batches": (count < 1) | (count % 1 != 0),
        "fewer micro-batches than stages": idle,
        "micro-batches are no multiple of the stages, as chunks need": ragged & ("virtual_pipeline" not in s.fixed),
    }


STEPS: tuple[tuple[tuple[str, ...], Callable[[_Survey], Layout] | None, Callable[[_Survey], Broken]], ...] = (
    (("tensor", "pipeline", "context"), _replicas, _placement_rules),
    (("virtual_pipeline",), None, _chunk_rules),
    (("sharding",), None, _sharding_rules),
    (("expert", "expert_tensor"), None, _expert_rules),
    (("micro_batch",), _micro_batches, _batch_rules),
)
"""Keys in the order in which they are crossed, what follows from them, and the rules that they make decidable."""
