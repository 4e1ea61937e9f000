"""One bench from start to end: what is asked for, the measurements one after another, and what came of them."""

from __future__ import annotations

import datetime
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, TypeGuard

import torch

from costsim.bench import dtypes, journal, noise, rank_tasks, ranks, system
from costsim.bench.decoder import unsupported
from costsim.bench.devices import Backend, Cuda, open_device
from costsim.bench.journal import Entry, Item, Start
from costsim.bench.kernels import adamw
from costsim.bench.record import (
    Bandwidth,
    Collective,
    Cut,
    Energy,
    Gemm,
    Linear,
    Optimizer,
    Record,
    Software,
    Step,
    Verdict,
)
from costsim.bench.reference import Reference, reference
from costsim.bench.request import Request
from costsim.bench.room import Work
from costsim.bench.tasks import Keep, Setting, Task, pace, tasks
from costsim.errors import InputError, OutputError, Problem
from costsim.inputs.bench import bench_file
from costsim.inputs.model import load_model
from costsim.version import version

_CUTS: dict[Cut, str] = {
    "interrupt": "interrupted",
    "busy machine": "other programs took the machine",
    "lost rank": "a rank was lost",
}
LAYERS = 2  # of a target's step: its blocks are timed inside one step, so that no two runs are subtracted


class Watcher(Protocol):
    """Who wants to know how far it is."""

    def planned(self, made: list[Task]) -> None:
        """Everything that will be measured."""

    def began(self, task: Task) -> None:
        """A measurement begins."""

    def ended(self, task: Task) -> None:
        """It is over."""


@dataclass(frozen=True)
class Prepared:
    """A bench that is ready to run: what is under test, and what will be measured."""

    request: Request
    backend: Backend
    start: Start
    known: Reference | None
    setting: Setting
    tasks: list[Task]


@dataclass(frozen=True)
class Outcome:
    """What came of a bench.

    Attributes:
        record: all measurements.
        known: the device's entry in the catalogue.
    """

    record: Record
    known: Reference | None


def prepare(request: Request) -> Prepared:
    """Open the device and decide what to measure; nothing is measured yet.

    Raises:
        InputError: there is no such device, format or model here, or no room.
    """
    backend = open_device(request.device)
    together = ranks.join(backend.kind, float(bench_file().ranks.patience_seconds))
    allocator = backend.kind == "cpu" and system.keep_heap()
    dtype = dtypes.choose(request.dtype, backend)
    device = backend.describe()
    known = reference(device, dtype)
    device = replace(device, catalogue=known.name if known else None, count=together.size if together else 1)
    target = None if request.model is None else _target(request, "cpu" if device.kind == "cpu" else "gpu")
    setting = Setting(backend, device, dtype, request.mode, known, request.compiled, ranks=together)
    start = Start(
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        mode=request.mode,
        dtype=dtype,
        model=request.model or "",
        compiled=request.compiled,
        device=device,
        software=_software(backend, dtype == "tf32", allocator),
    )
    return Prepared(request, backend, start, known, setting, tasks(setting, target, request.model or ""))


def run(prepared: Prepared, watcher: Watcher) -> Outcome:
    """Measure everything, and once more what was disturbed if that was the exception.

    An interrupt from the keyboard ends it with what has been measured; so does a machine that is busy from one
    measurement to the next, unless noisy measurements are accepted.

    Raises:
        InputError: there is an unfinished journal, and neither ``resume`` nor ``force``; or it is of another bench.
        OutputError: the journal cannot be written.
    """
    path = journal.path_beside(prepared.request.output) if prepared.request.output else None
    writer = journal.Writer(path)
    entries = _kept(prepared, writer)
    done = {entry.key.split("/")[0] for entry in entries}
    left = [task for task in prepared.tasks if task.key not in done]
    watcher.planned(left)
    cut: Cut | None = None
    try:
        with rank_tasks.led(prepared.setting.ranks) as measured:
            cut = _all(prepared, left, partial(_measure, measured, entries, writer, watcher), entries)
        if cut is None:
            writer.end()
    except KeyboardInterrupt:
        cut = "interrupt"
    except ranks.RankLostError as error:
        cut = "lost rank"
        prepared.setting.notes.append(str(error))
    return outcome(prepared, entries, cut)


def _all(prepared: Prepared, left: list[Task], measure: Callable[[Task], None], entries: list[Entry]) -> Cut | None:
    """Measure what is left, then again what was disturbed, the worst first, while there is time for it."""
    setting = prepared.setting
    end = time.perf_counter() + setting.budget_seconds
    for place, task in enumerate(left):
        setting.pace = pace(end - time.perf_counter(), sum(later.seconds for later in left[place:]))
        measure(task)
        if not prepared.request.accept_noisy and _crowded(setting, entries):
            return "busy machine"
    for task in _spoiled(prepared.tasks, entries):
        if time.perf_counter() + task.seconds < end:
            measure(task)
    return None


def _crowded(setting: Setting, entries: list[Entry]) -> bool:
    """Whether the last few measurements were all refused for other programs: more of them would be no use."""
    limits, threads = setting.file.noise, setting.backend.threads
    last = [item.conditions for item in (entry.item for entry in entries) if _alone(item)][-limits.in_a_row :]
    return len(last) == limits.in_a_row and all(noise.crowded(one, limits, threads) for one in last)


def _alone(item: Item) -> TypeGuard[Gemm | Linear | Bandwidth | Optimizer | Step]:
    """Whether a process measured it by itself: threads that move data between ranks look like other programs."""
    return not isinstance(item, Energy | Collective) and not (isinstance(item, Step) and item.ranks > 1)


def outcome(prepared: Prepared, entries: list[Entry], cut: Cut | None) -> Outcome:
    """What the measurements say together; of one that was made again, the least disturbed counts."""
    kept = _best(entries)
    items = [entry.item for entry in kept]
    conditions = [item.conditions for item in items if not isinstance(item, Energy)]
    blind = noise.unseen(conditions[0]) if conditions else None
    notes = [*prepared.setting.notes, *([blind] if blind else [])]
    made = journal.record(prepared.start, kept, overall(items, cut), notes, cut)
    return Outcome(made, prepared.known)


def _best(entries: list[Entry]) -> list[Entry]:
    """Of every measurement the least disturbed, and the last of those."""
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.key not in found or _grade(entry) <= _grade(found[entry.key]):
            found[entry.key] = entry
    return list(found.values())


def _grade(entry: Entry) -> int:
    """How disturbed a measurement was; energy is not judged."""
    return 0 if isinstance(entry.item, Energy) else noise.grade(entry.item.verdict)


def overall(items: list[Item], cut: Cut | None = None) -> Verdict:
    """The verdict on a bench: that of its steps, refused too where most of the other measurements are.

    Args:
        items: all measurements.
        cut: what ended it early.
    """
    steps = noise.together([item.verdict for item in items if isinstance(item, Step)])
    others = [item.verdict for item in items if not isinstance(item, Step | Energy)]
    refused = [verdict for verdict in others if verdict.status == "refused"]
    if steps.status == "refused" or len(refused) * 2 > len(others):
        return steps if steps.status == "refused" else noise.together(refused)
    if cut is not None:
        return Verdict("partial", (f"{_CUTS[cut]}: not everything was measured", *steps.reasons))
    if refused and steps.status == "good":
        words = f"{len(refused)} of {len(others)} measurements beside the steps were disturbed: "
        return Verdict("noisy", (words + "; ".join(noise.together(refused).reasons),))
    return steps


def _measure(
    measured: Callable[[Task, Keep], None],
    entries: list[Entry],
    writer: journal.Writer,
    watcher: Watcher,
    task: Task,
) -> None:
    """Run a task and keep each thing as soon as it is measured."""
    before = len(entries)

    def keep(item: Item) -> None:
        number = len(entries) - before
        entries.append(Entry(f"{task.key}/{number}" if number else task.key, item))
        writer.add(entries[-1])

    watcher.began(task)
    measured(task, keep)
    watcher.ended(task)


def _spoiled(made: list[Task], entries: list[Entry]) -> list[Task]:
    """Tasks to run again, the most disturbed first; none if most were refused, when it would be no use."""
    grades = {entry.key: _grade(entry) for entry in entries}
    if 2 * sum(grade >= noise.REFUSED for grade in grades.values()) >= len(grades):
        return []
    bad = [task for task in made if grades.get(task.key, 0) > 0]
    return sorted(bad, key=lambda task: -grades[task.key])


def _kept(prepared: Prepared, writer: journal.Writer) -> list[Entry]:
    """What an unfinished journal holds, or nothing and a new journal."""
    request = prepared.request
    before = journal.read(writer.path) if writer.path is not None else None
    keep = before.entries if before is not None else ()
    usable = [entry for entry in keep if request.accept_noisy or _grade(entry) < noise.REFUSED]
    if request.resume:
        if before is None or (before.complete and not request.accept_noisy and len(usable) == len(keep)):
            raise InputError(journal.not_resumable(str(writer.path or ""), before))
        if not before.start.same_as(prepared.start):
            allowed = f"it was of {_words(before.start)}; this is of {_words(prepared.start)}"
            raise InputError(Problem("is of another bench", "--resume", file=str(writer.path), allowed=allowed))
        prepared.setting.notes.append(f"resumed: {len(usable)} measurements are from {before.start.created}")
        return usable
    if before is not None and not before.complete and usable and not request.force:
        message = f"holds {len(usable)} measurements of a bench that was cut short at {before.start.created}"
        allowed = "--resume continues it, --force begins anew"
        raise OutputError(str(Problem(message, file=str(writer.path), allowed=allowed)))
    writer.start(prepared.start)
    return []


def _words(start: Start) -> str:
    parts = [start.mode, start.dtype, start.model, "compiled" if start.compiled else "", start.device.name]
    return ", ".join([*filter(None, parts), f"torch {start.software.torch}"])


def _target(request: Request, place: str) -> Work:
    """The step of the model that is named, with two layers.

    Raises:
        InputError: there is no such model, or the decoder lacks what it has.
    """
    loaded = load_model(request.model or "", path="--model")
    shipped = bench_file().target
    length = request.sequence or (shipped.cpu if place == "cpu" else shipped.gpu)
    lacks = unsupported(loaded.architecture, length)
    if lacks:
        message = f"{loaded.name or request.model} has {' and '.join(lacks)}, which bench's decoder has not"
        raise InputError(Problem(message, "--model", allowed="a dense model; without --model, bench fits any shape"))
    return Work(replace(loaded.architecture, layers=LAYERS), length, 1)


def _software(backend: Backend, tf32: bool, allocator: bool) -> Software:
    """Versions and switches."""
    cuda = isinstance(backend, Cuda)
    return Software(
        costsim=version(),
        torch=torch.__version__,
        python=platform.python_version(),
        system=platform.platform(terse=True),
        driver=backend.nvml.driver() if isinstance(backend, Cuda) and backend.nvml else None,
        cuda=torch.version.cuda if cuda else None,
        hip=torch.version.hip if cuda else None,
        nccl=".".join(map(str, torch.cuda.nccl.version())) if cuda and torch.distributed.is_nccl_available() else None,
        blas="cublas" if cuda else "mkl" if torch.backends.mkl.is_available() else "other",
        attention="scaled_dot_product_attention",
        fp32_precision="high" if tf32 else "highest",
        malloc="kept heap" if allocator else "default",
        optimizer=f"adamw {adamw([torch.nn.Parameter(torch.zeros(1, device=backend.device))])[1]}",
    )
