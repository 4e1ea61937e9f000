"""Parameters, widths, attention FLOPs and KV cache of shapes, against numbers worked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from costsim.quantities import REGISTRY
from costsim.training import architecture as arch
from costsim.training import flops
from costsim.training.architecture import Architecture, Attention, Biases, Experts
from costsim.training.shape import inconsistencies

# 2 layers, hidden 8, 4 heads of 2, 2 of keys and values, feed-forward 16, vocabulary 10.
TINY = Architecture(2, 8, 4, 2, 2, 16, 10)
EXPERTS = Experts(routed=4, active=2, ffn_size=6, shared=1, shared_ffn_size=6, dense_layers=1)
LLAMA_405B = Architecture(126, 16384, 128, 8, 128, 53248, 128256)
DEEPSEEK_V3 = Architecture(
    61,
    7168,
    128,
    128,
    192,
    18432,
    129280,
    attention=Attention("mla", q_rank=1536, kv_rank=512, rope_size=64, nope_size=128, v_size=128),
    experts=Experts(256, 8, 2048, 1, 2048, 3),
    multi_token_prediction=1,
)


def test_tiny_model_term_by_term():
    p = arch.parameters(TINY)
    # q and o: 8x8 each; k and v: 8x4 each; feed-forward 3 x 8 x 16; norms 2 x 8 a layer and one at the end.
    assert p.attention_per_layer == 64 + 32 + 32 + 64
    assert p.ffn_dense_per_layer == 384
    assert p.norms_per_layer == 16
    assert p.norms_total == 40
    assert p.embedding == p.head == 80
    assert p.total == p.active == 2 * (192 + 384 + 16) + 8 + 80 + 80
    assert arch.matmul_parameters_active(TINY) == 2 * (192 + 384) + 80


def test_tied_embeddings_have_no_head_but_multiply_it():
    tied = replace(TINY, tied_embeddings=True)
    assert arch.parameters(tied).head == 0
    assert arch.parameters(tied).total == arch.parameters(TINY).total - 80
    assert arch.matmul_parameters_active(tied) == arch.matmul_parameters_active(TINY)


def test_biases_are_counted_where_they_are():
    base = arch.parameters(TINY).total
    # a layer: q 8 + k 4 + v 4; output 8; feed-forward 16 + 16 + 8; the head's is one a token of the vocabulary.
    for biases, extra in (
        (Biases(qkv=True), 2 * 16),
        (Biases(output=True), 2 * 8),
        (Biases(ffn=True), 2 * 40),
        (Biases(head=True), 10),
    ):
        assert arch.parameters(replace(TINY, biases=biases)).total == base + extra
    # a feed-forward layer of two matrices has 8 x 16 weights less and one bias of 16 less.
    plain = replace(TINY, biases=Biases(ffn=True), gated_ffn=False)
    assert arch.parameters(plain).total == base + 2 * (40 - 16 - 128)


def test_norms_positions_and_sinks():
    base = arch.parameters(TINY).total
    assert arch.parameters(replace(TINY, norm_bias=True)).total == base + 40
    assert arch.parameters(replace(TINY, norms_per_layer=4)).total == base + 32
    assert arch.parameters(replace(TINY, embedding_norm=True)).total == base + 8
    assert arch.parameters(replace(TINY, final_norm=False)).total == base - 8
    assert arch.parameters(replace(TINY, qk_norm="head")).total == base + 2 * (2 + 2)
    assert arch.parameters(replace(TINY, qk_norm="full")).total == base + 2 * (8 + 4)
    assert arch.parameters(replace(TINY, attention_sinks=True)).total == base + 2 * 4
    assert arch.parameters(replace(TINY, relative_positions=True)).total == base + 2 * 64
    positions = arch.parameters(replace(TINY, learned_positions=7))
    assert positions.total == base + 56
    assert positions.embedding == 80 + 56


def test_experts_term_by_term():
    a = replace(TINY, experts=EXPERTS)
    p = arch.parameters(a)
    assert (arch.dense_layers(a), arch.moe_layers(a)) == (1, 1)
    assert p.expert_each == 3 * 8 * 6
    assert p.shared_experts_per_layer == 144
    assert p.router_per_layer == 32
    dense, moe = 192 + 384 + 16, 192 + 4 * 144 + 144 + 32 + 16
    assert p.total == dense + moe + 8 + 160
    assert p.active == p.total - 2 * 144
    assert arch.layer_parameters(a) == dense
    assert arch.layer_parameters(a, moe=True) == moe
    assert arch.matmul_parameters_active(a) == 192 + 384 + 192 + 2 * 144 + 144 + 32 + 80
    gated = replace(a, experts=replace(EXPERTS, shared_gate=True, router_bias=True))
    assert arch.parameters(gated).total == p.total + 8 + 4


@pytest.mark.parametrize(
    ("layers", "dense", "every", "expected"),
    [
        (10, 0, 1, 10),
        (10, 3, 1, 7),
        (10, 0, 2, 5),  # layers 2, 4, 6, 8, 10
        (11, 3, 2, 4),  # layers 4, 6, 8, 10
        (11, 4, 3, 2),  # layers 6, 9
    ],
)
def test_which_layers_have_experts(layers, dense, every, expected):
    a = replace(TINY, layers=layers, experts=replace(EXPERTS, dense_layers=dense, every=every))
    assert arch.moe_layers(a) == expected
    assert arch.moe_layers(a) == sum(1 for i in range(1, layers + 1) if i > dense and i % every == 0)
    assert arch.dense_layers(a) == layers - expected


def test_a_dense_model_has_no_expert_terms():
    p = arch.parameters(TINY)
    assert (p.expert_each, p.shared_experts_per_layer, p.router_per_layer, p.multi_token_prediction) == (0, 0, 0, 0)
    assert arch.moe_weights_active(TINY) == 0
    everywhere = replace(TINY, experts=replace(EXPERTS, dense_layers=0))
    assert arch.parameters(everywhere).ffn_dense_per_layer == 0


def test_latent_attention_by_hand():
    m = Attention("mla", q_rank=6, kv_rank=5, rope_size=2, nope_size=3, v_size=4)
    a = replace(TINY, attention=m)
    # 8x6 + 6x4x5 for queries; 8x7 latent; 5x4x7 expanded; 16x8 out.
    weights = 48 + 120 + 56 + 140 + 128
    assert arch.attention_weights(a) == weights
    assert arch.attention_parameters(a) == weights + 6 + 5
    assert (arch.query_width(a), arch.key_width(a), arch.value_width(a)) == (20, 20, 16)
    assert arch.kv_width(a) == 18
    assert arch.attention_output_width(a) == 16
    assert arch.kv_cache_elements_per_token(a, 100.0) == 2 * 7
    direct = replace(a, attention=replace(m, q_rank=0))
    assert arch.attention_weights(direct) == weights - 48 - 120 + 8 * 20


def test_deepseek_v3_and_its_published_weights():
    p = arch.parameters(DEEPSEEK_V3)
    assert p.total == 671_026_404_352
    # The published files hold 680,571,043,840 FP8 and 3,918,786,560 BF16 elements: the main model, the prediction
    # module, and its copies of the embedding and the head.
    assert p.total + p.multi_token_prediction + p.embedding + p.head == 680_571_043_840 + 3_918_786_560
    assert round(p.multi_token_prediction / 1e9, 1) == 11.6
    # The prediction module adds about 4 % to the FLOPs.
    without = replace(DEEPSEEK_V3, multi_token_prediction=0)
    assert flops.flops_per_token(DEEPSEEK_V3, 4096) / flops.flops_per_token(without, 4096) == pytest.approx(
        1.04, abs=0.01
    )
    assert arch.matmul_parameters_active(DEEPSEEK_V3, False) == arch.matmul_parameters_active(without)
    assert arch.attention_flops_per_token(DEEPSEEK_V3, 4096, multi_token_prediction=False) == (
        arch.attention_flops_per_token(without, 4096)
    )


def test_full_attention_flops():
    # 2 products x 2 FLOPs x 2 layers x 8 wide x 32 keys, and half of it when causal.
    assert arch.attention_flops_per_token(TINY, 32, causal=False) == 2 * 2 * 2 * 8 * 32
    assert arch.attention_flops_per_token(TINY, 32) == 2 * 2 * 2 * 8 * 16


@pytest.mark.parametrize("kind", ["sliding_window", "chunked"])
@pytest.mark.parametrize("window", [1, 5, 16, 31, 32, 100])
def test_windowed_pairs_are_those_of_the_mask(kind, window):
    """Pairs counted on the mask itself, the diagonal at half, as s/2 leaves it."""
    s = 32
    i, j = np.mgrid[:s, :s]
    seen = (j <= i) & ((i - j < window) if kind == "sliding_window" else (i // window == j // window))
    pairs = seen.sum() - (0.5 * s if window >= s or kind == "chunked" else 0)
    a = replace(TINY, attention=Attention(kind, window))
    if kind == "sliding_window" and window < s:
        pairs -= window / 2  # w - w^2/2s leaves out half of the diagonal of the triangle at the start
    assert arch.attended_keys(a, float(s)) == pytest.approx(2 * pairs / s)


def test_windows_join_full_attention():
    for kind in ("sliding_window", "chunked"):
        a = replace(TINY, attention=Attention(kind, 64))
        assert arch.attention_flops_per_token(a, 64.0) == arch.attention_flops_per_token(TINY, 64.0)
        assert arch.attention_flops_per_token(a, 64.0, False) == arch.attention_flops_per_token(TINY, 64.0, False)
        assert arch.attention_flops_per_token(a, 640.0) < arch.attention_flops_per_token(TINY, 640.0) / 3


@pytest.mark.parametrize(("every", "expected"), [(1, 12), (2, 6), (6, 10), (5, 10), (12, 11)])
def test_which_layers_are_windowed(every, expected):
    a = replace(TINY, layers=12, attention=Attention("sliding_window", 4, every))
    assert arch.windowed_layers(a) == expected


def test_kv_cache():
    # 2 layers x keys and values of 2 heads of 2.
    assert arch.kv_cache_elements_per_token(TINY, 1000.0) == 16
    windowed = replace(TINY, attention=Attention("sliding_window", 100, 2))
    assert arch.kv_cache_elements_per_token(windowed, 1000.0) == 8 + 8 * 0.1
    assert arch.kv_cache_elements_per_token(windowed, 50.0) == 16


def test_what_depends_on_length_broadcasts():
    lengths = np.array([64.0, 4096.0, 131072.0])
    for a in (TINY, DEEPSEEK_V3, replace(TINY, attention=Attention("chunked", 100, 2))):
        for f in (arch.attention_flops_per_token, arch.kv_cache_elements_per_token, flops.flops_per_token):
            assert f(a, lengths).tolist() == [f(a, float(s)) for s in lengths]


def test_recomputed_fractions():
    attention = arch.attention_flops_per_token(LLAMA_405B, 8192)
    forward = flops.flops_per_token(LLAMA_405B, 8192) / 3
    assert flops.recomputed_forward_fraction(LLAMA_405B, 8192, 0.0, 0.0) == 0
    assert flops.recomputed_forward_fraction(LLAMA_405B, 8192, 0.0, 1.0) == pytest.approx(attention / forward)
    assert flops.recomputed_forward_fraction(LLAMA_405B, 8192, 1.0, 1.0) == pytest.approx(
        1 - 2 * arch.head_weights(LLAMA_405B) / forward
    )
    assert flops.hardware_flops(3.0, 1.0) == 4.0


def test_sections_hold_declared_quantities_only():
    made = {**arch.model_section(DEEPSEEK_V3), **flops.compute_section(DEEPSEEK_V3, 14.8e12, 4096, 0.0)}
    assert set(made) <= set(REGISTRY)
    assert {"model.parameters", "model.active_parameters", "model.embedding_parameters", "model.layers"} <= set(made)
    assert {"compute.flops_6nd", "compute.model_flops", "compute.hardware_flops", "compute.flops_per_token"} <= set(
        made
    )
    assert all(np.isfinite(value) for value in made.values())


def test_formulas_evaluate_to_the_values():
    tokens = 15.6e12
    made = {**arch.model_section(LLAMA_405B), **flops.compute_section(LLAMA_405B, tokens, 8192, 0.9)}
    known = {**made, "training.tokens": tokens}
    for path in ("compute.flops_6nd", "compute.flops_per_token", "compute.model_flops", "compute.hardware_flops"):
        text = REGISTRY[path].formula
        for name in REGISTRY[path].inputs:
            text = text.replace("{" + name + "}", repr(float(known[name])))
        assert eval(text, {"__builtins__": {}}) == pytest.approx(made[path], rel=1e-12)


def test_phases_weigh_attention_by_tokens():
    mixed = flops.compute_section(LLAMA_405B, 4e12, 8192, 0.0, phases=[(3e12, 8192), (1e12, 131072)])
    parts = [
        flops.compute_section(LLAMA_405B, n, s, 0.0)["compute.model_flops"] for n, s in ((3e12, 8192), (1e12, 131072))
    ]
    assert mixed["compute.model_flops"] == pytest.approx(sum(parts))
    one = flops.compute_section(LLAMA_405B, 4e12, 8192, 0.0, phases=[(4e12, 8192)])
    assert one == flops.compute_section(LLAMA_405B, 4e12, 8192, 0.0)


@pytest.mark.parametrize(
    ("shape", "field"),
    [
        (replace(TINY, kv_heads=3), "kv_heads"),
        (replace(TINY, kv_heads=8), "kv_heads"),
        (replace(TINY, attention=Attention("sliding_window")), "attention.window"),
        (replace(TINY, attention=Attention("full", window=4)), "attention.window"),
        (replace(TINY, attention=Attention("sliding_window", 4, 3)), "attention.every"),
        (replace(TINY, attention=Attention("full", kv_rank=4)), "attention.kv_rank"),
        (replace(TINY, attention=Attention("mla", kv_rank=4, v_size=2)), "attention.nope_size"),
        (replace(TINY, attention=Attention("mla", nope_size=4, v_size=2)), "attention.kv_rank"),
        (replace(DEEPSEEK_V3, qk_norm="head"), "attention.kind"),
        (replace(TINY, experts=replace(EXPERTS, active=5)), "experts.active"),
        (replace(TINY, experts=replace(EXPERTS, dense_layers=2)), "experts.dense_layers"),
        (replace(TINY, layers=3, experts=replace(EXPERTS, dense_layers=2, every=2)), "experts.every"),
        (replace(TINY, experts=replace(EXPERTS, shared_ffn_size=0)), "experts.shared"),
    ],
)
def test_contradictions_are_named(shape, field):
    assert field in [name for name, _ in inconsistencies(shape)]


def test_sound_shapes_have_no_contradictions():
    for a in (TINY, LLAMA_405B, DEEPSEEK_V3, replace(TINY, attention=Attention("sliding_window", 4, 2))):
        assert inconsistencies(a) == []
