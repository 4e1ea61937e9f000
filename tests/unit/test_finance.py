"""Discounting, payback, rates of return."""

import math

import numpy as np
import pytest

from costsim.economics import finance


def test_monthly_rate_compounds_to_the_annual_one():
    assert (1 + finance.monthly_rate(0.12)) ** 12 == pytest.approx(1.12)
    assert finance.monthly_rate(0.12) == pytest.approx(0.009488792934583046)


def test_discount_factors():
    # half a year at 21 %: 1 / 1.1
    assert finance.discount_factors(0.21, 12)[5] == pytest.approx(1 / 1.1)
    assert finance.discount_factors(0.21, 12)[11] == pytest.approx(1 / 1.21)
    assert finance.discount_factors(0.21, 2, first=0)[0] == 1.0
    assert finance.discount_factors(np.array([0.0, 0.21]), 12).shape == (2, 12)


def test_net_present_value():
    flows = np.zeros(12)
    flows[11] = 121.0
    assert finance.net_present_value(flows, 0.21) == pytest.approx(100.0)
    assert finance.net_present_value(np.ones(24), 0.0) == pytest.approx(24.0)


def test_payback_within_the_month():
    # 25 owed, 10 a month: in the middle of the third
    assert finance.payback_months(25.0, np.full(5, 10.0)) == pytest.approx(2.5)
    # exactly at the end of the second
    assert finance.payback_months(20.0, np.full(5, 10.0)) == pytest.approx(2.0)


def test_payback_never_comes():
    assert finance.payback_months(51.0, np.full(5, 10.0)) == math.inf
    assert finance.payback_months(1.0, np.full(5, -10.0)) == math.inf


def test_payback_of_a_service_that_opens_inside_a_month():
    # opens at 0.75 of the first month, 5 in that quarter: half of it repays 2.5, at 0.875
    opens, share = np.array([0.75, 0.0]), np.array([0.25, 1.0])
    assert finance.payback_months(2.5, np.array([5.0, 20.0]), opens, share) == pytest.approx(0.875)


def test_payback_is_the_first_time():
    # repaid in month 2, though later months lose it again
    assert finance.payback_months(15.0, np.array([10.0, 10.0, -50.0])) == pytest.approx(1.5)


def test_nothing_owed_is_repaid_at_once():
    assert finance.payback_months(0.0, np.array([0.0, 5.0])) == 0.0


def test_repaid_and_probability():
    months = np.array([3.0, math.inf, 8.0, math.inf])
    assert finance.repaid(months).tolist() == [1.0, 0.0, 1.0, 0.0]
    assert finance.probability(finance.repaid(months)) == 0.5


def test_multiple_and_peak_funding():
    assert finance.multiple(30.0, 20.0) == 1.5
    assert finance.multiple(30.0, 0.0) == math.inf
    # -10, -25, -5, 20
    assert finance.peak_funding(np.array([-10.0, -15.0, 20.0, 25.0])) == 25.0
    assert finance.peak_funding(np.array([1.0, 2.0])) == 0.0


def test_internal_rate_by_hand():
    # 100 out, 121 back after two months: 10 % a month
    rate = finance.internal_rate(np.array([-100.0, 0.0, 121.0]))
    assert rate == pytest.approx(1.1**12 - 1)


@pytest.mark.parametrize(
    "flows",
    [
        [-100.0, 230.0, -132.0],  # two sign changes, two roots
        [-100.0, 10.0, 10.0],  # a rate of loss
        [-100.0, 50.0, 50.0],  # money back and nothing more
        [-1.0, -2.0, -3.0],
        [1.0, 2.0, 3.0],
        [100.0, -50.0, -10.0],  # a loan, not an investment
        [0.0, 0.0, 0.0],
    ],
)
def test_no_internal_rate(flows):
    assert finance.internal_rate(np.array(flows)) == -math.inf


def test_internal_rate_of_many():
    flows = np.array([[-100.0, 0.0, 121.0], [-100.0, 10.0, 10.0], [-100.0, 110.0, 0.0]])
    assert finance.internal_rate(flows) == pytest.approx([1.1**12 - 1, -math.inf, 1.1**12 - 1])


def test_internal_rate_of_extreme_flows_is_finite():
    flows = np.zeros((2, 120))
    flows[:, 0] = -1e-9
    flows[0, 1], flows[1, 119] = 1e12, 1e12
    rates = finance.internal_rate(flows)
    assert np.all(np.isfinite(rates))
    # 1e21 after 119 months: 1e21^(12/119) - 1
    assert rates[1] == pytest.approx(10 ** (21 * 12 / 119) - 1)


def test_break_even():
    # price 8, costs 30 against revenue 60: at half the price
    assert finance.break_even_price(8.0, 30.0, 60.0) == 4.0
    assert finance.break_even_price(8.0, 30.0, 0.0) == math.inf
    # a margin of 5 on 100 tokens covers 20 with 400
    assert finance.break_even_tokens(100.0, 20.0, 5.0) == 400.0
    assert finance.break_even_tokens(100.0, 20.0, -5.0) == math.inf
    assert finance.training_usd_per_million(3e6, 1e12) == pytest.approx(3.0)
