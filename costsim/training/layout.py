"""How a model is spread over a cluster: one layout, or a million of them as arrays."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from costsim.uncertainty.ranges import Num

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARDING = ("none", "optimizer", "gradients", "full")
RECOMPUTE = ("none", "selective", "full")
OFFLOAD = ("none", "optimizer")


@dataclass(frozen=True)
class Layout:
    """Degrees of parallelism and what is kept in memory.

    The number of accelerators is ``tensor × context × data × pipeline``. Ranks are placed in that order: tensor ranks
    are neighbours, pipeline stages are farthest apart (Narayanan et al. 2021, §3). Expert ranks are taken from
    tensor × context × data: ``expert × expert_tensor`` divides that product.

    Attributes:
        tensor: ranks that split each matrix product.
        pipeline: stages.
        virtual_pipeline: model chunks of a stage (interleaved schedule).
        context: ranks that split the sequence.
        expert: ranks that split the experts.
        expert_tensor: ranks that split each expert's products.
        data: replicas.
        sharding: what is split over replicas; index into ``SHARDING`` (ZeRO stages 0 to 3).
        shard_ranks: ranks over which ``sharding`` splits, the rest being copies (HSDP); 0: over all replicas.
        sequence_parallel: 1 where tensor ranks split norms and residuals too.
        micro_batch: sequences of one forward pass of a replica.
        gradient_accumulation: micro-batches of a replica in a step.
        recompute: index into ``RECOMPUTE``.
        recompute_share: of the layers of a stage that ``recompute`` applies to; the others keep their activations.
        offload: index into ``OFFLOAD``.
    """

    tensor: Num = 1.0
    pipeline: Num = 1.0
    virtual_pipeline: Num = 1.0
    context: Num = 1.0
    expert: Num = 1.0
    expert_tensor: Num = 1.0
    data: Num = 1.0
    sharding: Num = 1.0
    shard_ranks: Num = 0.0
    sequence_parallel: Num = 0.0
    micro_batch: Num = 1.0
    gradient_accumulation: Num = 1.0
    recompute: Num = 0.0
    recompute_share: Num = 1.0
    offload: Num = 0.0

    @property
    def accelerators(self) -> Num:
        """Accelerators that the layout uses."""
        return self.tensor * self.pipeline * self.context * self.data

    @property
    def shard_size(self) -> Num:
        """Ranks over which states are split."""
        replicas = self.data * self.context
        asked = np.asarray(self.shard_ranks)
        return np.where(asked > 0, np.minimum(asked, replicas), replicas)

    @property
    def expert_data(self) -> Num:
        """Replicas of each expert."""
        return self.tensor * self.context * self.data / (self.expert * self.expert_tensor)

    def at(self, index: int | NDArray[np.intp] | NDArray[np.bool_] | slice) -> Layout:
        """The layouts at ``index`` of a layout of arrays; a plain layout of floats for an integer."""
        given = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        picked = {name: value[index] if value.ndim else value for name, value in given.items()}
        if isinstance(index, int):
            return Layout(**{name: float(value) for name, value in picked.items()})
        return Layout(**picked)

    def described(self) -> dict[str, float | str | bool]:
        """A layout of floats in the words of the scenario file."""
        plain: dict[str, float | str | bool] = {f.name: int(getattr(self, f.name)) for f in fields(self)}
        return plain | {
            "sharding": SHARDING[int(self.sharding)],
            "recompute": RECOMPUTE[int(self.recompute)],
            "offload": OFFLOAD[int(self.offload)],
            "sequence_parallel": bool(self.sequence_parallel),
            "recompute_share": float(self.recompute_share),
        }


def stacked(layout: Layout) -> Layout:
    """Broadcast every field to one common array, so that layouts can be indexed."""
    values = np.broadcast_arrays(*(np.atleast_1d(np.asarray(getattr(layout, f.name), float)) for f in fields(layout)))
    return replace(layout, **{f.name: v for f, v in zip(fields(layout), values, strict=True)})
