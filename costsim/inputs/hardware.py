"""The parts of a hardware file: rates, memory, links, power, prices, and priors of kernels."""

from __future__ import annotations

import datetime
import math
from typing import Literal, TypeAlias, get_args

import pydantic

from costsim.errors import Problem
from costsim.inputs.fields import Date, FieldError, Items, Strict
from costsim.inputs.quantity import (
    AtLeastOne,
    Bytes,
    BytesPerSecond,
    BytesPerSecondRange,
    Count,
    FlopPerSecond,
    Fraction,
    PositiveFractionRange,
    Range,
    Seconds,
    SecondsRange,
    UsdNamedRange,
    UsdPerHour,
    Watts,
)
from costsim.inputs.sourced import Known

Precision: TypeAlias = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "fp4", "int8"]
Generation: TypeAlias = Literal[
    "pascal", "volta", "turing", "ampere", "ada", "hopper", "blackwell",
    "cdna2", "cdna3", "cdna4", "tpu", "gaudi", "trainium", "ascend", "cpu", "other",
]  # fmt: skip
"""Families of chips that kernels are written for: an attention kernel of one runs poorly on the next."""
Term: TypeAlias = Literal["on-demand", "1-year", "3-year", "spot"]
Covers: TypeAlias = Literal["chip", "board", "server"]


class Section(Strict):
    """A part of a hardware file: its own ``source`` and ``known`` hold for the leaves below that have none."""

    source: str = ""
    known: Known = ""
    note: str = ""


class PeakFlops(Section):
    """Dense peak rates of matrix products by the precision of their inputs; absent where the chip has none."""

    fp32: FlopPerSecond | None = None
    tf32: FlopPerSecond | None = None
    fp16: FlopPerSecond | None = None
    bf16: FlopPerSecond | None = None
    fp8: FlopPerSecond | None = None
    fp4: FlopPerSecond | None = None
    int8: FlopPerSecond | None = None

    @pydantic.model_validator(mode="after")
    def _has_one(self) -> PeakFlops:
        if not self.rates():
            raise FieldError("no precision has a peak rate", allowed=f"some of {', '.join(get_args(Precision))}")
        return self

    def rates(self) -> dict[str, float]:
        """FLOP/s of each precision that the chip has."""
        found = {name: getattr(self, name) for name in get_args(Precision)}
        return {name: rate for name, rate in found.items() if rate is not None}


class Memory(Section):
    """Device memory: its size, what a framework can use of it, and its bandwidth."""

    capacity: Bytes
    usable: Bytes | None = None
    bandwidth: BytesPerSecond

    @pydantic.model_validator(mode="after")
    def _usable_fits(self) -> Memory:
        if self.usable is not None and self.usable > self.capacity:
            raise FieldError("more memory is usable than there is", field="usable", allowed="at most the capacity")
        return self

    @property
    def usable_bytes(self) -> float:
        """What a framework can allocate; the capacity where the file does not say."""
        return self.capacity if self.usable is None else self.usable


class ScaleUp(Section):
    """Fast links among the accelerators of a domain; bandwidth is an accelerator's total, in one direction.

    Attributes:
        per_peer: of a mesh, what one accelerator can send one other.
        dims: of a torus, the shape of the whole domain.
        wraps: of a torus, the shortest axis of a slice that has wrap-around links; the whole axis if left out.
    """

    bandwidth: BytesPerSecond | None = None
    domain: Count
    topology: Literal["switch", "mesh", "torus"] = "switch"
    latency: Seconds | None = None
    per_peer: BytesPerSecond | None = None
    dims: Items[Count] | None = None
    wraps: Count | None = None

    @pydantic.model_validator(mode="after")
    def _hangs_together(self) -> ScaleUp:
        problems = []
        if self.domain > 1 and self.bandwidth is None:
            problems.append(Problem(f"a domain of {self.domain} needs a bandwidth", "bandwidth"))
        if self.per_peer is not None and self.topology != "mesh":
            problems.append(Problem(f"a {self.topology} has no 'per_peer'", "per_peer", allowed="topology: mesh"))
        if self.per_peer is not None and self.bandwidth is not None and self.per_peer > self.bandwidth:
            problems.append(Problem("one peer gets more than all of them", "per_peer", allowed="at most the bandwidth"))
        if self.dims is not None and self.topology != "torus":
            problems.append(Problem(f"a {self.topology} has no 'dims'", "dims", allowed="topology: torus"))
        if self.wraps is not None and self.dims is None:
            problems.append(Problem("'wraps' is of the axes in 'dims'", "wraps", allowed="topology: torus, with dims"))
        if self.dims is not None and math.prod(self.dims) != self.domain:
            text = " x ".join(map(str, self.dims))
            problems.append(Problem(f"{text} is {math.prod(self.dims)}, not the domain of {self.domain}", "dims"))
        if problems:
            raise FieldError(problems)
        return self

    @property
    def latency_seconds(self) -> float:
        """Latency of a hop; zero where the file leaves it out (see `Accelerator.left_out`)."""
        return self.latency or 0.0


class ScaleOut(Section):
    """The network between domains; bandwidth is an accelerator's share, in one direction."""

    bandwidth: BytesPerSecond
    latency: Seconds | None = None

    @property
    def latency_seconds(self) -> float:
        """Latency of a hop; zero where the file leaves it out (see `Accelerator.left_out`)."""
        return self.latency or 0.0


class Power(Section):
    """Power of the chip, and of an accelerator's share of its node before the building's PUE."""

    tdp: Watts | None = None
    system: Watts | None = None

    @pydantic.model_validator(mode="after")
    def _system_is_more(self) -> Power:
        if self.tdp is not None and self.system is not None and self.system < self.tdp:
            raise FieldError("a share of the node draws less than its chip", field="system", allowed="at least the TDP")
        return self


class Ownership(Section):
    """What owning adds to the bare chip, as Epoch's method has it.

    Attributes:
        server_factor: price of a server's share over that of the bare chip.
        network_share: of the price of a cluster.
        server_power_factor: power of a server's share over the TDP.
    """

    server_factor: AtLeastOne
    network_share: Fraction
    server_power_factor: AtLeastOne


class MatmulKernel(Section):
    """Matrix products: ``t = ((2mnk / (peak e))^4 + (bytes / (bandwidth m))^4)^(1/4) + launch``.

    Attributes:
        efficiency: share e of the dense peak that large products reach.
        memory_efficiency: share m of the memory bandwidth that thin ones reach.
        launch: fixed time of a product.
    """

    efficiency: PositiveFractionRange
    memory_efficiency: PositiveFractionRange
    launch: SecondsRange


class MatmulKernels(Section):
    """Matrix products by precision."""

    fp32: MatmulKernel | None = None
    tf32: MatmulKernel | None = None
    fp16: MatmulKernel | None = None
    bf16: MatmulKernel | None = None
    fp8: MatmulKernel | None = None
    fp4: MatmulKernel | None = None
    int8: MatmulKernel | None = None


class AttentionKernel(Section):
    """Fused attention: share of the BF16 (else FP16) peak that its forward pass reaches on causal FLOPs."""

    efficiency: PositiveFractionRange


class Collective(Section):
    """One collective: ``t = alpha + share of the message / bus_bandwidth``, the share as nccl-tests define it.

    Attributes:
        pair_alpha: alpha between two ranks.
        pair_bandwidth: bus bandwidth between two ranks.
    """

    alpha: SecondsRange
    bus_bandwidth: BytesPerSecondRange
    pair_alpha: SecondsRange | None = None
    pair_bandwidth: BytesPerSecondRange | None = None


class Collectives(Section):
    """Collectives within a node, as fitted to measurements over ``ranks`` accelerators."""

    ranks: Count | None = None
    all_reduce: Collective | None = None
    all_gather: Collective | None = None
    reduce_scatter: Collective | None = None
    all_to_all: Collective | None = None


class Kernels(Section):
    """Priors of kernels with their spread."""

    matmul: MatmulKernels | None = None
    attention: AttentionKernel | None = None
    collectives: Collectives | None = None


class Price(Section):
    """A dated price of one accelerator: of an hour, or of owning it.

    Attributes:
        covers: of a purchase, what the price pays for besides the chip: its share of a board, or of a whole server.
        url: where the source found it.
        until: the last day of the offer; on a later day it has expired.
    """

    kind: Literal["rent", "purchase"]
    date: Date
    until: Date | None = None
    provider: str = ""
    term: Term | None = None
    usd_per_hour: UsdPerHour | None = None
    usd: UsdNamedRange | None = None
    covers: Covers = "chip"
    region: str = ""
    url: str = ""

    @pydantic.model_validator(mode="after")
    def _is_one_or_the_other(self) -> Price:
        wanted, other = ("usd_per_hour", "usd") if self.kind == "rent" else ("usd", "usd_per_hour")
        problems = []
        amount = getattr(self, wanted)
        if getattr(self, other) is not None:
            problems.append(Problem(f"a price of kind '{self.kind}' has no '{other}'", other, allowed=wanted))
        if amount is None:
            problems.append(Problem(f"a price of kind '{self.kind}' needs '{wanted}'"))
        elif (amount.centre() if isinstance(amount, Range) else amount) <= 0:
            problems.append(Problem("a price of zero is no offer", wanted, allowed="a price above zero, or no entry"))
        if self.until is not None and self.until < self.date:
            problems.append(Problem("an offer ends before it is made", "until", allowed=f"a day from {self.date} on"))
        if self.kind == "rent" and self.term is None:
            problems.append(Problem("a rent needs its term", allowed=f"term: one of {', '.join(get_args(Term))}"))
        if self.kind == "purchase" and self.term is not None:
            problems.append(Problem("a purchase has no term", "term"))
        if problems:
            raise FieldError(problems)
        return self

    @property
    def sold(self) -> str:
        """What is sold: a term of rent, or a purchase."""
        return self.term or self.kind

    def holds(self, day: datetime.date) -> bool:
        """Whether the offer has not expired by a day."""
        return self.until is None or self.until >= day


class Origin(Strict):
    """A source that facts of a file name.

    Attributes:
        accessed: the day it was last read or checked.
        note: how, if not at the address itself.
    """

    title: str
    url: str
    accessed: Date
    note: str = ""
