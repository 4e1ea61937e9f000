"""What a bench measures, in order: a product, anchors, steps, energy, updates, memory, and the table of products."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

import torch

from costsim.bench import energy, kernels, training
from costsim.bench.devices import Backend
from costsim.bench.dtypes import multiplies_bf16
from costsim.bench.journal import Item
from costsim.bench.ranks import Ranks
from costsim.bench.record import Device, Dtype, Layout, Mode, Step
from costsim.bench.reference import Reference
from costsim.bench.room import SHARE, Work, fitting, predicted_bytes
from costsim.bench.search import Sides, climb
from costsim.bench.statistics import Rule
from costsim.bench.timing import rule_of
from costsim.errors import InputError, Problem
from costsim.inputs.bench import BenchFile, ModeFields, bench_file

ABOUT = 1.6  # times the seconds of a step's rule: with the model made, and two steps before the first that is looked at
FILLED = 3.0  # the same of a copy: both arrays are filled first
SLOWEST = 0.4  # of its time, below which a measurement would tell too little
UPDATED = 2**23
"""Parameters of the optimizer alone: 100 MiB and more with their states, beyond what most caches hold."""


Keep = Callable[[Item], None]
"""What takes a measurement and keeps it, whatever comes after."""


@dataclass(frozen=True)
class Task:
    """One measurement to make.

    Attributes:
        key: what it is of, unique in a bench.
        name: the same for people.
        seconds: it will take about so long.
        run: measures, and gives each thing away as soon as it is measured.
        bytes: predicted peak of memory, of a training step.
    """

    key: str
    name: str
    seconds: float
    run: Callable[[Keep], None]
    bytes: float | None = None


@dataclass
class Setting:
    """What every task needs.

    Attributes:
        backend: the device.
        device: what it is.
        dtype: number format.
        mode: how much is measured.
        known: the device's entry in the catalogue.
        compiled: with torch.compile.
        notes: what a reader should know; tasks add to it.
        ranks: all of them under torchrun; None where this process is alone.
        pace: share of its usual time that a measurement gets now.
    """

    backend: Backend
    device: Device
    dtype: Dtype
    mode: Mode
    known: Reference | None = None
    compiled: bool = False
    notes: list[str] = field(default_factory=list)
    ranks: Ranks | None = None
    pace: float = 1.0

    def free_bytes(self) -> int:
        """Free memory of the device; of several ranks the least, and each one's part of a memory that they share."""
        free = self.backend.free_bytes()
        if self.ranks is None:
            return free
        return int(self.ranks.least(free / (1 if self.backend.kind == "cuda" else self.ranks.on_host)))

    @property
    def file(self) -> BenchFile:
        """How to measure."""
        return bench_file()

    @property
    def fields(self) -> ModeFields:
        """How long to measure."""
        modes = self.file.modes
        return {"quick": modes.quick, "default": modes.default, "full": modes.full}[self.mode]

    @property
    def budget_seconds(self) -> float:
        """Time for everything; without limit where ranks measure together, or torch compiles first."""
        return math.inf if self.ranks is not None or self.compiled else float(self.fields.budget_seconds)

    @property
    def place(self) -> Literal["cpu", "gpu"]:
        """Which shapes are meant."""
        return "cpu" if self.device.kind == "cpu" else "gpu"

    def rule(self, seconds: float) -> Rule:
        """When to stop a measurement that usually takes so many seconds."""
        return rule_of(self.fields.precision, self.pace * seconds, self.file.noise.half_width.noisy)


def pace(left: float, needed: float) -> float:
    """Share of its usual time that each measurement may take so that all of them come to an end in the time left.

    Args:
        left: seconds.
        needed: that the measurements to come usually take.
    """
    return min(1.0, max(SLOWEST, left / needed)) if needed else 1.0


def tasks(setting: Setting, target: Work | None, target_name: str = "") -> list[Task]:
    """Everything to measure.

    Args:
        setting: what every task needs.
        target: the step of a named model, with two layers.
        target_name: of the model.

    Raises:
        InputError: no step fits in memory.
    """
    steps = designed(setting)
    named = [_room(setting, target, target_name)] if target is not None else []
    first, *others = list(_products(setting))
    made = [first, *_anchors(setting, [*steps, *named])]
    for turn in range(setting.fields.passes):
        made += [_step(setting, work, "designed", turn) for work in steps]
        made += [_step(setting, work, "target", turn) for work in named]
    made.append(_energy(setting, named[0] if named else steps[0]))
    made += [*_updates(setting), _bandwidth(setting), *others]
    if setting.ranks is not None:
        from costsim.bench.rank_tasks import rank_tasks

        made += rank_tasks(setting, setting.ranks, steps)
    return made + ([_search(setting)] if setting.mode == "full" else [])


# --- steps ------------------------------------------------------------------------------------------------------------


def designed(setting: Setting) -> list[Work]:
    """The steps for the fit: of the largest size that fits.

    Raises:
        InputError: not even the smallest do.
    """
    tiers = setting.file.shapes.cpu if setting.place == "cpu" else setting.file.shapes.gpu
    free, size = setting.free_bytes(), kernels.bytes_of(setting.dtype)
    needs = 0.0
    for place, tier in enumerate(tiers):
        steps = [Work(s.architecture(), s.sequence, s.micro_batch) for s in tier.steps]
        needs = max(predicted_bytes(work, size, setting.device.kind) for work in steps)
        if needs <= SHARE * free:
            if place:
                setting.notes.append(f"training steps are of size {place + 1} of {len(tiers)}, for {_gb(free)} free")
            return steps
    raise InputError(
        Problem(
            f"the smallest training steps take {_gb(needs)}, and {_gb(free)} are free on {setting.device.name}",
            "--device",
            allowed=f"a step may take {SHARE:.0%} of the free memory",
        )
    )


def _room(setting: Setting, target: Work, name: str) -> Work:
    """The step of a model, made smaller until it fits.

    Raises:
        InputError: it does not.
    """
    free, size = setting.free_bytes(), kernels.bytes_of(setting.dtype)
    found = fitting(target, size, setting.device.kind, free)
    if found is None:
        needs = predicted_bytes(replace(target, micro_batch=1), size, setting.device.kind)
        message = f"two layers of {name} take {_gb(needs)} in training, and {_gb(free)} are free"
        raise InputError(Problem(message, "--model", allowed="a device with more memory, or a smaller model"))
    if found != target:
        setting.notes.append(
            f"{name} is measured at {found.micro_batch} x {found.sequence:,} tokens instead of "
            f"{target.micro_batch} x {target.sequence:,}: those do not fit into {_gb(free)}"
        )
    return found


def _step(setting: Setting, work: Work, role: Literal["designed", "target"], turn: int) -> Task:
    def run(keep: Keep) -> None:
        keep(_measured(setting, work, role))

    size = predicted_bytes(work, kernels.bytes_of(setting.dtype), setting.device.kind)
    key = f"step {_shape(work)} {role}" + (f" {turn + 1}" if turn else "")
    return Task(key, f"training step, {_shape(work)}", ABOUT * setting.fields.step_seconds, run, size)


def _measured(setting: Setting, work: Work, role: Literal["designed", "target"]) -> Step:
    """The step, a size down whenever the device has no room after all."""
    while True:
        try:
            return training.measure(
                setting.backend,
                work.architecture,
                work.sequence,
                work.micro_batch,
                setting.dtype,
                setting.rule(setting.fields.step_seconds),
                setting.file.noise,
                compiled=setting.compiled,
                role=role,
            )
        except RuntimeError as error:
            below = work.smaller()
            if not _out_of_memory(error) or below is None:
                raise
            setting.notes.append(f"{_shape(work)} did not fit and was measured at {_shape(below)}")
            work = below
        setting.backend.release()


def _out_of_memory(error: RuntimeError) -> bool:
    """Whether a device or the allocator of the CPU had no more."""
    return isinstance(error, torch.OutOfMemoryError) or "memory" in str(error).lower()


def _energy(setting: Setting, work: Work) -> Task:
    def run(keep: Keep) -> None:
        found = energy.meter(setting.backend)
        if found is None and setting.known is None:  # then no step needs to run
            keep(energy.NOTHING)
            return
        trainer = training.Trainer(
            setting.backend, work.architecture, work.sequence, work.micro_batch, setting.dtype, setting.compiled
        )
        for _ in range(3):
            trainer.steps()
        keep(
            energy.measure(
                lambda: len(trainer.steps()),
                setting.backend.synchronize,
                found,
                setting.known,
                setting.fields.energy_seconds,
            )
        )

    nothing = setting.known is None and energy.meter(setting.backend) is None
    return Task("energy", f"energy of {_shape(work)}", 0.0 if nothing else setting.fields.energy_seconds, run)


# --- kernels ----------------------------------------------------------------------------------------------------------


def _products(setting: Setting) -> Iterator[Task]:
    """The table of matrix products."""
    sides = setting.file.products.cpu if setting.place == "cpu" else setting.file.products.gpu
    formats: list[Dtype] = [setting.dtype]
    if setting.mode != "quick":
        others: list[Dtype] = ["fp32", "tf32"] if setting.device.kind == "cuda" else ["fp32"]
        if multiplies_bf16(setting.backend):
            others.append("bf16")
        formats += [dtype for dtype in others if dtype != setting.dtype]
    for dtype in formats:
        for side in sides[: setting.fields.sizes]:
            for layout in setting.fields.layouts:
                yield _product(setting, (side, side, side), layout, dtype)


def _product(setting: Setting, sides: Sides, layout: Layout, dtype: Dtype) -> Task:
    seconds = setting.fields.kernel_seconds

    def run(keep: Keep) -> None:
        rule = setting.rule(seconds)
        keep(kernels.gemm(setting.backend, *sides, layout, dtype, rule, setting.file.noise))

    words = " x ".join(f"{side:,}" for side in sides)
    return Task(f"product {sides} {layout} {dtype}", f"product {words}, {layout}, {dtype}", seconds, run)


def _search(setting: Setting) -> Task:
    """The largest rate that can be found, from the best square on."""
    sides = setting.file.products.cpu if setting.place == "cpu" else setting.file.products.gpu
    rule = setting.rule(setting.fields.kernel_seconds / 2)
    budget = 30 * setting.fields.kernel_seconds

    def run(keep: Keep) -> None:
        def rate(shape: Sides) -> float:
            found = kernels.gemm(setting.backend, *shape, "forward", setting.dtype, rule, setting.file.noise)
            keep(found)
            return found.flops_per_second

        end = time.perf_counter() + budget
        multiple = 64 if setting.place == "cpu" else 256
        climb(rate, (sides[0],) * 3, multiple, 4 * max(sides), lambda: time.perf_counter() < end)

    return Task("search", "largest rate of products", budget, run)


def _anchors(setting: Setting, steps: list[Work]) -> Iterator[Task]:
    """Linear layers of the widths that the steps have."""
    seconds = setting.fields.kernel_seconds
    for tokens, inputs, outputs in dict.fromkeys(shape for work in steps for shape in _layers(work)):

        def run(keep: Keep, tokens: int = tokens, inputs: int = inputs, outputs: int = outputs) -> None:
            rule = setting.rule(seconds)
            keep(kernels.linear(setting.backend, tokens, inputs, outputs, setting.dtype, rule, setting.file.noise))

        name = f"linear layer {inputs:,} to {outputs:,}, {tokens:,} tokens"
        yield Task(f"linear {tokens} {inputs} {outputs}", name, seconds, run)


def _layers(work: Work) -> list[tuple[int, int, int]]:
    """(tokens, inputs, outputs) of the feed-forward block's first layer and of the head."""
    a, tokens = work.architecture, work.sequence * work.micro_batch
    return [
        (tokens, a.hidden_size, a.ffn_size * (2 if a.gated_ffn else 1)),
        (tokens, a.hidden_size, a.vocab_size),
    ]


def _updates(setting: Setting) -> Iterator[Task]:
    """The optimizer in the steps' format and, as mixed precision has it for its master copy, in FP32."""
    seconds = setting.fields.kernel_seconds
    for dtype in dict.fromkeys((setting.dtype, "fp32")):

        def run(keep: Keep, dtype: Dtype = dtype) -> None:
            rule = setting.rule(seconds)
            keep(kernels.optimizer(setting.backend, UPDATED, dtype, rule, setting.file.noise))

        yield Task(f"optimizer {dtype}", f"AdamW in {dtype}", seconds, run)


def _bandwidth(setting: Setting) -> Task:
    seconds = setting.fields.bandwidth_seconds

    def run(keep: Keep) -> None:
        backend, rule = setting.backend, setting.rule(seconds)
        cache = setting.device.cache_bytes
        wanted = setting.fields.caches * cache
        keep(kernels.bandwidth(backend, cache, wanted, backend.free_bytes(), rule, setting.file.noise))
        backend.release()

    return Task("bandwidth", "copy in memory", FILLED * seconds, run)


# --- words ------------------------------------------------------------------------------------------------------------


def _shape(work: Work) -> str:
    a = work.architecture
    return f"{a.hidden_size:,} wide, {work.micro_batch} x {work.sequence:,} tokens, {a.vocab_size:,} words"


def _gb(value: float) -> str:
    return f"{value / 1e9:.1f} GB"
