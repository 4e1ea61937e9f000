"""What plans print about their intervals is what `costsim validate` finds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from documents import tables

from costsim.inputs import catalogue
from costsim.inputs.sourced import split_sourced
from costsim.inputs.yaml_source import read
from costsim.validate import validate

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def subsets() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = validate("step")["subsets"]
    return found


@pytest.mark.parametrize(("kind", "experts"), [("dense", False), ("experts", True)])
def test_coverage_is_that_of_new_sources(kind: str, experts: bool, subsets: list[dict[str, Any]]) -> None:
    label, text = catalogue.data_text("coverage.yaml")
    said = split_sourced(read(text, label))[0].value["step"][kind]  # type: ignore[index,call-overload]
    wanted = {"regime": "new_source", "has_layout": True, "experts": experts}
    found = next(s for s in subsets if all(s.get(k) == v for k, v in wanted.items()))
    assert said["runs"] == found["n"]
    assert said["coverage"] == pytest.approx(found["coverage_90"], abs=0.005)
    assert said["median_error"] == pytest.approx(found["median_abs_error"], abs=0.005)


def test_the_readme_says_how_far_off_hours_are() -> None:
    found = validate("hours")
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    said = re.search(r"(\d+) published runs, .*\| median (\d+) %, nine in ten below (\d+) %", text)
    assert said
    assert int(said[1]) == found["pooled"]["n"]
    assert float(said[2]) == pytest.approx(100 * found["pooled"]["median_abs_error"], abs=0.51)
    assert float(said[3]) == pytest.approx(100 * found["pooled"]["p90_abs_error"], abs=1.0)
    ratio = re.search(r"GPT-3 comes out ([\d.]+) times as\nlong", text)
    assert ratio
    gpt3 = next(row for row in found["rows"] if row["id"] == "run-gpt3-175b")
    assert float(ratio[1]) == pytest.approx(1 + gpt3["error"], abs=0.051)


def test_the_page_on_memory_has_the_errors_of_the_board() -> None:
    groups = validate("memory")["groups"]
    board = sorted((group["n"], f"{100 * group['median_abs_error']:.1f} %") for group in groups)
    page = tables((ROOT / "docs/step-time.md").read_text(encoding="utf-8"))
    [rows] = [rows for _, header, rows in page if header == ["source", "counter", "rows", "error"]]
    assert sorted((int(row[2]), row[3]) for row in rows) == board
