"""``search_layouts`` and ``costsim layouts``: the order, the figures, where the scenario's own layout stands."""

from __future__ import annotations

import csv
import functools
import io
import json
from typing import Any, Literal

import pytest
from processes import Run

from costsim import plan, search_layouts
from costsim.errors import InputError
from costsim.render import ranking
from costsim.render.sections import layout_words
from costsim.render.text import Screen, width
from costsim.training.enumeration import AXES

RUN = "bloom-176b"
By = Literal["time", "cost", "p90"]


@functools.cache
def ranked(by: By = "time") -> dict[str, Any]:
    return search_layouts(RUN, top=10_000, by=by)


def classes(rows: list[dict[str, Any]]) -> list[int]:
    return [2 if row["fit_probability"] >= 0.9 else 1 if row["fit_probability"] >= 0.5 else 0 for row in rows]


@pytest.mark.parametrize(
    ("by", "figure"), [("time", "step_seconds"), ("cost", "total_usd"), ("p90", "step_seconds_p90")]
)
def test_those_that_fit_come_first_then_the_best(by: By, figure: str) -> None:
    rows = ranked(by)["layouts"]
    found = classes(rows)
    assert found == sorted(found, reverse=True)
    assert set(found) == {0, 1, 2}
    for which in (2, 1):
        figures = [row[figure] for row, its in zip(rows, found, strict=True) if its == which]
        assert figures == sorted(figures)
    assert [row["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) == ranked(by)["legal"]
    assert sum(its > 0 for its in found) == ranked(by)["fitting"]


def test_figures_are_those_of_a_plan_with_that_layout() -> None:
    for row in (ranked()["layouts"][0], ranked()["layouts"][40]):
        given = [f"cluster.layout.{key}={json.dumps(value)}" for key, value in row["layout"].items() if key in AXES]
        made = plan(RUN, overrides=["uncertainty.draws=0", *given]).to_dict()
        assert made["layout"] | row["layout"] == made["layout"]
        for section, key in (
            ("step", "step_seconds"),
            ("step", "mfu"),
            ("memory", "peak_bytes"),
            ("memory", "fit_probability"),
            ("run", "wall_clock_days"),
            ("run", "accelerator_hours"),
            ("cost", "total_usd"),
        ):
            assert row[key] == pytest.approx(made[section][key], rel=1e-9), key


def test_the_own_layout_stands_where_its_time_puts_it() -> None:
    own = ranked()["own"]  # it recomputes all layers, though fewer would do: the search does not propose that
    assert not own["considered"]
    assert own["layout"] not in [row["layout"] for row in ranked()["layouts"]]
    faster = [row for row in ranked()["layouts"] if classes([row]) == [2] and row["step_seconds"] < own["step_seconds"]]
    assert own["rank"] == len(faster) + 1


@pytest.mark.parametrize("by", ["time", "cost", "p90"])
def test_a_layout_that_the_search_considers_has_its_place(by: By) -> None:
    keys = {key: value for key, value in ranked(by)["layouts"][7]["layout"].items() if key in AXES}
    found = search_layouts(RUN, top=8, by=by, overrides=[f"cluster.layout={json.dumps(keys)}"])
    assert found["own"] == {**found["layouts"][7], "considered": True}


def test_near_ties_are_counted_over_those_that_fit() -> None:
    rows = [row for row in ranked()["layouts"] if row["fit_probability"] >= 0.5]
    assert ranked()["near_ties"] == sum(row["step_seconds"] <= 1.05 * rows[0]["step_seconds"] for row in rows)


def test_top_bounds_the_rows_alone() -> None:
    few = search_layouts(RUN, top=3)
    assert few["layouts"] == ranked()["layouts"][:3]
    assert {k: v for k, v in few.items() if k != "layouts"} == {k: v for k, v in ranked().items() if k != "layouts"}


def test_a_layout_that_the_cluster_does_not_allow_leaves_the_rest() -> None:
    found = search_layouts(RUN, overrides=["cluster.accelerators=32"], top=3)
    assert found["own"] is None
    assert "no layout of 32 accelerators" in found["own_refused"]
    assert len(found["layouts"]) == 3
    text = ranking.render(found, Screen(80))
    assert "The scenario's own" not in text
    assert "no layout of 32" in text
    assert "own (" not in ranking.to_markdown(found)
    assert len(ranking.to_csv(found).splitlines()) == 4


def test_a_layout_that_does_not_fit_stands_among_those_by_its_chance() -> None:
    found = search_layouts(RUN, overrides=["cluster.layout={tensor: 1, pipeline: 6, recompute: full}"], top=10_000)
    own = found["own"]
    assert own["fit_probability"] < 0.5
    assert own["rank"] == 1 + sum(row["fit_probability"] > own["fit_probability"] for row in found["layouts"])


def test_the_percentile_is_more_than_a_factor_on_the_time() -> None:
    rows = [row for row in ranked()["layouts"] if row["fit_probability"] >= 0.9]
    factors = [row["step_seconds_p90"] / row["step_seconds"] for row in rows]
    assert min(factors) > 1
    assert max(factors) > 1.002 * min(factors)
    assert [row["layout"] for row in ranked("p90")["layouts"]] != [row["layout"] for row in ranked()["layouts"]]


def test_an_assumed_mfu_has_no_percentile() -> None:
    found = search_layouts(RUN, overrides=["cluster.mfu=0.4"], top=2, by="p90")
    assert all("step_seconds_p90" not in row for row in found["layouts"])
    assert "-" in ranking.to_markdown(found)


@pytest.mark.parametrize("columns", [80, 120])
def test_the_page_keeps_within_the_terminal(columns: int) -> None:
    text = ranking.render(search_layouts(RUN), Screen(columns))
    assert max(width(line) for line in text.splitlines()) <= columns
    assert "The scenario's own" in text


def test_csv_and_markdown_hold_the_rows() -> None:
    found = search_layouts(RUN, top=5)
    rows = list(csv.DictReader(io.StringIO(ranking.to_csv(found))))
    assert [float(row["step_seconds"]) for row in rows] == [row["step_seconds"] for row in found["layouts"]]
    assert ranking.to_markdown(found).count("\n| ") == 2 + 5 + 1


def test_the_command(inside: Run) -> None:
    done = inside("layouts", RUN, "--top", "2", "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == search_layouts(RUN, top=2)


def test_exit_code_one_where_nothing_fits(inside: Run) -> None:
    done = inside("layouts", "llama-3.1-405b", "--set", "cluster.accelerators=8", "--top", "1")
    assert done.returncode == 1
    assert "0 fit" in done.stdout


def test_a_wrong_order_is_told(inside: Run) -> None:
    done = inside("layouts", RUN, "--by", "coast")
    assert done.returncode == 2
    assert "cost" in done.stderr


def test_its_own_csv_may_be_replaced(inside: Run) -> None:
    for _ in range(2):
        assert inside("layouts", RUN, "--top", "1", "-o", "made.csv").returncode == 0


def test_a_bad_scenario_is_told() -> None:
    with pytest.raises(InputError):
        search_layouts(RUN, overrides=["cluster.accelerators=-1"])


def test_no_rows_is_refused(inside: Run) -> None:
    done = inside("layouts", RUN, "--top", "0")
    assert done.returncode == 2
    assert "--top" in done.stderr


def test_a_share_of_the_layers_is_recomputed_where_it_is_given() -> None:
    mode = "cluster.layout.recompute=full"
    whole = plan(RUN, draws=0, overrides=[mode]).to_dict()
    steps = {
        share: plan(RUN, draws=0, overrides=[mode, f"cluster.layout.recompute_share={share}"]).to_dict()
        for share in (0, 0.5, 1)
    }
    assert whole["step"] == steps[1]["step"]
    for section, key, sign in (("step", "step_seconds", 1), ("memory", "activations_bytes", -1)):
        values = [sign * steps[share][section][key] for share in (0, 0.5, 1)]
        assert values == sorted(values)
        assert values[0] < values[1] < values[2]
    assert steps[0.5]["layout"]["recompute_share"] == 0.5
    assert layout_words(steps[0.5]["layout"])[-1] == "recompute full in 50 % of the layers"
    assert layout_words(steps[1]["layout"])[-1] == "recompute full"


def test_more_than_all_layers_are_refused() -> None:
    with pytest.raises(InputError, match="recompute_share"):
        plan(RUN, overrides=["cluster.layout.recompute_share=1.5"])


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (
            "{shard_ranks: 7}",
            "shard_ranks: 7 ranks do not divide the 384 that there are to shard over; one of 1, 2, 3, 4",
        ),
        ("{shard_ranks: 32, tensor: 8, pipeline: 2}", "shard_ranks: 32 ranks do not divide the 24 that there are"),
        (
            "{shard_ranks: 32, sharding: none}",
            "shard_ranks: means nothing: nothing is sharded; with sharding: optimizer",
        ),
        (
            "{recompute_share: 0.5}",
            "recompute_share: means nothing: it says of which layers, but not what; with recompute",
        ),
        ("{recompute_share: 0.5, recompute: none}", "recompute_share: means nothing: no layer is recomputed"),
    ],
)
def test_keys_that_go_with_nothing_are_refused(layout: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        plan(RUN, overrides=[f"cluster.layout={layout}"])
    assert f"cluster.layout.{message}" in str(caught.value)


def test_a_layout_as_a_plan_prints_it_is_accepted() -> None:
    """Plans print what is not used too: a share of no recomputation, shards over all ranks."""
    printed = {"recompute": "none", "recompute_share": 1.0, "shard_ranks": 0, "sharding": "none"}
    made = plan("gpt2-124m", draws=0, overrides=[f"cluster.layout={json.dumps(printed)}"]).to_dict()
    assert printed.items() <= made["layout"].items()
