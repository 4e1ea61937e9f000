"""The stop rule and the interval of the median, against brute force, with a clock that only the samples move."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.bench import statistics
from costsim.bench.statistics import Rule, collect, half_width, interval_ranks, median_interval, outliers, timing

TIMES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60)


class Machine:
    """Gives out times and lets the clock run by each of them."""

    def __init__(self, times, batch=1):
        self.times, self.batch, self.now, self.given = iter(times), batch, 0.0, 0

    def run(self):
        made = list(itertools.islice(self.times, self.batch))
        self.now += sum(made)
        self.given += len(made)
        return made

    def measure(self, rule):
        return collect(self.run, lambda x: x, rule, lambda: self.now)


@given(TIMES)
def test_median_and_quantile_are_numpys(times: list[float]) -> None:
    assert statistics.median(times) == pytest.approx(float(np.median(times)))
    assert statistics.quantile(times, 0.05) == pytest.approx(float(np.quantile(times, 0.05)))


@pytest.mark.parametrize("count", range(1, 15))
def test_ranks_are_the_narrowest_that_cover_the_median(count: int) -> None:
    """Each sample is below the true median or not, by a coin: all 2^n cases are counted."""

    def covered(rank: int) -> float:
        below = [sum(case) for case in itertools.product((0, 1), repeat=count)]
        return sum(rank < b <= count - 1 - rank for b in below) / 2**count

    found = interval_ranks(count)
    if found is None:
        assert covered(0) < 0.95
        assert count < 6
    else:
        low, high = found
        assert low + high == count - 1
        assert covered(low) >= 0.95 > (covered(low + 1) if low + 1 <= high - 1 else 0.0)


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    for count in (8, 11, 20, 60):
        held = 0
        for _ in range(2000):
            low, high = median_interval(list(rng.lognormal(0.0, 0.3, count)))
            held += low <= 1.0 <= high
        assert 0.94 <= held / 2000 <= 1.0


@given(TIMES)
def test_the_interval_holds_the_median_and_scales(times: list[float]) -> None:
    made = timing(times)
    assert min(times) <= made.low <= made.seconds <= made.high <= max(times)
    assert made.samples == tuple(times)
    scaled = timing([8 * t for t in times])  # a power of two: exact
    assert (scaled.seconds, scaled.low, scaled.high) == (8 * made.seconds, 8 * made.low, 8 * made.high)


def test_outliers_are_counted_and_stay() -> None:
    times = [1.0, 1.01, 0.99, 1.0, 1.02, 0.98, 1.0, 30.0]
    made = timing(times)
    assert made.outliers == 1
    assert 30.0 in made.samples
    assert outliers([1.0] * 9 + [5.0]) == 0  # without any spread there is no scale to be far by


def test_a_warm_up_is_over_when_two_windows_agree() -> None:
    slow = [2.0, 1.6, 1.5, 1.3, 1.2, 1.1]
    found = Machine(slow + [1.0] * 50).measure(Rule(seconds=100, warmup_seconds=50))
    assert found.warmup[:4] == (2.0, 1.6, 1.5, 1.3)
    assert set(found.samples) <= {1.0, 1.1}
    assert found.settled
    assert len(found.samples) == Rule.minimum  # as few as the rule allows


def test_a_warm_up_that_never_ends_is_cut() -> None:
    falling = (100 * 0.8**i for i in itertools.count())
    machine = Machine(falling)
    found = machine.measure(Rule(seconds=50, warmup_seconds=20, minimum=1, maximum=20))
    assert len(found.samples) >= 3  # the last window counts all the same
    assert not found.settled


@given(st.lists(st.floats(0.5, 2.0), min_size=400, max_size=400), st.integers(1, 5))
def test_it_stops_with_reason_and_loses_nothing(times: list[float], batch: int) -> None:
    rule = Rule(seconds=30, warmup_seconds=10)
    machine = Machine(times, batch)
    found = machine.measure(rule)
    assert found.warmup + found.samples == tuple(times[: machine.given])
    if found.settled:
        assert len(found.samples) >= rule.minimum
        assert half_width(found.samples) <= rule.precision
    else:
        late = machine.now >= rule.seconds and half_width(found.samples) <= rule.tolerance
        assert late or machine.now >= rule.patience * rule.seconds


def test_a_machine_that_stalls_is_left_when_patience_ends() -> None:
    machine = Machine(itertools.repeat(40.0))
    found = machine.measure(Rule(seconds=10, warmup_seconds=5, patience=2))
    assert machine.now <= 40.0 * 4  # one window, and no step after patience ended
    assert not found.settled
    assert half_width([1.0] * 5) == math.inf
