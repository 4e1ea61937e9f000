"""Properties of the step time over random layouts, models and machines: nothing better is ever slower."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from training_cases import CHIP, GPT_22B, LLAMA_8B, LLAMA_70B, NETWORK, STACK, stack

from costsim.training import schedule
from costsim.training.architecture import Architecture, Attention, Experts
from costsim.training.device import Collective, Workload
from costsim.training.layout import Layout, stacked

MIXTRAL = replace(LLAMA_8B, vocab_size=32000, experts=Experts(8, 2, 14336))
DEEPSEEK_V3 = Architecture(
    61, 7168, 128, 128, 128, 18432, 129280,
    experts=Experts(256, 8, 2048, shared=1, shared_ffn_size=2048, dense_layers=3),
    attention=Attention("mla", q_rank=1536, kv_rank=512, nope_size=128, rope_size=64, v_size=128),
    multi_token_prediction=1,
)  # fmt: skip
GEMMA_LIKE = replace(
    LLAMA_8B, layers=42, vocab_size=256000, tied_embeddings=True, attention=Attention("sliding_window", 4096, 2)
)
MODELS = st.sampled_from([LLAMA_8B, LLAMA_70B, GPT_22B, MIXTRAL, DEEPSEEK_V3, GEMMA_LIKE])

MEASURED = Collective.between((0.8, 20e-6), (0.7, 40e-6), 8.0)
NETWORKS = st.sampled_from(
    [
        NETWORK,
        replace(NETWORK, scale_up_domain=72.0),
        replace(NETWORK, mesh=1.0, scale_up_per_peer=450e9 / 7),
        replace(
            NETWORK, scale_up_domain=4096.0, scale_up_bandwidth=600e9, axis_chips=16.0, axis_links=2.0,
            scale_up_per_peer=100e9, scale_up_latency=1e-6,
        ),
        replace(
            NETWORK, all_gather=MEASURED, reduce_scatter=MEASURED, all_reduce=MEASURED, all_to_all=MEASURED,
        ),
        replace(NETWORK, scale_out_bandwidth=2e9),  # so slow that collectives cannot be hidden
    ]
)  # fmt: skip
STACKS = st.sampled_from(
    [
        STACK,
        stack(host_seconds=0.0, accumulate_fused=0.0, unfused_attention=1.0, pipeline_exposed=1.0),
        stack(host_seconds=0.0, accumulate_fused=0.0, ring_latency=1.0, expert_imbalance=1.3, straggler=0.05),
        stack(accumulate_fused=0.0, gather_overlap=1.0, data_overlap=1.0, tensor_overlap=0.0, expert_overlap=0.0),
        stack(host_seconds=3e-3, accumulate_fused=0.0, ring_latency=1.0),
        stack(host_seconds=3e-3, gather_overlap=1.0, data_overlap=1.0, context_overlap=1.0),
        stack(host_seconds=0.0, expert_overlap=1.0),
    ]
)


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    """Legal degrees: expert ranks divide tensor × context × data, and a sharding group divides the replicas."""
    power = st.sampled_from([1.0, 2.0, 4.0, 8.0])
    tensor, context, data = draw(power), draw(st.sampled_from([1.0, 1.0, 2.0, 8.0])), draw(power) * draw(power)
    ranks = tensor * context * data
    pipeline = draw(st.sampled_from([1.0, 1.0, 2.0, 5.0, 8.0]))
    return Layout(
        tensor=tensor,
        pipeline=pipeline,
        virtual_pipeline=draw(st.sampled_from([1.0, 2.0, 4.0])) if pipeline > 1 else 1.0,
        context=context,
        expert=draw(st.sampled_from([e for e in (1.0, 2.0, 8.0) if ranks % e == 0])),
        data=data,
        sharding=draw(st.sampled_from([0.0, 1.0, 2.0, 3.0])),
        shard_ranks=draw(st.sampled_from([0.0, *(g for g in (2.0, 8.0) if g <= data * context)])),
        sequence_parallel=draw(st.sampled_from([0.0, 1.0])),
        micro_batch=draw(st.sampled_from([1.0, 2.0, 4.0])),
        gradient_accumulation=draw(st.sampled_from([1.0, 3.0, 16.0])) * pipeline,
        recompute=draw(st.sampled_from([0.0, 1.0, 2.0])),
        recompute_share=draw(st.sampled_from([0.25, 1.0])),
        offload=draw(st.sampled_from([0.0, 1.0])),
    )


WORKS = st.sampled_from([Workload(4096.0, 1024.0), Workload(32768.0, 64.0, matmul_bytes=1.0), Workload(512.0, 256.0)])
CASES = st.tuples(MODELS, NETWORKS, STACKS, layouts(), WORKS)
few = settings(derandomize=True, max_examples=150, deadline=None, database=None)
FACTORS = st.sampled_from([1.01, 1.5, 10.0])


def seconds(case, *, chip=CHIP):
    a, network, software, lay, work = case
    return float(schedule.step(a, chip, network, software, lay, work).seconds)


def no_slower(better: float, base: float, what: str) -> None:
    assert better <= base * (1 + 1e-9), f"{what}: {base:.6g} s became {better:.6g} s"


# --- directions -------------------------------------------------------------------------------------------------------


@few
@given(CASES, FACTORS)
def test_a_faster_chip_is_never_slower(case, times):
    base = seconds(case)
    for name in ("memory_bandwidth", "matmul_flops", "vector_flops"):
        no_slower(seconds(case, chip=replace(CHIP, **{name: getattr(CHIP, name) * times})), base, name)
    for name in ("matmul_efficiency", "matmul_memory_efficiency"):
        better = min(1.0, getattr(CHIP, name) * times)
        no_slower(seconds(case, chip=replace(CHIP, **{name: better})), base, name)
    no_slower(seconds(case, chip=replace(CHIP, launch_seconds=CHIP.launch_seconds / times)), base, "launch_seconds")


@few
@given(CASES, FACTORS)
def test_a_faster_network_is_never_slower(case, times):
    a, network, *rest = case
    base = seconds(case)
    changes = [{"scale_out_bandwidth": network.scale_out_bandwidth * times}]
    changes += [
        {
            "scale_up_bandwidth": network.scale_up_bandwidth * times,
            "scale_up_per_peer": network.scale_up_per_peer * times,
        }
    ]
    changes += [{name: getattr(network, name) / times} for name in ("scale_up_latency", "scale_out_latency")]
    changes += [{"scale_up_efficiency": min(1.0, network.scale_up_efficiency * times)}]
    for change in changes:
        no_slower(seconds((a, replace(network, **change), *rest)), base, str(sorted(change)))


EFFICIENCIES = ("matmul", "attention_efficiency", "memory_efficiency", "grouped_matmul", "scale_out_efficiency")
OVERLAPS = ("tensor_overlap", "data_overlap", "gather_overlap", "context_overlap", "expert_overlap")
OVERHEADS = (
    "host_seconds",
    "host_experts",
    "host_tensor_growth",
    "ring_latency",
    "pipeline_exposed",
    "expert_imbalance",
    "straggler",
    "elementwise",
    "permute_bytes",
    "logits_bytes",
    "accumulate_bytes",
    "communication_gradient_bytes",
    "grouped_half_width",
)


@few
@given(CASES, FACTORS)
def test_better_software_is_never_slower(case, times):
    a, network, software, lay, work = case
    base = seconds(case)
    changes = {name: min(1.0, getattr(software, name) * times) for name in EFFICIENCIES}
    changes |= {name: getattr(software, name) / times for name in OVERHEADS if name != "expert_imbalance"}
    changes["expert_imbalance"] = 1.0
    for name, value in changes.items():
        no_slower(seconds((a, network, replace(software, **{name: value}), lay, work)), base, name)


@few
@given(CASES, st.sampled_from([0.0, 0.5, 1.0]))
def test_more_overlap_is_never_slower(case, share):
    # Calculon added a running sum to the recomputed block: with full recomputation, overlap made runs 90 % slower.
    a, network, software, lay, work = case
    for name in OVERLAPS:
        less = replace(software, **{name: getattr(software, name) * share})
        no_slower(seconds(case), seconds((a, network, less, lay, work)), name)
        more = replace(software, **{name: 1.0})
        no_slower(seconds((a, network, more, lay, work)), seconds(case), name)


def by_share(case, mode):
    a, network, software, lay, work = case
    shares = (0.0, 0.25, 0.5, 1.0)
    return [seconds((a, network, software, replace(lay, recompute=mode, recompute_share=x), work)) for x in shares]


@few
@given(CASES, st.sampled_from([1.0, 2.0]))
def test_more_recomputation_is_never_faster(case, mode):
    times = by_share(case, mode)
    for low, high in pairwise(times):
        assert low <= high * (1 + 1e-8)
    assert times[0] <= times[-1] * (1 + 1e-9)
    assert times[0] == pytest.approx(by_share(case, 3.0 - mode)[0], rel=1e-12)  # of no layer, both kinds are nothing


@few
@given(CASES)
def test_chunks_of_a_stage_never_enlarge_the_bubble(case):
    # Apart from the hand-over between chunks, which the interleaved schedule repeats (Narayanan 2021, section 2.2).
    a, network, software, lay, work = case
    free = replace(software, pipeline_exposed=0.0)
    bubbles = [
        float(schedule.step(a, CHIP, network, free, replace(lay, virtual_pipeline=v), work).pipeline_bubble_seconds)
        for v in (1.0, 2.0, 4.0)
    ]
    assert bubbles == pytest.approx([bubbles[0], bubbles[0] / 2, bubbles[0] / 4], rel=1e-12)
    assert (bubbles[0] > 0) == (lay.pipeline > 1)


@few
@given(CASES)
def test_twice_the_micro_batches_take_at_most_twice_as_long(case):
    a, network, software, lay, work = case
    twice = replace(lay, gradient_accumulation=2 * lay.gradient_accumulation)
    base, more = seconds(case), seconds((a, network, software, twice, work))
    assert base < more
    no_slower(more, 2 * base, "per sequence")


@few
@given(CASES)
def test_the_same_tokens_in_fewer_micro_batches_are_never_slower_without_a_pipeline(case):
    a, network, software, lay, work = case
    flat = replace(lay, pipeline=1.0, virtual_pipeline=1.0, gradient_accumulation=2 * lay.gradient_accumulation)
    wide = replace(flat, micro_batch=2 * lay.micro_batch, gradient_accumulation=lay.gradient_accumulation)
    no_slower(seconds((a, network, software, wide, work)), seconds((a, network, software, flat, work)), "wider")


def faster_matmul(case, times=10.0):
    return seconds(case, chip=replace(CHIP, matmul_flops=CHIP.matmul_flops * times))


def test_a_faster_chip_is_never_slower_where_the_host_sets_the_pace():
    lay = Layout(micro_batch=1.0, gradient_accumulation=16.0, sharding=0.0)
    case = (LLAMA_8B, NETWORK, stack(host_seconds=20e-3), lay, Workload(1024.0, 16.0))
    no_slower(faster_matmul(case), seconds(case), "matmul_flops")


def test_a_faster_chip_is_never_slower_where_gradients_are_summed_and_exchanged():
    network = replace(NETWORK, scale_out_bandwidth=2e9, scale_up_domain=1.0)
    lay = Layout(data=8.0, micro_batch=4.0, sharding=1.0)
    software = stack(host_seconds=0.0, data_overlap=1.0)
    case = (MIXTRAL, network, software, lay, Workload(512.0, 32.0))
    no_slower(faster_matmul(case, 1.5), seconds(case), "matmul_flops")


# --- identities -------------------------------------------------------------------------------------------------------


@few
@given(CASES)
def test_terms_are_not_negative_and_add_up(case):
    a, network, software, lay, work = case
    terms = schedule.step(a, CHIP, network, software, lay, work)
    values = [float(v) for v in vars(terms).values()]
    assert min(values) >= 0
    assert np.isfinite(values).all()
    assert float(terms.seconds) == pytest.approx(sum(values), rel=1e-12)


@few
@given(CASES)
def test_a_sharding_group_of_all_replicas_is_sharding_over_all(case):
    a, network, software, lay, work = case
    over_all = replace(lay, shard_ranks=0.0)
    named = replace(lay, shard_ranks=lay.data * lay.context)
    first, second = (vars(schedule.step(a, CHIP, network, software, x, work)) for x in (over_all, named))
    assert {k: float(v) for k, v in first.items()} == {k: float(v) for k, v in second.items()}


@settings(few, max_examples=60)
@given(MODELS, NETWORKS, STACKS, st.lists(layouts(), min_size=2, max_size=6), WORKS)
def test_layouts_alone_and_in_an_array_are_the_same(a, network, software, some, work):
    many = stacked(Layout(**{f.name: np.array([getattr(x, f.name) for x in some]) for f in fields(Layout)}))
    together = vars(schedule.step(a, CHIP, network, software, many, work))
    for index, lay in enumerate(some):
        for name, value in vars(schedule.step(a, CHIP, network, software, lay, work)).items():
            assert float(np.broadcast_to(together[name], len(some))[index]) == pytest.approx(float(value), rel=1e-12)


def drawn(thing, factors, names):
    return replace(thing, **{name: getattr(thing, name) * factors for name in names})


@settings(few, max_examples=60)
@given(CASES, st.integers(0, 2**32 - 1))
def test_draws_in_an_array_equal_draws_one_by_one(case, seed):
    a, network, software, lay, work = case
    factors = np.random.default_rng(seed).uniform(0.5, 1.0, 5)
    links = ("scale_up_bandwidth", "scale_out_bandwidth", "scale_up_latency", "scale_out_latency")
    rates = ("matmul_flops", "memory_bandwidth", "matmul_efficiency")
    constants = (*EFFICIENCIES, *OVERLAPS, *OVERHEADS)

    def step(by):
        return schedule.step(
            a, drawn(CHIP, by, rates), drawn(network, by, links), drawn(software, by, constants), lay, work
        )

    together = vars(step(factors))
    for index, factor in enumerate(factors):
        for name, value in vars(step(factor)).items():
            assert float(np.broadcast_to(together[name], 5)[index]) == pytest.approx(float(value), rel=1e-12), name


@few
@given(CASES)
def test_what_is_not_split_is_not_exchanged(case):
    a, network, software, lay, work = case
    alone = replace(lay, tensor=1.0, pipeline=1.0, context=1.0, expert=1.0, data=1.0, shard_ranks=0.0)
    assume(a.experts is None or lay.expert > 1)
    terms = schedule.step(a, CHIP, network, software, alone, work)
    names = ("tensor_comm", "pipeline_bubble", "data_comm", "expert_comm", "context_comm", "straggler")
    assert [float(getattr(terms, f"{name}_seconds")) for name in names] == [0.0] * 6
