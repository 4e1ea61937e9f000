"""Coefficients from timed components: what was put in comes out, and what cannot be known is said."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import BANDWIDTH, DESIGNED, TRUTH, linears, true, work
from hypothesis import given, settings
from hypothesis import strategies as st

from costsim.training.components import NAMES, part_seconds, step_seconds, step_spread
from costsim.training.identify import Prior, TimedLinear, TimedStep, identify, nonnegative

MISFIT = {"blocks": 0.04, "head": 0.05, "optimizer": 0.06, "embedding": 0.2, "linear": 0.08}


def prior(factor: float = 1.0, spread: float = 0.5) -> Prior:
    return Prior(TRUTH * factor, np.full(len(NAMES), spread), MISFIT, 0.03, BANDWIDTH)


UNSEEN = [work(8, 512, 64, 1408, 12288, 512, 4), work(12, 384, 128, 1024, 30000, 256, 1)]


def steps(values=TRUTH, noise=None) -> list[TimedStep]:
    found = []
    for one in DESIGNED:
        parts = part_seconds(true(values), one)
        found.append(TimedStep(one, {part: s * (noise() if noise else 1.0) for part, s in parts.items()}))
    return found


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5])
def test_unseen_shapes_are_predicted_whatever_the_prior_says(factor):
    c = identify(steps(), linears(), prior(factor, spread=1.0))
    for one in UNSEEN:
        assert step_seconds(c, one) == pytest.approx(step_seconds(true(), one), rel=0.05)


def test_the_spread_covers_the_errors_of_noisy_measurements():
    dice = np.random.default_rng(1)
    inside = []
    for _ in range(60):
        c = identify(steps(noise=lambda: float(np.exp(0.04 * dice.standard_normal()))), linears(), prior(0.9))
        for one in UNSEEN:
            error = np.log(step_seconds(c, one) / step_seconds(true(), one))
            inside.append(abs(error) < 1.2816 * step_spread(c, one))
    assert 0.75 <= np.mean(inside) <= 1.0


def test_a_coefficient_at_its_bound_is_not_identified_and_keeps_the_doubt_of_its_prior():
    place = NAMES.index("weight")
    open_minded = replace(prior(), spread=np.where(np.arange(len(NAMES)) == place, 3.0, 0.02))
    # Anchors that are faster than their FLOPs and launches alone leave no time for weights.
    fast = [TimedLinear(256, 512, 512, 3e-4 * share) for share in (0.98, 1.0, 1.02)]
    c = identify(steps(np.where(np.arange(len(NAMES)) == place, 0.0, TRUTH)), fast, open_minded)
    assert c.values[place] == 0.0
    assert not c.identified[place]
    assert np.sqrt(c.covariance[place, place]) >= 3.0 * TRUTH[place] * 0.999
    assert np.count_nonzero(c.covariance[place]) == 1


def test_better_measurements_narrow_the_spread():
    sharp = replace(prior(), misfit={part: value / 4 for part, value in MISFIT.items()})
    wide, narrow = identify(steps(), linears(), prior()), identify(steps(), linears(), sharp)
    assert all(step_spread(narrow, one) < step_spread(wide, one) for one in UNSEEN)


@given(st.integers(0, 10_000), st.integers(3, 12), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_nonnegative_least_squares_meets_the_conditions_of_its_minimum(seed, extra, unknowns):
    dice = np.random.default_rng(seed)
    matrix, wanted = dice.standard_normal((unknowns + extra, unknowns)), dice.standard_normal(unknowns + extra)
    found = nonnegative(matrix, wanted)
    slope = matrix.T @ (matrix @ found - wanted)  # Karush, Kuhn and Tucker: sufficient, as the problem is convex
    assert np.all(found >= 0)
    assert np.all(slope >= -1e-8)
    assert np.all(np.abs(found * slope) <= 1e-8)
