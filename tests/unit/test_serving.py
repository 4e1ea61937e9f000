"""The roofline of a replica, the batch that a promise allows, and the cost of a token."""

import dataclasses
import math

import numpy as np
import pytest

from costsim.economics.replica import (
    DecodeTimes,
    Roofline,
    ServedModel,
    ServingChip,
    ServingTerms,
    experts_touched,
    kv_capacity,
    kv_shards,
    weights_bytes,
)
from costsim.economics.serving import (
    BOUNDS,
    largest_batch,
    serving_obstacle,
    serving_section,
    serving_warnings,
    step_seconds,
    token_interval_seconds,
)

# 1e10 weights of 1 byte in 10 layers; 1000 bytes of cache a token of context.
DENSE = ServedModel(
    parameters=1e10,
    active_parameters=1e10,
    expert_parameters=0.0,
    experts=0.0,
    experts_per_token=0.0,
    layers=10.0,
    hidden_size=1000.0,
    kv_elements_per_token=1000.0,
    kv_heads=4.0,
    decode_attention_flops=1e6,
    prefill_attention_flops=1e6,
    weight_bytes=1.0,
    expert_weight_bytes=1.0,
    kv_bytes=1.0,
)
MOE = dataclasses.replace(DENSE, active_parameters=2e9, expert_parameters=9e9, experts=64.0, experts_per_token=4.0)
CHIP = ServingChip(peak_flops=1e15, attention_flops=5e14, memory_bytes=80e9, memory_bandwidth=2e12, link_bandwidth=4e11)
FIT = Roofline(
    memory_efficiency=0.5,
    flop_efficiency=0.5,
    layer_seconds=1e-4,
    allreduce_seconds=1e-5,
    link_efficiency=0.25,
    memory_fraction=0.9,
)
TERMS = ServingTerms(
    accelerators_per_replica=2.0,
    input_tokens=1000.0,
    output_tokens=500.0,
    speed=50.0,
    cached_share=0.0,
    cached_cost=0.1,
    occupancy=0.5,
    usd_per_accelerator_hour=3.6,
)


def section(model=DENSE, terms=TERMS, chip=CHIP, **changes):
    return serving_section(model, chip, FIT, dataclasses.replace(terms, **changes))


def test_decode_step_by_hand():
    """One sequence on two accelerators."""
    s = section(speed=1e6)  # no batch keeps this promise: a batch of 1
    # read: (1e10 / 2 + 1250 tokens * 1000 B / 2 shards) / (2e12 * 0.5) = 5.000625 ms
    # fixed: 10 layers * 100 us + 20 all-reduces * 10 us = 1.2 ms
    # wire: 20 * 2 * 1/2 * 1000 * 2 B / (4e11 * 0.25) = 40,000 / 1e11 = 0.4 us
    assert s["serving.batch"] == 1.0
    assert s["serving.step_seconds"] == pytest.approx(5.000625e-3 + 1.2e-3 + 4e-7)


def test_prefill_by_hand():
    # (2 * 1e10 / 1e15 + 1e6 * 500 / 5e14) / 2 / 0.5 = 2.1e-5 s a token, and 0.4 us on the wire
    s = section()
    assert s["serving.prefill_seconds_per_token"] == pytest.approx(2.1e-5 + 4e-7)
    assert s["serving.prefill_seconds"] == pytest.approx(1000 * 2.14e-5)


def test_cached_tokens_are_skipped_but_looked_at():
    # Half cached: the other 500 look back on 750 tokens; a cached one costs a tenth.
    # (2e-5 + 1e6 * 750 / 5e14) / 2 / 0.5 = 2.15e-5, + 0.04e-5 = 2.19e-5; 1000 * (0.5 + 0.5 * 0.1) = 550 tokens' worth
    s = section(cached_share=0.5)
    assert s["serving.prefill_seconds_per_token"] == pytest.approx(2.19e-5)
    assert s["serving.prefill_seconds"] == pytest.approx(550 * 2.19e-5)
    ratio = s["serving.usd_per_million_cached_input_tokens"] / s["serving.usd_per_million_input_tokens"]
    assert ratio == pytest.approx(0.1)


def test_one_accelerator_has_no_all_reduce():
    s = section(accelerators_per_replica=1.0, speed=1e6)
    # read: (1e10 + 1250 * 1000) / 1e12 = 10.00125 ms; fixed: 1 ms
    assert s["serving.step_seconds"] == pytest.approx(11.00125e-3)


def test_cache_copies():
    assert kv_shards(DENSE, TERMS) == 2.0
    wide = dataclasses.replace(TERMS, accelerators_per_replica=8.0)
    assert kv_shards(DENSE, wide) == 4.0  # four heads: each on two of the eight
    latent = dataclasses.replace(DENSE, kv_heads=1.0)  # MLA
    assert kv_shards(latent, wide) == 1.0
    assert kv_shards(latent, dataclasses.replace(wide, attention_data_parallel=8.0)) == 8.0
    assert kv_shards(DENSE, dataclasses.replace(wide, attention_data_parallel=4.0)) == 8.0
    # room 8 * 80e9 * 0.9 - 1e10 = 566e9; a request takes 1500 * 1000 B * 8/4 copies = 3e6
    assert kv_capacity(DENSE, CHIP, FIT, wide) == pytest.approx(566e9 / 3e6)


def test_experts_touched():
    assert experts_touched(DENSE, 100.0) == 0.0
    assert experts_touched(MOE, 1.0) == pytest.approx(4 / 64)
    # two tokens: 1 - (60/64)^2
    assert experts_touched(MOE, 2.0) == pytest.approx(1 - (60 / 64) ** 2)
    everyone = dataclasses.replace(MOE, experts_per_token=64.0)
    assert experts_touched(everyone, 1.0) == 1.0
    assert weights_bytes(dataclasses.replace(MOE, expert_weight_bytes=0.5)) == pytest.approx(1e9 + 4.5e9)


@pytest.mark.parametrize("model", [DENSE, MOE, dataclasses.replace(MOE, experts_per_token=64.0)])
@pytest.mark.parametrize("speed", [15.0, 40.0, 80.0])
def test_the_batch_is_the_largest_that_keeps_the_promise(model, speed):
    s = section(model, speed=speed)
    assert s["serving.bound_by"] in (0.0, 2.0)
    assert s["serving.batch"] > 1.0
    assert s["serving.tokens_per_second_per_user"] == pytest.approx(speed, rel=1e-9)


def test_newton_agrees_with_a_search():
    times = DecodeTimes(weights=2e-3, experts=2e-2, cache=2e-6, compute=1e-6, fixed=1e-3, exchange=1e-6)
    intervals = np.array([0.004, 0.01, 0.02, 0.03, 0.1])
    turn = 1e-5
    batches = largest_batch(times, MOE, turn, intervals)
    grid = np.arange(1.0, 20_000.0)
    reached = token_interval_seconds(step_seconds(times, MOE, grid), turn, grid, 1.0)
    for batch, interval in zip(batches, intervals, strict=True):
        best = max([1.0, *grid[reached <= interval]])
        assert best <= batch < best + 1


def test_memory_bounds_the_batch_of_a_slow_promise():
    s = section(dataclasses.replace(DENSE, kv_elements_per_token=1e6), speed=10.0)
    # room 2 * 80e9 * 0.9 - 1e10 = 134e9; a request takes 1500 * 1e6 B
    assert s["serving.batch"] == pytest.approx(134 / 1.5)
    assert BOUNDS[int(s["serving.bound_by"])] == "kv_capacity"
    assert s["serving.tokens_per_second_per_user"] > 10.0


def test_compute_bounds_when_decode_multiplies():
    slow = dataclasses.replace(CHIP, peak_flops=2e12)
    assert BOUNDS[int(section(chip=slow, speed=5.0)["serving.bound_by"])] == "compute"
    assert BOUNDS[int(section(speed=100.0)["serving.bound_by"])] == "speed"


def test_an_hour_is_paid_by_its_tokens():
    """Input, cached input and output tokens of a request pay for exactly the replica time that it takes."""
    s = section(cached_share=0.3)
    paid = (
        700 * s["serving.usd_per_million_input_tokens"]
        + 300 * s["serving.usd_per_million_cached_input_tokens"]
        + 500 * s["serving.usd_per_million_output_tokens"]
    ) / 1e6
    seconds = 500 / s["serving.output_tokens_per_second_per_accelerator"] / 2
    assert paid == pytest.approx(seconds * 2 * 3.6 / 3600 / 0.5)


def test_measured_throughput_replaces_the_roofline():
    plain = section()
    rate = plain["serving.output_tokens_per_second_per_accelerator"]
    s = section(measured_tokens_per_second=rate / 2)
    assert s["serving.output_tokens_per_second_per_accelerator"] == rate / 2
    assert BOUNDS[int(s["serving.bound_by"])] == "measured"
    for kind in ("input", "cached_input", "output"):
        path = f"serving.usd_per_million_{kind}_tokens"
        assert s[path] == pytest.approx(2 * plain[path])
    # At the promised 50 tokens/s a user: rate / 2 * 2 accelerators / 50 users share the replica.
    assert s["serving.batch"] == pytest.approx(rate / 50)
    assert s["serving.tokens_per_second_per_user"] == pytest.approx(50, rel=0.05)


def test_software_factor_scales_throughput_at_a_batch():
    alone, half = section(speed=1e6), section(speed=1e6, software_factor=0.5)
    path = "serving.output_tokens_per_second_per_accelerator"
    assert half["serving.batch"] == alone["serving.batch"] == 1.0
    assert half[path] == pytest.approx(alone[path] / 2)


def test_the_residual_scales_throughput_and_leaves_the_batch():
    plan, slow = section(), section(residual=0.5)
    assert slow["serving.batch"] == plan["serving.batch"]
    for path in ("serving.output_tokens_per_second_per_accelerator", "serving.tokens_per_second_per_user"):
        assert slow[path] == pytest.approx(plan[path] / 2)
    assert slow["serving.usd_per_million_output_tokens"] == pytest.approx(
        2 * plan["serving.usd_per_million_output_tokens"]
    )
    # a measurement leaves nothing uncertain
    measured = section(measured_tokens_per_second=100.0)
    assert section(measured_tokens_per_second=100.0, residual=0.5) == pytest.approx(measured)


def test_a_promise_that_cannot_be_kept_is_named():
    [(path, message)] = serving_warnings(section(speed=1e6), dataclasses.replace(TERMS, speed=1e6))
    assert path == "serving.speed"
    assert "cannot be kept" in message
    assert serving_warnings(section(), TERMS) == []


def test_a_model_that_does_not_fit_is_an_obstacle():
    big = dataclasses.replace(DENSE, parameters=2e11)
    text = serving_obstacle(big, CHIP, FIT, TERMS)
    # 200 GB and 1.5 MB over 72 GB each: three accelerators
    assert "200 GB" in text
    assert "at least 3" in text
    assert serving_obstacle(DENSE, CHIP, FIT, TERMS) == ""


def test_a_context_cap_bounds_reading_and_attention():
    capped = dataclasses.replace(DENSE, context_cap=100.0)
    assert section(capped, speed=1e6)["serving.step_seconds"] < section(speed=1e6)["serving.step_seconds"]
    assert section(capped)["serving.prefill_seconds"] < section()["serving.prefill_seconds"]


@pytest.mark.parametrize("model", [DENSE, MOE])
def test_draws_and_points_agree(model):
    speeds, factors = np.array([10.0, 40.0, 90.0, 1e6]), np.array([0.5, 1.0, 1.5, 1.0])
    many = section(model, speed=speeds, software_factor=factors)
    for index in range(4):
        one = section(model, speed=float(speeds[index]), software_factor=float(factors[index]))
        for path, value in one.items():
            assert np.broadcast_to(many[path], 4)[index] == pytest.approx(value, rel=1e-11), path
    assert not any(math.isnan(x) for value in many.values() for x in np.ravel(value))
