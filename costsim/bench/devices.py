"""The device under test: which one, its time stamps, its memory, and what it calls itself.

A CPU is timed by ``perf_counter``. CUDA and ROCm (torch calls both ``cuda``) are timed by events in the device's queue,
read after a batch of steps so that nothing waits in between. Metal has no reliable events, so each stamp waits for the
queue to empty: exact, and some tens of microseconds dearer.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Sequence
from typing import Any

import torch

from costsim.bench import system
from costsim.bench.nvml import Nvml
from costsim.bench.record import Conditions, Device
from costsim.bench.system import Snapshot
from costsim.errors import InputError, Problem

KINDS = ("cuda", "mps", "cpu")


class Backend:
    """A CPU, and what the others share.

    Attributes:
        device: for torch.
        kind: ``cpu``, ``cuda``, ``rocm`` or ``mps``.
        batch: samples taken between two readings of the stamps.
    """

    kind = "cpu"
    batch = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.threads = torch.get_num_threads()

    def mark(self) -> Any:
        """A time stamp, or an event that will have one."""
        return time.perf_counter()

    def stamps(self, marks: Sequence[Any]) -> list[float]:
        """Seconds of each mark, from the first."""
        return [mark - marks[0] for mark in marks]

    def synchronize(self) -> None:
        """Wait for everything that was issued."""

    def free_bytes(self) -> int:
        """Memory that is free now; 0 where unknown."""
        return system.memory_bytes()[1]

    def release(self) -> None:
        """Give memory that is free back to the device."""

    def start_peak(self) -> int | None:
        """Start to watch the peak of memory; returns what is in use now, None where it cannot be watched."""
        system.return_heap()
        return system.resident_bytes() if system.reset_peak() else None

    def end_peak(self) -> int | None:
        """The peak since `start_peak`."""
        peak = system.resident_bytes(peak=True)
        system.keep_heap()
        return peak

    def conditions(self, before: Snapshot, after: Snapshot) -> Conditions:
        """What else ran between two snapshots."""
        return system.between(before, after, self.threads)

    def describe(self) -> Device:
        """Its identity."""
        name = system.processor_name()
        return Device(
            "cpu",
            name,
            threads=self.threads,
            memory_bytes=system.memory_bytes()[0],
            cache_bytes=system.last_level_cache(),
            units=self.threads,
            identity=_hashed(name),
        )


class Cuda(Backend):
    """An NVIDIA or AMD GPU."""

    batch = 4

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.kind = "rocm" if torch.version.hip else "cuda"
        torch.cuda.set_device(device)
        self.properties = torch.cuda.get_device_properties(device)
        uuid = getattr(self.properties, "uuid", None)
        self.nvml = Nvml.open(f"GPU-{uuid}") if self.kind == "cuda" and uuid is not None else None

    def mark(self) -> Any:
        """An event in the queue."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def stamps(self, marks: Sequence[Any]) -> list[float]:
        """Seconds of each event, from the first; waits for the last."""
        marks[-1].synchronize()
        return [marks[0].elapsed_time(mark) / 1e3 for mark in marks]

    def synchronize(self) -> None:
        """Wait for the queue."""
        torch.cuda.synchronize(self.device)

    def free_bytes(self) -> int:
        """Memory free on the device for this process, what torch has cached included."""
        cached = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(torch.cuda.mem_get_info(self.device)[0] + cached)

    def release(self) -> None:
        """Empty torch's cache."""
        torch.cuda.empty_cache()

    def start_peak(self) -> int | None:
        """Bytes of tensors now."""
        torch.cuda.reset_peak_memory_stats(self.device)
        return int(torch.cuda.memory_allocated(self.device))

    def end_peak(self) -> int | None:
        """The most bytes of tensors since."""
        return int(torch.cuda.max_memory_allocated(self.device))

    def conditions(self, before: Snapshot, after: Snapshot) -> Conditions:
        """The host's counters and what the driver says of the device."""
        host = system.between(before, after, 1)
        told = self.nvml.conditions() if self.nvml else Conditions()
        return Conditions(
            pressure=host.pressure,
            steal=host.steal,
            other_processes=told.other_processes,
            clock_share=told.clock_share,
            throttle=told.throttle,
            temperature_celsius=told.temperature_celsius,
        )

    def describe(self) -> Device:
        """Its identity, by torch and by the driver."""
        p, nvml = self.properties, self.nvml
        return Device(
            "rocm" if self.kind == "rocm" else "cuda",
            p.name,
            memory_bytes=p.total_memory,
            cache_bytes=getattr(p, "L2_cache_size", 0),
            units=p.multi_processor_count,
            identity=_hashed(str(getattr(p, "uuid", p.name))),
            power_limit_watts=nvml.power_limit() if nvml else None,
            power_default_watts=nvml.power_default() if nvml else None,
            clock_max_hertz=nvml.clock_max() if nvml else None,
        )


class Mps(Backend):
    """An Apple GPU through Metal."""

    kind = "mps"

    def mark(self) -> Any:
        """A time stamp after everything that was issued."""
        torch.mps.synchronize()
        return time.perf_counter()

    def synchronize(self) -> None:
        """Wait for the queue."""
        torch.mps.synchronize()

    def free_bytes(self) -> int:
        """What Metal recommends as the most, less what is in use."""
        return int(torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())

    def release(self) -> None:
        """Empty torch's cache."""
        torch.mps.empty_cache()

    def start_peak(self) -> int | None:
        """Metal keeps no peak."""
        return None

    def end_peak(self) -> int | None:
        """Metal keeps no peak."""
        return None

    def conditions(self, before: Snapshot, after: Snapshot) -> Conditions:
        """The host's counters."""
        return Conditions(pressure=system.between(before, after, 1).pressure)

    def describe(self) -> Device:
        """Its identity: the chip that the GPU is part of."""
        name = system.processor_name()
        return Device("mps", name, memory_bytes=int(torch.mps.recommended_max_memory()), identity=_hashed(name))


def open_device(asked: str | None) -> Backend:
    """The device that is asked for, else the first there is of a GPU by CUDA or ROCm, one by Metal, the CPU.

    Raises:
        InputError: there is no such device here.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = asked or next(kind for kind in KINDS if there[kind])
    kind, _, index = name.partition(":")
    kind = "cuda" if kind == "rocm" else kind
    if kind == "cuda":
        index = index or os.environ.get("LOCAL_RANK", "")  # each process of torchrun has a device of its own
    count = torch.cuda.device_count() if kind == "cuda" else 1
    if not there.get(kind) or (index and not (index.isdigit() and int(index) < count)):
        found = [k if k != "cuda" else f"cuda:0 to cuda:{torch.cuda.device_count() - 1}" for k in KINDS if there[k]]
        raise InputError(
            Problem(
                f"no device '{name}' for torch {torch.__version__}", "--device", allowed=f"here: {', '.join(found)}"
            )
        )
    if kind == "cpu":
        with contextlib.suppress(RuntimeError):
            torch.set_num_threads(max(1, system.usable_threads() // int(os.environ.get("LOCAL_WORLD_SIZE", 1))))
    made: type[Backend] = {"cuda": Cuda, "mps": Mps, "cpu": Backend}[kind]
    return made(torch.device(kind, int(index or 0)) if kind == "cuda" else torch.device(kind))


def _hashed(text: str) -> str:
    """A short fingerprint, which tells devices apart and nobody's serial number."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
