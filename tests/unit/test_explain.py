from __future__ import annotations

import pytest

from costsim import explain, quantities
from costsim.quantities import Quantity
from costsim.render.explain import explain_lines, is_arithmetic, numbers_in, symbols
from costsim.render.flat import explain_markdown


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of three quantities: one computed from an input, one a sum of a family, and the family."""
    declared = [
        Quantity("cost.total_usd", "total", "USD", "sum({cost.items.*})", "the sum of the items"),
        Quantity("cost.items.*", "item", "USD", "{run.hours} * {cost.price}", "hours times rate"),
        Quantity("run.hours", "hours", "h", "{run.days} * 24 ** 1", "by definition", "lower"),
    ]
    fresh = {quantity.path: quantity for quantity in declared}
    monkeypatch.setattr(quantities, "REGISTRY", fresh)
    monkeypatch.setattr(explain, "REGISTRY", fresh)


VALUES = {"cost.total_usd": 300.0, "cost.items.rent_usd": 240.0, "cost.items.energy_usd": 60.0, "run.hours": 120.0,
          "run.days": 5.0, "cost.price": 2.0}  # fmt: skip
PROVENANCE = [{"path": "cost.price", "value": 2.0, "source": "run.yaml:7", "known": "estimated"}]


def found(path: str) -> dict[str, object]:
    return next(item for item in explain.explanations(VALUES, PROVENANCE) if item["path"] == path)


def test_every_declared_figure_with_a_value_is_explained() -> None:
    paths = [item["path"] for item in explain.explanations(VALUES, PROVENANCE)]
    assert paths == ["cost.total_usd", "cost.items.rent_usd", "cost.items.energy_usd", "run.hours"]
    assert explain.explanations({"cost.total_usd": None}, []) == []


def test_inputs_have_their_origin() -> None:
    item = found("cost.items.rent_usd")
    assert item["inputs"] == [
        {"path": "run.hours", "value": 120.0, "unit": "h", "origin": "computed, see run.hours"},
        {"path": "cost.price", "value": 2.0, "unit": "", "origin": "run.yaml:7, estimated"},
    ]
    assert item["numbers"] == "120 * 2"
    assert item["source"] == "hours times rate"


def test_a_family_is_added_up() -> None:
    item = found("cost.total_usd")
    assert [entry["path"] for entry in item["inputs"]] == ["cost.items.rent_usd", "cost.items.energy_usd"]
    assert item["numbers"] == "sum(240 + 60)"
    assert item["inputs"][0]["origin"] == "computed, see cost.items.rent_usd"


def test_what_is_absent_stays_named() -> None:
    item = explain.explanations({"cost.items.rent_usd": 1.0}, [])[0]
    assert item["numbers"] == "run.hours * cost.price"
    assert [entry["origin"] for entry in item["inputs"]] == ["not in this plan", "not given"]


def test_an_input_without_provenance_is_an_input() -> None:
    assert found("run.hours")["inputs"] == [{"path": "run.days", "value": 5.0, "unit": "", "origin": "input"}]


def test_formulas_are_typeset() -> None:
    item = found("cost.items.rent_usd")
    assert symbols(item) == "run.hours × cost.price"
    assert numbers_in(item) == "120 h × 2"
    assert symbols(found("run.hours")) == "run.days × 24^1"


def test_explanations_as_text() -> None:
    lines = ["".join(span.text for span in line) for line in explain_lines([found("cost.items.rent_usd")], 60)]
    assert lines[1:] == [
        "  Item  cost.items.rent_usd  $240",
        "    = run.hours × cost.price",
        "    = 120 h × 2",
        "    run.hours 120 h: computed, see run.hours",
        "    cost.price 2: run.yaml:7, estimated",
        "    source: hours times rate",
    ]


def test_explanations_as_markdown() -> None:
    title, table = explain_markdown([found("cost.items.rent_usd")])
    assert title == "## Explanations"
    assert "| item (cost.items.rent\\_usd) | $240 | run.hours × cost.price | 120 h × 2 |" in table


def test_a_sentence_is_not_repeated_with_numbers() -> None:
    item = found("cost.items.rent_usd") | {"formula": "the share of {run.hours} that is billed"}
    lines = ["".join(span.text for span in line) for line in explain_lines([item], 60)]
    assert "    = the share of run.hours that is billed" in lines
    assert not any("120 h that" in line for line in lines)
    assert is_arithmetic("min({a.b}, 2e3) ** ({c.d} / 6)")


def test_what_is_given_is_called_so() -> None:
    item = found("run.hours") | {"formula": "{run.hours}", "inputs": [{"path": "run.hours", "value": 1.0, "unit": "h"}]}
    lines = ["".join(span.text for span in line) for line in explain_lines([item], 60)]
    assert lines[2:] == ["    as given", "    source: by definition"]


def test_the_nearest_declaration_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern's columns have their own units: a month is no dollar."""
    for path, unit in (("a.*.*", "USD"), ("a.*.month", "months")):
        monkeypatch.setitem(quantities.REGISTRY, path, Quantity(path, "x", unit, "1", "x"))
    found = [explain.declared(path) for path in ("a.0.month", "a.0.staff_usd")]
    assert [quantity.unit for quantity in found if quantity] == ["months", "USD"]
