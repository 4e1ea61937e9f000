"""What the free-text columns of a published measurement say, in the catalogue's terms.

Each function takes blanked rows (no measured column) as text by column, and returns a fact or None where the text does
not say. The rules are words that recur in papers, model cards and benchmark logs; none looks at a source's name to
choose a constant.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TypeAlias

Row: TypeAlias = Mapping[str, str]

GBIT = 1e9 / 8


def number(row: Row, key: str) -> float | None:
    """A column as a finite number; None where it is blank or no such number."""
    try:
        value = float(row.get(key, "").strip() or "nan")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


_TRUE = {"true", "yes", "1", "t", "y", "on", "swiglu", "geglu", "reglu", "glu", "gated"}
_FALSE = {"false", "no", "0", "f", "n", "off", "none", "gelu", "relu", "not gated"}


def flag(row: Row, key: str) -> bool | None:
    """Whether a column says true or false, or a kind of feed-forward that is gated or not; None if neither."""
    said = text(row, key).strip()
    return True if said in _TRUE else False if said in _FALSE else None


NOTHING = {"", "-", "?", "n/a", "na", "null", "unknown", "not stated", "unspecified", "tbd"}
"""What stands for a blank in a column of words, in lower case."""


def says(row: Row, key: str) -> bool:
    """Whether a column says anything."""
    return text(row, key).strip() not in NOTHING


def text(row: Row, *keys: str) -> str:
    """Columns joined and in lower case."""
    return " ".join(row.get(key, "") for key in keys).lower()


# --- time -------------------------------------------------------------------------------------------------------------

UNDATED = 2024.0
"""The year taken for software whose date is not printed."""


_RELEASE = re.compile(r"\b(2[2-9])\.(0[1-9]|1[0-2])\b")


def is_dated(row: Row) -> bool:
    """Whether a row says anything of its date."""
    return says(row, "date") or says(row, "release_date") or _RELEASE.search(row.get("framework", "")) is not None


def year(row: Row) -> float:
    """When the software is from, as a decimal year: its release where the framework names one, else the row's date."""
    release = _RELEASE.search(row.get("framework", ""))
    if release:
        return 2000 + int(release[1]) + (int(release[2]) - 0.5) / 12
    said = row.get("date", "") or row.get("release_date", "")
    found = dated(said)
    if found is not None:
        return found
    loose = re.search(r"20[0-4]\d", said)
    return int(loose[0]) + 0.5 if loose else UNDATED


_YEAR = r"(?<!\d)(20[0-4]\d)"
_RANGE = re.compile(_YEAR + r"\s*[-–]\s*(20[0-4]\d)(?!\d)")
_DATE = re.compile(_YEAR + r"(?:[-/.]?(0[1-9]|1[0-2])(?:[-/.]?[0-3]\d)?)?(?![-/.]?\d)")
LATE = 0.625
"""Part of the last year that a range of years stands for: what is measured over some years is mostly of its end."""


def dated(said: str) -> float | None:
    """A date as a decimal year: the middle of its month, or of its year where it has none; None if it is no date."""
    if years := _RANGE.search(said):
        return int(years[2]) + LATE
    found = _DATE.search(said)
    if not found:
        return None
    return int(found[1]) + ((int(found[2]) - 0.5) / 12 if found[2] else 0.5)


# --- software ---------------------------------------------------------------------------------------------------------

_BY_WORD: tuple[tuple[str, str], ...] = (
    (r"neuron", "neuron"),
    (r"gaudi|habana|hpu", "gaudi"),
    (r"primus|rocm", "rocm"),
    (r"hai-?llm", "deepseek-hai"),
    (r"vtrain", "megatron-2021"),  # its paper measured Megatron-DeepSpeed of 2022
    (r"maxtext|\bpax|praxis|levanter|easylm|\bjax|t5x|mesh-transformer|flax|\bxla\b|mesh tensorflow|gspmd", "jax"),
    (r"llmq", "llmq"),
    (r"llm\.c\b|c\+\+", "native"),
    (r"nanochat|nanogpt|modded|picotron|lit-?gpt|nanotron|ddp", "single-node"),
    (r"flash-?attention training", "single-node"),
    (r"composer|foundry|mosaic", "fsdp"),
    (r"torchtitan|fms-fsdp|fsdp2|torch\.compile|olmo-core", "torchtitan"),
    (r"internevo|internlm", "internevo"),
    (r"megatron-deepspeed", "megatron-deepspeed"),
    (r"deepspeed|colossal|ulysses|zero-?[23]", "deepspeed"),
    (r"bridge", "megatron-bridge"),
    (r"nemo", "nemo"),
    (r"transformer-?engine", "megatron-te"),
    (r"megatron-core|mcore|megascale|\b4d\b|meta internal", "megatron-core"),
    (r"megatron|neox|metaseq|fairseq", "megatron"),
    (r"fsdp|fairscale|accelerate|olmo|megablocks", "fsdp"),
)

MEGATRON_CORE_SINCE = 2023.0
"""Megatron of before this year has neither flash attention nor overlap (Megatron-Core 0.1 and FlashAttention in
Megatron-LM: early 2023)."""


def framework(row: Row) -> str:
    """The first of `_BY_WORD` that the column of software names; "" where it names none of them."""
    said = text(row, "framework")
    return next((name for word, name in _BY_WORD if re.search(word, said)), "")


def stack(row: Row, kind: str, vendor: str, accelerators: float) -> str:
    """Name of the software stack.

    Args:
        row: the measurement.
        kind: of the chip: gpu, tpu, asic or cpu.
        vendor: of the chip.
        accelerators: of the run.
    """
    said, found = text(row, "framework"), framework(row)
    by_vendor = {"amd": "rocm", "intel": "gaudi", "aws": "neuron", "amazon": "neuron"}.get(vendor.lower())
    if kind == "tpu":
        return "maxtext"
    if by_vendor:
        return by_vendor
    if found == "jax":
        return "pax" if re.search(r"\bpax|praxis", said) and "maxtext" not in said else "xla-gpu"
    if found in ("nemo", "megatron") and "mlperf" in text(row, "source_title", "source_group", "model"):
        return "mlperf-nvidia"
    if found == "megatron-deepspeed" and year(row) >= MEGATRON_CORE_SINCE:
        return "megatron-core"
    if found == "megatron":
        return "megatron-2021" if year(row) < MEGATRON_CORE_SINCE else "megatron-core"
    if found == "torchtitan" and re.search(r"\beager\b", text(row, "note", "precision_detail")):
        return "fsdp-eager"
    if found:
        return found
    return _unnamed(row, accelerators)


def _unnamed(row: Row, accelerators: float) -> str:
    """The stack of a run that does not say: by its sharding, its year and its size."""
    if re.search(r"fsdp|zero-?3", text(row, "sharding")):
        return "fsdp"
    if accelerators <= 8:
        return "single-node"
    return "megatron-2021" if year(row) < MEGATRON_CORE_SINCE else "megatron-core"


# --- hardware ---------------------------------------------------------------------------------------------------------

_VENDOR = re.compile(r"^\s*(nvidia|amd( instinct)?|google( cloud)?|intel|aws|amazon)[\s-]+", re.I)


def hardware(name: str) -> str:
    """A chip's name without its maker, as the catalogue has it: "NVIDIA H100 80GB" is "H100 80GB"; "v5p" is a TPU."""
    plain = _VENDOR.sub("", name).strip()
    return f"tpu-{plain}" if re.fullmatch(r"v\d[a-z]?", plain, re.I) else plain


# --- network ----------------------------------------------------------------------------------------------------------

_NOT_COMPUTE = re.compile(r"storage|management|pcie|omni-path switch|data bandwidth", re.I)
_COUNTED = re.compile(r"(?<!\d)(\d{1,3})\s*x\s*[^,;+]*?(\d{2,4})\s*g(?:b|bit|bps|bits|be)?(?:/s(?:ec)?|ps)?\b", re.I)
_SINGLE = re.compile(r"(\d{2,4})\s*g(?:bit/s|bit|bps|b/s|b|be)\b", re.I)
_COUNTED_IN_BRACKETS = re.compile(r"(?<!\d)(\d{1,3})\s*x\s*[^,;+]*?\((\d{2,4})\s*g", re.I)


def network_bandwidth(row: Row, per_node: float) -> float | None:
    """Bytes/s of the network between nodes for one accelerator, one direction; None where the text does not say.

    "8x400Gb" is of a node. A single figure is of a node where it says so or stands alone; beside a description of the
    node ("8-GPU NVLink4 + 400Gb RoCE") it is of each accelerator.

    Args:
        row: the measurement.
        per_node: accelerators of a node.
    """
    said = row.get("interconnect", "")
    parts = [part for part in re.split(r"[,;]", said) if not _NOT_COMPUTE.search(part)]
    counted = [
        int(found[1]) * int(found[2])
        for part in parts
        for found in [_COUNTED.search(part) or _COUNTED_IN_BRACKETS.search(part)]
        if found
    ]
    if counted:
        return max(counted) * GBIT / per_node
    single = [int(found[1]) for part in parts for found in [_SINGLE.search(part)] if found]
    if not single:
        return None
    bare = re.fullmatch(r"\s*\d+\s*g\w*(/s)?\s*(\S+\s*)?", said, re.I)
    alone = bool(bare or "per node" in said.lower() or re.search(r"\befa\b", said, re.I))
    return max(single) * GBIT / (per_node if alone else 1)


def slices(row: Row) -> float | None:
    """Separate fast domains that the text says the run spans ("DP across 2 slices")."""
    found = re.search(r"\b([1-9]\d{0,4}) slices", text(row, "sharding"))
    return float(found[1]) if found else None


def context_off(row: Row) -> bool:
    """Whether the text says that sequences are not split over context ranks."""
    return "without cp" in text(row, "note")


def sequence_ranks(row: Row) -> bool:
    """Whether all devices share each sequence (Ulysses and its kin)."""
    return bool(re.search(r"ulysses|alst", text(row, "framework", "sharding")))


def scale_up_domain(row: Row) -> float | None:
    """Accelerators that the text says share a fast domain: NVL72 and the like."""
    found = re.search(r"nvl\s?(\d+)", text(row, "interconnect", "hardware"))
    return float(found[1]) if found else None


# --- layout -----------------------------------------------------------------------------------------------------------


def sharding(row: Row) -> str | None:
    """What is split over replicas, in the words of `costsim.training.layout.SHARDING`; None where nothing says."""
    said = text(row, "sharding", "framework") if not row.get("sharding") else text(row, "sharding")
    if re.search(r"zero-?3|fsdp|full_shard|hsdp|fully sharded", said) and not re.search(r"zero-1/2|no reshard", said):
        return "gradients" if "grad_op" in said else "full"
    if re.search(r"zero-?2|grad_op|zero-1/2|no reshard", said):
        return "gradients"
    if re.search(r"zero-?1|distributed optimizer", said):
        return "optimizer"
    return "none" if row.get("sharding") and "none" in said else None


def shard_group(row: Row) -> float | None:
    """Ranks over which states are split, where the text says fewer than all: "within 4", "FSDP group 128"."""
    found = re.search(r"(?:within|fsdp(?: group)?) (\d+)|fsdp(\d{2,})", text(row, "sharding", "framework"))
    return float(found[1] or found[2]) if found else None


def recompute(row: Row) -> str | None:
    """The recomputation in the words of `costsim.training.layout.RECOMPUTE`; None where the text does not say."""
    said = text(row, "recompute").strip()
    if not says(row, "recompute") or re.search(r"not (listed|stated)|default|unknown", said):
        return None
    if "partial" in said or "/full" in said or ("selective" in said and "fms" in text(row, "framework")):
        return None  # a share of the blocks that is not printed
    if re.match(r"(none|no|off|false|disabled|without|0)\b(?!\.\d)", said):
        return "none"
    if re.search(r"minimal|selective|saved|\bsac\b", said):
        return "selective"
    if re.search(r"full|qkv|offload|yes|true|\ball\b|every|\bon\b|enabled|checkpointing|^1$", said):
        return "full"
    return "none" if re.search(r"none|no\b|false|off", said) else None


def keeps_projections(row: Row) -> bool:
    """Whether recomputation finds the projections to queries, keys and values kept, on the host or on the device."""
    return "qkv" in text(row, "recompute")


def sequence_parallel(row: Row, default: bool) -> bool:
    """Whether norms are split over tensor ranks too."""
    return True if "sequence parallel" in text(row, "recompute", "note", "sharding") else default


# --- precision --------------------------------------------------------------------------------------------------------


_PRECISIONS = (
    (r"fp4", "fp4"),
    (r"int8", "int8"),
    (r"fp8|float8|e4m3|e5m2", "fp8"),
    (r"bf16|bfloat", "bf16"),
    (r"fp16|(?<!b)float16|half", "fp16"),
    (r"fp32|float32|tf32", "fp32"),
)
"""What names a precision, in the order in which one is taken where several are named."""

_MIXED = re.compile(r"mixed|\bamp\b|16[ -]bit")
"""What is said of 16-bit products without their name, in the years before bf16."""


def named_precisions(row: Row) -> list[str]:
    """All precisions that the text names: those before its brackets, or those in them where there are none before."""
    said = text(row, "precision")
    for part in (said.split("(")[0], said):
        if found := [name for word, name in _PRECISIONS if re.search(word, part)]:
            return found
    return ["fp16"] if _MIXED.search(said) else []


def precisions(row: Row) -> tuple[str, ...]:
    """Precisions of the matrix products that the text allows, the likeliest first: one, or more where it says "or"."""
    found = named_precisions(row)
    if "fp8" in found and "bf16" in found:
        return ("fp8",)
    if "fp4" in found and "fp8" in found:
        return ("fp8", "fp4")
    return tuple(found[:1]) or ("bf16",)


def quantization(row: Row) -> str:
    """How finely 8-bit and 4-bit products are scaled: "tensor", "row" or "block"; "" where the text does not say."""
    said = text(row, "precision", "precision_detail")
    if "rowwise" in said or "row-wise" in said:
        return "row"
    if re.search(r"mx|block|sub-channel|nvfp4", said):
        return "block"
    return "tensor" if re.search(r"tensorwise|fp8-cs|delayed", said) else ""


# --- work -------------------------------------------------------------------------------------------------------------


def includes_evaluation(row: Row) -> bool:
    """Whether the printed step time holds a share of an evaluation pass."""
    return "includes one evaluation" in text(row, "note")


def overlap_off(row: Row) -> bool:
    """Whether the run says that communication is not overlapped."""
    return "no comm overlap" in text(row, "note") or "no overlap" in text(row, "note", "framework")


def tensor_overlap_on(row: Row) -> bool:
    """Whether tensor-parallel communication is said to be hidden."""
    return bool(re.search(r"async-?tp|userbuffers", text(row, "note", "framework")))


def parallel_blocks(row: Row) -> bool:
    """Whether attention and feed-forward run side by side."""
    return "parallel block" in text(row, "note", "model")
