"""What the free text of published measurements means: tables of text and meaning, and texts that mean nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.evidence import words

GBIT = 1e9 / 8


@pytest.mark.parametrize(
    ("said", "per_node", "gbit"),
    [
        ("8x400Gb IB (not stated in table)", 8, 400),  # of a node, shared by its accelerators
        ("8-GPU NVLink3 + 8x200Gb HDR IB (Selene)", 8, 200),
        ("8-GPU NVLink + 4x100Gb Omni-Path (Jean Zay)", 8, 50),
        ("4x ConnectX-7 IB NDR 400 Gb/s", 4, 400),
        ("2x Mellanox ConnectX-5 Ex 100Gb/s Ethernet", 8, 25),
        ("8-GPU NVLink + 800 Gb/s per node", 8, 100),
        ("800Gbps", 8, 100),  # a figure alone is of the node
        ("100GbE InfiniBand", 4, 25),
        ("EFA 800Gb (trn1) / 1600Gb (trn1n)", 16, 50),
        ("8-GPU NVLink4 + 400Gb RoCE", 8, 400),  # beside the node's own links, of each accelerator
        ("Storage+Management: 1x NVIDIA BlueField 2 DPU 100Gb/s, Compute: 8x NVIDIA ConnectX-7 IB NDR 400Gb/s", 8, 400),
        ("Storage: 2x ConnectX-7 IB NDR 400Gb/s, Compute: 8x ConnectX-7 IB NDR 400Gb/s", 8, 400),
        ("1x Ethernet 100Gb/Sec, 8x NVIDIA Quantum-2 CX7 InfiniBand (400Gb/s)", 8, 400),
    ],
)
def test_bandwidth_of_an_accelerator(said: str, per_node: float, gbit: float) -> None:
    assert words.network_bandwidth({"interconnect": said}, per_node) == pytest.approx(gbit * GBIT)


@pytest.mark.parametrize(
    "said",
    [
        "", "N/A", "NVL72", "Giga Ethernet", "8-GPU NVLink", "8-GPU NVLink, RoCE", "Storage: 2x IB NDR 400Gb/s",
        "InfiniBand; Data bandwidth for GPU-PCIe: 504 GB/s; PCIe-NIC: 500 GB/s", "Management: 100Gb/s Ethernet NIC",
    ],
)  # fmt: skip
def test_no_bandwidth_is_read_where_none_of_the_network_is_said(said: str) -> None:
    assert words.network_bandwidth({"interconnect": said}, 8) is None


@pytest.mark.parametrize(
    ("said", "sharding"),
    [
        ("ZeRO-1 distributed optimizer", "optimizer"),
        ("ZeRO-1 within 4", "optimizer"),
        ("ZeRO-2", "gradients"),
        ("FSDP SHARD_GRAD_OP", "gradients"),
        ("FSDP (ZeRO-1/2 style, no reshard)", "gradients"),
        ("FSDP FULL_SHARD", "full"),
        ("HSDP", "full"),
        ("ZeRO-3", "full"),
        ("FSDP16 x TP16 in slice", "full"),
        ("none stated (1F1B, no gradient bucketing)", "none"),
        ("", None),
        ("DP", None),
    ],
)
def test_sharding(said: str, sharding: str | None) -> None:
    assert words.sharding({"sharding": said}) == sharding


def test_a_framework_tells_the_sharding_where_its_column_is_blank() -> None:
    assert words.sharding({"framework": "PyTorch FSDP"}) == "full"
    assert words.sharding({"framework": "PyTorch FSDP", "sharding": "ZeRO-1"}) == "optimizer"


@pytest.mark.parametrize(
    ("said", "ranks"),
    [("ZeRO-1 within 4", 4), ("FSDP 64 x DP 2 slices", 64), ("FSDP16 x TP16 in slice", 16), ("FSDP2", None),
     ("FSDP group 128", 128), ("FSDP", None)],
)  # fmt: skip
def test_ranks_of_a_shard(said: str, ranks: float | None) -> None:
    assert words.shard_group({"sharding": said}) == ranks


@pytest.mark.parametrize(
    ("said", "recompute"),
    [
        ("full", "full"),
        ("qkv_proj offloaded", "full"),
        ("every layer", "full"),
        ("true", "full"),
        ("selective", "selective"),
        ("selective + sequence parallel", "selective"),
        ("minimal", "selective"),
        ("none", "none"),
        ("none, tensor parallel only", "none"),
        ("off", "none"),
        ("", None),
        ("recipe default (not listed)", None),
        ("not stated", None),
        ("partial/full (HFU>MFU)", None),
        ("no activation checkpointing", "none"),
        ("activation checkpointing", "full"),
        ("without", "none"),
        ("0", "none"),
        ("0.5", None),
        ("gelu only", None),
    ],
)
def test_recomputation(said: str, recompute: str | None) -> None:
    assert words.recompute({"recompute": said}) == recompute


def test_projections_are_kept_where_they_are_offloaded() -> None:
    assert words.keeps_projections({"recompute": "qkv_proj offloaded"})
    assert not words.keeps_projections({"recompute": "full"})


@pytest.mark.parametrize(
    ("said", "precisions"),
    [
        ("bf16", ("bf16",)),
        ("bf16 (fp32 params)", ("bf16",)),
        ("fp16/bf16 mixed (not stated)", ("bf16",)),
        ("fp16", ("fp16",)),
        ("fp8", ("fp8",)),
        ("mxfp8", ("fp8",)),
        ("fp8/bf16 hybrid", ("fp8",)),
        ("nvfp4", ("fp4",)),
        ("fp8 or fp4 (config not identified)", ("fp8", "fp4")),
        ("int8 (AQT)", ("int8",)),
        ("fp32", ("fp32",)),
        ("", ("bf16",)),
        ("mixed", ("fp16",)),
        ("mixed (bf16)", ("bf16",)),
        ("bfloat16", ("bf16",)),
        ("float16", ("fp16",)),
        ("e4m3 hybrid", ("fp8",)),
        ("nobody knows", ("bf16",)),
    ],
)
def test_precisions(said: str, precisions: tuple[str, ...]) -> None:
    assert words.precisions({"precision": said}) == precisions


@pytest.mark.parametrize(
    ("precision", "detail", "scaling"),
    [("mxfp8", "", "block"), ("nvfp4", "", "block"), ("fp8", "rowwise", "row"), ("fp8", "tensorwise", "tensor"),
     ("fp8", "FP8-CS", "tensor"), ("fp8", "", ""), ("bf16", "", "")],
)  # fmt: skip
def test_scaling_of_low_precision(precision: str, detail: str, scaling: str) -> None:
    assert words.quantization({"precision": precision, "precision_detail": detail}) == scaling


@pytest.mark.parametrize(
    ("row", "stack"),
    [
        ({"framework": "Megatron-LM", "date": "2021-04"}, "megatron-2021"),
        ({"framework": "Megatron-LM", "date": "2024-04"}, "megatron-core"),
        ({"framework": "Megatron-LM (vTrain ground truth)", "date": "2024"}, "megatron-2021"),
        ({"framework": "Megatron-DeepSpeed", "date": "2022-11"}, "megatron-deepspeed"),
        ({"framework": "Megatron-DeepSpeed", "date": "2024"}, "megatron-core"),
        ({"framework": "Megatron-LM + TransformerEngine"}, "megatron-te"),
        ({"framework": "NeMo/Megatron", "source_title": "MLPerf Training v4.0"}, "mlperf-nvidia"),
        ({"framework": "NeMo 24.07"}, "nemo"),
        ({"framework": "NeMo Megatron-Bridge 26.04.01"}, "megatron-bridge"),
        ({"framework": "MaxText (GPU) FSDP"}, "xla-gpu"),
        ({"framework": "MaxText/Pax"}, "xla-gpu"),
        ({"framework": "Pax (JAX-Toolbox)"}, "pax"),
        ({"framework": "Composer/FSDP"}, "fsdp"),
        ({"framework": "PyTorch FSDP (IBM fms-fsdp), torch.compile"}, "torchtitan"),
        ({"framework": "torchtitan (Jun 2025)"}, "torchtitan"),
        ({"framework": "torchtitan", "note": "eager mode"}, "fsdp-eager"),
        ({"framework": "DeepSpeed ZeRO-3"}, "deepspeed"),
        ({"framework": "nanochat"}, "single-node"),
        ({"framework": "", "sharding": "FSDP FULL_SHARD"}, "fsdp"),
        ({"framework": "", "date": "2021"}, "megatron-2021"),
        ({"framework": "", "date": "2025"}, "megatron-core"),
        ({}, "megatron-core"),
    ],
)
def test_stacks_of_graphics_processors(row: dict[str, str], stack: str) -> None:
    assert words.stack(row, "gpu", "NVIDIA", 64) == stack


def test_stacks_that_the_chip_tells() -> None:
    assert words.stack({"framework": "MaxText"}, "tpu", "Google", 64) == "maxtext"
    assert words.stack({"framework": "MaxText"}, "gpu", "AMD", 64) == "rocm"
    assert words.stack({"framework": "Megatron-DeepSpeed"}, "asic", "Intel", 64) == "gaudi"
    assert words.stack({"framework": "neuronx-distributed 2.15"}, "asic", "AWS", 64) == "neuron"
    assert words.stack({}, "gpu", "NVIDIA", 8) == "single-node"


@pytest.mark.parametrize(
    ("row", "year"),
    [
        ({"framework": "NeMo 24.07"}, 2024 + 6.5 / 12),
        ({"framework": "NeMo Megatron-Bridge 26.04.01", "date": "2020"}, 2026 + 3.5 / 12),
        ({"framework": "NeuronX Distributed 2.24", "date": "2025-01"}, 2025 + 0.5 / 12),
        ({"framework": "NeMo 24.99", "date": "2022"}, 2022.5),  # no such month: no release
        ({"date": "2023-12-31"}, 2023 + 11.5 / 12),
        ({"release_date": "2021"}, 2021.5),
        ({"date": "soon"}, words.UNDATED),
        ({"date": "2023/11"}, 2023 + 10.5 / 12),
        ({"date": "20231105"}, 2023 + 10.5 / 12),
        ({"date": "Nov 2023"}, 2023.5),
        ({"date": "2023-2024"}, 2024 + words.LATE),
        ({"date": "2023-11 to 2025-06"}, 2023 + 10.5 / 12),
        ({"date": "2024-13"}, 2024.5),  # no such month
        ({"date": "1999"}, words.UNDATED),
        ({}, words.UNDATED),
    ],
)
def test_year_of_the_software(row: dict[str, str], year: float) -> None:
    assert words.year(row) == pytest.approx(year)


@pytest.mark.parametrize(
    ("cell", "found"),
    [("7", 7), (" 7.5 ", 7.5), ("1e3", 1000), ("-2", -2), ("", None), ("  ", None), ("abc", None), ("nan", None),
     ("inf", None), ("-inf", None), ("1e400", None), ("7 GB", None)],
)  # fmt: skip
def test_number(cell: str, found: float | None) -> None:
    assert words.number({"a": cell}, "a") == found
    assert words.number({}, "a") is None


@pytest.mark.parametrize(
    ("said", "count"),
    [("DP across 2 slices", 2), ("FSDP 64 x DP 8 slices", 8), ("0 slices", None), ("FSDP", None)],
)
def test_slices(said: str, count: float | None) -> None:
    assert words.slices({"sharding": said}) == count


@pytest.mark.parametrize(
    ("said", "meant"),
    [("TRUE", True), ("yes", True), ("SwiGLU", True), ("0", False), ("gelu", False), ("", None), ("maybe", None)],
)
def test_flags(said: str, meant: bool | None) -> None:
    assert words.flag({"gated_ffn": said}, "gated_ffn") is meant


READERS = (
    words.sharding, words.shard_group, words.recompute, words.precisions, words.quantization, words.slices, words.year,
    words.scale_up_domain, words.sequence_ranks, words.keeps_projections, words.overlap_off,
)  # fmt: skip
COLUMNS = (
    "interconnect", "framework", "sharding", "recompute", "precision", "precision_detail", "hardware", "note", "date",
    "moe_routing",
)  # fmt: skip
PIECES = st.sampled_from(
    ["9" * 5000, "8x", "400Gb", "99999999999x400Gb", "NVL", "slices ", "FSDP", "within ", "²", "٣", "🦙", "\x00", "-",
     "0x0Gb", "fp8", "(", "24.", "20", "qkv"]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=20), max_size=12).map("".join))
def test_no_text_breaks_a_reader(said: str) -> None:
    row = dict.fromkeys(COLUMNS, said)
    for reader in READERS:
        reader(row)
    found = words.network_bandwidth(row, 8)
    assert found is None or (found >= 0 and math.isfinite(found))
    assert words.stack(row, "gpu", "NVIDIA", 8)
    words.number(row, "note")
