"""Peak memory of the fullest accelerator, term by term, and the probability that it fits.

Model states follow Rajbhandari et al. 2020, section 3; what a layer and the loss keep is in
`costsim.training.activations`, what a stage holds in `costsim.training.stages`. Every stage that can be the fullest is
evaluated, and that one is reported.
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

LAYERS_GATHERED = 2.0  # the layer that runs and the one fetched ahead of it (Zhao et al. 2023, section 3.3.2)


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


@dataclass(frozen=True)
class States:
    """Bytes that a parameter takes on a rank, weight, gradient and optimizer apart."""

    weight: Num
    gradient: Num
    optimizer: Num
    update: Num


def states(stack: Stack, layout: Layout, work: Workload, replicas: Num) -> States:
    """Bytes of a parameter, sharded over ``replicas`` as the layout says (Rajbhandari et al. 2020, section 3)."""
    sharding = np.asarray(layout.sharding)
    low: Num = 1.0
    if np.any(np.asarray(stack.low_precision_storage) > 0):
        low = np.where(np.asarray(stack.low_precision_storage) > 0, np.minimum(1.0, work.matmul_bytes / 2.0), 1.0)
    part = 1.0 / replicas
    owned = np.where(sharding >= 1, part, 1.0)
    on_device = np.where(np.asarray(layout.offload) > 0, 0.0, owned)
    return States(
        stack.weight_bytes * low * np.where(sharding >= 3, part, 1.0),
        stack.gradient_bytes * np.where(sharding >= 2, part, 1.0),
        stack.optimizer_bytes * on_device,
        stack.update_bytes * on_device,
    )


@dataclass(frozen=True)
class Pieces:
    """Bytes on one rank of what stages are made of.

    Attributes:
        shared: of a parameter that every replica has.
        routed: of a parameter of a routed expert; None without experts.
        gathered: weights of the layers that are whole while a fully sharded layer runs.
        gathered_ends: the same of (embedding, head), which stay whole.
        made: gradients of one layer's weights before they are added or scattered.
        made_head: the same of the head.
        dense: a dense layer's tensors for one micro-batch; None where there is no such layer.
        sparse: the same of a layer with experts.
        working: tensors of the layer whose backward pass needs most.
        head: tensors of the final norm, the logits and the loss.
        output: what a stage keeps of a micro-batch besides its layers' tensors.
    """

    shared: States
    routed: States | None
    gathered: Num
    gathered_ends: tuple[Num, Num]
    made: Num
    made_head: Num
    dense: Layer | None
    sparse: Layer | None
    working: Num
    head: Num
    output: Num


def pieces(a: Architecture, stack: Stack, layout: Layout, work: Workload) -> Pieces:
    """Weigh the pieces.

    Fully sharded, embedding and head, the layer that runs and the one fetched ahead of it are whole. Every stack makes
    the gradient of a layer's weights, and of the head's, before it is added (``layer_gradient_bytes`` each); experts
    that accumulate in place do so one at a time.
    """
    rows = tokens_of_rank(layout, work)
    has_dense, has_sparse = has(a)
    dense = layer(a, stack, layout, work, rows, sparse=False) if has_dense else None
    sparse = layer(a, stack, layout, work, rows, sparse=True) if has_sparse else None
    w = weights(a)
    split = 1.0 / layout.tensor
    sharded = np.where(np.asarray(layout.sharding) >= 3, work.activation_bytes, 0.0)
    one: Num = max(w.dense_layer if has_dense else 0.0, w.moe_layer if has_sparse else 0.0) * split
    whole, made = one, one
    if a.experts is not None:
        routed = w.routed / (layout.expert * layout.expert_tensor)
        whole = one + routed
        made = one + np.where(sharded > 0, routed, w.routed / a.experts.routed / layout.expert_tensor)
    ends = sharded * split
    output: Num = 0.0
    if np.any(np.asarray(stack.pipeline_outputs) > 0):
        output = stack.pipeline_outputs * hidden_bytes(a, layout, work, rows)
        output = np.where(np.asarray(layout.pipeline) > 1, output, 0.0)
    alone = [each.working for each in (dense, sparse) if each is not None]
    return Pieces(
        shared=states(stack, layout, work, layout.shard_size),
        routed=states(stack, layout, work, layout.expert_data) if has_sparse else None,
        gathered=sharded * (LAYERS_GATHERED * whole),
        gathered_ends=(w.embedding * ends, (w.head + w.copy) * ends),
        made=stack.layer_gradient_bytes * made,
        made_head=stack.layer_gradient_bytes * (w.head + w.copy) * split,
        dense=dense,
        sparse=sparse,
        working=alone[0] if len(alone) == 1 else np.maximum(alone[0], alone[1]),
        head=head_bytes(a, stack, layout, work, rows),
        output=output,
    )


def stored_bytes(parts: Pieces, stage: Stage) -> Num:
    """Bytes that the layers of a stage keep for all micro-batches in flight."""
    total = parts.output
    if parts.dense is not None:
        total = total + stage.dense_layers * parts.dense.stored
    if parts.sparse is not None:
        total = total + stage.moe_layers * parts.sparse.stored
    return total * stage.in_flight


def stage_terms(parts: Pieces, stage: Stage) -> tuple[Num, Num, Num, Num]:
    """Bytes of one rank of a stage: (weights, gradients, optimizer, activations).

    Activations peak at the loss or within a layer's backward pass. Where the optimizer's temporary buffers
    (``update_bytes`` a parameter of the shard) are larger, they count in the activations' place: the update starts when
    those, gathered weights and gradients of one layer are gone.
    """
    each, few = parts.shared, parts.routed
    weight, gradient, optimizer = (stage.dense * x for x in (each.weight, each.gradient, each.optimizer))
    update = stage.dense * each.update
    if few is not None:
        weight = weight + stage.sparse * few.weight
        gradient = gradient + stage.sparse * few.gradient
        optimizer = optimizer + stage.sparse * few.optimizer
        update = update + stage.sparse * few.update
    gathered = parts.gathered + stage.embedding * parts.gathered_ends[0] + stage.head * parts.gathered_ends[1]
    made = parts.made + stage.head * parts.made_head
    stored = stored_bytes(parts, stage) + np.maximum(parts.working, stage.head * parts.head)
    return weight + gathered, gradient + made, optimizer, np.maximum(stored, update - gathered - made)


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
    parts = pieces(a, stack, layout, work)
    candidates = fullest(a, layout)
    terms = stage_terms(parts, candidates[0])
    most = sum(terms, start=np.float64(0.0))
    for stage in candidates[1:]:
        others = stage_terms(parts, stage)
        total = sum(others, start=np.float64(0.0))
        fuller = total > most
        terms = tuple(np.where(fuller, y, x) for x, y in zip(terms, others, strict=True))  # type: ignore[assignment]
        most = np.where(fuller, total, most)
    return Memory(*terms, fragments_bytes=stack.allocator_slack * most, overhead_bytes=stack.overhead_bytes)


def peak_bytes(a: Architecture, stack: Stack, layout: Layout, work: Workload) -> Num:
    """`Memory.peak_bytes` of `memory`, without telling the terms apart."""
    parts = pieces(a, stack, layout, work)
    most: Num = 0.0
    for stage in fullest(a, layout):
        most = np.maximum(most, sum(stage_terms(parts, stage), start=np.float64(0.0)))
    return most * (1 + stack.allocator_slack) + stack.overhead_bytes


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
    return fit_probability(peak_bytes(a, stack, layout, work), chip.memory_bytes, stack.memory_spread)
