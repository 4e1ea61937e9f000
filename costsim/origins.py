"""Where the inputs of a plan come from, and how each is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields as fields_of
from typing import Any

import numpy as np

from costsim.economics.cost import PROGRAMME_EXTRAS
from costsim.inputs.case import Case
from costsim.inputs.field_units import unit_of_input
from costsim.inputs.scenario import Scenario
from costsim.inputs.yaml_source import Fact
from costsim.scaling.loss import formula_inputs
from costsim.training.architecture import parameters
from costsim.training.device import Stack
from costsim.uncertainty.draws import middle
from costsim.uncertainty.ranges import Range

_LAW_ARGUMENTS = {
    "law.parameters": "computed: the model's, as the law counts them and repetition leaves them worth",
    "law.tokens": "computed: training.tokens, as repetition leaves them worth",
    "law.scale": "computed: 1 until the level is anchored or drawn",
}

_AGE_NOTE = "for Epoch's amortisation; cost.own.method takes hardware as bought at the start unless its age is given"


def law_arguments(case: Case) -> dict[str, float]:
    """Parameters and tokens as the functions of the loss take them."""
    count = parameters(case.training.architecture)
    return {
        "active_parameters": float(count.active),
        "non_embedding_parameters": float(count.active - count.embedding - count.head),
        "tokens": case.training.tokens,
        "unique_tokens": case.training.unique_tokens,
    }


def provenance(scenario: Scenario, case: Case) -> list[dict[str, Any]]:
    """Every input with its value at the centre, in SI and USD, where it comes from and how it is known."""
    rows = [*_said(scenario), *_found(scenario, case)]
    unique = {row["path"]: row for row in rows if row["value"] is not None}
    return list(unique.values())


def _row(path: str, value: Any, source: str, known: str) -> dict[str, Any]:
    return {"path": path, "value": _centre(value), "unit": unit_of_input(path), "source": source, "known": known}


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
    if scenario.fields.cluster.stack is None:
        yield _row(
            "cluster.stack", scenario.stack.stack.name, "default: by the chip and the size of the job", "estimated"
        )


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
    if scenario.calibration is not None and scenario.calibration.file.scaling is not None and training.network.exchange:
        for name, found in scenario.calibration.file.scaling:
            yield _row(f"network.scaling.{name}", found, scenario.calibration.label, "measured")
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
                row = _row(f"cost.own.{key}", getattr(own, key), f"hardware: {chip.name}", "derived")
                yield row | ({"note": _AGE_NOTE} if key == "age" else {})
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
