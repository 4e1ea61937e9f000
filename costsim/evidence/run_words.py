"""What the text columns of a full run say: what its hours hold, of what kind its model is, how it was sharded."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from costsim.evidence.words import Row, number, text

Scope: TypeAlias = Literal["benchmark", "steady", "unsaid", "calendar"]
"""What hours hold: a benchmark's clock, with evaluations; steps alone; nothing that is said; or days of a calendar."""

_BENCHMARK = re.compile(r"time-to-train")
_STEADY = re.compile(r"\bideal\b|planned|\brate\b|per trillion|excludes|base training|estimate")
_CLOCK = re.compile(r"wall-clock [#.]+ (min|h\b)")
_SHORT = re.compile(r"(?<![a-z#.])[#.]+ ?(h|hours?|min\w*)\b")
_CALENDAR = re.compile(r"\b(days?|weeks?|months?)\b|wall-clock|calendar|downtime|restarts|recovery")
_DENIED = re.compile(r"does not say|not (known|stated)")
_NO_TRANSFORMER = re.compile(r"mamba|rwkv|hyena|griffin|\bssm\b|retnet|hybrid|jamba|zamba|xlstm")


def scope(row: Row) -> Scope:
    """What a run's hours hold, by the words (not the figures) of the columns that describe them.

    A run of a few hours has no downtime to hold: hours and minutes of a clock are steady, days and longer a calendar's.

    Args:
        row: blanked.
    """
    said = text(row, "hours_scope")
    failures = row.get("includes_failures", "").strip().lower()
    if _BENCHMARK.search(said):
        return "benchmark"
    if failures.startswith("yes"):
        return "calendar"
    if failures.startswith("no") or _STEADY.search(said) or _CLOCK.search(said):
        return "steady"
    if _CALENDAR.search(said) and not _DENIED.search(said):
        return "calendar"
    return "steady" if _SHORT.search(said) else "unsaid"


def no_transformer(row: Row) -> bool:
    """Whether the model is of another kind than transformers: a state-space model or a hybrid with one."""
    return bool(_NO_TRANSFORMER.search(text(row, "model", "kind")))


_SOFTWARE = re.compile(r"deepspeed|megatron|neox|fairscale|colossal|composer|nemo|torchtitan|accelerate")


def framework(row: Row) -> str:
    """The software: its column, or the sharding's where that names one ("ZeRO-2 (DeepSpeed)"); "" where none does."""
    said = row.get("framework", "").strip()
    return said or (row.get("sharding", "") if _SOFTWARE.search(text(row, "sharding")) else "")


def sharding(row: Row) -> str:
    """The sharding column, with what follows from a pipeline.

    FSDP beside a pipeline does not gather weights again for each micro-batch (Llama 3, arXiv 2407.21783, section 3.3.2:
    no resharding after the forward pass): it splits gradients and optimizer states.
    """
    said = row.get("sharding", "")
    return f"{said}, no reshard" if said and (number(row, "pp") or 1) > 1 and "fsdp" in said.lower() else said
