from __future__ import annotations

import csv
import io
import math

import pytest

from costsim.inputs import catalogue as files
from costsim.inputs.fits import step_fits
from costsim.render import catalogue
from costsim.render.text import Screen, width

KINDS = ("hardware", "models", "laws", "stacks", "sites", "scenarios")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [40, 80, 120])
def test_lists_have_every_entry_and_fit_the_screen(kind: str, columns: int) -> None:
    page = catalogue.listing_text(catalogue.listing(kind), Screen(columns))
    assert max(width(line) for line in page.splitlines()) <= columns
    for name in files.names(kind):
        assert name in page
    assert "…" not in page


@pytest.mark.parametrize("kind", KINDS)
def test_entries_fit_the_screen(kind: str) -> None:
    for name in files.names(kind)[:3]:
        found = catalogue.entry(kind, name)
        for columns in (40, 80):
            page = catalogue.entry_text(found, Screen(columns))
            assert max(width(line) for line in page.splitlines()) <= columns


def test_facts_are_shown_to_the_last_digit_with_their_source() -> None:
    page = catalogue.entry_text(catalogue.entry("laws", "besiroglu-2024"), Screen(120))
    assert "parameters.B                 2085.43  published, besiroglu" in page
    rows = list(csv.reader(io.StringIO(catalogue.entry_csv(catalogue.entry("laws", "besiroglu-2024")))))
    assert ["parameters.B", "2085.43", "", "besiroglu", "published", ""] in rows


def test_what_an_entry_extends_is_shown_with_it() -> None:
    paths = {row["path"]: row for row in catalogue.entry("stacks", "megatron-core")["values"]}
    inherited = {row["path"] for row in catalogue.entry("stacks", "generic")["values"]}
    assert inherited <= set(paths)
    assert paths["matmul"]["source"] == "prior"


def test_models_are_counted() -> None:
    found = catalogue.entry("models", "llama-3.1-8b")
    assert found["values"][0] == {
        "path": "parameters.total",
        "value": 8030261248,
        "source": "counted from the shape",
        "known": "derived",
        "note": "",
    }
    assert "8.03B" in catalogue.listing_markdown(catalogue.listing("models"))


def test_list_as_csv() -> None:
    rows = list(csv.reader(io.StringIO(catalogue.listing_csv(catalogue.listing("hardware")))))
    assert rows[0][:3] == ["catalogue", "name", "bf16"]
    assert rows[1][:2] == ["hardware", "a10"]


@pytest.mark.parametrize(("name", "family", "months"), [("torchtitan", "fsdp", 5.5), ("maxtext", "xla", 12.5)])
def test_a_stack_says_what_the_fit_makes_of_its_priors(name: str, family: str, months: float) -> None:
    """By hand: the parameters of its scopes add up, trends by the years from the middle of 2024."""
    values = step_fits().shipped
    scopes = [("all", "all"), ("family", family), ("stack", name)]
    log = sum(values.get((*scope, "matmul"), 0.0) for scope in scopes)
    trends = [("trend of family", family), ("trend of stack", name)]
    log += months / 12 * sum(values.get((*scope, "matmul"), 0.0) for scope in trends)
    note = catalogue.entry("stacks", name)["notes"][-1]
    assert f"rate of matrix products x {math.exp(log):.2f}" in note
    assert "rows of this stack among them" in note


def test_a_stack_without_measurements_says_so() -> None:
    assert "no row of this stack among them" in catalogue.entry("stacks", "native")["notes"][-1]
