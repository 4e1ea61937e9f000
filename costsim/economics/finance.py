"""Discounting, payback, rates of return, break-even: pure arithmetic on monthly flows.

Months are the last axis: ``(months,)`` or ``(n, months)``. Month ``m`` (from 1) is the time from ``m - 1`` to ``m``;
flows fall at its end and are discounted by ``(1 + r)^(m/12)``, so that NPV is at month 0. What never happens is
``+inf`` months; a rate of return that does not exist is ``-inf``, below every rate that does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from costsim.economics.calendar import PER_MILLION
from costsim.quantities import declare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costsim.uncertainty.ranges import Num

    Flows: TypeAlias = NDArray[np.float64]


def by_month(value: Num) -> Flows:
    """A number or draws of it, ready to broadcast against months: shape ``(1,)`` or ``(n, 1)``."""
    return np.asarray(value, dtype=np.float64)[..., np.newaxis]


def divide(numerator: Num, denominator: Num, otherwise: float) -> Num:
    """Quotient where the denominator is positive, else ``otherwise``; +inf where it is too large for a number."""
    bottom = np.asarray(denominator, dtype=np.float64)
    safe = np.where(bottom > 0, bottom, 1.0)
    with np.errstate(over="ignore"):
        quotient: Num = np.where(bottom > 0, numerator / safe, otherwise)[()]
    return quotient


def monthly_rate(annual_rate: Num) -> Num:
    """The monthly rate that compounds to the annual one: ``(1 + r)^(1/12) - 1``."""
    return np.expm1(np.log1p(annual_rate) / 12)


def discount_factors(annual_rate: Num, months: int, first: int = 1) -> Flows:
    """Worth at month 0 of one dollar at the end of months ``first``, ``first + 1``, ...

    Args:
        annual_rate: yearly, as a fraction.
        months: how many.
        first: 1 for end-of-month flows, 0 where the first flow falls at the start.

    Returns:
        Shape ``(months,)`` or ``(n, months)``.
    """
    periods = np.arange(first, first + months, dtype=np.float64)
    return np.asarray(np.exp(-by_month(np.log1p(annual_rate)) * periods / 12))


@declare(
    "payback.npv_usd",
    label="net present value",
    unit="USD",
    formula="sum over months m of ({payback.monthly.*.contribution_usd} - {payback.monthly.*.cost_usd}) / "
    "(1 + {finance.discount_rate}) ** (m / 12)",
    source="end-of-month flows, worth at the start of the scenario",
    better="higher",
)
def net_present_value(flows: Flows, annual_rate: Num, first: int = 1) -> Num:
    """Worth at month 0 of monthly flows, shape ``(..., months)`` to ``(...)``."""
    value: Num = np.sum(flows * discount_factors(annual_rate, flows.shape[-1], first), axis=-1)
    return value


@declare(
    "payback.months",
    label="payback",
    unit="months",
    formula="the month from the start by which the sum of {payback.monthly.*.contribution_usd} reaches "
    "{cost.programme_usd}",
    source="simple payback, within the month in proportion",
    better="lower",
)
@declare(
    "payback.discounted_months",
    label="discounted payback",
    unit="months",
    formula="as {payback.months}, of flows discounted at {finance.discount_rate}",
    source="discounted payback",
    better="lower",
)
def payback_months(owed: Num, contributions: Flows, opens: Flows | float = 0.0, share: Flows | float = 1.0) -> Num:
    """Months until cumulative contributions have repaid what is owed; +inf if they never do.

    Args:
        owed: to be repaid, USD.
        contributions: by month, ``(..., months)``, USD.
        opens: when in each month contributions begin, as a share of the month.
        share: for what share of each month they flow.

    Returns:
        Shape ``(...)``. Within the month of repayment contributions are taken to flow evenly.
    """
    cumulative = np.cumsum(contributions, axis=-1)
    due = np.broadcast_to(np.asarray(owed, dtype=np.float64), cumulative.shape[:-1])
    reached = cumulative >= due[..., np.newaxis]
    month = np.argmax(reached, axis=-1)[..., np.newaxis]

    def then(values: Flows | float) -> Flows:
        return np.take_along_axis(np.broadcast_to(values, cumulative.shape), month, axis=-1)[..., 0]

    earned = then(contributions)
    before = then(cumulative) - earned
    fraction = np.clip(np.asarray(divide(due - before, earned, 0.0)), 0.0, 1.0)
    when = month[..., 0] + then(opens) + fraction * then(share)
    months: Num = np.where(reached.any(axis=-1), when, np.inf)[()]
    return months


@declare(
    "payback.repaid",
    label="repaid",
    unit="fraction",
    formula="1 if {payback.months} is finite, else 0",
    source="simple payback within the model's life",
    better="higher",
)
def repaid(months: Num) -> Num:
    """1 where the programme is repaid within the model's life, else 0."""
    return np.isfinite(months) * 1.0


@declare(
    "payback.probability",
    label="probability of payback",
    unit="fraction",
    formula="share of draws with {payback.repaid} = 1",
    source="the draws of the inputs",
    better="higher",
)
@declare(
    "clocks.probability_closing",
    label="probability of closing",
    unit="fraction",
    formula="share of draws in which {clocks.payoff_months} is finite and at most {clocks.runway_months}",
    source="the draws of the inputs",
    better="higher",
)
def probability(happens: Num) -> float:
    """Share of draws in which something happens (1 or 0); of a point, 1.0 or 0.0."""
    return float(np.mean(happens))


@declare(
    "payback.moic",
    label="multiple of invested capital",
    unit="ratio",
    formula="{payback.contribution_usd} / {cost.programme_usd}",
    source="contribution over the model's life for each dollar of the programme, not discounted",
    better="higher",
)
def multiple(contribution: Num, invested: Num) -> Num:
    """Contribution over the model's life for each dollar put in; +inf if nothing was put in."""
    return divide(contribution, invested, np.inf)


@declare(
    "payback.peak_funding_usd",
    label="peak funding",
    unit="USD",
    formula="the deepest point of {payback.monthly.*.cumulative_usd}, as a positive number",
    source="cumulative contribution less programme cost",
    better="lower",
)
def peak_funding(flows: Flows) -> Num:
    """The most that is out at the end of any month, USD, at least 0; shape ``(..., months)`` to ``(...)``."""
    need: Num = np.maximum(0.0, -np.min(np.cumsum(flows, axis=-1), axis=-1))[()]
    return need


@declare(
    "payback.irr_annual",
    label="internal rate of return",
    unit="fraction/year",
    formula="the yearly rate at which {payback.npv_usd} is 0; none unless flows change sign once and repay",
    source="Descartes' rule of signs: flows that change sign once have one rate",
    better="higher",
)
def internal_rate(flows: Flows) -> Num:
    """Yearly internal rate of return of monthly flows, -inf where there is none to report.

    A rate is reported only if the flows change sign exactly once, from paying to earning, and earn more than they pay:
    with more changes there may be several rates, and without repayment the root is a rate of loss (for -100, 10, 10 it
    is -63 %), which is no return.

    With ``x`` the log of the discount factor of a month, ``log(earned at x) - log(paid at x)`` rises in ``x`` with a
    slope between 1 and the number of months, so Newton's method in a bracket finds its one root.

    Args:
        flows: ``(..., months)``, evenly spaced; when the first falls does not matter.
    """
    grid = np.atleast_2d(flows)
    periods = np.arange(grid.shape[-1], dtype=np.float64)
    pays, earns = np.maximum(-grid, 0.0), np.maximum(grid, 0.0)
    paid, earned = pays.sum(axis=-1), earns.sum(axis=-1)
    last_paid = np.max(np.where(pays > 0, periods, -1.0), axis=-1)
    first_earned = np.min(np.where(earns > 0, periods, np.inf), axis=-1)
    exists = (paid > 0) & (earned > paid) & (last_paid < first_earned)
    rates = np.full(grid.shape[0], -np.inf)
    if exists.any():
        x = _root(pays[exists], earns[exists], periods)
        # Beyond e^700 the number stands for "at once": it stays finite.
        rates[exists] = np.expm1(np.minimum(-12.0 * x, 700.0))
    return rates if flows.ndim > 1 else rates[0]


def _root(pays: Flows, earns: Flows, periods: Flows) -> Flows:
    """Where discounted earnings equal discounted payments: the log of a month's discount factor, ``(n,)``, below 0."""
    start_paying, start_earning = np.argmax(pays > 0, axis=-1), np.argmax(earns > 0, axis=-1)
    since_paid = periods - start_paying[:, np.newaxis]
    since_earned = periods - start_earning[:, np.newaxis]
    x = np.zeros(pays.shape[0])
    # The slope is at least 1, so the root lies no lower than minus the value at 0.
    low, high = -np.log(earns.sum(axis=-1) / pays.sum(axis=-1)), x.copy()
    for _ in range(200):
        # Counted from its first flow each sum keeps at least that flow, however strong the discount.
        e = earns * np.exp(np.minimum(x[:, np.newaxis] * since_earned, 0.0))
        p = pays * np.exp(np.minimum(x[:, np.newaxis] * since_paid, 0.0))
        earned, paid = e.sum(axis=-1), p.sum(axis=-1)
        value = np.log(earned / paid) + x * (start_earning - start_paying)
        slope = e @ periods / earned - p @ periods / paid
        low, high = np.where(value < 0, x, low), np.where(value < 0, high, x)
        step = x - value / slope
        step = np.where((step >= low) & (step <= high), step, (low + high) / 2)
        done = np.max(np.abs(step - x)) < 1e-14
        x = step
        if done:
            break
    return x


@declare(
    "payback.break_even_usd_per_million_output_tokens",
    label="break-even mean output price",
    unit="USD/Mtok",
    formula="{payback.usd_per_million_output_tokens} * ({cost.programme_usd} + {payback.serving_usd} + "
    "{payback.fixed_usd}) / {payback.revenue_usd}",
    source="mean price received, the other prices in proportion, at the planned demand, not discounted",
    better="lower",
)
def break_even_price(price: Num, costs: Num, revenue: Num) -> Num:
    """Mean output price received at which the model's life just repays the programme; +inf without revenue.

    Args:
        price: mean output price received, USD per million tokens.
        costs: programme, serving and fixed costs over the life, USD.
        revenue: over the life at that price, USD.
    """
    return divide(price * costs, revenue, np.inf)


@declare(
    "payback.break_even_tokens",
    label="break-even tokens",
    unit="tokens",
    formula="{payback.tokens} * ({cost.programme_usd} + {payback.fixed_usd}) / "
    "({payback.revenue_usd} - {payback.serving_usd})",
    source="programme and fixed costs over the margin of a token, not discounted",
    better="lower",
)
def break_even_tokens(tokens: Num, to_cover: Num, margin: Num) -> Num:
    """Tokens to serve to repay the programme; +inf where a token earns less than it costs.

    Args:
        tokens: served over the life.
        to_cover: programme and fixed costs, USD.
        margin: revenue less serving cost of those tokens, USD.
    """
    return divide(tokens * to_cover, margin, np.inf)


@declare(
    "serving.training_usd_per_million_tokens",
    label="training cost of a million tokens",
    unit="USD/Mtok",
    formula="{cost.programme_usd} / {payback.tokens} * 1e6",
    source="the programme over all tokens served in the model's life",
    better="lower",
)
def training_usd_per_million(programme: Num, tokens: Num) -> Num:
    """Programme cost carried by a million served tokens, input and output alike; +inf if none is served."""
    return divide(programme * PER_MILLION, tokens, np.inf)
