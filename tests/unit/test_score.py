"""Scores against definitions written another way, and properties that any score of errors has."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.validation.score import DEFAULT_MFU, Records, best_constant, constants, lost, scores

MFUS = st.lists(st.floats(0.02, 0.95), min_size=1, max_size=25)


def records(measured, predicted, spread=0.1, constant=None, model=None) -> Records:
    measured, predicted = np.asarray(measured, float), np.asarray(predicted, float)
    z = {"p5": -1.6449, "p10": -1.2816, "p25": -0.6745, "p75": 0.6745, "p90": 1.2816, "p95": 1.6449}
    count = len(measured)
    return Records(
        measured=measured,
        predicted=predicted,
        **{name: predicted * np.exp(spread * each) for name, each in z.items()},
        constant=np.full(count, np.nan) if constant is None else np.asarray(constant, float),
        group=np.array(["g"] * count),
        model=np.array(model or [f"m{i}" for i in range(count)]),
    )


def test_scores_worked_by_hand():
    found = scores(records([1.0, 1.0, 2.0, 4.0], [1.1, 0.8, 2.0, 5.0], spread=0.1, constant=[1.5, np.nan, 2.0, 4.0]))
    assert found["n"] == 4
    assert found["median_abs_error"] == pytest.approx(0.15)  # of 0, 0.1, 0.2, 0.25
    assert found["p90_abs_error"] == pytest.approx(0.235)
    assert found["mean_abs_error"] == pytest.approx(0.1375)
    assert found["bias"] == pytest.approx(0.05)  # of -0.2, 0, 0.1, 0.25
    assert found["coverage_50"] == 0.25
    assert found["coverage_80"] == 0.5  # exp(0.128) is 1.137
    assert found["coverage_90"] == 0.5
    assert found["median_width_80"] == pytest.approx(np.exp(2 * 0.12816), rel=1e-4)
    assert found["constant_median_abs_error"] == 0.0  # of 0.5, 0, 0: rows without a constant are left out


def test_no_rows_have_no_scores():
    found = scores(records([], []))
    assert found.pop("n") == 0
    assert set(found.values()) == {None}


def test_calibrated_intervals_cover_what_they_promise():
    rng = np.random.default_rng(1)
    measured = np.exp(0.1 * rng.standard_normal(20_000))
    found = scores(records(measured, np.ones_like(measured), spread=0.1))
    assert found["coverage_50"] == pytest.approx(0.5, abs=0.012)
    assert found["coverage_80"] == pytest.approx(0.8, abs=0.012)
    assert found["coverage_90"] == pytest.approx(0.9, abs=0.012)


@given(st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=30), st.floats(0.01, 100))
def test_units_and_order_change_no_score(pairs, factor):
    measured, predicted = map(np.array, zip(*pairs, strict=True))
    first = scores(records(measured, predicted))
    other = scores(records(measured[::-1] * factor, predicted[::-1] * factor))
    assert {k: v for k, v in first.items() if v is not None and not k.startswith("coverage")} == pytest.approx(
        {k: v for k, v in other.items() if v is not None and not k.startswith("coverage")}, rel=1e-9, abs=1e-12
    )


@given(MFUS)
def test_the_constant_is_as_good_as_any_of_a_fine_grid(mfu):
    """For an odd number of rows it is the best there is; with an even number the median is a mean of two."""
    mfu = np.array(mfu if len(mfu) % 2 else mfu[:-1] or [0.5])
    mfu = mfu if len(mfu) % 2 else mfu[:-1]
    chosen = best_constant(mfu)
    grid = np.concatenate([np.geomspace(0.01, 1.0, 2001), (mfu[:, None] + mfu).ravel() / 2.0])
    best = np.median(np.abs(mfu[:, None] / grid - 1.0), axis=0).min()
    assert np.median(np.abs(mfu / chosen - 1.0)) <= best + 1e-9


@given(MFUS)
def test_the_constant_lies_among_the_rows(mfu):
    assert min(mfu) <= best_constant(np.array(mfu)) * (1 + 1e-12)
    assert best_constant(np.array(mfu)) <= max(mfu) * (1 + 1e-12)


def test_the_constant_is_that_of_other_groups_of_the_chip_and_precision():
    h, a = ("H100", "bf16"), ("A100", "bf16")
    elsewhere = {h: {"x": np.array([0.5]), "y": np.array([0.2])}, a: {"x": np.array([0.3])}}
    found = constants(np.array([1.0, 1.0, 1.0, np.nan]), [h, h, a, h], ["x", "y", "x", "x"], elsewhere)
    assert found[:3] == pytest.approx([1 / 0.2, 1 / 0.5, 1 / DEFAULT_MFU])  # nobody else has the A100
    assert np.isnan(found[3])


def test_a_group_is_lost_by_more_than_two_points_five_rows_and_two_models():
    measured, predicted = np.ones(5), np.full(5, 1.10)
    assert lost(records(measured, predicted, constant=np.full(5, 1.07)))
    assert not lost(records(measured, predicted, constant=np.full(5, 1.085)))
    assert not lost(records(measured, predicted, constant=np.full(5, 1.07), model=["m"] * 5))
    assert not lost(records(measured[:4], predicted[:4], constant=np.full(4, 1.07)))
    assert not lost(records(measured, predicted))
