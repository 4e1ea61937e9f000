"""What must hold of money whatever the inputs."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from costsim.economics import finance
from costsim.economics.bases import RunUse
from costsim.economics.calendar import DAYS_PER_MONTH
from costsim.economics.clocks import REGIMES, DebtTerms, FundingTerms, clocks_section
from costsim.economics.cohort import (
    DemandTerms,
    LogisticRamp,
    PriceTerms,
    TokenMix,
    UnitCosts,
    cash_flow,
    horizon_months,
)
from costsim.economics.cost import Amount, CostTerms, cost_section
from costsim.economics.energy import PowerTerms, energy_section
from costsim.economics.ledger import ServiceUse, hours_section
from costsim.economics.needed import needed_section, surplus
from costsim.economics.ownership import OwnTerms, RentTerms
from costsim.economics.payback import payback_section
from costsim.economics.replica import Roofline, ServedModel, ServingChip, ServingTerms
from costsim.economics.serving import (
    decode_times,
    output_rate,
    prefill_seconds,
    prefill_seconds_per_token,
    serving_section,
    step_seconds,
)
from costsim.training.goodput import FailureTerms, run_section


def holds(*strategies):
    """A property that is tried on some examples; a slow machine is no reason to fail."""
    return lambda test: settings(deadline=None, max_examples=60)(given(*strategies)(test))


def numbers(low, high):
    return st.floats(low, high, allow_nan=False, allow_infinity=False)


shares = numbers(0.0, 1.0)

owned = st.builds(
    OwnTerms,
    usd_per_accelerator=numbers(500, 1e5),
    server_factor=numbers(1.0, 3.0),
    network_share=numbers(0.0, 0.6),
    life=numbers(1.0, 10.0),
    residual=numbers(0.0, 0.9),
    capital_cost=numbers(0.0, 0.5),
    occupancy=numbers(0.05, 1.0),
    operation=numbers(0.0, 0.5),
    age=numbers(0.0, 12.0),
    progress=numbers(0.01, 0.5),
    method=st.sampled_from(["capital_recovery", "straight_line", "declining"]),
)
rented = st.builds(
    RentTerms, numbers(0.05, 20.0), discount=numbers(0.0, 0.9), commitment_hours=st.sampled_from([0.0, 8766.0])
)
lines = st.builds(Amount, usd=numbers(0.0, 1e8), share=numbers(0.0, 0.19))
costs = st.builds(
    CostTerms,
    basis=st.sampled_from(["rent", "own", "amortised"]),
    rent=rented,
    own=owned,
    electricity=numbers(0.0, 0.5),
    research_multiplier=numbers(1.0, 10.0),
    staff=st.none() | lines,
    data=st.none() | lines,
    storage=st.none() | lines,
    network=st.none() | lines,
    contingency=st.none() | lines,
)
uses = st.builds(RunUse, numbers(1, 1e5), numbers(1.0, 1e8), numbers(0.0, 1e8))


def add(section, prefix):
    return math.fsum(value for path, value in section.items() if path.startswith(prefix))


def close(a, b, tolerance=1e-9):
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12) or a == b


# --- cost -------------------------------------------------------------------------------------------------------------


@holds(uses, costs)
def test_lines_add_up(use, terms):
    section = cost_section(use, terms)
    assert close(add(section, "cost.items."), section["cost.total_usd"], 1e-12)
    assert close(add(section, "cost.programme_items."), section["cost.programme_usd"], 1e-12)
    assert section[f"cost.bases.{terms.basis}_usd"] == section["cost.total_usd"]
    # a rent below the electricity of an owned hour: no use makes owning cheaper
    assert all(math.isfinite(value) for path, value in section.items() if not path.startswith(BREAK_EVEN))
    assert all(value >= 0 for value in section.values())
    assert section["cost.programme_usd"] >= section["cost.total_usd"] * (1 - 1e-12)


BREAK_EVEN = "cost.break_even_utilisation."


@holds(
    uses, costs, st.none() | st.tuples(numbers(0.0, 1e15), numbers(0.0, 10.0), numbers(0.1, 10.0), numbers(0.05, 1.0))
)
def test_hours_of_run_research_serving_and_idle_are_those_of_the_fleet(use, terms, service):
    """What is paid for the hours, over the price of an hour: found without their own lines."""
    terms = dataclasses.replace(terms, staff=None, data=None, storage=None, network=None, egress=None, contingency=None)
    hours = hours_section(use, terms, ServiceUse(*service) if service else None)
    fleet = hours.pop("cost.hours.fleet_accelerator_hours")
    assert close(math.fsum(hours.values()), fleet)
    assert all(value >= 0 for value in hours.values())
    values = cost_section(use, terms)
    rates = {name: values.get(f"cost.rates.{name}_usd_per_accelerator_hour", 0.0) for name in ("own", "amortised")}
    standing = {
        "rent": values["cost.rates.rent_usd_per_accelerator_hour"],
        "own": rates["own"] + values["cost.rates.operation_usd_per_accelerator_hour"],
        "amortised": rates["amortised"],
    }[terms.basis]
    energy = terms.research_multiplier * values.get("cost.items.energy_usd", 0.0)
    serving = service[0] / 1e6 * service[1] / service[2] if service else 0.0
    assume(standing > 1e-3)
    paid = (values["cost.programme_usd"] - energy) / standing + serving
    assert abs(paid - fleet) <= 1e-6 * (fleet + energy / standing)


@holds(uses, costs)
def test_every_hour_is_charged_once(use, terms):
    """Under rent, run, research and unused hours are the larger of what is used and what is committed."""
    terms = dataclasses.replace(
        terms, basis="rent", staff=None, data=None, storage=None, network=None, egress=None, contingency=None
    )
    rate = terms.rent.usd_per_accelerator_hour * (1 - terms.rent.discount)
    used = terms.research_multiplier * use.accelerator_hours
    committed = use.accelerators * terms.rent.commitment_hours
    assert close(cost_section(use, terms)["cost.programme_usd"], max(used, committed) * rate)


@holds(uses, costs, numbers(0.01, 100.0))
def test_currency_does_not_matter(use, terms, rate):
    scaled = dataclasses.replace(
        terms,
        rent=dataclasses.replace(terms.rent, usd_per_accelerator_hour=terms.rent.usd_per_accelerator_hour * rate),
        own=dataclasses.replace(terms.own, usd_per_accelerator=terms.own.usd_per_accelerator * rate),
        electricity=terms.electricity * rate,
        **{
            name: dataclasses.replace(line, usd=line.usd * rate)
            for name in ("staff", "data", "storage", "network", "egress", "contingency")
            if (line := getattr(terms, name)) is not None
        },
    )
    first, second = cost_section(use, terms), cost_section(use, scaled)
    for path, value in first.items():
        assert close(second[path], value * (1.0 if path.endswith("hours") or path.startswith(BREAK_EVEN) else rate)), (
            path
        )


@holds(uses, costs, numbers(1.0, 3.0))
def test_cost_never_falls_with_prices_and_hours(use, terms, more):
    base = cost_section(use, terms)["cost.programme_usd"] * (1 - 1e-12)
    dearer = [
        dataclasses.replace(terms, electricity=terms.electricity * more),
        dataclasses.replace(terms, research_multiplier=terms.research_multiplier * more),
        dataclasses.replace(
            terms,
            rent=dataclasses.replace(terms.rent, usd_per_accelerator_hour=terms.rent.usd_per_accelerator_hour * more),
        ),
        dataclasses.replace(
            terms, own=dataclasses.replace(terms.own, usd_per_accelerator=terms.own.usd_per_accelerator * more)
        ),
    ]
    assert all(cost_section(use, other)["cost.programme_usd"] >= base for other in dearer)
    longer = RunUse(use.accelerators, use.accelerator_hours * more, use.energy_kwh * more)
    assert cost_section(longer, terms)["cost.programme_usd"] >= base


@holds(numbers(1, 1e5), numbers(1e-9, 1e-3), numbers(0.0, 3600.0), numbers(1.0, 600.0), numbers(1.0, 3.0))
def test_failures_cost_time(n, rate, restart, write, more):
    rare, often = (run_section(1e4, 5.0, 1e12, n, FailureTerms(r, restart, write)) for r in (rate, rate * more))
    assert 0 < often["run.goodput"] <= rare["run.goodput"] <= 1
    assert often["run.accelerator_hours"] >= rare["run.accelerator_hours"] >= 1e4 * 5.0 / 3600 * n * (1 - 1e-12)
    twice = run_section(1e4, 5.0, 1e12, 2 * n, FailureTerms(rate / 2, restart, write))
    assert close(twice["run.goodput"], rare["run.goodput"])  # only the rate of the whole cluster matters


@holds(numbers(1, 1e5), numbers(1.0, 1e8), numbers(50, 3000), numbers(0.1, 1.0), numbers(1.0, 2.0))
def test_energy_is_linear_in_hours(n, hours, watts, utilisation, pue):
    terms = PowerTerms(utilisation, pue, 400.0)
    one, two = (energy_section(n, h, watts, terms) for h in (hours, 2 * hours))
    assert close(two["run.energy_kwh"], 2 * one["run.energy_kwh"])
    assert two["run.power_megawatts"] == one["run.power_megawatts"]


# --- serving ----------------------------------------------------------------------------------------------------------

dense = st.builds(
    lambda parameters, layers, hidden, kv: ServedModel(
        parameters, parameters, 0.0, 0.0, 0.0, layers, hidden, kv, 8.0, 4 * layers * hidden, 4 * layers * hidden,
        1.0, 1.0, 1.0,
    ),
    numbers(1e8, 1e11), numbers(4, 120), numbers(512, 20_000), numbers(1e3, 5e5),
)  # fmt: skip
mixtures = st.builds(
    lambda model, experts, share: dataclasses.replace(
        model,
        active_parameters=model.parameters * 0.2,
        expert_parameters=model.parameters * share,
        experts=float(experts),
        experts_per_token=float(max(1, experts // 16)),
    ),
    dense, st.integers(4, 512), numbers(0.3, 0.95),
)  # fmt: skip
models = dense | mixtures
chips = st.builds(ServingChip, numbers(1e14, 1e16), numbers(1e14, 5e15), numbers(5e11, 1e12), numbers(5e11, 1e13),
                  numbers(2e10, 1e12))  # fmt: skip
rooflines = st.builds(Roofline, numbers(0.3, 1.0), numbers(0.3, 1.0), numbers(0.0, 2e-4), numbers(0.0, 2e-5),
                      numbers(0.1, 1.0), numbers(0.5, 0.95))  # fmt: skip
services = st.builds(
    ServingTerms,
    accelerators_per_replica=st.sampled_from([1.0, 2.0, 4.0, 8.0]),
    input_tokens=numbers(10, 30_000),
    output_tokens=numbers(10, 8_000),
    speed=numbers(1.0, 300.0),
    cached_share=shares,
    cached_cost=shares,
    occupancy=numbers(0.05, 1.0),
    usd_per_accelerator_hour=numbers(0.1, 20.0),
    software_factor=numbers(0.2, 2.0),
    residual=numbers(0.3, 3.0),
)
OUTPUT = "serving.usd_per_million_output_tokens"
INPUT = "serving.usd_per_million_input_tokens"
CACHED = "serving.usd_per_million_cached_input_tokens"


@holds(models, chips, rooflines, services)
def test_tokens_pay_for_the_hour(model, chip, fit, terms):
    s = serving_section(model, chip, fit, terms)
    assert all(math.isfinite(value) and value >= 0 for value in s.values())
    paid = (
        terms.input_tokens * ((1 - terms.cached_share) * s[INPUT] + terms.cached_share * s[CACHED])
        + terms.output_tokens * s[OUTPUT]
    ) / 1e6
    seconds = terms.output_tokens / s["serving.output_tokens_per_second_per_accelerator"]
    assert close(paid, seconds * terms.usd_per_accelerator_hour / 3600 / terms.occupancy)
    assert s[CACHED] <= s[INPUT]
    assert s["serving.batch"] >= 1


@holds(models, chips, rooflines, services)
def test_a_batch_above_one_keeps_the_promise(model, chip, fit, terms):
    s = serving_section(model, chip, fit, dataclasses.replace(terms, residual=1.0))
    if s["serving.batch"] > 1:
        assert s["serving.tokens_per_second_per_user"] >= terms.speed * (1 - 1e-6)


@holds(models, chips, rooflines, services, numbers(1.0, 4.0))
def test_cost_of_a_token_is_monotone(model, chip, fit, terms, more):
    base = serving_section(model, chip, fit, terms)
    for changes in (
        {"usd_per_accelerator_hour": terms.usd_per_accelerator_hour * more},
        {"occupancy": terms.occupancy / more},
        {"speed": terms.speed * more},
    ):
        other = serving_section(model, chip, fit, dataclasses.replace(terms, **changes))
        assert other[OUTPUT] >= base[OUTPUT] * (1 - 1e-9), changes
        assert other[INPUT] >= base[INPUT] * (1 - 1e-9), changes
    faster = serving_section(model, chip, fit, dataclasses.replace(terms, software_factor=terms.software_factor * more))
    assert faster[OUTPUT] <= base[OUTPUT] * (1 + 1e-9)


@holds(dense, chips, rooflines, services, numbers(1.0, 500.0))
def test_more_accelerators_at_a_batch_never_raise_throughput_of_each(model, chip, fit, terms, batch):
    rates = []
    for replica in (1.0, 2.0, 4.0, 8.0):
        split = dataclasses.replace(terms, accelerators_per_replica=replica)
        step = step_seconds(decode_times(model, chip, fit, split), model, batch)
        prefill = prefill_seconds(prefill_seconds_per_token(model, chip, fit, split), split)
        rates.append(output_rate(step, prefill, batch, split))
    assert all(b <= a * (1 + 1e-9) for a, b in pairwise(rates))


# --- payback ----------------------------------------------------------------------------------------------------------

plans = st.fixed_dictionaries(
    {
        "programme": numbers(1e3, 1e10),
        "days": numbers(1.0, 700.0),
        "peak": numbers(1e3, 1e9),
        "midpoint": numbers(0.0, 12.0),
        "width": numbers(0.2, 5.0),
        "delay": numbers(0.0, 8.0),
        "life": numbers(1.0, 30.0),
        "paid": shares,
        "input": numbers(0.0, 10.0),
        "output": numbers(0.01, 50.0),
        "market": st.none() | numbers(0.1, 50.0),
        "decline": numbers(1.0, 40.0),
        "cost": numbers(0.0, 10.0),
        "fixed": st.sampled_from([0.0, 1e5]),
        "rate": numbers(0.0, 0.6),
    }
)


def flow_of(p, money=1.0):
    demand = DemandTerms(p["peak"], LogisticRamp(p["midpoint"], p["width"]), p["delay"], p["life"], p["paid"])
    market = None if p["market"] is None else p["market"] * money
    price = PriceTerms(p["input"] * money, p["output"] * money, 0.1, 0.5, market, 0.25, p["decline"])
    cost = p["cost"] * money
    return cash_flow(
        p["programme"] * money,
        p["days"],
        demand,
        price,
        TokenMix(2000.0, 500.0, 0.5, 0.2),
        UnitCosts(cost / 4, cost / 40, cost),
        p["fixed"] * money,
        horizon_months(p["days"], demand),
    )


@holds(plans)
def test_cash_flow_conserves_money(p):
    flow = flow_of(p)
    assert close(flow.cost.sum(), p["programme"])
    assert close(flow.share.sum(), p["life"])
    launch = p["days"] / DAYS_PER_MONTH + p["delay"]
    assert np.all(flow.revenue[: int(launch)] == 0)
    assert np.all(flow.tokens <= p["peak"] * DAYS_PER_MONTH * 86400 * (1 + 1e-12))


@holds(plans)
def test_payback_is_consistent(p):
    flow = flow_of(p)
    section = payback_section(flow, p["rate"])
    months, discounted = section["payback.months"], section["payback.discounted_months"]
    assert discounted >= months - 1e-9
    assert not any(math.isnan(value) for value in section.values())
    if math.isfinite(months):
        launch = p["days"] / DAYS_PER_MONTH + p["delay"]
        assert launch - 1e-9 <= months <= launch + p["life"] + 1e-9
    # A multiple of one repays within the life; and the other way round where no month loses money.
    moic = section["payback.moic"]
    assume(abs(moic - 1) > 1e-9)
    if moic > 1:
        assert section["payback.repaid"] == 1
    if np.all(flow.contribution >= 0):
        assert (section["payback.repaid"] == 1) == (moic > 1)
    if section["payback.irr_annual"] > -math.inf:
        assert moic > 1
        assert section["payback.irr_annual"] > 0
    most = p["programme"] + p["fixed"] * p["life"] + max(0.0, -flow.contribution.sum())
    assert section["payback.peak_funding_usd"] <= most * (1 + 1e-9)


@holds(
    st.lists(numbers(1.0, 1e6), min_size=1, max_size=12),
    st.lists(numbers(0.0, 1e6), min_size=1, max_size=48),
    numbers(0.0, 0.6),
    numbers(0.01, 0.5),
)
def test_value_falls_with_the_discount_rate_where_earning_follows_paying(paid, earned, rate, more):
    at_once = np.array([-sum(paid), *earned])
    now, later = (finance.net_present_value(at_once, r, first=0) for r in (rate, rate + more))
    assert later <= now
    assert later < now or sum(earned) < 1.0  # unless too little is earned to show beside what is paid
    # Paid over some months, it falls as long as it is positive, and stays below zero from the rate of return on.
    now, later = (finance.net_present_value(np.array([*(-np.array(paid)), *earned]), r) for r in (rate, rate + more))
    assert later <= max(now, 0.0) + 1e-9 * sum(paid)


@holds(
    st.lists(numbers(1.0, 1e6), min_size=1, max_size=12),
    st.lists(numbers(0.0, 1e6), min_size=1, max_size=48),
    numbers(1.001, 50.0),
)
def test_the_internal_rate_is_where_value_is_nothing(paid, earned, times):
    earned = np.array([*earned, 1.0])
    earned *= times * sum(paid) / sum(earned)
    flows = np.concatenate([-np.array(paid), earned])
    rate = finance.internal_rate(flows)
    assert 0 < rate < math.inf
    gross = np.sum(np.abs(flows) * finance.discount_factors(rate, len(flows)))
    assert abs(finance.net_present_value(flows, rate)) <= 1e-9 * gross


@holds(plans, numbers(0.01, 100.0))
def test_scaling_all_money_scales_value_and_keeps_times(p, money):
    first, second = payback_section(flow_of(p), p["rate"]), payback_section(flow_of(p, money), p["rate"])
    assume(abs(first["payback.moic"] - 1) > 1e-9)
    scale = abs(first["payback.npv_usd"]) + p["programme"]
    assert abs(second["payback.npv_usd"] - money * first["payback.npv_usd"]) <= 1e-9 * money * scale
    for path in ("payback.months", "payback.moic", "payback.break_even_tokens"):
        assert close(second[path], first[path], 1e-6), path


@holds(plans, numbers(1.0, 3.0))
def test_more_paid_demand_never_delays_payback(p, more):
    p = {**p, "fixed": 0.0}
    base, other = (payback_section(flow_of({**p, "peak": peak}), p["rate"]) for peak in (p["peak"], p["peak"] * more))
    if base["payback.repaid"]:
        assert other["payback.months"] <= base["payback.months"] + 1e-9


@holds(plans, numbers(1.0, 20.0))
def test_a_higher_list_price_never_earns_less(p, more):
    base = flow_of(p).revenue
    for name in ("input", "output"):
        assert np.all(flow_of({**p, name: p[name] * more}).revenue >= base * (1 - 1e-12)), name


@holds(plans)
def test_what_each_driver_needs_is_where_repayment_turns(p):
    flow = flow_of(p)
    repaid = surplus(flow) >= 0
    unit = 1.0 + p["cost"]
    demand = DemandTerms(p["peak"], LogisticRamp(p["midpoint"], p["width"]), p["delay"], p["life"], p["paid"])
    found = needed_section(flow, demand, 1.0, unit)
    needs = {path.split(".")[2]: value for path, value in found.items() if path.endswith("needed")}
    margin = 1e-9
    assume(abs(surplus(flow)) > margin * p["programme"])
    assert (needs["peak_tokens_per_day"] < p["peak"] * 86400) == repaid
    assert (needs["usd_per_million_output_tokens"] < 1.0) == repaid
    assert (needs["programme_usd"] > p["programme"]) == repaid
    if p["cost"] > 0 and flow.serving.sum() > 0:
        assert (needs["serving_usd_per_million_tokens"] > unit) == repaid


@holds(plans, numbers(0.0, 2.0), shares, numbers(0.0, 0.3), numbers(1.0, 48.0))
def test_clocks_agree_with_payback(p, cash, share, interest, due):
    demand = DemandTerms(p["peak"], LogisticRamp(p["midpoint"], p["width"]), p["delay"], p["life"], p["paid"])
    months = horizon_months(p["days"], demand, due)
    flow = cash_flow(
        p["programme"], p["days"], demand, PriceTerms(p["input"], p["output"], 0.1, 0.5),
        TokenMix(2000.0, 500.0, 0.5, 0.0), UnitCosts(0.1, 0.01, p["cost"]), p["fixed"], months,
    )  # fmt: skip
    payoff = payback_section(flow, p["rate"])["payback.months"]
    poor, rich = (
        clocks_section(flow, payoff, FundingTerms(money, DebtTerms(share, interest, due)))
        for money in (cash * p["programme"], (cash + 1) * p["programme"])
    )
    assert rich["clocks.runway_months"] >= poor["clocks.runway_months"] - 1e-9
    assert (poor["clocks.regime"] == 2) == math.isinf(payoff)
    assert rich["clocks.regime"] <= poor["clocks.regime"]
    assert poor["clocks.runway_months"] >= 0
    assert math.fsum(poor[f"clocks.probability_{name}"] for name in REGIMES) == 1
    assert (poor["clocks.ends_by"] == 0) == math.isinf(poor["clocks.runway_months"])
    assert poor["clocks.interest_usd"] <= poor["clocks.debt_usd"] * interest * due / 12 * (1 + 1e-9)


@holds(numbers(0.01, 0.6), st.integers(1, 100))
def test_discount_factors_compound(rate, months):
    factors = finance.discount_factors(rate, months)
    assert np.all(np.diff(factors) < 0)
    assert close(factors[-1], (1 + rate) ** (-months / 12))


def test_a_hundred_thousand_draws_hold_no_nan():
    rng = np.random.default_rng(0)
    n = 100_000
    use = RunUse(1000.0, rng.lognormal(10, 1, n), 1e6)
    own = OwnTerms(rng.lognormal(10, 0.3, n), 1.64, 0.19, 5.0, 0.0, 0.1, 0.95, 0.03, 1.0, 0.14)
    terms = CostTerms("own", RentTerms(rng.lognormal(1, 0.5, n)), own, 0.08, rng.triangular(1, 2, 10, n))
    section = cost_section(use, terms)
    assert not any(np.any(np.isnan(value)) for value in section.values())
    assert section["cost.programme_usd"].shape == (n,)
