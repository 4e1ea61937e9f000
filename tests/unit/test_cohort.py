"""Demand, prices and the cash flow by month."""

import math

import numpy as np
import pytest

from costsim.economics.calendar import DAYS_PER_MONTH, SECONDS_PER_MONTH
from costsim.economics.cohort import (
    MAX_MONTHS,
    BassRamp,
    DemandTerms,
    LogisticRamp,
    PriceTerms,
    Steps,
    Successor,
    TokenMix,
    UnitCosts,
    blend,
    cash_flow,
    horizon_months,
    payback_obstacle,
    price_at,
    prices_received,
    ramp_share,
)
from costsim.economics.payback import monthly_rows, payback_section

FULL = LogisticRamp(midpoint=-1e6, width=1.0)  # at its peak from the first day
PEAK = 1e6 / SECONDS_PER_MONTH  # a million tokens a month
MIX = TokenMix(input_tokens=300.0, output_tokens=100.0, cached_share=0.5, batch_share=0.0)
FREE = UnitCosts(0.0, 0.0, 0.0)


def demand(**changes):
    base = {"peak": PEAK, "ramp": FULL, "launch_delay": 1.0, "life": 4.0, "paid_share": 1.0}
    return DemandTerms(**{**base, **changes})


def price(**changes):
    return PriceTerms(**{"input": 4.0, "output": 8.0, "cached_input": 0.25, "batch": 0.5, **changes})


def flow(run_months=2.0, programme=100.0, months=None, fixed=0.0, mix=MIX, costs=FREE, **changes):
    wanted = demand(
        **{k: v for k, v in changes.items() if k in ("peak", "ramp", "launch_delay", "life", "paid_share", "successor")}
    )
    listed = price(**{k: v for k, v in changes.items() if k in price().__dataclass_fields__})
    days = run_months * DAYS_PER_MONTH
    months = horizon_months(days, wanted) if months is None else months
    return cash_flow(programme, days, wanted, listed, mix, costs, fixed, months)


def test_logistic_ramp():
    ages = np.array([1.0, 4.0, 7.0])
    # half at the midpoint; one width after it 1/(1+e^-1) = 0.731
    assert ramp_share(LogisticRamp(4.0, 3.0), ages) == pytest.approx([0.268941, 0.5, 0.731059], abs=1e-6)


def test_bass_ramp():
    # p = .03, q = .38 a month: after 5 months F = (1 - e^-2.05) / (1 + .38/.03 e^-2.05) = 0.871265 / 2.630640
    share = ramp_share(BassRamp(0.03, 0.38), np.array([0.0, 5.0, 1e3]))
    assert share == pytest.approx([0.0, 0.331199, 1.0], abs=1e-6)


def test_launch_and_life_by_month():
    # run 2 months, delay 1, life 4: served in months 4 to 7
    tokens = flow(months=9).tokens
    assert tokens == pytest.approx([0, 0, 0, 1e6, 1e6, 1e6, 1e6, 0, 0])


def test_launch_inside_a_month():
    # run 1.5 months, delay 1: launch at 2.5; half of month 3, half of month 7
    f = flow(run_months=1.5, months=8)
    assert f.tokens == pytest.approx([0, 0, 0.5e6, 1e6, 1e6, 1e6, 0.5e6, 0])
    assert f.opens[2] == pytest.approx(0.5)
    assert f.share[2] == pytest.approx(0.5)


def test_the_programme_is_spent_over_the_run():
    assert flow(run_months=2.5, months=5).cost == pytest.approx([40, 40, 20, 0, 0])
    assert flow(run_months=0.25, months=3).cost == pytest.approx([100, 0, 0])
    assert flow(run_months=0.0, months=3).cost == pytest.approx([100, 0, 0])


def test_horizon():
    assert horizon_months(2 * DAYS_PER_MONTH, demand()) == 7
    assert horizon_months(1.5 * DAYS_PER_MONTH, demand()) == 7
    assert horizon_months(np.array([1.0, 3.2]) * DAYS_PER_MONTH, demand()) == 9
    assert horizon_months(2 * DAYS_PER_MONTH, demand(), due=36.0) == 36


def test_no_cash_flow_of_a_century():
    months = horizon_months(1e6, demand())
    assert months > MAX_MONTHS
    assert "50 years" in payback_obstacle(months)
    assert payback_obstacle(MAX_MONTHS) == ""


def test_blended_price_by_hand():
    # 3/4 input, half of it cached at a quarter of 4: 0.75 * (0.5*4 + 0.5*1) + 0.25 * 8 = 1.875 + 2 = 3.875
    assert blend(MIX, np.array([4.0]), np.array([1.0]), np.array([8.0])) == pytest.approx([3.875])
    assert flow(months=5).revenue[3] == pytest.approx(3.875)
    # unpaid tokens earn nothing, and cost as much; a fifth at half price takes a tenth off
    assert flow(months=5, paid_share=0.8).revenue[3] == pytest.approx(3.1)
    batch = TokenMix(300.0, 100.0, 0.5, batch_share=0.2)
    assert flow(months=5, mix=batch).revenue[3] == pytest.approx(3.875 * 0.9)
    costs = UnitCosts(1.0, 0.2, 2.0)
    # 0.75 * (0.5 + 0.1) + 0.25 * 2 = 0.95
    assert flow(months=5, costs=costs, paid_share=0.8).serving[3] == pytest.approx(0.95)


def test_dated_steps():
    steps = Steps(months=(0.0, 5.0), usd=(8.0, 16.0))
    assert price_at(steps, np.array([-1.0, 4.9, 5.0, 9.0])) == pytest.approx([8, 8, 16, 16])
    revenue = flow(output=steps).revenue
    # output is a quarter of the tokens: 2 USD more from month 6 on
    assert revenue[4] == pytest.approx(3.875)
    assert revenue[5] == pytest.approx(5.875)


def test_market_caps_each_price_by_its_own():
    # output elsewhere at 12 falling 10x a year: 12 * 10^(-a/12) is under our 8 after 12 log10(1.5) = 2.11 months;
    # input elsewhere at half of that: under our 4 after 2.11 months too
    listed = price(market_at_launch=12.0, market_input=0.5, market_decline=10.0)
    ages = np.array([0.0, 2.0, 6.0, 12.0])
    uncached, output = prices_received(listed, ages, ages)
    assert output == pytest.approx([8, 8, 12 * 10**-0.5, 1.2])
    assert uncached == pytest.approx([4, 4, 6 * 10**-0.5, 0.6])
    assert [float(p[0]) for p in prices_received(price(), ages, ages)] == [4.0, 8.0]
    # 0.75 * (0.5*2 + 0.5*0.5) + 0.25 * 4 = 0.9375 + 1
    f = flow(market_at_launch=4.0, market_input=0.5, market_decline=1.0)
    assert f.revenue[3] == pytest.approx(1.9375)
    assert f.output_price[3] == pytest.approx(4.0)


def test_a_higher_list_price_never_earns_less():
    shared = {"market_at_launch": 6.0, "market_input": 0.4, "market_decline": 3.0}
    low = flow(**shared).revenue
    assert np.all(flow(output=50.0, **shared).revenue >= low)
    assert np.all(flow(input=50.0, **shared).revenue >= low)


def test_a_successor_halves_demand_again_and_again():
    # out at 1 month after launch, half-life 1: mean ages .5, 1.5, 2.5, 3.5 keep 1, 2^-.5, 2^-1.5, 2^-2.5
    tokens = flow(successor=Successor(1.0, 1.0)).tokens
    assert tokens[3:] == pytest.approx(1e6 * np.array([1.0, 2**-0.5, 2**-1.5, 2**-2.5]))


def test_unit_cost_falls_from_the_start_of_the_scenario():
    # 0.95 a token at the start (see test_blended_price_by_hand), 36 % less a year: 0.8 of it after half a year
    falling = flow(months=7, costs=UnitCosts(1.0, 0.2, 2.0, decline=0.36))
    assert falling.serving[3] == pytest.approx(0.95 * 0.64 ** (3.5 / 12))
    rising = flow(months=7, costs=UnitCosts(1.0, 0.2, 2.0, decline=-0.2))
    assert rising.serving[6] == pytest.approx(0.95 * 1.2 ** (6.5 / 12))


def test_fixed_costs_run_while_the_service_does():
    assert flow(run_months=1.5, months=8, fixed=10.0).fixed == pytest.approx([0, 0, 5, 10, 10, 10, 5, 0])


def test_monthly_rows():
    rows = monthly_rows(flow(months=5, fixed=1.0))
    assert [row["month"] for row in rows] == [1, 2, 3, 4, 5]
    assert list(rows[0]) == [
        "month",
        "cost_usd",
        "revenue_usd",
        "serving_usd",
        "fixed_usd",
        "contribution_usd",
        "cumulative_usd",
    ]
    assert [row["cumulative_usd"] for row in rows] == pytest.approx([-50, -100, -100, -97.125, -94.25])
    assert all(type(value) is float for row in rows for value in row.values())


def test_payback_section():
    """Eight dollars of programme, 3.875 a month from month 4 on."""
    section = payback_section(flow(programme=8.0), 0.12)
    # 8 / 3.875 = 2.0645 months after launch at 3
    assert section["payback.months"] == pytest.approx(3 + 8 / 3.875)
    assert section["payback.repaid"] == 1.0
    assert section["payback.probability"] == 1.0
    assert section["payback.discounted_months"] > section["payback.months"]
    assert section["payback.moic"] == pytest.approx(4 * 3.875 / 8)
    assert section["payback.peak_funding_usd"] == pytest.approx(8.0)
    v = 1.12 ** (-1 / 12)
    assert section["payback.npv_usd"] == pytest.approx(-4 * (v + v**2) + 3.875 * (v**4 + v**5 + v**6 + v**7))
    # at 8 / 15.5 of the price list it just repays: output at 8 * 8 / 15.5
    assert section["payback.break_even_usd_per_million_output_tokens"] == pytest.approx(64 / 15.5)
    assert section["payback.break_even_tokens"] == pytest.approx(8 / 3.875 * 1e6)
    assert section["serving.training_usd_per_million_tokens"] == pytest.approx(2.0)
    assert section["payback.tokens"] == pytest.approx(4e6)


def test_break_even_price_breaks_even():
    costs, fixed = UnitCosts(1.0, 0.2, 2.0), 0.3
    first = payback_section(flow(programme=40.0, costs=costs, fixed=fixed), 0.12)
    scale = first["payback.break_even_usd_per_million_output_tokens"] / 8.0
    second = payback_section(flow(programme=40.0, costs=costs, fixed=fixed, input=4 * scale, output=8 * scale), 0.12)
    assert second["payback.contribution_usd"] == pytest.approx(40.0)
    assert second["payback.moic"] == pytest.approx(1.0)


def test_break_even_tokens_break_even():
    costs, fixed = UnitCosts(1.0, 0.2, 2.0), 0.3
    first = payback_section(flow(programme=40.0, costs=costs, fixed=fixed), 0.12)
    scale = first["payback.break_even_tokens"] / first["payback.tokens"]
    second = payback_section(flow(programme=40.0, costs=costs, fixed=fixed, peak=PEAK * scale), 0.12)
    assert second["payback.contribution_usd"] == pytest.approx(40.0)


def test_no_demand_is_no_payback_and_no_error():
    section = payback_section(flow(peak=0.0), 0.12)
    assert section["payback.months"] == math.inf
    assert section["payback.break_even_tokens"] == math.inf
    assert section["payback.break_even_usd_per_million_output_tokens"] == math.inf
    assert section["serving.training_usd_per_million_tokens"] == math.inf
    assert section["payback.irr_annual"] == -math.inf
    assert section["payback.moic"] == 0.0


def test_draws_and_points_agree():
    peaks, runs, lives = np.array([0.2, 1.0, 5.0]) * PEAK, np.array([0.5, 2.0, 7.3]), np.array([3.0, 12.0, 6.5])
    months = 24
    shared = {"programme": 20.0, "months": months, "market_at_launch": 9.0, "market_decline": 5.0}
    ramp = LogisticRamp(np.array([1.0, 2.0, 3.0]), 1.5)
    many = payback_section(flow(runs, peak=peaks, life=lives, ramp=ramp, **shared), np.array([0.1, 0.12, 0.2]))
    assert many["payback.probability"] == np.mean(many["payback.repaid"])
    for i in range(3):
        one_ramp = LogisticRamp(float(i + 1), 1.5)
        one = payback_section(
            flow(float(runs[i]), peak=float(peaks[i]), life=float(lives[i]), ramp=one_ramp, **shared),
            (0.1, 0.12, 0.2)[i],
        )
        assert one.keys() == many.keys()
        for path, value in one.items():
            if path != "payback.probability":
                assert np.broadcast_to(many[path], 3)[i] == pytest.approx(value, rel=1e-11), path


def test_a_ramp_of_no_width_is_a_step():
    assert ramp_share(LogisticRamp(4.0, 0.0), np.array([3.9, 4.1])) == pytest.approx([0.0, 1.0])


def test_tokens_given_away_meet_no_market():
    received = prices_received(price(output=0.0, market_at_launch=5.0), np.zeros(2), np.array([0.0, 12.0]))
    assert received[1] == pytest.approx([0.0, 0.0])


def test_a_month_is_valued_at_its_middle_and_a_life_comes_out_right():
    """What docs/economics.md says of it: the first month low, a life within 0.03 % of the ramp's integral."""
    for width, first in ((1.5, -0.014), (1.0, -0.03), (0.5, -0.1)):
        ramp, middle = LogisticRamp(3 * width, width), np.arange(18) + 0.5
        integral = width * np.log1p(np.exp((np.arange(19) - 3 * width) / width))
        months = ramp_share(ramp, middle)
        assert months[0] / np.diff(integral)[0] - 1 == pytest.approx(first, abs=0.006)
        assert months.sum() / (integral[-1] - integral[0]) == pytest.approx(1, abs=3e-4)
