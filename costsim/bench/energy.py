"""Energy of a training step, by the best counter there is.

In this order: NVIDIA's counter of the whole board; power of an NVIDIA or AMD GPU, sampled ten times a second; the
counter of the processor package (RAPL), which mostly only an administrator may read; the power that the data sheet
allows, which is said to be assumed; none. Counters tick every hundredth of a second or slower, so a window is a second
at least.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from costsim.bench.devices import Backend, Cuda
from costsim.bench.record import Energy
from costsim.bench.reference import Reference

POLL_SECONDS = 0.1
NOTHING = Energy("none", "no counter of energy or power can be read here, and no data sheet is known")
_POWERCAP = Path("/sys/class/powercap")
_PCI = Path("/sys/bus/pci/devices")


@dataclass(frozen=True)
class Meter:
    """Something that tells energy or power.

    Attributes:
        name: what it is.
        covers: ``device`` or ``package``.
        joules: reads a counter; None where there is only power.
        watts: reads the power now.
        wraps: joules after which the counter begins anew; 0 for never.
    """

    name: str
    covers: str = "device"
    joules: Callable[[], float | None] | None = None
    watts: Callable[[], float | None] | None = None
    wraps: float = 0.0


def meter(backend: Backend) -> Meter | None:
    """The best that this device and system offer."""
    if isinstance(backend, Cuda):
        nvml = backend.nvml
        if nvml is not None and nvml.energy() is not None:
            return Meter("NVML's energy counter", joules=nvml.energy)
        if nvml is not None and nvml.power() is not None:
            return Meter("NVML's power", watts=nvml.power)
        return hwmon(_pci_address(backend))
    return rapl() if backend.kind == "cpu" else None


def rapl(folder: Path = _POWERCAP) -> Meter | None:
    """The package counters of all sockets, where they may be read."""
    zones = sorted(zone for zone in folder.glob("intel-rapl:*") if zone.name.count(":") == 1)
    if not zones or any(_number(zone / "energy_uj") is None for zone in zones):
        return None
    wraps = 0.0 if len(zones) > 1 else (_number(zones[0] / "max_energy_range_uj") or 0.0) / 1e6
    return Meter(
        "RAPL", "package", lambda: sum(_number(zone / "energy_uj") or 0.0 for zone in zones) / 1e6, None, wraps
    )


def hwmon(address: str, folder: Path = _PCI) -> Meter | None:
    """Power of an AMD GPU as its driver averages it (amdgpu, ``power1_average`` in microwatts)."""
    for name in ("power1_average", "power1_input"):
        for file in sorted(folder.glob(f"{address}/hwmon/hwmon*/{name}")):
            if _number(file) is not None:
                return Meter("the driver's power (hwmon)", watts=partial(_watts, file))
    return None


def _watts(file: Path) -> float | None:
    """Watts from a file of microwatts."""
    microwatts = _number(file)
    return None if microwatts is None else microwatts / 1e6


def measure(
    run: Callable[[], int],
    synchronize: Callable[[], None],
    found: Meter | None,
    known: Reference | None,
    seconds: float,
) -> Energy:
    """Energy of a step, repeated for a while.

    Args:
        run: runs a few steps and says how many.
        synchronize: waits for the device.
        found: the meter, if there is one.
        known: the device's entry in the catalogue, for its power where there is no meter.
        seconds: how long.
    """
    sampler = _Sampler(found.watts) if found and found.watts and not found.joules else None
    before = found.joules() if found and found.joules else None
    start, steps = time.perf_counter(), 0
    with sampler or contextlib.nullcontext():
        while not steps or time.perf_counter() - start < seconds:
            steps += run()
        synchronize()
    window = time.perf_counter() - start
    after = found.joules() if found and found.joules else None
    if found and before is not None and after is not None:
        joules = after - before + (found.wraps if after < before else 0.0)
        if joules > 0:
            return Energy("counter", found.name, joules / steps, joules / window, window, found.covers)
    if found and sampler is not None and sampler.mean() is not None:
        watts = sampler.mean() or 0.0
        return Energy("sampled_power", found.name, watts * window / steps, watts, window, found.covers)
    if known is not None and known.watts is not None:
        words = f"no counter can be read; assumed to draw the {known.watts:g} W of its data sheet all the time"
        return Energy("assumed", words, known.watts * window / steps, known.watts, window)
    return NOTHING


class _Sampler:
    """Reads the power in the background while steps run."""

    def __init__(self, watts: Callable[[], float | None]) -> None:
        self._watts, self._found = watts, list[float]()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _poll(self) -> None:
        while not self._over.wait(POLL_SECONDS):
            value = self._watts()
            if value is not None:
                self._found.append(value)

    def mean(self) -> float | None:
        """Mean of what was read; None for nothing."""
        return sum(self._found) / len(self._found) if self._found else None


def _pci_address(backend: Cuda) -> str:
    """Of the GPU on the bus, as sysfs has it."""
    p = backend.properties
    return (
        f"{getattr(p, 'pci_domain_id', 0):04x}:{getattr(p, 'pci_bus_id', 0):02x}:{getattr(p, 'pci_device_id', 0):02x}.0"
    )


def _number(file: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        return float(file.read_text(encoding="ascii"))
    return None
