"""What each driver would have to be: put into the plan, it must bring repayment to its edge."""

import math
from dataclasses import replace

import numpy as np
import pytest

from costsim.economics.calendar import DAYS_PER_MONTH, SECONDS_PER_DAY
from costsim.economics.cohort import (
    DemandTerms,
    LogisticRamp,
    PriceTerms,
    TokenMix,
    UnitCosts,
    cash_flow,
    horizon_months,
)
from costsim.economics.needed import least, needed_section, solved_section, surplus

DEMAND = DemandTerms(2e6, LogisticRamp(3.0, 1.0), 1.0, 14.0, 0.8)
PRICE = PriceTerms(0.5, 2.0, 0.1, 0.5, 2.0, 0.25, 1.5)
COSTS = UnitCosts(0.05, 0.005, 0.2, 0.1)
MIX = TokenMix(300.0, 100.0, 0.5, 0.1)
PROGRAMME, DAYS, FIXED = 19e6, 70.0, 1e5


def flow(programme=PROGRAMME, demand=DEMAND, price=PRICE, costs=COSTS, fixed=FIXED, months=None):
    months = horizon_months(DAYS, demand) if months is None else months
    return cash_flow(programme, DAYS, demand, price, MIX, costs, fixed, months)


def needed(**changes):
    made = flow(**changes)
    found = needed_section(made, DEMAND, 1.0, 1.0)  # price and cost in units of the planned ones
    found |= solved_section(
        14.0,
        1.5,
        lambda lives: flow(demand=replace(DEMAND, life=lives), months=180),
        lambda falls: flow(price=replace(PRICE, market_decline=falls)),
    )
    return {path.split(".")[2]: value for path, value in found.items() if path.endswith("needed")}


def scaled_price(factor):
    return PriceTerms(0.5 * factor, 2.0 * factor, 0.1, 0.5, 2.0 * factor, 0.25, 1.5)


def plans_at(values):
    """The plan with each driver at a value, and the direction that helps."""
    peak, c = values["peak_tokens_per_day"] / SECONDS_PER_DAY, values["serving_usd_per_million_tokens"]
    return {
        "peak_tokens_per_day": flow(demand=replace(DEMAND, peak=peak)),
        "usd_per_million_output_tokens": flow(price=scaled_price(values["usd_per_million_output_tokens"])),
        "serving_usd_per_million_tokens": flow(costs=UnitCosts(0.05 * c, 0.005 * c, 0.2 * c, 0.1)),
        "programme_usd": flow(programme=values["programme_usd"]),
        "paid_share": flow(demand=replace(DEMAND, paid_share=values["paid_share"])),
        "life_months": flow(demand=replace(DEMAND, life=values["life_months"])),
        "market_decline_per_year": flow(price=replace(PRICE, market_decline=values["market_decline_per_year"])),
    }


def test_each_driver_at_its_needed_value_is_at_the_edge_of_repayment():
    values = needed()
    for name, made in plans_at(values).items():
        assert math.isfinite(values[name]), name
        assert float(surplus(made)) == pytest.approx(0.0, abs=1e-6 * PROGRAMME), name


def test_a_little_worse_is_not_repaid_and_a_little_better_is():
    values = needed()
    worse_is_more = {"serving_usd_per_million_tokens", "programme_usd", "market_decline_per_year"}
    for direction in (-1, 1):
        moved = {n: v * (1 + (direction if n not in worse_is_more else -direction) * 1e-4) for n, v in values.items()}
        for name, made in plans_at(moved).items():
            assert (float(surplus(made)) > 0) == (direction > 0), name


def test_no_value_would_do():
    # A token that costs more than it earns: no demand, no life and no paid share; a programme of nothing would not do
    dear = UnitCosts(5.0, 0.5, 20.0)
    values = needed_section(flow(costs=dear), DEMAND, 1.0, 1.0)
    assert values["payback.needed.peak_tokens_per_day.needed"] == math.inf
    assert values["payback.needed.paid_share.needed"] == math.inf
    assert values["payback.needed.programme_usd.needed"] == -math.inf
    assert math.isfinite(values["payback.needed.usd_per_million_output_tokens.needed"])
    # Fixed costs that eat everything: no unit cost would do
    values = needed_section(flow(fixed=1e9), DEMAND, 1.0, 1.0)
    assert values["payback.needed.serving_usd_per_million_tokens.needed"] == -math.inf


def test_of_a_repaid_plan_it_is_how_far_each_might_go():
    values = needed_section(flow(programme=1e5), DEMAND, 1.0, 1.0)
    assert values["payback.needed.peak_tokens_per_day.needed"] < DEMAND.peak * SECONDS_PER_DAY
    assert values["payback.needed.usd_per_million_output_tokens.needed"] < 1.0
    assert values["payback.needed.programme_usd.needed"] > 1e5


def test_draws_and_points_agree():
    programmes = np.array([1e6, 1e7, 1e8])
    many = needed_section(flow(programme=programmes), DEMAND, 1.0, 1.0)
    for i, programme in enumerate(programmes):
        for path, value in needed_section(flow(programme=float(programme)), DEMAND, 1.0, 1.0).items():
            assert np.broadcast_to(many[path], 3)[i] == pytest.approx(value, rel=1e-12), path


def test_without_demand_or_pay_nothing_is_not_a_number():
    for demand in (replace(DEMAND, peak=0.0), replace(DEMAND, paid_share=0.0)):
        values = needed_section(flow(demand=demand), demand, 1.0, 1.0)
        assert not any(math.isnan(value) for value in values.values())


def test_least():
    assert least(lambda x: x**3 - 2.0, 0.0, 10.0) == pytest.approx(2 ** (1 / 3), abs=1e-12)
    assert least(lambda x: x - 20.0, 0.0, 10.0) == math.inf
    assert least(lambda x: x + 1.0, 0.0, 10.0) == 0.0
    assert DAYS / DAYS_PER_MONTH < 180
