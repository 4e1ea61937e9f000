"""Peak memory of the fullest accelerator, term by term, and the probability that it fits.

Activations follow Korthikanti et al. 2022, §4 and Table 2, written out tensor by tensor so that grouped-query
attention, gated feed-forward blocks, experts and latent attention are counted as what they are; model states follow
Rajbhandari et al. 2020, §3. Both ends of the pipeline are evaluated: the first stage holds the most micro-batches in
flight, the last one holds the logits; the fuller one is reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costsim.quantities import declare
from costsim.training.architecture import Architecture, attention_output_width, kv_width, moe_layers, query_width
from costsim.training.device import Chip, Stack, Workload
from costsim.training.layout import Layout
from costsim.training.schedule import stage_layers, tokens_of_rank, weights_of_rank
from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class Memory:
    """Bytes of the fullest accelerator at its peak.

    Attributes:
        weights_bytes: weights, with what a sharded layer gathers.
        gradients_bytes: accumulated gradients.
        optimizer_bytes: master copy and moments.
        activations_bytes: stored activations and logits, with allocator slack.
        overhead_bytes: context, communicators, workspaces.
    """

    weights_bytes: Num
    gradients_bytes: Num
    optimizer_bytes: Num
    activations_bytes: Num
    overhead_bytes: Num

    @property
    def peak_bytes(self) -> Num:
        """All terms together."""
        return sum(vars(self).values(), start=np.float64(0.0))


def attention_activation_elements(a: Architecture) -> tuple[float, float]:
    """Elements stored per token of one attention block: (split by tensor ranks, replicated without sequence split).

    Replicated: input of the norm and of the first projection. Split: queries, keys, values and the core's output; in
    latent attention the compressed vectors are replicated and the expanded heads split.
    """
    split = query_width(a) + 2.0 * kv_width(a) + attention_output_width(a)
    latent = a.attention.q_rank + a.attention.kv_rank + a.attention.rope_size if a.attention.kind == "mla" else 0
    return split, 2.0 * a.hidden_size + 2.0 * latent


def ffn_activation_elements(a: Architecture) -> tuple[float, float]:
    """Elements stored per token of a mean feed-forward block: (split by tensor ranks, replicated).

    Dense: input of norm and projection replicated; pre-activations (two with a gate) and their product split. Experts:
    the same for each active and shared expert, plus the permuted inputs and outputs of each active one.
    """
    inner = 3.0 if a.gated_ffn else 2.0
    share = moe_layers(a) / a.layers
    split = (1 - share) * inner * a.ffn_size
    if a.experts is not None:
        e = a.experts
        sparse = inner * (e.active * e.ffn_size + e.shared * e.shared_ffn_size) + 2.0 * e.active * a.hidden_size
        split += share * sparse
    return split, 2.0 * a.hidden_size


def layer_activation_bytes(a: Architecture, stack: Stack, layout: Layout, work: Workload) -> Num:
    """Bytes that one layer keeps for one micro-batch until its backward pass."""
    split, replicated = (
        x + y for x, y in zip(attention_activation_elements(a), ffn_activation_elements(a), strict=True)
    )
    spread = np.where(np.asarray(layout.sequence_parallel) > 0, layout.tensor, 1.0)
    rows = tokens_of_rank(layout, work)
    kept = rows * work.activation_bytes * (split / layout.tensor + replicated / spread) * stack.activation_factor
    scores = 5.0 * rows * work.sequence_length * a.heads / layout.tensor  # bytes: scores, softmax, mask (Korthikanti)
    unfused = np.asarray(stack.unfused_attention) * scores
    full = rows * work.activation_bytes * a.hidden_size / spread
    recompute = np.asarray(layout.recompute)
    whole = kept + unfused
    repeated = np.select([recompute >= 2, recompute >= 1], [full, kept * stack.selective_kept], whole)
    return layout.recompute_share * repeated + (1 - layout.recompute_share) * whole


def working_bytes(a: Architecture, stack: Stack, layout: Layout, work: Workload) -> Num:
    """Bytes of the one layer that is being recomputed, and of the gradient flowing through it."""
    none = Layout(**{**vars(layout), "recompute": 0.0})
    live = layer_activation_bytes(a, stack, none, work)
    flowing = 2.0 * tokens_of_rank(layout, work) * work.activation_bytes * a.hidden_size
    return np.where(np.asarray(layout.recompute) >= 2, live, 0.0) + flowing


def stage_activation_bytes(a: Architecture, stack: Stack, layout: Layout, work: Workload) -> Num:
    """Activations of the fuller pipeline end.

    The first stage holds ``min(m, p)`` micro-batches of its layers, times ``1 + (p−1)/(p v)`` when interleaved
    (Korthikanti 2022, §4.2.3 and Appendix B); the last one holds one, and the logits.
    """
    layer = layer_activation_bytes(a, stack, layout, work)
    heaviest, last = stage_layers(a, layout)
    pipeline = layout.pipeline
    in_flight = np.minimum(layout.gradient_accumulation, pipeline)
    interleaved = 1 + (pipeline - 1) / (pipeline * layout.virtual_pipeline)
    in_flight = in_flight * np.where(layout.virtual_pipeline > 1, interleaved, 1.0)
    rows = tokens_of_rank(layout, work)
    logits = rows * (a.vocab_size / layout.tensor * stack.logits_memory_bytes + a.hidden_size * work.activation_bytes)
    first = heaviest * layer * in_flight
    end = np.where(pipeline > 1, last * layer * np.minimum(1.0, in_flight) + logits, first + logits)
    stored = np.maximum(first, end) + working_bytes(a, stack, layout, work)
    return stored * (1 + stack.allocator_slack)


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
    dense, sparse = weights_of_rank(a, layout)
    sharding = np.asarray(layout.sharding)
    replicas, few = layout.shard_size, layout.expert_data
    layers = stage_layers(a, layout)[0]

    def states(nbytes: Num, stage: int) -> Num:
        shard = sharding >= stage
        return nbytes * (dense / np.where(shard, replicas, 1.0) + sparse / np.where(shard, few, 1.0))

    master = np.where(sharding >= 3, 0.0, stack.weight_bytes)
    gathered = np.where(sharding >= 3, 2.0 * work.activation_bytes * (dense + sparse) / layers, 0.0)
    optimizer = states(stack.optimizer_bytes, 1) * np.where(np.asarray(layout.offload) > 0, 0.0, 1.0)
    return Memory(
        weights_bytes=states(1.0, 3) * master + gathered,
        gradients_bytes=states(stack.gradient_bytes, 2),
        optimizer_bytes=optimizer,
        activations_bytes=stage_activation_bytes(a, stack, layout, work),
        overhead_bytes=stack.overhead_bytes,
    )


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
