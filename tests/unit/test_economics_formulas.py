"""Every figure of the economics says how it is made, and where that is arithmetic, the arithmetic gives the figure."""

import math
import re

import numpy as np
import pytest

from costsim.economics import bases, clocks, cohort, cost, energy, ownership, payback, replica, serving
from costsim.quantities import REGISTRY
from costsim.training.goodput import FailureTerms, run_section

N, HOURS_WATTS = 512.0, 1275.0
FAILURES = FailureTerms(2e-5, 600.0, 60.0)
INPUTS = {
    "training.tokens": 1e12,
    "cluster.accelerators": N,
    "cluster.failures.interruptions_per_accelerator_hour": 2e-5,
    "cluster.failures.restart": 600.0,
    "cluster.failures.checkpoint_write": 60.0,
    "step.step_seconds": 3.0,
    "accelerator.power.system": HOURS_WATTS,
    "cost.power_utilisation": 0.75,
    "cost.site.pue": 1.2,
    "cost.site.carbon": 384.0,
    "cost.site.electricity": 0.08,
    "cost.rent.usd_per_accelerator_hour": 2.5,
    "cost.rent.discount": 0.1,
    "cost.own.usd_per_accelerator": 25_000.0,
    "cost.own.server_factor": 1.64,
    "cost.own.network_share": 0.19,
    "cost.own.occupancy": 0.9,
    "cost.own.operation": 0.03,
    "cost.own.age": 1.5,
    "cost.amortised.progress": 0.14,
    "cost.research_multiplier": 3.0,
    "serving.usd_per_accelerator_hour": 2.0,
    "serving.accelerators_per_replica": 2.0,
    "serving.occupancy": 0.5,
    "serving.input_tokens": 2000.0,
    "serving.output_tokens": 500.0,
    "serving.cached_share": 0.5,
    "serving.cached_cost": 0.05,
}


def figures(basis="rent"):
    """All sections of one plan, by path."""
    found = run_section(200_000.0, 3.0, 1e12, N, FAILURES)
    power = energy.PowerTerms(0.75, 1.2, 384.0)
    found |= energy.energy_section(N, found["run.accelerator_hours"], HOURS_WATTS, power)
    own = ownership.OwnTerms(25_000.0, 1.64, 0.19, 5.0, 0.0, 0.1, 0.9, 0.03, 1.5, 0.14)
    rent = ownership.RentTerms(2.5, 0.1, commitment_hours=8766.0)
    use = bases.RunUse(N, found["run.accelerator_hours"], found["run.energy_kwh"])
    found |= cost.cost_section(use, cost.CostTerms(basis, rent, own, 0.08, 3.0, staff=cost.Amount(share=0.3)))
    model = replica.ServedModel(7e10, 7e10, 0.0, 0.0, 0.0, 80, 8192, 163840, 8, 2.6e6, 2.6e6, 1.0, 1.0, 1.0)
    chip = replica.ServingChip(2e15, 1e15, 85e9, 3.3e12, 4.5e11)
    fit = replica.Roofline(0.7, 0.7, 5e-5, 6e-6, 0.2, 0.9)
    terms = replica.ServingTerms(2.0, 2000.0, 500.0, 25.0, 0.5, 0.05, 0.5, 2.0)
    found |= serving.serving_section(model, chip, fit, terms)
    demand = cohort.DemandTerms(2e8, cohort.LogisticRamp(4.0, 1.5), 2.0, 12.0, 0.9)
    unit = cohort.UnitCosts(
        *(found[f"serving.usd_per_million_{x}_tokens"] for x in ("input", "cached_input", "output"))
    )
    mix = cohort.TokenMix(2000.0, 500.0, 0.5, 0.1)
    price = cohort.PriceTerms(1.5, 6.0, 0.1, 0.5, 7.0, 0.25, 2.0)
    days = found["run.wall_clock_days"]
    flow = cohort.cash_flow(
        found["cost.programme_usd"], days, demand, price, mix, unit, 1e5, cohort.horizon_months(days, demand)
    )
    found |= payback.payback_section(flow, 0.12)
    return found | clocks.clocks_section(flow, found["payback.months"], clocks.FundingTerms(1e8))


PLANS = {basis: figures(basis) for basis in ("rent", "own", "amortised")}


def arithmetic(formula):
    """Whether nothing but placeholders, numbers, operators and a few functions is left."""
    plain = re.sub(r"\{[^}]*\}", "", formula)
    return not re.search(r"[a-zA-Z]{2,}", re.sub(r"\b(min|max|sqrt)\b|\d+e\d+", "", plain)) and "*}" not in formula


def evaluate(formula, known):
    values = iter(known[name] for name in re.findall(r"\{([^}]*)\}", formula))
    text = re.sub(r"\{[^}]*\}", lambda _: repr(float(next(values))), formula)
    return eval(text, {"__builtins__": {}}, {"min": min, "max": max, "sqrt": math.sqrt, "inf": math.inf})


def test_every_figure_is_declared():
    for found in PLANS.values():
        assert set(found) <= set(REGISTRY), set(found) - set(REGISTRY)
        assert all(math.isfinite(value) for path, value in found.items() if path != "clocks.runway_months")


def test_every_row_of_the_months_is_declared():
    names = ("month", "cost_usd", "revenue_usd", "serving_usd", "fixed_usd", "contribution_usd", "cumulative_usd")
    assert {f"payback.monthly.*.{name}" for name in names} <= set(REGISTRY)


ARITHMETIC = [
    (basis, path)
    for basis, found in PLANS.items()
    for path in found
    if arithmetic(REGISTRY[path].formula) and REGISTRY[path].inputs != (path,)
]


def test_most_figures_are_arithmetic():
    assert len({path for _, path in ARITHMETIC}) > 35


@pytest.mark.parametrize(("basis", "path"), ARITHMETIC, ids=lambda value: value)
def test_the_formula_gives_the_figure(basis, path):
    known = INPUTS | PLANS[basis]
    assert evaluate(REGISTRY[path].formula, known) == pytest.approx(PLANS[basis][path], rel=1e-9, abs=1e-12)


def test_plans_differ_where_they_should():
    totals = {PLANS[basis]["cost.total_usd"] for basis in PLANS}
    assert len(totals) == 3
    assert np.ptp([PLANS[basis]["run.accelerator_hours"] for basis in PLANS]) == 0
