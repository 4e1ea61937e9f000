"""Payback, clocks and drivers as lines: at every width, and what they say in each case."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from costsim.plan import plan
from costsim.render import flat, numbers, table
from costsim.render.figures import Figures
from costsim.render.investment import clocks, driver_rows, drivers, payback
from costsim.render.text import Screen, width

POINTS = ("uncertainty.sensitivity_points=64",)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return plan("experts-on-our-own-chips", draws=200, overrides=POINTS, sensitivity=True).to_dict()


def text(lines: list[Any]) -> str:
    return " ".join(" ".join("".join(span.text for span in line) for line in lines).split())


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
@pytest.mark.parametrize("verbose", [False, True])
def test_no_line_is_wider_than_the_screen(made: dict[str, Any], columns: int, verbose: bool) -> None:
    page = table.render(made, Screen(columns), verbose=verbose)
    assert max(width(line) for line in page.splitlines()) <= columns
    joined = " ".join(page.split())
    for words in ("demand at its peak", "Net present value", "demand.peak", "closing", "management view"):
        assert words in joined


def test_each_driver_is_told_with_its_factor(made: dict[str, Any]) -> None:
    lines = payback(Figures(made), 110)
    needed = made["payback"]["needed"]["programme_usd"]
    [row] = [text([line]) for line in lines if "programme cost" in text([line])]
    assert row.endswith(f"× {needed['needed'] / needed['planned']:.3g}")
    assert "repaid as long as" in text(lines)
    assert "training $" in text(lines)
    assert "serving $" in text(lines)


def test_no_value_does() -> None:
    lost = plan("rent-or-own-1024-h100", draws=0).to_dict()
    assert lost["payback"]["needed"]["life_months"]["needed"] is None
    lines = payback(Figures(lost), 110)
    assert "to be repaid, one of" in text(lines)
    assert "life 18 months no value does" in text(lines)


def test_the_circuit_says_what_ends_the_money_and_how_likely_each_regime_is(made: dict[str, Any]) -> None:
    told = copy.deepcopy(made)
    told["clocks"] |= {"runway_months": 20.0, "ends_by": "debt", "regime": "stretching"}
    told["clocks"] |= {"probability_closing": 0.25, "probability_stretching": 0.25, "probability_breaking": 0.5}
    said = text(clocks(Figures(told), 110))
    assert "debt due and unpaid" in said
    assert "due in 30 months" in said
    assert "stretching (closing 25 %, stretching 25 %, breaking 50 %)" in said
    told["clocks"] |= {"runway_months": None, "ends_by": "nothing"}
    assert "the money lasts" in text(clocks(Figures(told), 110))


def test_the_strongest_driver_comes_first_and_all_are_told_when_asked(made: dict[str, Any]) -> None:
    npv = made["sensitivity"]["outputs"][0]
    rows = driver_rows(npv)
    assert rows[0]["path"] == npv["sobol"][0]["path"]
    assert {row["path"] for row in rows} == {row["path"] for key in ("tornado", "sobol") for row in npv[key]}
    short, whole = (text(drivers(Figures(made), 110, verbose=verbose)) for verbose in (False, True))
    last = rows[-1]["path"]
    assert last in whole
    assert len(short) < len(whole)
    assert drivers(Figures({}), 80, verbose=False) == []
    nothing = Figures({"sensitivity": {"inputs": [], "outputs": []}})
    assert "nothing to vary" in text(drivers(nothing, 80, verbose=False))


def test_markdown_and_csv_have_them_all(made: dict[str, Any]) -> None:
    page = flat.to_markdown(made)
    assert "## Drivers" in page
    assert "### Probability of payback" in page
    assert page.count("cost.own.usd\\_per\\_accelerator") >= 2
    assert "sensitivity.outputs.0.tornado.0.at_p5" in flat.to_csv(made)


def test_a_point_of_demand_or_price_is_a_scenario_and_no_forecast() -> None:
    firm = {"demand.tokens_per_user_per_day=90k", "price.market_decline=3x/year"}
    for settings, draws, expected in (((), 5, False), ((), 0, True), *(((s,), 5, True) for s in firm)):
        found = plan("serve-a-million-users", draws=draws, overrides=settings).to_dict()
        assert found["payback"]["is_scenario"] is expected, settings
        assert any("a scenario, no forecast" in note for note in found["notes"]) is expected
        assert ("a scenario, no forecast" in table.render(found, Screen(80), quiet=True)) is expected


def test_what_it_would_need_keeps_its_rows_at_80_columns(made: dict[str, Any]) -> None:
    """A row is a line; where even that is too wide its figures stand under its name, and no line is blank or lone."""
    lines = ["".join(span.text for span in line) for line in payback(Figures(made), 70)]
    start = next(i for i, line in enumerate(lines) if "repaid as long as" in line)
    rows = lines[start + 2 :]
    assert len(rows) == len(made["payback"]["needed"])
    assert all(" × " in row and len(row) <= 70 for row in rows)
    narrow = ["".join(span.text for span in line) for line in payback(Figures(made), 30)]
    under = narrow[narrow.index("  programme cost") + 1]
    assert under.startswith("    $")
    assert all(line.strip() for line in narrow)


def test_drivers_have_no_empty_columns_and_no_share_above_all() -> None:
    output = {
        "output": "payback.repaid",
        "tornado": [],
        "sobol": [{"path": "demand.peak", "first_order": 1.013, "total_order": 0.998}],
    }
    lines = drivers(Figures({"sensitivity": {"outputs": [output], "inputs": []}}), 70, verbose=False)
    assert "at p5" not in text(lines)
    assert "demand.peak 100 % " in text(lines)


def test_a_life_keeps_its_half_month() -> None:
    found = plan("rent-or-own-1024-h100", draws=0, overrides=["demand.life=15.5 months"]).to_dict()
    assert "15.5 months" in text(payback(Figures(found), 70))


def test_one_is_no_plural() -> None:
    assert numbers.number(1.0, "sequences") == "1 sequence"
    assert numbers.number(2.0, "sequences") == "2 sequences"


def test_the_ledger_is_told_month_by_month_when_asked() -> None:
    found = plan("rent-or-own-1024-h100", draws=0).to_dict()
    page = table.render(found, Screen(80), verbose=True)
    rows = [line.split() for line in page.splitlines()]
    assert ["month", "cash", "out", "so", "far"] in rows
    last = found["cost"]["monthly"][-1]
    shown = [numbers.number(last[key], "USD") for key in ("total_usd", "cumulative_usd")]
    assert ["12", *shown] in rows
    assert "so far" not in table.render(found, Screen(80))
