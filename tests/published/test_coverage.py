"""What plans print about their intervals is what `costsim validate` finds."""

from __future__ import annotations

from typing import Any

import pytest

from costsim.inputs import catalogue
from costsim.inputs.sourced import split_sourced
from costsim.inputs.yaml_source import read
from costsim.validate import validate


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
