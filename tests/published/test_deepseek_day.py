"""DeepSeek's published day through the price list: revenue, markup and margin."""

import json
from pathlib import Path

import pytest

from costsim.economics.calendar import DAYS_PER_MONTH
from costsim.economics.cohort import DemandTerms, LogisticRamp, PriceTerms, TokenMix, UnitCosts, cash_flow
from costsim.economics.finance import internal_rate
from costsim.economics.payback import payback_section

FIXTURES = json.loads((Path(__file__).parents[1] / "data" / "economics_fixtures.json").read_text(encoding="utf-8"))
DAY = FIXTURES["deepseek_day_6"]


def test_revenue_markup_and_margin_of_the_day():
    given, expect = DAY["inputs"], DAY["expect"]
    cached = given["cached_input_tokens"] / given["input_tokens"]
    prices = PriceTerms(given["price_miss"], given["price_out"], given["price_cached"] / given["price_miss"], 1.0)
    unit = UnitCosts(expect["usd_per_M_input_uncached"], 0.0, expect["usd_per_M_output"])
    demand = DemandTerms(
        (given["input_tokens"] + given["output_tokens"]) / 86400, LogisticRamp(-1e6, 1.0), 0.0, 1 / DAYS_PER_MONTH, 1.0
    )
    mix = TokenMix(given["input_tokens"], given["output_tokens"], cached, 0.0)
    flow = cash_flow(1e5, 0.0, demand, prices, mix, unit, 0.0, 1)
    revenue, cost = float(flow.revenue.sum()), float(flow.serving.sum())
    assert round(revenue) == expect["revenue_per_day_from_rounded_tokens"]
    assert cost == pytest.approx(expect["cost_per_day"], rel=1e-3)  # their nodes and their rates close to 0.05 %
    published = expect["revenue_per_day_published"]
    assert round(published / expect["cost_per_day"] - 1, 4) == expect["markup_on_cost"]
    assert 1 - cost / published == pytest.approx(expect["gross_margin"], abs=2e-4)
    # 545 % of markup is 84.5 % of margin: the halves of a token's cost say the same
    section = payback_section(flow, 0.12)
    assert section["serving.serving_usd_per_million_tokens"] == pytest.approx(cost / 776e9 * 1e6)
    assert section["payback.revenue_usd_per_million_tokens"] == pytest.approx(revenue / 776e9 * 1e6)


@pytest.mark.parametrize("flows", [[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0], [0.0, 0.0]])
def test_flows_that_never_change_sign_have_no_rate(flows):
    import numpy as np

    assert internal_rate(np.array(flows)) == -np.inf
