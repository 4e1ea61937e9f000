"""The fit that ships, its priors, the errors that it leaves, and the intervals that are made of them."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.evidence.cases import accelerator
from costsim.evidence.table import shipped
from costsim.fitting import folds
from costsim.fitting.priors import priors
from costsim.fitting.step_time import STEP, Problem, base_model, fit, weights
from costsim.inputs.catalogue import data_text
from costsim.inputs.fits import REGIMES, left_out_by, left_out_fits, near_duplicates, step_fits
from costsim.inputs.intervals import LEVELS, WITHIN_SOURCE, Errors, class_of, errors, quantiles
from costsim.training.adjust import HANDLES

CLASSES = ("experts", "layout", "no layout")


@pytest.fixture(scope="module")
def data() -> folds.Evidence:
    return folds.evidence(priors())


@pytest.fixture(scope="module")
def some(data: folds.Evidence) -> Problem:
    """Rows whose layout is printed whole, every sixth: no search."""
    found = [i for i, c in enumerate(data.problem.cases) if c.layout_settled][::6]
    cases = [data.problem.cases[i] for i in found]
    problem = Problem(cases, data.problem.log_measured[found], data.problem.weights[found], priors())
    problem.choose(range(len(cases)), np.zeros(len(problem.names)))
    return problem


# --- what ships -------------------------------------------------------------------------------------------------------


def test_parameters_are_fewer_than_rows_and_have_meanings(data: folds.Evidence) -> None:
    names = data.problem.names
    assert len(names) < len(data.rows)
    assert {handle for _, _, handle in names} <= set(HANDLES)
    spreads = priors().spreads
    assert all(handle in spreads[kind] for kind, _, handle in names)
    assert set(step_fits().shipped) <= set(names)
    assert set(next(iter(left_out_fits()["new_stack"].values()))) == set(names)


def test_every_row_is_left_out_once_by_each_regime(data: folds.Evidence) -> None:
    made = folds.partitions(data, priors())
    assert tuple(made) == REGIMES
    for regime, parts in made.items():
        keys = [key for part in parts for key in part]
        own = {left_out_by(regime, row, c.stack) for row, c in zip(data.rows, data.problem.cases, strict=True)}
        assert sorted(keys) == sorted(own)
        assert set(left_out_fits()[regime]) == own


def test_what_is_left_out_takes_its_second_printing_along(data: folds.Evidence) -> None:
    twice = [row for row in data.rows if row.get("duplicate_key")]
    others = {}
    for row in twice:
        others.setdefault(row["duplicate_key"], set()).add(row["source_group"])
    told = [(key, groups) for key, groups in others.items() if len(groups) > 1]
    assert told
    for key, groups in told:
        for group in groups:
            out = folds.out_of(data, "new_source", [group])
            assert all(o for row, o in zip(data.rows, out, strict=True) if row.get("duplicate_key") == key)


def test_a_stack_that_was_left_out_has_no_parameters_of_its_own() -> None:
    for stack, values in left_out_fits()["new_stack"].items():
        scopes = {("stack", stack), ("trend of stack", stack)}
        own = [v for (kind, name, _), v in values.items() if (kind, name) in scopes or name.startswith(f"{stack} on ")]
        assert np.allclose(own, 0, atol=1e-3), stack


def test_shipped_spreads_are_those_of_the_shipped_errors() -> None:
    regimes = json.loads(data_text("fits/errors.json")[1])["regimes"]
    assert {regime: folds.spreads(rows) for regime, rows in regimes.items()} == step_fits().spread
    for regime in REGIMES:
        for name in CLASSES:
            logs = [row[2] for row in regimes[regime] if row[0] == name]
            inside = np.mean(np.array(logs) <= 1.6448536 * step_fits().spread[regime][name] + 1e-4)
            assert inside == pytest.approx(0.9, abs=0.02)


def test_shipped_errors_are_those_of_the_shipped_folds(data: folds.Evidence) -> None:
    """Of every fortieth row, by all three regimes."""
    picked = list(range(0, len(data.rows), 40))
    problem = data.problem
    part = folds.Evidence(
        [data.rows[i] for i in picked],
        Problem([problem.cases[i] for i in picked], problem.log_measured[picked], problem.weights[picked], priors()),
    )
    made = json.loads(data_text("fits/step_folds.json")[1])
    saved = json.loads(data_text("fits/errors.json")[1])["regimes"]
    for regime, rows in folds.errors(part, made)["regimes"].items():
        kept = [saved[regime][i] for i in picked]
        assert [row[:2] for row in rows] == [row[:2] for row in kept]
        assert [row[2] for row in rows] == pytest.approx([row[2] for row in kept], abs=2e-4), regime


# --- the method -------------------------------------------------------------------------------------------------------


def test_slopes_are_those_of_finite_differences(some: Problem) -> None:
    rows = list(range(0, len(some.cases), 8))
    at = np.zeros(len(some.names))
    error, slope = some.errors(rows, at)
    for parameter in np.flatnonzero(np.abs(slope).max(axis=0) > 0.05)[:6]:
        moved = at.copy()
        moved[parameter] = STEP
        found = (some.errors(rows, moved)[0] - error) / STEP
        assert slope[:, parameter] == pytest.approx(found, abs=0.02)


def test_a_fit_lessens_what_it_minimises(some: Problem) -> None:
    def objective(values: np.ndarray) -> float:
        error = np.abs(some.errors(range(len(some.cases)), values)[0])
        h = priors().huber
        loss = np.where(error < h, error**2 / 2, h * (error - h / 2)) / priors().row_spread ** 2
        return float(some.weights @ loss + (values**2 / some.spread**2).sum() / 2)

    found = fit(some, np.zeros(len(some.cases), dtype=bool))
    assert objective(found) < 0.8 * objective(np.zeros(len(found)))
    rng = np.random.default_rng(0)
    near = [objective(found + 0.02 * rng.standard_normal(len(found))) for _ in range(8)]
    assert objective(found) < min(near)


def test_rows_that_are_left_out_are_not_seen(some: Problem) -> None:
    out = np.zeros(len(some.cases), dtype=bool)
    out[::2] = True
    before = fit(some, out)
    other = Problem(some.cases, np.where(out, some.log_measured + 5, some.log_measured), some.weights, some.priors)
    assert fit(other, out) == pytest.approx(before)
    assert fit(other, ~out) != pytest.approx(before, abs=0.01)


def test_with_nothing_to_see_the_priors_stay(some: Problem) -> None:
    assert not fit(some, np.ones(len(some.cases), dtype=bool)).any()


def test_weights_are_shared_and_less_where_flagged(data: folds.Evidence) -> None:
    case = data.problem.cases[0]
    assert weights([case] * 4, ["", "", "", "precision unknown"], priors()) == pytest.approx([0.5, 0.5, 0.5, 0.15])
    assert weights([case], ["something else"], priors())[0] == priors().flags["default"]


@pytest.mark.parametrize(
    ("model", "base"), [("Llama-3.1-8B", "llama-3.1"), ("GPT 175B v2", "gpt"), ("gpt3-1.3b", "gpt3"), ("bert", "bert")]
)
def test_base_of_a_models_name(model: str, base: str) -> None:
    assert base_model({"model": model}) == base


def test_a_chips_spread_is_that_of_its_kernels_within_limits() -> None:
    settings = priors()
    for name in {case.accelerator.name for case in folds.evidence(settings).problem.cases[::20]}:
        assert settings.chip.least <= settings.chip_spread(name) <= max(settings.chip.most, 0.06)
    low, high = accelerator("h100-sxm").matmul_kernel("bf16").efficiency.interval90()
    expected = np.clip(math.log(high / low) / 3.29, settings.chip.least, settings.chip.most)
    assert settings.chip_spread("h100-sxm") == pytest.approx(expected)


def test_near_duplicates_share_source_model_and_hardware() -> None:
    row = {"source_group": "a", "model": "M-7B", "hardware": "H100", "tp": "1"}
    assert near_duplicates(row) == near_duplicates(row | {"tp": "8", "model": "m-7b"})
    assert len({near_duplicates(row | change) for change in ({}, {"source_group": "b"}, {"hardware": "A100"})}) == 3


# --- intervals --------------------------------------------------------------------------------------------------------


@given(
    st.floats(1e-6, 1e9),
    st.sampled_from(REGIMES),
    st.sampled_from(CLASSES),
    st.sampled_from(["", *sorted({row.cells["source_group"] for row in shipped("throughput").rows})]),
)
def test_quantiles_are_ordered_around_the_centre(centre: float, regime: str, of_class: str, group: str) -> None:
    found = quantiles(centre, regime, of_class, group)
    assert list(found) == list(LEVELS)
    values = list(found.values())
    assert values == sorted(values)
    assert found["p25"] <= centre <= found["p75"]
    assert found["p5"] * found["p95"] == pytest.approx(centre**2)


def test_the_errors_of_a_rows_own_group_do_not_count() -> None:
    table = Errors(np.array(["layout"] * 4), np.array(["a", "a", "b", "b"]), np.array([9.0, 9.0, 0.1, 0.2]))
    assert table.half_width(0.8, "layout", "a") <= 0.2
    assert table.half_width(0.8, "layout", "b") == 9
    assert table.half_width(0.8, "layout") > 0.2


def test_shares_are_raised_for_a_finite_sample() -> None:
    """Rank (n + 1) p of n for sources of one row each (conformal prediction); fewer than n where they are of one."""
    logs = np.arange(1, 10) / 10
    same, own = np.array(["a"] * 9), np.array(list("abcdefghi"))
    apart, together = (Errors(np.array(["layout"] * 9), groups, logs) for groups in (own, same))
    assert apart.half_width(0.5, "layout") == pytest.approx(np.quantile(logs, 0.5 * 10 / 9))
    effective = 9 / (1 + 8 * WITHIN_SOURCE)
    assert together.half_width(0.5, "layout") == pytest.approx(np.quantile(logs, 0.5 * (1 + 1 / effective)))
    assert apart.half_width(0.95, "layout") == together.half_width(0.95, "layout") == 0.9


@pytest.mark.parametrize("of_class", ["layout", "no layout"])
def test_intervals_are_narrower_the_more_is_known(of_class: str) -> None:
    """Of dense models. Those with experts have too few sources to tell the regimes apart: no order is claimed there."""
    known, source, stack = (errors()[regime].half_width(0.8, of_class) for regime in REGIMES)
    assert known < source < stack
    known, source, stack = (step_fits().spread[regime][of_class] for regime in REGIMES)
    assert known < source < stack


@pytest.mark.parametrize("experts", [False, True])
@pytest.mark.parametrize(("known", "regime"), [(True, "new_source"), (False, "new_stack")])
def test_the_doubt_of_a_plan_is_that_of_its_regime(experts: bool, known: bool, regime: str) -> None:
    assert step_fits().residual(known, experts) == step_fits().spread[regime]["experts" if experts else "layout"] > 0


def test_classes() -> None:
    assert [class_of(*pair) for pair in ((True, True), (False, True), (True, False), (False, False))] == [
        "experts", "experts", "layout", "no layout",
    ]  # fmt: skip
