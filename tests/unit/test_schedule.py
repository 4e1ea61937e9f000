"""Step time: identities of the schedule, limits, and invariants that a simulator must not break."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import CHIP, GPT_22B, LLAMA_8B, LLAMA_70B, NETWORK, STACK, WORK, layout, stack

from costsim.training import schedule
from costsim.training.architecture import Architecture, Experts, parameters
from costsim.training.device import Workload
from costsim.training.layout import Layout, stacked


def seconds(a, lay, *, chip=CHIP, network=NETWORK, software=STACK, work=WORK):
    return float(schedule.step(a, chip, network, software, lay, work).seconds)


def test_terms_add_up_to_the_step():
    terms = schedule.step(LLAMA_70B, CHIP, NETWORK, STACK, layout(64, tensor=8.0, pipeline=4.0), WORK)
    assert float(terms.seconds) == pytest.approx(sum(float(v) for v in vars(terms).values()))
    assert all(float(v) >= 0 for v in vars(terms).values())


def test_one_accelerator_does_not_communicate():
    work = Workload(2048.0, 8.0)
    terms = schedule.step(LLAMA_8B, CHIP, NETWORK, STACK, layout(1, work), work)
    for name in ("tensor_comm", "pipeline_bubble", "data_comm", "expert_comm", "context_comm", "straggler"):
        assert float(getattr(terms, f"{name}_seconds")) == 0.0


def test_bubble_is_the_narayanan_fraction():
    # With hand-over free and stages equal, bubble / ideal = (p - 1) / (m v): Narayanan et al. 2021, section 2.2.
    free = stack(pipeline_exposed=0.0, straggler=0.0)
    a = Architecture(64, 8192, 64, 8, 128, 28672, 8)  # a vocabulary so small that the head weighs nothing
    for chunks in (1.0, 2.0, 4.0):
        lay = layout(64, tensor=8.0, pipeline=4.0, virtual_pipeline=chunks)
        terms = schedule.step(a, CHIP, NETWORK, free, lay, WORK)
        stage = sum(float(getattr(terms, f"{n}_seconds")) for n in ("compute", "memory_bound", "tensor_comm", "host"))
        want = 3 / (float(lay.gradient_accumulation) * chunks)
        assert float(terms.pipeline_bubble_seconds) / stage == pytest.approx(want, rel=2e-3)


def test_full_recomputation_adds_a_forward_and_no_more():
    none = schedule.step(LLAMA_8B, CHIP, NETWORK, STACK, layout(8), WORK)
    full = schedule.step(LLAMA_8B, CHIP, NETWORK, STACK, layout(8, recompute=2.0), WORK)
    assert 1.25 < float(full.compute_seconds) / float(none.compute_seconds) < 4 / 3


def test_weights_of_all_ranks_are_the_model():
    lay = layout(64, tensor=8.0)
    dense, sparse = schedule.heaviest(LLAMA_70B, lay)
    # Norms are replicated over tensor ranks; everything else is split once.
    p = parameters(LLAMA_70B)
    assert float(sparse) == 0.0
    assert float(dense) * 8 == pytest.approx(p.total + 7 * p.norms_total, rel=1e-6)


def test_experts_are_split_by_expert_ranks():
    a = Architecture(8, 1024, 8, 8, 128, 4096, 1000, experts=Experts(64, 4, 512))
    _, sparse = schedule.heaviest(a, layout(32, expert=8.0))
    assert float(sparse) == pytest.approx(8 * 64 * parameters(a).expert_each / 8)


def test_the_stage_with_the_head_sets_the_rate():
    wide = Architecture(8, 1024, 8, 8, 128, 4096, 500_000)
    lay = layout(8, pipeline=8.0)
    assert seconds(wide, lay) > 1.5 * seconds(replace(wide, vocab_size=1000), lay)


def test_an_offloaded_update_runs_at_the_hosts_speed():
    on_device = schedule.optimizer_seconds(CHIP, STACK, layout(8), schedule.heaviest(LLAMA_8B, layout(8)))
    on_host = schedule.optimizer_seconds(CHIP, STACK, layout(8, offload=1.0), schedule.heaviest(LLAMA_8B, layout(8)))
    shard = parameters(LLAMA_8B).total / 8
    assert float(on_device) == pytest.approx(shard * 26 / (3.35e12 * 0.5))
    assert float(on_host) == pytest.approx(shard * ((4 + 2) / 25e9 + 26 / 25e9))


def test_arrays_of_layouts_equal_single_layouts():
    lays = [layout(64, tensor=t, pipeline=p) for t in (1.0, 2.0, 8.0) for p in (1.0, 2.0, 4.0)]
    many = Layout(**{name: np.array([getattr(x, name) for x in lays], float) for name in vars(lays[0])})
    together = schedule.step(LLAMA_70B, CHIP, NETWORK, STACK, stacked(many), WORK).seconds
    assert together == pytest.approx([seconds(LLAMA_70B, x) for x in lays], rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    tensor=st.sampled_from([1.0, 2.0, 4.0, 8.0]),
    pipeline=st.sampled_from([1.0, 2.0, 4.0, 8.0]),
    sharding=st.sampled_from([0.0, 1.0, 3.0]),
    recompute=st.sampled_from([0.0, 1.0, 2.0]),
    faster=st.floats(1.0, 4.0),
)
def test_better_hardware_or_software_is_never_slower(tensor, pipeline, sharding, recompute, faster):
    lay = layout(128, tensor=tensor, pipeline=pipeline, sharding=sharding, recompute=recompute)
    base = seconds(LLAMA_70B, lay)
    slack = base * (1 + 1e-9)
    chip = replace(CHIP, matmul_flops=CHIP.matmul_flops * faster, vector_flops=CHIP.vector_flops * faster)
    assert seconds(LLAMA_70B, lay, chip=chip) <= slack
    assert seconds(LLAMA_70B, lay, chip=replace(CHIP, memory_bandwidth=CHIP.memory_bandwidth * faster)) <= slack
    for link in ("scale_up_bandwidth", "scale_out_bandwidth"):
        network = replace(NETWORK, **{link: getattr(NETWORK, link) * faster})
        assert seconds(LLAMA_70B, lay, network=network) <= slack
    for hidden in ("tensor_overlap", "data_overlap", "gather_overlap"):
        more = stack(**{hidden: min(1.0, getattr(STACK, hidden) * faster)})
        assert seconds(LLAMA_70B, lay, software=more) <= slack


@settings(max_examples=30, deadline=None)
@given(batch=st.sampled_from([64.0, 128.0, 256.0, 1024.0]))
def test_a_larger_batch_takes_longer_but_not_per_token(batch):
    small, large = Workload(4096.0, batch), Workload(4096.0, 2 * batch)
    first = seconds(GPT_22B, layout(64, small, tensor=8.0), work=small)
    second = seconds(GPT_22B, layout(64, large, tensor=8.0), work=large)
    assert first < second <= 2 * first * (1 + 1e-9)
