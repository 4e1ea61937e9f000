"""Shipped hardware files against what vendors publish, and the traps of their sheets."""

from datetime import date
from functools import cache
from typing import Any

import pytest

from costsim.inputs import catalogue
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.sourced import Fact

NAMES = catalogue.names("hardware")
TFLOPS = 1e12
GIB = 2**30

# How published measurements of training and serving name their hardware.
NAMES_IN_MEASUREMENTS = {
    "A100-40": "a100-40gb-sxm",
    "A100-80": "a100-80gb-sxm",
    "A800-80": "a800-80gb-sxm",
    "Ascend910B": "ascend-910b",
    "B200": "b200",
    "B300": "b300",
    "GB200": "gb200-nvl72",
    "GB300": "gb300-nvl72",
    "Gaudi2": "gaudi2",
    "Gaudi3": "gaudi3",
    "GH200": "gh200",
    "H100": "h100-sxm",
    "H100-96": "h100-sxm-96gb",
    "H20": "h20",
    "H200": "h200-sxm",
    "H800": "h800-sxm",
    "L4": "l4",
    "L40S": "l40s",
    "MI250X": "mi250x",
    "MI300X": "mi300x",
    "MI325X": "mi325x",
    "MI350X": "mi350x",
    "MI355X": "mi355x",
    "RTX3090": "rtx-3090",
    "RTX4090": "rtx-4090",
    "RTX5090": "rtx-5090",
    "RTXPRO6000": "rtx-pro-6000",
    "TPU7x": "tpu-v7",
    "TPUv2": "tpu-v2",
    "TPUv3": "tpu-v3",
    "TPUv4": "tpu-v4",
    "TPUv5e": "tpu-v5e",
    "TPUv5p": "tpu-v5p",
    "TPUv6e": "tpu-v6e",
    "Trn1": "trainium1",
    "Trn2": "trainium2",
    "V100": "v100-sxm2-32gb",
    "V100-16GB": "v100-sxm2-16gb",
}

# Largest matrix rate found by a sweep of shapes, TFLOP/s (Bekman, Machine Learning Engineering, at 744d01e).
LARGEST_MEASURED = [
    ("a100-80gb-sxm", "bf16", 271.2),
    ("a100-80gb-pcie", "bf16", 252.9),
    ("h100-sxm", "bf16", 794.5),
    ("h100-sxm", "fp8", 1402.6),
    ("h200-sxm", "fp8", 1453.4),
    ("gh200-144gb", "bf16", 828.6),
    ("gh200-144gb", "fp8", 1535.0),
    ("b200", "bf16", 1745.0),
    ("b200", "fp8", 3432.5),
    ("b300", "bf16", 1769.0),
    ("b300", "fp8", 3353.3),
    ("gb200-nvl72", "bf16", 1822.0),
    ("gb200-nvl72", "fp8", 3615.6),
    ("mi300x", "bf16", 668.4),
    ("mi325x", "bf16", 784.9),
    ("mi355x", "bf16", 1565.0),
    ("gaudi2", "bf16", 418.7),
    ("gaudi2", "fp8", 826.5),
    ("gaudi3", "bf16", 1243.0),
    ("gaudi3", "fp8", 1289.5),
]


@cache
def loaded(name: str) -> tuple[Accelerator, dict[str, Fact]]:
    return load_accelerator(name)


def chip(name: str) -> Accelerator:
    return loaded(name)[0]


def leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    """Every leaf of what a file says, by dotted path."""
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)  # type: ignore[assignment]
    else:
        return [(path, value)]
    return [leaf for key, item in pairs for leaf in leaves(item, f"{path}.{key}" if path else str(key))]


def test_the_catalogue_is_broad_and_has_its_promised_names() -> None:
    assert len(NAMES) >= 40
    assert {"h100-sxm", "a100-80gb-sxm"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_valid_and_each_of_its_numbers_has_a_dated_source(name: str) -> None:
    accelerator, facts = loaded(name)
    assert accelerator.name == name
    for origin in accelerator.sources.values():
        assert origin.url.startswith(("https://", "pkg:pypi/"))
        assert date(2024, 1, 1) < origin.accessed < date(2027, 1, 1)
    sections = ("peak_flops", "memory", "scale_up", "scale_out", "per_node", "power", "purchase", "kernels", "prices")
    numbers = {path: fact for path, fact in facts.items() if path.startswith(sections)}
    assert len(numbers) > 12
    for path, fact in numbers.items():
        assert fact.source in accelerator.sources, path
        assert fact.known in ("measured", "published", "derived", "estimated"), path


@pytest.mark.parametrize("name", NAMES)
def test_every_estimate_says_what_it_rests_on(name: str) -> None:
    source = catalogue.find("hardware", name)
    assert isinstance(source.value, dict)
    said = dict(leaves(source.value))
    estimates = [path for path, value in said.items() if value == "estimated" and path != "known"]
    for path in estimates:
        assert said.get(path.removesuffix("known") + "note"), path


@pytest.mark.parametrize("name", NAMES)
def test_every_price_names_who_asked_it_and_where_it_was_read(name: str) -> None:
    for price in chip(name).prices:
        assert price.provider
        assert price.source in chip(name).sources
        assert price.date >= date(2016, 1, 1)


def test_names_and_aliases_are_unique() -> None:
    taken: dict[str, str] = {}
    for name in NAMES:
        for alias in (name, *chip(name).aliases):
            plain = alias.casefold().replace(" ", "-").replace("_", "-")
            assert taken.setdefault(plain, name) == name, alias
            assert alias == name or plain not in NAMES, alias


@pytest.mark.parametrize(("alias", "name"), NAMES_IN_MEASUREMENTS.items())
def test_names_in_published_measurements_are_found(alias: str, name: str) -> None:
    assert load_accelerator(alias)[0].name == name
    assert load_accelerator(alias.lower())[0].name == name


def test_h100_as_its_datasheet_has_it() -> None:
    h100 = chip("h100-sxm")
    assert h100.peak("bf16") == h100.peak("fp16") == 989.4 * TFLOPS
    assert h100.peak("tf32") == 494.7 * TFLOPS
    assert h100.memory.capacity == 85_899_345_920
    assert h100.memory.bandwidth == 3.35e12
    assert h100.scale_up.bandwidth == 450e9  # 900 GB/s counts both directions
    assert (h100.scale_up.domain, h100.scale_up.topology) == (8, "switch")
    assert h100.scale_out is not None
    assert h100.scale_out.bandwidth == 50e9  # 400 Gbit/s
    assert h100.power.tdp == 700
    assert h100.power.system == 10200 / 8  # DGX H100: 10.2 kW


def test_a100_as_its_datasheet_has_it() -> None:
    a100 = chip("a100-80gb-sxm")
    assert a100.peak("bf16") == 312 * TFLOPS
    assert a100.peak("tf32") == 156 * TFLOPS
    assert a100.peak("fp32") == 19.5 * TFLOPS
    assert a100.memory.capacity == 80 * GIB
    assert a100.memory.bandwidth == 2.039e12
    assert a100.scale_up.bandwidth == 300e9  # 600 GB/s counts both directions
    assert "fp8" not in a100.peak_flops.rates()


@pytest.mark.parametrize(
    ("name", "precision", "tflops"),
    [
        ("v100-sxm2-32gb", "fp16", 125),
        ("t4", "fp16", 65),
        ("l40s", "bf16", 362.05),  # 733 is sparse
        ("rtx-3090", "bf16", 71),  # 142 accumulates in FP16
        ("rtx-4090", "bf16", 165.2),  # 330 accumulates in FP16
        ("rtx-5090", "bf16", 209.5),  # 419 accumulates in FP16
        ("h20", "bf16", 148),
        ("b200", "bf16", 2250),  # HGX B200: 36 PFLOP/s sparse for eight
        ("b200", "fp4", 9000),
        ("b300", "fp4", 13500),  # HGX B300: 108 PFLOP/s dense for eight
        ("gb200-nvl72", "bf16", 2500),  # 360 PFLOP/s sparse for 72
        ("gb300-nvl72", "fp4", 15000),  # 1,080 PFLOP/s dense for 72
        ("mi300x", "bf16", 1307.4),
        ("mi355x", "fp8", 5033.2),
        ("tpu-v4", "bf16", 275),
        ("tpu-v5p", "bf16", 459),
        ("tpu-v6e", "bf16", 918),
        ("tpu-v7", "fp8", 4614),
        ("gaudi2", "bf16", 432),
        ("gaudi3", "bf16", 1678),  # 1,835 assumes a clock that no part runs at
        ("trainium1", "bf16", 190),
        ("trainium2", "fp8", 1299),
    ],
)
def test_dense_peaks(name: str, precision: str, tflops: float) -> None:
    assert chip(name).peak(precision) == pytest.approx(tflops * TFLOPS, rel=1e-12)


@pytest.mark.parametrize(("name", "precision", "measured"), LARGEST_MEASURED)
def test_no_peak_is_sparse(name: str, precision: str, measured: float) -> None:
    # A sparse peak is twice the dense one, and the best kernels would then reach less than half of it.
    assert 0.5 < measured * TFLOPS / chip(name).peak(precision) < 1.0


@pytest.mark.parametrize("name", [name for name in NAMES if chip(name).vendor == "NVIDIA"])
def test_precisions_of_nvidia_double_step_by_step(name: str) -> None:
    rates = chip(name).peak_flops.rates()
    for slow, fast in (("tf32", "bf16"), ("bf16", "fp8")):
        if slow in rates and fast in rates:
            assert rates[fast] / rates[slow] == pytest.approx(2, rel=0.03), (slow, fast)
    assert rates.get("bf16", rates["fp16"]) == rates["fp16"]


@pytest.mark.parametrize("name", ["tpu-v5p", "tpu-v6e", "gaudi3", "trainium1"])
def test_some_chips_gain_nothing_from_fp8(name: str) -> None:
    assert chip(name).peak("fp8") == chip(name).peak("bf16")


@pytest.mark.parametrize(
    ("name", "gigabytes_per_second", "domain", "topology"),
    [
        ("v100-sxm2-32gb", 150, 8, "mesh"),
        ("h800-sxm", 200, 8, "switch"),
        ("b200", 900, 8, "switch"),
        ("gb200-nvl72", 900, 72, "switch"),
        ("mi300x", 448, 8, "mesh"),
        ("mi355x", 537.6, 8, "mesh"),
        ("gaudi2", 262.5, 8, "mesh"),
        ("tpu-v5e", 180, 256, "torus"),
        ("tpu-v5p", 540, 8960, "torus"),
        ("trainium1", 192, 16, "torus"),
    ],
)
def test_links_are_of_one_accelerator_in_one_direction(
    name: str, gigabytes_per_second: float, domain: int, topology: str
) -> None:
    link = chip(name).scale_up
    assert link.bandwidth == pytest.approx(gigabytes_per_second * 1e9, rel=1e-12)
    assert (link.domain, link.topology) == (domain, topology)


@pytest.mark.parametrize("name", [name for name in NAMES if chip(name).scale_up.topology == "mesh"])
def test_a_mesh_says_what_one_peer_gets(name: str) -> None:
    link = chip(name).scale_up
    assert link.per_peer is not None
    assert link.bandwidth is not None
    # The peers together get the whole, except where some pairs have two links (P100 and V100).
    assert link.per_peer * (link.domain - 1) == pytest.approx(link.bandwidth, rel=0.01) or name[0] in "pv"


@pytest.mark.parametrize("name", [name for name in NAMES if chip(name).scale_up.topology == "torus"])
def test_a_torus_says_its_shape(name: str) -> None:
    assert chip(name).scale_up.dims is not None


@pytest.mark.parametrize(
    ("name", "gibibytes"), [("a100-40gb-sxm", 40), ("h200-sxm", 141), ("b200", 180), ("mi300x", 192), ("tpu-v5p", 95)]
)
def test_memory_is_in_binary_units(name: str, gibibytes: float) -> None:
    assert chip(name).memory.capacity == gibibytes * GIB


@pytest.mark.parametrize("name", NAMES)
def test_figures_are_plausible(name: str) -> None:
    accelerator = chip(name)
    matmul = max(rate for precision, rate in accelerator.peak_flops.rates().items() if precision != "fp4")
    assert 1e12 < matmul < 6e15
    assert accelerator.memory.usable_bytes > 0.9 * accelerator.memory.capacity
    # FLOPs a byte of memory traffic, at 16 bits: between a CPU's and a workstation GPU's.
    assert 10 < accelerator.attention_peak() / accelerator.memory.bandwidth < 700
    assert accelerator.kernels.attention is not None
    kernel = accelerator.matmul_kernel("bf16")
    assert kernel is not None
    for share in (kernel.efficiency, kernel.memory_efficiency):
        assert 0.2 < (share if isinstance(share, float) else share.centre()) < 0.95
    rents = [price.usd_per_hour for price in accelerator.prices if price.usd_per_hour is not None]
    assert all(0.1 < usd < 15 for usd in rents)


@pytest.mark.parametrize("name", ["a100-80gb-sxm", "h100-sxm", "h200-sxm", "b200", "b300", "gb200", "gb300"])
def test_measured_collectives_stay_below_their_link(name: str) -> None:
    accelerator, facts = loaded(name)
    collectives = accelerator.kernels.collectives
    assert collectives is not None
    assert facts["kernels.collectives.all_gather.alpha"].known == "measured"
    for kind in (collectives.all_reduce, collectives.all_gather, collectives.reduce_scatter, collectives.all_to_all):
        assert kind is not None
        assert isinstance(kind.bus_bandwidth, float)
        assert accelerator.scale_up.bandwidth is not None
        assert 0.4 < kind.bus_bandwidth / accelerator.scale_up.bandwidth < 1.0
