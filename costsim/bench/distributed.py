"""What ranks measure together: a table of collectives, and steps side by side, replicated and fully sharded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.distributed as dist

from costsim.bench import noise, system
from costsim.bench.devices import Backend
from costsim.bench.dtypes import torch_dtype
from costsim.bench.parallel import Parallel, ParallelTrainer, times
from costsim.bench.ranks import Ranks
from costsim.bench.record import Collective, Conditions, Dtype, Step, Timing, Verdict
from costsim.bench.room import Work
from costsim.bench.statistics import Rule, collect, timing
from costsim.inputs.bench import NoiseLimits

SHORTEST = 1e-3  # seconds that a sample should take, so that stamps cost nothing beside it
MOST = 32  # calls in a sample: sums of normal numbers grow with each, and must stay numbers

Call = Callable[[], object]


@dataclass(frozen=True)
class Group:
    """Ranks that take part in a collective.

    Attributes:
        members: of torch; None for all ranks.
        ranks: how many.
        scope: ``node`` if all of them share a host, else ``cluster``.
    """

    members: dist.ProcessGroup | None
    ranks: int
    scope: Literal["node", "cluster"]


def groups(ranks: Ranks) -> list[Group]:
    """All ranks, and those of a host where there are several hosts with more than one rank."""
    if ranks.on_host == ranks.size:
        return [Group(None, ranks.size, "node")]
    found = [Group(None, ranks.size, "cluster")]
    if ranks.on_host > 1:
        own = None
        for host in range(ranks.size // ranks.on_host):
            members = list(range(host * ranks.on_host, (host + 1) * ranks.on_host))
            made = dist.new_group(members)
            own = made if ranks.rank in members else own
        found.append(Group(own, ranks.on_host, "node"))
    return found


def collective(
    backend: Backend,
    ranks: Ranks,
    group: Group,
    operation: str,
    nbytes: int,
    dtype: Dtype,
    rule: Rule,
    limits: NoiseLimits,
) -> Collective:
    """Time one collective of a buffer of about so many bytes.

    Args:
        backend: this rank's device.
        ranks: all of them.
        group: those that take part; of several hosts, all hosts do the same at once.
        operation: a key of `OPERATIONS`.
        nbytes: of the whole buffer: before scattering, or gathered.
        dtype: of its elements.
        rule: when to stop.
        limits: of the noise.
    """
    size = torch_dtype(dtype).itemsize
    count = max(1, round(nbytes / size / group.ranks)) * group.ranks
    whole = torch.randn(count, dtype=torch_dtype(dtype), device=backend.device)
    fresh = whole.clone()
    call = OPERATIONS[operation](whole, count // group.ranks, group)
    ranks.wait()
    call()
    (once,) = ranks.slowest(times(backend, call)[:1])
    repeats = min(MOST, max(1, round(SHORTEST / max(once, 1e-7))))

    def run() -> list[float]:
        whole.copy_(fresh)
        return times(backend, call, repeats)

    found = together(backend, ranks, run, rule, limits)
    return Collective(*found[:3], operation, group.ranks, group.scope, dtype, count * size, ranks.backend, found[3])


def step(
    backend: Backend, ranks: Ranks, work: Work, dtype: Dtype, parallel: Parallel, rule: Rule, limits: NoiseLimits
) -> Step:
    """Time a training step of all ranks.

    Args:
        backend: this rank's device.
        ranks: all of them.
        work: shape and tokens of one rank.
        dtype: number format.
        parallel: ``none``: side by side without a word; ``ddp`` or ``fsdp2``.
        rule: when to stop.
        limits: of the noise.
    """
    trainer = ParallelTrainer(backend, work, dtype, parallel, ranks.rank, ranks.size)
    made, conditions, verdict, each = together(backend, ranks, trainer.seconds, rule, limits)
    return Step(
        timing=made,
        conditions=conditions,
        verdict=verdict,
        architecture=work.architecture,
        sequence=work.sequence,
        micro_batch=work.micro_batch,
        dtype=dtype,
        components={},
        ranks=ranks.size,
        parallel=parallel,
        rank_seconds=each,
    )


def together(
    backend: Backend, ranks: Ranks, run: Callable[[], list[float]], rule: Rule, limits: NoiseLimits
) -> tuple[Timing, Conditions, Verdict, tuple[float, ...]]:
    """Time something that all ranks do: times of the slowest, conditions of this rank, each rank's own median."""
    own: list[float] = []

    def sample() -> list[float]:
        ranks.wait()
        mine = run()
        own.extend(mine)
        return ranks.slowest(mine)

    before = system.snapshot()
    collected = collect(sample, lambda seconds: seconds, rule, ranks.clock)
    backend.synchronize()
    conditions = backend.conditions(before, system.snapshot())
    made = timing(collected.samples, collected.warmup, settled=collected.settled)
    kept = own[len(collected.warmup) :]
    each = ranks.of_each(timing(kept).seconds)
    seen = conditions
    if backend.kind == "cpu":  # threads that move data take processors from those that compute: no other program's
        seen = replace(conditions, pressure=None, cpu_share=None, involuntary_per_second=None)
    return made, conditions, noise.verdict(seen, made, limits, backend.threads), each


# --- collectives ------------------------------------------------------------------------------------------------------


def _named(now: str, before: str) -> Callable[..., object]:
    """A function of torch by its name, or the one that it had before torch 2.13."""
    found: Callable[..., object] = getattr(dist, now, None) or getattr(dist, before)
    return found


def _all_reduce(whole: torch.Tensor, _part: int, group: Group) -> Call:
    return lambda: dist.all_reduce(whole, group=group.members)


def _all_gather(whole: torch.Tensor, part: int, group: Group) -> Call:
    own = whole[:part].clone()
    gather = _named("all_gather_single", "all_gather_into_tensor")
    return lambda: gather(whole, own, group=group.members)


def _reduce_scatter(whole: torch.Tensor, part: int, group: Group) -> Call:
    own = torch.empty_like(whole[:part])
    scatter = _named("reduce_scatter_single", "reduce_scatter_tensor")
    return lambda: scatter(own, whole, group=group.members)


def _broadcast(whole: torch.Tensor, _part: int, group: Group) -> Call:
    return lambda: dist.broadcast(whole, group=group.members, group_src=0)


def _all_to_all(whole: torch.Tensor, _part: int, group: Group) -> Call:
    received = torch.empty_like(whole)
    return lambda: dist.all_to_all_single(received, whole, group=group.members)


def _send(whole: torch.Tensor, _part: int, group: Group) -> Call:
    """From the first rank of the group to its second; the others have nothing to do."""
    place = dist.get_rank(group.members)

    def call() -> None:
        if place == 0:
            dist.send(whole, group=group.members, group_dst=1)
        elif place == 1:
            dist.recv(whole, group=group.members, group_src=0)

    return call


OPERATIONS: dict[str, Callable[[torch.Tensor, int, Group], Call]] = {
    "all_reduce": _all_reduce,
    "all_gather": _all_gather,
    "reduce_scatter": _reduce_scatter,
    "broadcast": _broadcast,
    "all_to_all": _all_to_all,
    "send": _send,
}


@contextlib.contextmanager
def leaving_out(notes: list[str], operation: str) -> Iterator[None]:
    """A collective that the backend does not have is left out, and said so."""
    try:
        yield
    except (NotImplementedError, RuntimeError, ValueError) as error:
        text = str(error)
        if "support" not in text and "implement" not in text:
            raise
        notes.append(f"{operation} is left out: {text.splitlines()[0][:120]}")
