"""What each driver of payback would have to be, alone, for the programme to be repaid within the model's life.

A programme is repaid if in some month cumulative revenue has covered serving, fixed costs and the programme. Demand,
price, unit cost and programme cost scale their line of that sum, so their limits are quotients of cumulative sums:
exact, and as cheap for ten thousand draws as for one. Life and the market's decline bend the flow; they are found by
bisection over the cash flow itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from costsim.economics.calendar import PER_MILLION, SECONDS_PER_DAY
from costsim.economics.finance import by_month, divide
from costsim.quantities import declare

if TYPE_CHECKING:
    from costsim.economics.cohort import CashFlow, DemandTerms
    from costsim.economics.finance import Flows
    from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class Driver:
    """A number that payback depends on.

    Attributes:
        name: key under ``payback.needed``.
        label: in words.
        unit: of both its values.
        planned: formula of the planned value.
        how: what is solved, in words.
        when_given: input that replaces others in ``planned`` → the formula that holds then.
    """

    name: str
    label: str
    unit: str
    planned: str
    how: str
    when_given: Mapping[str, str] = field(default_factory=dict)


DRIVERS = (
    Driver(
        "peak_tokens_per_day",
        "demand at its peak",
        "tokens/day",
        f"{{demand.peak}} * {SECONDS_PER_DAY:.0f}",
        "least over the months of (programme and fixed costs) / (revenue less serving cost), all cumulative, times "
        "{payback.needed.peak_tokens_per_day.planned}",
        {"demand.users": "{demand.users} * {demand.tokens_per_user_per_day}"},
    ),
    Driver(
        "usd_per_million_output_tokens",
        "mean output price",
        "USD/Mtok",
        "{payback.usd_per_million_output_tokens}",
        "least over the months of (programme, serving and fixed costs) / revenue, all cumulative: all prices in "
        "proportion; times "
        "{payback.usd_per_million_output_tokens}",
    ),
    Driver(
        "serving_usd_per_million_tokens",
        "serving a mean token",
        "USD/Mtok",
        "{serving.serving_usd_per_million_tokens}",
        "most over the months of (revenue less fixed costs and programme) / serving cost, all cumulative, times "
        "{serving.serving_usd_per_million_tokens}",
    ),
    Driver(
        "programme_usd",
        "programme cost",
        "USD",
        "{cost.programme_usd}",
        "most that contribution has added up to by the end of any month",
    ),
    Driver(
        "paid_share",
        "paid share of tokens",
        "fraction",
        "{demand.paid_share}",
        "as the price, which it multiplies; at most 1",
    ),
    Driver(
        "life_months",
        "life",
        "months",
        "{demand.life}",
        "bisection over the cash flow, to ten years",
    ),
    Driver(
        "market_decline_per_year",
        "market's fall",
        "x/year",
        "{price.market_decline}",
        "bisection over the cash flow, from 1: a price that stays",
    ),
)
"""Every driver, in the order in which they are told. Which are there depends on the scenario."""

LONGEST_LIFE_MONTHS = 120.0
"""A model that is sold for longer than ten years is no answer."""
_GRID, _ROUNDS = 33, 9  # 32^9 is beyond a float's digits


def surplus(flow: CashFlow) -> Num:
    """The most that contribution exceeds the programme by at the end of any month; repaid where it is not negative."""
    most: Num = np.max(flow.earned, axis=-1) - flow.programme
    return most


def scaled_lines(flow: CashFlow) -> dict[str, Num]:
    """By what factor demand, price and unit cost would have to be multiplied, each alone; +inf if no factor will do.

    A unit cost that would have to be below nothing is -inf.
    """
    revenue, serving = np.cumsum(flow.revenue, axis=-1), np.cumsum(flow.serving, axis=-1)
    fixed = np.cumsum(flow.fixed + 0.0 * flow.tokens, axis=-1)
    owed = by_month(flow.programme) + fixed
    left = np.max(np.asarray(_ratio(revenue - owed, serving)), axis=-1)
    return {
        "demand": np.min(np.asarray(divide(owed, revenue - serving, np.inf)), axis=-1),
        "price": np.min(np.asarray(divide(owed + serving, revenue, np.inf)), axis=-1),
        "unit_cost": np.where(left >= 0, left, -np.inf)[()],
    }


def _ratio(left: Flows, serving: Flows) -> Num:
    """What is left over serving cost; without serving cost anything will do that is not below nothing."""
    free: Num = np.where(left >= 0, np.inf, -np.inf)
    return np.where(serving > 0, np.asarray(divide(left, serving, 0.0)), free)


def needed_section(flow: CashFlow, demand: DemandTerms, price_usd: Num, unit_usd: Num) -> dict[str, Num]:
    """Make those parts of ``payback.needed`` that are quotients, for points and draws alike.

    What no value would do for is +inf, or -inf where it would have to be below nothing.

    Args:
        flow: by `cohort.cash_flow`.
        demand: of the plan.
        price_usd: mean output price received, USD per million tokens.
        unit_usd: cost of serving a mean token, USD per million tokens.
    """
    factors = scaled_lines(flow)
    most = np.max(flow.earned, axis=-1)
    programme: Num = np.where(most > 0, most, -np.inf)[()]
    paid = _pair("paid_share", demand.paid_share, factors["price"])
    share = np.asarray(paid["payback.needed.paid_share.needed"])
    return {
        **_pair("peak_tokens_per_day", demand.peak * SECONDS_PER_DAY, factors["demand"]),
        **_pair("usd_per_million_output_tokens", price_usd, factors["price"]),
        **_pair("serving_usd_per_million_tokens", unit_usd, factors["unit_cost"]),
        **_both("programme_usd", flow.programme, programme),
        **_both("paid_share", demand.paid_share, np.where(share <= 1, share, np.inf)[()]),
    }


def _both(name: str, planned: Num, needed: Num) -> dict[str, Num]:
    return {f"payback.needed.{name}.planned": planned, f"payback.needed.{name}.needed": needed}


def _pair(name: str, planned: Num, factor: Num) -> dict[str, Num]:
    """A planned value and the same times a factor that may be infinite; nothing times infinity is nothing to scale."""
    known = np.isfinite(np.asarray(factor))
    safe = np.where(known, np.asarray(factor), 0.0)
    with np.errstate(over="ignore"):  # beyond the largest number no value would do
        scaled = planned * safe
    needed: Num = np.where(known & (np.asarray(planned) > 0), scaled, np.where(safe >= 0, factor, np.inf))[()]
    return _both(name, planned, needed)


def _declare(driver: Driver) -> None:
    """Declare both values of a driver."""
    where = f"payback.needed.{driver.name}"
    declare(
        f"{where}.planned",
        label=f"{driver.label}: planned",
        unit=driver.unit,
        formula=driver.planned,
        source="the plan",
        when_given=driver.when_given,
    )(needed_section)
    declare(
        f"{where}.needed",
        label=f"{driver.label}: needed",
        unit=driver.unit,
        formula=driver.how,
        source="repaid within the life, everything else as planned; none: no value would do",
    )(needed_section)


for _driver in DRIVERS:
    _declare(_driver)


def solved_section(
    planned_life: float,
    planned_decline: float | None,
    with_life: Callable[[Flows], CashFlow],
    with_decline: Callable[[Flows], CashFlow],
) -> dict[str, Num]:
    """Make those parts of ``payback.needed`` that need the cash flow anew, of a point plan.

    Args:
        planned_life: months.
        planned_decline: factor a year; None without a market, or where it caps nothing.
        with_life: the cash flow for an array of lives; its months reach to the longest.
        with_decline: the same for an array of yearly declines.
    """
    life = least(lambda x: surplus(with_life(x)), 0.0, LONGEST_LIFE_MONTHS)
    found = _both("life_months", planned_life, life)
    if planned_decline is not None:
        # Least of the reciprocal, which grows with the surplus: 1 is a price that stays.
        slowest = max(planned_decline, 1.0) * 1e3
        inverse = least(lambda x: surplus(with_decline(1.0 / x)), 1.0 / slowest, 1.0)
        found |= _both("market_decline_per_year", planned_decline, 1.0 / inverse if np.isfinite(inverse) else -np.inf)
    return found


def least(surplus_at: Callable[[Flows], Num], low: float, high: float) -> float:
    """The least value in an interval at which a rising surplus is not negative; +inf if it is negative throughout.

    Bisection on a grid: each round evaluates an array of values at once and keeps the one interval with the change.

    Args:
        surplus_at: of an array of values, rising.
        low: of the interval.
        high: of the interval.
    """
    for _ in range(_ROUNDS):
        grid = np.linspace(low, high, _GRID)
        enough = np.asarray(surplus_at(grid)) >= 0
        if not enough[-1]:
            return float("inf")
        first = int(np.argmax(enough))
        if first == 0:
            return float(grid[0])
        low, high = float(grid[first - 1]), float(grid[first])
    return high


@declare(
    "serving.serving_usd_per_million_tokens",
    label="serving cost of a million tokens",
    unit="USD/Mtok",
    formula="{payback.serving_usd} / {payback.tokens} * 1e6",
    source="serving cost over all tokens served in the model's life, input and output alike",
    better="lower",
)
@declare(
    "payback.revenue_usd_per_million_tokens",
    label="revenue of a million tokens",
    unit="USD/Mtok",
    formula="{payback.revenue_usd} / {payback.tokens} * 1e6",
    source="revenue over all tokens served in the model's life, paid or not",
    better="higher",
)
def usd_per_million_served(usd: Num, tokens: Num) -> Num:
    """A sum over the life for each million served tokens; +inf if none is served."""
    return divide(usd * PER_MILLION, tokens, np.inf)
