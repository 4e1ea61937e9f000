"""Payoff against runway."""

import math

import numpy as np
import pytest

from costsim.economics.clocks import (
    REGIMES,
    DebtTerms,
    FundingTerms,
    clocks_obstacle,
    clocks_section,
    regime,
    runway_months,
)
from costsim.economics.cohort import CashFlow


def flow(cost, contribution, spent_months=None):
    """A cash flow of the given months; the run fills those in which it costs, unless told otherwise."""
    cost, contribution = np.asarray(cost, dtype=float), np.asarray(contribution, dtype=float)
    nothing, always = np.zeros_like(cost), np.ones_like(cost)
    return CashFlow(
        cost.sum(axis=-1),
        cost,
        nothing,
        contribution,
        nothing,
        nothing,
        nothing,
        opens=nothing,
        share=always,
        spent_months=(cost > 0).sum(axis=-1) if spent_months is None else spent_months,
    )


PLAN = flow([30, 30, 30, 0, 0, 0, 0, 0], [0, 0, 0, 20, 20, 20, 20, 20])


def test_cash_is_spent_within_a_month():
    # 75: after 30, 30 there are 15; half of the third month
    assert runway_months(PLAN, 75.0) == pytest.approx(2.5)
    assert runway_months(PLAN, 0.0) == 0.0


def test_spending_of_the_last_month_is_over_when_the_run_ends():
    # 60 in the first two months and 7.5 in the quarter of the third that the run still takes
    short = flow([30, 30, 7.5, 0, 0], [0, 0, 0, 0, 0], spent_months=2.25)
    assert runway_months(short, 63.0) == pytest.approx(2.1)
    assert runway_months(short, 67.5) == math.inf
    day = flow([100, 0, 0], [0, 0, 0], spent_months=0.1)
    assert runway_months(day, 25.0) == pytest.approx(0.025)


def test_losses_after_the_run_end_the_money_in_the_rest_of_the_month():
    # 10 left when the run ends at a quarter; 20 lost in the other three quarters
    late = flow([50, 0], [-20, 0], spent_months=0.25)
    assert runway_months(late, 60.0) == pytest.approx(0.25 + 0.75 * 10 / 20)


def test_a_dip_within_the_month_is_seen():
    # Below zero when the run ends, above again at the end of the month
    dip = flow([50, 0], [30, 0], spent_months=0.5)
    assert runway_months(dip, 40.0) == pytest.approx(0.4)


def test_enough_cash_never_ends():
    assert runway_months(PLAN, 90.0) == math.inf


def test_debt_pays_its_share():
    # Two thirds by debt: the company pays 10 a month; 30 suffice without interest, and 60 fall due in month 6.
    # By then 3 * 20 have come in: 60, exactly enough.
    debt = DebtTerms(share=2 / 3, rate=0.0, due=6.0)
    assert runway_months(PLAN, 30.0, debt) == math.inf
    # a dollar less of cash and a dollar is missing when it falls due
    assert runway_months(PLAN, 30.0, DebtTerms(2 / 3, 0.0, 5.9)) == math.inf
    assert runway_months(PLAN, 29.0, debt) == pytest.approx(3 - 1 / 10)
    poorer = flow([30, 30, 30, 0, 0, 0, 0, 0], [0, 0, 0, 20, 20, 19, 20, 20])
    assert runway_months(poorer, 30.0, debt) == 6.0


def test_interest_is_paid_monthly_on_what_is_drawn():
    # 20 drawn a month at 12 % nominal: 0, 0.2, 0.4, then 0.6 a month; until month 6: 0 + .2 + .4 + .6 * 3 = 2.4
    debt = DebtTerms(2 / 3, rate=0.12, due=6.0)
    assert runway_months(PLAN, 32.4001, debt) == math.inf
    assert runway_months(PLAN, 32.39, debt) == 6.0


def test_money_may_end_after_the_debt_is_repaid():
    # 60 repaid in month 6 from 31 + 60: 1 left, and then 4 a month go out
    late = flow([30, 30, 30, 0, 0, 0, 0, 0], [0, 0, 0, 20, 20, 20, -4, -4])
    debt = DebtTerms(2 / 3, 0.0, 6.0)
    assert runway_months(late, 31.0, debt) == pytest.approx(6.25)


def test_no_draw_after_the_debt_is_due():
    # due after a month: 20 drawn and repaid; the rest is paid in cash
    debt = DebtTerms(2 / 3, 0.0, 1.0)
    assert runway_months(PLAN, 90.0, debt) == math.inf
    assert runway_months(PLAN, 89.0, debt) == pytest.approx(3 - 1 / 30)


@pytest.mark.parametrize(
    ("payoff", "runway", "expected"),
    [
        (5.0, 6.0, "closing"),
        (6.0, 6.0, "closing"),
        (5.0, math.inf, "closing"),
        (7.0, 6.0, "stretching"),
        (math.inf, 6.0, "breaking"),
        (math.inf, math.inf, "breaking"),
    ],
)
def test_regimes(payoff, runway, expected):
    assert REGIMES[int(regime(payoff, runway))] == expected


def test_section():
    section = clocks_section(PLAN, 7.5, FundingTerms(75.0))
    assert section["clocks.payoff_months"] == 7.5
    assert section["clocks.runway_months"] == pytest.approx(2.5)
    assert REGIMES[int(section["clocks.regime"])] == "stretching"
    assert section["clocks.probability_closing"] == 0.0


def test_draws():
    cash = np.array([75.0, 90.0, 10.0])
    section = clocks_section(PLAN, np.array([7.5, 7.5, math.inf]), FundingTerms(cash))
    assert section["clocks.runway_months"] == pytest.approx([2.5, math.inf, 1 / 3])
    assert section["clocks.regime"].tolist() == [1.0, 0.0, 2.0]
    assert section["clocks.probability_closing"] == pytest.approx(1 / 3)
    due = np.array([1.0, 6.0, 6.0])
    many = runway_months(PLAN, 30.0, DebtTerms(2 / 3, 0.0, due))
    one = [runway_months(PLAN, 30.0, DebtTerms(2 / 3, 0.0, float(d))) for d in due]
    assert many == pytest.approx(one)


def test_without_cash_there_is_no_runway():
    assert "finance.cash" in clocks_obstacle(FundingTerms(None))
    assert clocks_obstacle(FundingTerms(0.0)) == ""
    with pytest.raises(ValueError, match=r"finance\.cash"):
        clocks_section(PLAN, 7.5, FundingTerms(None))
