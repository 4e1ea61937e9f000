"""Draws by name: streams, structures and quantiles."""

import dataclasses
import math
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pydantic
import pytest

from costsim.uncertainty import draws
from costsim.uncertainty.ranges import Range

RENT = Range.interval(1.8, 3.2)


class Point(NamedTuple):
    x: object
    y: object


@dataclasses.dataclass(frozen=True)
class Terms:
    rent: object
    hours: float
    derived: float = dataclasses.field(default=7.0, init=False)


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(frozen=True, arbitrary_types_allowed=True)
    price: object
    name: str = "x"


def test_a_stream_depends_on_seed_and_name_alone():
    first = draws.stream(0, "cost.rent").random(4)
    assert np.array_equal(first, draws.stream(0, "cost.rent").random(4))
    assert not np.array_equal(first, draws.stream(1, "cost.rent").random(4))
    assert not np.array_equal(first, draws.stream(0, "cost.own").random(4))


def test_a_stream_is_the_same_in_another_process():
    code = "from costsim.uncertainty.draws import stream; print(stream(0, 'cost.rent').random().hex())"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "77"}
    )
    assert run.stdout.strip() == draws.stream(0, "cost.rent").random().hex()


def test_another_range_does_not_shift_the_draws():
    alone = draws.draw({"rent": RENT}, 0, 100)
    together = draws.draw({"first": Range("uniform", 0.0, 1.0), "rent": RENT}, 0, 100)
    assert np.array_equal(alone["rent"], together["rent"])


def test_draws_of_nested_structures():
    tree = {
        "terms": Terms(RENT, 5.0),
        "model": Model(price=RENT),
        "list": [RENT, 1],
        "tuple": (2, RENT),
        "named": Point(RENT, 3),
        "text": "a to b",
        "none": None,
    }
    drawn = draws.draw(tree, 3, 50, "plan")
    paths = ["terms.rent", "model.price", "list.0", "tuple.1", "named.x"]
    found = [drawn["terms"].rent, drawn["model"].price, drawn["list"][0], drawn["tuple"][1], drawn["named"].x]
    for path, values in zip(paths, found, strict=True):
        assert np.array_equal(values, RENT.sample(draws.stream(3, f"plan.{path}"), 50))
    assert drawn["terms"].hours == 5.0
    assert drawn["model"].name == "x"
    assert type(drawn["named"]) is Point
    assert type(drawn["tuple"]) is tuple
    assert drawn["text"] == "a to b"
    assert tree["terms"].rent is RENT  # what was given stays as it was
    assert sorted(draws.ranges(tree, "plan")) == sorted(f"plan.{path}" for path in paths)


def test_the_centre_is_the_median_everywhere():
    centred = draws.at_centre({"a": RENT, "b": [Range("uniform", 0.0, 4.0)], "c": 9})
    assert centred == {"a": pytest.approx(2.4), "b": [2.0], "c": 9}


def test_what_has_no_ranges_is_not_copied():
    tree = {"a": Terms(1.0, 2.0), "b": (1, 2)}
    assert draws.at_centre(tree) is tree
    assert draws.ranges(tree) == {}


def test_a_bare_range_is_a_structure_too():
    assert draws.at_centre(RENT) == pytest.approx(2.4)
    assert draws.draw(RENT, 0, 5, "x").shape == (5,)


def test_quantiles_are_linear_between_draws():
    # Ranks 0..4 of 10, 20, 30, 40, 50: 5 % lies at rank 0.2, 95 % at rank 3.8.
    assert draws.quantiles([50, 10, 40, 20, 30]) == pytest.approx({"p5": 12.0, "p50": 30.0, "p95": 48.0})
    assert draws.quantiles([7.0]) == {"p5": 7.0, "p50": 7.0, "p95": 7.0}


def test_quantiles_of_paybacks_that_never_come():
    some = draws.quantiles([10.0] * 60 + [math.inf] * 40)
    assert some == {"p5": 10.0, "p50": 10.0, "p95": math.inf}
    assert draws.quantiles([math.inf] * 3) == {"p5": math.inf, "p50": math.inf, "p95": math.inf}
    assert draws.quantiles([1.0, math.inf])["p50"] == math.inf
    assert draws.quantiles([-math.inf, 0.0, 1.0])["p5"] == -math.inf


def test_the_middle_is_the_median():
    assert draws.middle(3) == 3.0
    assert draws.middle([5.0, 1.0, 2.0]) == 2.0
    assert draws.middle([5.0, 1.0, 2.0, 3.0]) == 2.5
    assert draws.middle([1.0, math.inf, math.inf]) == math.inf


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_quantiles_of_nothing_or_of_no_numbers(values):
    with pytest.raises(ValueError, match="quantiles"):
        draws.quantiles(values)
