"""What follows from a model's shape: parameters, widths, weights that multiply, KV cache.

Counts are exact Python integers, term by term, and equal to what a framework reports for the same model (buffers, such
as DeepSeek-V3's expert selection bias, are not parameters). Anything that depends on a sequence length broadcasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costsim.quantities import declare
from costsim.training.shape import Architecture as Architecture
from costsim.training.shape import Attention as Attention
from costsim.training.shape import Biases as Biases
from costsim.training.shape import Experts as Experts

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class Parameters:
    """Parameters of a model, in total and by term.

    Attributes:
        total: the main model; multi-token prediction modules are apart.
        active: of those, what one token uses: routed experts that it does not use are left out.
        embedding: input embedding, of tokens and learned positions.
        head: the language-model head where it is not tied to the embedding, and its bias.
        attention_per_layer: projections, biases, query-key and latent normalisations, sinks.
        ffn_dense_per_layer: the feed-forward layer of a dense layer; 0 if there is no dense layer.
        expert_each: one routed expert of one layer.
        shared_experts_per_layer: all shared experts of an MoE layer, and their gate.
        router_per_layer: router of an MoE layer.
        norms_per_layer: block normalisations of a layer.
        norms_total: those of all layers, the final one and the embedding's.
        multi_token_prediction: all multi-token prediction modules; embedding and head are shared with the main model.
        multi_token_prediction_active: of those, what one token uses.
    """

    total: int
    active: int
    embedding: int
    head: int
    attention_per_layer: int
    ffn_dense_per_layer: int
    expert_each: int
    shared_experts_per_layer: int
    router_per_layer: int
    norms_per_layer: int
    norms_total: int
    multi_token_prediction: int
    multi_token_prediction_active: int


# --- layers -----------------------------------------------------------------------------------------------------------


@declare(
    "model.layers",
    label="layers",
    unit="count",
    formula="{model.layers}",
    source="the model's shape",
)
def layer_count(a: Architecture) -> int:
    """Transformer layers of the main model."""
    return a.layers


def moe_layers(a: Architecture) -> int:
    """Layers whose feed-forward layer is a mixture of experts."""
    if a.experts is None:
        return 0
    return a.layers // a.experts.every - a.experts.dense_layers // a.experts.every


def dense_layers(a: Architecture) -> int:
    """Layers with the dense feed-forward layer."""
    return a.layers - moe_layers(a)


def windowed_layers(a: Architecture) -> int:
    """Layers whose queries see a window or a chunk rather than all keys."""
    if a.attention.kind not in ("sliding_window", "chunked"):
        return 0
    return a.layers if a.attention.every == 1 else a.layers - a.layers // a.attention.every


# --- widths -----------------------------------------------------------------------------------------------------------


def query_width(a: Architecture) -> int:
    """Elements of a token's queries in one layer, all heads."""
    if a.attention.kind == "mla":
        return a.heads * (a.attention.nope_size + a.attention.rope_size)
    return a.heads * a.head_size


def key_width(a: Architecture) -> int:
    """Elements of a token's keys in one layer as attention reads them (in MLA: expanded, one a query head)."""
    return query_width(a) if a.attention.kind == "mla" else a.kv_heads * a.head_size


def value_width(a: Architecture) -> int:
    """Elements of a token's values in one layer as attention reads them (in MLA: expanded)."""
    return a.heads * a.attention.v_size if a.attention.kind == "mla" else a.kv_heads * a.head_size


def kv_width(a: Architecture) -> float:
    """Mean of key and value width, so that ``2 * kv_width`` is both: ``kv_heads * head_size`` except in MLA."""
    return (key_width(a) + value_width(a)) / 2


def attention_output_width(a: Architecture) -> int:
    """Elements of a token's attention result in one layer, all heads: what the output projection reads."""
    return a.heads * (a.attention.v_size if a.attention.kind == "mla" else a.head_size)


# --- weights that multiply --------------------------------------------------------------------------------------------


def attention_weights(a: Architecture) -> int:
    """Weights of the matrix products of one attention layer that every token multiplies."""
    output = attention_output_width(a) * a.hidden_size
    if a.attention.kind != "mla":
        return a.hidden_size * (query_width(a) + key_width(a) + value_width(a)) + output
    m = a.attention
    query = a.hidden_size * m.q_rank + m.q_rank * query_width(a) if m.q_rank else a.hidden_size * query_width(a)
    latent = a.hidden_size * (m.kv_rank + m.rope_size)
    expand = m.kv_rank * a.heads * (m.nope_size + m.v_size)
    return query + latent + expand + output


def ffn_weights(a: Architecture, ffn_size: int) -> int:
    """Weights of one feed-forward layer, or of one expert, of the given inner width."""
    return (3 if a.gated_ffn else 2) * a.hidden_size * ffn_size


def moe_weights_active(a: Architecture) -> int:
    """Weights that a token multiplies in the feed-forward part of an MoE layer: its experts, shared ones, router."""
    e = a.experts
    if e is None:
        return 0
    shared = e.shared * ffn_weights(a, e.shared_ffn_size) + (a.hidden_size if e.shared_gate else 0)
    return e.active * ffn_weights(a, e.ffn_size) + shared + e.routed * a.hidden_size


def head_weights(a: Architecture) -> int:
    """Weights of the language-model head, whether tied or not."""
    return a.hidden_size * a.vocab_size


@declare(
    "model.matmul_parameters",
    label="weights multiplied per token",
    unit="count",
    formula="{model.active_parameters} less the input embedding, biases and normalisations, plus a tied head and the "
    "multi-token prediction modules",
    source="Narayanan et al. 2021 (arXiv 2104.04473) §5.1, term by term",
)
def matmul_parameters_active(a: Architecture, multi_token_prediction: bool = True) -> int:
    """Weights that one token multiplies in a forward pass.

    The head is counted once whether tied or not; the input embedding is a look-up and is not counted; of the experts
    only the active ones, the shared ones and the router are. A multi-token prediction module multiplies its joining
    projection, one layer, and the head again (DeepSeek-V3 §2.2); pass False to leave the modules out, as in serving.
    """
    per_layer = attention_weights(a)
    dense, moe = ffn_weights(a, a.ffn_size), moe_weights_active(a)
    total = a.layers * per_layer + dense_layers(a) * dense + moe_layers(a) * moe + head_weights(a)
    if multi_token_prediction:
        module = 2 * a.hidden_size**2 + per_layer + (moe if a.experts else dense) + head_weights(a)
        total += a.multi_token_prediction * module
    return total


# --- parameters -------------------------------------------------------------------------------------------------------


def norm_parameters(a: Architecture) -> int:
    """Parameters of one normalisation of the residual stream."""
    return a.hidden_size * (2 if a.norm_bias else 1)


def attention_parameters(a: Architecture) -> int:
    """Parameters of one attention layer: weights, biases, query-key and latent normalisations, sinks, positions."""
    count = attention_weights(a)
    if a.attention.kind == "mla":
        count += a.attention.q_rank + a.attention.kv_rank  # the two latent RMS norms
    else:
        count += (query_width(a) + key_width(a) + value_width(a)) if a.biases.qkv else 0
        count += {"none": 0, "head": 2 * a.head_size, "full": query_width(a) + key_width(a)}[a.qk_norm]
    count += a.hidden_size if a.biases.output else 0
    count += a.hidden_size * query_width(a) if a.relative_positions else 0
    return count + (a.heads if a.attention_sinks else 0)


def ffn_parameters(a: Architecture, ffn_size: int) -> int:
    """Parameters of one feed-forward layer, or of one expert, of the given inner width."""
    bias = (2 if a.gated_ffn else 1) * ffn_size + a.hidden_size if a.biases.ffn else 0
    return ffn_weights(a, ffn_size) + bias


def shared_expert_parameters(a: Architecture) -> int:
    """Parameters of the shared experts of one MoE layer and their gate."""
    e = a.experts
    if e is None:
        return 0
    return e.shared * ffn_parameters(a, e.shared_ffn_size) + (a.hidden_size if e.shared_gate else 0)


def router_parameters(a: Architecture) -> int:
    """Parameters of the router of one MoE layer."""
    e = a.experts
    return 0 if e is None else e.routed * (a.hidden_size + (1 if e.router_bias else 0))


def layer_parameters(a: Architecture, moe: bool = False, active: bool = False) -> int:
    """Parameters of one whole layer.

    Args:
        a: the model.
        moe: an MoE layer rather than a dense one.
        active: count only what one token uses.
    """
    base = attention_parameters(a) + a.norms_per_layer * norm_parameters(a)
    if not moe or a.experts is None:
        return base + ffn_parameters(a, a.ffn_size)
    experts = a.experts.active if active else a.experts.routed
    return base + experts * ffn_parameters(a, a.experts.ffn_size) + shared_expert_parameters(a) + router_parameters(a)


def multi_token_prediction_parameters(a: Architecture, active: bool = False) -> int:
    """Parameters of the multi-token prediction modules, apart from the embedding and head that they share.

    Each has a projection that joins hidden state and embedding (``2 h x h``), a normalisation of either, one
    transformer layer and a normalisation before the shared head (DeepSeek-V3 §2.2 and its weight file).
    """
    module = 2 * a.hidden_size**2 + 3 * norm_parameters(a) + layer_parameters(a, a.experts is not None, active)
    return a.multi_token_prediction * module


@declare(
    "model.embedding_parameters",
    label="embedding parameters",
    unit="count",
    formula="token and learned position embeddings at the input; an untied head is not included",
    source="counted from the model's shape",
)
def embedding_parameters(a: Architecture) -> int:
    """Parameters of the input embedding: tokens and learned positions."""
    return a.hidden_size * (a.vocab_size + a.learned_positions)


@declare(
    "model.parameters",
    label="parameters",
    unit="count",
    formula="{model.embedding_parameters}, the head where it is not tied, and attention, feed-forward layers, experts "
    "and normalisations of {model.layers} layers; multi-token prediction modules are apart",
    source="counted term by term from the model's shape",
)
@declare(
    "model.active_parameters",
    label="active parameters",
    unit="count",
    formula="{model.parameters} less the routed experts that a token does not use; embeddings are included",
    source="counted term by term from the model's shape",
)
@declare(
    "model.multi_token_prediction_parameters",
    label="multi-token prediction parameters",
    unit="count",
    formula="the prediction modules beside {model.parameters}; they share its embedding and head",
    source="DeepSeek-V3 (arXiv 2412.19437) §2.2",
)
def parameters(a: Architecture) -> Parameters:
    """Count the parameters of a model, term by term."""
    experts, dense, e = moe_layers(a), dense_layers(a), a.experts
    head = (0 if a.tied_embeddings else head_weights(a)) + (a.vocab_size if a.biases.head else 0)
    outer_norms = int(a.final_norm) + int(a.embedding_norm)
    fixed = embedding_parameters(a) + head + outer_norms * norm_parameters(a) + dense * layer_parameters(a)
    return Parameters(
        total=fixed + experts * layer_parameters(a, moe=True),
        active=fixed + experts * layer_parameters(a, moe=True, active=True),
        embedding=embedding_parameters(a),
        head=head,
        attention_per_layer=attention_parameters(a),
        ffn_dense_per_layer=ffn_parameters(a, a.ffn_size) if dense else 0,
        expert_each=0 if e is None else ffn_parameters(a, e.ffn_size),
        shared_experts_per_layer=shared_expert_parameters(a),
        router_per_layer=router_parameters(a),
        norms_per_layer=a.norms_per_layer * norm_parameters(a),
        norms_total=(a.layers * a.norms_per_layer + outer_norms) * norm_parameters(a),
        multi_token_prediction=multi_token_prediction_parameters(a),
        multi_token_prediction_active=multi_token_prediction_parameters(a, active=True),
    )


# --- what grows with the sequence -------------------------------------------------------------------------------------


def attended_keys(a: Architecture, sequence_length: Num, causal: bool = True) -> Num:
    """Keys that a token's query meets, averaged over the sequence and summed over the main model's layers.

    Full layers: ``s``, or ``s/2`` when causal. Windowed causal layers: the exact count of attended pairs, with the
    diagonal at half as in ``s/2``: ``w - w²/2s`` with ``w = min(window, s)``, which joins ``s/2`` at ``w = s``.
    Chunked layers: whole chunks and the rest, ``(n c² + r²) / s`` with ``s = n c + r``, or half of it. Not causal, a
    windowed layer is counted as ``w`` (the convention of published figures).
    """
    windowed, window = windowed_layers(a), a.attention.window
    half = 0.5 if causal else 1.0
    full = half * (a.layers - windowed) * sequence_length
    if not windowed:
        return full
    local: Num
    if a.attention.kind == "chunked":
        chunks = np.floor(sequence_length / window)
        rest = sequence_length - chunks * window
        local = half * (chunks * window**2 + rest**2) / sequence_length
    else:
        width = np.minimum(window, sequence_length)
        local = width - width**2 / (2 * sequence_length) if causal else width
    return full + windowed * local


def attention_flops_per_token(
    a: Architecture, sequence_length: Num, causal: bool = True, multi_token_prediction: bool = True
) -> Num:
    """FLOPs of the attention products of one token's forward pass, all layers: scores (QK) and weighted values (PV).

    Two FLOPs a multiply-add: ``2 * (query width + attention output width) * attended keys``, which is ``4 L s H d`` for
    the full square and half of it when causal. MLA scores use ``nope + rope`` and values ``v``. A multi-token
    prediction module adds one full layer.

    Source: Narayanan et al. 2021 (arXiv 2104.04473) §5.1; causal at half as in FlashAttention-2 §4.
    """
    modules = a.multi_token_prediction if multi_token_prediction else 0
    keys = attended_keys(a, sequence_length, causal) + modules * sequence_length * (0.5 if causal else 1.0)
    return 2.0 * (query_width(a) + attention_output_width(a)) * keys


def kv_cache_elements_per_token(a: Architecture, context: Num) -> Num:
    """Elements cached per token of context, all layers, on average over a context of that length.

    Keys and values of every KV head; in MLA the latent and the shared rotary key (DeepSeek-V2 §2.1.4); windowed
    layers keep ``min(window, context)`` tokens. Multiply by the context and the bytes of an element.
    """
    if a.attention.kind == "mla":
        return a.layers * (a.attention.kv_rank + a.attention.rope_size) + 0.0 * context
    windowed = windowed_layers(a)
    kept = np.minimum(a.attention.window, context) / context if windowed else 0.0
    return (key_width(a) + value_width(a)) * (a.layers - windowed + windowed * kept + 0.0 * context)


def model_section(a: Architecture) -> dict[str, Num]:
    """Make the ``model`` section of a plan."""
    count = parameters(a)
    return {
        "model.parameters": float(count.total),
        "model.active_parameters": float(count.active),
        "model.embedding_parameters": float(count.embedding),
        "model.matmul_parameters": float(matmul_parameters_active(a)),
        "model.multi_token_prediction_parameters": float(count.multi_token_prediction),
        "model.layers": float(layer_count(a)),
    }
