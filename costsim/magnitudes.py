"""Inputs of a magnitude that nobody has: a slip of unit or exponent is told, and not refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from costsim.economics.calendar import SECONDS_PER_DAY
from costsim.economics.cohort import Steps
from costsim.economics.cost import PROGRAMME_EXTRAS
from costsim.inputs import catalogue
from costsim.inputs.case import Case
from costsim.inputs.scenario import Scenario
from costsim.inputs.yaml_source import read, split_sourced
from costsim.uncertainty.draws import middle


@cache
def limits() -> tuple[Mapping[str, Any], ...]:
    """The limits of ``data/magnitudes.yaml``: path, above, unit and why."""
    label, text = catalogue.data_text("magnitudes.yaml")
    value = split_sourced(read(text, label))[0].value
    assert isinstance(value, dict)
    return tuple(value["limits"])


def beyond_belief(scenario: Scenario, case: Case) -> Iterator[tuple[str, str]]:
    """Pairs of path and message: inputs above their limit, and a measured speed that the chip cannot multiply."""
    said = _said(scenario, case)
    for limit in limits():
        value = said.get(limit["path"], 0.0)
        if value > limit["above"]:
            unit = limit["unit"]
            yield limit["path"], f"{value:.3g} {unit}: {limit['why']}; check the number and its unit"
    r = case.replica
    if r is None or r.terms.measured_tokens_per_second is None:
        return
    most = middle(r.chip.peak_flops) / (2.0 * r.model.active_parameters)
    if (measured := middle(r.terms.measured_tokens_per_second)) > most:
        yield (
            "serving.measured_tokens_per_second",
            f"{measured:.3g} tokens/s an accelerator are more than the {most:.3g} that its peak multiplies",
        )


def _said(scenario: Scenario, case: Case) -> dict[str, float]:
    """The inputs with a limit, at the centre and in the limit's unit."""
    found: dict[str, Any] = {}
    if (cost := case.cost) is not None:
        lines = {f"cost.{name}.usd": getattr(cost, name) for name in PROGRAMME_EXTRAS}
        found |= {path: amount.usd for path, amount in lines.items() if amount is not None}
        if cost.rent is not None:
            found["cost.rent.usd_per_accelerator_hour"] = cost.rent.usd_per_accelerator_hour
        if cost.own is not None:
            found["cost.own.usd_per_accelerator"] = cost.own.usd_per_accelerator
    if case.replica is not None:
        found["serving.usd_per_accelerator_hour"] = case.replica.terms.usd_per_accelerator_hour
    market, demand = case.market, scenario.fields.demand
    if market is not None and market.price is not None:
        for name, price in (("input", market.price.input), ("output", market.price.output)):
            found[f"price.{name}"] = max(map(middle, price.usd)) if isinstance(price, Steps) else price
    if market is not None and market.demand is not None:
        found["demand.peak"] = middle(market.demand.peak) * SECONDS_PER_DAY
    if demand is not None and demand.users is not None:
        users = demand.users
        found["demand.users"] = users if isinstance(users, float) else users.centre()
    return {path: middle(value) for path, value in found.items()}
