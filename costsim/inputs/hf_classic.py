"""Model types of Hugging Face with keys of their own, mostly older: two-matrix feed-forward layers and layer norms.

As in ``hf_families``: sizes must be given, and Transformers' documented defaults hold for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from costsim.inputs.hf_keys import Keys, attention_bias, decoder, head_size, windows
from costsim.training.architecture import Architecture, Biases

_ALL: Final = Biases(qkv=True, output=True, ffn=True)


def _classic(k: Keys, layers: int, hidden: int, heads: int, ffn: int, *, tied: bool = True) -> Architecture:
    """Multi-head attention, a two-matrix feed-forward layer, layer norms, biases everywhere."""
    return Architecture(
        layers=layers,
        hidden_size=hidden,
        heads=heads,
        kv_heads=heads,
        head_size=head_size(k, hidden, heads),
        ffn_size=ffn,
        vocab_size=k.count("vocab_size"),
        gated_ffn=False,
        tied_embeddings=k.flag("tie_word_embeddings", tied),
        biases=_ALL,
        norm_bias=True,
    )


def _gpt2(k: Keys) -> Architecture:
    k.refuse("add_cross_attention", "cross-attention is not modelled")
    hidden = k.count("n_embd", "hidden_size")
    layers, heads = k.count("n_layer", "num_hidden_layers"), k.count("n_head", "num_attention_heads")
    a = _classic(k, layers, hidden, heads, k.count("n_inner", derived=4 * hidden))
    return replace(a, learned_positions=k.count("n_positions", "max_position_embeddings", default=1024))


def _gpt_bigcode(k: Keys) -> Architecture:
    a = _gpt2(k)
    return replace(a, kv_heads=1 if k.flag("multi_query", default=True) else a.heads)


def _gptj(k: Keys) -> Architecture:
    hidden = k.count("n_embd", "hidden_size")
    layers, heads = k.count("n_layer", "num_hidden_layers"), k.count("n_head", "num_attention_heads")
    a = _classic(k, layers, hidden, heads, k.count("n_inner", derived=4 * hidden), tied=False)
    return replace(a, biases=Biases(ffn=True, head=True), norms_per_layer=1, parallel_attention=True)


def _gpt_neox(k: Keys) -> Architecture:
    a = replace(decoder(k), gated_ffn=False, norm_bias=True)
    bias = k.flag("attention_bias", default=True)
    parallel = k.flag("use_parallel_residual", default=True)
    return replace(a, biases=Biases(qkv=bias, output=bias, ffn=True), parallel_attention=parallel)


def _opt(k: Keys) -> Architecture:
    hidden = k.count("hidden_size")
    layers, heads = k.count("num_hidden_layers"), k.count("num_attention_heads")
    a = _classic(k, layers, hidden, heads, k.count("ffn_dim"))
    if k.count("word_embed_proj_dim", derived=hidden) != hidden:
        k.wrong("word_embed_proj_dim", "projected embeddings are not modelled", f"{hidden}, the hidden size")
    before = k.flag("do_layer_norm_before", default=True)
    weights = k.flag("layer_norm_elementwise_affine", default=True)
    return replace(
        a,
        learned_positions=k.count("max_position_embeddings", default=2048) + 2,  # OPT's offset of two rows
        biases=_ALL if k.flag("enable_bias", default=True) else Biases(),
        norms_per_layer=2 if weights else 0,
        final_norm=weights and before and not k.flag("_remove_final_layer_norm", default=False),
    )


def _bloom(k: Keys) -> Architecture:
    hidden = k.count("hidden_size", "n_embed")
    layers, heads = k.count("n_layer", "num_hidden_layers"), k.count("n_head", "num_attention_heads")
    return replace(_classic(k, layers, hidden, heads, 4 * hidden), embedding_norm=True)


def _phi(k: Keys) -> Architecture:
    k.refuse("qk_layernorm", "query-key normalisation with a bias is not modelled")
    a = replace(decoder(k), gated_ffn=False, norm_bias=True)
    return replace(a, biases=replace(_ALL, head=True), norms_per_layer=1, parallel_attention=True)


def _starcoder2(k: Keys) -> Architecture:
    a = replace(decoder(k, kv_heads=2, tied=True), gated_ffn=False, norm_bias=True)
    biases = _ALL if k.flag("use_bias", default=True) else Biases()
    return replace(a, biases=biases, attention=windows(k, a.layers, k.optional("sliding_window")))


def _nemotron(k: Keys) -> Architecture:
    return replace(decoder(k), gated_ffn=False, norm_bias=True, biases=attention_bias(k))


def _falcon(k: Keys) -> Architecture:
    hidden = k.count("hidden_size")
    layers = k.count("num_hidden_layers", "n_layer")
    heads = k.count("num_attention_heads", "n_head")
    a = _classic(k, layers, hidden, heads, k.count("ffn_hidden_size", derived=4 * hidden))
    grouped = k.flag("new_decoder_architecture", default=False)
    if grouped or not k.flag("multi_query", default=True):
        kv_heads = k.count("num_kv_heads", "n_head_kv", derived=heads)
    else:
        kv_heads = 1
    parallel = grouped or k.flag("parallel_attn", default=True)
    norms = k.count("num_ln_in_parallel_attn", derived=2 if grouped else 1) if parallel else 2
    return replace(
        a,
        kv_heads=kv_heads,
        biases=_ALL if k.flag("bias", default=False) else Biases(),
        norms_per_layer=norms,
        parallel_attention=parallel,
    )


def _mpt(k: Keys) -> Architecture:
    hidden = k.count("d_model")
    if k.values.get("expansion_ratio", 4) != 4:
        k.wrong("expansion_ratio", "Transformers builds a feed-forward layer of 4 hidden sizes whatever it says", "4")
    options = k.values.get("attn_config") or {}
    if not isinstance(options, dict) or options.get("qk_ln") or options.get("attn_type") == "multiquery_attention":
        k.wrong("attn_config", "only multi-head attention without query-key normalisation is modelled")
    a = _classic(k, k.count("n_layers"), hidden, k.count("n_heads"), 4 * hidden)
    return replace(a, biases=Biases(), norm_bias=False)  # Transformers builds it without biases whatever no_bias says


CLASSIC: Final[dict[str, Callable[[Keys], Architecture]]] = {
    "bloom": _bloom,
    "falcon": _falcon,
    "gpt2": _gpt2,
    "gpt_bigcode": _gpt_bigcode,
    "gpt_neox": _gpt_neox,
    "gptj": _gptj,
    "mpt": _mpt,
    "nemotron": _nemotron,
    "opt": _opt,
    "phi": _phi,
    "starcoder2": _starcoder2,
}
