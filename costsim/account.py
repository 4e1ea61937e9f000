"""What a plan says besides its numbers: what to know of them, and how sure it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from typing import Any

import numpy as np

from costsim.economics import cohort
from costsim.economics.bases import RunUse
from costsim.economics.clocks import MANAGEMENT_VIEW, clocks_obstacle
from costsim.economics.cost import not_included
from costsim.economics.frontier import frontier
from costsim.economics.ledger import accelerators_beside
from costsim.economics.serving import serving_obstacle, serving_warnings
from costsim.evaluate import Values, last_duty
from costsim.inputs import catalogue
from costsim.inputs.case import Case
from costsim.inputs.machine import measured_alone
from costsim.inputs.scenario import Scenario
from costsim.inputs.served import serving_rate
from costsim.inputs.yaml_source import read, split_sourced
from costsim.layouts import Advice
from costsim.magnitudes import beyond_belief
from costsim.origins import law_arguments
from costsim.scaling.laws import counted_parameters
from costsim.scaling.loss import loss_notes, loss_text
from costsim.training.goodput import failure_warnings
from costsim.training.layout import Layout
from costsim.uncertainty.draws import middle, ranges
from costsim.uncertainty.ranges import Range


def counted(case: Case) -> float:
    """N as the law counts it."""
    given = law_arguments(case)
    found = counted_parameters(
        case.law,
        active_parameters=given["active_parameters"],
        non_embedding_parameters=given["non_embedding_parameters"],
    )
    return float(found)


def texts(scenario: Scenario, case: Case) -> dict[str, str | bool]:
    """Figures of a plan that are words, by path."""
    found: dict[str, str | bool] = dict(loss_text(case.law, parameters=counted(case), tokens=case.training.tokens))
    if case.cost is not None:
        found["cost.basis"] = scenario.fields.cost.basis
    return found


_DEMAND_LEVEL = ("peak", "users", "tokens_per_user_per_day")
_PRICE_LEVEL = ("input", "output", "market_at_launch", "market_decline")


def is_scenario(scenario: Scenario) -> bool:
    """Whether payback rests on a point of demand or of price, or on no draws: a scenario, then, and no forecast."""
    fields = scenario.fields
    demand = any(isinstance(getattr(fields.demand, name), Range) for name in _DEMAND_LEVEL)
    price = any(ranges(getattr(fields.price, name)) for name in _PRICE_LEVEL)
    return not (demand and price and fields.uncertainty.draws)


# --- notes and warnings -----------------------------------------------------------------------------------------------


def notes(scenario: Scenario, case: Case, layout: Layout, values: Values, advice: Advice | None) -> list[str]:
    """What a reader should know, in sentences, the most important first.

    Args:
        scenario: that was planned.
        case: its numbers at their centre.
        layout: of the main phase.
        values: of the plan.
        advice: what would fit, where this does not.
    """
    found = [*_fit_notes(values, advice), *_missing(scenario, case, values), *_research_notes(case, values)]
    found += loss_notes(
        case.law,
        parameters=counted(case),
        tokens=case.training.tokens,
        unique_tokens=case.training.unique_tokens,
        mixture_of_experts=case.training.architecture.experts is not None,
    )
    found += _calibration_notes(scenario, case, layout)
    found += scenario.model.notes
    found += _market_notes(scenario, case, values)
    found += _price_notes(scenario)
    found += _assumed(scenario, values)
    return found


def _fit_notes(values: Values, advice: Advice | None) -> Iterator[str]:
    if advice is None:
        return
    peak, capacity = (float(values[f"memory.{name}_bytes"]) / 2**30 for name in ("peak", "capacity"))
    terms = {
        name: float(values[f"memory.{name}_bytes"]) for name in ("weights", "gradients", "optimizer", "activations")
    }
    largest = max(terms, key=lambda name: terms[name])
    yield (
        f"memory: {peak:.1f} GiB a device are more than its {capacity:.1f} GiB; the largest part is {largest},"
        f" {terms[largest] / 2**30:.1f} GiB"
    )
    if advice.layout is not None:
        keys = advice.layout.described()
        shown = ", ".join(f"{key} {keys[key]}" for key in ("tensor", "pipeline", "context", "expert", "sharding"))
        shown += f", micro-batch {keys['micro_batch']}, recompute {keys['recompute']}"
        yield f"memory: the nearest layout that fits: {shown}"
    elif advice.accelerators is not None:
        yield f"memory: no layout of this cluster fits; {advice.accelerators:,} accelerators would do"
    else:
        yield "memory: no layout of this cluster fits, nor of one many times its size: the device is too small"


def _missing(scenario: Scenario, case: Case, values: Values) -> Iterator[str]:
    """Sections that are null, and what to add."""
    fields = scenario.fields
    if fields.serving is None:
        yield "serving: add a 'serving' section for the cost of a token; all its keys have defaults"
    lacking = [name for name in ("serving", "demand", "price", "finance") if getattr(fields, name) is None]
    if lacking:
        yield f"payback: add {', '.join(lacking)} for when the money comes back"
    elif case.market is not None and case.market.demand is not None:
        months = cohort.horizon_months(values["run.wall_clock_days"], case.market.demand, last_duty(case))
        if obstacle := cohort.payback_obstacle(months):
            yield obstacle
        if obstacle := clocks_obstacle(case.market.funding):
            yield obstacle
    if case.replica is not None:
        r = case.replica
        if obstacle := serving_obstacle(r.model, r.chip, r.roofline, r.terms):
            yield obstacle
        wanted, run = scenario.fields.serving, scenario.serving_accelerator
        weights = wanted.precision if wanted is not None else ""
        if run is not None and weights and (rate := serving_rate(run, weights)) != weights:
            yield f"serving: {run.label} has no {weights} rate: weights are {weights}, products {rate}"
    if case.training.system_watts is None:
        yield f"energy: no power of {scenario.accelerator.label} is known; add power.system to its file"
    if case.cost is not None:
        label = scenario.accelerator.label
        if absent := not_included(case.cost):
            yield f"cost: the programme does not include {', '.join(absent)}: add cost.{absent[0]} and so on"
        if case.cost.own is None:
            yield f"cost: no purchase price of {label} is known; add cost.own.usd_per_accelerator"
        if case.cost.rent is None:
            yield f"cost: no rental price of {label} is known; add cost.rent.usd_per_accelerator_hour"


def _research_notes(case: Case, values: Values) -> Iterator[str]:
    """That research takes more accelerators than an owned or committed cluster has, or comes after its run."""
    cost, multiplier = case.cost, middle(case.cost.research_multiplier) if case.cost is not None else 1.0
    if cost is None or multiplier <= 1.0:
        return
    committed = cost.basis == "rent" and cost.rent is not None and middle(cost.rent.commitment_hours) > 0
    if cost.basis == "rent" and not committed:
        return  # what is rented by the hour is as many as are wanted
    cluster = float(case.training.accelerators)
    use = RunUse(cluster, values["run.accelerator_hours"], 0.0)
    beside = float(np.asarray(accelerators_beside(use, cost)))
    if committed and values["cost.items.unused_commitment_usd"] > 0:
        yield (
            "cost: the final run fills the cluster, so that research on the rest of the commitment comes after it;"
            " research that has to come first needs other accelerators, and that rest stays unused"
        )
    if beside >= 0.5:
        charged = "at the committed rate" if committed else "as hours of the same kind"
        yield (
            f"cost: final run and research together need {cluster + beside:,.0f} accelerators in the months of the run,"
            f" and the cluster has {cluster:,.0f}: the other {beside:,.0f} are charged {charged}"
        )


def _calibration_notes(scenario: Scenario, case: Case, layout: Layout) -> Iterator[str]:
    """What a plan takes from a calibration, what it does not, and why."""
    loaded, training = scenario.calibration, scenario.fields.training
    if loaded is not None:
        a, exchange = scenario.model.architecture, case.training.network.exchange
        yield from loaded.notes(scenario.start, training.precision)
        yield from loaded.left_to_priors(a, training, layout, exchange, case.training.mfu is not None)


def _market_notes(scenario: Scenario, case: Case, values: Values) -> Iterator[str]:
    """How firm payback is, that the market and not the list sets the prices, and what this view is not."""
    price = case.market.price if case.market is not None else None
    received = values.get("payback.usd_per_million_output_tokens")
    if price is None or received is None:
        return
    if is_scenario(scenario):
        yield (
            "payback: a scenario, no forecast: demand and price need ranges, and draws, for a probability that means"
            " something"
        )
    listed = price.output.usd if isinstance(price.output, cohort.Steps) else (price.output,)
    if price.market_at_launch is not None and float(received) < min(map(middle, listed)) * (1 - 1e-9):
        yield "payback: the market's price falls below the list, and ours follows it"
    yield MANAGEMENT_VIEW


def _price_notes(scenario: Scenario) -> Iterator[str]:
    """How prices of the book were chosen, and what replaces facts that the hardware file lacks."""
    prices = scenario.prices
    for price in dict.fromkeys((prices.rent, prices.purchase, prices.serving_rent)):
        if price is not None and price.note:
            yield price.note
    yield from prices.notes
    yield from (f"{path}: {warning}" for path, warning in _stale_prices(scenario, used=False))
    if scenario.site.note:
        yield scenario.site.note
    if scenario.fields.start is None:
        yield f"start: not given; prices and months count from {scenario.start}, the day of the price book"
    chip = scenario.accelerator
    if chip.matmul_kernel(scenario.fields.training.precision) is None:
        yield f"step: {chip.label} has no kernel priors; the middle of measured chips stands in"


def _assumed(scenario: Scenario, values: Values) -> Iterator[str]:
    """What was taken for granted or rounded."""
    cluster, training = scenario.fields.cluster, scenario.fields.training
    if cluster.mfu is not None and cluster.goodput is None:
        yield "step: cluster.mfu is taken as that of running steps; if it is of billed hours, set cluster.goodput: 1"
    asked = training.global_batch_tokens
    got = float(values["step.tokens"])
    if asked is not None and 1e-9 < abs(got / asked - 1) <= MOVED_BATCH and not training.phases:
        yield f"training: a step of {asked:,.0f} tokens is rounded to {got:,.0f}, whole micro-batches of every replica"


def pareto(scenario: Scenario, case: Case) -> list[dict[str, float]]:
    """Speed against cost at the inputs' centre; empty where throughput is measured, at one speed."""
    r, chip = case.replica, scenario.serving_accelerator
    if r is None or chip is None or r.terms.measured_tokens_per_second is not None:
        return []
    return [asdict(point) for point in frontier(r.model, r.chip, r.roofline, r.terms, chip.accelerators_per_node)]


def warnings(scenario: Scenario, case: Case, values: Values) -> list[tuple[str, str]]:
    """Where a figure is out of its model's range: pairs of path and message."""
    found: list[tuple[str, str]] = []
    if float(values["run.steps"]) < 1:
        found.append(("run.steps", "the run is shorter than one step: check training.tokens and the global batch"))
    found += _moved_batch(case, values)
    reached = middle(case.training.chip.matmul_efficiency)
    if case.training.mfu is not None and float(np.min(values["step.mfu"])) > reached:
        found.append(("step.mfu", f"the MFU that is given is above the {reached:.0%} that large products alone reach"))
    if case.training.goodput is None and "run.checkpoint_interval_seconds" in values:
        found += failure_warnings(values["run.overhead"], values["run.checkpoint_interval_seconds"])
    found += _rate_warnings(case)
    found += _written_off(scenario, case)
    found += beyond_belief(scenario, case)
    if case.replica is not None and "serving.batch" in values:
        found += serving_warnings(values, case.replica.terms)
    return [*found, *_stale_prices(scenario, used=True)]


MOVED_BATCH = 0.02
"""A batch given in tokens that whole micro-batches move by more than this is another run."""


def _moved_batch(case: Case, values: Values) -> Iterator[tuple[str, str]]:
    """That a batch given in tokens is another one in the layout that was chosen."""
    phase = case.training.phases[case.training.main_phase]
    asked = float(phase.work.global_batch_sequences) * float(phase.work.sequence_length)
    got = float(values["step.tokens"])
    if phase.exact_batch or abs(got / asked - 1) <= MOVED_BATCH:
        return
    yield (
        "step.tokens",
        f"a step of {asked:,.0f} tokens becomes one of {got:,.0f} ({got / asked - 1:+.0%}): every replica takes whole"
        f" micro-batches; keep that (training.global_batch_tokens: {got:.0f}), or change cluster.accelerators",
    )


def _stale_prices(scenario: Scenario, *, used: bool) -> Iterator[tuple[str, str]]:
    """Prices of the book that are old for the day they are wanted for: those that count, or those that are beside."""
    prices, basis = scenario.prices, scenario.fields.cost.basis
    for path, price, counts in (
        ("cost.rent.usd_per_accelerator_hour", prices.rent, basis == "rent"),
        ("cost.own.usd_per_accelerator", prices.purchase, basis != "rent"),
        ("serving.usd_per_accelerator_hour", prices.serving_rent, True),
    ):
        shared = path.startswith("serving") and price is prices.rent
        if price is not None and price.warning and counts == used and not shared:
            yield path, price.warning


def _written_off(scenario: Scenario, case: Case) -> Iterator[tuple[str, str]]:
    """That hardware is said to be older than the life over which it is charged."""
    own = case.cost.own if case.cost is not None else None
    said = scenario.fields.cost.own.age is not None and scenario.fields.cost.basis == "own"
    if own is None or not said or middle(own.age) < middle(own.life):
        return
    older = f"{middle(own.age):g} years are beyond the {middle(own.life):g} of cost.own.life"
    if own.method == "declining":
        yield (
            "cost.own.age",
            f"{older}: declining charges nothing more: accelerators, servers and network cost 0",
        )
    else:
        yield (
            "cost.own.age",
            f"{older}, but {own.method} takes hardware as bought at the start: the full price is charged",
        )


def _rate_warnings(case: Case) -> Iterator[tuple[str, str]]:
    """Yearly rates that nobody pays: a percentage was probably written as a number."""
    rates: dict[str, Any] = {}
    if case.cost is not None and case.cost.own is not None:
        rates |= {"cost.own.capital_cost": case.cost.own.capital_cost, "cost.own.operation": case.cost.own.operation}
    if case.market is not None:
        debt = case.market.funding.debt
        rates |= {"finance.discount_rate": case.market.discount_rate}
        rates |= {"finance.debt.rate": debt.rate} if debt is not None else {}
    for path, rate in rates.items():
        if middle(rate) > 1:
            yield path, f"{middle(rate):.0%} a year: if {middle(rate):g} % is meant, write {middle(rate):g}%"


# --- how sure ---------------------------------------------------------------------------------------------------------


@cache
def _coverage_file() -> dict[str, Any]:
    label, text = catalogue.data_text("coverage.yaml")
    value = split_sourced(read(text, label))[0].value
    assert isinstance(value, dict)
    return value


def coverage(scenario: Scenario, case: Case) -> dict[str, Any]:
    """Measured coverage of the intervals of this kind of plan, with the evidence it rests on."""
    file = _coverage_file()
    a, loaded = case.training.architecture, scenario.calibration
    kind = "experts" if a.experts is not None else "dense"
    precision, accelerators = scenario.fields.training.precision, scenario.fields.cluster.accelerators
    if loaded is not None and measured_alone(loaded, a, precision, accelerators):
        kind = "calibrated"
    found: dict[str, Any] = {}
    if case.training.mfu is None:
        found["step"] = file["step"][kind]
    found["memory"] = file["memory"]
    return found
