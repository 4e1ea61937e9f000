"""Published numbers, and numbers recomputed apart from this code, that the economics must reproduce as printed."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from costsim.economics import finance
from costsim.economics.bases import RunUse
from costsim.economics.calendar import DAYS_PER_MONTH
from costsim.economics.cohort import DemandTerms, LogisticRamp, PriceTerms, TokenMix, UnitCosts, cash_flow
from costsim.economics.cost import CostTerms, cost_section
from costsim.economics.energy import PowerTerms, energy_section
from costsim.economics.ownership import OwnTerms, amortised_rate, own_rate
from costsim.economics.payback import payback_section
from costsim.economics.replica import Roofline, ServedModel, ServingChip, ServingTerms
from costsim.economics.serving import (
    batch_size,
    decode_times,
    kv_capacity,
    output_rate,
    prefill_seconds,
    prefill_seconds_per_token,
    step_seconds,
    token_interval_seconds,
    usd_per_million,
)
from costsim.training.goodput import FailureTerms, checkpoint_interval_seconds, goodput, overhead

FIXTURES = json.loads((Path(__file__).parents[1] / "data" / "economics_fixtures.json").read_text(encoding="utf-8"))


def owned(**changes):
    base = {
        "usd_per_accelerator": 39000.0,
        "server_factor": 1.0,
        "network_share": 0.0,
        "life": 5.0,
        "residual": 0.0,
        "capital_cost": 0.10,
        "occupancy": 1.0,
        "operation": 0.0,
        "age": 0.0,
        "progress": 0.14,
    }
    return OwnTerms(**{**base, **changes})


@pytest.mark.parametrize("case", FIXTURES["epoch"]["cases"], ids=lambda case: case["model"])
def test_epoch_amortised_cost(case):
    hours = float(case["chip_hours"])
    power = PowerTerms(power_utilisation=case["tdp_frac"], pue=case["pue"], carbon=384.0)
    energy = energy_section(1000.0, hours, case["tdp_w"] * case["server_power"], power)
    epoch = FIXTURES["epoch"]
    terms = CostTerms(
        basis="amortised",
        rent=None,
        # The printed price is that at the start of the run: age 0.
        own=owned(
            usd_per_accelerator=case["value_at_start"],
            network_share=epoch["network_share"],
            progress=epoch["progress"],
        ),
        electricity=case["usd_kwh"],
        research_multiplier=1.0,
    )
    section = cost_section(RunUse(1000.0, hours, energy["run.energy_kwh"]), terms)
    assert section["cost.items.energy_usd"] == pytest.approx(case["energy_usd"], abs=0.01)
    assert round(section["cost.total_usd"], -1) == case["total_usd"]
    if "usd_per_chip_hour" in case:
        assert round(section["cost.usd_per_accelerator_hour"], 4) == case["usd_per_chip_hour"]


def test_epoch_value_falls_with_age():
    # A price falls by 0.14 orders of magnitude a year: to 10^-0.14 = 72.4 % after one.
    young, old = amortised_rate(owned()), amortised_rate(owned(age=1.0))
    assert old / young == pytest.approx(10**-0.14)
    assert round(young, 3) == FIXTURES["owned_hour"]["epoch"]


@pytest.mark.parametrize("years", ["3", "4", "5", "6"])
@pytest.mark.parametrize("method", ["straight_line", "capital_recovery"])
def test_owned_hour(method, years):
    rate = own_rate(owned(life=float(years), method=method))
    expected = FIXTURES["owned_hour"][method][years]
    digits = len(str(expected).split(".")[1])
    assert round(rate, digits) == expected


def test_interruptions_of_llama_3():
    f = FIXTURES["failures"]
    hours = f["accelerators"] * f["days"] * 24 / f["interruptions"]
    assert round(hours) == f["accelerator_hours_per_interruption"]
    assert round(hours / f["accelerators"], 3) == f["mean_hours_between"]


@pytest.mark.parametrize("case", FIXTURES["failures"]["cases"], ids=lambda case: f"{case['n']}-{case['ckpt_s']}s")
def test_young_daly(case):
    f = FIXTURES["failures"]
    rate = 1 / f["accelerator_hours_per_interruption"]
    terms = FailureTerms(rate, restart=case["restart_min"] * 60.0, checkpoint_write=float(case["ckpt_s"]))
    lost = overhead(float(case["n"]), terms)
    assert round(lost, 4) == case["waste"]
    assert round(goodput(lost), 4) == case["goodput"]
    if "interval_min" in case:
        assert round(checkpoint_interval_seconds(float(case["n"]), terms) / 60, 1) == case["interval_min"]


def test_deepseek_day_6_closes():
    """An hour's price split by the time of prefill and decode nodes gives their dollars per million tokens."""
    given, expect = FIXTURES["deepseek_day_6"]["inputs"], FIXTURES["deepseek_day_6"]["expect"]
    terms = ServingTerms(
        accelerators_per_replica=given["gpus_per_node"],
        input_tokens=given["input_tokens"],
        output_tokens=given["output_tokens"],
        speed=20.0,
        cached_share=given["cached_input_tokens"] / given["input_tokens"],
        cached_cost=0.0,
        occupancy=1.0,
        usd_per_accelerator_hour=given["usd_gpu_h"],
    )
    per_input = usd_per_million(1 / given["prefill_tok_s_node_incl_cache"], terms)
    per_output = usd_per_million(1 / given["decode_tok_s_node"], terms)
    assert round(per_input, 4) == expect["usd_per_M_input_all"]
    assert round(per_input / (1 - terms.cached_share), 4) == expect["usd_per_M_input_uncached"]
    assert round(per_output, 4) == expect["usd_per_M_output"]
    day = (per_input * given["input_tokens"] + per_output * given["output_tokens"]) / 1e6
    assert day == pytest.approx(expect["cost_per_day"], rel=6e-4)


def deepseek_flow(multiplier, share, days=365.25 * 4):
    """Four years of day 6 after a run of no time, by month."""
    given, expect = FIXTURES["deepseek_day_6"]["inputs"], FIXTURES["deepseek_day_6"]["expect"]
    total = given["input_tokens"] + given["output_tokens"]
    # One price a token, and one cost: the fixture's money is that of the day as a whole.
    revenue = expect["revenue_per_day_published"] / total * 1e6
    cost = expect["cost_per_day"] / total * 1e6
    return cash_flow(
        programme_usd=FIXTURES["two_clocks"]["final_run"] * multiplier,
        wall_clock_days=0.0,
        demand=DemandTerms(total / 86400, LogisticRamp(-1e6, 1.0), 0.0, days / DAYS_PER_MONTH, share),
        price=PriceTerms(input=revenue, output=revenue, cached_input=1.0, batch=1.0),
        mix=TokenMix(given["input_tokens"], given["output_tokens"], 0.563, 0.0),
        costs=UnitCosts(cost, cost, cost),
        fixed_usd_per_month=0.0,
        months=48,
    )


@pytest.mark.parametrize(
    "case",
    FIXTURES["two_clocks"]["cases"],
    ids=lambda c: f"x{c['rd_multiplier']}-{c['share_of_theoretical_revenue']:.0%}",
)
def test_two_clocks(case):
    flow = deepseek_flow(case["rd_multiplier"], case["share_of_theoretical_revenue"])
    section = payback_section(flow, 0.12)
    assert flow.contribution[1] / DAYS_PER_MONTH == pytest.approx(case["contribution_per_day"], abs=0.1)
    if case["simple_payback_days"] is None:
        assert section["payback.repaid"] == 0
        assert section["payback.months"] == math.inf
        assert section["payback.break_even_tokens"] == math.inf
    else:
        assert round(section["payback.months"] * DAYS_PER_MONTH, 2) == case["simple_payback_days"]


def test_discounted_example():
    case = FIXTURES["two_clocks"]["discounted"]
    # The contribution of a month, unrounded, of 81,536.1 USD a day.
    monthly = 81536.1 * DAYS_PER_MONTH
    assert round(monthly, 2) == case["contribution_per_month"]
    invested, rate, life = case["capitalised"], case["annual_rate"], case["life_months"]
    long = np.full(40, monthly)
    simple = finance.payback_months(invested, long)
    discounted = finance.payback_months(invested, long * finance.discount_factors(rate, 40))
    assert math.ceil(simple) == case["simple_payback_month"]
    assert math.ceil(discounted) == case["discounted_payback_month"]
    flows = np.concatenate([[-invested], long[:life]])
    assert finance.net_present_value(flows, rate, first=0) == pytest.approx(case["npv_18_months"], abs=0.1)
    assert round(finance.multiple(long[:life].sum(), invested), 4) == case["moic_18_months"]
    assert finance.repaid(finance.payback_months(invested, long[:life])) == case["repaid_within_life"]


def test_rate_of_return():
    f = FIXTURES["rate_of_return"]
    flows = np.concatenate([np.full(count, float(usd)) for usd, count in f["plain"]["flows"]])
    monthly = (1 + finance.internal_rate(flows)) ** (1 / 12) - 1
    assert monthly == pytest.approx(f["plain"]["rate_per_period"], abs=1e-12)


@pytest.mark.parametrize("trap", ["two_roots", "never_pays"])
def test_no_rate_where_it_would_mislead(trap):
    flows = np.array(FIXTURES["rate_of_return"][trap]["flows"], dtype=float)
    assert finance.internal_rate(flows) == -math.inf


ROOFLINE = FIXTURES["roofline"]


def served(name, precision):
    m = ROOFLINE["models"][name]
    other = ROOFLINE["exceptions"].get(name, {})
    weight = ROOFLINE["bytes_per_weight"][precision]
    return ServedModel(
        parameters=m["params_total"],
        active_parameters=m["params_active"],
        expert_parameters=m["expert_params_total"],
        experts=m["experts"],
        experts_per_token=m["experts_per_token"],
        layers=m["layers"],
        hidden_size=m["hidden"],
        kv_elements_per_token=m["kv_elements_per_token_all_layers"],
        kv_heads=m["kv_heads"],
        decode_attention_flops=m["decode_attn_flop_per_token_per_ctx"],
        prefill_attention_flops=m["prefill_attn_flop_per_token_per_ctx"],
        weight_bytes=other.get("weight_bytes", weight),
        expert_weight_bytes=other.get("expert_weight_bytes", weight),
        kv_bytes=2.0 if precision == "bf16" else 1.0,
    )


def chip(name, precision, model):
    h = ROOFLINE["hardware"][name]
    peak = h[ROOFLINE["exceptions"].get(model, {}).get("peak", f"{precision}_tflops")]
    return ServingChip(
        peak_flops=peak * 1e12,
        attention_flops=h["bf16_tflops"] * 1e12,
        memory_bytes=float(h["mem_bytes"]),
        memory_bandwidth=h["bw_tb_s"] * 1e12,
        link_bandwidth=h["link_gb_s_per_direction"] * 1e9,
    )


def roofline(kind, moe):
    if kind == "plain":
        # No overheads and no time for collectives: a link of infinite speed.
        return Roofline(1.0, 1.0, 0.0, 0.0, math.inf, 0.9)
    c = ROOFLINE["calibrated"]
    return Roofline(
        memory_efficiency=c["hbm_eff"],
        flop_efficiency=c["flop_eff"],
        layer_seconds=c["t0_us_moe" if moe else "t0_us_dense"] * 1e-6,
        allreduce_seconds=c["lat_us"] * 1e-6,
        link_efficiency=c["link_eff"],
        memory_fraction=c["mem_fraction"],
    )


@pytest.mark.parametrize("kind", ["plain", "calibrated"])
@pytest.mark.parametrize(
    "case", ROOFLINE["cases"], ids=lambda c: f"{c['model']}-{c['hardware']}-{c['precision']}-{c['concurrency']}"
)
def test_roofline_worked_cases(case, kind):
    model = served(case["model"], case["precision"])
    device = chip(case["hardware"], case["precision"], case["model"])
    fit = roofline(kind, model.experts > 0)
    terms = ServingTerms(
        accelerators_per_replica=case["gpus"],
        input_tokens=case["isl"],
        output_tokens=case["osl"],
        speed=20.0,
        cached_share=0.0,
        cached_cost=0.05,
        occupancy=1.0,
        usd_per_accelerator_hour=2.0,
    )
    expected = case[kind]
    batch = batch_size(case["concurrency"], kv_capacity(model, device, fit, terms))
    times = decode_times(model, device, fit, terms)
    step = step_seconds(times, model, batch)
    prefill = prefill_seconds(prefill_seconds_per_token(model, device, fit, terms), terms)
    assert batch == expected["B"]
    # Times are printed to a nanosecond, throughput to nine decimals.
    assert step == pytest.approx(expected["step"], abs=1e-9)
    assert prefill == pytest.approx(expected["pf"], abs=1e-9)
    assert output_rate(step, prefill, batch, terms) == pytest.approx(expected["out"], rel=1e-9)
    assert token_interval_seconds(step, prefill, batch, case["osl"]) == pytest.approx(expected["itl"], abs=2e-9)
