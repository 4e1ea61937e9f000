"""Layout search: every legal layout of a cluster, through the same functions as one layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from costsim.training.architecture import Architecture, moe_layers
from costsim.training.device import Chip, Network, Stack, Workload
from costsim.training.layout import Layout
from costsim.training.memory import fits
from costsim.training.schedule import step

if TYPE_CHECKING:
    from numpy.typing import NDArray

FITS = 0.5  # a layout fits when it does with at least this probability: the contract's rule
LIKELY = 0.9  # a layout is taken for fitting when it fits with this probability, if any does
FEWEST_TOKENS = 4096  # of a context rank: shorter pieces of a sequence are not worth their exchanges
CHUNK = 8192  # layouts evaluated together: the arrays of one chunk stay in cache
AXES = (
    "tensor",
    "pipeline",
    "virtual_pipeline",
    "context",
    "expert",
    "expert_tensor",
    "sharding",
    "sequence_parallel",
    "micro_batch",
    "recompute",
    "offload",
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
        layouts: arrays of one common shape ``(n,)``.
        refused: how many combinations broke which rule.
    """

    layouts: Layout
    refused: Mapping[str, int]

    def __len__(self) -> int:
        """How many layouts are legal."""
        return int(np.size(self.layouts.tensor))


@dataclass(frozen=True)
class Ranking:
    """Every candidate with its step time and its chance of fitting, and the order to prefer them in.

    Attributes:
        candidates: the layouts.
        seconds: time of each for the stated batch, shape ``(n,)``; batches that were rounded are scaled to it.
        probability: of fitting, shape ``(n,)``.
        order: indices, best first: those that fit by time, then the rest by probability.
    """

    candidates: Candidates
    seconds: NDArray[np.float64]
    probability: NDArray[np.float64]
    order: NDArray[np.intp]

    @property
    def best(self) -> Layout:
        """The first of the order."""
        return self.candidates.layouts.at(int(self.order[0]))

    @property
    def best_fits(self) -> bool:
        """Whether the first of the order fits with a probability of at least one half."""
        return bool(self.probability[self.order[0]] >= FITS)


def powers(limit: float) -> list[float]:
    """Powers of two up to ``limit``, inclusive."""
    return [float(2**i) for i in range(int(np.log2(max(1.0, limit))) + 1)]


def divisors(n: int, limit: float) -> list[float]:
    """Divisors of ``n`` up to ``limit``."""
    return [float(d) for d in range(1, int(min(n, limit)) + 1) if n % d == 0]


def options(a: Architecture, accelerators: int, domain: float, batch: float, space: Space) -> dict[str, list[float]]:
    """Values to try for each key, before the rules that join them."""
    sparse = a.experts.routed if a.experts is not None else 1
    stages = sorted({*divisors(a.layers, 64), *divisors(a.layers + 2, 64), *powers(64)})
    found: dict[str, list[float]] = {
        "tensor": powers(min(domain, 16, a.heads)) if space.tensor else [1.0],
        "pipeline": [p for p in stages if p <= accelerators] if space.pipeline else [1.0],
        "virtual_pipeline": [1.0, 2.0, 4.0, 8.0] if space.pipeline else [1.0],
        "context": powers(16) if space.context else [1.0],
        "expert": [e for e in powers(256) if sparse % e == 0] if sparse > 1 else [1.0],
        "expert_tensor": [1.0],
        "sharding": [float(s) for s in space.sharding],
        "sequence_parallel": [1.0 if space.sequence_parallel else 0.0],
        "micro_batch": [m for m in powers(64) if m <= batch],
        "recompute": [float(r) for r in space.recompute],
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
    grids = [g.ravel() for g in np.meshgrid(*(np.array(axes[name]) for name in AXES), indexing="ij")]
    made = Layout(**dict(zip(AXES, grids, strict=True)))
    used = made.tensor * made.pipeline * made.context
    data = np.floor(accelerators / used)
    if "data" in space.fixed:
        data = np.full_like(data, space.fixed["data"])
    accumulation = batch / np.maximum(1.0, data * made.micro_batch)
    if not exact_batch:
        accumulation = np.maximum(np.floor(accumulation + 0.5), np.where(accumulation >= 0.5, 1.0, accumulation))
    made = replace(
        made,
        data=data,
        gradient_accumulation=accumulation,
        sequence_parallel=np.where(
            (made.tensor > 1) | ("sequence_parallel" in space.fixed), made.sequence_parallel, 0.0
        ),
    )
    legal = np.ones(grids[0].shape, dtype=bool)
    refused: dict[str, int] = {}
    broken_rules = rules(a, made, accelerators, sequence_length, batch)
    if "context" not in space.fixed:
        short = (made.context > 1) & (sequence_length / made.context < FEWEST_TOKENS)
        broken_rules[f"context ranks would hold fewer than {FEWEST_TOKENS:,} tokens"] = np.asarray(short)
    for reason, broken in broken_rules.items():
        refused[reason] = int(np.sum(legal & broken))
        legal &= ~broken
    return Candidates(made.at(np.flatnonzero(legal)), {k: n for k, n in refused.items() if n})


def rules(
    a: Architecture, layout: Layout, accelerators: int, sequence_length: float, batch: float
) -> dict[str, NDArray[np.bool_]]:
    """Which rule each layout breaks, by the reason shown to the user."""
    layers = a.layers + a.multi_token_prediction
    per_stage = np.ceil(layers / layout.pipeline)
    ranks = layout.tensor * layout.context * layout.data
    width = layout.expert * layout.expert_tensor
    none = np.zeros(np.shape(layout.tensor), dtype=bool)
    sparse = moe_layers(a) > 0
    return {
        "degrees do not multiply to the cluster": layout.accelerators != accelerators,
        "tensor ranks do not divide the heads": a.heads % layout.tensor != 0,
        "more stages than layers": layout.pipeline > layers,
        "stages leave one without a layer": (layout.pipeline - 1) * per_stage >= layers + 1,
        "chunks of a stage do not divide its layers": (layout.virtual_pipeline > 1)
        & ((layout.pipeline == 1) | (per_stage % layout.virtual_pipeline != 0)),
        "sequence does not divide over context ranks": (sequence_length % (2 * layout.context) != 0)
        & (layout.context > 1),
        "expert ranks do not divide the cluster's replicas": (ranks % width != 0) if sparse else none,
        "batch does not divide over replicas and micro-batches": (layout.gradient_accumulation < 1)
        | (layout.gradient_accumulation % 1 != 0),
        "fewer micro-batches than stages": (layout.pipeline > 1)
        & (layout.gradient_accumulation < layout.pipeline)
        & (layout.gradient_accumulation < batch / np.maximum(1.0, layout.data)),
        "full sharding with a pipeline": (np.asarray(layout.sharding) >= 3) & (layout.pipeline > 1),
        "nothing to shard over": (np.asarray(layout.sharding) >= 2) & (layout.data * layout.context == 1),
    }


def rank(
    a: Architecture, chip: Chip, network: Network, stack: Stack, work: Workload, candidates: Candidates
) -> Ranking:
    """Step time and chance of fitting of every candidate, best first.

    Those that fit with a probability of 0.9 come first, by step time; then those that fit with at least one half, by
    time; then the rest, by probability.
    """
    n = len(candidates)
    seconds = np.empty(n)
    probability = np.empty(n)
    for start in range(0, n, CHUNK):
        part = slice(start, min(n, start + CHUNK))
        layouts = candidates.layouts.at(part)
        sequences = layouts.data * layouts.micro_batch * layouts.gradient_accumulation
        full = step(a, chip, network, stack, layouts, work).seconds
        seconds[part] = full * (work.global_batch_sequences / sequences)
        probability[part] = fits(a, chip, stack, layouts, work)
    tier = np.where(probability >= LIKELY, 0, np.where(probability >= FITS, 1, 2))
    within = np.where(tier == 2, -probability, seconds)
    return Ranking(candidates, seconds, probability, np.lexsort((within, tier)))


def changes(layout: Layout, other: Layout) -> NDArray[np.float64]:
    """How far layouts lie from a given one: the number of keys that differ."""
    far = [np.asarray(getattr(other, f.name) != getattr(layout, f.name), float) for f in fields(layout)]
    total: NDArray[np.float64] = np.sum(np.broadcast_arrays(*far), axis=0)
    return total


def nearest_that_fits(layout: Layout, ranking: Ranking) -> Layout | None:
    """The layout that fits and changes the fewest keys of ``layout``; the fastest of those; None if none fits."""
    if not len(ranking.candidates):
        return None
    far = changes(layout, ranking.candidates.layouts)
    usable = ranking.probability >= FITS
    if not usable.any():
        return None
    cost = np.where(usable, far, np.inf)
    index = np.lexsort((ranking.seconds, cost))[0]
    return ranking.candidates.layouts.at(int(index))
