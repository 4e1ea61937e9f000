"""Memory: model states by hand, published peaks, and that more sharding never needs more."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import CHIP, GPT_22B, LLAMA_8B, LLAMA_70B, STACK, WORK, layout, stack

from costsim.training import memory
from costsim.training.architecture import parameters
from costsim.training.device import Workload


def peak(a, lay, software=STACK, work=WORK):
    return float(memory.memory(a, software, lay, work).peak_bytes)


def test_states_of_one_rank_are_eighteen_bytes_a_parameter():
    used = memory.memory(LLAMA_8B, STACK, layout(1, sharding=0.0), WORK)
    states = float(used.weights_bytes + used.gradients_bytes + used.optimizer_bytes)
    assert states == pytest.approx(18 * parameters(LLAMA_8B).total)


def test_the_distributed_optimizer_divides_twelve_of_them():
    # 6 + 12 / d bytes a parameter (Rajbhandari et al. 2020, figure 1, with fp32 gradients).
    used = memory.memory(LLAMA_8B, STACK, layout(8, sharding=1.0), WORK)
    states = float(used.weights_bytes + used.gradients_bytes + used.optimizer_bytes)
    assert states == pytest.approx((6 + 12 / 8) * parameters(LLAMA_8B).total)


def test_full_sharding_leaves_a_gathered_layer():
    used = memory.memory(LLAMA_8B, STACK, layout(64, sharding=3.0), WORK)
    assert float(used.gradients_bytes + used.optimizer_bytes) == pytest.approx(16 * parameters(LLAMA_8B).total / 64)
    assert 0 < float(used.weights_bytes) < 4 * parameters(LLAMA_8B).total / 20


def test_offloading_the_optimizer_frees_it():
    assert float(memory.memory(LLAMA_8B, STACK, layout(8, offload=1.0), WORK).optimizer_bytes) == 0.0


def test_korthikanti_activations_of_a_layer():
    # Korthikanti et al. 2022, Table 2: tensor parallel without sequence split, s b h (10 + 24/t + 5 a s / (h t)) bytes,
    # of which 2 s b h are dropout masks, which current stacks do not store.
    work = Workload(2048.0, 4.0)
    lay = layout(8, work, tensor=8.0, micro_batch=4.0)
    got = memory.layer_activation_bytes(GPT_22B, stack(unfused_attention=1.0), lay, work)
    s, b, h, t, heads = 2048, 4, 6144, 8, 64
    assert float(got) == pytest.approx(s * b * h * (10 - 2 + 24 / t + 5 * heads * s / (h * t)), rel=1e-9)


def test_sequence_split_divides_the_rest():
    # Table 2 again: s b h / t (34 + 5 a s / h) with the split, less the two mask bytes.
    work = Workload(2048.0, 4.0)
    lay = layout(8, work, tensor=8.0, micro_batch=4.0, sequence_parallel=1.0)
    got = memory.layer_activation_bytes(GPT_22B, STACK, lay, work)
    assert float(got) == pytest.approx(2048 * 4 * 6144 / 8 * 32, rel=1e-9)


def test_full_recomputation_keeps_the_input_of_a_layer():
    lay = layout(8, recompute=2.0)
    assert float(memory.layer_activation_bytes(LLAMA_8B, STACK, lay, WORK)) == 8192 * 2 * 4096


def test_in_flight_microbatches_of_the_first_stage():
    deep = layout(64, tensor=8.0, pipeline=8.0)
    flat = layout(64, tensor=8.0)
    per_stage = memory.stage_activation_bytes(LLAMA_70B, STACK, deep, WORK)
    whole = memory.stage_activation_bytes(LLAMA_70B, STACK, flat, WORK)
    assert float(per_stage) == pytest.approx(float(whole), rel=0.15)  # p micro-batches of L / p layers


def test_normal_distribution_function():
    x = np.linspace(-6, 6, 101)
    assert memory.normal_cdf(x) == pytest.approx([NormalDist().cdf(v) for v in x], abs=2e-7)


def test_probability_of_fitting():
    assert float(memory.fit_probability(80.0, 80.0, 0.1)) == pytest.approx(0.5)
    assert float(memory.fit_probability(40.0, 80.0, 0.1)) == pytest.approx(1.0, abs=1e-6)
    assert float(memory.fits(LLAMA_70B, CHIP, STACK, layout(8), WORK)) < 1e-6


@settings(max_examples=60, deadline=None)
@given(
    tensor=st.sampled_from([1.0, 2.0, 4.0, 8.0]),
    data=st.sampled_from([2.0, 8.0, 64.0]),
    micro=st.sampled_from([1.0, 2.0, 4.0]),
    pipeline=st.sampled_from([1.0, 4.0]),
)
def test_more_sharding_never_needs_more_and_larger_microbatches_never_less(tensor, data, micro, pipeline):
    n = int(tensor * data * pipeline)
    lays = [layout(n, tensor=tensor, pipeline=pipeline, micro_batch=micro, sharding=float(s)) for s in (0, 1, 2)]
    peaks = [peak(LLAMA_70B, lay) for lay in lays]
    assert peaks == sorted(peaks, reverse=True)
    assert peak(LLAMA_70B, replace(lays[0], micro_batch=2 * micro)) >= peaks[0]
    longer = Workload(16384.0, 512.0)
    assert peak(LLAMA_70B, lays[0], work=longer) >= peaks[0]
