"""The processes that torchrun started: they measure together, agree when to stop, and keep the slowest.

Each sample is the slowest rank's, and all ranks read the same clock, that of rank 0. So the rule that decides when to
stop (`statistics.collect`) sees the same numbers on each of them and comes to the same end, without a word more.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from costsim.errors import CostsimError

STARTING = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR")


def started_by_torchrun() -> bool:
    """Whether this process is one of several."""
    return all(name in os.environ for name in STARTING) and int(os.environ["WORLD_SIZE"]) > 1


class Ranks:
    """This process among all of them.

    Attributes:
        rank: 0 to ``size - 1``.
        size: of all.
        local: rank within its host.
        on_host: ranks of a host.
        backend: that moves data: ``gloo`` or ``nccl``.

    Args:
        backend: the same.
        patience: seconds after which a rank that says nothing is given up, since the others would wait for ever.
    """

    def __init__(self, backend: str, patience: float) -> None:
        self.rank, self.size, self.local, self.on_host = (int(os.environ[name]) for name in STARTING[:4])
        self.backend = backend
        timeout = datetime.timedelta(seconds=patience)
        dist.init_process_group(backend, timeout=timeout)
        # What ranks agree on is a few numbers on the host, whatever moves the data.
        self.control = dist.new_group(backend="gloo", timeout=timeout)

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which alone prints and writes."""
        return self.rank == 0

    def slowest(self, values: Sequence[float]) -> list[float]:
        """The greatest over ranks of each value."""
        shared = torch.tensor(values, dtype=torch.float64, device="cpu")
        dist.all_reduce(shared, dist.ReduceOp.MAX, group=self.control)
        return [float(value) for value in shared]

    def of_each(self, value: float) -> tuple[float, ...]:
        """The value of every rank."""
        own = torch.tensor([value], dtype=torch.float64, device="cpu")
        found = [torch.empty_like(own) for _ in range(self.size)]
        dist.all_gather(found, own, group=self.control)
        return tuple(float(one) for one in found)

    def clock(self) -> float:
        """Wall time of rank 0, in seconds."""
        shared = torch.tensor([time.perf_counter()], dtype=torch.float64, device="cpu")
        dist.broadcast(shared, 0, group=self.control)
        return float(shared)

    def together(self, run: Callable[[], Sequence[float]]) -> list[float]:
        """Start at once, run, and return the slowest rank's samples."""
        self.wait()
        return self.slowest(run())

    def agree(self, value: Any) -> Any:
        """What rank 0 says, on every rank."""
        said = [value]
        dist.broadcast_object_list(said, 0, group=self.control, device=torch.device("cpu"))
        return said[0]

    def gathered(self, value: Any) -> list[Any]:
        """What every rank says, on rank 0; an empty list on the others."""
        found = [None] * self.size if self.first else None
        dist.gather_object(value, found, 0, group=self.control)
        return found or []

    def least(self, value: float) -> float:
        """The least over ranks."""
        return -self.slowest([-value])[0]

    def wait(self) -> None:
        """Until every rank is here.

        Raises:
            RuntimeError: one is not, and has said nothing for a while.
        """
        dist.barrier(group=self.control)

    def end(self) -> None:
        """Leave; a rank that was lost keeps nobody."""
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


class RankLostError(CostsimError):
    """A rank died, or said nothing for too long."""


_LOST = ("connection", "timed out", "timeout", "socket", "broken pipe", "peer")


@contextlib.contextmanager
def heard() -> Iterator[None]:
    """Tell the loss of a rank from other errors.

    Raises:
        RankLostError: instead of torch's error.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if not any(word in text.lower() for word in _LOST):
            raise
        raise RankLostError(f"a rank was lost: {text.splitlines()[0][:160]}") from error


def join(kind: str, patience: float) -> Ranks | None:
    """This process among the ranks of torchrun; None where it is alone.

    Args:
        kind: of device.
        patience: seconds after which a rank that says nothing is given up.
    """
    return Ranks("nccl" if kind in ("cuda", "rocm") else "gloo", patience) if started_by_torchrun() else None


@contextlib.contextmanager
def ending_as_interrupted() -> Iterator[None]:
    """Take the signal by which torchrun ends the ranks that are left when one died as an interrupt.

    What was measured until then is kept, as after Ctrl-C.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> Any:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
