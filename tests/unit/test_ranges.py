"""Ranges: medians, 90 % intervals and draws of each family."""

import math

import numpy as np
import pytest

from costsim.uncertainty.ranges import Range, beta_cumulative

FAMILIES = [
    Range.interval(1.8, 3.2),
    Range.interval(0.3, 0.6, fraction=True),
    Range.interval(-1.0, 4.0),
    Range("uniform", 2.0, 5.0),
    Range("triangular", 1.0, 2.0, 6.0),
    Range("triangular", 1.0, 1.0, 6.0),
    Range("beta", 2.0, 5.0),
    Range("beta", 200.0, 3.0),
]


@pytest.mark.parametrize("drawn", FAMILIES, ids=str)
def test_draws_have_the_median_and_the_interval(drawn):
    values = drawn.sample(np.random.default_rng(0), 100_000)
    low, high = drawn.interval90()
    assert values.shape == (100_000,)
    # The standard error of a share of n draws is sqrt(p (1 - p) / n): 0.0007 at 5 %, 0.0016 at 50 %. Four of them.
    assert np.mean(values < low) == pytest.approx(0.05, abs=0.003)
    assert np.mean(values > high) == pytest.approx(0.05, abs=0.003)
    assert np.mean(values < drawn.centre()) == pytest.approx(0.5, abs=0.0064)


@pytest.mark.parametrize(
    ("low", "high", "fraction"), [(1.8, 3.2, False), (0.3, 0.6, True), (-1, 4, False), (0, 4, False)]
)
def test_an_interval_is_the_interval_that_was_written(low, high, fraction):
    assert Range.interval(low, high, fraction).interval90() == pytest.approx((low, high), rel=1e-12, abs=1e-15)


def test_family_of_an_interval_follows_its_ends():
    assert Range.interval(0.3, 0.6).distribution == "lognormal"
    assert Range.interval(0.3, 0.6, fraction=True).distribution == "logitnormal"
    assert Range.interval(0.3, 1.0, fraction=True).distribution == "lognormal"  # 1 has no logit
    assert Range.interval(0.0, 0.6, fraction=True).distribution == "normal"
    assert Range.interval(-1.0, 1.0).distribution == "normal"


def test_centre_of_an_interval():
    assert Range.interval(1.8, 3.2).centre() == pytest.approx(2.4)  # lognormal: sqrt(1.8 x 3.2) = sqrt(5.76)
    assert Range.interval(-1.0, 4.0).centre() == pytest.approx(1.5)  # normal: the middle
    # Logit-normal: odds 1/4 and 4 have the geometric mean 1, which is 50 %.
    assert Range.interval(0.2, 0.8, fraction=True).centre() == pytest.approx(0.5)


def test_centre_of_the_other_families():
    assert Range("uniform", 2.0, 5.0).centre() == 3.5
    # Triangular 1, 2, 6: the share below the mode is 1/5, so 1/2 lies above: 6 - sqrt(0.5 x 5 x 4) = 6 - sqrt(10).
    assert Range("triangular", 1.0, 2.0, 6.0).centre() == pytest.approx(6 - math.sqrt(10))
    # Triangular 1, 5, 6: 4/5 lie below the mode: 1 + sqrt(0.5 x 5 x 4).
    assert Range("triangular", 1.0, 5.0, 6.0).centre() == pytest.approx(1 + math.sqrt(10))
    assert Range("beta", 3.0, 3.0).centre() == pytest.approx(0.5)
    # Beta(1, b) has the cumulative 1 - (1 - x)^b: the median for b = 2 is 1 - sqrt(1/2).
    assert Range("beta", 1.0, 2.0).centre() == pytest.approx(1 - math.sqrt(0.5))


def test_bounds_cut_draws_and_quantiles_and_leave_the_rest():
    free = Range.interval(0.0, 0.1, fraction=True)
    bound = Range.interval(0.0, 0.1, fraction=True, lower=0.0, upper=1.0)
    loose, cut = (drawn.sample(np.random.default_rng(1), 10_000) for drawn in (free, bound))
    assert loose.min() < 0
    assert cut.min() == 0
    assert np.array_equal(cut, np.maximum(loose, 0))
    assert bound.centre() == free.centre() == pytest.approx(0.05)
    assert bound.quantile(0.01) == 0.0


@pytest.mark.parametrize(
    "drawn",
    [
        Range.interval(2.0, 2.0),
        Range("triangular", 2.0, 2.0, 2.0),
        Range("uniform", 2.0, 2.0),
        Range.interval(-2.0, -2.0),
    ],
)
def test_a_range_without_width_is_a_number(drawn):
    expected = -2.0 if drawn.a == -2.0 else 2.0
    assert drawn.centre() == pytest.approx(expected)
    assert drawn.sample(np.random.default_rng(0), 3) == pytest.approx([expected] * 3)


@pytest.mark.parametrize(("low", "high"), [(2.0, 1.0), (math.nan, 1.0), (0.0, math.inf)])
def test_what_is_no_interval_is_refused(low, high):
    with pytest.raises(ValueError, match="is not an interval"):
        Range.interval(low, high)


@pytest.mark.parametrize("x", [-0.5, 0.0, 1.0, 1.5])
def test_the_beta_cumulative_outside_its_support(x):
    assert beta_cumulative(x, 2.0, 3.0) == (0.0 if x <= 0 else 1.0)


def test_the_beta_cumulative_of_polynomials():
    for x in (0.01, 0.2, 0.5, 0.9):
        # I_x(2, 3) = sum over j = 2..4 of C(4, j) x^j (1-x)^(4-j)
        exact = 6 * x**2 * (1 - x) ** 2 + 4 * x**3 * (1 - x) + x**4
        assert beta_cumulative(x, 2.0, 3.0) == pytest.approx(exact, rel=1e-12)


def test_the_beta_cumulative_of_large_and_small_parameters():
    assert beta_cumulative(0.5, 1e5, 1e5) == pytest.approx(0.5, rel=1e-9)
    assert beta_cumulative(0.5, 0.01, 0.01) == pytest.approx(0.5, rel=1e-9)
