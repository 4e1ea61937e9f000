"""From a hardware file and a stack to the numbers of the step-time model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from costsim.errors import InputError, Problem
from costsim.inputs import catalogue
from costsim.inputs.accelerator import Accelerator, MatmulKernel, Origin
from costsim.inputs.cluster import ACTIVATION_BYTES, MATMUL_BYTES, Precision, Training
from costsim.inputs.fields import Strict, validate
from costsim.inputs.fits import step_fits
from costsim.inputs.hardware import Collective as CollectivePrior
from costsim.inputs.hardware import Collectives, ScaleUp
from costsim.inputs.measured import LoadedCalibration
from costsim.inputs.stack import LoadedStack, StackFile, default_stack, load_stack
from costsim.inputs.yaml_source import read, split_sourced
from costsim.training import components
from costsim.training.adjust import REFERENCE_YEAR, Run, adjusted, adjustment, constant_of
from costsim.training.architecture import Architecture
from costsim.training.calibrated import calibrated
from costsim.training.device import Chip, Collective, Network, Stack, Workload
from costsim.uncertainty.draws import middle
from costsim.uncertainty.ranges import Num, Range

DEFAULT_RANKS = 8  # of measured collectives whose file does not say over how many
RING_HOPS = 7.0  # a ring of eight ranks passes seven links; measured fixed times of collectives are close to that


def device(
    accelerator: Accelerator, training: Training, cluster: Any, stack: StackFile, experts: int
) -> tuple[Chip, Network]:
    """The accelerator and its links.

    Args:
        accelerator: the chip.
        training: for the precision.
        cluster: the `Cluster` section, its ranges drawn.
        stack: for the share of the links that collectives reach.
        experts: that the model's routers choose from; 0 without.

    Raises:
        InputError: whatever of them does not go together, all of it.
    """
    problems = [*_experts_of_layout(cluster, experts), *_software_of_chip(accelerator, cluster, stack)]
    try:
        rates = chip(accelerator, training.precision)
        problems += _above_the_peak(rates, cluster, stack)
    except InputError as error:
        problems += [replace(problem, path="training.precision") for problem in error.problems]
    try:
        links = network(accelerator, cluster, stack)
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    return rates, links


def _software_of_chip(accelerator: Accelerator, cluster: Any, stack: StackFile) -> list[Problem]:
    """What is wrong with a stack that does not exist for the chip."""
    of = accelerator.kind, accelerator.vendor
    if stack.runs(*of):
        return []
    default = default_stack(*of, cluster.accelerators, accelerator.accelerators_per_node)
    all_stacks = [load_stack(name).stack for name in catalogue.names("stacks")]
    kin = [each.name for each in all_stacks if each.family == stack.family and each.runs_on and each.runs(*of)]
    others = list(dict.fromkeys([default, *kin]))[:MOST_STACKS]
    message = f"{stack.name} does not run on {accelerator.label}, a {accelerator.kind} of {accelerator.vendor}"
    allowed = f"it is for {' and '.join(stack.runs_on)}; there is {', '.join(others)}"
    return [Problem(message, "cluster.stack", allowed=allowed)]


MOST_STACKS = 4


def _above_the_peak(rates: Chip, cluster: Any, stack: StackFile) -> list[Problem]:
    """What is wrong with a share of the peak that no product can reach."""
    most = 1.0 / float(rates.matmul_efficiency)
    if stack.matmul <= most:
        return []
    message = (
        f"{stack.matmul:g} times the {1 / most:.0%} of the peak that the chip's products reach is more than the peak"
    )
    path = "cluster.stack.matmul" if isinstance(cluster.stack, dict) else "cluster.stack"
    return [Problem(message, path, allowed=f"at most {most:.2f}")]


def _experts_of_layout(cluster: Any, experts: int) -> list[Problem]:
    """What is wrong with the degrees of a given layout that split experts."""
    problems = []
    for key in ("expert", "expert_tensor"):
        ranks, path = int(cluster.fixed_layout.get(key, 1)), f"cluster.layout.{key}"
        if ranks > 1 and not experts:
            problems.append(Problem(f"{ranks} ranks have no experts to split: the model is dense", path))
        elif key == "expert" and experts and experts % ranks:
            allowed = f"a divisor of {experts}"
            problems.append(Problem(f"{ranks} ranks do not divide {experts} experts", path, allowed=allowed))
    return problems


def chip(accelerator: Accelerator, precision: Precision) -> Chip:
    """The accelerator at a precision.

    Efficiencies are taken at their centre: the spread of the step-time model's residual was measured with them in it,
    and drawing both would count the same doubt twice.

    Raises:
        InputError: the accelerator has no peak for the precision.
    """
    peak = accelerator.peak(precision)
    prior = accelerator.matmul_kernel(precision) or unknown_chip_kernel()
    return Chip(
        matmul_flops=peak,
        vector_flops=accelerator.attention_peak(),
        memory_bandwidth=accelerator.memory.bandwidth,
        memory_bytes=accelerator.memory.usable_bytes,
        matmul_efficiency=centre(prior.efficiency),
        matmul_memory_efficiency=centre(prior.memory_efficiency),
        launch_seconds=centre(prior.launch),
    )


@cache
def unknown_chip_kernel() -> MatmulKernel:
    """Prior of matrix products for a chip whose file has none."""
    label, text = catalogue.data_text("unknown_chip.yaml")
    return validate(_UnknownChip, split_sourced(read(text, label))[0]).matmul


class _UnknownChip(Strict):
    """``data/unknown_chip.yaml``."""

    costsim: Literal[1]
    matmul: MatmulKernel
    sources: dict[str, Origin]


def network(accelerator: Accelerator, cluster: Any, stack: StackFile) -> Network:
    """The links of one accelerator of the cluster.

    Args:
        accelerator: the chip.
        cluster: the `Cluster` section, its ranges drawn.
        stack: for the share of the links that collectives reach.

    Raises:
        InputError: the cluster has more than one domain and no network between them is known.
    """
    up, out, given = accelerator.scale_up, accelerator.scale_out, cluster.scale_out
    link: Num | None = up.bandwidth
    cards: Num | None = given.bandwidth if given.bandwidth is not None else out.bandwidth if out else None
    if cards is None and cluster.accelerators > up.domain:
        message = f"no network is known between domains of {up.domain} {accelerator.label}"
        raise InputError(Problem(message, "cluster.scale_out.bandwidth", allowed="a bandwidth such as 400 Gbit/s"))
    if link is None:
        link = cards if cards is not None else accelerator.memory.bandwidth
    hop = given.latency if given.latency is not None else out.latency_seconds if out else 0.0
    measured = _collectives(accelerator.kernels.collectives, link) if stack.measured_collectives else {}
    gather = measured.get("all_gather")
    efficiency: float = getattr(stack.scale_up_efficiency, up.topology)
    per_peer, mesh, chips, links = _paths(up, link, cluster.accelerators)
    latency = (1.0 if up.topology == "torus" else RING_HOPS) * up.latency_seconds
    return Network(
        scale_up_bandwidth=link,
        scale_up_domain=float(up.domain),
        scale_up_latency=latency if gather is None else gather.alpha + gather.hop * gather.ranks,
        scale_up_efficiency=efficiency if gather is None else gather.share + gather.share_slope / gather.ranks,
        scale_out_bandwidth=cards if cards is not None else link,
        scale_out_latency=hop,
        node=float(cluster.per_node or accelerator.accelerators_per_node),
        scale_up_per_peer=per_peer,
        mesh=mesh,
        axis_chips=chips,
        axis_links=links,
        all_gather=gather,
        reduce_scatter=measured.get("reduce_scatter"),
        all_reduce=measured.get("all_reduce"),
        all_to_all=measured.get("all_to_all"),
    )


def _paths(up: ScaleUp, link: Num, accelerators: int) -> tuple[Num, float, float, float]:
    """What the topology allows: bytes/s to one neighbour, 1 for a mesh, chips and usable links of a torus's axis.

    A mesh that does not say what a pair gets divides its links evenly. A slice of a torus is as near a cube as its
    chips allow; a torus that does not say its shape is taken as a square.
    """
    if up.topology == "mesh":
        return up.per_peer or link / max(1, up.domain - 1), 1.0, 0.0, 2.0
    if up.topology == "torus":
        dims = up.dims or (round(math.sqrt(up.domain)),) * 2
        side = max(2.0, min(accelerators, up.domain) ** (1 / len(dims)))
        wraps = side >= (up.wraps or min(dims)) - 1e-9
        return link / (2 * len(dims)), 0.0, side, 2.0 if wraps else 1.0
    return math.inf, 0.0, 0.0, 2.0


def _collectives(measured: Collectives | None, link: Num) -> dict[str, Collective]:
    """Measured collectives as shares of the links, by the names of the network's fields."""
    found = {}
    for name in ("all_gather", "reduce_scatter", "all_reduce", "all_to_all"):
        prior: CollectivePrior | None = getattr(measured, name, None)
        if measured is None or prior is None:
            continue
        ranks = float(measured.ranks or DEFAULT_RANKS)
        many = centre(prior.bus_bandwidth) / centre(link), centre(prior.alpha)
        if prior.pair_alpha is None or prior.pair_bandwidth is None or ranks <= 2:
            found[name] = Collective(*many, ranks=ranks)
        else:
            pair = centre(prior.pair_bandwidth) / centre(link), centre(prior.pair_alpha)
            found[name] = Collective.between(pair, many, ranks)
    return found


def software(loaded: LoadedStack, training: Training, accelerator: Accelerator, experts: bool) -> Stack:
    """The stack's constants: its priors, as the fit on published measurements moves them, and the spread that is left.

    Args:
        loaded: the stack.
        training: for the precision, and the optimizer that the scenario names.
        accelerator: the chip.
        experts: whether the model is a mixture of experts.
    """
    fits = step_fits()
    plain = loaded.stack.constants(accelerator.generation)
    by = adjustment(run_of(loaded, training.precision, accelerator, experts), fits.shipped)
    kept = {handle: log for handle, log in by.items() if constant_of(handle) not in loaded.own}
    return replace(
        adjusted(plain, kept),
        optimizer_bytes=training.optimizer_fields.bytes_per_parameter,
        residual=fits.residual(fitted(loaded), experts),
    )


def as_measured(
    loaded: LoadedCalibration, a: Architecture, training: Training, cluster: Any, chip: Chip, stack: Stack
) -> tuple[Chip, Stack]:
    """Chip and stack with what a calibration measured in place of their priors.

    The spread of the step time is that of the coefficients and of a new shape on one device; of several, that of
    published steps stays where it is wider, since less is known of what joins them.

    Args:
        loaded: the calibration; one that may not be used changes nothing.
        a: the model's shape.
        training: for the precision and the sequence.
        cluster: the `Cluster` section.
        chip: the device's priors.
        stack: the software's.

    Raises:
        InputError: it says nothing of this shape's step time.
    """
    fit = loaded.file.fit
    if fit is None or loaded.obstacle(training.precision):
        return chip, stack
    c = loaded.estimates(training.optimizer_fields)
    products = loaded.measured_products(training.precision)
    of_cpu = loaded.file.device.kind == "cpu"
    new_chip, new_stack = calibrated(c, a, chip, stack, products=products, host=of_cpu)
    work = components.Work(a, float(training.sequence_length), 1.0, ACTIVATION_BYTES.get(training.precision, 2.0))
    own = components.step_spread(c, work)
    if own > MOST_SPREAD:
        message = f"leaves the step time of this model open by a factor of {math.exp(min(own, 300.0)):.3g} either way"
        raise InputError(Problem(message, "cluster.calibration", allowed="calibrate anew: costsim bench"))
    alone = measured_alone(loaded, a, training.precision, cluster.accelerators)
    return new_chip, replace(new_stack, residual=own if alone else max(own, centre(stack.residual)))


def measured_alone(loaded: LoadedCalibration, a: Architecture, precision: str, accelerators: int) -> bool:
    """Whether all that a step consists of was measured: a device by itself, its number format, no experts."""
    products = loaded.measured_products(precision) and a.experts is None
    return not loaded.obstacle(precision) and accelerators == 1 and products


MOST_SPREAD = 1.0  # log standard deviation of a step time beyond which a calibration says less than no calibration
MOVED_SHARE: Mapping[str, float] = MappingProxyType({"all_reduce": 2.0, "all_gather": 1.0, "reduce_scatter": 1.0})
"""Of a buffer, what each rank of n sends in a collective, over (n - 1) / n."""


def as_joined(loaded: LoadedCalibration, network: Network) -> Network:
    """The links with what a calibration measured of communication; bandwidths of links stay.

    Each collective inside a node is summarised by a latency and a bandwidth (``costsim.training.ranks``), of the most
    ranks that were measured. Where steps of several ranks were measured, what they show serves layouts like theirs.

    Args:
        loaded: the calibration.
        network: the links.
    """
    found: dict[str, Any] = {"exchange": loaded.exchange(float(network.node))}
    for operation, moved in MOVED_SHARE.items():
        table, ranks = loaded.collectives(operation)
        if table is None or ranks < 2:
            continue
        alpha, bandwidth = table.summary()
        share = moved * (ranks - 1) / ranks * bandwidth / centre(network.scale_up_bandwidth)
        found[operation] = Collective(share, alpha, ranks=float(ranks))
    return replace(network, **found)


def run_of(loaded: LoadedStack, precision: str, accelerator: Accelerator, experts: bool) -> Run:
    """What the fit tells a planned run apart by."""
    return replace(
        _run(loaded, experts),
        accelerator=accelerator.name,
        generation=accelerator.generation,
        precision=precision,
        scaling="block" if precision == "fp4" else "",
    )


def _run(loaded: LoadedStack, experts: bool) -> Run:
    """A run in 16 bits on no chip in particular."""
    name, family = loaded.fitted_as
    released = loaded.stack.released
    year = REFERENCE_YEAR if released is None else released.year + (released.month - 0.5) / 12
    return Run(name, family, accelerator="", generation="", precision="bf16", year=year, experts=experts)


def stack_adjustment(loaded: LoadedStack) -> Mapping[str, Num]:
    """Log multipliers that the fit has for a stack, its experts included, on no chip in particular and in 16 bits."""
    return adjustment(_run(loaded, experts=True), step_fits().shipped)


def fitted(loaded: LoadedStack) -> bool:
    """Whether published measurements of this stack are among those that the constants were fitted on."""
    return loaded.fitted_as[0] in step_fits().stacks


def workload(training: Training, sequence_length: float, batch: float) -> Workload:
    """One optimizer step of a phase."""
    return Workload(
        sequence_length=sequence_length,
        global_batch_sequences=batch,
        matmul_bytes=MATMUL_BYTES[training.precision],
        activation_bytes=ACTIVATION_BYTES.get(training.precision, 2.0),
    )


def centre(value: Any) -> float:
    """The median of a number, of a range, or of draws."""
    if isinstance(value, Range):
        return value.centre()
    return middle(value)
