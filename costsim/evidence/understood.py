"""Which words of a row are not understood: a likely slip of the pen is refused, other free text is taken as not said.

People describe their runs in their own words, so a word that nobody here has met does not make a row useless: the
row is predicted as if the cell were blank, and says so. A word that is nearly one that is known is more likely
misspelt, and the prediction would be another one if it were not: such a row is skipped, with the word that was meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from costsim.evidence import words
from costsim.evidence.words import Row
from costsim.inputs.kinds import nearest, shown

_SHARDINGS = ("zero-0", "zero-1", "zero-2", "zero-3", "fsdp", "fsdp2", "hsdp", "none", "distributed optimizer",
              "full_shard", "shard_grad_op")  # fmt: skip
_RECOMPUTES = ("none", "selective", "full", "minimal", "true", "false", "yes")
_PRECISIONS = ("fp32", "bf16", "bfloat16", "fp16", "fp8", "mxfp8", "int8", "fp4", "nvfp4")
_BOOLEANS = ("true", "false", "yes", "no")
_FRAMEWORKS = (
    "megatron-lm", "megatron-core", "megatron-deepspeed", "megatron-bridge", "nemo", "deepspeed", "colossal-ai", "fsdp",
    "fsdp2", "torchtitan", "composer", "maxtext", "pax", "levanter", "easylm", "jax", "nanogpt", "nanochat", "picotron",
    "nanotron", "lit-gpt", "llm.c", "llmq", "internevo", "gpt-neox", "metaseq", "fairseq", "fairscale", "megablocks",
    "olmo-core", "hai-llm", "primus", "neuronx", "megascale", "accelerate", "transformer engine",
)  # fmt: skip

_NO_SHARDING = re.compile(
    r"\b(d?dp|tp|pp|cp|ep|tensor|pipeline|expert|data[ -]parallel|replicated|[2345]d|zero|default|auto)\b"
)
"""Words of the column of sharding that are about other things, or name no stage."""
_SOME_RECOMPUTE = re.compile(r"partial|/full|selective|some|only|layers?\b|blocks?\b|default|not listed|any\b|auto|\d")
"""Words of the column of recomputation that do not say how much of it there is."""


@dataclass(frozen=True)
class Unread:
    """A cell whose words are not understood.

    Attributes:
        column: its name.
        value: what it says.
        taken: what was taken in its place, in words.
        near: the nearest word that is known; may be empty.
    """

    column: str
    value: str
    taken: str
    near: str = ""

    def __str__(self) -> str:
        """As a note on the row."""
        near = f" (nearest: {self.near})" if self.near else ""
        return f"{self.column} {shown(self.value)} is not known{near}: {self.taken}"


def misspelt(row: Row) -> str | None:
    """Why a row is refused for its words: some are nearly others that would change its prediction.

    Args:
        row: blanked.
    """
    return "; ".join(_misspelt(row)) or None


def _misspelt(row: Row) -> Iterator[str]:
    if words.says(row, "gated_ffn") and words.flag(row, "gated_ffn") is None:
        near = nearest(row["gated_ffn"], (*_BOOLEANS, "swiglu", "gelu"))
        yield _refusal("gated_ffn", row["gated_ffn"], near, "true, false, or blank")
    for column, known, understood, allowed in (
        ("precision", _PRECISIONS, bool(words.named_precisions(row)), "bf16, fp16, fp8, fp4, int8, fp32, or blank"),
        ("sharding", _SHARDINGS, _sharding_read(row), "none, ZeRO-1, ZeRO-2, ZeRO-3, FSDP, or blank"),
        ("recompute", _RECOMPUTES, _recompute_read(row), "none, selective, full, or blank"),
    ):
        near = nearest(row.get(column, ""), known)
        if words.says(row, column) and not understood and near:
            yield _refusal(column, row[column], near, allowed)


def _refusal(column: str, said: str, near: str, allowed: str) -> str:
    hint = f"; did you mean {near!r}?" if near else ""
    return f"{column} is {shown(said)}, which is not understood; expected {allowed}{hint}"


def _sharding_read(row: Row) -> bool:
    said = words.text(row, "sharding")
    return words.sharding({"sharding": said}) is not None or _NO_SHARDING.search(said) is not None


def _recompute_read(row: Row) -> bool:
    return words.recompute(row) is not None or _SOME_RECOMPUTE.search(words.text(row, "recompute")) is not None


def unread(row: Row, stack: str) -> Iterator[Unread]:
    """The cells of a row that are not understood and were passed over.

    Args:
        row: blanked, and not `misspelt`.
        stack: of the catalogue, that the row is predicted with.
    """
    said = row.get("framework", "")
    if words.says(row, "framework") and not words.framework(row):
        yield Unread("framework", said, f"predicted as a run that names none, with {stack}", nearest(said, _FRAMEWORKS))
    if words.says(row, "precision") and not words.named_precisions(row):
        yield Unread("precision", row["precision"], "taken for bf16")
    if words.says(row, "sharding") and not _sharding_read(row):
        yield Unread("sharding", row["sharding"], "taken as not said")
    if words.says(row, "recompute") and not _recompute_read(row):
        yield Unread("recompute", row["recompute"], "taken as not said")
    if words.says(row, "tied_embeddings") and words.flag(row, "tied_embeddings") is None:
        yield Unread("tied_embeddings", row["tied_embeddings"], "taken for false")
    if words.says(row, "mla") and not re.search(r"kv_lora\D?\d", words.text(row, "mla")):
        yield Unread("mla", row["mla"], "taken for full attention")
    column = "date" if row.get("date", "").strip() else "release_date"
    if words.says(row, column) and words.dated(row[column]) is None:
        yield Unread(column, row[column], f"software taken for that of {words.year(row):.1f}")
