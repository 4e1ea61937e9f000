"""What NVIDIA's driver says of a GPU, through its library NVML: clocks, throttling, power, energy, other processes.

The library comes with the driver; it is opened directly, so that no package is needed. Names and numbers are those of
``nvml.h`` (https://docs.nvidia.com/deploy/nvml-api). What a device does not support is None.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
from typing import Any

from costsim.bench.record import Conditions

_CLOCK_SM, _TEMPERATURE_GPU, _SUCCESS, _TOO_SMALL = 1, 0, 0, 7
THROTTLE = {  # nvmlClocksEventReason*; idle and the clocks that a user set are no throttling
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x20: "thermal limit (software)",
    0x40: "thermal limit (hardware)",
    0x80: "power brake",
}


class Nvml:
    """One GPU.

    Args:
        library: the opened library, initialised.
        handle: of the device.
    """

    def __init__(self, library: Any, handle: Any) -> None:
        self._library, self._handle = library, handle

    @classmethod
    def open(cls, uuid: str) -> Nvml | None:
        """The GPU with this UUID (``GPU-…``); None without the driver's library, or where it does not know the GPU."""
        with contextlib.suppress(OSError, AttributeError):
            library = ctypes.CDLL(ctypes.util.find_library("nvidia-ml") or "libnvidia-ml.so.1")
            handle = ctypes.c_void_p()
            if library.nvmlInit_v2() != _SUCCESS:
                return None
            if library.nvmlDeviceGetHandleByUUID(uuid.encode(), ctypes.byref(handle)) == _SUCCESS:
                return cls(library, handle)
        return None

    def _number(self, function: str, *arguments: int, kind: Any = ctypes.c_uint) -> int | None:
        """What a function of the form ``f(device, arguments..., &result)`` returns."""
        found = kind()
        with contextlib.suppress(AttributeError):
            call = getattr(self._library, function)
            if call(self._handle, *(ctypes.c_uint(x) for x in arguments), ctypes.byref(found)) == _SUCCESS:
                return int(found.value)
        return None

    def energy(self) -> float | None:
        """Joules since the driver was loaded (Volta and later)."""
        millijoules = self._number("nvmlDeviceGetTotalEnergyConsumption", kind=ctypes.c_ulonglong)
        return None if millijoules is None else millijoules / 1e3

    def power(self) -> float | None:
        """Watts now; on newer GPUs an average of the last second."""
        milliwatts = self._number("nvmlDeviceGetPowerUsage")
        return None if milliwatts is None else milliwatts / 1e3

    def power_limit(self) -> float | None:
        """Watts that are enforced."""
        milliwatts = self._number("nvmlDeviceGetEnforcedPowerLimit")
        return None if milliwatts is None else milliwatts / 1e3

    def power_default(self) -> float | None:
        """Watts that the board is delivered with."""
        milliwatts = self._number("nvmlDeviceGetPowerManagementDefaultLimit")
        return None if milliwatts is None else milliwatts / 1e3

    def clock_max(self) -> float | None:
        """Highest clock of the multiprocessors, in Hz."""
        megahertz = self._number("nvmlDeviceGetMaxClockInfo", _CLOCK_SM)
        return None if megahertz is None else megahertz * 1e6

    def processes(self) -> int | None:
        """Processes that compute on the GPU, this one included."""
        count = ctypes.c_uint(0)
        with contextlib.suppress(AttributeError):
            call = self._library.nvmlDeviceGetComputeRunningProcesses_v3
            if call(self._handle, ctypes.byref(count), None) in (_SUCCESS, _TOO_SMALL):
                return count.value
        return None

    def driver(self) -> str | None:
        """Version of the driver."""
        text = ctypes.create_string_buffer(96)
        with contextlib.suppress(AttributeError):
            if self._library.nvmlSystemGetDriverVersion(text, ctypes.c_uint(len(text))) == _SUCCESS:
                return text.value.decode("ascii", "replace")
        return None

    def conditions(self) -> Conditions:
        """The GPU's part of what else happened, read while the clocks are still up."""
        now, most = self._number("nvmlDeviceGetClockInfo", _CLOCK_SM), self.clock_max()
        bits = self._number("nvmlDeviceGetCurrentClocksThrottleReasons", kind=ctypes.c_ulonglong) or 0
        count = self.processes()
        degrees = self._number("nvmlDeviceGetTemperature", _TEMPERATURE_GPU)
        return Conditions(
            # A driver inside a container sees processes outside by other numbers, so they are counted, not compared.
            other_processes=None if count is None else max(0, count - 1),
            clock_share=now * 1e6 / most if now is not None and most else None,
            throttle=tuple(words for bit, words in THROTTLE.items() if bits & bit),
            temperature_celsius=None if degrees is None else float(degrees),
        )
