"""FLOPs against torch's own counter on small decoders, and against published speeds and TFLOP/s."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import reference_decoder

from costsim.training.architecture import (
    Architecture,
    Attention,
    Biases,
    Experts,
    attention_flops_per_token,
    head_weights,
    matmul_parameters_active,
)
from costsim.training.flops import flops_per_token, hardware_flops, model_flops, recomputed_forward_fraction

SMALL = Architecture(3, 48, 6, 2, 8, 80, 100)
MLA = Attention("mla", q_rank=20, kv_rank=12, rope_size=4, nope_size=6, v_size=5)
EXPERTS = Experts(routed=6, active=2, ffn_size=16, shared=2, shared_ffn_size=24, dense_layers=1)
SHAPES = {
    "plain": SMALL,
    "tied, biases, two matrices": replace(
        SMALL, tied_embeddings=True, biases=Biases(True, True, True, True), gated_ffn=False, learned_positions=40
    ),
    "wide heads": replace(SMALL, head_size=20, qk_norm="head"),
    "latent attention": replace(SMALL, attention=MLA),
    "latent attention, plain queries": replace(SMALL, attention=replace(MLA, q_rank=0)),
    "experts": replace(SMALL, experts=EXPERTS),
    "gated shared experts": replace(SMALL, experts=replace(EXPERTS, shared_gate=True, router_bias=True)),
    "prediction module": replace(SMALL, attention=MLA, experts=EXPERTS, multi_token_prediction=1),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_training_flops_are_what_torch_counts(shape):
    """Forward and backward of the full square: torch counts a product of m, n, k as 2mnk, and so do we."""
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode

    torch.manual_seed(0)
    a, batch, sequence = SHAPES[shape], 2, 16
    model = reference_decoder.build(a, device="cpu")
    tokens = torch.randint(0, a.vocab_size, (batch, sequence))
    with FlopCounterMode(display=False) as forward:
        loss = model(tokens)
    with FlopCounterMode(display=False) as backward:
        loss.backward()
    per_token = flops_per_token(a, sequence, causal=False)
    assert forward.get_total_flops() * 3 == batch * sequence * per_token
    assert backward.get_total_flops() * 3 == 2 * batch * sequence * per_token


def _attention(text: str) -> Attention:
    kind, *sizes = text.split()
    numbers = [int(size) for size in sizes]
    if kind == "mla":
        q_rank, kv_rank, rope_size, nope_size, v_size = numbers
        return Attention("mla", q_rank=q_rank, kv_rank=kv_rank, rope_size=rope_size, nope_size=nope_size, v_size=v_size)
    return Attention("sliding_window", *numbers) if kind == "sliding_window" else Attention()


def _architecture(row: dict[str, str]) -> Architecture:
    sizes = {
        key: int(row[key])
        for key in ("layers", "hidden_size", "heads", "kv_heads", "head_size", "ffn_size", "vocab_size")
    }
    experts = None
    if row["experts"]:
        shared, width = int(row["shared_experts"]), int(row["expert_ffn_size"])
        counts = int(row["experts"]), int(row["active_experts"])
        experts = Experts(*counts, width, shared, width if shared else 0, int(row["dense_layers"]))
    return Architecture(
        **sizes,
        gated_ffn=row["gated_ffn"] == "true",
        attention=_attention(row["attention"]),
        experts=experts,
        multi_token_prediction=int(row["multi_token_prediction"]),
    )


def _rows() -> list[dict[str, str]]:
    with (Path(__file__).parents[1] / "data" / "published_tflops.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_published_rows_are_many_and_diverse():
    rows = _rows()
    assert len(rows) >= 50
    assert len({row["source_group"] for row in rows}) >= 13
    assert {row["convention"] for row in rows} == {"causal", "full", "full + recompute"}


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row["id"])
def test_published_tflops(row):
    """Printed tokens/s times our FLOPs is the printed TFLOP/s (or MFU of the named peak), after its convention."""
    a, sequence = _architecture(row), float(row["sequence_length"])
    per_token = flops_per_token(a, sequence, causal=row["convention"] == "causal")
    if row["convention"] == "full + recompute":
        # The layers' forward pass once more, the head not: Narayanan's 96 B s l h^2 (1 + s/6h + V/16lh).
        layers = per_token / 3 - 2.0 * head_weights(a)
        per_token = hardware_flops(per_token, layers / (per_token / 3))
    ours = per_token * float(row["tokens_per_second_per_device"]) / 1e12
    printed = float(row["printed"])
    if row["unit"] == "MFU %":
        printed *= float(row["peak_tflops"]) / 100
    assert ours == pytest.approx(printed, rel=0.01)


def test_narayanan_formula():
    """96 B s l h^2 (1 + s/6h + V/16lh): multi-head attention, 4h feed-forward layers, full recomputation."""
    layers, hidden, vocab, s = 96, 12288, 51200, 2048
    a = Architecture(layers, hidden, 96, 96, 128, 4 * hidden, vocab, gated_ffn=False, tied_embeddings=True)
    expected = 96 * layers * hidden**2 * (1 + s / (6 * hidden) + vocab / (16 * layers * hidden))
    square = 6 * matmul_parameters_active(a) + 3 * attention_flops_per_token(a, s, causal=False)
    repeated = (square / 3 - 2 * head_weights(a)) / (square / 3)
    assert hardware_flops(square, repeated) == pytest.approx(expected, rel=1e-12)
    # 72 B s l h^2 (1 + s/6h + V/12lh) without recomputation.
    assert square == pytest.approx(
        72 * layers * hidden**2 * (1 + s / (6 * hidden) + vocab / (12 * layers * hidden)), rel=1e-12
    )


def test_megatron_bridge_figures_of_llama_3():
    """Megatron-Bridge's performance pages: 5.15e10 FLOP/token for Llama 3 8B and 2.524e12 for 405B, at 8,192 tokens."""
    small = Architecture(32, 4096, 32, 8, 128, 14336, 128256)
    large = Architecture(126, 16384, 128, 8, 128, 53248, 128256)
    assert flops_per_token(small, 8192) == pytest.approx(5.15e10, rel=1e-3)
    assert flops_per_token(large, 8192) == pytest.approx(2.524e12, rel=2e-4)
    # The full square is 1.04 times that at 8k, and 1.40 times at 128k.
    assert flops_per_token(large, 8192, causal=False) / flops_per_token(large, 8192) == pytest.approx(1.04, abs=0.005)
    assert flops_per_token(large, 2**17, causal=False) / flops_per_token(large, 2**17) == pytest.approx(1.40, abs=0.01)


def test_llama_3_405b_uses_3_8e25_flops():
    """The Llama 3 Herd of Models §3: 405B on 15.6T tokens is 3.8e25 FLOPs, by 6ND; exact FLOPs are 3.94e25."""
    large = Architecture(126, 16384, 128, 8, 128, 53248, 128256)
    assert model_flops(flops_per_token(large, 8192), 15.6e12) == pytest.approx(3.937e25, rel=1e-3)
    assert recomputed_forward_fraction(large, 8192, 1.0, 1.0) == pytest.approx(0.995, abs=0.002)
