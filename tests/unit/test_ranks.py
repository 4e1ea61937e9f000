"""Steps of several ranks: tables between their points, bytes that must add up, and coefficients found again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.training.architecture import Architecture, parameters
from costsim.training.ranks import (
    CollectiveTable,
    Scaling,
    ScalingPrior,
    Shared,
    buckets,
    copied_bytes,
    ddp_step,
    fit_scaling,
    fsdp_step,
    groups,
)

SMALL = Architecture(4, 256, 4, 4, 64, 704, 4096)
SHAPES = [
    Architecture(layers, hidden, hidden // 64, hidden // 64, 64, 4 * hidden, vocab)
    for layers, hidden, vocab in ((2, 256, 32768), (12, 192, 4096), (3, 1024, 8192), (6, 512, 16384))
]
SIZES = np.geomspace(1e3, 3e8, 12)


def line(latency: float, rate: float) -> CollectiveTable:
    return CollectiveTable(tuple(SIZES), tuple(latency + SIZES / rate))


TABLES = {"all_reduce": line(3e-4, 1e9), "all_gather": line(2e-4, 2e9), "reduce_scatter": line(3e-4, 8e8)}


def test_a_table_is_met_at_its_points_and_goes_on_beyond_them():
    table = CollectiveTable((1e3, 1e6, 1e9), (1e-4, 1e-3, 1.0))
    assert table.at(np.array(table.nbytes)) == pytest.approx(table.seconds)
    assert float(table.at(10.0)) == pytest.approx(1e-4)  # latency
    assert float(table.at(4e9)) == pytest.approx(4.0)  # bandwidth
    assert float(table.at(1e3 * 10**1.5)) == pytest.approx((1e-4 * 1e-3) ** 0.5)  # halfway in logarithms


def test_the_summary_of_a_line_is_that_line():
    latency, rate = line(3e-4, 1.5e9).summary()
    assert latency == pytest.approx(3e-4, rel=1e-6)
    assert rate == pytest.approx(1.5e9, rel=1e-6)


@given(st.floats(1.0, 1e11))
def test_buckets_hold_all_gradients(total):
    assert sum(buckets(total)) == pytest.approx(total)


def test_groups_hold_all_weights():
    for tied in (False, True):
        step = Shared(replace(SMALL, tied_embeddings=tied), 2.0, 2, 1.0, 0.0)
        block, outside, layers = groups(step)
        assert layers * block + outside == pytest.approx(2 * parameters(step.architecture).total)
        assert copied_bytes(step) == pytest.approx(3 * layers * block + 2 * outside)


def test_steps_by_hand():
    # A gibibyte a second without latency: gradients once; weights of blocks gathered twice and scattered once.
    flat = CollectiveTable((1.0, 2.0**40), (1 / 2.0**30, 2.0**10))
    tables = dict.fromkeys(TABLES, flat)
    step = Shared(SMALL, 2.0, 4, 0.5, 0.04)
    block, outside, layers = groups(step)
    total = 2 * parameters(SMALL).total
    assert ddp_step(step, tables, Scaling(1.0, 0, 0, 0)) == pytest.approx(0.5 + total / 2**30)
    moved = 3 * layers * block + 2 * outside
    assert fsdp_step(step, tables, Scaling(0, 1.0, 0, 0)) == pytest.approx(0.5 - 0.03 + moved / 2**30)
    assert fsdp_step(step, tables, Scaling(0, 0, 1e-9, 1e-3)) == pytest.approx(0.47 + 1e-9 * moved + 5e-3)


def test_coefficients_are_found_again():
    true = Scaling(1.3, 0.7, 4e-10, 2e-3)
    prior = ScalingPrior(Scaling(1.0, 1.0, 2e-10, 1e-3), 1.0, 1e-6)
    steps = [Shared(a, 2.0, 2, 0.2, 0.01) for a in SHAPES]
    found = fit_scaling(
        [(step, ddp_step(step, TABLES, true)) for step in steps],
        [(step, fsdp_step(step, TABLES, true)) for step in steps],
        TABLES,
        prior,
    )
    assert vars(found) == pytest.approx(vars(true), rel=1e-3)
    assert vars(fit_scaling([], [], TABLES, prior)) == pytest.approx(vars(prior.centre))


def test_a_step_that_hides_all_of_it_has_no_negative_share():
    prior = ScalingPrior(Scaling(1.0, 1.0, 2e-10, 1e-3), 1.0, 0.01)
    step = Shared(SHAPES[0], 2.0, 2, 0.2, 0.0)
    found = fit_scaling([(step, 0.15)], [(step, 0.15)], TABLES, prior)
    assert min(vars(found).values()) >= 0
    assert found.ddp == 0
