"""The serving section of a scenario: the request, the promise, the replica, and the constants of its roofline."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from costsim.inputs import units
from costsim.inputs.fields import ByShape, Strict
from costsim.inputs.hardware import Precision
from costsim.inputs.kinds import Kind
from costsim.inputs.prices import BookEntry
from costsim.inputs.quantity import (
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

HourPrice: TypeAlias = Annotated[float | Range, Kind(units.USD_PER_HOUR, above=True, bare=True, ranges=True)]
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


class RooflineFields(Strict):
    """Fitted constants of serving engines; ``serving.roofline``.

    Attributes:
        memory_efficiency: share of the memory bandwidth reached.
        flop_efficiency: share of the peak reached.
        dense_layer: fixed time of a dense layer in a decode step.
        expert_layer: fixed time of a layer of a model with experts.
        allreduce: fixed time of an all-reduce.
        link_efficiency: share of the link bandwidth that all-reduces reach.
        memory_fraction: share of the memory for weights and KV cache.
        weight_bytes: of a weight, scales included.
        kv_bytes: of a cached element.
    """

    memory_efficiency: PositiveFractionRange
    flop_efficiency: PositiveFractionRange
    dense_layer: SecondsRange
    expert_layer: SecondsRange
    allreduce: SecondsRange
    link_efficiency: PositiveFractionRange
    memory_fraction: PositiveFractionRange
    weight_bytes: BytesByPrecision
    kv_bytes: BytesByPrecision


class SoftwareFactors(Strict):
    """Speed of engines over what the roofline says, by vendor of the chip."""

    nvidia: PositiveNumberRange
    other: PositiveNumberRange


Decline: TypeAlias = Annotated[float | Range, Kind(units.RATE, lower=-1, upper=0.9, ranges=True)]
VendorFactor: TypeAlias = Annotated[
    PositiveNumberRange | SoftwareFactors, ByShape("a factor, or one for each of nvidia and other")
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
    software_factor: VendorFactor
    residual: VendorFactor
    roofline: RooflineFields
