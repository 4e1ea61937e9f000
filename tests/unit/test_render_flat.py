from __future__ import annotations

import csv
import io
import json
import math
from typing import Any

import pytest

from costsim.errors import InputError, InternalError
from costsim.plan import plan
from costsim.render import flat, formats
from costsim.render.text import Screen

Plan = dict[str, Any]
FORMULAS = ["=1+1", "+1", "-1 day", "@SUM(A1)", "  =1+1", "|cmd", "%0A"]


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text)))


def test_json_is_the_plan_itself_in_contract_order(example: Plan) -> None:
    shuffled = dict(reversed(example.items()))
    text = flat.to_json(shuffled)
    assert json.loads(text) == example
    assert list(json.loads(text))[:3] == ["schema", "scenario", "model"]
    assert text.endswith("}\n")
    assert text.startswith('{\n  "schema": "costsim.plan/1"')


def test_json_keeps_what_it_does_not_know(example: Plan) -> None:
    assert json.loads(flat.to_json(example | {"extra": 1}))["extra"] == 1


def test_json_never_holds_what_is_no_json(example: Plan) -> None:
    example["cost"]["total_usd"] = math.nan
    with pytest.raises(InternalError, match=r"cost\.total_usd"):
        flat.to_json(example)


def test_json_of_hostile_names_is_pure_ascii(example: Plan) -> None:
    example["scenario"]["name"] = "\x1b[31m\u202e中\ud800"
    text = flat.to_json(example)
    assert text.isascii()
    assert "\x1b" not in text
    assert json.loads(text)["scenario"]["name"] == "\x1b[31m\u202e中\ud800"


def test_csv_has_every_number_in_full_with_its_range(example: Plan) -> None:
    table = rows(flat.to_csv(example | {"explain": []}))
    assert table[0] == ["path", "value", "unit", "p5", "p50", "p95"]
    by_path = {row[0]: row for row in table}
    assert float(by_path["cost.total_usd"][1]) == example["cost"]["total_usd"]
    assert [float(cell) for cell in by_path["cost.total_usd"][3:]] == [61e6, 72615000.0, 88e6]
    assert by_path["payback.months"][1] == ""
    assert by_path["payback.months"][3] == "13.0"
    assert by_path["payback.months"][5] == ""
    assert by_path["memory.fits"][1] == "true"
    assert by_path["notes.0"][1].startswith("serving.speed")
    assert {len(row) for row in table} == {6}


def test_csv_of_an_explained_plan_has_formula_and_source(example: Plan) -> None:
    table = rows(flat.to_csv(example))
    assert table[0][-2:] == ["formula", "source"]
    row = next(row for row in table if row[0] == "cost.items.accelerators_usd")
    assert row[-2:] == ["{run.accelerator_hours} * {cost.usd_per_accelerator_hour}", "hours times rate"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_spreadsheet_runs_a_cell(example: Plan, text: str) -> None:
    example["scenario"]["name"] = text
    row = next(row for row in rows(flat.to_csv(example)) if row[0] == "scenario.name")
    assert row[1] == f"'{text}"


def test_negative_numbers_stay_numbers(example: Plan) -> None:
    row = next(row for row in rows(flat.to_csv(example)) if row[0] == "payback.npv_usd")
    assert row[1] == "-112000000.0"


def test_markdown_starts_with_the_answer_and_has_every_section(example: Plan) -> None:
    text = flat.to_markdown(example)
    assert text.startswith("<!-- costsim plan -->\n\n# Llama 3.1 405B\n\nWhat does it cost")
    assert "| Cost | $72.6M | $61–88M | final run, rent at $2.35/h; programme $318M ($259–379M) |" in text
    for section in (
        "Model",
        "Compute",
        "Layout",
        "Memory",
        "Step",
        "Run",
        "Loss",
        "Cost",
        "Serving",
        "Payback",
        "Clocks",
    ):
        assert f"\n## {section}\n" in text
    assert "| MMLU | 84 % |" in text
    assert "## Explanations" in text


def test_markdown_tables_have_as_many_cells_as_headings(example: Plan) -> None:
    example["scenario"]["resolved"]["law"] = example["loss"]["law"] = "a|b\n| c"
    heading = 0
    for line in flat.to_markdown(example).splitlines():
        cells = line.replace("\\|", "").count("|")
        if line.startswith("|"):
            heading = heading or cells
            assert cells == heading
        else:
            heading = 0


def test_markdown_of_absent_sections_says_so(sparse: Plan) -> None:
    assert "## Cost\n\nNot in this plan: see the notes." in flat.to_markdown(sparse)


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "[x](javascript:alert(1))", "`code`", "a|b", "# head", "*b*"]
)
def test_markdown_means_nothing_in_names(name: str) -> None:
    text = flat.markdown_text(name)
    for char in "<>[]`|#*":
        assert f"\\{char}" in text or char not in name
        assert char not in text.replace(f"\\{char}", "")


@pytest.mark.parametrize(
    ("asked", "output", "found"),
    [
        (None, None, "table"),
        (None, "-", "table"),
        ("json", None, "json"),
        ("csv", "x.json", "csv"),
        (None, "a/b.json", "json"),
        (None, "a.b/c.CSV", "csv"),
        (None, "x.md", "markdown"),
        (None, "x.markdown", "markdown"),
        (None, "x.txt", "table"),
    ],
)
def test_the_format_is_asked_for_or_named_by_the_suffix(asked: str | None, output: str | None, found: str) -> None:
    assert formats.choose(asked, output) == found


@pytest.mark.parametrize("asked", ["html", "xml", "JSON", ""])
def test_other_formats_are_refused_with_the_list(asked: str) -> None:
    with pytest.raises(InputError, match="formats: table, json, csv, markdown"):
        formats.choose(asked, None)


@pytest.mark.parametrize("output", ["x.html", "x", "dir.json/x", ".json/"])
def test_a_suffix_that_names_no_format_is_refused(output: str) -> None:
    with pytest.raises(InputError, match="names no format"):
        formats.choose(None, output)


def test_every_format_is_made(example: Plan) -> None:
    screen = Screen(80, unicode=False)
    for kind in formats.FORMATS:
        assert formats.plan_text(example, kind, screen).isascii()


def test_a_months_number_is_no_money() -> None:
    found = {row[0]: row[2] for row in rows(flat.to_csv(plan("serve-a-million-users", draws=0).to_dict()))}
    assert found["cost.monthly.0.month"] == found["payback.monthly.0.month"] == "months"
    assert found["cost.monthly.0.staff_usd"] == "USD"
