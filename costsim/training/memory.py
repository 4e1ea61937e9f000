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
from costsim.training.architecture import Architecture, parameters
from costsim.training.device import Chip, Stack, Workload
from costsim.training.layout import Layout
from costsim.training.schedule import tokens_of_rank
from costsim.training.stages import Stage, fullest, weights
from costsim.uncertainty.ranges import Num

STATED_BYTES = 2.0  # of an element in the precision that a stack's bytes are stated for
TINY = 1e-9  # bytes; a stack may make no gradients apart
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


def scale_of_states(stack: Stack, work: Workload) -> Num:
    """Bytes of a weight, gradient or moment over those that the stack states, which are at 16 bits if they vary."""
    scale: Num = np.where(np.asarray(stack.states_in_precision) > 0, work.activation_bytes / STATED_BYTES, 1.0)
    return scale


def states(stack: Stack, layout: Layout, work: Workload, replicas: Num) -> States:
    """Bytes of a parameter, sharded over ``replicas`` as the layout says (Rajbhandari et al. 2020, section 3)."""
    sharding = np.asarray(layout.sharding)
    low: Num = 1.0
    if np.any(np.asarray(stack.low_precision_storage) > 0):
        low = np.where(np.asarray(stack.low_precision_storage) > 0, np.minimum(1.0, work.matmul_bytes / 2.0), 1.0)
    each = scale_of_states(stack, work)
    part = each / replicas
    owned = np.where(sharding >= 1, part, each)
    on_device = np.where(np.asarray(layout.offload) > 0, 0.0, owned)
    return States(
        stack.weight_bytes * low * np.where(sharding >= 3, part, each),
        stack.gradient_bytes * np.where(sharding >= 2, part, each),
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
        made_embedding: the same of the embedding; 0 where the head's weights are the embedding's.
        made_first: the same of a layer's last product, whose gradient comes first.
        dense: a dense layer's tensors for one micro-batch; None where there is no such layer.
        sparse: the same of a layer with experts.
        working: tensors of the layer whose backward pass needs most.
        head: tensors of the final norm, the logits and the loss.
        hidden: one state of the residual stream.
        kept: share of a gradient, as it is made, that a rank keeps.
        tied: 1 where the head's weights are the embedding's, else 0.
        output: what a stage keeps of a micro-batch besides its layers' tensors.
    """

    shared: States
    routed: States | None
    gathered: Num
    gathered_ends: tuple[Num, Num]
    made: Num
    made_head: Num
    made_embedding: Num
    made_first: Num
    dense: Layer | None
    sparse: Layer | None
    working: Num
    head: Num
    hidden: Num
    output: Num
    kept: Num
    tied: float


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
    hidden = hidden_bytes(a, layout, work, rows)
    each = states(stack, layout, work, layout.shard_size)
    gradient = stack.layer_gradient_bytes * scale_of_states(stack, work)
    output: Num = 0.0
    if np.any(np.asarray(stack.pipeline_outputs) > 0):
        output = stack.pipeline_outputs * hidden
        output = np.where(np.asarray(layout.pipeline) > 1, output, 0.0)
    alone = [each.working for each in (dense, sparse) if each is not None]
    return Pieces(
        shared=each,
        routed=states(stack, layout, work, layout.expert_data) if has_sparse else None,
        gathered=sharded * (LAYERS_GATHERED * whole),
        gathered_ends=(w.embedding * ends, (w.head + w.copy) * ends),
        made=gradient * made,
        made_head=gradient * (w.head + w.copy) * split,
        made_embedding=gradient * (w.embedding - w.copy) * split,
        made_first=gradient * (made - parameters(a).attention_per_layer * split) / (3.0 if a.gated_ffn else 2.0),
        dense=dense,
        sparse=sparse,
        working=alone[0] if len(alone) == 1 else np.maximum(alone[0], alone[1]),
        head=head_bytes(a, stack, layout, work, rows),
        hidden=hidden,
        kept=np.asarray(each.gradient / np.maximum(gradient, TINY)),
        tied=float(a.tied_embeddings),
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


def stage_terms(parts: Pieces, stage: Stage, stack: Stack, layout: Layout) -> tuple[Num, Num, Num, Num]:
    """Bytes of one rank of a stage: (weights, gradients, optimizer, activations).

    Activations peak at the loss or within a layer's backward pass. Where the optimizer's temporary buffers
    (``update_bytes`` a parameter of the shard) are larger, they count in the activations' place: the update starts when
    those, gathered weights and gradients of one layer are gone.
    """
    if np.any(np.asarray(stack.brief_gradients) > 0):
        return instant_terms(parts, stage, stack, layout)
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


def instant_terms(parts: Pieces, stage: Stage, stack: Stack, layout: Layout) -> tuple[Num, Num, Num, Num]:
    """The same four terms where a gradient lives from its making to the update: those of the fullest instant of a step.

    Activations go as gradients come, so that the peak is at an end of each phase: at the loss; in the backward pass of
    the last layer and of the first; where the embedding's gradient is made; or in the update. A step of several
    micro-batches holds all gradients from the second on.
    """
    each = parts.shared
    weight, every, optimizer, update = (
        stage.dense * x for x in (each.weight, each.gradient, each.optimizer, each.update)
    )
    full = np.where(np.asarray(layout.sharding) >= 3, 1.0, 0.0)
    several = np.where(np.asarray(layout.gradient_accumulation) > 1, 1.0, 0.0)
    tied = parts.tied * stage.embedding * stage.head
    ends = stage.embedding * parts.gathered_ends[0] + (1.0 - tied) * stage.head * parts.gathered_ends[1]
    buffer = stack.gather_buffers * parts.gathered / LAYERS_GATHERED
    running = ends + parts.gathered  # the layer itself, and the flat buffer of the one fetched ahead
    scattered = full * stack.gather_buffers * parts.made
    # What is made is the gradient itself, unless there is one already or only a share of it is kept.
    apart = np.maximum(full, several)
    head, embedding = stage.head * parts.made_head, stage.embedding * parts.made_embedding
    of_layers = every - (head + embedding) * parts.kept
    above = np.where(several > 0, every, of_layers - parts.made * parts.kept)
    last = np.where(several > 0, every, of_layers + (1.0 - apart) * (head + embedding))
    stored = stored_bytes(parts, stage)
    one = stored / np.maximum(1.0, (stage.dense_layers + stage.moe_layers) * stage.in_flight)
    held = several * every
    own = np.where(several > full, 0.0, head)
    instants = (
        (ends + buffer, held, stored + stage.head * parts.head),
        (running, held + own + parts.made_first, stored + parts.working),
        (running, above + own + parts.made_first + scattered, one + parts.working),
        (ends, last + apart * (full * head + embedding) + scattered + 2.0 * tied * head, parts.hidden),
        (0.0 * ends, every, update),
    )
    gathered, gradient, activations = instants[0]
    for more, made, kept in instants[1:]:
        fuller = more + made + kept > gathered + gradient + activations
        gathered, gradient = np.where(fuller, more, gathered), np.where(fuller, made, gradient)
        activations = np.where(fuller, kept, activations)
    return weight + gathered, gradient, optimizer, activations


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
    terms = stage_terms(parts, candidates[0], stack, layout)
    most = sum(terms, start=np.float64(0.0))
    for stage in candidates[1:]:
        others = stage_terms(parts, stage, stack, layout)
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
        most = np.maximum(most, sum(stage_terms(parts, stage, stack, layout), start=np.float64(0.0)))
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
