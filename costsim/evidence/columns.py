"""The columns of the evidence tables: which hold numbers, which a table cannot do without, which hold the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

Kind = Literal["throughput", "memory", "runs", "serving"]
KINDS: tuple[Kind, ...] = ("throughput", "memory", "runs", "serving")

SPEED = ("step_time_s", "step_time_incl_eval_s", "seqs_per_s", "tok_per_s", "tok_per_s_per_device",
         "derived_tok_per_s_per_device", "tflops_per_device", "mfu_pct", "hfu_pct")  # fmt: skip
"""Columns of which one is enough to know the speed of a step."""

MEASURED: dict[Kind, tuple[str, ...]] = {
    "throughput": (
        *SPEED, "tflops_convention", "peak_tflops_assumed", "peak_mem_gib", "mlperf_minutes",
        "flops_convention_detected", "consistency_flag",
    ),
    "memory": ("peak_mem_gib", "status", "step_time_s", "tok_per_s", "tflops_per_device", "mfu_pct"),
    "runs": (
        "total_device_hours_incl_other_stages", "tflops_convention", "cost_basis", "final_train_loss", "final_val_loss",
        "final_val_loss_pile", "loss_note", "energy_mwh", "co2_t", "train_flops_reported", "flops_6nd",
        "flops_arch_causal", "ideal_hours_at_reported_speed", "goodput_vs_reported_speed", "peak_mem_gib",
    ),
    "serving": (
        "out_tok_s_per_gpu", "total_tok_s_per_gpu", "ttft_ms", "tpot_ms", "plain_roofline_out_tok_s_per_gpu",
        "calibrated_roofline_out_tok_s_per_gpu", "note",
    ),
}  # fmt: skip
"""What was measured, and what is derived from it, by table; with the columns that `ANSWERS` describes, all of it."""

ANSWERS = re.compile(r"derived_|reported_|implied_|device_hours|.*_wallclock|flag(_reason)?$|duplicate_key$|step_time_")
"""Columns that hold the answer in any table, by how their names begin. Flags tell of measurements too."""

RETOLD = ("quote", "notes", "hours_scope")
"""Texts that may repeat the answer: a prediction sees their words without their figures."""

TELLING: dict[Kind, tuple[str, ...]] = {
    "runs": ("tokens_b",),
    "serving": ("out_tok_s_per_gpu",),
    "memory": ("memory_kind", "component"),
    "throughput": SPEED,
}
"""Columns of which any one tells that a table is of this kind; the first kind that fits is it.

A table of speeds may print peaks of memory too: ``peak_mem_gib`` tells a table of memory where nothing else tells."""

NEEDED: dict[Kind, tuple[tuple[str, ...], ...]] = {
    "throughput": (("hardware",), ("n_devices",), ("layers",), ("d_model",), SPEED),
    "memory": (("hardware",), ("n_devices",), ("layers",), ("d_model",), ("peak_mem_gib",)),
    "runs": (("hardware",), ("tokens_b",), ("device_hours_used", "reported_device_hours")),
    "serving": (("hardware",), ("model",), ("isl",), ("osl",), ("out_tok_s_per_gpu",)),
}
"""What a table of each kind cannot do without: one column out of each group."""

POSITIVE = (
    "layers", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff", "vocab", "moe_top_k", "moe_d_ff",
    "total_params_b", "active_params_b", "tokens_b", "device_mem_gb", "n_devices", "tp", "pp", "vpp", "cp", "ep", "dp",
    "seq_len", "micro_batch", "grad_accum", "global_batch_seqs", "global_batch_tokens", *SPEED, "peak_mem_gib",
    "reported_device_hours", "device_hours_used", "bf16_dense_peak_tflops", "n_gpus", "isl", "osl", "concurrency",
    "out_tok_s_per_gpu",
)  # fmt: skip
"""Columns of numbers above zero."""

COUNTS = ("moe_experts", "moe_shared", "moe_dense_layers")
"""Columns of numbers that may be zero."""

BLANK = {"", "-", "?", "n/a", "na", "none", "null", "unknown", "not stated"}
"""What stands for a blank in a column of numbers, in lower case."""


def is_answer(kind: Kind, column: str) -> bool:
    """Whether a column holds what was measured, or something derived from it."""
    return column in MEASURED[kind] or ANSWERS.match(column) is not None


def kind_of(header: Mapping[str, object] | list[str] | tuple[str, ...]) -> Kind | None:
    """Which table a header belongs to; None if it is none of them."""
    present = set(header)
    found = next((kind for kind, columns in TELLING.items() if present & set(columns)), None)
    return "memory" if found is None and "peak_mem_gib" in present else found


def blanked(row: Mapping[str, str], kind: Kind | None = None) -> dict[str, str]:
    """A row without its answer: what a prediction may see.

    Measured and derived columns become blank, and texts that may repeat them lose their figures but keep their words.

    Args:
        row: cells by column.
        kind: of which table; default told from the columns.
    """
    table: Kind = kind or kind_of(tuple(row)) or "throughput"
    return {
        column: "" if is_answer(table, column) else re.sub(r"\d", "#", cell) if column in RETOLD else cell
        for column, cell in row.items()
    }
