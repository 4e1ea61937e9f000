"""What a plan says besides its numbers: where its inputs come from, what to know of them, how sure it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields as fields_of
from functools import cache
from typing import Any

import numpy as np

from costsim.economics import cohort
from costsim.economics.clocks import clocks_obstacle
from costsim.economics.cost import PROGRAMME_EXTRAS, not_included
from costsim.economics.serving import serving_obstacle, serving_warnings
from costsim.evaluate import Values
from costsim.inputs import catalogue
from costsim.inputs.build import serving_rate
from costsim.inputs.case import Case
from costsim.inputs.machine import measured_alone
from costsim.inputs.scenario import Scenario
from costsim.inputs.yaml_source import Fact, read, split_sourced
from costsim.layouts import Advice
from costsim.scaling.laws import counted_parameters
from costsim.scaling.loss import formula_inputs, loss_notes, loss_text
from costsim.training.architecture import parameters
from costsim.training.device import Stack
from costsim.training.goodput import failure_warnings
from costsim.uncertainty.draws import middle
from costsim.uncertainty.ranges import Range

_LAW_ARGUMENTS = {
    "law.parameters": "computed: the model's, as the law counts them and repetition leaves them worth",
    "law.tokens": "computed: training.tokens, as repetition leaves them worth",
    "law.scale": "computed: 1 until the level is anchored or drawn",
}
SCENARIO_SECTIONS = ("training", "cluster", "cost", "serving", "demand", "price", "finance", "uncertainty")


def law_arguments(case: Case) -> dict[str, float]:
    """Parameters and tokens as the functions of the loss take them."""
    count = parameters(case.training.architecture)
    return {
        "active_parameters": float(count.active),
        "non_embedding_parameters": float(count.active - count.embedding - count.head),
        "tokens": case.training.tokens,
        "unique_tokens": case.training.unique_tokens,
    }


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


# --- notes and warnings -----------------------------------------------------------------------------------------------


def notes(scenario: Scenario, case: Case, values: Values, advice: Advice | None) -> list[str]:
    """What a reader should know, in sentences, the most important first."""
    found = [*_fit_notes(values, advice), *_missing(scenario, case, values)]
    found += loss_notes(
        case.law,
        parameters=counted(case),
        tokens=case.training.tokens,
        unique_tokens=case.training.unique_tokens,
        mixture_of_experts=case.training.architecture.experts is not None,
    )
    found += _calibration_notes(scenario)
    found += scenario.model.notes
    found += _market_notes(case, values)
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
        due = case.market.funding.debt.due if case.market.funding.debt is not None else 0.0
        months = cohort.horizon_months(values["run.wall_clock_days"], case.market.demand, due)
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


def _calibration_notes(scenario: Scenario) -> Iterator[str]:
    """What a plan takes from a calibration, what it does not, and why."""
    loaded, cluster = scenario.calibration, scenario.fields.cluster
    if loaded is not None:
        a, precision = scenario.model.architecture, scenario.fields.training.precision
        yield from loaded.notes(scenario.start, precision)
        yield from loaded.left_to_priors(a, precision, cluster.accelerators, cluster.mfu is not None)


def _market_notes(case: Case, values: Values) -> Iterator[str]:
    """That the market, not the list, sets the prices, and what follows from it."""
    price = case.market.price if case.market is not None else None
    received = values.get("payback.usd_per_million_output_tokens")
    if price is None or price.market_at_launch is None or received is None:
        return
    listed = price.output.usd if isinstance(price.output, cohort.Steps) else (price.output,)
    if float(received) < min(map(middle, listed)) * (1 - 1e-9):
        yield (
            "payback: the market's price falls below the list: all prices are then lowered in the same proportion,"
            " input too, so that a higher list price of output alone earns less"
        )


def _price_notes(scenario: Scenario) -> Iterator[str]:
    """How prices of the book were chosen, and what replaces facts that the hardware file lacks."""
    prices = scenario.prices
    for price in dict.fromkeys((prices.rent, prices.purchase, prices.serving_rent)):
        if price is not None and price.note:
            yield price.note
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
    if asked is not None and abs(got / asked - 1) > 1e-9 and not training.phases:
        yield f"training: a step of {asked:,.0f} tokens is rounded to {got:,.0f}, whole micro-batches of every replica"


def warnings(case: Case, values: Values) -> list[tuple[str, str]]:
    """Where a figure is out of its model's range: pairs of path and message."""
    found: list[tuple[str, str]] = []
    if float(values["run.steps"]) < 1:
        found.append(("run.steps", "the run is shorter than one step: check training.tokens and the global batch"))
    reached = middle(case.training.chip.matmul_efficiency)
    if case.training.mfu is not None and float(np.min(values["step.mfu"])) > reached:
        found.append(("step.mfu", f"the MFU that is given is above the {reached:.0%} that large products alone reach"))
    if case.training.goodput is None and "run.checkpoint_interval_seconds" in values:
        found += failure_warnings(values["run.overhead"], values["run.checkpoint_interval_seconds"])
    if case.replica is not None and "serving.batch" in values:
        found += serving_warnings(values, case.replica.terms)
    return found


# --- origins ----------------------------------------------------------------------------------------------------------


def provenance(scenario: Scenario, case: Case) -> list[dict[str, Any]]:
    """Every input with its value at the centre, in SI and USD, where it comes from and how it is known."""
    rows = [*_said(scenario), *_found(scenario, case)]
    unique = {row["path"]: row for row in rows if row["value"] is not None}
    return list(unique.values())


def _row(path: str, value: Any, source: str, known: str) -> dict[str, Any]:
    return {"path": path, "value": _centre(value), "source": source, "known": known}


def _said(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """What the scenario and the defaults say, leaf by leaf."""
    for path, written in _leaves(scenario.source.value, ""):
        if path.split(".", 1)[0] in ("sources", "costsim"):
            continue
        place = scenario.source.position(path)
        value = _parsed(scenario, path, written)
        if place.file.startswith("data/"):
            fact = scenario.facts.get(path, Fact())
            title = "" if fact.source in ("", "assumption") else f": {scenario.origins.get(fact.source, fact.source)}"
            yield _row(path, value, f"default{title}", fact.known or "estimated") | {"note": fact.note}
        else:
            yield _given(scenario, path, value)


def _given(scenario: Scenario, path: str, value: Any, named: str = "") -> dict[str, Any]:
    """A row of what the scenario says at a path: where, and how that is known if it says so.

    Args:
        scenario: what was asked.
        path: of the field.
        value: of the field.
        named: what formulas call it; default its path.
    """
    place = scenario.source.position(path)
    fact = scenario.facts.get(path, Fact()) if not place.file.startswith("--") else Fact()
    source = f"{place.file}:{place.line}" if place.line else place.file
    source += f" ({fact.source})" if fact.source else ""
    note = {"note": fact.note} if fact.note else {}
    return _row(named or path, value, source, fact.known or "given") | note


def _mixed_lines(scenario: Scenario) -> Iterator[dict[str, Any]]:
    """Lines of the programme that are a sum and a share, as the formulas name them: by one path."""
    for name in PROGRAMME_EXTRAS:
        line, path = getattr(scenario.fields.cost, name), f"cost.{name}"
        if line is not None and line.usd is not None and line.share is not None:
            text = f"{_centre(line.usd):,.0f} USD and {100 * _centre(line.share):.3g} %"
            yield _given(scenario, path, text)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and "distribution" not in value:
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, f"{path}.{index}")
    else:
        yield path, value


def _parsed(scenario: Scenario, path: str, written: Any) -> Any:
    """The value that a leaf was read as; what was written where it is not among the fields."""
    here: Any = scenario.fields
    for part in path.split("."):
        if isinstance(here, tuple | list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        elif isinstance(here, Mapping):
            here = here.get(part)
        else:
            here = getattr(here, part, None)
        if here is None:
            return written
    return here if isinstance(here, int | float | str | Range) else written


def _found(scenario: Scenario, case: Case) -> Iterator[dict[str, Any]]:
    """Facts of the catalogue that the formulas name."""
    training = case.training
    precision = scenario.fields.training.precision
    chip, facts = scenario.accelerator, scenario.accelerator_facts
    hardware = f"hardware: {chip.name}"
    inline = isinstance(scenario.fields.cluster.accelerator, dict)

    def fact(path: str, value: Any, key: str) -> dict[str, Any]:
        if inline:
            return _given(scenario, f"cluster.accelerator.{key}", value, path)
        known = facts.get(key, Fact())
        origin = chip.sources.get(known.source)
        return _row(path, value, f"{hardware} ({origin.title})" if origin else hardware, known.known or "published")

    yield fact("accelerator.peak_flops", training.peak_flops, f"peak_flops.{precision}")
    usable = "memory.usable" if chip.memory.usable is not None else "memory.capacity"
    yield fact("accelerator.memory.usable", training.chip.memory_bytes, usable)
    yield fact("accelerator.memory.bandwidth", training.chip.memory_bandwidth, "memory.bandwidth")
    if training.system_watts is not None:
        key = "power.system" if chip.power.system is not None else "power.tdp"
        yield fact("accelerator.power.system", training.system_watts, key)
    yield from _stack_rows(scenario, training.stack)
    yield from _price_rows(scenario, case)
    law = f"law: {scenario.law.spec.name}"
    for path, value in formula_inputs(case.law, **law_arguments(case)).items():
        computed = _LAW_ARGUMENTS.get(path)
        yield _row(path, value, computed or law, "derived" if computed else "published")


def _stack_rows(scenario: Scenario, stack: Stack) -> Iterator[dict[str, Any]]:
    file = scenario.stack.stack
    inline = scenario.fields.cluster.stack
    plain = file.constants(scenario.accelerator.generation)
    loaded, precision = scenario.calibration, scenario.fields.training.precision
    measured = frozenset() if loaded is None else loaded.constants(precision)
    for f in fields_of(Stack):
        if isinstance(inline, dict) and f.name in inline:
            yield _given(scenario, f"cluster.stack.{f.name}", getattr(stack, f.name), f"stack.{f.name}")
            continue
        if loaded is not None and f.name in measured:
            yield _row(f"stack.{f.name}", getattr(stack, f.name), loaded.label, "measured")
            continue
        fact = _stack_fact(scenario, f.name)
        origin = file.sources.get(fact.source)
        source = f"stack: {file.name}" + (f" ({origin.title})" if origin else "")
        if getattr(stack, f.name) != getattr(plain, f.name):
            source, fact = f"{source}, {MOVED}", Fact(fact.source, fact.note, "derived")
        yield _row(f"stack.{f.name}", getattr(stack, f.name), source, fact.known or "estimated")


MOVED = "times the fit on published steps (docs/step-time.md)"


def _stack_fact(scenario: Scenario, name: str) -> Fact:
    """Where a constant comes from: by the generation of the chip, where the stack tells chips apart."""
    facts, generation = scenario.stack.facts, scenario.accelerator.generation
    return next((facts[p] for p in (name, f"{name}.{generation}", f"{name}.other") if p in facts), Fact())


def _price_rows(scenario: Scenario, case: Case) -> Iterator[dict[str, Any]]:
    """Prices of the book and of the site, and what owning takes from the hardware file."""
    yield from _mixed_lines(scenario)
    site, inline = scenario.site, isinstance(scenario.fields.cost.site, dict)
    for key, value in (("electricity", site.usd_per_kwh), ("carbon", site.grams_per_kwh), ("pue", site.pue)):
        if inline:
            yield _given(scenario, f"cost.site.{key}", value)
        else:
            known = site.facts.get(key, Fact()).known
            yield _row(f"cost.site.{key}", value, f"site: {site.name}", known or "published")
    prices = scenario.prices
    for path, price in (
        ("cost.rent.usd_per_accelerator_hour", prices.rent),
        ("cost.own.usd_per_accelerator", prices.purchase),
        ("serving.usd_per_accelerator_hour", prices.serving_rent),
    ):
        if price is not None and price.origin:
            yield _row(path, price.value, price.origin, "published")
    if case.cost is not None and case.cost.own is not None:
        own, chip = case.cost.own, scenario.accelerator
        for key in ("server_factor", "network_share", "age"):
            if getattr(scenario.fields.cost.own, key) is None:
                yield _row(f"cost.own.{key}", getattr(own, key), f"hardware: {chip.name}", "derived")
    if scenario.serving_accelerator is not None and case.replica is not None:
        yield _row(
            "serving.accelerators_per_replica",
            case.replica.terms.accelerators_per_replica,
            f"hardware: {scenario.serving_accelerator.name}, a node"
            if scenario.fields.serving and scenario.fields.serving.accelerators_per_replica is None
            else str(scenario.source.position("serving.accelerators_per_replica").file),
            "derived",
        )


def _centre(value: Any) -> Any:
    """A value as JSON has it: the median of a range."""
    if isinstance(value, Range):
        return value.centre()
    if isinstance(value, np.ndarray | np.generic):
        return middle(value)
    if isinstance(value, list | tuple | dict):
        return str(value)
    return value if isinstance(value, int | float | str | bool) or value is None else str(value)


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
