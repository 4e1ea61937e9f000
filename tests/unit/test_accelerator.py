"""Loading an accelerator: by name, alias, path and mapping, and what is said when something is wrong."""

from pathlib import Path

import pytest

from costsim.errors import InputError
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.quantity import Range
from costsim.inputs.source import Place

MINIMAL = """\
costsim: 1
name: my-chip
peak_flops: {bf16: 100 TFLOP/s}
memory: {capacity: 32 GiB, bandwidth: 1 TB/s}
scale_up: {bandwidth: 100 GB/s, domain: 4, topology: switch, latency: 2 us}
"""

SOURCED = """\
costsim: 1
name: my-chip
source: sheet
known: published
peak_flops:
  bf16: {value: 100 TFLOP/s, known: estimated, note: guessed}
  fp8: 200 TFLOP/s
memory: {capacity: 32 GiB, usable: 31 GiB, bandwidth: 1 TB/s}
scale_up: {bandwidth: 100 GB/s, domain: 4}
kernels:
  matmul:
    bf16: {efficiency: 0.6 to 0.8, memory_efficiency: 0.7, launch: 3 us, source: bench, known: measured}
prices:
  - {kind: rent, term: on-demand, provider: me, usd_per_hour: 1.5, date: 2026-01-01, source: sheet}
sources:
  sheet: {title: Datasheet, url: "https://example.org/sheet", accessed: 2026-02-01}
  bench: {title: Bench, url: "https://example.org/bench", accessed: 2026-02-01}
"""


def problems(text: str, tmp_path: Path) -> str:
    """What is said about a file."""
    file = tmp_path / "chip.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as error:
        load_accelerator(str(file))
    return str(error.value).replace(str(tmp_path) + "/", "")


def loaded(text: str, tmp_path: Path) -> Accelerator:
    (tmp_path / "chip.yaml").write_text(text)
    return load_accelerator("chip.yaml", relative_to=str(tmp_path / "scenario.yaml"))[0]


@pytest.mark.parametrize("name", ["h100-sxm", "H100", "h100 80gb", "H100_SXM5"])
def test_a_name_and_its_aliases_find_the_same_file(name: str) -> None:
    accelerator, facts = load_accelerator(name)
    assert accelerator.name == "h100-sxm"
    assert facts["memory.capacity"].source == "nvidia-h100"
    assert facts["memory.usable"].known == "measured"


def test_quantities_are_in_si(tmp_path: Path) -> None:
    chip = loaded(MINIMAL, tmp_path)
    assert chip.peak("bf16") == 1e14
    assert chip.memory.capacity == 32 * 2**30
    assert chip.scale_up.latency_seconds == 2e-6


def test_what_a_file_leaves_out_is_replaced_and_told(tmp_path: Path) -> None:
    chip = loaded(MINIMAL, tmp_path)
    assert chip.memory.usable_bytes == chip.memory.capacity
    assert chip.accelerators_per_node == 4
    assert chip.matmul_kernel("bf16") is None
    assert chip.scale_out is None
    assert chip.left_out() == [
        "memory.usable",
        "scale_out",
        "per_node",
        "power.tdp",
        "power.system",
        "purchase",
        "kernels.matmul",
        "kernels.attention",
    ]


def test_a_mapping_is_an_accelerator_too() -> None:
    chip, facts = load_accelerator(
        {
            "peak_flops": {"fp16": "10 TFLOP/s"},
            "memory": {"capacity": "8 GiB", "bandwidth": "100 GB/s"},
            "scale_up": {"domain": 1},
        }
    )
    assert chip.name == "custom"
    assert chip.peak("fp16") == 1e13
    assert facts == {}


def test_the_innermost_source_holds(tmp_path: Path) -> None:
    (tmp_path / "chip.yaml").write_text(SOURCED)
    chip, facts = load_accelerator(str(tmp_path / "chip.yaml"))
    assert facts["peak_flops.bf16"].known == "estimated"
    assert facts["peak_flops.bf16"].note == "guessed"
    assert facts["peak_flops.fp8"] == facts["memory.capacity"]
    assert (facts["peak_flops.fp8"].source, facts["peak_flops.fp8"].known) == ("sheet", "published")
    launch = facts["kernels.matmul.bf16.launch"]
    assert (launch.source, launch.known) == ("bench", "measured")
    kernel = chip.matmul_kernel("bf16")
    assert kernel is not None
    assert isinstance(kernel.efficiency, Range)
    assert kernel.efficiency.interval90() == pytest.approx((0.6, 0.8))


def test_the_kernel_of_the_nearest_precision_stands_in() -> None:
    v100, _ = load_accelerator("v100")
    h100, _ = load_accelerator("h100")
    assert v100.matmul_kernel("bf16") is v100.matmul_kernel("fp16")
    assert h100.matmul_kernel("fp8") is not h100.matmul_kernel("bf16")
    assert h100.matmul_kernel("fp16") is h100.matmul_kernel("bf16")
    assert h100.matmul_kernel("fp4") is h100.matmul_kernel("fp8")


def test_a_precision_that_the_chip_lacks_is_refused_with_those_it_has() -> None:
    a100, _ = load_accelerator("a100-80gb-sxm")
    with pytest.raises(InputError, match=r"A100 SXM 80 GB has no peak rate for fp8; it has fp32, tf32, fp16, bf16"):
        a100.peak("fp8")
    with pytest.raises(InputError, match=r"unknown precision 'bf61'.*did you mean 'bf16'"):
        a100.peak("bf61")


def test_an_unknown_name_is_told_where_it_stands_with_the_nearest() -> None:
    with pytest.raises(InputError) as error:
        load_accelerator("h100-smx", place=Place("run.yaml", 4, 16), path="cluster.accelerator")
    assert str(error.value).startswith("run.yaml:4:16: cluster.accelerator: unknown accelerator 'h100-smx'")
    assert "did you mean 'h100-sxm'?" in str(error.value)


def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = MINIMAL.replace("bandwidth: 1 TB/s", "usable: 40 GiB, bandwith: 1 TB/s").replace("100 TFLOP/s", "100 GB")
    told = problems(text, tmp_path)
    assert "chip.yaml:3:20: peak_flops.bf16: '100 GB' is a size in bytes, not a rate of computation" in told
    assert "chip.yaml:4:44: memory.bandwith: unknown key; did you mean 'bandwidth'?" in told
    assert "memory.bandwidth: this key is missing" in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("bandwidth: 1 TB/s", "bandwidth: 1 TB/s, usable: 33 GiB", "memory.usable: more memory is usable than"),
        ("domain: 4", "domain: 0", "scale_up.domain: "),
        ("bandwidth: 100 GB/s, domain", "domain", "scale_up.bandwidth: a domain of 4 needs a bandwidth"),
        ("topology: switch", "topology: ring", "scale_up.topology: 'ring' is not accepted; one of switch, mesh, torus"),
        ("topology: switch", "topology: torus, dims: [2, 3]", "scale_up.dims: 2 x 3 is 6, not the domain of 4"),
        ("topology: switch", "wraps: 4", "scale_up.wraps: 'wraps' is of the axes in 'dims'"),
        ("topology: switch", "per_peer: 50 GB/s", "scale_up.per_peer: a switch has no 'per_peer'"),
        ("topology: switch", "topology: mesh, per_peer: 200 GB/s", "scale_up.per_peer: one peer gets more than all"),
        ("{bf16: 100 TFLOP/s}", "{}", "peak_flops: no precision has a peak rate"),
        ("name: my-chip", "name: my-chip\nper_node: 0", "per_node: "),
        ("name: my-chip", "name: my-chip\npower: {tdp: 700 W, system: 600 W}", "power.system: a share of the node"),
        ("{bf16: 100 TFLOP/s}", "{bf16: 100 TFLOP/s, source: shet}", "peak_flops.source: unknown source 'shet'"),
    ],
)
def test_what_cannot_be_is_refused(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in MINIMAL
    assert told in problems(MINIMAL.replace(old, new), tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("usd_per_hour: 1.5", "usd_per_hour: 0", "prices.0.usd_per_hour: a price of zero is no offer"),
        ("date: 2026-01-01", "date: 2026-03-01", "prices.0.date: this price is of 2026-03-01, and its source"),
        ("term: on-demand, ", "", "prices.0: a rent needs its term; term: one of on-demand, 1-year, 3-year, spot"),
        ("usd_per_hour: 1.5", "usd: 100", "prices.0: a price of kind 'rent' needs 'usd_per_hour'"),
        ("kind: rent, term: on-demand", "kind: purchase", "prices.0: a price of kind 'purchase' needs 'usd'"),
        ("date: 2026-01-01", "date: 2026-02-30", "prices.0.date: '2026-02-30' is no day of the calendar"),
        ("1.5, date: 2026-01-01, source: sheet", "1.5, date: 2026-01-01, source: shed", "did you mean 'sheet'?"),
        ("source: bench", "source: bank", "kernels.matmul.bf16.source: unknown source 'bank'"),
        ("0.6 to 0.8", "0.6 to 1.8", "kernels.matmul.bf16.efficiency: "),
    ],
)
def test_prices_and_priors_are_checked(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in SOURCED
    assert told in problems(SOURCED.replace(old, new), tmp_path)


def test_the_examples_of_the_guide_load(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "hardware.md").read_text(encoding="utf-8")
    blocks = [block.split("```")[0] for block in guide.split("```yaml\n")[1:]]
    assert len(blocks) == 3  # a chip, its prices, a book
    chip = loaded(blocks[0], tmp_path)
    assert chip.peak("bf16") == 5e14
    assert chip.power.system == 1100
    sources = "".join(
        f"  {name}: {{title: Read, url: https://example.org, accessed: 2026-11-01}}\n"
        for name in ("opslyft-2026-05", "epoch-counts")
    )
    priced = loaded(f"{blocks[0]}{blocks[1]}sources:\n{sources}", tmp_path)
    assert [price.kind for price in priced.prices] == ["rent", "purchase"]
