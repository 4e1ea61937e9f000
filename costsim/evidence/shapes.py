"""The shape of a measured model, from the columns of its row."""

from __future__ import annotations

import re
from collections.abc import Iterator

from costsim.evidence.limits import PARAMETERS_AGREE
from costsim.evidence.words import Row, flag, number, parallel_blocks, text
from costsim.training.architecture import Architecture, Attention, Experts, parameters

NEEDED = ("layers", "d_model", "n_heads", "d_ff", "vocab")
_MLA = re.compile(r"(?<![a-z_])([a-z_]+?)_?(\d{1,6})(?!\d)")
_MLA_FIELDS = {"q_lora": "q_rank", "kv_lora": "kv_rank", "nope": "nope_size", "rope": "rope_size", "v": "v_size"}


def missing(row: Row) -> list[str]:
    """Columns without which a row has no shape."""
    blank = [key for key in NEEDED if number(row, key) is None]
    if "d_ff" in blank and number(row, "moe_d_ff") is not None and not number(row, "moe_dense_layers"):
        blank.remove("d_ff")
    return blank


def architecture(row: Row) -> Architecture:
    """The shape that the columns of a row say.

    Multi-token prediction is counted where the row says that it is on (DeepSeek-V3 as Megatron-Bridge runs it).

    Args:
        row: with the columns of `NEEDED`.
    """

    def whole(key: str, default: float = 0) -> int:
        found = number(row, key)
        return int(default if found is None else found)

    heads, hidden = whole("n_heads"), whole("d_model")
    kv_heads = whole("n_kv_heads", heads)
    kv_heads = kv_heads if kv_heads and heads % kv_heads == 0 else heads
    return Architecture(
        layers=whole("layers"),
        hidden_size=hidden,
        heads=heads,
        kv_heads=kv_heads,
        head_size=whole("head_dim", hidden / heads),
        ffn_size=whole("d_ff"),
        vocab_size=whole("vocab"),
        gated_ffn=flag(row, "gated_ffn") is True,
        tied_embeddings=flag(row, "tied_embeddings") is True,
        parallel_attention=parallel_blocks(row),
        attention=attention(row),
        experts=experts(row),
        multi_token_prediction=1 if predicts_more(row) else 0,
    )


def attention(row: Row) -> Attention:
    """Latent attention where the row gives its sizes ("q_lora1536,kv_lora512,nope128,rope64,v128"), else full."""
    said = text(row, "mla")
    sizes = {_MLA_FIELDS[name]: int(size) for name, size in _MLA.findall(said) if name in _MLA_FIELDS}
    return Attention(kind="mla", **sizes) if {"kv_rank", "v_size"} <= set(sizes) else Attention()


def experts(row: Row) -> Experts | None:
    """The mixture of experts, or None."""
    routed = number(row, "moe_experts")
    if not routed or routed < 2:
        return None
    width = int(number(row, "moe_d_ff") or number(row, "d_ff") or 0)
    shared = int(number(row, "moe_shared") or 0)
    return Experts(
        routed=int(routed),
        active=int(number(row, "moe_top_k") or 1),
        ffn_size=width,
        shared=shared,
        shared_ffn_size=width if shared else 0,
        dense_layers=int(number(row, "moe_dense_layers") or 0),
        every=_every(row, int(routed), width, shared),
    )


def _every(row: Row, routed: int, width: int, shared: int) -> int:
    """One layer in how many has experts, from the total of parameters: 2 where every layer would hold far too many."""
    total, layers, hidden = number(row, "total_params_b"), number(row, "layers") or 1, number(row, "d_model") or 1
    if not total or "truncated" in text(row, "model"):
        return 1
    matrices = 3 if flag(row, "gated_ffn") else 2
    each_layer = layers * (routed + shared) * matrices * hidden * width
    return 2 if each_layer > 1.6 * total * 1e9 else 1


def of_the_shape(row: Row, a: Architecture) -> Iterator[str]:
    """What was taken where the columns of a shape say too little, or something else than its size, in words."""
    if a.experts is not None and number(row, "moe_top_k") is None:
        yield "one expert a token, as moe_top_k is blank"
    printed, shape = number(row, "total_params_b"), parameters(a).total / 1e9
    if printed and "truncated" not in text(row, "model") and abs(shape / printed - 1) > PARAMETERS_AGREE:
        yield f"the shape's {shape:,.3g}B parameters, which are not the {printed:,.3g}B of total_params_b"


def predicts_more(row: Row) -> bool:
    """Whether a multi-token prediction module is trained too."""
    return (
        "mtp on" in text(row, "note")
        and "deepseek" in text(row, "model")
        and "w/o mtp" not in text(row, "quote", "model")
    )
