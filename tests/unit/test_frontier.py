"""Speed against cost: no point is beaten by another, and each is what `serving_section` says of it."""

import dataclasses
from itertools import pairwise

import pytest
from test_serving import CHIP, DENSE, FIT, MOE, TERMS

from costsim.economics.frontier import SPEEDS, Point, _undominated, frontier
from costsim.economics.serving import serving_section


@pytest.mark.parametrize("model", [DENSE, MOE])
def test_no_point_is_both_slower_and_dearer_than_another(model):
    points = frontier(model, CHIP, FIT, TERMS, 8)
    assert len(points) > 5
    for slower, faster in pairwise(points):
        assert slower.tokens_per_second_per_user < faster.tokens_per_second_per_user
        assert slower.usd_per_million_output_tokens < faster.usd_per_million_output_tokens
    # Nothing that is tried beats any of them.
    for size in (1.0, 2.0, 4.0, 8.0):
        for speed in SPEEDS.tolist():
            terms = dataclasses.replace(TERMS, accelerators_per_replica=size, speed=speed)
            made = serving_section(model, CHIP, FIT, terms)
            fast, cost = made["serving.tokens_per_second_per_user"], made["serving.usd_per_million_output_tokens"]
            assert not any(
                fast > point.tokens_per_second_per_user * (1 + 1e-9)
                and cost < point.usd_per_million_output_tokens * (1 - 1e-9)
                for point in points
            )


def test_a_point_is_what_the_serving_section_says():
    for point in frontier(MOE, CHIP, FIT, TERMS, 4):
        speed = point.tokens_per_second_per_user
        terms = dataclasses.replace(TERMS, accelerators_per_replica=point.accelerators_per_replica, speed=speed)
        made = serving_section(MOE, CHIP, FIT, terms)
        assert made["serving.usd_per_million_output_tokens"] == pytest.approx(
            point.usd_per_million_output_tokens, rel=1e-6
        )


def test_replicas_that_do_not_hold_the_model_are_left_out():
    big = dataclasses.replace(DENSE, parameters=1.5e11)  # 150 GB over 72 GB each
    assert {point.accelerators_per_replica for point in frontier(big, CHIP, FIT, TERMS, 8)} <= {4.0, 8.0}


def test_of_two_speeds_that_only_rounding_tells_apart_the_dearer_is_beaten():
    one, two = 79.56488280963707, 79.56488280963708  # as two replicas of one plan came out
    cheap, dear = Point(1, 8, one, 600, 0.160), Point(2, 16, two, 600, 0.186)
    slow = Point(1, 32, 40.0, 900, 0.120)
    assert _undominated([dear, cheap, slow]) == [slow, cheap]
    # To nine digits just across the border of a rounding: still one speed.
    border = 79.5648828050000
    low, high = Point(1, 8, border * (1 - 2e-10), 600, 0.160), Point(2, 16, border * (1 + 2e-10), 600, 0.186)
    assert _undominated([low, high]) == [low]
    # The same cost too: the replica of fewer accelerators.
    assert _undominated([Point(2, 16, two, 600, 0.160), cheap]) == [cheap]
