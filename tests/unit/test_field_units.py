"""Units of inputs: told with every number that explains a figure."""

from __future__ import annotations

import pytest

from costsim.inputs.field_units import unit_of_input
from costsim.plan import plan


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("demand.peak", "tokens/s"),
        ("demand.ramp.midpoint", "months"),
        ("demand.successor.half_life", "months"),
        ("price.output", "USD/Mtok"),
        ("price.output.1.price", "USD/Mtok"),
        ("price.market_decline", "x/year"),
        ("finance.fixed_costs", "USD/month"),
        ("finance.discount_rate", "fraction/year"),
        ("cost.staff.share", "fraction"),
        ("cost.rent.usd_per_accelerator_hour", "USD/h"),
        ("cluster.failures.restart", "s"),
        ("accelerator.peak_flops", "FLOP/s"),
        ("cost.research_multiplier", ""),
        ("cost.basis", ""),
        ("no.such.path", ""),
    ],
)
def test_units(path: str, unit: str) -> None:
    assert unit_of_input(path) == unit


def test_explanations_tell_the_unit_of_what_is_given() -> None:
    made = plan("llama-3.1-405b", draws=0, explain=True).to_dict()
    told = {entry["path"]: entry["unit"] for item in made["explain"] for entry in item["inputs"]}
    assert told["demand.peak"] == "tokens/s"
    assert told["finance.discount_rate"] == "fraction/year"
    rows = {row["path"]: row for row in made["provenance"]}
    assert rows["finance.fixed_costs"]["unit"] == "USD/month"
    assert rows["finance.cash"]["unit"] == "USD"


def test_a_rate_that_nobody_pays_is_warned_of() -> None:
    made = plan("serve-a-million-users", draws=0, overrides=["finance.discount_rate=5", "finance.debt.rate=11%"])
    warned = {item["path"]: item["message"] for item in made.to_dict()["warnings"]}
    assert "write 5%" in warned["finance.discount_rate"]
    assert "finance.debt.rate" not in warned
