"""Numbers that no run can have: a row with one is refused with a reason, before they reach the formulas."""

from __future__ import annotations

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

PARTS = (("moe_top_k", "moe_experts"), ("moe_dense_layers", "layers"))
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
    for part, whole in PARTS:
        some, every = number(row, part), number(row, whole)
        if some and every and some > every:
            return f"{part} is {some:g}, more than {whole}, {every:g}"
    return None


def shortened(row: Row) -> Row:
    """A row without what its cells hold beyond any length that tells something."""
    return {column: cell[:LONGEST] for column, cell in row.items()}
