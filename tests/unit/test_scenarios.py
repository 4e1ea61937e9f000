"""The shipped scenarios: each reads strictly, says what it asks and where its facts come from, and is documented."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from costsim.inputs.scenario import load_scenario
from costsim.inputs.yaml_source import read
from costsim.plan import plan

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILES = sorted(SCENARIOS.glob("*.yaml"))
SECTIONS = {
    "costsim", "name", "question", "start", "extends", "sources", "model", "training", "cluster", "law", "cost",
    "serving", "demand", "price", "finance", "uncertainty",
}  # fmt: skip


def contents(path: Path) -> dict[str, object]:
    value = read(path.read_text(encoding="utf-8"), path.name).value
    assert isinstance(value, dict)
    return value


def test_there_are_enough() -> None:
    assert len(FILES) >= 14


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_reads_strictly_and_has_only_known_sections(path: Path) -> None:
    value = contents(path)
    assert value["costsim"] == 1
    assert set(value) <= SECTIONS
    assert value["name"]
    assert str(value["question"]).endswith("?")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_says_where_its_facts_come_from(path: Path) -> None:
    value = contents(path)
    if "extends" in value:
        assert (SCENARIOS / str(value["extends"])).is_file()
        return
    sources = value["sources"]
    assert isinstance(sources, list)
    assert sources
    for source in sources:
        assert set(source) == {"title", "url"}
        assert source["url"].startswith("https://")
    assert {"model", "training", "cluster", "cost"} <= set(value)
    assert datetime.date.fromisoformat(str(value["start"])).year >= 2020


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_opens_with_a_comment_that_says_what_it_is(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_given_layout_divides_the_cluster(path: Path) -> None:
    cluster = contents(path).get("cluster")
    layout = cluster.get("layout") if isinstance(cluster, dict) else None
    if isinstance(layout, dict):
        group = layout.get("tensor", 1) * layout.get("pipeline", 1) * layout.get("context", 1)
        assert cluster["accelerators"] % group == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_loads_by_name_and_fits_its_machine(path: Path) -> None:
    result = plan(load_scenario(path.stem, ["uncertainty.draws=0"])).to_dict()
    assert result["memory"]["fits"]
    assert result["run"]["wall_clock_days"] > 0
    assert result["warnings"] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_is_documented(path: Path) -> None:
    text = (SCENARIOS.parent / "docs" / "scenarios.md").read_text(encoding="utf-8")
    assert f"`{path.stem}`" in text


FEATURES = (
    "extends:", " to ", "layout: auto", "phases:", "unique_tokens:", "mfu:", "goodput:", "failures:",
    "commitment: true", "users:", "kind: bass", "kind: logistic", "debt:", "measured_tokens_per_second:", "own:",
    "model: {parameters:", "precision: fp8", "research_multiplier:", "site:", "expert:", "market_decline:",
    "global_batch_tokens:", "sliding_window",
)  # fmt: skip


@pytest.mark.parametrize("feature", FEATURES)
def test_each_feature_of_the_format_is_shown_somewhere(feature: str) -> None:
    assert any(feature in path.read_text(encoding="utf-8") for path in FILES)
