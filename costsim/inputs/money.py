"""The sections of a scenario that are about money: cost, demand, price, finance, and the cluster's failures.

The serving section is in ``serving``; its models are found here too.

Keys that ``data/defaults.yaml`` fills are required here: defaults are laid under a scenario before it is validated, so
that no number hides in code. What may be missing altogether is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

import pydantic
from pydantic_core import CoreSchema, core_schema

from costsim.errors import Problem
from costsim.inputs import units
from costsim.inputs.fields import ByShape, Date, FieldError, Items, Strict
from costsim.inputs.hardware import Term
from costsim.inputs.kinds import Kind
from costsim.inputs.prices import BookEntry, PriceOrBook
from costsim.inputs.quantity import (
    AtLeastOneRange,
    EventsPerHourRange,
    FractionRange,
    GrowthPerYearRange,
    MonthsRange,
    PositiveFractionRange,
    PositiveNumberRange,
    RatePerYearRange,
    SecondsRange,
    TokensPerSecondRange,
    TokensRange,
    UsdPerMonthRange,
    UsdPerMtokRange,
    UsdRange,
)
from costsim.inputs.serving import ByChip as ByChip
from costsim.inputs.serving import HourPrice as HourPrice
from costsim.inputs.serving import Rent as Rent
from costsim.inputs.serving import Serving as Serving
from costsim.uncertainty.ranges import Range

TERM_YEARS: Mapping[str, float] = {"1-year": 1.0, "3-year": 3.0}
"""Length of the terms that can be committed to."""

LifeInYears: TypeAlias = Annotated[float | Range, Kind(units.TIME, unit="years", lower=0.1, upper=50, ranges=True)]
AgeInYears: TypeAlias = Annotated[float | Range, Kind(units.TIME, unit="years", upper=50, ranges=True)]
SpanInMonths: TypeAlias = Annotated[float | Range, Kind(units.TIME, unit="months", above=True, ranges=True)]
NetworkShare: TypeAlias = Annotated[float | Range, Kind(units.FRACTION, upper=0.9, ranges=True)]
Discount: TypeAlias = Annotated[float | Range, Kind(units.FRACTION, upper=0.99, ranges=True)]
"""Off a price: never all of it, since a rent of nothing is refused too."""
MtokPrice: TypeAlias = Annotated[float | Range, Kind(units.USD_PER_MTOK, above=True, ranges=True)]
UnitPrice: TypeAlias = Annotated[float | Range | BookEntry, PriceOrBook(units.USD, above=True, bare=True, ranges=True)]

Purchase: TypeAlias = Annotated[
    UnitPrice | BookEntry | None, ByShape("a price such as 30000 USD, a range, or {book: accelerator/purchase}")
]
Reference: TypeAlias = Annotated[str | dict[str, Any], ByShape("a catalogue name, a path or a mapping")]


class _AutoOr:
    """Makes a field read ``auto``, or a quantity."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def read(self, value: object) -> object:
        return value if value == "auto" else self.kind.read(value)

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        return {"type": ["string", "object"], "description": f"auto; or {self.kind.expected()}"}


Interval: TypeAlias = Annotated[float | Range | Literal["auto"], _AutoOr(Kind(units.TIME, above=True, ranges=True))]


class Failures(Strict):
    """How often a run is interrupted, and what that costs; ``cluster.failures``.

    Attributes:
        interruptions_per_accelerator_hour: unexpected interruptions for each accelerator-hour.
        restart: from an interruption to useful work.
        checkpoint_write: time for which training stops for a checkpoint.
        checkpoint_every: time between checkpoints, or ``auto`` for the one that loses least.
    """

    interruptions_per_accelerator_hour: EventsPerHourRange
    restart: SecondsRange
    checkpoint_write: SecondsRange
    checkpoint_every: Interval


# --- cost -------------------------------------------------------------------------------------------------------------


class RentFields(Strict):
    """Renting; ``cost.rent``.

    Attributes:
        usd_per_accelerator_hour: price; default that of the price book for the term.
        term: which of the book's prices.
        discount: off that price.
        commitment: whether the whole term is billed.
    """

    usd_per_accelerator_hour: Rent = None
    term: Term
    discount: Discount
    commitment: bool

    @pydantic.model_validator(mode="after")
    def _commits_to_a_term(self) -> RentFields:
        if self.commitment and self.term not in TERM_YEARS:
            message = f"a commitment needs a term, and '{self.term}' has none"
            raise FieldError(message, field="commitment", allowed=f"term: {' or '.join(TERM_YEARS)}")
        return self

    @property
    def committed_years(self) -> float:
        """Years that are billed whether used or not."""
        return TERM_YEARS[self.term] if self.commitment else 0.0


class OwnFields(Strict):
    """Owning; ``cost.own``.

    Attributes:
        usd_per_accelerator: price of one; default that of the price book.
        server_factor: server over the accelerators in it; default from the hardware file.
        network_share: network between servers, of the cluster; default from the hardware file.
        life: over which capital is charged.
        residual: value at its end, of the purchase price.
        capital_cost: yearly.
        method: how capital is charged.
        occupancy: share of owned hours that are put to use.
        operation: space, staff, spares and maintenance a year, of the purchase price.
        age: of the hardware at the start; default from its release.
    """

    usd_per_accelerator: Purchase = None
    server_factor: AtLeastOneRange | None = None
    network_share: NetworkShare | None = None
    life: LifeInYears
    residual: FractionRange
    capital_cost: RatePerYearRange
    method: Literal["capital_recovery", "straight_line", "declining"]
    occupancy: PositiveFractionRange
    operation: RatePerYearRange
    age: AgeInYears | None = None


class AmortisedFields(Strict):
    """Epoch's method; ``cost.amortised``.

    Attributes:
        progress: yearly fall of a chip's value, in orders of magnitude.
    """

    progress: PositiveNumberRange


class Line(Strict):
    """A line of the programme: ``35%`` of it, or ``20M USD``; as a mapping, both.

    Attributes:
        usd: a sum.
        share: of the whole programme.
    """

    usd: UsdRange | None = None
    share: FractionRange | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _by_unit(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "distribution" not in value:
            return value
        parts = [value] if not isinstance(value, Mapping) else [v for k, v in value.items() if k != "distribution"]
        return {"usd" if any(isinstance(part, str) and _is_money(part) for part in parts) else "share": value}

    @pydantic.model_validator(mode="after")
    def _says_something(self) -> Line:
        if self.usd is None and self.share is None:
            raise FieldError("this line has no amount", allowed="a share such as 35%, or a sum such as 20M USD")
        return self


def _is_money(text: str) -> bool:
    return "USD" in text or "$" in text


class Cost(Strict):
    """What the run and its programme cost; ``cost``.

    Attributes:
        basis: which of the bases is the total.
        rent: renting.
        own: owning.
        amortised: Epoch's method.
        site: electricity price, grid carbon, PUE: a name or a mapping.
        power_utilisation: mean draw of a training node over its maximum.
        research_multiplier: compute of the programme over the final run's.
        staff: people.
        data: licences, collection, annotation.
        storage: of data and checkpoints.
        network: links to the outside.
        egress: data carried out of a cloud.
        contingency: for what is not foreseen.
    """

    basis: Literal["rent", "own", "amortised"]
    rent: RentFields
    own: OwnFields
    amortised: AmortisedFields
    site: Reference
    power_utilisation: PositiveFractionRange
    research_multiplier: AtLeastOneRange
    staff: Line | None = None
    data: Line | None = None
    storage: Line | None = None
    network: Line | None = None
    egress: Line | None = None
    contingency: Line | None = None


# --- demand, price, finance -------------------------------------------------------------------------------------------


class Logistic(Strict):
    """An S-curve after launch; ``width`` is the logistic scale."""

    kind: Literal["logistic"]
    midpoint: MonthsRange
    width: SpanInMonths


class Bass(Strict):
    """Bass diffusion after launch: innovation ``p`` and imitation ``q``, both a month."""

    kind: Literal["bass"]
    p: PositiveNumberRange
    q: PositiveNumberRange


class SuccessorFields(Strict):
    """A better model takes demand away; ``demand.successor``.

    Attributes:
        after: launch.
        half_life: in which demand then halves.
    """

    after: MonthsRange
    half_life: SpanInMonths


class Demand(Strict):
    """Tokens that are asked for; ``demand``.

    Attributes:
        launch_delay: from the end of the run.
        peak: input and output tokens at full demand.
        users: at full demand, instead of ``peak``.
        tokens_per_user_per_day: input and output.
        ramp: how demand grows to its peak.
        life: from launch until the service ends.
        paid_share: of tokens that are paid for.
        successor: what takes demand away before that.
    """

    launch_delay: MonthsRange
    peak: TokensPerSecondRange | None = None
    users: PositiveNumberRange | None = None
    tokens_per_user_per_day: TokensRange | None = None
    ramp: Annotated[Logistic | Bass, pydantic.Field(discriminator="kind")]
    life: SpanInMonths
    paid_share: FractionRange
    successor: SuccessorFields | None = None

    @pydantic.model_validator(mode="after")
    def _one_peak(self) -> Demand:
        allowed = "peak, such as 1T tokens/day; or users with tokens_per_user_per_day"
        problems = []
        if self.peak is None and self.users is None:
            problems.append(Problem("there is no demand", "peak", allowed=allowed))
        if self.peak is not None and (self.users is not None or self.tokens_per_user_per_day is not None):
            problems.append(Problem("demand is given twice", "peak", allowed=allowed))
        if self.peak is None and (self.users is None) != (self.tokens_per_user_per_day is None):
            missing = "users" if self.users is None else "tokens_per_user_per_day"
            problems.append(Problem("this key is missing", missing, allowed=allowed))
        if problems:
            raise FieldError(problems)
        return self


class PriceStep(Strict):
    """A price from a day on; the first one also holds before."""

    since: Date
    price: UsdPerMtokRange


ListPrice: TypeAlias = Annotated[
    UsdPerMtokRange | Items[PriceStep], ByShape("a price such as 1.25 USD/Mtok, a range, or a list of since and price")
]


class Price(Strict):
    """What tokens are sold for; ``price``.

    Attributes:
        input: of uncached input tokens.
        output: of output tokens.
        cached_input: of the input price.
        batch: of the list price.
        market_at_launch: output tokens of equal capability elsewhere: caps ours.
        market_input: uncached input elsewhere, of the output price elsewhere: caps ours.
        market_decline: factor by which both fall in a year.
    """

    input: ListPrice
    output: ListPrice
    cached_input: FractionRange
    batch: FractionRange
    market_at_launch: MtokPrice | None = None
    market_input: PositiveFractionRange
    market_decline: GrowthPerYearRange

    @pydantic.model_validator(mode="after")
    def _steps_ascend(self) -> Price:
        problems = []
        for name in ("input", "output"):
            steps = getattr(self, name)
            days = [step.since for step in steps] if isinstance(steps, tuple) else None
            if days is not None and not days:
                problems.append(Problem("a list of prices is empty", name, allowed="a price, or dated steps"))
            if days and days != sorted(set(days)):
                problems.append(Problem("the steps are not in order", name, allowed="each 'since' once, ascending"))
        if problems:
            raise FieldError(problems)
        return self


class Debt(Strict):
    """A loan for a share of programme cost; ``finance.debt``.

    Attributes:
        share: of programme cost.
        rate: nominal yearly interest, paid monthly.
        due: when all of it is repaid, after the start.
    """

    share: FractionRange
    rate: RatePerYearRange
    due: SpanInMonths


class Finance(Strict):
    """Who pays, and what time costs; ``finance``.

    Attributes:
        discount_rate: yearly.
        debt: a loan.
        cash: at the start.
        fixed_costs: a month, after launch.
    """

    discount_rate: RatePerYearRange
    debt: Debt | None = None
    cash: UsdRange | None = None
    fixed_costs: UsdPerMonthRange
