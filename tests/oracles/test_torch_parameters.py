"""Parameter counts against torch modules of the same shape on the meta device."""

from __future__ import annotations

from dataclasses import replace

import pytest
import reference_decoder

from costsim.inputs import catalogue
from costsim.inputs.model import load_model
from costsim.training.architecture import Architecture, Attention, Biases, Experts, layer_parameters, parameters

SMALL = Architecture(4, 48, 6, 2, 8, 80, 100)
MLA = Attention("mla", q_rank=20, kv_rank=12, rope_size=4, nope_size=6, v_size=5)
EXPERTS = Experts(routed=6, active=2, ffn_size=16, shared=2, shared_ffn_size=24, dense_layers=1)

SHAPES = {
    "plain": SMALL,
    "all biases, layer norms": replace(SMALL, biases=Biases(True, True, True, True), norm_bias=True, gated_ffn=False),
    "qkv biases": replace(SMALL, biases=Biases(qkv=True)),
    "heads wider than hidden": replace(SMALL, head_size=32),
    "norm a head": replace(SMALL, qk_norm="head", norms_per_layer=4),
    "norm of the whole width": replace(SMALL, qk_norm="full", norms_per_layer=1),
    "no weights in norms": replace(SMALL, norms_per_layer=0, final_norm=False),
    "positions and embedding norm": replace(SMALL, learned_positions=33, embedding_norm=True, tied_embeddings=True),
    "sinks": replace(SMALL, attention_sinks=True, attention=Attention("sliding_window", 3, 2)),
    "relative positions": replace(SMALL, relative_positions=True),
    "latent attention": replace(SMALL, attention=MLA),
    "latent attention, plain queries": replace(SMALL, attention=replace(MLA, q_rank=0)),
    "experts": replace(SMALL, experts=EXPERTS),
    "every second layer": replace(SMALL, layers=7, experts=replace(EXPERTS, every=2, dense_layers=2)),
    "gated shared experts, biases": replace(
        SMALL, experts=replace(EXPERTS, shared_gate=True, router_bias=True), biases=Biases(ffn=True)
    ),
    "prediction modules": replace(SMALL, attention=MLA, experts=EXPERTS, multi_token_prediction=2),
}


def compare(a: Architecture) -> None:
    model, counted = reference_decoder.build(a), parameters(a)
    main = model.main
    assert counted.total == reference_decoder.count(main)
    routed = sum(reference_decoder.count(layer.ffn.routed) for layer in main.layers if hasattr(layer.ffn, "routed"))
    e = a.experts
    # A token leaves out its share of the routed experts: all of them are of one size.
    unused = routed * (e.routed - e.active) // e.routed if e else 0
    assert counted.active == reference_decoder.count(main) - unused
    embeddings = [m for m in (main.tokens, main.positions) if m is not None]
    assert counted.embedding == sum(reference_decoder.count(m) for m in embeddings)
    assert counted.multi_token_prediction == reference_decoder.count(model.extra)
    assert counted.attention_per_layer == reference_decoder.count(main.layers[0].attention)
    for layer in (main.layers[0], main.layers[-1]):
        assert layer_parameters(a, moe=hasattr(layer.ffn, "routed")) == reference_decoder.count(layer)
    outer = reference_decoder.count(main.outer_norms)
    assert counted.norms_total == outer + sum(reference_decoder.count(layer.norms) for layer in main.layers)


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_counts_as_torch_does(shape):
    pytest.importorskip("torch")
    compare(SHAPES[shape])


@pytest.mark.parametrize("name", catalogue.names("models"))
def test_catalogue_model_counts_as_torch_does(name):
    pytest.importorskip("torch")
    compare(load_model(name).architecture)
