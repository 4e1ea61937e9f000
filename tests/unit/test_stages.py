"""Stages of a pipeline: whole layers, embedding and head at the ends, micro-batches in flight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import GPT_22B, LLAMA_8B, LLAMA_70B

from costsim.training import stages
from costsim.training.architecture import Architecture, Attention, Experts, parameters
from costsim.training.layout import Layout
from costsim.training.stages import heaviest

DEEPSEEK_V3 = Architecture(
    61,
    7168,
    128,
    128,
    128,
    18432,
    129280,
    experts=Experts(256, 8, 2048, shared=1, shared_ffn_size=2048, dense_layers=3),
    attention=Attention("mla", q_rank=1536, kv_rank=512, nope_size=128, rope_size=64, v_size=128),
    multi_token_prediction=1,
)
ALTERNATING = replace(LLAMA_8B, layers=48, experts=Experts(16, 1, 8192, shared=1, shared_ffn_size=8192, every=2))
MODELS = [LLAMA_8B, GPT_22B, DEEPSEEK_V3, ALTERNATING]


def every_stage(a, lay):
    return [stages.stage_of(a, lay, float(r)) for r in range(int(lay.pipeline))]


def layer_counts(a, pipeline):
    return [float(s.dense_layers + s.moe_layers) for s in every_stage(a, Layout(pipeline=float(pipeline)))]


@given(a=st.sampled_from(MODELS), pipeline=st.integers(1, 32), chunks=st.sampled_from([1.0, 2.0]))
def test_stages_add_up_to_the_model(a, pipeline, chunks):
    lay = Layout(pipeline=float(pipeline), virtual_pipeline=chunks)
    held = every_stage(a, lay)
    p = parameters(a)
    copy = a.vocab_size * a.hidden_size if a.tied_embeddings and pipeline > 1 else 0
    assert sum(float(s.dense + s.sparse) for s in held) == pytest.approx(p.total + p.multi_token_prediction + copy)
    assert sum(float(s.dense_layers + s.moe_layers) for s in held) == a.layers + a.multi_token_prediction
    assert [float(s.embedding) for s in held] == [1.0] + [0.0] * (pipeline - 1)
    assert [float(s.head) for s in held] == [0.0] * (pipeline - 1) + [1.0]


@given(a=st.sampled_from(MODELS), pipeline=st.integers(1, 64), tensor=st.sampled_from([1.0, 8.0]))
def test_the_stages_that_can_be_the_fullest_are_those_stages(a, pipeline, tensor):
    lay = Layout(pipeline=float(pipeline), tensor=tensor, gradient_accumulation=64.0)
    for got, number in zip(stages.fullest(a, lay), (0, min(1, pipeline - 1), pipeline - 1), strict=False):
        want = stages.stage_of(a, lay, float(number))
        assert {k: float(v) for k, v in vars(got).items()} == pytest.approx(
            {k: float(v) for k, v in vars(want).items()}
        )


@settings(deadline=None)
@given(a=st.sampled_from(MODELS), pipeline=st.integers(1, 61))
def test_no_other_stage_holds_more(a, pipeline):
    lay = Layout(pipeline=float(pipeline), expert=8.0 if a.experts is not None else 1.0)
    dense, sparse = heaviest(a, lay)
    assert float(dense + sparse) == pytest.approx(max(float(s.dense + s.sparse) for s in every_stage(a, lay)))


def test_uneven_stages_are_not_averaged():
    # Llama 3 2024, section 3.3.2: 126 layers on 16 stages, 7 at either end; elsewhere the last stages get fewer.
    llama_405b = replace(LLAMA_70B, layers=126, hidden_size=16384)
    assert layer_counts(llama_405b, 16) == [7, *[8] * 14, 7]
    assert layer_counts(replace(LLAMA_8B, layers=10), 4) == [2, 3, 3, 2]
    assert layer_counts(replace(LLAMA_8B, layers=60), 16) == [4] * 12 + [3] * 4
    p = parameters(llama_405b)
    layer = p.attention_per_layer + p.ffn_dense_per_layer + p.norms_per_layer
    dense, _ = heaviest(llama_405b, Layout(pipeline=16.0))
    assert float(dense) == max(
        8 * layer, 7 * layer + p.embedding, 7 * layer + p.head + p.norms_total % p.norms_per_layer
    )


def test_leading_dense_layers_leave_more_experts_to_later_stages():
    lay = Layout(pipeline=16.0, expert=8.0)
    held = every_stage(DEEPSEEK_V3, lay)  # 61 layers and a module: 3, 14 times 4, 3
    assert [float(s.moe_layers) for s in held] == [0, *[4] * 14, 3]
    _, routed = heaviest(DEEPSEEK_V3, lay)
    assert float(routed) == 4 * 32 * parameters(DEEPSEEK_V3).expert_each


def test_routed_experts_are_divided_by_expert_and_expert_tensor_ranks_alone():
    # Megatron-LM #4050 and #4687, Megatron-Bridge #3744: they were divided by the tensor ranks.
    per_layer = 256 * parameters(DEEPSEEK_V3).expert_each
    for tensor in (1.0, 8.0):
        (stage,) = stages.fullest(DEEPSEEK_V3, Layout(tensor=tensor, expert=32.0, expert_tensor=2.0))
        assert float(stage.sparse) == pytest.approx(59 * per_layer / 64)


def test_micro_batches_in_flight():
    def flight(p, v, m=1000.0):
        lay = Layout(pipeline=float(p), virtual_pipeline=float(v), gradient_accumulation=m)
        return [float(s.in_flight) for s in every_stage(LLAMA_70B, lay)]

    assert flight(4, 1) == [4, 3, 2, 1]
    assert flight(4, 1, m=2.0) == [2, 2, 2, 1]
    assert flight(8, 3)[0] == pytest.approx(8 * (1 + 7 / 24))  # Korthikanti et al. 2022, section 4.2.3
    assert flight(4, 2) == [5.5, 4.5, 3.5, 2.5]  # chunks warming up: (v - 1) p + 2 (p - r - 1) + 1, of half a stage


def test_a_layout_alone_or_in_an_array():
    many = Layout(pipeline=np.array([1.0, 2.0, 3.0, 16.0, 61.0]), gradient_accumulation=64.0)
    for a in MODELS:
        together = [np.broadcast_to(s.dense, 5) for s in stages.fullest(a, many)]
        for i, p in enumerate(many.pipeline):
            alone = [float(s.dense) for s in stages.fullest(a, replace(many, pipeline=float(p)))]
            assert max(float(x[i]) for x in together) == pytest.approx(max(alone))
