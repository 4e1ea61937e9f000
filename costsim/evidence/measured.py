"""What a row of throughput measured, as tokens a second for each accelerator, whatever its source prints.

A printed speed is taken as it is. Where only FLOP/s or a utilisation is printed, it is turned into a speed by the row's
own convention: attention counted in full or causally, recomputation counted or not (evidence on conventions:
docs/validation.md).
"""

from __future__ import annotations

import re

from costsim.evidence.shapes import architecture
from costsim.evidence.words import Row, number, text
from costsim.training.architecture import attention_flops_per_token
from costsim.training.flops import flops_per_token

TERA = 1e12
RECOMPUTED = 4.0 / 3.0
"""Hardware over model FLOPs with full recomputation: one more forward pass in three."""


def tokens_per_second(
    row: Row, devices: float, sequence: float, batch: float | None, peak: float | None = None
) -> float | None:
    """Measured tokens a second for each accelerator; None where nothing of a speed is printed.

    Args:
        row: with its measured columns.
        devices: accelerators of the run.
        sequence: tokens of a sequence.
        batch: sequences of a step, where known.
        peak: FLOP/s of an accelerator that a utilisation is of where the row prints no peak.
    """
    printed = speeds(row, devices, sequence, batch)
    if printed:
        return next(iter(printed.values()))
    rate = flops_per_second(row, peak)
    return rate / flops_of_token(row, sequence) if rate else None


def speeds(row: Row, devices: float, sequence: float, batch: float | None) -> dict[str, float]:
    """Tokens a second for each accelerator by the column that prints them, the one that is taken first.

    Args:
        row: with its measured columns.
        devices: accelerators of the run.
        sequence: tokens of a sequence.
        batch: sequences of a step, where known.
    """
    per_unit = {
        "tok_per_s_per_device": 1.0,
        "derived_tok_per_s_per_device": 1.0,
        "tok_per_s": 1 / devices,
        "seqs_per_s": sequence / devices,
    }
    found = {column: value * unit for column, unit in per_unit.items() if (value := number(row, column))}
    for column in ("step_time_s", "step_time_incl_eval_s"):
        step = number(row, column)
        if step and batch:
            found[column] = batch * sequence / step / devices
    return found


def flops_per_second(row: Row, peak: float | None = None) -> float | None:
    """Printed FLOP/s of an accelerator, or what a printed utilisation makes of its printed or given peak."""
    tera = number(row, "tflops_per_device")
    if tera:
        return tera * TERA
    share = number(row, "mfu_pct") or number(row, "hfu_pct")
    printed = number(row, "peak_tflops_assumed") or number(row, "bf16_dense_peak_tflops")
    of = printed * TERA if printed else peak
    return share / 100 * of if share and of else None


def flops_of_token(row: Row, sequence: float) -> float:
    """Training FLOPs of a token as the row's source counts them."""
    a = architecture(row)
    causal = float(flops_per_token(a, sequence))
    full = causal + 3 * float(attention_flops_per_token(a, sequence))
    said = text(row, "flops_convention_detected") or text(row, "tflops_convention")
    said = re.sub(r"\(attention too small[^)]*\)", "", said)  # names both conventions and says neither
    first = said.split(";")[0]
    counts_causal = "causal" in said and "non-causal" not in said and "full" not in first
    per_token = causal if counts_causal or _causal_by_source(row, said) else full
    only_hardware = number(row, "mfu_pct") is None and number(row, "hfu_pct") is not None
    hardware = "hardware" in said or "4/3" in said or only_hardware
    return per_token * (RECOMPUTED if hardware else 1.0)


def _causal_by_source(row: Row, said: str) -> bool:
    """Megatron-Bridge counts attention causally ("Megatron formula" says nothing else)."""
    return "bridge" in text(row, "framework") and "full" not in said
