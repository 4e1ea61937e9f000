"""The host: how many threads to use, the allocator, the size of caches, memory, and what the kernel says of pressure.

Everything is read from files that an ordinary user may read; what is not there is None, never a guess.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import re
import time
from dataclasses import dataclass
from pathlib import Path

from costsim.bench.record import Conditions

# mallopt(3): parameters of glibc's malloc. Blocks come from the heap rather than from fresh mappings, and the heap is
# never given back: otherwise a step on the CPU spends up to half of its time in page faults. A threshold of 2**31 - 1,
# the greatest there is, still gives back what a large step frees; -1 never does, and no block is mapped on its own.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -2, -3, -4
_NEVER, _PAD, _SMALL, _MAPPINGS = -1, 256 * 2**20, 64 * 2**10, 65_536


def keep_heap() -> bool:
    """Let malloc keep what it has, for timing; False where this is not glibc."""
    return _mallopt({_M_MMAP_MAX: 0, _M_TRIM_THRESHOLD: _NEVER, _M_TOP_PAD: _PAD})


def return_heap() -> bool:
    """Let malloc give every tensor back when it is freed, so that resident memory is that of live tensors."""
    done = _mallopt({_M_MMAP_MAX: _MAPPINGS, _M_MMAP_THRESHOLD: _SMALL, _M_TRIM_THRESHOLD: _SMALL, _M_TOP_PAD: 0})
    if done:
        ctypes.CDLL(None).malloc_trim(0)  # what the heap holds free would be used first, and not seen as new memory
    return done


def _mallopt(settings: dict[int, int]) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        done = [library.mallopt(key, value) for key, value in settings.items()]  # all of them, whatever the first says
        return all(done)
    return False


def _text(path: str) -> str | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return Path(path).read_text(encoding="utf-8")
    return None


# --- processors -------------------------------------------------------------------------------------------------------


def usable_threads() -> int:
    """Physical cores that this process may run on, and no more than its control group's quota pays for."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    siblings = {_text(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in allowed}
    quota = _quota(_text("/sys/fs/cgroup/cpu.max"))
    return max(1, min(len(siblings), quota or len(siblings)))


def _quota(text: str | None) -> int | None:
    """Whole processors that a control group may use, from ``cpu.max`` of cgroup v2: quota and period, or ``max``."""
    words = (text or "").split()
    return max(1, int(words[0]) // int(words[1])) if len(words) == 2 and words[0].isdigit() else None


def last_level_cache() -> int:
    """Bytes of the largest cache of a processor; 0 where the system does not tell."""
    sizes = [_text(str(path)) or "" for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    units = {"K": 2**10, "M": 2**20, "G": 2**30}
    found = [re.fullmatch(r"([0-9]+)([KMG])", size.strip()) for size in sizes]
    return max((int(match[1]) * units[match[2]] for match in found if match), default=0)


def processor_name() -> str:
    """What the system calls its processor."""
    match = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo") or "", re.MULTILINE)
    return match[1] if match else platform.processor() or platform.machine()


# --- memory -----------------------------------------------------------------------------------------------------------


def memory_bytes() -> tuple[int, int]:
    """(all, available) memory of the host, or of the control group where that has less; 0 where unknown."""
    found = dict(re.findall(r"^(\w+):\s+([0-9]+) kB$", _text("/proc/meminfo") or "", re.MULTILINE))
    total, free = (int(found.get(key, 0)) * 1024 for key in ("MemTotal", "MemAvailable"))
    limit, used = (_text(f"/sys/fs/cgroup/memory.{key}") or "" for key in ("max", "current"))
    if limit.strip().isdigit() and used.strip().isdigit():
        total, free = min(total, int(limit)), min(free, int(limit) - int(used))
    if not total:
        with contextlib.suppress(ValueError, OSError, AttributeError):
            total = free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return total, free


def resident_bytes(*, peak: bool = False) -> int | None:
    """Resident memory of this process, or the most it has been since `reset_peak`."""
    key = "VmHWM" if peak else "VmRSS"
    match = re.search(rf"^{key}:\s+([0-9]+) kB$", _text("/proc/self/status") or "", re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def reset_peak() -> bool:
    """Set the peak of resident memory to what it is now (proc(5), clear_refs); False where that is not possible."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    return False


# --- what else runs ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """Counters at one moment, in seconds or counts; None where this system does not tell."""

    wall: float
    cpu: float
    involuntary: int | None
    pressure: float | None
    steal: float | None


def snapshot() -> Snapshot:
    """Read the counters."""
    return Snapshot(time.perf_counter(), time.process_time(), _involuntary(), _pressure(), _steal())


def between(before: Snapshot, after: Snapshot, threads: int) -> Conditions:
    """What happened between two snapshots.

    Args:
        before: the first.
        after: the second.
        threads: that this process computes with.
    """
    wall = max(after.wall - before.wall, 1e-9)

    def rate(name: str, over: float = 1.0) -> float | None:
        first, last = getattr(before, name), getattr(after, name)
        return None if first is None or last is None else max(last - first, 0.0) / wall / over

    return Conditions(
        pressure=rate("pressure"),
        cpu_share=rate("cpu", threads),
        involuntary_per_second=rate("involuntary"),
        steal=rate("steal", os.cpu_count() or 1),
    )


def _pressure() -> float | None:
    """Seconds in which some task waited for a processor, of /proc/pressure/cpu (Linux 4.20, where switched on)."""
    match = re.search(r"^some .*total=([0-9]+)$", _text("/proc/pressure/cpu") or "", re.MULTILINE)
    return int(match[1]) / 1e6 if match else None


def _steal() -> float | None:
    """Seconds that the hypervisor gave to others, all processors together, of /proc/stat."""
    words = (_text("/proc/stat") or "").split("\n", 1)[0].split()
    return int(words[8]) / os.sysconf("SC_CLK_TCK") if len(words) > 8 and words[0] == "cpu" else None


def _involuntary() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
