"""Failures, checkpoints and the time they cost."""

import math

import numpy as np
import pytest

from costsim.training.goodput import (
    FailureTerms,
    checkpoint_interval_seconds,
    failure_warnings,
    goodput,
    overhead,
    run_section,
)

# 1000 accelerators, 1e-4 interruptions an accelerator-hour: 0.1 an hour, so M = 36,000 s.
TERMS = FailureTerms(interruptions_per_accelerator_hour=1e-4, restart=360.0, checkpoint_write=20.0)
N = 1000.0


def test_best_interval():
    # sqrt(2 * 20 * 36000) = sqrt(1,440,000) = 1200 s
    assert checkpoint_interval_seconds(N, TERMS) == pytest.approx(1200.0)


def test_overhead_at_the_best_interval():
    # c/i + i/2M + R/M = 20/1200 + 1200/72000 + 360/36000 = 1/60 + 1/60 + 1/100 = 0.043333...
    assert overhead(N, TERMS) == pytest.approx(1 / 60 + 1 / 60 + 1 / 100)


def test_overhead_at_a_given_interval():
    # every 600 s: 20/600 + 600/72000 + 0.01 = 0.033333 + 0.008333 + 0.01
    terms = FailureTerms(1e-4, 360.0, 20.0, checkpoint_every=600.0)
    assert checkpoint_interval_seconds(N, terms) == 600.0
    assert overhead(N, terms) == pytest.approx(20 / 600 + 600 / 72000 + 0.01)


@pytest.mark.parametrize("every", [300.0, 900.0, 1100.0, 1300.0, 3600.0])
def test_no_other_interval_loses_less(every):
    assert overhead(N, FailureTerms(1e-4, 360.0, 20.0, every)) > overhead(N, TERMS)


def test_nothing_fails():
    terms = FailureTerms(0.0, 600.0, 60.0)
    assert checkpoint_interval_seconds(N, terms) == math.inf
    assert overhead(N, terms) == 0.0
    assert goodput(overhead(N, terms)) == 1.0


def test_small_rates_tend_to_no_loss():
    rates = np.array([1e-5, 1e-8, 1e-12, 0.0])
    lost = overhead(N, FailureTerms(rates, 600.0, 60.0))
    assert np.all(np.diff(lost) < 0)
    assert lost[2] < 1e-4


def test_run_section():
    section = run_section(5000.0, 8.64, 1e12, N, TERMS)
    # 5000 * 8.64 s = 43,200 s = half a day; * 1.043333 = 0.521667 days; * 24 h * 1000 = 12,520 h; * 1e-4 = 1.252
    assert section["run.ideal_days"] == pytest.approx(0.5)
    assert section["run.wall_clock_days"] == pytest.approx(0.5 * (1 + 13 / 300))
    assert section["run.accelerator_hours"] == pytest.approx(12520.0)
    assert section["run.interruptions"] == pytest.approx(1.252)
    assert section["run.goodput"] == pytest.approx(1 / (1 + 13 / 300))
    assert section["run.steps"] == 5000.0
    assert section["run.tokens"] == 1e12


def test_goodput_given_skips_the_failure_model():
    section = run_section(5000.0, 8.64, 1e12, N, TERMS, goodput_given=0.8)
    assert section["run.goodput"] == 0.8
    assert section["run.overhead"] == pytest.approx(0.25)
    assert section["run.wall_clock_days"] == pytest.approx(0.625)
    assert "run.checkpoint_interval_seconds" not in section


def test_warning_where_the_formula_ends():
    # Llama 3's failure rate on 100,000 accelerators, a minute a checkpoint: w = 0.585 (docs/economics.md).
    terms = FailureTerms(1 / 50677, 600.0, 60.0)
    lost = overhead(100_000.0, terms)
    assert round(lost, 3) == 0.585
    [(path, message)] = failure_warnings(lost, checkpoint_interval_seconds(100_000.0, terms))
    assert path == "run.goodput"
    assert "58 %" in message or "59 %" in message
    assert "hot spares" in message
    assert failure_warnings(overhead(16_384.0, terms), 1157.0) == []


def test_draws_and_points_agree():
    rates = np.array([1e-6, 1e-5, 1e-4])
    many = run_section(5000.0, 8.64, 1e12, N, FailureTerms(rates, 360.0, 20.0))
    for index, rate in enumerate(rates):
        one = run_section(5000.0, 8.64, 1e12, N, FailureTerms(float(rate), 360.0, 20.0))
        for path, value in one.items():
            assert np.broadcast_to(many[path], 3)[index] == pytest.approx(value, rel=1e-14), path
