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


def flag(row: Row, key: str) -> bool:
    """Whether a column says true."""
    return row.get(key, "").strip().lower() in ("true", "yes", "1")


def text(row: Row, *keys: str) -> str:
    """Columns joined and in lower case."""
    return " ".join(row.get(key, "") for key in keys).lower()


# --- time -------------------------------------------------------------------------------------------------------------

UNDATED = 2024.0
"""The year taken for software whose date is not printed."""


def year(row: Row) -> float:
    """When the software is from, as a decimal year: its release where the framework names one, else the row's date."""
    release = re.search(r"\b(2[2-9])\.(0[1-9]|1[0-2])\b", row.get("framework", ""))
    if release:
        return 2000 + int(release[1]) + (int(release[2]) - 0.5) / 12
    said = re.search(r"(20\d\d)(?:-(\d\d))?", row.get("date", "") or row.get("release_date", ""))
    if not said:
        return UNDATED
    return int(said[1]) + ((int(said[2]) - 0.5) / 12 if said[2] else 0.5)


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


def stack(row: Row, kind: str, vendor: str, accelerators: float) -> str:
    """Name of the software stack.

    Args:
        row: the measurement.
        kind: of the chip: gpu, tpu, asic or cpu.
        vendor: of the chip.
        accelerators: of the run.
    """
    said = text(row, "framework")
    found = next((name for word, name in _BY_WORD if re.search(word, said)), "")
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
    said = text(row, "recompute")
    if not said or re.search(r"not (listed|stated)|default|unknown", said):
        return None
    if "partial" in said or "/full" in said or ("selective" in said and "fms" in text(row, "framework")):
        return None  # a share of the blocks that is not printed
    if re.search(r"minimal|selective|saved", said):
        return "selective"
    if re.search(r"full|qkv|offload|yes|true|\ball\b|every", said):
        return "full"
    return "none" if re.search(r"none|no\b|false|off", said) else None


def keeps_projections(row: Row) -> bool:
    """Whether recomputation finds the projections to queries, keys and values kept, on the host or on the device."""
    return "qkv" in text(row, "recompute")


def sequence_parallel(row: Row, default: bool) -> bool:
    """Whether norms are split over tensor ranks too."""
    return True if "sequence parallel" in text(row, "recompute", "note", "sharding") else default


# --- precision --------------------------------------------------------------------------------------------------------


def precisions(row: Row) -> tuple[str, ...]:
    """Precisions of the matrix products that the text allows, the likeliest first: one, or more where it says "or"."""
    said = text(row, "precision")
    named = [
        (r"fp4", "fp4"),
        (r"int8", "int8"),
        (r"fp8", "fp8"),
        (r"bf16", "bf16"),
        (r"fp16", "fp16"),
        (r"fp32", "fp32"),
    ]
    found = [name for word, name in named if re.search(word, said.split("(")[0])]
    if "fp8" in found and "bf16" in found:
        return ("fp8",)
    if "fp4" in found and "fp8" in found:
        return ("fp8", "fp4")
    return tuple(found[:1]) or (("bf16",) if not said else ("fp16",))


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
