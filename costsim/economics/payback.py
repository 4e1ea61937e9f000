"""The ``payback`` section: whether, when and how well the programme comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from costsim.economics import finance
from costsim.economics.calendar import DAYS_PER_MONTH, SECONDS_PER_MONTH
from costsim.economics.needed import usd_per_million_served
from costsim.quantities import declare

if TYPE_CHECKING:
    from costsim.economics.cohort import CashFlow
    from costsim.uncertainty.ranges import Num


# --- totals -----------------------------------------------------------------------------------------------------------


@declare(
    "payback.tokens",
    label="tokens served in the model's life",
    unit="tokens",
    better="higher",
    formula=f"{{demand.peak}} * {SECONDS_PER_MONTH:.0f} a month, times the ramp, added up over {{demand.life}}",
    source="sum of the months; a month has that many seconds",
    when_given={
        "demand.users": f"{{demand.users}} * {{demand.tokens_per_user_per_day}} * {DAYS_PER_MONTH} a month, "
        "times the ramp, added up over {demand.life}"
    },
)
@declare(
    "payback.revenue_usd",
    label="revenue",
    unit="USD",
    better="higher",
    formula="the sum of {payback.monthly.*.revenue_usd}",
    source="sum of the months",
)
@declare(
    "payback.serving_usd",
    label="serving cost",
    unit="USD",
    better="lower",
    formula="the sum of {payback.monthly.*.serving_usd}",
    source="sum of the months",
)
@declare(
    "payback.fixed_usd",
    label="fixed costs",
    unit="USD",
    better="lower",
    formula="the sum of {payback.monthly.*.fixed_usd}",
    source="sum of the months",
)
@declare(
    "payback.contribution_usd",
    label="contribution",
    unit="USD",
    better="higher",
    formula="{payback.revenue_usd} - {payback.serving_usd} - {payback.fixed_usd}",
    source="revenue less what it costs to serve",
)
@declare(
    "payback.usd_per_million_output_tokens",
    label="mean output price",
    unit="USD/Mtok",
    better="higher",
    formula="{price.output}, capped by the market, mean over the tokens served",
    source="the price list",
)
def totals(flow: CashFlow) -> dict[str, Num]:
    """Sums over the model's life."""
    tokens = flow.tokens.sum(axis=-1)
    weighted = (flow.tokens * flow.output_price).sum(axis=-1)
    # Without tokens there is no mean to take: the list price of the last month stands for it.
    price = np.where(tokens > 0, weighted / np.where(tokens > 0, tokens, 1.0), flow.output_price[..., -1])
    return {
        "payback.tokens": tokens[()],
        "payback.revenue_usd": flow.revenue.sum(axis=-1)[()],
        "payback.serving_usd": flow.serving.sum(axis=-1)[()],
        "payback.fixed_usd": (flow.fixed + 0.0 * flow.tokens).sum(axis=-1)[()],
        "payback.contribution_usd": flow.contribution.sum(axis=-1)[()],
        "payback.usd_per_million_output_tokens": price[()],
    }


@declare(
    "payback.monthly.*.month",
    label="month",
    unit="months",
    formula="months from the start, at its end",
    source="calendar",
)
@declare(
    "payback.monthly.*.cost_usd",
    label="programme",
    unit="USD",
    better="lower",
    formula="{cost.programme_usd}, evenly over {run.wall_clock_days}; what a commitment bills after the run, evenly "
    "over the rest of its term",
    source="design convention",
)
@declare(
    "payback.monthly.*.revenue_usd",
    label="revenue",
    unit="USD",
    better="higher",
    formula="tokens times {demand.paid_share} times the blended price",
    source="the price list",
)
@declare(
    "payback.monthly.*.serving_usd",
    label="serving",
    unit="USD",
    better="lower",
    formula="tokens times the blended cost of {serving.usd_per_million_input_tokens}, "
    "{serving.usd_per_million_cached_input_tokens} and {serving.usd_per_million_output_tokens}",
    source="the serving section",
)
@declare(
    "payback.monthly.*.fixed_usd",
    label="fixed costs",
    unit="USD",
    better="lower",
    formula="{finance.fixed_costs} while the service runs",
    source="the scenario",
)
@declare(
    "payback.monthly.*.contribution_usd",
    label="contribution",
    unit="USD",
    better="higher",
    formula="{payback.monthly.*.revenue_usd} - {payback.monthly.*.serving_usd} - {payback.monthly.*.fixed_usd}",
    source="revenue less what it costs to serve",
)
@declare(
    "payback.monthly.*.cumulative_usd",
    label="cumulative",
    unit="USD",
    better="higher",
    formula="the running sum of {payback.monthly.*.contribution_usd} - {payback.monthly.*.cost_usd}",
    source="sum of the months",
)
def monthly_rows(flow: CashFlow) -> list[dict[str, float]]:
    """Rows of ``payback.monthly`` for a point plan: month, money in and out, and what is out so far.

    Args:
        flow: of one plan, each array ``(months,)``.
    """
    columns = {
        "cost_usd": flow.cost,
        "revenue_usd": flow.revenue,
        "serving_usd": flow.serving,
        "fixed_usd": flow.fixed,
        "contribution_usd": flow.contribution,
        "cumulative_usd": np.cumsum(flow.net),
    }
    return [
        {"month": float(m + 1), **{name: float(values[m]) for name, values in columns.items()}}
        for m in range(flow.tokens.shape[-1])
    ]


# --- the section ------------------------------------------------------------------------------------------------------


def payback_section(flow: CashFlow, discount_rate: Num) -> dict[str, Num]:
    """Make the ``payback`` section, except its months, and what training adds to a token's cost.

    ``payback.months`` and ``discounted_months`` are +inf where the programme is never repaid, ``irr_annual`` is -inf
    where there is no rate to report. ``payback.probability`` is one number over all draws.

    Args:
        flow: by `cohort.cash_flow`.
        discount_rate: yearly.
    """
    sums = totals(flow)
    factors = finance.discount_factors(discount_rate, flow.cost.shape[-1])
    months = finance.payback_months(flow.programme, flow.contribution, flow.opens, flow.share)
    discounted = finance.payback_months(
        (flow.cost * factors).sum(axis=-1), flow.contribution * factors, flow.opens, flow.share
    )
    comes_back = finance.repaid(months)
    serving, fixed, revenue = (sums[f"payback.{name}_usd"] for name in ("serving", "fixed", "revenue"))
    tokens, price = sums["payback.tokens"], sums["payback.usd_per_million_output_tokens"]
    return {
        "payback.repaid": comes_back,
        "payback.months": months,
        "payback.discounted_months": discounted,
        "payback.probability": finance.probability(comes_back),
        "payback.npv_usd": finance.net_present_value(flow.net, discount_rate),
        "payback.irr_annual": finance.internal_rate(flow.net),
        "payback.moic": finance.multiple(sums["payback.contribution_usd"], flow.programme),
        "payback.break_even_usd_per_million_output_tokens": finance.break_even_price(
            price, flow.programme + serving + fixed, revenue
        ),
        "payback.break_even_tokens": finance.break_even_tokens(tokens, flow.programme + fixed, revenue - serving),
        "payback.peak_funding_usd": finance.peak_funding(flow.net),
        "serving.training_usd_per_million_tokens": finance.training_usd_per_million(flow.programme, tokens),
        "serving.serving_usd_per_million_tokens": usd_per_million_served(serving, tokens),
        "payback.revenue_usd_per_million_tokens": usd_per_million_served(revenue, tokens),
        **sums,
    }
