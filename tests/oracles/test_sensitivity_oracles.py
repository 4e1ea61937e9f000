"""Sobol' indices against closed forms, and against SALib where it is installed."""

import math

import numpy as np
import pytest

from costsim.uncertainty.ranges import Range
from costsim.uncertainty.sensitivity import indices, tornado

POINTS = 2048


def ishigami(x):
    """Ishigami and Homma 1990, a = 7 and b = 0.1, of inputs uniform on (-pi, pi)."""
    return {"y": np.sin(x["a"]) + 7 * np.sin(x["b"]) ** 2 + 0.1 * x["c"] ** 4 * np.sin(x["a"])}


ISHIGAMI_INPUTS = {name: Range("uniform", -math.pi, math.pi) for name in "abc"}
# Variance by parts: a**2/8 + b*pi**4/5 + b**2*pi**8/18 + 1/2 with a = 7, b = 0.1
_FIRST_A = 0.5 * (1 + 0.1 * math.pi**4 / 5) ** 2
_FIRST_B = 49 / 8
_BOTH_AC = 0.01 * math.pi**8 * (1 / 18 - 1 / 50)
_ALL = _FIRST_A + _FIRST_B + _BOTH_AC
ISHIGAMI = {
    "a": (_FIRST_A / _ALL, (_FIRST_A + _BOTH_AC) / _ALL),
    "b": (_FIRST_B / _ALL, _FIRST_B / _ALL),
    "c": (0.0, _BOTH_AC / _ALL),
}

G_WEIGHTS = (0.0, 1.0, 4.5, 9.0, 99.0, 99.0)


def g_function(x):
    """Sobol' 1998: a product of (|4x - 2| + a) / (1 + a) of inputs uniform on (0, 1)."""
    return {"y": np.prod([(np.abs(4 * x[str(i)] - 2) + a) / (1 + a) for i, a in enumerate(G_WEIGHTS)], axis=0)}


def g_indices():
    parts = np.array([1 / (3 * (1 + a) ** 2) for a in G_WEIGHTS])
    total = np.prod(1 + parts) - 1
    return {str(i): (p / total, p * np.prod(1 + np.delete(parts, i)) / total) for i, p in enumerate(parts)}


G_INPUTS = {str(i): Range("uniform", 0.0, 1.0) for i in range(len(G_WEIGHTS))}
CASES = [(ishigami, ISHIGAMI_INPUTS, ISHIGAMI), (g_function, G_INPUTS, g_indices())]


@pytest.mark.parametrize(("model", "inputs", "exact"), CASES, ids=["ishigami", "g-function"])
def test_indices_against_their_closed_forms(model, inputs, exact):
    found = {index.path: index for index in indices(model, inputs, POINTS, 0)["y"]}
    for path, (first, total) in exact.items():
        assert found[path].first_order == pytest.approx(first, abs=0.02), path
        assert found[path].total_order == pytest.approx(total, abs=0.02), path


@pytest.mark.parametrize(("model", "inputs", "exact"), CASES, ids=["ishigami", "g-function"])
def test_indices_against_salib(model, inputs, exact):
    sample = pytest.importorskip("SALib.sample.sobol")
    analyse = pytest.importorskip("SALib.analyze.sobol")
    bounds = [[item.a, item.b] for item in inputs.values()]
    problem = {"num_vars": len(inputs), "names": list(inputs), "bounds": bounds}
    points = sample.sample(problem, POINTS, calc_second_order=False, seed=1)
    y = model(dict(zip(inputs, points.T, strict=True)))["y"]
    theirs = analyse.analyze(problem, y, calc_second_order=False, seed=1)
    ours = {index.path: index for index in indices(model, inputs, POINTS, 0)["y"]}
    for i, path in enumerate(inputs):
        assert ours[path].first_order == pytest.approx(theirs["S1"][i], abs=0.03), path
        assert ours[path].total_order == pytest.approx(theirs["ST"][i], abs=0.03), path


def test_a_sum_of_lognormals_has_shares_of_its_variances():
    inputs = {"x": Range("lognormal", 0.0, 0.3), "y": Range("lognormal", 0.0, 0.6), "z": Range("lognormal", 1.0, 0.1)}
    variances = {p: math.expm1(r.b**2) * math.exp(2 * r.a + r.b**2) for p, r in inputs.items()}
    found = indices(lambda v: {"sum": v["x"] + v["y"] + v["z"]}, inputs, POINTS, 3)["sum"]
    assert [index.path for index in found] == ["y", "x", "z"]
    for index in found:
        share = variances[index.path] / sum(variances.values())
        assert index.first_order == pytest.approx(share, abs=0.02)
        assert index.total_order == pytest.approx(share, abs=0.02)


def test_an_output_that_does_not_vary_or_is_not_there_has_no_indices():
    found = indices(lambda v: {"same": np.array(2.0), "lost": v["a"] + np.nan, "y": v["a"]}, ISHIGAMI_INPUTS, 64, 0)
    assert set(found) == {"y"}


def test_the_same_seed_gives_the_same_indices():
    one, again, other = (indices(ishigami, ISHIGAMI_INPUTS, 64, seed) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_tornado_by_hand():
    inputs = {"x": Range("normal", 10.0, 1.0), "y": Range("uniform", 0.0, 2.0), "z": Range("uniform", 0.0, 1.0)}
    swings = tornado(lambda v: {"out": v["x"] * v["y"]}, inputs)["out"]
    assert [swing.path for swing in swings] == ["y", "x", "z"]
    y, x, z = swings
    assert (y.low, y.high) == pytest.approx((0.1, 1.9))
    assert (y.at_low, y.at_high) == pytest.approx((1.0, 19.0))
    assert (x.at_low, x.at_high) == pytest.approx((10 - 1.6448536, 10 + 1.6448536))
    assert z.size == 0


@pytest.mark.parametrize(
    "item",
    [
        Range("uniform", -1.0, 3.0),
        Range("triangular", 1.0, 2.0, 10.0),
        Range("triangular", 1.0, 1.0, 2.0),
        Range("triangular", 1.0, 2.0, 2.0),
        Range("beta", 2.0, 5.0),
        Range("normal", 1.0, 2.0, lower=0.0),
        Range("lognormal", 0.5, 0.4, upper=2.0),
        Range("logitnormal", -1.0, 0.7),
    ],
    ids=lambda item: item.distribution,
)
def test_quantiles_of_many_are_those_of_one(item):
    p = np.array([1e-6, 0.05, 0.31, 0.5, 0.77, 0.95, 1 - 1e-6])
    assert item.quantiles(p) == pytest.approx([item.quantile(float(q)) for q in p], rel=1e-9, abs=1e-12)
