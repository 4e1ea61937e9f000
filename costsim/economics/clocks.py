"""Two clocks: when the programme is repaid, and until when the money lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costsim.economics.finance import by_month, divide, probability
from costsim.quantities import declare

if TYPE_CHECKING:
    from costsim.economics.cohort import CashFlow
    from costsim.economics.finance import Flows
    from costsim.uncertainty.ranges import Num

REGIMES = ("closing", "stretching", "breaking")
"""The regime in the order of the codes of ``clocks.regime``: repaid before the money is spent; repaid, but later; never
repaid within the model's life."""


ENDS = ("nothing", "cash", "debt")
"""What ends the money, in the order of the codes of ``clocks.ends_by``."""
MANAGEMENT_VIEW = (
    "payback: a management view of cash and contribution, not accounting advice: books mostly expense training as it is"
    " spent and depreciate hardware over years, and taxes are left out"
)


@dataclass(frozen=True)
class DebtTerms:
    """A loan for a share of the programme.

    Attributes:
        share: of programme cost, drawn as it is spent.
        rate: nominal yearly interest, paid monthly on what is drawn.
        due: when all of it is repaid at once, months after the start.
    """

    share: Num
    rate: Num
    due: Num


@dataclass(frozen=True)
class FundingTerms:
    """What pays for the programme until it earns.

    Attributes:
        cash: at the start, USD; None where it is not said: then there is no runway to tell.
        debt: a loan; None without one.
    """

    cash: Num | None
    debt: DebtTerms | None = None


@declare(
    "clocks.payoff_months",
    label="payoff",
    unit="months",
    formula="{payback.months}",
    source="cumulative contribution has repaid the programme",
    better="lower",
)
def payoff_months(simple_payback: Num) -> Num:
    """Month in which the programme is repaid; +inf if never."""
    return simple_payback


@dataclass(frozen=True)
class Circuit:
    """How long the money lasts, and what it costs.

    Attributes:
        runway: months until the money is spent or the debt falls due unpaid; +inf if neither happens.
        unpaid: 1 where it is the debt that ends it, else 0.
        drawn: debt taken up, USD.
        interest: paid, USD, until the debt is due.
    """

    runway: Num
    unpaid: Num
    drawn: Num
    interest: Num


@declare(
    "clocks.runway_months",
    label="runway",
    unit="months",
    formula="the month in which {finance.cash} and the debt of {finance.debt.share} of the programme are spent, or "
    "{finance.debt.due} if what is drawn cannot be repaid then, whichever comes first",
    source="cash at the ends of months and of the run, in between in proportion",
    better="higher",
)
@declare(
    "clocks.ends_by",
    label="what ends the money",
    unit="code",
    formula="which comes first: cash spent, or debt due and unpaid",
    source="0 nothing, 1 cash, 2 debt",
)
@declare(
    "clocks.debt_usd",
    label="debt taken up",
    unit="USD",
    formula="{finance.debt.share} of what of {cost.programme_usd} is spent before {finance.debt.due}",
    source="drawn as the programme is spent",
    better="lower",
)
@declare(
    "clocks.interest_usd",
    label="interest",
    unit="USD",
    formula="{finance.debt.rate} / 12 a month on what was owed when the month began, until {finance.debt.due}",
    source="nominal interest, paid monthly, to the debt's due date or the end of the cash flow",
    better="lower",
)
def circuit(flow: CashFlow, cash: Num, debt: DebtTerms | None = None) -> Circuit:
    """Cash and debt: how long the money lasts, and what it costs.

    Args:
        flow: long enough to see the debt fall due.
        cash: at the start, USD.
        debt: a loan.
    """
    ends = np.arange(1, flow.cost.shape[-1] + 1, dtype=np.float64)
    if debt is None:
        level = by_month(cash) + np.cumsum(flow.net, axis=-1)
        runway = _first_below_zero(level, cash, flow.spent_months, flow.cost)
        return Circuit(runway, 0.0, 0.0, 0.0)
    share, due = by_month(debt.share), by_month(debt.due)
    drawn = np.where(ends - 1 < due, flow.cost * share, 0.0)
    owed = np.cumsum(drawn, axis=-1)
    # A month's interest is on what was owed when it began, as long as the loan runs.
    interest = (owed - drawn) * by_month(debt.rate) / 12 * np.clip(due - (ends - 1), 0.0, 1.0)
    level = by_month(cash) + np.cumsum(flow.net + drawn - interest, axis=-1)
    repaid = level - np.where(ends >= due, owed[..., -1:], 0.0)
    falls_due = (ends >= due) & (ends - 1 < due)
    unpaid = (falls_due & (repaid < 0)).any(axis=-1)
    spent = flow.cost - drawn
    spent_before = _first_below_zero(np.where(ends - 1 < due, level, np.inf), cash, flow.spent_months, spent)
    spent_after = _first_below_zero(repaid, cash, flow.spent_months, np.where(ends < due, spent, 0.0))
    after = np.where(unpaid, due[..., 0], spent_after)
    return Circuit(
        np.minimum(spent_before, after)[()],
        (unpaid & (after < spent_before))[()] * 1.0,
        owed[..., -1][()],
        interest.sum(axis=-1)[()],
    )


def runway_months(flow: CashFlow, cash: Num, debt: DebtTerms | None = None) -> Num:
    """Months until the money ends, see `circuit`; +inf if it does not in the flow's time."""
    return circuit(flow, cash, debt).runway


def _first_below_zero(level: Flows, start: Num, spent_months: Num, spent: Flows) -> Num:
    """Month in which a balance falls below zero, in proportion within the month; +inf if it does not.

    In the month in which spending on the programme ends, it is over by then and the rest of the month comes after it.

    Args:
        level: at the ends of months.
        start: the level at the start.
        spent_months: over which the programme is spent.
        spent: on the programme, of the level, by month.
    """
    below = level < 0
    part = np.clip(by_month(spent_months) - np.arange(level.shape[-1]), 0.0, 1.0)
    opening = np.concatenate([by_month(start) + np.zeros_like(level[..., :1]), level[..., :-1]], axis=-1)
    ends_within = (part > 0) & (part < 1)
    at_end_of_run = np.where(ends_within, opening - spent, level)
    below |= at_end_of_run < 0
    month = np.argmax(below, axis=-1)[..., np.newaxis]

    def there(values: Flows) -> Flows:
        return np.take_along_axis(np.broadcast_to(values, level.shape), month, axis=-1)[..., 0]

    before, middle, now, share = there(opening), there(at_end_of_run), there(level), there(part)
    whole = (share == 0) | (share == 1)
    in_run = whole | (middle < 0)
    share = np.where(whole, 1.0, share)
    first_part = share * np.clip(np.asarray(divide(before, before - middle, 0.0)), 0.0, 1.0)
    second_part = share + (1.0 - share) * np.clip(np.asarray(divide(middle, middle - now, 0.0)), 0.0, 1.0)
    when = month[..., 0] + np.where(in_run, first_part, second_part)
    first: Num = np.where(below.any(axis=-1), when, np.inf)[()]
    return first


@declare(
    "clocks.regime",
    label="regime",
    unit="code",
    formula="{clocks.payoff_months} against {clocks.runway_months}",
    source="0 closing: payoff within the runway; 1 stretching: later, within the model's life; 2 breaking: never",
)
def regime(payoff: Num, runway: Num) -> Num:
    """Code of the regime, an index of `REGIMES`."""
    code: Num = np.where(np.isinf(payoff), 2.0, np.where(payoff <= runway, 0.0, 1.0))[()]
    return code


def clocks_obstacle(funding: FundingTerms) -> str:
    """Why there are no clocks, in words; empty if there are: then `clocks_section` holds."""
    return (
        "clocks: give finance.cash, the money at the start, to see until when it lasts" if funding.cash is None else ""
    )


def clocks_section(flow: CashFlow, simple_payback: Num, funding: FundingTerms) -> dict[str, Num]:
    """Make the ``clocks`` section.

    ``clocks.regime`` and ``clocks.ends_by`` are codes; `REGIMES` and `ENDS` have their words. Probabilities are one
    number over all draws.

    Args:
        flow: by `cohort.cash_flow`.
        simple_payback: ``payback.months``.
        funding: cash and debt.

    Raises:
        ValueError: there is an obstacle, see `clocks_obstacle`.
    """
    if funding.cash is None:
        raise ValueError(clocks_obstacle(funding))
    payoff = payoff_months(simple_payback)
    money = circuit(flow, funding.cash, funding.debt)
    code = regime(payoff, money.runway)
    found: dict[str, Num] = {
        "clocks.payoff_months": payoff,
        "clocks.runway_months": money.runway,
        "clocks.ends_by": np.where(np.isinf(money.runway), 0.0, 1.0 + money.unpaid)[()],
        "clocks.regime": code,
    }
    if funding.debt is not None:
        found |= {"clocks.debt_usd": money.drawn, "clocks.interest_usd": money.interest}
    return found | regime_probabilities(code)


@declare(
    "clocks.probability_stretching",
    label="probability of stretching",
    unit="fraction",
    formula="share of draws in which {clocks.payoff_months} is finite and after {clocks.runway_months}",
    source="the draws of the inputs",
)
@declare(
    "clocks.probability_breaking",
    label="probability of breaking",
    unit="fraction",
    formula="share of draws in which {clocks.payoff_months} is never",
    source="the draws of the inputs",
    better="lower",
)
def regime_probabilities(code: Num) -> dict[str, Num]:
    """Share of draws in each regime; they add up to 1."""
    codes = np.asarray(code)
    return {f"clocks.probability_{name}": probability((codes == index) * 1.0) for index, name in enumerate(REGIMES)}
