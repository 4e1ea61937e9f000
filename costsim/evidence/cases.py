"""From a row of published throughput to everything that its prediction needs, without the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

from costsim.errors import InputError
from costsim.evidence import understood, words
from costsim.evidence.limits import contradictions, impossible, shortened, too_many
from costsim.evidence.shapes import architecture, missing, of_the_shape
from costsim.evidence.understood import Unread
from costsim.evidence.words import Row, number
from costsim.inputs import machine
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.cluster import MATMUL_BYTES
from costsim.inputs.kinds import shown
from costsim.inputs.stack import StackFile, load_stack
from costsim.training.adjust import Run
from costsim.training.architecture import Architecture
from costsim.training.device import Chip, Network, Stack, Workload
from costsim.training.enumeration import Space
from costsim.training.layout import RECOMPUTE, SHARDING

GIB = 2.0**30
PRECISION_CLASS = {"fp8": "8-bit", "int8": "8-bit", "fp4": "4-bit"}
PRODUCT_BYTES: dict[str, float] = {**MATMUL_BYTES, "int8": 1.0}
SEQUENCE = 4096.0
"""Tokens of a sequence where a row does not print them: what most runs of 2023 to 2026 use."""
EVALUATION = 0.07
"""An evaluation pass of MLPerf GPT-3 over the training between two: forward of 11.6M tokens every 50.3M."""


class UnpredictableError(Exception):
    """A row that cannot be predicted; the message is the reason shown to the user."""


@dataclass(frozen=True)
class Case:
    """One measured run as the step-time model sees it.

    Attributes:
        row: its id and text, blanked.
        architecture: the shape.
        accelerator: the chip's file.
        devices: accelerators of the run.
        stack: name of the software stack in the catalogue.
        year: of the software, decimal.
        precisions: of the matrix products; several where the text leaves it open, the likeliest first.
        chips: rates of the chip, one for each of ``precisions``.
        works: sequence, batch and bytes, one for each of ``precisions``.
        network: its links.
        space: what the search may vary and what the row fixes.
        batch_known: whether the row prints its batch.
        has_layout: whether the row prints how the model is split.
        changes: constants of the stack that the row says are otherwise, such as an overlap that is off.
        evaluation: share of an evaluation pass in a measured step.
        assumed: what was taken for granted, in words.
        unread: cells whose words are not understood, and what was taken in their place.
    """

    row: Row
    architecture: Architecture
    accelerator: Accelerator
    devices: float
    stack: str
    year: float
    precisions: tuple[str, ...]
    chips: tuple[Chip, ...]
    works: tuple[Workload, ...]
    network: Network
    space: Space
    batch_known: bool
    has_layout: bool
    changes: Mapping[str, float]
    evaluation: float
    assumed: tuple[str, ...]
    unread: tuple[Unread, ...]

    @property
    def run(self) -> Run:
        """What a fit tells this run apart by."""
        return Run(
            stack=self.stack,
            family=stack_file(self.stack).family,
            accelerator=self.accelerator.name,
            generation=self.accelerator.generation,
            precision=self.precisions[0],
            scaling=words.quantization(self.row),
            year=self.year,
            experts=self.experts,
        )

    @property
    def layout_settled(self) -> bool:
        """Whether the row prints all of the layout that matters."""
        return {"tensor", "micro_batch", "recompute"} <= set(self.space.fixed)

    @property
    def taken(self) -> tuple[str, ...]:
        """What was taken for granted, and what was not understood, as notes on the row."""
        return (*(f"assumed: {text}" for text in self.assumed), *(f"not understood: {cell}" for cell in self.unread))

    def constants(self) -> Stack:
        """The stack's priors, with what the row says is otherwise."""
        plain = stack_file(self.stack).constants(self.accelerator.generation)
        return replace(plain, **self.changes)

    @property
    def experts(self) -> bool:
        """Whether the model is a mixture of experts."""
        return self.architecture.experts is not None

    @property
    def constant_key(self) -> tuple[str, str]:
        """Hardware and class of precision that share a constant MFU."""
        return self.accelerator.name, PRECISION_CLASS.get(self.precisions[0], "16-bit")


@dataclass(frozen=True)
class Links:
    """What `costsim.inputs.machine.network` reads of a cluster."""

    @dataclass(frozen=True)
    class Cards:
        """The network between nodes."""

        bandwidth: float | None
        latency: float | None = None

    scale_out: Cards
    accelerators: float
    per_node: float | None = None


@cache
def accelerator(name: str) -> Accelerator:
    """A chip by the name that a row uses.

    Raises:
        UnpredictableError: the catalogue has no such chip; the message has its nearest name.
    """
    if not words.says({"hardware": name}, "hardware"):
        raise UnpredictableError("no accelerator: hardware is blank")
    try:
        return load_accelerator(words.hardware(name))[0]
    except InputError as error:
        near = error.problems[0].suggestion
        hint = f"; did you mean {near!r}?" if near else ""
        raise UnpredictableError(f"unknown accelerator {shown(name)}{hint}") from None


@cache
def stack_file(name: str) -> StackFile:
    """A stack of the catalogue."""
    return load_stack(name).stack


def ineligible(row: Row) -> str | None:
    """Why a row is no case at all: it has no shape or no device count."""
    blank = missing(row)
    if blank:
        return f"no model shape: {', '.join(blank)} blank"
    if number(row, "n_devices") is None:
        return "no device count"
    return None


def case(row: Row) -> Case:
    """Everything that the prediction of a row needs.

    Args:
        row: blanked, with a shape and a device count.

    Raises:
        UnpredictableError: with the reason.
    """
    row = shortened(row)
    if reason := impossible(row) or understood.misspelt(row):
        raise UnpredictableError(reason)
    chip_file = accelerator(row.get("hardware", ""))
    devices = float(number(row, "n_devices") or 1)
    name = words.stack(row, chip_file.kind, chip_file.vendor, devices)
    stack = stack_file(name)
    assumed: list[str] = []
    if not words.says(row, "gated_ffn"):
        assumed.append("a feed-forward without a gate, as gated_ffn is blank")
    if not words.is_dated(row):
        assumed.append(f"software of {words.UNDATED:.0f}, as no date is printed")
    a = architecture(row)
    precisions = tuple(p for p in words.precisions(row) if p in chip_file.peak_flops.rates())
    if not precisions:
        wanted = words.precisions(row)[0]
        fallback = {"bf16": "fp16", "fp16": "bf16", "int8": "fp8", "fp8": "int8"}.get(wanted, "")
        if fallback not in chip_file.peak_flops.rates():
            raise UnpredictableError(f"{chip_file.label} has no peak for {wanted}")
        precisions = (fallback,)
        assumed.append(f"precision {fallback} for {wanted}")
    sequence = number(row, "seq_len")
    if sequence is None:
        sequence = SEQUENCE
        assumed.append(f"sequence of {SEQUENCE:.0f} tokens")
    batch = batch_of(row, sequence)
    links = machine.network(chip_file, Links(Links.Cards(network(row, chip_file)), devices), stack)
    domain = words.scale_up_domain(row)
    if (parts := words.slices(row)) is not None:
        domain = max(1.0, devices / parts)
    if domain and domain <= chip_file.scale_up.domain:
        links = replace(links, scale_up_domain=domain)
    chips = tuple(chip(chip_file, p, row) for p in precisions)
    works = tuple(
        Workload(sequence, batch or devices, PRODUCT_BYTES[p], 4.0 if p == "fp32" else 2.0) for p in precisions
    )
    fixed = layout(row, a, stack, chip_file, devices)
    _on_the_devices(fixed, devices)
    parts = devices * (2 if _halves(row, chip_file) else 1)
    if reason := too_many(row, parts):
        raise UnpredictableError(reason)
    assumed += [*contradictions(row, sequence, {devices, parts}), *of_the_shape(row, a)]
    if batch is None and "context" in fixed and "tensor" not in fixed:
        batch = devices / fixed["context"] * fixed.get("micro_batch", 1.0)
    if batch is None:
        assumed.append("a batch of one micro-batch a replica, eight a stage with a pipeline")
    return Case(
        row=row,
        architecture=a,
        accelerator=chip_file,
        devices=devices,
        stack=name,
        year=words.year(row),
        precisions=precisions,
        chips=chips,
        works=works,
        network=links,
        space=stack.space(fixed),
        batch_known=batch is not None,
        has_layout=number(row, "tp") is not None,
        changes=changes(row, stack),
        evaluation=EVALUATION if words.includes_evaluation(row) else 0.0,
        assumed=tuple(assumed),
        unread=tuple(understood.unread(row, name)),
    )


TWO_PARTS = {"mi250x", "tpu-v2", "tpu-v3"}
"""Chips of the catalogue of two dies or cores that other software counts as devices of their own."""


def _halves(row: Row, file: Accelerator) -> bool:
    """Whether a layout may count two devices for each of the catalogue's."""
    return _counts_cores(row, file) or file.name in TWO_PARTS


def _counts_cores(row: Row, file: Accelerator) -> bool:
    """Whether the printed tensor degree counts the two cores of a Trainium."""
    return "neuroncore" in words.text(row, "note") or file.vendor.lower() in ("aws", "amazon")


def _on_the_devices(fixed: Mapping[str, float], devices: float) -> None:
    """Refuse a layout of more devices than the run has."""
    split = fixed.get("tensor", 1.0) * fixed.get("pipeline", 1.0) * fixed.get("context", 1.0)
    needed = max(split, fixed.get("expert", 1.0))
    if needed > devices:
        raise UnpredictableError(f"the layout that the row prints takes {needed:g} devices, the run has {devices:g}")


def changes(row: Row, stack: StackFile) -> dict[str, float]:
    """Constants of the stack that the row's words override."""
    if words.keeps_projections(row):
        return {"recompute_full": stack.recompute_full - PROJECTIONS}
    if words.overlap_off(row):
        return {"tensor_overlap": 0.0, "data_overlap": 0.0, "expert_overlap": 0.0}
    if words.tensor_overlap_on(row):
        return {"tensor_overlap": TENSOR_HIDDEN}
    return {"tensor_overlap": 0.0} if "vanilla tp" in words.text(row, "note") else {}


PROJECTIONS = 0.25
"""Share of a layer's products that project to queries, keys and values: 3 of 12 squares of the hidden size."""
TENSOR_HIDDEN = 0.6
"""Share of tensor-parallel communication that pipelined products hide where it is switched on (Megatron user buffers,
asynchronous tensor parallelism); the prior of the stacks that have it on."""


def chip(file: Accelerator, precision: str, row: Row) -> Chip:
    """The chip's rates at a precision, with the memory that the row says it has."""
    rates = machine.chip(file, precision)  # type: ignore[arg-type]
    printed = number(row, "device_mem_gb")
    usable = rates.memory_bytes
    if printed and printed * GIB < 0.9 * float(usable):
        return replace(rates, memory_bytes=0.985 * printed * GIB)
    return rates


MANAGEMENT = 0.1
"""A network of less than this share of what the chip's nodes usually have is that of management, not of training."""


def network(row: Row, file: Accelerator) -> float | None:
    """Bytes/s between nodes for each accelerator, where the row says it of the network that trains."""
    said = words.network_bandwidth(row, float(file.accelerators_per_node))
    usual = file.scale_out.bandwidth if file.scale_out and file.scale_out.bandwidth else None
    return None if said is not None and usual is not None and said < MANAGEMENT * machine.centre(usual) else said


def batch_of(row: Row, sequence: float) -> float | None:
    """Sequences of a step, where the row says."""
    sequences = number(row, "global_batch_seqs")
    if sequences:
        return sequences
    tokens = number(row, "global_batch_tokens")
    if tokens:
        return max(1.0, tokens / sequence)
    dp, micro, turns = number(row, "dp"), number(row, "micro_batch"), number(row, "grad_accum")
    if dp and micro and (turns or (number(row, "pp") or 1.0) == 1.0):
        return dp * micro * (turns or 1.0)
    return None


def layout(row: Row, a: Architecture, stack: StackFile, file: Accelerator, devices: float) -> dict[str, float]:
    """Keys of the layout that a row fixes; with the degrees printed, unprinted ones are 1 and not searched."""
    fixed: dict[str, float] = {}
    cores = 2.0 if _counts_cores(row, file) else 1.0
    for key, column in (("tensor", "tp"), ("pipeline", "pp"), ("context", "cp"), ("expert", "ep")):
        value = number(row, column)
        if value:
            fixed[key] = max(1.0, value / cores) if key == "tensor" else value
    if "tensor" in fixed:
        for key in ("pipeline", "context", "expert"):
            fixed.setdefault(key, 1.0)
        if a.experts is None:
            fixed["expert"] = 1.0
        complete = number(row, "micro_batch") is not None or fixed["pipeline"] == 1
        chunks = number(row, "vpp")
        if chunks or complete or stack.name == "megatron-2021":
            fixed["virtual_pipeline"] = max(1.0, chunks or 1.0)
    micro, batch = number(row, "micro_batch"), number(row, "global_batch_seqs")
    if micro:
        # XLA trainers print the batch of a chip: a replica's is that of all its chips.
        per_chip = stack.family == "xla" and batch is not None and micro * devices == batch
        fixed["micro_batch"] = micro * (fixed.get("tensor", 1.0) if per_chip else 1.0)
    if words.sequence_ranks(row) and "tensor" not in fixed:
        fixed |= {"context": devices, "tensor": 1.0, "pipeline": 1.0, "expert": 1.0}
    if words.context_off(row):
        fixed["context"] = 1.0
    group = words.shard_group(row)
    if group and group < devices:
        fixed["shard_ranks"] = group
    sharding = words.sharding(row)
    if sharding:
        fixed["sharding"] = float(SHARDING.index(sharding))
    elif "tensor" in fixed:
        fixed["sharding"] = float(SHARDING.index(stack.search.sharding[0]))
    recompute = words.recompute(row)
    if recompute:
        fixed["recompute"] = float(RECOMPUTE.index(recompute))
    fixed["sequence_parallel"] = float(words.sequence_parallel(row, stack.search.sequence_parallel))
    return fixed
