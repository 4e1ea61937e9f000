"""The cash flow of one model, month by month: its programme, then tokens served, revenue, serving cost.

Month ``m`` (from 1) is the time from ``m - 1`` to ``m`` after the scenario's start; months are the last axis, so a flow
is ``(months,)`` or ``(n, months)``. Launch and the end of life fall inside months: a month counts for the share of it
in which the service runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from costsim.economics.calendar import DAYS_PER_MONTH, PER_MILLION, SECONDS_PER_MONTH
from costsim.economics.finance import by_month

if TYPE_CHECKING:
    from costsim.economics.finance import Flows
    from costsim.uncertainty.ranges import Num

MAX_MONTHS = 600
"""Longest cash flow that is made: fifty years. A longer plan is no plan, and would fill the memory."""


@dataclass(frozen=True)
class LogisticRamp:
    """Demand as a share of its peak: ``1 / (1 + exp(-(t - midpoint) / width))``; both in months after launch."""

    midpoint: Num
    width: Num


@dataclass(frozen=True)
class BassRamp:
    """Demand as a share of its peak: Bass diffusion with innovation ``p`` and imitation ``q``, both per month."""

    p: Num
    q: Num


@dataclass(frozen=True)
class Successor:
    """A better model appears, and demand moves to it.

    Attributes:
        after: months after launch.
        half_life: months in which demand then halves.
    """

    after: Num
    half_life: Num


@dataclass(frozen=True)
class DemandTerms:
    """The ``demand`` section.

    Attributes:
        peak: input and output tokens per second at full demand.
        ramp: how demand grows to its peak.
        launch_delay: from the end of the run, months.
        life: from launch until the service ends, months.
        paid_share: of tokens that are paid for.
        successor: what takes demand away before that; None without one.
    """

    peak: Num
    ramp: LogisticRamp | BassRamp
    launch_delay: Num
    life: Num
    paid_share: Num
    successor: Successor | None = None


@dataclass(frozen=True)
class Steps:
    """A price that changes at dates.

    Attributes:
        months: from the start of the scenario, ascending; the first price also holds before the first date.
        usd: USD per million tokens from then on.
    """

    months: tuple[float, ...]
    usd: tuple[Num, ...]


@dataclass(frozen=True)
class PriceTerms:
    """The ``price`` section: USD per million tokens, and shares.

    Attributes:
        input: of uncached input tokens.
        output: of output tokens.
        cached_input: of the input price.
        batch: of the list price.
        market_at_launch: output price of equal capability elsewhere, at our launch; None without a market.
        market_input: uncached input price elsewhere, of the output price elsewhere.
        market_decline: factor by which both fall in a year.
    """

    input: Num | Steps
    output: Num | Steps
    cached_input: Num
    batch: Num
    market_at_launch: Num | None = None
    market_input: Num = 1.0
    market_decline: Num = 1.0


@dataclass(frozen=True)
class TokenMix:
    """What an average token is, as in ``serving``.

    Attributes:
        input_tokens: of a request.
        output_tokens: of a request.
        cached_share: of input tokens.
        batch_share: of tokens, sold at the batch price.
    """

    input_tokens: Num
    output_tokens: Num
    cached_share: Num
    batch_share: Num


@dataclass(frozen=True)
class UnitCosts:
    """Serving costs at the start of the scenario.

    Attributes:
        input: USD per million uncached input tokens.
        cached_input: USD per million cached input tokens.
        output: USD per million output tokens.
        decline: yearly fall of all three, as the price of an accelerator-hour falls; negative where it rises.
    """

    input: Num
    cached_input: Num
    output: Num
    decline: Num = 0.0


@dataclass(frozen=True)
class Bill:
    """What a commitment bills after the run, month by month to the end of its term.

    Attributes:
        usd: the part of the programme that is paid so, in equal parts.
        term_months: from the scenario's start.
    """

    usd: Num = 0.0
    term_months: Num = 0.0


@dataclass(frozen=True)
class CashFlow:
    """Money by month, each ``(months,)`` or ``(n, months)``.

    Attributes:
        programme: total cost of the programme, USD.
        cost: of the programme, USD.
        tokens: served.
        revenue: USD.
        serving: cost, USD.
        fixed: costs after launch, USD.
        output_price: received for paid output tokens at list, USD per million.
        opens: when in the month the service begins, as a share of the month.
        share: of the month in which the service runs.
        spent_months: over which the programme is spent: the run, or a commitment's term if that is longer.
    """

    programme: Num
    cost: Flows
    tokens: Flows
    revenue: Flows
    serving: Flows
    fixed: Flows
    output_price: Flows
    opens: Flows
    share: Flows
    spent_months: Num

    @cached_property
    def contribution(self) -> Flows:
        """Revenue less serving and fixed costs."""
        return self.revenue - self.serving - self.fixed

    @cached_property
    def net(self) -> Flows:
        """Contribution less programme cost."""
        return self.contribution - self.cost

    @cached_property
    def earned(self) -> Flows:
        """Contribution so far, at the ends of months."""
        return np.cumsum(self.contribution, axis=-1)


# --- time -------------------------------------------------------------------------------------------------------------


def launch_months(wall_clock_days: Num, demand: DemandTerms) -> Num:
    """Months from the start of the scenario to launch."""
    return wall_clock_days / DAYS_PER_MONTH + demand.launch_delay


def horizon_months(wall_clock_days: Num, demand: DemandTerms, due: Num = 0.0) -> int:
    """Whole months that a cash flow needs: to the end of the model's life, and to the last day of another duty.

    Args:
        wall_clock_days: of the run.
        demand: for launch and life.
        due: when a debt falls due or a commitment ends, months after the start.
    """
    end = launch_months(wall_clock_days, demand) + demand.life
    # A hair less than the exact end, so that rounding does not add an empty month.
    last = max(float(np.max(end)), float(np.max(due))) - 1e-9
    return max(1, int(np.ceil(min(last, 10.0 * MAX_MONTHS))))


def payback_obstacle(months: int) -> str:
    """Why no cash flow is made, in words; empty if one is."""
    if months <= MAX_MONTHS:
        return ""
    years = MAX_MONTHS // 12
    return f"payback: run, life of the model and debt last more than {years} years together: no cash flow is made"


def _service_window(launch: Num, life: Num, months: int) -> tuple[Flows, Flows, Flows]:
    """When the service runs in each month: opening and share of the month, and mean age of the service in months."""
    ends = np.arange(1, months + 1, dtype=np.float64)
    since, lasts = by_month(launch), by_month(life)
    low = np.clip(ends - 1 - since, 0.0, lasts)
    high = np.clip(ends - since, 0.0, lasts)
    return np.clip(since - (ends - 1), 0.0, 1.0), high - low, (low + high) / 2


# --- demand -----------------------------------------------------------------------------------------------------------


def ramp_share(ramp: LogisticRamp | BassRamp, age_months: Flows) -> Flows:
    """Demand as a share of its peak, at an age of the service in months.

    Source: logistic function; Bass 1969 (Management Science 15), cumulative adopters.
    """
    if isinstance(ramp, LogisticRamp):
        width = np.maximum(by_month(ramp.width), 1e-6)  # a width of nothing is a step
        score = (age_months - by_month(ramp.midpoint)) / width
        return 1.0 / (1.0 + np.exp(-np.clip(score, -700.0, 700.0)))
    p, q = by_month(ramp.p), by_month(ramp.q)
    decay = np.exp(-(p + q) * age_months)
    return np.asarray((1.0 - decay) / (1.0 + q / p * decay))


def demand_share(demand: DemandTerms, age_months: Flows) -> Flows:
    """Demand as a share of its peak: the ramp, halved again and again once a successor is out."""
    share = ramp_share(demand.ramp, age_months)
    if demand.successor is None:
        return share
    since = np.maximum(0.0, age_months - by_month(demand.successor.after))
    return np.asarray(share * np.exp2(-since / by_month(demand.successor.half_life)))


# --- prices -----------------------------------------------------------------------------------------------------------


def price_at(price: Num | Steps, months: Flows) -> Flows:
    """A list price at times, USD per million tokens; times are months after the start."""
    if not isinstance(price, Steps):
        return by_month(price) + np.zeros_like(months)
    value = by_month(price.usd[0]) + np.zeros_like(months)
    for begins, usd in zip(price.months[1:], price.usd[1:], strict=True):
        value = np.where(months >= begins, by_month(usd), value)
    return value


def prices_received(price: PriceTerms, months: Flows, age_months: Flows) -> tuple[Flows, Flows]:
    """Prices of uncached input and of output, USD per million tokens: our list, or the market's where that is lower.

    Each line has its own cap, so that a higher list price never earns less.

    Args:
        price: list and market.
        months: when, after the start: for the list.
        age_months: when, after launch: for the market.
    """
    uncached, output = price_at(price.input, months), price_at(price.output, months)
    if price.market_at_launch is None:
        return uncached, output
    market = by_month(price.market_at_launch) * np.exp(-np.log(by_month(price.market_decline)) * age_months / 12)
    return np.minimum(uncached, market * by_month(price.market_input)), np.minimum(output, market)


def blend(mix: TokenMix, uncached: Flows, cached: Flows, output: Flows) -> Flows:
    """Mean of three numbers over the tokens served: uncached input, cached input, output; by month."""
    input_share = by_month(mix.input_tokens / (mix.input_tokens + mix.output_tokens))
    hit = by_month(mix.cached_share)
    return input_share * ((1.0 - hit) * uncached + hit * cached) + (1.0 - input_share) * output


def cash_flow(
    programme_usd: Num,
    wall_clock_days: Num,
    demand: DemandTerms,
    price: PriceTerms,
    mix: TokenMix,
    costs: UnitCosts,
    fixed_usd_per_month: Num,
    months: int,
    bill: Bill = Bill(),
) -> CashFlow:
    """Lay programme, revenue and serving cost out by month.

    The programme is spent evenly over the run, but for what a commitment bills after it. A month's demand is that at
    the middle of the time in which the service runs in it.

    Args:
        programme_usd: cost of the programme.
        wall_clock_days: of the run.
        demand: tokens and their life.
        price: list and market.
        mix: of tokens.
        costs: of serving, at the start.
        fixed_usd_per_month: after launch, to the end of the model's life.
        months: of the flow, by `horizon_months`.
        bill: the part of the programme that a commitment bills after the run.
    """
    run_months = wall_clock_days / DAYS_PER_MONTH
    opens, share, age = _service_window(launch_months(wall_clock_days, demand), demand.life, months)
    middle = np.arange(months) + opens + share / 2
    millions = by_month(demand.peak) * (SECONDS_PER_MONTH / PER_MILLION) * demand_share(demand, age) * share
    uncached, output = prices_received(price, middle, age)
    discount = 1.0 - by_month(mix.batch_share) * (1.0 - by_month(price.batch))
    received = blend(mix, uncached, uncached * by_month(price.cached_input), output)
    return CashFlow(
        programme=programme_usd,
        cost=spent(programme_usd, run_months, bill, months),
        tokens=millions * PER_MILLION,
        revenue=millions * (by_month(demand.paid_share) * discount) * received,
        serving=millions * unit_cost_at(costs, mix, middle),
        fixed=by_month(fixed_usd_per_month) * share,
        output_price=output,
        opens=opens,
        share=share,
        spent_months=np.maximum(run_months, np.where(np.asarray(bill.usd) > 0, bill.term_months, 0.0))[()],
    )


def mean_unit_cost(costs: UnitCosts, mix: TokenMix) -> Num:
    """What serving a mean token costs at the start, USD per million tokens."""
    parts = (by_month(usd) for usd in (costs.input, costs.cached_input, costs.output))
    mean: Num = blend(mix, *parts)[..., 0]
    return mean


def unit_cost_at(costs: UnitCosts, mix: TokenMix, months: Flows) -> Flows:
    """What serving a mean token costs at times after the start, USD per million tokens."""
    unit = by_month(mean_unit_cost(costs, mix))
    if np.all(np.asarray(costs.decline) == 0):
        return unit
    return np.asarray(unit * np.exp(np.log1p(-by_month(costs.decline)) * months / 12))


def spent(programme_usd: Num, run_months: Num, bill: Bill, months: int) -> Flows:
    """The programme by month: evenly over the run, and what a commitment bills after it over the rest of its term."""
    return by_month(programme_usd - bill.usd) * spread(run_months, months) + by_month(bill.usd) * rest(
        run_months, bill.term_months, months
    )


def rest(run_months: Num, term_months: Num, months: int) -> Flows:
    """Share of the time from the end of a run to that of a term in each month; of a term within the run, the run's."""
    left = by_month(term_months) - by_month(run_months)
    begins = np.arange(months, dtype=np.float64)
    inside = np.clip(by_month(term_months) - begins, 0.0, 1.0) - np.clip(by_month(run_months) - begins, 0.0, 1.0)
    return np.where(left > 1e-9, inside / np.where(left > 1e-9, left, 1.0), spread(run_months, months))


def spread(run_months: Num, months: int) -> Flows:
    """Share of the run in each month; all of it in the first for a run of no time."""
    lasts = np.maximum(by_month(run_months), 1e-9)
    begins = np.arange(months, dtype=np.float64)
    return np.clip(lasts - begins, 0.0, 1.0) / lasts
