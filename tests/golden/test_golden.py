"""Golden files: every shipped scenario in every format, every help text, and the messages of bad input.

Text is compared exactly, numbers of JSON and CSV to nine digits (other processors round the last bits otherwise).
``pytest tests/golden --update`` writes the files; the difference is there to be reviewed.
"""

from __future__ import annotations

import csv
import functools
import io
import json
import math
from pathlib import Path
from typing import Any

import fake_predictor
import pytest
from processes import Run

from costsim.cli.app import COMMANDS
from costsim.compare import compare
from costsim.inputs import catalogue
from costsim.plan import plan
from costsim.ranked import search_layouts
from costsim.render import formats
from costsim.render.text import Screen
from costsim.validate import validate

GOLDEN = Path(__file__).parent / "files"
SUFFIXES = {"table": "txt", "json": "json", "csv": "csv", "markdown": "md"}
COMPARED = ("rent-or-own-1024-h100", "rent-or-own-1024-h100-owned")


@functools.cache
def planned(name: str) -> dict[str, Any]:
    return plan(name).to_dict()


def close(found: object, wanted: object) -> bool:
    """Whether two values are equal, numbers to nine digits."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        return list(found) == list(wanted) and all(close(found[key], wanted[key]) for key in found)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(close, found, wanted))
    if isinstance(found, float | int) and isinstance(wanted, float | int) and not isinstance(found, bool):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-300)
    return found == wanted and type(found) is type(wanted)


def cells(text: str) -> list[list[object]]:
    """Rows of CSV, numbers as numbers."""

    def value(cell: str) -> object:
        try:
            return float(cell)
        except ValueError:
            return cell

    return [[value(cell) for cell in row] for row in csv.reader(io.StringIO(text))]


def check(name: str, text: str, update: bool) -> None:
    """Compare a text with its golden file, or write that."""
    path = GOLDEN / name
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return
    assert path.is_file(), f"there is no {path.name} yet: run pytest tests/golden --update, and review it"
    wanted = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        assert close(json.loads(text), json.loads(wanted))
    elif path.suffix == ".csv":
        assert close(cells(text), cells(wanted))
    else:
        assert text == wanted


@pytest.mark.parametrize("shape", formats.FORMATS)
@pytest.mark.parametrize("name", catalogue.names("scenarios"))
def test_scenarios(name: str, shape: str, update: bool) -> None:
    check(f"{name}.{SUFFIXES[shape]}", formats.plan_text(planned(name), shape, Screen(80)), update)


@pytest.mark.parametrize("shape", formats.FORMATS)
def test_a_comparison(shape: str, update: bool) -> None:
    made = compare([planned(name) for name in COMPARED])
    check(f"compare.{SUFFIXES[shape]}", formats.comparison_text(made, shape, Screen(80)), update)


@pytest.mark.parametrize("shape", formats.FORMATS)
def test_ranked_layouts(shape: str, update: bool) -> None:
    found = search_layouts("bloom-176b", top=5)
    check(f"layouts.{SUFFIXES[shape]}", formats.layouts_text(found, shape, Screen(80)), update)


@functools.cache
def validated(what: str) -> dict[str, Any]:
    """A validation of stand-in predictions: the page is held here, not how good predictions are."""
    return validate(what, predictor=fake_predictor.predict)


VALIDATIONS = {
    "validate-step-80": ("step", "table", 80),
    "validate-step-120": ("step", "table", 120),
    "validate-memory-80": ("memory", "table", 80),
    "validate-hours": ("hours", "markdown", 80),
    "validate-memory": ("memory", "csv", 80),
}


@pytest.mark.parametrize("name", VALIDATIONS)
def test_validations(name: str, update: bool) -> None:
    what, shape, width = VALIDATIONS[name]
    check(f"{name}.{SUFFIXES[shape]}", formats.validation_text(validated(what), shape, Screen(width)), update)


def test_one_validated_row(update: bool) -> None:
    found = validate("step", row="thr-vtrain-multi-044", predictor=fake_predictor.predict)
    check("validate-row.txt", formats.validation_text(found, "table", Screen(80)), update)


@pytest.mark.parametrize("line", ["", *COMMANDS])
def test_helps(inside: Run, line: str, update: bool) -> None:
    check(f"help{'-' * bool(line)}{line}.txt", inside(*line.split(), "--help").stdout, update)


BROKEN = """\
costsim: 1
name: Broken
model: gpt2-124m
trainig: {tokens: 1B}
training:
  tokens: 15 GiB
  sequence_length: 1024
  precision: fp17
cluster:
  accelerator: h100-sxn
  accelerators: -8
  per_nod: 8
cost: {basis: lease}
"""


def test_messages_of_bad_input(inside: Run, tmp_path: Path, update: bool) -> None:
    (tmp_path / "broken.yaml").write_text(BROKEN)
    done = inside("check", "broken.yaml")
    assert done.returncode == 2
    check("broken-scenario.txt", done.stderr, update)


def test_every_golden_file_has_its_test(update: bool) -> None:
    if update:
        pytest.skip("other tests are writing them")
    names = {f"{name}.{suffix}" for name in [*catalogue.names("scenarios"), "compare"] for suffix in SUFFIXES.values()}
    names |= {f"{name}.{SUFFIXES[shape]}" for name, (_, shape, _) in VALIDATIONS.items()} | {"validate-row.txt"}
    names |= {f"layouts.{suffix}" for suffix in SUFFIXES.values()}
    names |= {"help.txt", "broken-scenario.txt", *(f"help-{name}.txt" for name in COMMANDS)}
    assert {path.name for path in GOLDEN.iterdir()} == names
