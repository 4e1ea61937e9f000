"""A replica: one copy of a model on a few accelerators, how long its steps take and how many requests it can hold.

A roofline of prefill and decode with fitted overheads. A decode step gives every sequence of the batch one token; it
costs the larger of reading weights and KV cache and of multiplying, plus a fixed time and two all-reduces a layer.

Everything is SI: seconds, bytes, FLOP/s.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costsim.economics.engine import Roofline as Roofline
from costsim.quantities import declare

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class ServedModel:
    """A model as a replica sees it.

    Attributes:
        parameters: of which ``expert_parameters`` are in routed experts.
        active_parameters: that a token multiplies.
        expert_parameters: of all routed experts, 0 in a dense model.
        experts: routed experts of a layer, 0 in a dense model.
        experts_per_token: of those, how many a token uses.
        layers: transformer layers.
        hidden_size: width of the residual stream.
        kv_elements_per_token: cached for a token of context, all layers.
        kv_heads: over which tensor parallelism can split the cache; 1 for a latent one (MLA), which it copies.
        decode_attention_flops: of one new token for each token of context.
        prefill_attention_flops: of one prompt token for each token before it.
        weight_bytes: of a weight outside the experts.
        expert_weight_bytes: of a weight in the experts.
        kv_bytes: of a cached element.
        context_cap: tokens that sparse attention looks at, at most.
        attention_parameters: of the attention, of which each group of attention data parallelism holds a copy.
    """

    parameters: float
    active_parameters: float
    expert_parameters: float
    experts: float
    experts_per_token: float
    layers: float
    hidden_size: float
    kv_elements_per_token: Num
    kv_heads: float
    decode_attention_flops: Num
    prefill_attention_flops: Num
    weight_bytes: float
    expert_weight_bytes: float
    kv_bytes: float
    context_cap: float = math.inf
    attention_parameters: float = 0.0


@dataclass(frozen=True)
class ServingChip:
    """An accelerator as a replica sees it.

    Attributes:
        peak_flops: dense, of the matrix products' precision, FLOP/s.
        attention_flops: dense peak of attention's 16-bit products, FLOP/s.
        memory_bytes: of one accelerator.
        memory_bandwidth: bytes/s.
        link_bandwidth: to the others of the replica, one direction, bytes/s.
    """

    peak_flops: Num
    attention_flops: Num
    memory_bytes: Num
    memory_bandwidth: Num
    link_bandwidth: Num


@dataclass(frozen=True)
class ServingTerms:
    """The ``serving`` section.

    Attributes:
        accelerators_per_replica: that hold one copy of the model by tensor parallelism.
        input_tokens: of a request.
        output_tokens: of a request.
        speed: tokens per second promised to each user.
        cached_share: of input tokens, found in a cache.
        cached_cost: of a cached token, as a share of prefilling it.
        occupancy: share of paid hours in which replicas are busy.
        usd_per_accelerator_hour: of serving accelerators.
        software_factor: speed of this engine on this chip over the fitted roofline's, as planned: moves the batch.
        residual: speed as it turns out over what was planned, at the planned batch.
        attention_data_parallel: groups that each hold other requests' KV cache; 1 without.
        measured_tokens_per_second: output tokens per accelerator, measured; None to use the roofline.
    """

    accelerators_per_replica: float
    input_tokens: Num
    output_tokens: Num
    speed: Num
    cached_share: Num
    cached_cost: Num
    occupancy: Num
    usd_per_accelerator_hour: Num
    software_factor: Num = 1.0
    residual: Num = 1.0
    attention_data_parallel: float = 1.0
    measured_tokens_per_second: Num | None = None


# --- memory -----------------------------------------------------------------------------------------------------------


def weights_bytes(model: ServedModel) -> float:
    """Bytes of all weights of one copy of the model."""
    dense = (model.parameters - model.expert_parameters) * model.weight_bytes
    return dense + model.expert_parameters * model.expert_weight_bytes


def kv_shards(model: ServedModel, terms: ServingTerms) -> float:
    """Over how many accelerators a sequence's cache is spread, on average over those of a replica.

    Tensor parallelism splits KV heads, and a latent cache (one head) not at all; attention data parallelism spreads
    requests over its groups.
    """
    groups = terms.attention_data_parallel
    return groups * min(terms.accelerators_per_replica / groups, model.kv_heads)


def copied_bytes(model: ServedModel, terms: ServingTerms) -> float:
    """Bytes of attention weights that an accelerator holds because each group of requests has a copy of its own."""
    copies = (terms.attention_data_parallel - 1.0) / terms.accelerators_per_replica
    return model.attention_parameters * model.weight_bytes * copies


def kv_bytes_per_sequence(model: ServedModel, terms: ServingTerms) -> Num:
    """Bytes that a request's cache takes in the whole replica at its longest, copies included."""
    tokens = terms.input_tokens + terms.output_tokens
    copies = terms.accelerators_per_replica / kv_shards(model, terms)
    return model.kv_elements_per_token * model.kv_bytes * tokens * copies


def kv_capacity(model: ServedModel, chip: ServingChip, roofline: Roofline, terms: ServingTerms) -> Num:
    """Sequences whose cache fits beside the weights; below 1 if not even one does."""
    each = chip.memory_bytes * roofline.memory_fraction - roofline.reserved_bytes - copied_bytes(model, terms)
    return (each * terms.accelerators_per_replica - weights_bytes(model)) / kv_bytes_per_sequence(model, terms)


def experts_touched(model: ServedModel, batch: Num) -> Num:
    """Share of the routed experts that at least one token of a batch uses, if each picks evenly: 1 - (1 - k/E)^B."""
    if not model.experts:
        return 0.0
    return -np.expm1(batch * log_missed(model))


def log_missed(model: ServedModel) -> float:
    """Log of the probability that a token misses a given expert."""
    share = model.experts_per_token / model.experts
    return math.log1p(-share) if share < 1 else -math.inf


# --- times ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DecodeTimes:
    """Seconds of a decode step as a function of the batch: ``max(reading, computing) + fixed + batch * exchange``.

    Reading is ``weights + touched(batch) * experts + batch * cache``; computing is ``batch * compute``.

    Attributes:
        weights: to read the weights that every step reads.
        experts: to read all routed experts.
        cache: to read one sequence's KV cache.
        compute: to multiply for one sequence.
        fixed: per step.
        exchange: per sequence, in all-reduces.
    """

    weights: Num
    experts: Num
    cache: Num
    compute: Num
    fixed: Num
    exchange: Num


def decode_times(model: ServedModel, chip: ServingChip, roofline: Roofline, terms: ServingTerms) -> DecodeTimes:
    """Coefficients of the time of a decode step, at the mean context of a request.

    Source: roofline (Williams et al. 2009) with the overheads of docs/economics.md, fitted on published serving runs.
    """
    replica = terms.accelerators_per_replica
    bandwidth = chip.memory_bandwidth * roofline.memory_efficiency
    caching = roofline.memory_efficiency if roofline.cache_efficiency is None else roofline.cache_efficiency
    context = np.minimum(terms.input_tokens + terms.output_tokens / 2, model.context_cap)
    expert_bytes = model.expert_parameters * model.expert_weight_bytes
    cache_bytes = context * model.kv_elements_per_token * model.kv_bytes / kv_shards(model, terms)
    multiply = 2.0 * model.active_parameters / chip.peak_flops
    attend = model.decode_attention_flops * context / chip.attention_flops
    # software_factor scales every time, so that throughput at a given batch is proportional to it.
    slow = 1.0 / terms.software_factor
    allreduces = _allreduces(model, terms)
    wire = allreduces * _allreduce_seconds_per_token(model, chip, terms) / roofline.link_efficiency
    dense_bytes = (weights_bytes(model) - expert_bytes) / replica + copied_bytes(model, terms)
    return DecodeTimes(
        weights=slow * dense_bytes / bandwidth,
        experts=slow * expert_bytes / replica / bandwidth,
        cache=slow * cache_bytes / (chip.memory_bandwidth * caching),
        compute=slow * (multiply + attend) / replica / roofline.flop_efficiency,
        fixed=slow * (model.layers * roofline.layer_seconds + allreduces * roofline.allreduce_seconds),
        exchange=slow * (wire + roofline.sequence_seconds / terms.attention_data_parallel),
    )


def _allreduces(model: ServedModel, terms: ServingTerms) -> float:
    """All-reduces of a pass: two a layer."""
    return 2.0 * model.layers if terms.accelerators_per_replica > 1 else 0.0


def _allreduce_seconds_per_token(model: ServedModel, chip: ServingChip, terms: ServingTerms) -> Num:
    """Time on a perfect wire of one token's activations (2 bytes each) in a ring all-reduce.

    Groups of attention data parallelism exchange their own requests' tokens alone, all at once.
    """
    replica = terms.accelerators_per_replica
    each = 2.0 * (replica - 1) / replica * model.hidden_size * 2.0 / chip.link_bandwidth
    return each / terms.attention_data_parallel


def reading_seconds(times: DecodeTimes, model: ServedModel, batch: Num) -> Num:
    """Time to read weights, touched experts and KV cache in a decode step."""
    return times.weights + times.experts * experts_touched(model, batch) + times.cache * batch


@declare(
    "serving.step_seconds",
    label="decode step",
    unit="s",
    formula="the larger of reading weights and KV cache and of multiplying for {serving.batch} sequences, "
    "plus fixed time and all-reduces of {model.layers} layers",
    source="roofline with fitted overheads, docs/economics.md",
    better="lower",
)
def step_seconds(times: DecodeTimes, model: ServedModel, batch: Num) -> Num:
    """Time of a decode step of a batch."""
    busy = np.maximum(reading_seconds(times, model, batch), times.compute * batch)
    return busy + times.fixed + times.exchange * batch


def prefill_seconds_per_token(model: ServedModel, chip: ServingChip, roofline: Roofline, terms: ServingTerms) -> Num:
    """Replica time of one uncached input token, on average over those of a request.

    They come last in the prompt, so each looks back on ``input_tokens * (1 + cached_share) / 2`` tokens. A request
    takes no less than reading the weights (``Roofline.prompt_reads``), and a fixed time.
    """
    replica = terms.accelerators_per_replica
    before = np.minimum(terms.input_tokens * (1.0 + terms.cached_share) / 2, model.context_cap)
    reached = roofline.flop_efficiency if roofline.prefill_efficiency is None else roofline.prefill_efficiency
    links = roofline.link_efficiency if roofline.prefill_link_efficiency is None else roofline.prefill_link_efficiency
    multiply = 2.0 * model.active_parameters / chip.peak_flops / reached
    attend = model.prefill_attention_flops * before / chip.attention_flops / roofline.flop_efficiency
    exchange = _allreduces(model, terms) * _allreduce_seconds_per_token(model, chip, terms) / links
    per_token = (multiply + attend) / replica
    slow = 1.0 / terms.software_factor
    uncached = terms.input_tokens * uncached_share(terms)
    # A pass reads all weights and launches every layer, however short the prompt; what is all cached is none.
    reading = (weights_bytes(model) / replica + copied_bytes(model, terms)) / (
        chip.memory_bandwidth * roofline.memory_efficiency
    )
    least = roofline.prompt_reads * (reading + model.layers * roofline.layer_seconds)
    some = np.maximum(uncached, 1.0)
    return slow * (np.maximum(per_token, least / some) + exchange + roofline.request_seconds / some)


def uncached_share(terms: ServingTerms) -> Num:
    """Input that is prefilled, with cached tokens at what they cost, as a share of all."""
    return 1.0 - terms.cached_share + terms.cached_share * terms.cached_cost


@declare(
    "serving.prefill_seconds",
    label="prefill of a request",
    unit="s",
    formula="{serving.prefill_seconds_per_token} * {serving.input_tokens} * (1 - {serving.cached_share} + "
    "{serving.cached_share} * {serving.cached_cost})",
    source="time per uncached token; a cached one costs a stated share of that",
    better="lower",
)
@declare(
    "serving.prefill_seconds_per_token",
    label="prefill of a token",
    unit="s",
    formula="multiplying and all-reducing one uncached token among {serving.input_tokens}, or its share of reading all "
    "weights if that is longer, and of the fixed time of a request",
    source="roofline with fitted overheads, docs/economics.md",
    better="lower",
)
def prefill_seconds(per_token: Num, terms: ServingTerms) -> Num:
    """Replica time that the input of one request takes, cached tokens included."""
    return per_token * terms.input_tokens * uncached_share(terms)
