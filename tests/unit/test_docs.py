"""The reference pages against the program: no key, default, unit or example of theirs may drift away from it."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pydantic
import pytest
from documents import commands, examples, tables
from processes import Run

from costsim.evidence.predictions import predict
from costsim.evidence.table import shipped
from costsim.explain import declared
from costsim.inputs import catalogue, cluster, money, serving
from costsim.inputs.scenario import ScenarioFields, load_scenario
from costsim.inputs.yaml_source import read, split_sourced
from costsim.plan import plan
from costsim.tree import flatten, lookup
from costsim.validate import validate

DOCS = Path(__file__).parents[2] / "docs"
SECTIONS: dict[str, tuple[str, type[pydantic.BaseModel]]] = {
    "Top level": ("", ScenarioFields),
    "`training`": ("training", cluster.Training),
    "`training.optimizer`": ("", cluster.OptimizerFields),
    "`training.phases`": ("", cluster.Phase),
    "`cluster`": ("cluster", cluster.Cluster),
    "`cluster.scale_out`": ("", cluster.ScaleOut),
    "`cluster.layout`": ("", cluster.LayoutFields),
    "`cluster.failures`": ("cluster.failures", money.Failures),
    "`cost`": ("cost", money.Cost),
    "`cost.rent`": ("cost.rent", money.RentFields),
    "`cost.own`": ("cost.own", money.OwnFields),
    "`cost.amortised`": ("cost.amortised", money.AmortisedFields),
    "`serving`": ("serving", money.Serving),
    "`serving.software_factor`": ("serving.software_factor", money.ByChip),
    "`serving.overhead`": ("serving.overhead", money.ByChip),
    "`serving.residual`": ("serving.residual", money.ByChip),
    "`serving.roofline`": ("serving.roofline", serving.RooflineFields),
    "`serving.roofline.layer`": ("serving.roofline.layer", serving.LayerFields),
    "`serving.roofline.weight_bytes`": ("serving.roofline.weight_bytes", serving.BytesByPrecision),
    "`serving.roofline.kv_bytes`": ("serving.roofline.kv_bytes", serving.BytesByPrecision),
    "`demand`": ("demand", money.Demand),
    "`demand.successor`": ("", money.SuccessorFields),
    "`demand.ramp`, `kind: logistic`": ("demand.ramp", money.Logistic),
    "`demand.ramp`, `kind: bass`": ("", money.Bass),
    "`price`": ("price", money.Price),
    "`finance`": ("finance", money.Finance),
    "`finance.debt`": ("", money.Debt),
    "`uncertainty`": ("uncertainty", cluster.Uncertainty),
}
"""Headings of docs/scenario.md with a table of keys: their path among the defaults, and the model behind them."""


def defaults() -> Any:
    return split_sourced(read(*reversed(catalogue.data_text("defaults.yaml"))))[0].value


def written(value: object) -> str:
    """A default as one writes it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {item}" for key, item in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def key_tables() -> dict[str, list[list[str]]]:
    found = tables((DOCS / "scenario.md").read_text(encoding="utf-8"))
    return {heading: rows for heading, header, rows in found if header == ["key", "takes", "default", "meaning"]}


def test_every_table_of_keys_is_known() -> None:
    assert list(key_tables()) == list(SECTIONS)


@pytest.mark.parametrize("heading", SECTIONS)
def test_keys_and_defaults_are_those_of_the_program(heading: str) -> None:
    path, model = SECTIONS[heading]
    rows = {row[0].strip("`"): row[2] for row in key_tables()[heading]}
    assert set(rows) - {"extends"} == set(model.model_fields)
    said = lookup(defaults(), path) if path else defaults() if heading == "Top level" else {}
    if model is cluster.OptimizerFields:  # its defaults are its own, see below
        return
    for key, cell in rows.items():
        value = said.get(key)
        if value is None or (isinstance(value, dict) and "distribution" not in value):
            assert "`" not in cell or cell == "`tokens`", f"{key}: no such default"
        elif key != "costsim":
            assert cell == f"`{written(value)}`"


def test_the_optimizers_defaults() -> None:
    rows = {row[0].strip("`"): row[2].strip("`") for row in key_tables()["`training.optimizer`"]}
    assert rows == cluster.OptimizerFields().model_dump()


@pytest.mark.parametrize("text", examples(DOCS / "scenario.md", "yaml"))
def test_examples_of_scenarios_load(text: str, tmp_path: Path) -> None:
    whole = text if "costsim:" in text or "extends:" in text else f"extends: llama-2-70b\n{text}"
    (tmp_path / "example.yaml").write_text(whole, encoding="utf-8")
    assert load_scenario(tmp_path / "example.yaml").name


@pytest.mark.parametrize(("page", "line"), [(p.name, c) for p in sorted(DOCS.glob("*.md")) for c in commands(p)])
def test_commands_of_the_pages_run(page: str, line: list[str], inside: Run, tmp_path: Path) -> None:
    inside("new", "my-run")
    rows = "AcceleratorName,AcceleratorCount,Price,Region\nH100,8,31.92,us-east-1\n"
    (tmp_path / "catalogue.csv").write_text(rows, encoding="utf-8")
    if "prices=my-prices.yaml" in line:
        inside("prices", "import", "catalogue.csv", "--provider", "p", "--as-of", "2026-09-15", "-o", "my-prices.yaml")
    done = inside(*line)
    assert done.returncode == 0, f"{page}: {done.stderr}"


# --- docs/json.md -----------------------------------------------------------------------------------------------------


def documented() -> dict[str, str]:
    """Paths of docs/json.md and their units."""
    found = tables((DOCS / "json.md").read_text(encoding="utf-8"))
    return {
        f"{heading.strip('`')}.{key.strip('`')}": row[0]
        for heading, header, rows in found
        if header == ["key", "unit", "meaning"]
        for key, *row in rows
    }


SAMPLED = ("llama-3.1-405b", "deepseek-v3", "gpt3-175b", "palm-540b", "olmo-7b-lumi", "rent-or-own-1024-h100")


@pytest.mark.parametrize("name", SAMPLED)
def test_every_figure_of_a_plan_is_documented_with_its_unit(name: str) -> None:
    made = plan(name, draws=2).to_dict()
    known = documented()
    skipped = (
        "scenario",
        "intervals",
        "provenance",
        "explain",
        "sensitivity",
        "notes",
        "warnings",
        "schema",
        "layout.phases[",
    )
    for path, value in flatten(made):
        place = re.sub(r"\.[0-9]+(?=\.|$)", "[]", path)
        if place.startswith(skipped) or "." not in place:  # a section that is null
            continue
        assert place in known, f"docs/json.md does not say what {place} is"
        quantity = declared(re.sub(r"\[\]", ".*", place))
        if quantity is not None and quantity.unit != "code" and not isinstance(value, bool | str):
            assert known[place] == quantity.unit, place


def test_every_documented_figure_exists_or_is_declared() -> None:
    plans = [plan(name, draws=2).to_dict() for name in SAMPLED]
    seen = {re.sub(r"\.[0-9]+(?=\.|$)", "[]", path) for made in plans for path, _ in flatten(made)}
    apart = ("layout_advice.", "cost.programme_items.", "cost.monthly[].", "serving.", "clocks.", "sensitivity.")
    missing = [path for path in documented() if path not in seen and not path.startswith(apart)]
    assert not missing


def test_the_index_links_every_page() -> None:
    text = (DOCS / "README.md").read_text(encoding="utf-8")
    for page in DOCS.glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in text


def test_the_example_of_evidence_is_a_shipped_row_that_passes(tmp_path: Path) -> None:
    (text,) = examples(DOCS / "validation.md", "csv")
    header, row = csv.reader(text.splitlines())
    published = next(each.cells for each in shipped("throughput").rows if each.id == row[0])
    assert [published[column] for column in header] == row
    path = tmp_path / "example.csv"
    path.write_text(text)
    found = validate(evidence=path)
    assert (len(found["rows"]), found["passed"]) == (1, True)
    needed = {"hardware", "n_devices", "layers", "d_model", "n_heads", "d_ff", "vocab", "tok_per_s_per_device"}
    cells = dict(zip(header, row, strict=True))
    assert {column for column in header if not predict("step", [cells | {column: ""}], "shipped")[0]} == needed
