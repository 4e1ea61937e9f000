"""A step on several ranks from the same step alone: measured collectives, and what of them a step does not hide.

Replicated (DDP; Li et al. 2020, arXiv 2006.15704 §3.2.3), gradients are averaged in buckets. Fully sharded (FSDP2;
Zhao et al. 2023, arXiv 2304.11277 §3), every group of weights is gathered for the forward pass and, but for the
outermost, for the backward pass again, its gradient is scattered, and each rank updates its shard.

A table of collectives is interpolated, since a latency and a bandwidth alone miss it by up to a half where buffers
leave a cache or a protocol changes; those two numbers are a summary for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from costsim.training.architecture import Architecture, parameters
from costsim.training.identify import nonnegative
from costsim.training.layout import Layout
from costsim.training.stages import weights
from costsim.uncertainty.ranges import Num

FIRST_BUCKET, BUCKET = 2.0**20, 25 * 2.0**20  # bytes; torch's DistributedDataParallel: the first bucket, and the others
NEEDED = ("all_reduce", "all_gather", "reduce_scatter")
GATHERS_AGAIN = 2.0  # a block's weights are gathered in the forward pass and in the backward pass


@dataclass(frozen=True)
class CollectiveTable:
    """Times of one collective by the bytes of its whole buffer.

    Attributes:
        nbytes: rising.
        seconds: of each.
    """

    nbytes: tuple[float, ...]
    seconds: tuple[float, ...]

    def at(self, nbytes: Num) -> Num:
        """Seconds for a buffer, linear in the logarithms between two sizes.

        Beyond the table: as the smallest below it, and in proportion to the bytes above it.
        """
        size = np.maximum(nbytes, self.nbytes[0])
        inside = np.exp(np.interp(np.log(size), np.log(self.nbytes), np.log(self.seconds)))
        found: Num = inside * np.maximum(1.0, size / self.nbytes[-1])
        return found

    def summary(self) -> tuple[float, float]:
        """(latency in seconds, bytes/s) of the line through them that is best in relative error."""
        x, y = np.array(self.nbytes), np.array(self.seconds)
        latency, slope = nonnegative(np.stack([1 / y, x / y], axis=1), np.ones_like(y))
        return float(latency), float(1 / slope) if slope > 0 else float("inf")


def tables_of(rows: Iterable[tuple[str, float, float]]) -> dict[str, CollectiveTable]:
    """Tables by operation, of rows of (operation, bytes of the whole buffer, seconds); a size counts once, its last."""
    found: dict[str, dict[float, float]] = {}
    for operation, nbytes, seconds in rows:
        found.setdefault(operation, {})[float(nbytes)] = seconds
    return {
        name: CollectiveTable(tuple(sorted(points)), tuple(points[size] for size in sorted(points)))
        for name, points in found.items()
    }


@dataclass(frozen=True)
class Shared:
    """A step that ranks share.

    Attributes:
        architecture: its shape.
        element_bytes: of a weight and of a gradient on the wire.
        ranks: how many.
        alone: seconds of the step of each rank by itself, all of them at it.
        update: seconds of the optimizer in it.
    """

    architecture: Architecture
    element_bytes: float
    ranks: int
    alone: float
    update: float


@dataclass(frozen=True)
class Scaling:
    """What a step shows of its communication.

    Attributes:
        ddp: seconds a step takes longer over those of its all-reduces: below 1 where the backward pass hides some,
            above where communication takes processors from it.
        fsdp: the same of gathers and scatters.
        fsdp_copy: seconds per byte that is copied into and out of flat buffers.
        fsdp_group: seconds per group of weights that is gathered.
    """

    ddp: float
    fsdp: float
    fsdp_copy: float
    fsdp_group: float


@dataclass(frozen=True)
class Exchange:
    """What was measured of steps that data-parallel ranks share, for the schedule (`costsim.training.schedule`).

    Attributes:
        ranks: that shared them.
        tables: of ``NEEDED`` over all of them.
        scaling: what the steps show of those collectives.
    """

    ranks: int
    tables: Mapping[str, CollectiveTable]
    scaling: Scaling

    def covers(self, a: Architecture, layout: Layout) -> Num:
        """Of each layout, whether it is what was measured: so many replicas of a dense model, and nothing else split.

        Args:
            a: the model's shape.
            layout: floats or arrays.
        """
        split = np.asarray(layout.tensor) * layout.pipeline * layout.context * layout.expert * layout.expert_tensor
        replicas = np.where(split == 1, layout.data, 0.0)
        dense = a.experts is None and not a.multi_token_prediction
        found: Num = (replicas == self.ranks) & (layout.shard_size == self.ranks) & dense
        return found

    def seconds(self, a: Architecture, element_bytes: float, layout: Layout) -> Num:
        """Seconds that a step takes longer for its exchange over replicas, in layouts that are covered.

        Weights are gathered, and gradients scattered, in every micro-batch of a fully sharded step; elsewhere
        gradients are exchanged once. Sharded states alone (ZeRO 1 and 2) were not measured: what was gradients'
        all-reduce is a scatter of them and a gather of weights, hidden as little.

        Args:
            a: the model's shape.
            element_bytes: of a weight and of a gradient on the wire.
            layout: floats or arrays.
        """
        bare = Shared(a, element_bytes, self.ranks, alone=0.0, update=0.0)
        replicated = ddp_step(bare, self.tables, self.scaling)
        states = self.scaling.ddp * states_seconds(bare, self.tables)
        sharded = layout.gradient_accumulation * fsdp_step(bare, self.tables, self.scaling)
        sharding = np.asarray(layout.sharding)
        return np.where(sharding >= 3, sharded, np.where(sharding >= 1, states, replicated))


@dataclass(frozen=True)
class ScalingPrior:
    """What is known of `Scaling` before anything is measured.

    Attributes:
        centre: of each.
        spread: its standard deviation over the centre.
        misfit: relative standard deviation of a measured step around the model.
    """

    centre: Scaling
    spread: float
    misfit: float


def buckets(total_bytes: float) -> list[float]:
    """Bytes of each bucket of gradients; whole tensors make real ones uneven."""
    if total_bytes <= FIRST_BUCKET:
        return [total_bytes]
    rest = total_bytes - FIRST_BUCKET
    full, last = divmod(rest, BUCKET)
    return [FIRST_BUCKET, *[BUCKET] * int(full), *([last] if last else [])]


def ddp_seconds(step: Shared, all_reduce: CollectiveTable) -> float:
    """Seconds of the all-reduces of a replicated step."""
    total = step.element_bytes * parameters(step.architecture).total
    return float(sum(all_reduce.at(size) for size in buckets(total)))


def states_seconds(step: Shared, tables: Mapping[str, CollectiveTable]) -> float:
    """Seconds of the scatters of gradients and gathers of weights of a step whose optimizer states are sharded."""
    total = step.element_bytes * parameters(step.architecture).total
    return float(sum(tables["reduce_scatter"].at(size) + tables["all_gather"].at(size) for size in buckets(total)))


def groups(step: Shared) -> tuple[float, float, int]:
    """(bytes of a block's weights, of those outside the blocks, number of blocks)."""
    a = step.architecture
    block = weights(a).dense_layer + weights(a).norms
    return step.element_bytes * block, step.element_bytes * (parameters(a).total - a.layers * block), a.layers


def fsdp_seconds(step: Shared, tables: Mapping[str, CollectiveTable]) -> float:
    """Seconds of the gathers and scatters of a fully sharded step; the outermost group is gathered once."""
    block, outside, layers = groups(step)
    gather, scatter = tables["all_gather"], tables["reduce_scatter"]
    each = GATHERS_AGAIN * gather.at(block) + scatter.at(block)
    return float(layers * each + gather.at(outside) + scatter.at(outside))


def copied_bytes(step: Shared) -> float:
    """Bytes that a fully sharded step copies into and out of flat buffers."""
    block, outside, layers = groups(step)
    return (GATHERS_AGAIN + 1) * layers * block + 2 * outside


def ddp_step(step: Shared, tables: Mapping[str, CollectiveTable], scaling: Scaling) -> float:
    """Seconds of a replicated step."""
    return step.alone + scaling.ddp * ddp_seconds(step, tables["all_reduce"])


def fsdp_step(step: Shared, tables: Mapping[str, CollectiveTable], scaling: Scaling) -> float:
    """Seconds of a fully sharded step: each rank updates its share, and copies what it gathers and scatters."""
    own = step.alone - step.update * (1 - 1 / step.ranks)
    exchanged = scaling.fsdp * fsdp_seconds(step, tables) + scaling.fsdp_copy * copied_bytes(step)
    return own + exchanged + scaling.fsdp_group * (step.architecture.layers + 1)


def fit_scaling(
    replicated: Sequence[tuple[Shared, float]],
    sharded: Sequence[tuple[Shared, float]],
    tables: Mapping[str, CollectiveTable],
    prior: ScalingPrior,
) -> Scaling:
    """What measured steps say of their communication, drawn to what was known; none of it is negative.

    Args:
        replicated: steps and the seconds they took with DDP.
        sharded: the same with FSDP2.
        tables: of ``all_reduce``, ``all_gather`` and ``reduce_scatter``.
        prior: before them.
    """
    known = prior.centre
    rows = [[known.ddp * ddp_seconds(step, tables["all_reduce"])] for step, _ in replicated]
    (share,) = _drawn(rows, [(seconds - step.alone, seconds) for step, seconds in replicated], 1, prior)
    rows = [
        [
            known.fsdp * fsdp_seconds(step, tables),
            known.fsdp_copy * copied_bytes(step),
            known.fsdp_group * (step.architecture.layers + 1),
        ]
        for step, _ in sharded
    ]
    nothing = Scaling(0.0, 0.0, 0.0, 0.0)
    left = [(seconds - fsdp_step(step, tables, nothing), seconds) for step, seconds in sharded]
    exposed, copy, group = _drawn(rows, left, 3, prior)
    return Scaling(share * known.ddp, exposed * known.fsdp, copy * known.fsdp_copy, group * known.fsdp_group)


def _drawn(
    rows: Sequence[Sequence[float]], left: Sequence[tuple[float, float]], unknowns: int, prior: ScalingPrior
) -> list[float]:
    """Multiples of the prior's centres: ridge regression of what is left of each step, relative to its whole time."""
    scale = np.array([1 / (prior.misfit * whole) for _, whole in left])
    matrix = np.vstack([np.reshape(rows, (-1, unknowns)) * scale[:, None], np.eye(unknowns) / prior.spread])
    wanted = np.concatenate([np.array([part for part, _ in left]) * scale, np.ones(unknowns) / prior.spread])
    return [float(value) for value in nonnegative(matrix, wanted)]
