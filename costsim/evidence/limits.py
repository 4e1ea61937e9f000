"""Numbers that no run can have: a row with one is refused with a reason, before they reach the formulas."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from math import prod

from costsim.evidence.words import Row, number

MOST = 1e12
"""Above any count of a run, tokens of a step included; products of a few such numbers are still finite."""

ONES = (
    "layers", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff", "vocab", "moe_top_k", "moe_d_ff", "n_devices",
    "tp", "pp", "vpp", "cp", "ep", "dp", "seq_len", "micro_batch", "grad_accum", "global_batch_seqs",
    "global_batch_tokens",
)  # fmt: skip
"""Columns of counts from one."""

ZEROS = ("moe_experts", "moe_shared", "moe_dense_layers", "total_params_b", "device_mem_gb")
"""Columns of numbers from zero."""

WHOLE = (
    "layers", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff", "vocab", "moe_experts", "moe_top_k", "moe_shared",
    "moe_d_ff", "moe_dense_layers", "n_devices", "tp", "pp", "vpp", "cp", "ep", "dp", "seq_len",
)  # fmt: skip
"""Columns of whole numbers."""

PARTS = (
    ("moe_top_k", "moe_experts"), ("moe_dense_layers", "layers"), ("pp", "layers"), ("ep", "moe_experts"),
    ("active_params_b", "total_params_b"),
)  # fmt: skip
"""Columns that count a part, and those of the whole."""

LONGEST = 1000
"""Characters of a cell that are read: no description of a network or a layout comes near it."""


def impossible(row: Row) -> str | None:
    """Why a row's numbers cannot be those of a run; None if they can."""
    for columns, least in ((ONES, 1), (ZEROS, 0)):
        for column in columns:
            value = number(row, column)
            if value is not None and not least <= value <= MOST:
                return f"{column} is {value:g}; expected a number from {least} to {MOST:g}"
    for column in WHOLE:
        value = number(row, column)
        if value is not None and value % 1:
            return f"{column} is {value:g}; expected a whole number"
    for part, whole in PARTS:
        some, every = number(row, part), number(row, whole)
        if some and every and some > every * (1 + _slack(part)):
            return f"{part} is {some:g}, more than {whole}, {every:g}"
    return _uneven(row)


def _slack(part: str) -> float:
    """Printed parameters are rounded, and sources count embeddings in one way or another; counts are exact."""
    return PARAMETERS_AGREE if part == "active_params_b" else 0.0


def _uneven(row: Row) -> str | None:
    """Heads that do not go into what they split."""
    heads, groups, width = number(row, "n_heads"), number(row, "n_kv_heads"), number(row, "d_model")
    if heads and groups and heads % groups:
        return f"n_kv_heads is {groups:g}, which does not divide n_heads, {heads:g}"
    if heads and width and number(row, "head_dim") is None and not row.get("mla") and width % heads:
        return f"n_heads is {heads:g}, which does not divide d_model, {width:g}, and head_dim is blank"
    return None


def too_many(row: Row, devices: float) -> str | None:
    """Why the degrees that a row prints cannot be those of so many devices; None if they can.

    Sources count context ranks among the replicas or beside them: they are left out here.

    Args:
        row: blanked.
        devices: that the run has, as the layout may count them.
    """
    split = _product(row, ("tp", "pp", "dp"))
    if not number(row, "dp") or split <= devices:
        return None
    printed = " x ".join(f"{key} {number(row, key):g}" for key in ("tp", "pp", "dp") if number(row, key))
    return f"the printed degrees, {printed}, take {split:,.0f} devices, the run has {devices:,.0f}"


def _product(row: Row, keys: Iterable[str]) -> float:
    return prod(number(row, key) or 1.0 for key in keys)


PARAMETERS_AGREE = 0.1
"""Printed parameters that differ from those of the shape by less are the same but for what is counted."""
AGREE = 0.02
"""Printed batches that differ by less than this are the same but for rounding."""


def contradictions(row: Row, sequence: float, devices: Collection[float]) -> list[str]:
    """What was taken where printed figures contradict each other without making the run impossible, in words.

    Args:
        row: blanked.
        sequence: tokens of a sequence.
        devices: that the run has, in each way that a layout may count them.
    """
    found: list[str] = []
    sequences, tokens = number(row, "global_batch_seqs"), number(row, "global_batch_tokens")
    if sequences and tokens and abs(sequences * sequence / tokens - 1) > AGREE:
        found.append(f"a batch of {sequences:,.0f} sequences, which is not the {tokens:,.0f} tokens printed beside it")
    products = {_product(row, ("tp", "pp", "dp")), _product(row, ("tp", "pp", "cp", "dp"))}
    if number(row, "tp") and number(row, "dp") and not products & set(devices):
        found.append(
            f"as many replicas as there are devices for: the printed degrees multiply to {max(products):,.0f}, "
            f"the run has {min(devices):,.0f}"
        )
    if (number(row, "moe_top_k") or 0) > 1 and not (number(row, "moe_experts") or 0) > 1:
        found.append("a dense model: moe_top_k is printed, moe_experts is not")
    found += _undivided(row)
    turns = _product(row, ("micro_batch", "grad_accum", "dp"))
    printed = all(number(row, column) for column in ("micro_batch", "grad_accum", "dp"))
    whole = sequences or (tokens / sequence if tokens else None)
    if printed and whole and abs(turns / whole - 1) > AGREE:
        found.append(f"a batch of {whole:,.6g} sequences, which is not micro_batch x grad_accum x dp, {turns:,.6g}")
    return found


DIVIDED = (("pp", "layers"), ("tp", "n_heads"), ("ep", "moe_experts"))


def _undivided(row: Row) -> Iterator[str]:
    """Degrees that do not divide what they split."""
    for degree, split in DIVIDED:
        ranks, whole = number(row, degree), number(row, split)
        if ranks and whole and whole % ranks:
            yield f"{degree} {ranks:g} as printed, which does not divide {split}, {whole:g}"


def shortened(row: Row) -> Row:
    """A row without what its cells hold beyond any length that tells something."""
    return {column: cell[:LONGEST] for column, cell in row.items()}
