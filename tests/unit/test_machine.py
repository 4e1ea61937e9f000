"""From a hardware file and a stack to the numbers of the step-time model."""

from __future__ import annotations

import math
from typing import Any

import pytest

from costsim.errors import InputError
from costsim.inputs import machine
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.cluster import Cluster, Training
from costsim.inputs.fields import validate
from costsim.inputs.fits import step_fits
from costsim.inputs.stack import load_stack
from costsim.inputs.yaml_source import from_mapping
from costsim.training.adjust import adjustment
from costsim.uncertainty.ranges import Range

CHIP: dict[str, Any] = {
    "name": "my-chip",
    "peak_flops": {"fp32": "20 TFLOP/s", "bf16": "100 TFLOP/s", "fp8": "200 TFLOP/s"},
    "memory": {"capacity": "32 GiB", "usable": "31 GiB", "bandwidth": "1 TB/s"},
    "scale_up": {"bandwidth": "100 GB/s", "domain": 4, "topology": "mesh", "latency": "2 us"},
    "scale_out": {"bandwidth": "200 Gbit/s", "latency": "3 us"},
    "per_node": 8,
    "kernels": {"matmul": {"bf16": {"efficiency": "0.6 to 0.8", "memory_efficiency": 0.7, "launch": "3 us"}}},
}
FAILURES = {
    "interruptions_per_accelerator_hour": 1e-5,
    "restart": "10 min",
    "checkpoint_write": "60 s",
    "checkpoint_every": "auto",
}


def accelerator(**changes: Any) -> Accelerator:
    return load_accelerator({**CHIP, **changes})[0]


def cluster(**changes: Any) -> Cluster:
    return validate(Cluster, from_mapping({"accelerator": "x", "accelerators": 8, "failures": FAILURES, **changes}))


def training(**changes: Any) -> Training:
    said = {"tokens": "1B", "sequence_length": 1024, "global_batch_sequences": 8, "precision": "bf16"}
    return validate(Training, from_mapping({**said, "optimizer": "adamw", **changes}))


GENERIC = load_stack("generic").stack


# --- the chip ---------------------------------------------------------------------------------------------------------


def test_the_chip_at_a_precision() -> None:
    chip = machine.chip(accelerator(), "bf16")
    assert chip.matmul_flops == 100e12
    assert chip.vector_flops == 100e12
    assert chip.memory_bandwidth == 1e12
    assert chip.memory_bytes == 31 * 2**30
    assert chip.matmul_efficiency == pytest.approx(Range.interval(0.6, 0.8, fraction=True).centre())
    assert chip.matmul_memory_efficiency == 0.7
    assert chip.launch_seconds == 3e-6


def test_attention_runs_in_16_bits_and_products_in_8() -> None:
    chip = machine.chip(accelerator(), "fp8")
    assert (chip.matmul_flops, chip.vector_flops) == (200e12, 100e12)
    assert machine.chip(accelerator(peak_flops={"fp32": "20 TFLOP/s"}), "fp32").vector_flops == 20e12


def test_a_precision_without_a_peak_is_refused() -> None:
    with pytest.raises(InputError, match="has no peak rate for fp4; it has fp32, bf16, fp8"):
        machine.chip(accelerator(), "fp4")


def test_a_chip_without_kernels_takes_the_middle_of_measured_ones() -> None:
    chip = machine.chip(accelerator(kernels={}), "bf16")
    prior = machine.unknown_chip_kernel()
    assert chip.matmul_efficiency == machine.centre(prior.efficiency)
    assert 0.55 < chip.matmul_efficiency < 0.8
    assert 3e-6 < chip.launch_seconds < 8e-6


# --- the network ------------------------------------------------------------------------------------------------------


def test_links_of_the_file() -> None:
    links = machine.network(accelerator(), cluster(), GENERIC)
    assert links.scale_up_bandwidth == 100e9
    assert links.scale_up_domain == 4
    assert links.scale_up_latency == pytest.approx(7 * 2e-6)  # a ring of eight passes seven links
    assert links.scale_up_efficiency == GENERIC.scale_up_efficiency.mesh
    assert (links.scale_out_bandwidth, links.scale_out_latency) == (25e9, 3e-6)
    assert links.node == 8


def test_measured_collectives_replace_the_stacks_share() -> None:
    measured = {"collectives": {"all_gather": {"alpha": "10 us", "bus_bandwidth": "80 GB/s"}}}
    links = machine.network(accelerator(kernels=measured), cluster(), GENERIC)
    assert links.scale_up_efficiency == pytest.approx(0.8)
    assert links.scale_up_latency == 10e-6
    assert links.all_gather is not None
    assert links.all_gather.ranks == machine.DEFAULT_RANKS
    assert links.all_reduce is None


def test_collectives_measured_between_two_ranks_too() -> None:
    gather = {"alpha": "16 us", "bus_bandwidth": "80 GB/s", "pair_alpha": "8 us", "pair_bandwidth": "50 GB/s"}
    measured = {"collectives": {"ranks": 4, "all_gather": gather}}
    found = machine.network(accelerator(kernels=measured), cluster(), GENERIC).all_gather
    assert found is not None
    for ranks, share, alpha in ((2, 0.5, 8e-6), (4, 0.8, 16e-6)):
        assert found.share + found.share_slope / ranks == pytest.approx(share)
        assert found.alpha + found.hop * ranks == pytest.approx(alpha)
    only_two = {"collectives": {"ranks": 2, "all_gather": gather}}
    found = machine.network(accelerator(kernels=only_two), cluster(), GENERIC).all_gather
    assert found is not None
    assert (found.share, found.hop) == (pytest.approx(0.8), 0)


LINKS = {"bandwidth": "120 GB/s", "domain": 64, "latency": "1 us"}


def test_paths_of_a_topology() -> None:
    def links(accelerators: int = 64, **keys: Any) -> Any:
        chip = accelerator(scale_up={**LINKS, **keys})
        return machine.network(chip, cluster(accelerators=accelerators), GENERIC)

    switch = links(topology="switch")
    assert (switch.mesh, switch.axis_chips, switch.scale_up_per_peer) == (0, 0, float("inf"))
    assert links(topology="mesh", per_peer="3 GB/s").scale_up_per_peer == 3e9
    even = links(topology="mesh")
    assert (even.mesh, even.scale_up_per_peer) == (1, pytest.approx(120e9 / 63))
    cube = links(topology="torus", dims=[4, 4, 4])
    assert (cube.scale_up_per_peer, cube.axis_chips, cube.axis_links) == (20e9, pytest.approx(4), 2)
    assert cube.scale_up_latency == 1e-6  # of one hop
    assert links(8, topology="torus", dims=[4, 4, 4]).axis_links == 1
    assert links(8, topology="torus", dims=[4, 4, 4], wraps=2).axis_links == 2
    square = links(topology="torus")  # no shape said: 8 x 8
    assert (square.scale_up_per_peer, square.axis_chips, square.axis_links) == (30e9, pytest.approx(8), 2)
    assert links(1, topology="torus").axis_chips == 2


def test_the_scenario_overrides_the_network_and_the_node() -> None:
    said = cluster(per_node=4, scale_out={"bandwidth": "400 Gbit/s", "latency": "1 us"})
    links = machine.network(accelerator(), said, GENERIC)
    assert (links.scale_out_bandwidth, links.scale_out_latency, links.node) == (50e9, 1e-6, 4)


def test_one_domain_needs_no_network_and_more_do() -> None:
    alone = accelerator(scale_out=None)
    assert machine.network(alone, cluster(accelerators=4), GENERIC).scale_out_bandwidth == 100e9
    with pytest.raises(InputError) as caught:
        machine.network(alone, cluster(accelerators=8), GENERIC)
    [problem] = caught.value.problems
    assert problem.path == "cluster.scale_out.bandwidth"
    assert "no network is known between domains of 4 my-chip" in problem.message
    assert machine.network(alone, cluster(scale_out={"bandwidth": "1 GB/s"}), GENERIC).scale_out_bandwidth == 1e9


def test_a_chip_alone_in_its_domain_talks_over_the_network() -> None:
    single = accelerator(scale_up={"domain": 1})
    assert machine.network(single, cluster(), GENERIC).scale_up_bandwidth == 25e9
    lonely = accelerator(scale_up={"domain": 1}, scale_out=None)
    assert machine.network(lonely, cluster(accelerators=1), GENERIC).scale_up_bandwidth == 1e12


# --- all of it --------------------------------------------------------------------------------------------------------


def test_all_that_does_not_go_together_is_told_at_once() -> None:
    said = cluster(layout={"expert": 2, "expert_tensor": 4})
    with pytest.raises(InputError) as caught:
        machine.device(accelerator(scale_out=None), training(precision="tf32"), said, GENERIC, 0)
    assert [problem.path for problem in caught.value.problems] == [
        "cluster.layout.expert",
        "cluster.layout.expert_tensor",
        "training.precision",
        "cluster.scale_out.bandwidth",
    ]


@pytest.mark.parametrize(("experts", "ranks", "fine"), [(8, 4, True), (8, 3, False), (0, 1, True), (0, 2, False)])
def test_experts_divide_over_their_ranks(experts: int, ranks: int, fine: bool) -> None:
    def make() -> object:
        return machine.device(accelerator(), training(), cluster(layout={"expert": ranks}), GENERIC, experts)

    if fine:
        assert make()
    else:
        with pytest.raises(InputError, match=r"cluster\.layout\.expert: "):
            make()


# --- software and work ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "nbytes"),
    [
        ("adamw", 4 + 4 + 4),
        ("sgd", 4 + 4),
        ("adafactor", 4),
        ({"name": "adamw", "moments": "bf16"}, 4 + 2 + 2),
        ({"name": "lion", "master": "bf16", "moments": "fp8"}, 2 + 1),
    ],
)
def test_bytes_of_the_optimizer(optimizer: Any, nbytes: float) -> None:
    found = machine.software(load_stack("nemo"), training(optimizer=optimizer), accelerator(), experts=False)
    assert found.optimizer_bytes == nbytes


def test_experts_and_unmeasured_stacks_have_a_wider_residual() -> None:
    def residual(name: str, experts: bool) -> float:
        return float(machine.software(load_stack(name), training(), accelerator(), experts).residual)

    assert residual("nemo", experts=True) > residual("nemo", experts=False) > 0
    assert residual("generic", experts=False) >= residual("nemo", experts=False)


def test_the_fit_moves_what_the_catalogue_says_and_not_what_a_user_says() -> None:
    def rate(reference: Any) -> float:
        return float(machine.software(load_stack(reference), training(), accelerator(), experts=False).matmul)

    plain = load_stack("nemo").stack.matmul
    by = adjustment(machine.run_of(load_stack("nemo"), "bf16", accelerator(), experts=False), step_fits().shipped)
    assert by["matmul"] != 0
    assert rate("nemo") == pytest.approx(plain * math.exp(by["matmul"]))
    assert rate({"extends": "nemo", "host_seconds": "1 ms"}) == rate("nemo")
    assert rate({"extends": "nemo", "matmul": 0.5}) == 0.5


@pytest.mark.parametrize(
    ("precision", "products", "stored"),
    [("fp32", 4, 4), ("tf32", 4, 4), ("bf16", 2, 2), ("fp16", 2, 2), ("fp8", 1, 2), ("fp4", 0.5, 2)],
)
def test_bytes_of_an_element(precision: str, products: float, stored: float) -> None:
    work = machine.workload(training(precision=precision), 2048.0, 16.0)
    assert (work.matmul_bytes, work.activation_bytes) == (products, stored)
    assert (work.sequence_length, work.global_batch_sequences) == (2048.0, 16.0)
