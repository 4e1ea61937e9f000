"""The tasks of several ranks: all run each of them at once, rank 0 says which comes next, and the slowest is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from costsim.bench import distributed
from costsim.bench.journal import Item
from costsim.bench.parallel import PARALLEL, Parallel
from costsim.bench.ranks import Ranks, ending_as_interrupted, heard
from costsim.bench.record import Collective, Energy, Step
from costsim.bench.room import Work
from costsim.bench.timing import rule_of
from costsim.inputs.bench import RankMode, bench_file

if TYPE_CHECKING:
    from costsim.bench.tasks import Keep, Setting, Task

END = ""  # instead of the key of a task: there is none left


def rank_tasks(setting: Setting, ranks: Ranks, steps: Sequence[Work]) -> list[Task]:
    """The table of collectives, then steps side by side, replicated and fully sharded.

    Args:
        setting: what every task needs.
        ranks: all of them.
        steps: designed ones, two layers each.
    """
    fields = bench_file().ranks
    mode = {"quick": fields.quick, "default": fields.default, "full": fields.full}[setting.mode]
    deeper = [
        replace(work, architecture=replace(work.architecture, layers=layers))
        for work, layers in zip(steps, fields.layers[: mode.steps], strict=False)
    ]
    made = [
        _collectives(setting, ranks, mode, operation, group)
        for group in distributed.groups(ranks)
        for operation in mode.operations
    ]
    return made + [_step(setting, ranks, mode, work, parallel) for work in deeper for parallel in PARALLEL]


def _collectives(setting: Setting, ranks: Ranks, mode: RankMode, operation: str, group: distributed.Group) -> Task:
    from costsim.bench.tasks import Task

    rule = rule_of(setting.fields.precision, mode.collective_seconds, setting.file.noise.half_width.noisy)

    def run(keep: Keep) -> None:
        with distributed.leaving_out(setting.notes, operation):
            for nbytes in mode.sizes:
                if 4 * nbytes > setting.free_bytes():
                    break
                keep(
                    distributed.collective(
                        setting.backend, ranks, group, operation, nbytes, setting.dtype, rule, setting.file.noise
                    )
                )
                setting.backend.release()

    name = f"{operation.replace('_', '-')}, {group.ranks} ranks of a {group.scope}"
    return Task(f"{operation} {group.ranks} {group.scope}", name, len(mode.sizes) * rule.seconds, run)


def _step(setting: Setting, ranks: Ranks, mode: RankMode, work: Work, parallel: Parallel) -> Task:
    from costsim.bench.tasks import Task

    rule = rule_of(setting.fields.precision, mode.step_seconds, setting.file.noise.half_width.noisy)

    def run(keep: Keep) -> None:
        keep(distributed.step(setting.backend, ranks, work, setting.dtype, parallel, rule, setting.file.noise))
        setting.backend.release()

    a = work.architecture
    words = {"none": "side by side", "ddp": "replicated", "fsdp2": "fully sharded"}[parallel]
    name = f"step of {a.layers} layers, {a.hidden_size:,} wide, {ranks.size} ranks {words}"
    key = f"ranks {a.layers} {a.hidden_size} {a.vocab_size} {work.sequence} {work.micro_batch} {parallel}"
    return Task(key, name, 1.3 * rule.seconds, run)


def lead(ranks: Ranks, task: Task, keep: Keep) -> None:
    """Run a task on all ranks, from rank 0, and keep the slowest of each thing that they measure."""
    with heard():
        ranks.agree(task.key)
        own: list[Item] = []
        task.run(own.append)
        told = ranks.gathered(own)
    for items in zip(*told, strict=False):
        keep(slowest(items))


def follow(ranks: Ranks, tasks: Sequence[Task]) -> None:
    """Run what rank 0 says, until it says that there is no more."""
    by_key = {task.key: task for task in tasks}
    with heard():
        while (key := ranks.agree(END)) != END:
            own: list[Item] = []
            by_key[key].run(own.append)
            ranks.gathered(own)


def slowest(items: Sequence[Item]) -> Item:
    """The slowest rank's measurement of the same thing, with each rank's median."""
    first = items[0]
    if isinstance(first, Energy) or (isinstance(first, Collective | Step) and first.rank_seconds):
        return first
    times = [item.timing.seconds for item in items if not isinstance(item, Energy)]
    found = items[times.index(max(times))]
    return replace(found, rank_seconds=tuple(times)) if isinstance(found, Step) else found


@contextlib.contextmanager
def led(ranks: Ranks | None) -> Iterator[Callable[[Task, Keep], None]]:
    """How to run a task: alone, or on all ranks, which are told at the end that there is no more.

    After an interrupt they are told nothing: one of them may be lost, and the others notice that this one has gone.
    """
    if ranks is None:
        yield lambda task, keep: task.run(keep)
        return
    with ending_as_interrupted():
        yield lambda task, keep: lead(ranks, task, keep)
        with heard():
            ranks.agree(END)
