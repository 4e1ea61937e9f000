"""Ranges as people write them: intervals and the mappings of distributions."""

import numpy as np
import pytest

from costsim.inputs import quantity as q
from costsim.inputs.quantity import FieldError, format_quantity, kind_of, parse
from costsim.uncertainty.ranges import Range

DAY = 86400


def refusal(text, field):
    with pytest.raises(FieldError) as caught:
        parse(text, kind_of(field))
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "field", "low", "high"),
    [
        ("1.8 to 3.2 USD/h", q.UsdPerHourRange, 1.8, 3.2),
        ("1.8 USD/h to 3.2", q.UsdPerHourRange, 1.8, 3.2),
        ("1.8 USD/h to 3.2 USD/h", q.UsdPerHourRange, 1.8, 3.2),
        ("1.8 to 3.2", q.UsdPerHourRange, 1.8, 3.2),
        ("12 USD/day to 1 USD/h", q.UsdPerHourRange, 0.5, 1),
        ("500M to 1B USD", q.UsdRange, 5e8, 1e9),
        ("1 to 2M USD", q.UsdRange, 1e6, 2e6),
        ("500k to 2M", q.UsdNamedRange, 5e5, 2e6),
        ("5 min to 15 min", q.SecondsRange, 300, 900),
        ("5 to 15 min", q.SecondsRange, 300, 900),
        ("0.5T to 2T tokens/day", q.TokensPerSecondRange, 0.5e12 / DAY, 2e12 / DAY),
        ("30 to 50%", q.FractionRange, 0.3, 0.5),
        ("0.3 to 0.5", q.FractionRange, 0.3, 0.5),
        ("0% to 10%", q.FractionRange, 0, 0.1),
        ("3 to 10x/year", q.GrowthPerYearRange, 3, 10),
        ("1 per 50000 h to 1 per 20000 h", q.EventsPerHourRange, 2e-5, 5e-5),
        ("1   to   2 h", q.HoursRange, 1, 2),
        ("2 to 2 h", q.HoursRange, 2, 2),
        ("-1 to 2", q.AnyNumberRange, -1, 2),
    ],
)
def test_intervals(text, field, low, high):
    assert parse(text, kind_of(field)).interval90() == pytest.approx((low, high), rel=1e-12, abs=1e-15)


def test_the_family_of_an_interval():
    assert parse("30% to 50%", kind_of(q.FractionRange)).distribution == "logitnormal"
    assert parse("0.3 to 0.5", kind_of(q.PlainNumberRange)).distribution == "lognormal"
    assert parse("0 to 3 h", kind_of(q.HoursRange)).distribution == "normal"


def test_draws_keep_to_the_bounds_of_the_field():
    rng = np.random.default_rng(0)
    assert parse("0 to 3 h", kind_of(q.HoursRange)).sample(rng, 10_000).min() == 0
    assert parse("60% to 100%", kind_of(q.FractionRange)).sample(rng, 10_000).max() == 1
    normal = parse({"distribution": "normal", "mean": "2 h", "sd": "0.8 h"}, kind_of(q.YearsRange))
    assert normal.lower > 0
    assert normal.sample(rng, 10_000).min() == normal.lower


@pytest.mark.parametrize(
    ("text", "field", "message", "suggestion"),
    [
        ("3.2 to 1.8 USD/h", q.UsdPerHourRange, "'3.2 to 1.8 USD/h' runs from high to low", "1.8 to 3.2 USD/h"),
        ("1 to 2 to 3 h", q.HoursRange, "'1 to 2 to 3 h' has more than one 'to'", ""),
        ("1 to 2", q.Count, "'1 to 2' is a range, and this takes one number", ""),
        ("1-2 h", q.HoursRange, "'1-2 h' is no quantity", "1 to 2 h"),
        ("1 – 2 h", q.HoursRange, "'1 – 2 h' is no quantity", "1 to 2 h"),
        ("1..2 h", q.HoursRange, "'1..2 h' is no number", "1 to 2 h"),
        ("1 to x h", q.HoursRange, "'x h' is no number", ""),
        ("-1 to 2 h", q.HoursRange, "'-1 h' is out of bounds", ""),
        ("0 to 2 GiB", q.BytesRange, "'0 GiB' is out of bounds", ""),
        ("1e-20 to 1 h", q.HoursRange, "'1e-20 to 1 h' spans more than ten orders of magnitude", ""),
        ("1 h to 2 GiB", q.HoursRange, "'2 GiB' is a size in bytes, not a time", ""),
    ],
)
def test_intervals_that_are_refused(text, field, message, suggestion):
    problem = refusal(text, field)
    assert (problem.message, problem.suggestion) == (message, suggestion)


def test_ends_of_a_distribution_may_have_different_units():
    drawn = parse({"distribution": "uniform", "low": "30 min", "high": "1 h"}, kind_of(q.SecondsRange))
    assert drawn == Range("uniform", 1800.0, 3600.0, lower=0.0)


def test_distributions_by_quantiles_and_moments():
    hours = kind_of(q.HoursRange)
    by_quantiles = parse({"distribution": "lognormal", "p5": "2 h", "p95": "8 h"}, hours)
    assert by_quantiles.interval90() == pytest.approx((2, 8))
    by_quantiles = parse({"distribution": "normal", "p5": "2 h", "p95": "8 h"}, hours)
    assert by_quantiles.distribution == "normal"
    assert by_quantiles.interval90() == pytest.approx((2, 8))
    # Lognormal of mean 4 and sd 3: sigma^2 = ln(1 + 9/16), mu = ln 4 - sigma^2/2; the median is 4/sqrt(25/16) = 3.2.
    by_moments = parse({"distribution": "lognormal", "mean": "4 h", "sd": "3 h"}, hours)
    assert by_moments.centre() == pytest.approx(3.2)
    normal = parse({"distribution": "normal", "mean": "4 h", "sd": "1 h"}, hours)
    assert (normal.a, normal.b) == (4.0, 1.0)
    triangular = parse({"distribution": "triangular", "low": "1 h", "mode": "2 h", "high": "6 h"}, hours)
    assert (triangular.a, triangular.b, triangular.c) == (1.0, 2.0, 6.0)
    # Beta of mean 0.4 and sd 0.2: a + b = 0.24/0.04 - 1 = 5.
    beta = parse({"distribution": "beta", "mean": "40%", "sd": 0.2}, kind_of(q.FractionRange))
    assert (beta.a, beta.b) == pytest.approx((2.0, 3.0))
    assert parse({"distribution": "beta", "alpha": 2, "beta": 3}, kind_of(q.FractionRange)).a == 2.0


@pytest.mark.parametrize(
    ("mapping", "field", "path", "message"),
    [
        ({"low": 1, "high": 2}, q.HoursRange, "", "a range as a mapping needs the key 'distribution'"),
        ({"distribution": "beto", "alpha": 1}, q.FractionRange, "distribution", "unknown distribution 'beto'"),
        ({"distribution": 5}, q.FractionRange, "distribution", "unknown distribution '5'"),
        (
            {"distribution": "uniform", "low": "1 h"},
            q.HoursRange,
            "",
            "a uniform range is given by low and high, not by 'low'",
        ),
        (
            {"distribution": "normal", "mean": "1 h", "p95": "2 h"},
            q.HoursRange,
            "",
            "a normal range is given by mean and sd or p5 and p95, not by 'mean, p95'",
        ),
        (
            {"distribution": "uniform", "low": "1 h", "high": "2 W"},
            q.HoursRange,
            "high",
            "'2 W' is a power, not a time",
        ),
        ({"distribution": "uniform", "low": "2 h", "high": "1 h"}, q.HoursRange, "low", "low, high must ascend"),
        ({"distribution": "normal", "mean": "1 h", "sd": "0 h"}, q.HoursRange, "sd", "'0 h' is out of bounds"),
        (
            {"distribution": "normal", "mean": "1 h", "sd": "2 h"},
            q.HoursRange,
            "",
            "much of the normal range is out of bounds",
        ),
        (
            {"distribution": "lognormal", "p5": "0 h", "p95": "1 h"},
            q.HoursRange,
            "p5",
            "a lognormal range is of positive numbers",
        ),
        ({"distribution": "beta", "alpha": 2, "beta": 3}, q.HoursRange, "distribution", "a beta range is of fractions"),
        ({"distribution": "beta", "alpha": 2, "beta": -3}, q.FractionRange, "beta", "'-3' is out of bounds"),
        (
            {"distribution": "beta", "mean": 0.5, "sd": 0.5},
            q.FractionRange,
            "",
            "no beta distribution has this mean and sd",
        ),
        ({"distribution": "uniform", "low": "1 to 2 h", "high": "3 h"}, q.HoursRange, "low", "unknown unit 'to 2 h'"),
        (
            {"distribution": "lognormal", "mean": 0.9, "sd": 0.3},
            q.FractionRange,
            "",
            "much of the lognormal range is out of bounds",
        ),
    ],
)
def test_distributions_that_are_refused(mapping, field, path, message):
    problem = refusal(mapping, field)
    assert (problem.path, problem.message) == (path, message)


def test_every_problem_of_a_distribution_is_told():
    with pytest.raises(FieldError) as caught:
        parse({"distribution": "triangular", "low": "1 W", "mode": "2 h", "high": "x"}, kind_of(q.HoursRange))
    assert [problem.path for problem in caught.value.problems] == ["low", "high"]


@pytest.mark.parametrize(
    ("written", "field", "text"),
    [
        ("1.8 to 3.2 USD/h", q.UsdPerHourRange, "1.8 to 3.2 USD/h"),
        ("500M to 1B USD", q.UsdRange, "500M to 1B USD"),
        ("1 to 2M USD", q.UsdRange, "1M to 2M USD"),
        ("30% to 50%", q.FractionRange, "30% to 50%"),
        ("0 to 10%", q.FractionRange, "0% to 10%"),
        ("5 us to 5 ms", q.SecondsRange, "5 us to 5 ms"),
        (
            {"distribution": "normal", "p5": "1 h", "p95": "3 h"},
            q.HoursRange,
            "{distribution: normal, p5: 1 h, p95: 3 h}",
        ),
        (
            {"distribution": "uniform", "low": "1 h", "high": "3 h"},
            q.HoursRange,
            "{distribution: uniform, low: 1 h, high: 3 h}",
        ),
        ({"distribution": "beta", "alpha": 2, "beta": 5}, q.FractionRange, "{distribution: beta, alpha: 2, beta: 5}"),
        (
            {"distribution": "triangular", "low": "1 h", "mode": "2 h", "high": "3 h"},
            q.HoursRange,
            "{distribution: triangular, low: 1 h, mode: 2 h, high: 3 h}",
        ),
    ],
)
def test_writing_a_range(written, field, text):
    assert format_quantity(parse(written, kind_of(field)), kind_of(field)) == text
