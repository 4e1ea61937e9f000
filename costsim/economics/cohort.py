"""The cash flow of one model, month by month: its programme, then tokens served, revenue, serving cost.

Month ``m`` (from 1) is the time from ``m - 1`` to ``m`` after the scenario's start; months are the last axis, so a flow
is ``(months,)`` or ``(n, months)``. Launch and the end of life fall inside months: a month counts for the share of it
in which the service runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costsim.economics.calendar import DAYS_PER_MONTH, PER_MILLION, SECONDS_PER_MONTH
from costsim.economics.finance import by_month, divide

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
class DemandTerms:
    """The ``demand`` section.

    Attributes:
        peak: input and output tokens per second at full demand.
        ramp: how demand grows to its peak.
        launch_delay: from the end of the run, months.
        life: from launch until the model is obsolete, months.
        paid_share: of tokens that are paid for.
    """

    peak: Num
    ramp: LogisticRamp | BassRamp
    launch_delay: Num
    life: Num
    paid_share: Num


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
        market_decline: factor by which it falls in a year.
    """

    input: Num | Steps
    output: Num | Steps
    cached_input: Num
    batch: Num
    market_at_launch: Num | None = None
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
    """Serving costs, USD per million tokens: of uncached input, cached input and output."""

    input: Num
    cached_input: Num
    output: Num


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
        run_months: over which the programme is spent.
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
    run_months: Num

    @property
    def contribution(self) -> Flows:
        """Revenue less serving and fixed costs."""
        return self.revenue - self.serving - self.fixed

    @property
    def net(self) -> Flows:
        """Contribution less programme cost."""
        return self.contribution - self.cost


# --- time -------------------------------------------------------------------------------------------------------------


def launch_months(wall_clock_days: Num, demand: DemandTerms) -> Num:
    """Months from the start of the scenario to launch."""
    return wall_clock_days / DAYS_PER_MONTH + demand.launch_delay


def horizon_months(wall_clock_days: Num, demand: DemandTerms, due: Num = 0.0) -> int:
    """Whole months that a cash flow needs: to the end of the model's life, and to the day a debt falls due.

    Args:
        wall_clock_days: of the run.
        demand: for launch and life.
        due: of the debt, months after the start.
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


# --- prices -----------------------------------------------------------------------------------------------------------


def price_at(price: Num | Steps, months: Flows) -> Flows:
    """A list price at times, USD per million tokens; times are months after the start."""
    if not isinstance(price, Steps):
        return by_month(price) + np.zeros_like(months)
    value = by_month(price.usd[0]) + np.zeros_like(months)
    for begins, usd in zip(price.months[1:], price.usd[1:], strict=True):
        value = np.where(months >= begins, by_month(usd), value)
    return value


def market_share_of_list(price: PriceTerms, output_list: Flows, age_months: Flows) -> Flows:
    """What share of our list the market lets us charge: 1, or its output price over ours where that is lower.

    The market caps the output price and all our prices follow in proportion: a buyer of equal capability compares
    price lists, not lines of them.
    """
    if price.market_at_launch is None:
        return np.ones_like(age_months)
    market = by_month(price.market_at_launch) * np.exp(-np.log(by_month(price.market_decline)) * age_months / 12)
    return np.minimum(1.0, divide(market, output_list, np.inf))


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
) -> CashFlow:
    """Lay programme, revenue and serving cost out by month.

    The programme is spent evenly over the run. A month's demand is that at the middle of the time in which the service
    runs in it.

    Args:
        programme_usd: cost of the programme.
        wall_clock_days: of the run.
        demand: tokens and their life.
        price: list and market.
        mix: of tokens.
        costs: of serving.
        fixed_usd_per_month: after launch, to the end of the model's life.
        months: of the flow, by `horizon_months`.
    """
    opens, share, age = _service_window(launch_months(wall_clock_days, demand), demand.life, months)
    middle = np.arange(months) + opens + share / 2
    tokens = by_month(demand.peak) * SECONDS_PER_MONTH * ramp_share(demand.ramp, age) * share
    output = price_at(price.output, middle)
    charged = market_share_of_list(price, output, age)
    discount = 1.0 - by_month(mix.batch_share) * (1.0 - by_month(price.batch))
    uncached = price_at(price.input, middle)
    listed = blend(mix, uncached, uncached * by_month(price.cached_input), output)
    unit = blend(mix, by_month(costs.input), by_month(costs.cached_input), by_month(costs.output))
    return CashFlow(
        programme=programme_usd,
        cost=by_month(programme_usd) * _spread(wall_clock_days / DAYS_PER_MONTH, months),
        tokens=tokens,
        revenue=tokens / PER_MILLION * by_month(demand.paid_share) * discount * charged * listed,
        serving=tokens / PER_MILLION * unit,
        fixed=by_month(fixed_usd_per_month) * share,
        output_price=output * charged,
        opens=opens,
        share=share,
        run_months=wall_clock_days / DAYS_PER_MONTH,
    )


def _spread(run_months: Num, months: int) -> Flows:
    """Share of the run in each month; all of it in the first for a run of no time."""
    lasts = np.maximum(by_month(run_months), 1e-9)
    begins = np.arange(months, dtype=np.float64)
    return np.clip(lasts - begins, 0.0, 1.0) / lasts
