"""The closed-form optimum and its band against brute force on the law itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from costsim.scaling.laws import Law, predicted_loss
from costsim.scaling.optimal import optimal_parameters, optimal_tokens, optimum_for_loss, size_band

PLAIN = Law("plain", E=1.8172, A=482.01, B=2085.43, alpha=0.3478, beta=0.3658)
LAWS = [
    PLAIN,
    replace(PLAIN, k=0.4, A=3e5, B=4e7, alpha=0.8, beta=0.9),
    replace(PLAIN, E=0.0, A=1.5384530695e10, B=1.8e13, alpha=0.73786408, beta=1.0, k=0.103),
    replace(PLAIN, scale=1.3),
]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("flops", [1e18, 5.8e23, 3.8e25])
def test_closed_form_is_the_minimum_of_a_grid(law: Law, flops: float) -> None:
    best = float(optimal_parameters(law, flops))
    grid = best * np.exp(np.linspace(-3.0, 3.0, 60_001))
    losses = predicted_loss(law, grid, flops / (6.0 * grid))
    assert grid[np.argmin(losses)] == pytest.approx(best, rel=2e-4)  # the grid's step is 1e-4


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("flops", [1e18, 5.8e23, 3.8e25])
def test_band_ends_lie_exactly_half_a_per_cent_above(law: Law, flops: float) -> None:
    best = optimal_parameters(law, flops)
    least = predicted_loss(law, best, optimal_tokens(flops, best))
    low, high = size_band(law, flops)
    assert low < best < high
    for size in (low, high):
        assert predicted_loss(law, size, flops / (6.0 * size)) == pytest.approx(1.005 * least, rel=1e-10)


def test_tokens_spend_the_compute() -> None:
    size = optimal_parameters(PLAIN, 1e24)
    assert 6.0 * size * optimal_tokens(1e24, size) == pytest.approx(1e24, rel=1e-14)


@pytest.mark.parametrize("law", LAWS)
def test_cheapest_model_for_a_loss_is_the_optimum_at_its_compute(law: Law) -> None:
    size = optimal_parameters(law, 1e23)
    tokens = optimal_tokens(1e23, size)
    found = optimum_for_loss(law, predicted_loss(law, size, tokens))
    assert found == pytest.approx((size, tokens), rel=1e-9)


def test_a_loss_below_the_floor_is_never_reached() -> None:
    assert optimum_for_loss(PLAIN, 1.8) == (np.inf, np.inf)
    sizes, _ = optimum_for_loss(PLAIN, np.array([1.8, 2.0]))
    assert np.isinf(sizes).tolist() == [True, False]


def test_arrays_of_laws_and_compute_broadcast() -> None:
    law = replace(PLAIN, alpha=np.array([0.34, 0.35]), beta=np.array([0.36, 0.37]))
    assert np.shape(optimal_parameters(law, 1e23)) == (2,)
    low, high = size_band(law, np.array([[1e21], [1e24], [1e27]]))
    assert np.shape(low) == np.shape(high) == (3, 2)
    one = size_band(replace(PLAIN, alpha=0.35, beta=0.37), 1e24)
    assert (low[1, 1], high[1, 1]) == pytest.approx(one, rel=1e-12)
