"""Memory: model states by hand, tensors of a layer by hand, what must never happen, and peers' defects."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import CHIP, GPT_22B, LLAMA_8B, LLAMA_70B, STACK, WORK, layout, stack

from costsim.training import activations, memory, stages
from costsim.training.architecture import Architecture, Attention, Experts, parameters
from costsim.training.device import Workload
from costsim.training.layout import Layout, stacked

PLAIN = stack(layer_gradient_bytes=0.0, expert_imbalance=1.0)
MIXTRAL = replace(LLAMA_8B, vocab_size=32000, experts=Experts(8, 2, 14336))
DEEPSEEK_V3 = Architecture(
    61, 7168, 128, 128, 128, 18432, 129280,
    experts=Experts(256, 8, 2048, shared=1, shared_ffn_size=2048, dense_layers=3),
    attention=Attention("mla", q_rank=1536, kv_rank=512, nope_size=128, rope_size=64, v_size=128),
)  # fmt: skip
MODELS = [LLAMA_8B, LLAMA_70B, GPT_22B, MIXTRAL, DEEPSEEK_V3]


def peak(a, lay, software=STACK, work=WORK):
    return float(memory.memory(a, software, lay, work).peak_bytes)


def stored(a, lay, software=PLAIN, work=WORK, sparse=False):
    rows = lay.micro_batch * work.sequence_length / lay.context
    return float(activations.layer(a, software, lay, work, rows, sparse=sparse).stored)


# --- model states -----------------------------------------------------------------------------------------------------


def states(used):
    return float(used.weights_bytes + used.gradients_bytes + used.optimizer_bytes)


def test_states_of_one_rank_are_eighteen_bytes_a_parameter():
    used = memory.memory(LLAMA_8B, PLAIN, layout(1, sharding=0.0), WORK)
    assert states(used) == pytest.approx(18 * parameters(LLAMA_8B).total)


def test_the_distributed_optimizer_divides_twelve_of_them():
    # 6 + 12 / d bytes a parameter (Rajbhandari et al. 2020, figure 1, with fp32 gradients).
    used = memory.memory(LLAMA_8B, PLAIN, layout(8, sharding=1.0), WORK)
    assert states(used) == pytest.approx((6 + 12 / 8) * parameters(LLAMA_8B).total)


def test_full_sharding_divides_all_and_gathers_the_ends_and_two_layers():
    p = parameters(LLAMA_8B)
    used = memory.memory(LLAMA_8B, PLAIN, layout(64, sharding=3.0), WORK)
    layer = p.attention_per_layer + p.ffn_dense_per_layer
    gathered = 2 * (p.embedding + p.head + 2 * layer)
    assert float(used.gradients_bytes + used.optimizer_bytes) == pytest.approx(16 * p.total / 64)
    assert float(used.weights_bytes) == pytest.approx(2 * p.total / 64 + gathered)


def test_a_layer_and_the_head_make_their_gradients_before_they_are_added():
    p = parameters(LLAMA_8B)
    with_them = memory.memory(LLAMA_8B, STACK, layout(8, tensor=2.0), WORK).gradients_bytes
    without = memory.memory(LLAMA_8B, PLAIN, layout(8, tensor=2.0), WORK).gradients_bytes
    assert float(with_them - without) == pytest.approx(p.attention_per_layer + p.ffn_dense_per_layer + p.head)


def test_offloading_the_optimizer_frees_it():
    assert float(memory.memory(LLAMA_8B, STACK, layout(8, offload=1.0), WORK).optimizer_bytes) == 0.0


def test_gradients_are_divided_by_tensor_and_pipeline_ranks():
    # EleutherAI's calculator left them whole below ZeRO-2.
    whole = memory.memory(LLAMA_70B, PLAIN, layout(256, sharding=1.0), WORK).gradients_bytes
    split = memory.memory(LLAMA_70B, PLAIN, layout(256, tensor=8.0, pipeline=4.0, sharding=1.0), WORK).gradients_bytes
    assert float(split) == pytest.approx(float(whole) / 32, rel=0.05)  # the ends hold the vocabulary


def test_all_experts_are_held_and_not_only_the_active_ones():
    # llmfit #230 counted active parameters.
    used = memory.memory(MIXTRAL, PLAIN, layout(8, sharding=1.0), WORK)
    p = parameters(MIXTRAL)
    assert float(used.weights_bytes) == pytest.approx(2 * p.total)
    assert p.total > 3 * p.active


def test_experts_are_sharded_over_their_own_replicas():
    # 64 ranks, each expert on 8 of them: the optimizer's states of experts are divided by 8, those of the rest by 64.
    p = parameters(MIXTRAL)
    routed = 32 * 8 * p.expert_each
    used = memory.memory(MIXTRAL, PLAIN, layout(64, expert=8.0, sharding=1.0), WORK)
    assert float(used.optimizer_bytes) == pytest.approx(12 * ((p.total - routed) / 64 + routed / 8 / 8))


def test_temporary_buffers_of_the_update_count_where_they_exceed_activations():
    software = stack(update_bytes=40.0, layer_gradient_bytes=0.0)
    used = memory.memory(LLAMA_8B, software, layout(8, sharding=1.0, recompute=2.0), Workload(128.0, 8.0))
    assert float(used.activations_bytes) == pytest.approx(40 * parameters(LLAMA_8B).total / 8)
    assert float(memory.memory(LLAMA_8B, PLAIN, layout(8, recompute=2.0), Workload(128.0, 8.0)).activations_bytes) < (
        float(used.activations_bytes) / 4
    )


def test_low_precision_storage_halves_weights_and_the_inputs_of_products():
    eight = Workload(4096.0, 8.0, matmul_bytes=1.0)
    low = replace(PLAIN, low_precision_storage=1.0)
    whole = memory.memory(LLAMA_8B, PLAIN, layout(8, eight), eight).weights_bytes
    assert float(memory.memory(LLAMA_8B, low, layout(8, eight), eight).weights_bytes) == pytest.approx(float(whole) / 2)
    saved = stored(LLAMA_8B, layout(8, eight), PLAIN, eight) - stored(LLAMA_8B, layout(8, eight), low, eight)
    assert saved == 4096 * (4096 + 4096 + 4096 + 14336)  # after both norms, before the output and the down projection


# --- activations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sequence_parallel", [0.0, 1.0])
@pytest.mark.parametrize("recompute", [0.0, 1.0])
def test_korthikanti_activations_of_a_layer(sequence_parallel, recompute):
    # Korthikanti et al. 2022, Table 2: s b h (10 + 24/t + 5 a s / (h t)) bytes, all divided by t with the sequence
    # split; selective recomputation drops the term of the scores.
    work, software = Workload(2048.0, 4.0), stack(unfused_attention=1.0, selective_kept=1.0)
    lay = layout(8, work, tensor=8.0, micro_batch=4.0, sequence_parallel=sequence_parallel, recompute=recompute)
    s, b, h, t, heads = 2048, 4, 6144, 8, 64
    whole = 10 / (t if sequence_parallel else 1) + 24 / t
    scores = 0 if recompute else 5 * heads * s / (h * t)
    assert stored(GPT_22B, lay, software, work) == pytest.approx(s * b * h * (whole + scores), rel=1e-9)


def test_fused_attention_stores_no_square_of_the_sequence():
    # Calculon and EleutherAI's calculator materialise it: 3 to 10 times the memory.
    one_long = stored(LLAMA_8B, layout(8), work=Workload(131072.0, 8.0))
    many_short = stored(LLAMA_8B, layout(8, micro_batch=64.0), work=Workload(2048.0, 512.0))
    assert one_long == many_short


def test_grouped_queries_and_gates_are_counted_as_they_are():
    # Llama 3 8B: 4096 wide, 4096 query, 2 x 1024 key and value, 4096 result, 3 x 14336 within the feed-forward block.
    assert stored(LLAMA_8B, layout(8)) == 8192 * 2 * (4 * 4096 + 4096 + 2048 + 4096 + 3 * 14336)


def test_experts_are_not_priced_as_a_dense_block():
    # Megatron-LM #1784 and #6782. Two of eight experts: their permuted inputs, gates, ups and products.
    attention = 2 * 4096 + 4096 + 2048 + 4096
    assert stored(MIXTRAL, layout(8), sparse=True) == 8192 * 2 * (attention + 2 * 4096 + 2 * 4096 + 2 * 3 * 14336)
    skewed = replace(PLAIN, expert_imbalance=1.5)
    more = stored(MIXTRAL, layout(8), skewed, sparse=True) - stored(MIXTRAL, layout(8), sparse=True)
    assert more == 0.5 * 8192 * 2 * (2 * 4096 + 2 * 3 * 14336)


def test_tensor_ranks_of_an_expert_hold_the_inputs_of_all_of_them():
    # With expert tensor ranks the tokens of the group are gathered: input whole on each rank, inner width split.
    alone = stored(MIXTRAL, layout(8, tensor=4.0, sequence_parallel=1.0), sparse=True)
    split = stored(MIXTRAL, layout(8, tensor=4.0, sequence_parallel=1.0, expert_tensor=4.0), sparse=True)
    assert split - alone == 8192 / 4 * 2 * 2 * 4096 * 3


def test_latent_attention_keeps_its_up_projections():
    # Queries and keys of 192 a head, the up-projection of 128 + 128 a head, results of 128; latents before and after.
    heads = 128 * (192 + 192 + 256 + 128)
    latents = 2 * 1536 + 2 * 512 + 64
    mlp = 2 * 7168 + 3 * 18432
    assert stored(DEEPSEEK_V3, layout(8)) == 8192 * 2 * (2 * 7168 + heads + latents + mlp)


def test_context_ranks_divide_tokens_and_keep_the_exchanged_result():
    assert stored(LLAMA_8B, layout(8, context=4.0)) == stored(LLAMA_8B, layout(8)) / 4 + 2048 * 2 * 4096


def test_full_recomputation_keeps_the_input_of_a_layer_and_one_layer_at_work():
    lay = layout(8, recompute=2.0)
    assert stored(LLAMA_8B, lay) == 8192 * 2 * 4096
    work = activations.layer(LLAMA_8B, PLAIN, lay, WORK, 8192.0, sparse=False).working
    gradients = 8192 * 2 * (2 * 14336 + 2 * 4096)
    assert float(work) == stored(LLAMA_8B, layout(8)) - 8192 * 2 * 4096 + gradients


def test_recomputation_of_a_share_of_the_layers():
    none, full = stored(LLAMA_8B, layout(8)), stored(LLAMA_8B, layout(8, recompute=2.0))
    assert stored(LLAMA_8B, layout(8, recompute=2.0, recompute_share=0.25)) == pytest.approx(0.25 * full + 0.75 * none)


def test_the_loss_weighs_on_the_last_stage_only():
    # Deep in the pipeline's first stage the vocabulary does not matter; without a pipeline it does.
    wide = replace(LLAMA_70B, vocab_size=4 * 128256)
    heavy = stack(logits_memory_bytes=14.0)
    flat = layout(64, tensor=8.0)
    difference = [memory.memory(a, heavy, flat, WORK).activations_bytes for a in (wide, LLAMA_70B)]
    assert float(difference[0] - difference[1]) == 8192 * 3 * 128256 / 8 * 14


@settings(max_examples=60, deadline=None)
@given(
    a=st.sampled_from(MODELS),
    pipeline=st.sampled_from([1, 2, 3, 5, 8, 16, 30]),
    chunks=st.sampled_from([1.0, 2.0]),
    sharding=st.sampled_from([0.0, 1.0, 3.0]),
    recompute=st.sampled_from([0.0, 1.0, 2.0]),
)
def test_the_fullest_of_all_stages_is_reported(a, pipeline, chunks, sharding, recompute):
    lay = layout(
        64 * pipeline,
        Workload(4096.0, 4096.0),
        tensor=4.0,
        sequence_parallel=1.0,
        pipeline=float(pipeline),
        virtual_pipeline=chunks,
        expert=8.0 if a.experts is not None else 1.0,
        sharding=sharding,
        recompute=recompute,
    )
    parts = memory.pieces(a, STACK, lay, WORK)
    every = [memory.stage_terms(parts, stages.stage_of(a, lay, float(r)), STACK, lay) for r in range(pipeline)]
    used = memory.memory(a, STACK, lay, WORK)
    assert float(used.allocated_bytes) == pytest.approx(max(float(sum(terms)) for terms in every))
    assert float(memory.peak_bytes(a, STACK, lay, WORK)) == pytest.approx(float(used.peak_bytes))


# --- counters and the chance to fit -----------------------------------------------------------------------------------


def test_counters_of_the_same_peak():
    used = memory.memory(LLAMA_8B, STACK, layout(8), WORK)
    tensors = states(used) + float(used.activations_bytes)
    assert float(memory.counted(used, "allocated")) == pytest.approx(tensors)
    assert float(memory.counted(used, "reserved")) == pytest.approx(1.05 * tensors)
    assert float(memory.counted(used, "device")) == pytest.approx(1.05 * tensors + 2 * 2**30)
    assert float(memory.counted(used, "device")) == pytest.approx(float(used.peak_bytes))


def test_normal_distribution_function():
    x = np.linspace(-6, 6, 101)
    assert memory.normal_cdf(x) == pytest.approx([NormalDist().cdf(v) for v in x], abs=2e-7)


def test_probability_of_fitting():
    assert float(memory.fit_probability(80.0, 80.0, 0.1)) == pytest.approx(0.5)
    assert float(memory.fit_probability(40.0, 80.0, 0.1)) == pytest.approx(1.0, abs=1e-6)
    assert float(memory.fits(LLAMA_70B, CHIP, STACK, layout(8), WORK)) < 1e-6


# --- what must hold everywhere ----------------------------------------------------------------------------------------

LAYOUTS = st.builds(
    Layout,
    tensor=st.sampled_from([1.0, 2.0, 4.0, 8.0]),
    pipeline=st.sampled_from([1.0, 2.0, 3.0, 4.0, 16.0]),
    virtual_pipeline=st.sampled_from([1.0, 2.0]),
    context=st.sampled_from([1.0, 2.0, 8.0]),
    data=st.sampled_from([8.0, 16.0, 64.0]),
    sharding=st.sampled_from([0.0, 1.0, 2.0, 3.0]),
    sequence_parallel=st.sampled_from([0.0, 1.0]),
    micro_batch=st.sampled_from([1.0, 2.0, 4.0]),
    gradient_accumulation=st.sampled_from([1.0, 4.0, 64.0]),
    recompute=st.sampled_from([0.0, 1.0, 2.0]),
    recompute_share=st.sampled_from([0.25, 1.0]),
)
STACKS = st.sampled_from(
    [STACK, stack(unfused_attention=1.0, pipeline_outputs=1.0), stack(update_bytes=8.0, low_precision_storage=1.0)]
)


@settings(max_examples=150, deadline=None)
@given(a=st.sampled_from(MODELS), lay=LAYOUTS, software=STACKS)
def test_more_tokens_never_need_less_and_more_ranks_never_more(a, lay, software):
    now = peak(a, lay, software)
    above, below = 1 + 1e-12, 1 - 1e-12
    assert peak(a, replace(lay, micro_batch=2 * lay.micro_batch), software) >= now * below
    assert peak(a, lay, software, Workload(2 * WORK.sequence_length, 512.0)) >= now * below
    assert peak(a, replace(lay, data=2 * lay.data), software) <= now * above
    assert peak(a, replace(lay, tensor=2 * lay.tensor), software) <= now * above
    if lay.sharding < 2:
        assert peak(a, replace(lay, sharding=lay.sharding + 1), software) <= now * above
    if a.experts is not None:
        assert peak(a, replace(lay, expert=8.0), software) <= now * above


@settings(max_examples=30, deadline=None)
@given(a=st.sampled_from(MODELS), some=st.lists(LAYOUTS, min_size=2, max_size=5), software=STACKS)
def test_a_layout_alone_or_in_an_array(a, some, software):
    many = stacked(Layout(**{key: np.array([getattr(lay, key) for lay in some]) for key in vars(some[0])}))
    together = memory.memory(a, software, many, WORK)
    for index, lay in enumerate(some):
        alone = memory.memory(a, software, lay, WORK)
        for key, value in vars(alone).items():
            assert float(np.broadcast_to(getattr(together, key), len(some))[index]) == pytest.approx(float(value)), key
