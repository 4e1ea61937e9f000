"""Kernel times: limits of the matrix-product law, attention, experts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_cases import CHIP, GPT_22B, LLAMA_8B, STACK, WORK, stack

from costsim.training import kernels
from costsim.training.architecture import Architecture, Attention, Experts, attention_weights, ffn_weights


def test_large_products_reach_the_efficiency():
    n = 65536.0
    seconds = kernels.matmul_seconds(n, n, n, CHIP, STACK, WORK)
    assert 2 * n**3 / seconds == pytest.approx(989.4e12 * 0.765 * 0.9, rel=1e-3)


def test_thin_products_are_bound_by_memory():
    chip = replace(CHIP, launch_seconds=0.0)
    seconds = kernels.matmul_seconds(1.0, 8192.0, 8192.0, chip, STACK, WORK)
    nbytes = 2 * (8192 + 8192 * 8192 + 8192)
    assert seconds == pytest.approx(nbytes / (3.35e12 * 0.78), rel=1e-3)


def test_tiny_products_cost_a_launch():
    assert kernels.matmul_seconds(1.0, 1.0, 1.0, CHIP, STACK, WORK) == pytest.approx(3.6e-6, rel=1e-3)


def test_no_multiplier_lifts_a_product_above_the_peak():
    assert float(kernels.matmul_efficiency(CHIP, stack(matmul=5.0))) == 0.97


@pytest.mark.parametrize(
    "a",
    [
        LLAMA_8B,
        GPT_22B,
        Architecture(
            4,
            64,
            4,
            4,
            16,
            128,
            100,
            attention=Attention("mla", q_rank=24, kv_rank=8, rope_size=4, nope_size=8, v_size=8),
        ),
        Architecture(
            4, 64, 4, 4, 16, 128, 100, attention=Attention("mla", kv_rank=8, rope_size=4, nope_size=8, v_size=8)
        ),
    ],
)
def test_products_are_the_weights_of_the_layer(a):
    attention = sum(p.inner * p.columns for p in kernels.attention_products(a))
    ffn = sum(p.inner * p.columns for p in kernels.ffn_products(a, a.ffn_size))
    assert attention == attention_weights(a)
    assert ffn == ffn_weights(a, a.ffn_size)


def test_unfused_attention_is_slower_and_grows_with_the_square():
    flops = 1e12
    fused = kernels.attention_core_seconds(GPT_22B, flops, 2048.0, 2048.0, 1.0, CHIP, STACK)
    unfused = kernels.attention_core_seconds(GPT_22B, flops, 2048.0, 2048.0, 1.0, CHIP, stack(unfused_attention=1.0))
    longer = kernels.attention_core_seconds(GPT_22B, flops, 2048.0, 8192.0, 1.0, CHIP, stack(unfused_attention=1.0))
    assert fused < unfused < longer


def test_experts_cost_at_least_their_dense_products():
    a = Architecture(4, 2048, 16, 16, 128, 8192, 1000, experts=Experts(64, 8, 1024))
    pairs = 8192.0 * 8
    grouped = kernels.experts_seconds(a, pairs, 8.0, 1.0, CHIP, STACK, WORK)
    dense = 2 * pairs * ffn_weights(a, 1024) / (989.4e12 * 0.765 * 0.9)
    assert grouped > dense
    assert kernels.experts_seconds(LLAMA_8B, pairs, 8.0, 1.0, CHIP, STACK, WORK) == 0.0


def test_smooth_max_lies_between_the_larger_and_their_sum():
    a, b = np.array([1.0, 2.0, 0.0]), np.array([1.0, 0.5, 0.0])
    both = kernels.smooth_max(a, b)
    assert np.all(both >= np.maximum(a, b))
    assert np.all(both <= a + b)
    assert both[0] == pytest.approx(2**0.25)
