"""Hugging Face model types that follow Llama's keys: what each adds, and what Transformers assumes of omitted ones.

The keys that make a model its size (layers, widths, heads, vocabulary) must be given, whatever Transformers would
assume; for the others Transformers' documented defaults hold. The counts that follow equal those of the modules that
Transformers builds (tests compare them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from costsim.inputs.hf_keys import Keys, attention_bias, decoder, windows
from costsim.training.architecture import Architecture, Attention, Biases, Experts


def _qwen_windows(k: Keys, layers: int) -> Attention:
    """Qwen's windows are off unless ``use_sliding_window``; the first ``max_window_layers`` layers stay full."""
    if not k.flag("use_sliding_window", default=False):
        return Attention()
    window = k.optional("sliding_window", default=4096)
    if k.values.get("layer_types") is None and (full := k.optional("max_window_layers", default=28)):
        if full < layers:
            k.wrong("max_window_layers", f"{full} full layers followed by windowed ones are not modelled")
        return Attention()
    return windows(k, layers, window)


def _llama(k: Keys) -> Architecture:
    return replace(decoder(k), biases=attention_bias(k))


def _mistral(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=8)
    return replace(a, attention=windows(k, a.layers, k.optional("sliding_window", default=4096)))


def _mixtral(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=8)
    experts = Experts(k.count("num_local_experts", default=8), k.count("num_experts_per_tok", default=2), a.ffn_size)
    return replace(a, attention=windows(k, a.layers, k.optional("sliding_window")), experts=experts)


def _granite_moe(k: Keys) -> Architecture:
    a = decoder(k)
    experts = Experts(k.count("num_local_experts", default=8), k.count("num_experts_per_tok", default=2), a.ffn_size)
    return replace(a, biases=attention_bias(k), experts=experts)


def _qwen2(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=32)
    return replace(a, biases=Biases(qkv=True), attention=_qwen_windows(k, a.layers))


def _qwen3(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=32, default_head_size=128)
    return replace(a, biases=attention_bias(k), qk_norm="head", attention=_qwen_windows(k, a.layers))


def _qwen_experts(k: Keys, routed: int, active: int, shared: int) -> Experts:
    """Experts of the Qwen families: every ``decoder_sparse_step``-th layer, less the listed dense ones."""
    dense = k.values.get("mlp_only_layers") or []
    if not isinstance(dense, list) or dense != list(range(len(dense))):
        k.wrong("mlp_only_layers", "only leading dense layers are modelled", "a list 0, 1, 2 ...")
        dense = []
    return Experts(
        routed=k.count("num_experts", "num_local_experts", default=routed),
        active=k.count("num_experts_per_tok", default=active),
        ffn_size=k.count("moe_intermediate_size"),
        shared=1 if shared else 0,
        shared_ffn_size=shared,
        dense_layers=len(dense),
        every=k.count("decoder_sparse_step", derived=1),
        shared_gate=bool(shared),
    )


def _qwen2_moe(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=16)
    shared = k.count("shared_expert_intermediate_size", default=5632)
    biases = Biases(qkv=k.flag("qkv_bias", default=True))
    return replace(a, biases=biases, attention=_qwen_windows(k, a.layers), experts=_qwen_experts(k, 60, 4, shared))


def _qwen3_moe(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=4)
    a = replace(a, biases=attention_bias(k), qk_norm="head", attention=_qwen_windows(k, a.layers))
    return replace(a, experts=_qwen_experts(k, 128, 8, shared=0))


def _gemma(k: Keys) -> Architecture:
    return replace(decoder(k, kv_heads=16, default_head_size=256, tied=True), biases=attention_bias(k))


def _gemma2(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=4, default_head_size=256, tied=True)
    attention = windows(k, a.layers, k.optional("sliding_window", default=4096), every=2)
    return replace(a, biases=attention_bias(k), norms_per_layer=4, attention=attention)


def _gemma3(k: Keys) -> Architecture:
    k.values = {"vocab_size": 262208, "num_attention_heads": 8, **k.values}  # published text_configs omit these
    a = decoder(k, kv_heads=4, default_head_size=256, tied=True)
    every = k.count("sliding_window_pattern", "_sliding_window_pattern", default=6)
    attention = windows(k, a.layers, k.optional("sliding_window", default=4096), every)
    return replace(a, biases=attention_bias(k), norms_per_layer=4, qk_norm="head", attention=attention)


def _phi3(k: Keys) -> Architecture:
    a = decoder(k)
    return replace(a, attention=windows(k, a.layers, k.optional("sliding_window")))


def _olmo(k: Keys) -> Architecture:
    return replace(decoder(k), biases=attention_bias(k), norms_per_layer=0, final_norm=False)  # norms without weights


def _olmo2(k: Keys) -> Architecture:
    return replace(decoder(k), biases=attention_bias(k), qk_norm="full")


def _olmo3(k: Keys) -> Architecture:
    a = _olmo2(k)
    return replace(a, attention=windows(k, a.layers, k.optional("sliding_window", default=4096), every=4))


def _olmoe(k: Keys) -> Architecture:
    a = _olmo2(k)
    experts = Experts(k.count("num_experts", default=64), k.count("num_experts_per_tok", default=8), a.ffn_size)
    return replace(a, experts=experts)


def _granite(k: Keys) -> Architecture:
    return replace(decoder(k), biases=attention_bias(k))


def _glm4(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=2, default_head_size=128)
    return replace(a, biases=attention_bias(k, default=True, output=False), norms_per_layer=4)


def _latent(k: Keys) -> Attention:
    """Multi-head latent attention; ``q_lora_rank`` is null where queries are projected directly."""
    k.refuse("attention_bias", "biases within latent attention are not modelled")
    return Attention(
        "mla",
        q_rank=k.optional("q_lora_rank", default=1536),
        kv_rank=k.count("kv_lora_rank", default=512),
        rope_size=k.count("qk_rope_head_dim", default=64, least=0),
        nope_size=k.count("qk_nope_head_dim", default=128, least=0),
        v_size=k.count("v_head_dim", default=128),
    )


def _shared_experts(k: Keys, routed: int, size: int, shared: int, dense: int, active: int | None = 8) -> Experts | None:
    """Experts of DeepSeek and GLM: leading dense layers, then routed experts and shared ones of the same width."""
    if not (routed := k.optional("n_routed_experts", default=routed)):
        return None
    if k.count("moe_layer_freq", derived=1) != 1:
        k.wrong("moe_layer_freq", "only 1 is modelled: experts in every layer after the dense ones")
    size = k.count("moe_intermediate_size", default=size)
    shared = k.optional("n_shared_experts", default=shared)
    dense = k.count("first_k_dense_replace", default=dense, least=0)
    active = k.count("num_experts_per_tok", default=active)
    return Experts(routed, active, size, shared, size if shared else 0, dense)


def _deepseek(k: Keys, experts: Experts | None) -> Architecture:
    attention = _latent(k)
    a = decoder(replace(k, values={**k.values, "head_dim": attention.nope_size + attention.rope_size or 1}))
    modules = k.optional("num_nextn_predict_layers")
    return replace(a, attention=attention, experts=experts, multi_token_prediction=modules)


def _deepseek_v2(k: Keys) -> Architecture:
    return _deepseek(k, _shared_experts(k, routed=64, size=1407, shared=2, dense=0, active=None))


def _deepseek_v3(k: Keys) -> Architecture:
    return _deepseek(k, _shared_experts(k, routed=256, size=2048, shared=1, dense=3))


def _glm4_moe(k: Keys) -> Architecture:
    return replace(
        decoder(k, kv_heads=8),
        biases=attention_bias(k, output=False),
        qk_norm="head" if k.flag("use_qk_norm", default=False) else "none",
        experts=_shared_experts(k, routed=128, size=1408, shared=1, dense=1),
        multi_token_prediction=k.optional("num_nextn_predict_layers"),
    )


def _gpt_oss(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=8, default_head_size=64)
    bias = k.flag("attention_bias", default=True)
    experts = Experts(
        routed=k.count("num_local_experts", "num_experts", default=128),
        active=k.count("num_experts_per_tok", "experts_per_token", default=4),
        ffn_size=a.ffn_size,
        router_bias=True,
    )
    return replace(
        a,
        biases=Biases(qkv=bias, output=bias, ffn=True),
        attention=windows(k, a.layers, k.optional("sliding_window", default=128), every=2),
        attention_sinks=True,
        experts=experts,
    )


def _llama4(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=8)
    if k.values.get("moe_layers") is not None or isinstance(k.values.get("no_rope_layers"), list):
        _check_llama4_lists(k, a.layers)
    experts = Experts(
        routed=k.count("num_local_experts", default=16),
        active=k.count("num_experts_per_tok", default=1),
        ffn_size=a.ffn_size,
        shared=1,
        shared_ffn_size=a.ffn_size,
        every=k.count("interleave_moe_layer_step", derived=1),
    )
    chunk, every = k.optional("attention_chunk_size", default=8192), k.count("no_rope_layer_interval", derived=4)
    return replace(
        a,
        ffn_size=k.count("intermediate_size_mlp", default=16384),
        biases=attention_bias(k),  # its query-key normalisation has no weights
        attention=Attention("chunked", chunk, every) if chunk and 1 < every <= a.layers else Attention(),
        experts=experts,
    )


def _check_llama4_lists(k: Keys, layers: int) -> None:
    """The two per-layer lists of Llama 4 must say what its two intervals say."""
    step, interval = k.count("interleave_moe_layer_step", derived=1), k.count("no_rope_layer_interval", derived=4)
    expected: dict[str, list[int]] = {
        "moe_layers": list(range(step - 1, layers, step)),
        "no_rope_layers": [int((i + 1) % interval != 0) for i in range(layers)],
    }
    for name, order in expected.items():
        if k.values.get(name) not in (None, [], order):
            k.wrong(name, "its order is not modelled", "the one that the interval implies")


def _cohere(k: Keys) -> Architecture:
    a = replace(decoder(k, tied=True), biases=attention_bias(k), norms_per_layer=1, parallel_attention=True)
    return replace(a, qk_norm="full" if k.flag("use_qk_norm", default=False) else "none")  # one weight a head


def _cohere2(k: Keys) -> Architecture:
    a = _cohere(k)
    every = k.count("sliding_window_pattern", "_sliding_window_pattern", default=4)
    return replace(a, attention=windows(k, a.layers, k.optional("sliding_window", default=4096), every))


def _smollm3(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=4, tied=True)
    return replace(a, biases=attention_bias(k), attention=_qwen_windows(k, a.layers))


def _seed_oss(k: Keys) -> Architecture:
    a = decoder(k, kv_heads=8, default_head_size=128)
    biases = attention_bias(k, default=True)
    return replace(a, biases=replace(biases, output=k.flag("attention_out_bias", default=False)))


def _stablelm(k: Keys) -> Architecture:
    parallel = k.flag("use_parallel_residual", default=False)
    return replace(
        decoder(k, kv_heads=32),
        biases=Biases(qkv=k.flag("use_qkv_bias", default=False)),
        norm_bias=True,
        norms_per_layer=1 if parallel else 2,
        parallel_attention=parallel,
        qk_norm="full" if k.flag("qk_layernorm", default=False) else "none",  # one norm a head, without bias
    )


GATED: Final[dict[str, Callable[[Keys], Architecture]]] = {
    "cohere": _cohere,
    "cohere2": _cohere2,
    "deepseek_v2": _deepseek_v2,
    "deepseek_v3": _deepseek_v3,
    "gemma": _gemma,
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "glm4": _glm4,
    "glm4_moe": _glm4_moe,
    "gpt_oss": _gpt_oss,
    "granite": _granite,
    "granitemoe": _granite_moe,
    "kimi_k2": _deepseek_v3,
    "llama": _llama,
    "llama4_text": _llama4,
    "mistral": _mistral,
    "mixtral": _mixtral,
    "olmo": _olmo,
    "olmo2": _olmo2,
    "olmo3": _olmo3,
    "olmoe": _olmoe,
    "phi3": _phi3,
    "qwen2": _qwen2,
    "qwen2_moe": _qwen2_moe,
    "qwen3": _qwen3,
    "qwen3_moe": _qwen3_moe,
    "seed_oss": _seed_oss,
    "smollm3": _smollm3,
    "stablelm": _stablelm,
}
