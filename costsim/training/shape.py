"""The shape of a decoder-only transformer: the facts that its parameters, FLOPs and memory follow from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

AttentionKind = Literal["full", "sliding_window", "chunked", "mla"]
QkNorm = Literal["none", "head", "full"]


@dataclass(frozen=True)
class Attention:
    """Which keys a query sees, and how keys and values are made.

    Attributes:
        kind: ``full``; ``sliding_window`` (the last ``window`` keys); ``chunked`` (keys of the same block of ``window``
            tokens, Llama 4); ``mla`` (multi-head latent attention, DeepSeek-V2 §2.1), which sees every key.
        window: keys seen by a windowed layer, in tokens.
        every: one layer in ``every`` (the last of each group) sees all keys and the others are windowed; 1: all layers
            are windowed. Gemma 2 and gpt-oss: 2; Gemma 3: 6; Mistral 7B: 1.
        q_rank: latent size of the queries in MLA; 0 when queries are projected directly.
        kv_rank: latent size of keys and values in MLA.
        rope_size: rotary part of a head's query and key in MLA.
        nope_size: part of a head's query and key without position in MLA.
        v_size: size of a head's value in MLA.
    """

    kind: AttentionKind = "full"
    window: int = 0
    every: int = 1
    q_rank: int = 0
    kv_rank: int = 0
    rope_size: int = 0
    nope_size: int = 0
    v_size: int = 0


@dataclass(frozen=True)
class Experts:
    """A mixture of experts in place of the dense feed-forward layer.

    Attributes:
        routed: experts a router chooses from, in each MoE layer.
        active: routed experts that a token uses.
        ffn_size: inner width of one routed expert.
        shared: experts that every token uses, in addition.
        shared_ffn_size: inner width of one shared expert.
        dense_layers: leading layers that keep the dense feed-forward layer.
        every: after those, layer i (from 1) is MoE when ``i % every == 0``.
        router_bias: the router has a trained bias (gpt-oss).
        shared_gate: a gate of ``hidden_size`` weights scales the shared experts (Qwen 2 MoE).
    """

    routed: int
    active: int
    ffn_size: int
    shared: int = 0
    shared_ffn_size: int = 0
    dense_layers: int = 0
    every: int = 1
    router_bias: bool = False
    shared_gate: bool = False


@dataclass(frozen=True)
class Biases:
    """Which linear layers carry a bias.

    Attributes:
        qkv: the query, key and value projections.
        output: the projection out of attention.
        ffn: the feed-forward layers, experts included.
        head: the language-model head (GPT-J, Phi).
    """

    qkv: bool = False
    output: bool = False
    ffn: bool = False
    head: bool = False


@dataclass(frozen=True)
class Architecture:
    """A decoder-only transformer.

    Attributes:
        layers: transformer blocks.
        hidden_size: width of the residual stream.
        heads: query heads.
        kv_heads: key and value heads (grouped-query attention; equal to ``heads`` without it).
        head_size: width of a head; ``heads * head_size`` need not equal ``hidden_size``.
        ffn_size: inner width of the dense feed-forward layer.
        vocab_size: rows of the token embedding, padding included.
        gated_ffn: three matrices (SwiGLU, GeGLU) rather than two.
        tied_embeddings: the head is the transposed token embedding.
        learned_positions: rows of a learned position embedding; 0 with rotary, ALiBi or none.
        relative_positions: one more ``hidden_size x heads * head_size`` projection a layer, for the relative positions
            of Transformer-XL (Gopher, Chinchilla). Counted as parameters; it multiplies positions, not tokens.
        biases: which linear layers carry a bias.
        norm_bias: normalisations carry a bias (layer norm) as well as a weight (RMS norm).
        norms_per_layer: block normalisations a layer: 2, or 1 (parallel blocks), or 4 (Gemma 2 and 3).
        final_norm: a normalisation before the head.
        embedding_norm: a normalisation after the embedding (BLOOM).
        qk_norm: normalisation of queries and keys: ``head`` (weights of one head, shared) or ``full`` (whole width).
        attention_sinks: one trained logit a head (gpt-oss).
        parallel_attention: attention and feed-forward read the same input and are added together (GPT-J, Falcon).
        attention: which keys are seen and how they are made.
        experts: the mixture of experts, or None.
        multi_token_prediction: extra prediction modules used in training (DeepSeek-V3 §2.2).
    """

    layers: int
    hidden_size: int
    heads: int
    kv_heads: int
    head_size: int
    ffn_size: int
    vocab_size: int
    gated_ffn: bool = True
    tied_embeddings: bool = False
    learned_positions: int = 0
    relative_positions: bool = False
    biases: Biases = field(default_factory=Biases)
    norm_bias: bool = False
    norms_per_layer: int = 2
    final_norm: bool = True
    embedding_norm: bool = False
    qk_norm: QkNorm = "none"
    attention_sinks: bool = False
    parallel_attention: bool = False
    attention: Attention = field(default_factory=Attention)
    experts: Experts | None = None
    multi_token_prediction: int = 0


def inconsistencies(a: Architecture) -> list[tuple[str, str]]:
    """Every contradiction within a shape, as (field, what is wrong); an empty list if there is none.

    Sizes are taken to be in range one by one; this checks how they fit together.
    """
    found = []
    if a.kv_heads > a.heads:
        found.append(("kv_heads", f"{a.kv_heads} key-value heads are more than the {a.heads} query heads"))
    elif a.heads % a.kv_heads:
        found.append(("kv_heads", f"{a.heads} query heads cannot be shared by {a.kv_heads} key-value heads equally"))
    found += [(f"attention.{field}", text) for field, text in _attention_inconsistencies(a)]
    if a.experts is not None:
        found += [(f"experts.{field}", text) for field, text in _expert_inconsistencies(a.experts, a.layers)]
    return found


def _attention_inconsistencies(a: Architecture) -> list[tuple[str, str]]:
    """Contradictions of the kind of attention and its sizes."""
    m, latent = a.attention, ("q_rank", "kv_rank", "rope_size", "nope_size", "v_size")
    windowed = m.kind in ("sliding_window", "chunked")
    found = []
    if windowed and m.window < 1:
        found.append(("window", f"{m.kind} attention needs a window of at least 1 token"))
    if not windowed and (m.window or m.every != 1):
        found.append(("window", f"a window does not belong to {m.kind} attention"))
    if windowed and m.every > a.layers:
        found.append(("every", f"one layer in {m.every} is not possible with {a.layers} layers"))
    if m.kind != "mla":
        return found + [
            (size, f"{size} belongs to mla, not to {m.kind} attention") for size in latent if getattr(m, size)
        ]
    found += [(size, f"mla needs {size}") for size in ("kv_rank", "v_size") if not getattr(m, size)]
    if not m.rope_size + m.nope_size:
        found.append(("nope_size", "mla needs rope_size or nope_size: the size of a head's query"))
    if a.biases.qkv or a.qk_norm != "none":
        found.append(("kind", "mla has no query, key and value biases and no query-key normalisation of its own"))
    return found


def _expert_inconsistencies(e: Experts, layers: int) -> list[tuple[str, str]]:
    """Contradictions of a mixture of experts."""
    found = []
    if e.active > e.routed:
        found.append(("active", f"{e.active} active experts are more than the {e.routed} routed ones"))
    if e.dense_layers >= layers:
        found.append(
            ("dense_layers", f"{e.dense_layers} dense layers leave none of the {layers} layers to the experts")
        )
    elif layers // e.every == e.dense_layers // e.every:
        found.append(("every", f"no layer of {layers} has experts with every: {e.every}"))
    if bool(e.shared) != bool(e.shared_ffn_size):
        found.append(("shared", "shared experts and their shared_ffn_size go together"))
    return found
