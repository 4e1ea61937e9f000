"""What holds for every shape: terms add up, more is never less, windows never cost more than full attention."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from costsim.inputs.model import load_model
from costsim.training import architecture as arch
from costsim.training.architecture import Architecture, Attention, Biases, Experts
from costsim.training.flops import flops_6nd, flops_per_token, recomputed_forward_fraction
from costsim.training.inferred import Proportions, infer_shape
from costsim.training.shape import inconsistencies

SIZES = st.integers(1, 64)
LENGTHS = st.integers(1, 1 << 20).map(float)


@st.composite
def attentions(draw: st.DrawFn, layers: int) -> Attention:
    kind = draw(st.sampled_from(["full", "sliding_window", "chunked", "mla"]))
    if kind == "full":
        return Attention()
    if kind == "mla":
        sizes = {name: draw(SIZES) for name in ("kv_rank", "rope_size", "nope_size", "v_size")}
        return Attention("mla", q_rank=draw(st.integers(0, 32)), **sizes)
    return Attention(kind, draw(st.integers(1, 1 << 16)), draw(st.integers(1, layers)))


@st.composite
def experts(draw: st.DrawFn, layers: int) -> Experts | None:
    if not draw(st.booleans()):
        return None
    routed, shared = draw(st.integers(1, 16)), draw(st.integers(0, 3))
    e = Experts(
        routed=routed,
        active=draw(st.integers(1, routed)),
        ffn_size=draw(SIZES),
        shared=shared,
        shared_ffn_size=draw(SIZES) if shared else 0,
        dense_layers=draw(st.integers(0, layers - 1)),
        every=draw(st.integers(1, 3)),
        router_bias=draw(st.booleans()),
        shared_gate=draw(st.booleans()),
    )
    return e if layers // e.every > e.dense_layers // e.every else None


@st.composite
def shapes(draw: st.DrawFn) -> Architecture:
    layers, kv_heads = draw(st.integers(1, 12)), draw(st.integers(1, 8))
    attention = draw(attentions(layers))
    latent = attention.kind == "mla"
    flag = st.booleans()
    return Architecture(
        layers=layers,
        hidden_size=draw(SIZES),
        heads=kv_heads * draw(st.integers(1, 4)),
        kv_heads=kv_heads,
        head_size=draw(SIZES),
        ffn_size=draw(SIZES),
        vocab_size=draw(st.integers(1, 500)),
        gated_ffn=draw(flag),
        tied_embeddings=draw(flag),
        learned_positions=draw(st.integers(0, 40)),
        relative_positions=draw(flag),
        biases=Biases(False if latent else draw(flag), draw(flag), draw(flag), draw(flag)),
        norm_bias=draw(flag),
        norms_per_layer=draw(st.integers(0, 4)),
        final_norm=draw(flag),
        embedding_norm=draw(flag),
        qk_norm="none" if latent else draw(st.sampled_from(["none", "head", "full"])),
        attention_sinks=draw(flag),
        parallel_attention=draw(flag),
        attention=attention,
        experts=draw(experts(layers)),
        multi_token_prediction=draw(st.integers(0, 2)),
    )


@given(shapes())
def test_terms_add_up(a):
    p, dense, moe = arch.parameters(a), arch.dense_layers(a), arch.moe_layers(a)
    routed = a.experts.routed if a.experts else 0
    ffn = dense * p.ffn_dense_per_layer + moe * (
        routed * p.expert_each + p.shared_experts_per_layer + p.router_per_layer
    )
    assert p.total == p.embedding + p.head + a.layers * p.attention_per_layer + ffn + p.norms_total
    unused = moe * (a.experts.routed - a.experts.active) * p.expert_each if a.experts else 0
    assert p.active == p.total - unused
    assert inconsistencies(a) == []


@given(shapes())
def test_every_weight_multiplies_once_or_is_looked_up(a):
    """What a token multiplies is never more than what it uses, but for a tied head, which is looked up as well."""
    p = arch.parameters(a)
    multiplied = arch.matmul_parameters_active(a, multi_token_prediction=False)
    assert multiplied <= p.active - p.embedding + (arch.head_weights(a) if a.tied_embeddings else 0)
    assert arch.matmul_parameters_active(a) >= multiplied


@given(shapes(), st.sampled_from(["layers", "hidden_size", "head_size", "ffn_size", "vocab_size", "learned_positions"]))
def test_a_larger_size_never_counts_less(a, field):
    larger = replace(a, **{field: getattr(a, field) + 1})
    assert arch.parameters(larger).total >= arch.parameters(a).total
    assert arch.matmul_parameters_active(larger) >= arch.matmul_parameters_active(a)


@given(shapes())
def test_all_experts_active_is_all_parameters(a):
    assume(a.experts is not None)
    everything = replace(a, experts=replace(a.experts, active=a.experts.routed))
    p = arch.parameters(everything)
    assert p.active == p.total


@given(shapes(), LENGTHS)
def test_attention_is_between_nothing_and_the_full_square(a, s):
    full = replace(a, attention=a.attention if a.attention.kind == "mla" else Attention())
    seen, square = arch.attended_keys(a, s), arch.attended_keys(full, s)
    assert 0 < seen <= square * (1 + 1e-12)
    assert arch.attended_keys(a, s, causal=False) >= seen
    assert square * 2 == pytest.approx(arch.attended_keys(full, s, causal=False))
    if a.attention.window >= s:
        assert seen == pytest.approx(square)


@given(shapes(), LENGTHS)
def test_longer_sequences_cost_more_a_token(a, s):
    # A chunk that is only begun costs less a token than a full one.
    longer = s * 2 if a.attention.kind != "chunked" else s + a.attention.window * np.ceil(s / a.attention.window)
    assert flops_per_token(a, longer) >= flops_per_token(a, s) * (1 - 1e-12)


@given(shapes(), LENGTHS)
def test_a_cache_never_exceeds_keys_and_values(a, s):
    elements = arch.kv_cache_elements_per_token(a, s)
    if a.attention.kind == "mla":
        assert elements == a.layers * (a.attention.kv_rank + a.attention.rope_size)
    else:
        assert 0 < elements <= a.layers * 2 * arch.kv_width(a) * (1 + 1e-12)


@given(shapes(), st.lists(LENGTHS, min_size=1, max_size=5))
def test_arrays_are_their_elements(a, lengths):
    for f in (arch.attention_flops_per_token, arch.kv_cache_elements_per_token, flops_per_token):
        assert f(a, np.array(lengths)).tolist() == pytest.approx([f(a, s) for s in lengths], rel=1e-15)


@given(shapes(), LENGTHS)
def test_recomputation_repeats_a_share_of_the_forward_pass(a, s):
    full = recomputed_forward_fraction(a, s, 1.0, 1.0)
    selective = recomputed_forward_fraction(a, s, 0.0, 1.0)
    assert 0 < selective < full < 1
    assert recomputed_forward_fraction(a, s, 0.0, 0.0) == 0


@given(st.floats(1e6, 1e13), st.floats(1e6, 1e14))
def test_6nd_is_bilinear(n, d):
    assert flops_6nd(2 * n, 3 * d) == pytest.approx(6 * flops_6nd(n, d))


@given(shapes())
@settings(max_examples=50)
def test_a_shape_written_out_is_read_back(a):
    fields = asdict(a)
    fields["biases"] = [name for name, on in fields["biases"].items() if on]
    assert load_model({key: value for key, value in fields.items() if value is not None}).architecture == a


LLAMA = Proportions(128, 3.5, 128, 8, 128256, 32000, 2e9, 8)


@given(st.floats(7.3, 13.3).map(lambda x: int(10**x)))
@settings(max_examples=40, deadline=None)
def test_any_size_has_a_shape(total):
    a = infer_shape(total, None, LLAMA)
    assert inconsistencies(a) == []
    assert arch.parameters(a).total == pytest.approx(total, rel=5e-3)


@given(st.floats(9.7, 12.3).map(lambda x: int(10**x)), st.floats(3, 25))
@settings(max_examples=20, deadline=None)
def test_any_sparse_size_has_a_shape(total, sparsity):
    a = infer_shape(total, int(total / sparsity), LLAMA)
    count = arch.parameters(a)
    assert inconsistencies(a) == []
    assert count.total == pytest.approx(total, rel=0.01)
    assert count.active == pytest.approx(total / sparsity, rel=0.005)
