"""The serving section of a scenario: the request, the promise, the replica, and the constants of its roofline."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import pydantic

from costsim.inputs import units
from costsim.inputs.fields import ByShape, Strict
from costsim.inputs.hardware import Precision
from costsim.inputs.kinds import Kind
from costsim.inputs.prices import BookEntry, PriceOrBook
from costsim.inputs.quantity import (
    BytesRange,
    Count,
    FractionRange,
    PositiveFractionRange,
    PositiveNumber,
    PositiveNumberRange,
    SecondsRange,
    TokensPerSecondRange,
    TokensRange,
)
from costsim.uncertainty.ranges import Range

HourPrice: TypeAlias = Annotated[
    float | Range | BookEntry, PriceOrBook(units.USD_PER_HOUR, above=True, bare=True, ranges=True)
]
TokenRate: TypeAlias = Annotated[float | Range, Kind(units.TOKEN_RATE, above=True, bare=True, ranges=True)]
Rent: TypeAlias = Annotated[
    HourPrice | BookEntry | None, ByShape("a price such as 2.35 USD/h, a range, or {book: accelerator/term}")
]
"""A rental price: stated, or taken from the price book. A price of zero is refused: nothing is free."""


class BytesByPrecision(Strict):
    """Bytes of an element at each precision."""

    fp32: PositiveNumber
    tf32: PositiveNumber
    fp16: PositiveNumber
    bf16: PositiveNumber
    fp8: PositiveNumber
    int8: PositiveNumber
    fp4: PositiveNumber


class LayerFields(Strict):
    """Fixed time of a layer in a pass, by what it is made of; ``serving.roofline.layer``.

    Attributes:
        attention: of key-value heads.
        latent: latent attention (MLA) in its place.
        index: beside that, where sparse attention chooses its keys.
        norm: normalising queries and keys.
        feed_forward: of a dense layer.
        experts: a mixture of experts in its place.
        shared: experts that every token uses, beside those.
    """

    attention: SecondsRange
    latent: SecondsRange
    index: SecondsRange
    norm: SecondsRange
    feed_forward: SecondsRange
    experts: SecondsRange
    shared: SecondsRange


class RooflineFields(Strict):
    """Fitted constants of serving engines; ``serving.roofline``.

    Attributes:
        memory_efficiency: share of the memory bandwidth reached by reading weights.
        cache_efficiency: share of the memory bandwidth reached by reading KV cache.
        flop_efficiency: share of the peak reached by decode and attention.
        dense_prefill_efficiency: share of the peak reached by the products of prefill, of a dense model.
        expert_prefill_efficiency: of a mixture of experts.
        layer: fixed time of a layer in a pass.
        allreduce: fixed time of an all-reduce.
        link_efficiency: share of the link bandwidth that all-reduces of decode reach.
        prefill_link_efficiency: of prefill.
        sequence: time of the host in a decode step for each sequence.
        request: fixed time of a request.
        prompt_reads: passes over all weights that a prefill takes at least.
        memory_fraction: share of the memory that an engine may fill.
        reserved: of that, for activations and graphs.
        weight_bytes: of a weight, scales included.
        kv_bytes: of a cached element.
    """

    memory_efficiency: PositiveFractionRange
    cache_efficiency: PositiveFractionRange
    flop_efficiency: PositiveFractionRange
    dense_prefill_efficiency: PositiveFractionRange
    expert_prefill_efficiency: PositiveFractionRange
    layer: LayerFields
    allreduce: SecondsRange
    link_efficiency: PositiveFractionRange
    prefill_link_efficiency: PositiveFractionRange
    sequence: SecondsRange
    request: SecondsRange
    prompt_reads: FractionRange
    memory_fraction: PositiveFractionRange
    reserved: BytesRange
    weight_bytes: BytesByPrecision
    kv_bytes: BytesByPrecision


class ByChip(Strict):
    """A factor for each vendor of chips, and for chips by name.

    Attributes:
        nvidia: of NVIDIA's chips.
        amd: of AMD's.
        other: of any other vendor's.
        chips: of chips by catalogue name, instead of their vendor's.
    """

    nvidia: PositiveNumberRange
    amd: PositiveNumberRange
    other: PositiveNumberRange
    chips: dict[str, PositiveNumberRange] = pydantic.Field(default_factory=dict)


Decline: TypeAlias = Annotated[float | Range, Kind(units.RATE, lower=-1, upper=0.9, ranges=True)]
ChipFactor: TypeAlias = Annotated[
    PositiveNumberRange | ByChip, ByShape("a factor, or one for each of nvidia, amd and other")
]


class Serving(Strict):
    """How the model is served; ``serving``.

    Attributes:
        accelerator: a catalogue name, a path, or a mapping; default the cluster's.
        accelerators_per_replica: that hold one copy; default a node.
        precision: of weights and products.
        input_tokens: of a request.
        output_tokens: of a request.
        speed: promised to each user.
        cached_share: of input tokens.
        cached_cost: of a cached token, of prefilling it.
        batch_share: of tokens sold at the batch discount.
        occupancy: share of paid hours in which replicas are busy.
        usd_per_accelerator_hour: price; default that of the price book.
        cost_decline: yearly fall of that price, and so of the cost of a token; negative where it rises.
        measured_tokens_per_second: output tokens per accelerator, instead of the roofline's.
        attention_data_parallel: groups that each hold other requests' KV cache.
        software_factor: planned speed of the engine over the fitted roofline's, or one for each vendor.
        overhead: fixed times of layers and all-reduces over the fitted roofline's, or one for each vendor or chip.
        residual: speed as it turns out over the planned one, or one for each vendor.
        roofline: fitted constants.
    """

    accelerator: Annotated[str | dict[str, Any] | None, ByShape("a catalogue name, a path or a mapping")] = None
    accelerators_per_replica: Count | None = None
    precision: Precision
    input_tokens: TokensRange
    output_tokens: TokensRange
    speed: TokensPerSecondRange
    cached_share: FractionRange
    cached_cost: FractionRange
    batch_share: FractionRange
    occupancy: PositiveFractionRange
    usd_per_accelerator_hour: Rent = None
    cost_decline: Decline
    measured_tokens_per_second: TokenRate | None = None
    attention_data_parallel: Count
    software_factor: ChipFactor
    overhead: ChipFactor
    residual: ChipFactor
    roofline: RooflineFields
