"""The bench's decoder has the parameters and FLOPs that are counted for its shape, as torch counts both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from costsim.training.architecture import Architecture, Biases, parameters
from costsim.training.flops import flops_per_token

torch = pytest.importorskip("torch")

LLAMA = Architecture(3, 128, 4, 2, 32, 352, 512)
SHAPES = {
    "llama": LLAMA,
    "every head its own keys, tied": replace(LLAMA, kv_heads=4, tied_embeddings=True),
    "gpt": replace(
        LLAMA,
        kv_heads=4,
        gated_ffn=False,
        learned_positions=64,
        norm_bias=True,
        biases=Biases(True, True, True, True),
        embedding_norm=True,
    ),
    "wide heads, normed, four norms": replace(LLAMA, head_size=64, qk_norm="head", norms_per_layer=4),
    "parallel, one norm, normed whole": replace(LLAMA, qk_norm="full", norms_per_layer=1, parallel_attention=True),
}
BATCH, SEQUENCE = 2, 64


def _decoder(a):
    from costsim.bench.decoder import Decoder

    torch.manual_seed(0)
    return Decoder(a, SEQUENCE)


def _counter():
    """Torch's counter, with the CPU's flash attention, of which torch counts nothing."""
    from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

    aten = torch.ops.aten
    mapping = {
        aten._scaled_dot_product_flash_attention_for_cpu: (lambda q, k, v, *_, **__: sdpa_flop_count(q, k, v)),
        aten._scaled_dot_product_flash_attention_for_cpu_backward: (
            lambda g, q, k, v, *_, **__: sdpa_backward_flop_count(g, q, k, v)
        ),
    }
    return FlopCounterMode(display=False, custom_mapping=mapping)


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_are_those_counted(name):
    a = SHAPES[name]
    assert sum(p.numel() for p in _decoder(a).parameters()) == parameters(a).total


@pytest.mark.parametrize("name", SHAPES)
def test_flops_are_what_torch_counts(name):
    """Flash attention makes its scores again in the backward pass: two FLOPs in fourteen that are no model FLOPs."""
    a = SHAPES[name]
    model = _decoder(a)
    tokens, targets = (torch.randint(0, a.vocab_size, (BATCH, SEQUENCE)) for _ in range(2))
    with _counter() as counted:
        model(tokens, targets).backward()
    scores_again = 2 * a.layers * BATCH * a.heads * SEQUENCE**2 * a.head_size
    ours = BATCH * SEQUENCE * flops_per_token(a, SEQUENCE, causal=False)
    assert counted.get_total_flops() == ours + scores_again
