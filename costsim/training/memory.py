"""Peak memory of the fullest accelerator, term by term, and the probability that it fits.

Activations follow Korthikanti et al. 2022, §4 and Table 2, written out tensor by tensor so that grouped-query
attention, gated feed-forward blocks, experts and latent attention are counted as what they are; model states follow
Rajbhandari et al. 2020, §3. Both ends of the pipeline are evaluated: the first stage holds the most micro-batches in
flight, the last one holds the logits; the fuller one is reported.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from costsim.quantities import declare
from costsim.training.activations import Layer, has, head_bytes, hidden_bytes, layer
from costsim.training.architecture import Architecture
from costsim.training.device import Chip, Stack, Workload
from costsim.training.layout import Layout
from costsim.training.schedule import tokens_of_rank
from costsim.training.stages import Stage, fullest, weights
from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class Memory:
    """Bytes of the fullest accelerator at its peak.

    Attributes:
        weights_bytes: weights, with what a sharded layer gathers.
        gradients_bytes: accumulated gradients.
        optimizer_bytes: master copy and moments.
        activations_bytes: stored activations, the layer at work and logits.
        fragments_bytes: what the allocator holds beyond the tensors.
        overhead_bytes: context, communicators, workspaces.
    """

    weights_bytes: Num
    gradients_bytes: Num
    optimizer_bytes: Num
    activations_bytes: Num
    fragments_bytes: Num
    overhead_bytes: Num

    @property
    def allocated_bytes(self) -> Num:
        """Tensors alive at the peak."""
        return self.weights_bytes + self.gradients_bytes + self.optimizer_bytes + self.activations_bytes

    @property
    def peak_bytes(self) -> Num:
        """All terms together."""
        return sum(vars(self).values(), start=np.float64(0.0))


Counter: TypeAlias = Literal["allocated", "reserved", "device"]


def counted(used: Memory, counter: Counter) -> Num:
    """Bytes that a counter of the framework or the driver would print for this peak.

    Args:
        used: the terms.
        counter: ``allocated``: tensors alive (torch's peak allocated, SimuMax). ``reserved``: blocks the allocator
            holds for them, fragments included (torchtitan's log). ``device``: with the context, communicators and
            workspaces (nvidia-smi), which is what must fit: `Memory.peak_bytes`.
    """
    if counter == "allocated":
        return used.allocated_bytes
    return used.allocated_bytes + used.fragments_bytes if counter == "reserved" else used.peak_bytes


def states(stack: Stack, layout: Layout, work: Workload, replicas: Num) -> tuple[Num, Num, Num]:
    """Bytes a parameter of a rank takes: (weights, gradients, optimizer), sharded over ``replicas`` as the layout says.

    Source: Rajbhandari et al. 2020, section 3.
    """
    sharding = np.asarray(layout.sharding)
    low = np.where(np.asarray(stack.low_precision_storage) > 0, np.minimum(1.0, work.matmul_bytes / 2.0), 1.0)
    weight = stack.weight_bytes * low / np.where(sharding >= 3, replicas, 1.0)
    gradient = stack.gradient_bytes / np.where(sharding >= 2, replicas, 1.0)
    kept = np.where(np.asarray(layout.offload) > 0, 0.0, stack.optimizer_bytes)
    return weight, gradient, kept / np.where(sharding >= 1, replicas, 1.0)


def live_weights(
    a: Architecture, stack: Stack, layout: Layout, work: Workload, stage: Stage
) -> tuple[Num, Num]:
    """Bytes of (gathered weights, gradients not yet added) while a layer's backward pass runs.

    Fully sharded: embedding and head, the layer and the one fetched ahead of it are whole. Every stack makes the
    gradient of a layer's weights, and of the head's, before it is added or scattered (``layer_gradient_bytes`` each);
    of grouped experts that accumulate in place one expert at a time.
    """
    w = weights(a)
    sharded = np.asarray(layout.sharding) >= 3
    ends = (w.embedding * stage.embedding + (w.head + w.copy) * stage.head) / layout.tensor
    one = max(w.dense_layer if has(a)[0] else 0.0, w.moe_layer if has(a)[1] else 0.0) / layout.tensor
    routed: Num = 0.0
    single: Num = 0.0
    if a.experts is not None:
        routed = w.routed / (layout.expert * layout.expert_tensor)
        single = np.where(sharded, routed, w.routed / a.experts.routed / layout.expert_tensor)
    gathered = np.where(sharded, work.activation_bytes * (ends + LAYERS_GATHERED * (one + routed)), 0.0)
    made = stack.layer_gradient_bytes * (one + single + (w.head + w.copy) * stage.head / layout.tensor)
    return gathered, made


LAYERS_GATHERED = 2.0  # the layer that runs and the one fetched ahead of it (Zhao et al. 2023, section 3.3.2)


@dataclass(frozen=True)
class Kept:
    """Bytes of one micro-batch on one rank, by kind of layer; None where the model has no such layer."""

    dense: Layer | None
    sparse: Layer | None
    head: Num
    output: Num

    @property
    def working(self) -> Num:
        """Of the layer whose backward pass needs most."""
        if self.dense is None or self.sparse is None:
            only = self.dense or self.sparse
            return only.working if only is not None else 0.0
        return np.maximum(self.dense.working, self.sparse.working)


def kept(a: Architecture, stack: Stack, layout: Layout, work: Workload) -> Kept:
    """What the layers of each kind and the head need."""
    rows = tokens_of_rank(layout, work)
    dense, sparse = has(a)
    return Kept(
        layer(a, stack, layout, work, rows, sparse=False) if dense else None,
        layer(a, stack, layout, work, rows, sparse=True) if sparse else None,
        head_bytes(a, stack, layout, work, rows),
        np.where(np.asarray(layout.pipeline) > 1, stack.pipeline_outputs * hidden_bytes(a, layout, work, rows), 0.0),
    )


def stored_bytes(parts: Kept, stage: Stage) -> Num:
    """Bytes that the layers of a stage keep for all micro-batches in flight."""
    total = parts.output
    if parts.dense is not None:
        total = total + stage.dense_layers * parts.dense.stored
    if parts.sparse is not None:
        total = total + stage.moe_layers * parts.sparse.stored
    return total * stage.in_flight


def stage_terms(
    a: Architecture, stack: Stack, layout: Layout, work: Workload, stage: Stage, parts: Kept
) -> tuple[Num, Num, Num, Num]:
    """Bytes of one rank of a stage: (weights, gradients, optimizer, activations).

    Activations peak at the loss or within a layer's backward pass. Where the optimizer's temporary buffers
    (``update_bytes`` a parameter of the shard) are larger, they count in the activations' place: the update starts when
    those are gone.
    """
    shared = states(stack, layout, work, layout.data * layout.context)
    weight, gradient, optimizer = (stage.dense * each for each in shared)
    few: Num = layout.data * layout.context
    if a.experts is not None:
        few = layout.expert_data
        own = (stage.sparse * each for each in states(stack, layout, work, few))
        weight, gradient, optimizer = (x + y for x, y in zip((weight, gradient, optimizer), own, strict=True))
    gathered, made = live_weights(a, stack, layout, work, stage)
    stored = stored_bytes(parts, stage) + np.maximum(parts.working, stage.head * parts.head)
    if np.any(np.asarray(stack.update_bytes) > 0):
        split = np.asarray(layout.sharding) >= 1
        replicas = layout.data * layout.context
        owned = stage.dense / np.where(split, replicas, 1.0) + stage.sparse / np.where(split, few, 1.0)
        owned = owned * np.where(np.asarray(layout.offload) > 0, 0.0, stack.update_bytes)
        stored = np.maximum(stored, owned - gathered - made)
    return weight + gathered, gradient + made, optimizer, stored


def memory(a: Architecture, stack: Stack, layout: Layout, work: Workload) -> Memory:
    """Peak memory of the fullest accelerator.

    Args:
        a: the model's shape.
        stack: bytes of states and overheads.
        layout: floats or arrays.
        work: sequence length and bytes of activations.

    Returns:
        Bytes by term, broadcast over the arguments.
    """
    parts = kept(a, stack, layout, work)
    candidates = fullest(a, layout)
    terms = stage_terms(a, stack, layout, work, candidates[0], parts)
    most = sum(terms, start=np.float64(0.0))
    for stage in candidates[1:]:
        others = stage_terms(a, stack, layout, work, stage, parts)
        total = sum(others, start=np.float64(0.0))
        fuller = total > most
        terms = tuple(np.where(fuller, y, x) for x, y in zip(terms, others, strict=True))  # type: ignore[assignment]
        most = np.where(fuller, total, most)
    return Memory(*terms, fragments_bytes=stack.allocator_slack * most, overhead_bytes=stack.overhead_bytes)


def normal_cdf(x: Num) -> Num:
    """Standard normal distribution function, absolute error below 1.5e-7 (Abramowitz and Stegun 1964, 7.1.26)."""
    z = np.abs(x) / np.sqrt(2.0)
    t = 1 / (1 + 0.3275911 * z)
    poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    tail = 0.5 * poly * np.exp(-z * z)
    whole: Num = np.where(np.asarray(x) >= 0, 1 - tail, tail)
    return whole


@declare(
    "memory.fit_probability",
    label="Probability of fitting",
    unit="fraction",
    formula="probability that {memory.peak_bytes} times a lognormal error of {stack.memory_spread} stays below"
    " {memory.capacity_bytes}",
    source="spread of log(measured / estimated) peak memory over published runs",
    better="higher",
)
def fit_probability(peak_bytes: Num, capacity_bytes: Num, spread: Num) -> Num:
    """Probability that the true peak stays within the capacity, the estimate being lognormal around ``peak_bytes``."""
    chance: Num = normal_cdf(np.log(capacity_bytes / peak_bytes) / spread)
    return chance


def fits(a: Architecture, chip: Chip, stack: Stack, layout: Layout, work: Workload) -> Num:
    """Probability of fitting for each layout."""
    return fit_probability(memory(a, stack, layout, work).peak_bytes, chip.memory_bytes, stack.memory_spread)
