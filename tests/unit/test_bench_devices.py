"""What cannot be run here is held to its documented interface by stand-ins: NVML, energy meters, CUDA's events."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import ClassVar

import pytest

from costsim.bench import energy
from costsim.bench.nvml import Nvml
from costsim.bench.reference import Reference


class Library:
    """NVML as its header declares it: results go into the last argument, 0 is success."""

    numbers: ClassVar = {
        "nvmlDeviceGetTotalEnergyConsumption": 5_000_000, "nvmlDeviceGetPowerUsage": 350_500,
        "nvmlDeviceGetEnforcedPowerLimit": 400_000, "nvmlDeviceGetPowerManagementDefaultLimit": 700_000,
        "nvmlDeviceGetMaxClockInfo": 1980, "nvmlDeviceGetClockInfo": 1485,
        "nvmlDeviceGetCurrentClocksThrottleReasons": 0x1 | 0x4 | 0x40, "nvmlDeviceGetTemperature": 71,
    }  # fmt: skip

    def __init__(self, processes: int = 1) -> None:
        self.found = processes
        self.asked: list[tuple[str, tuple[int, ...]]] = []

    def __getattr__(self, name: str):
        if name not in self.numbers:
            raise AttributeError(name)

        def call(_handle, *arguments) -> int:
            self.asked.append((name, tuple(argument.value for argument in arguments[:-1])))
            arguments[-1]._obj.value = self.numbers[name]
            return 0

        return call

    def nvmlDeviceGetComputeRunningProcesses_v3(self, _handle, count, infos) -> int:
        assert infos is None
        count._obj.value = self.found
        return 7 if self.found else 0  # there is no room for them: NVML_ERROR_INSUFFICIENT_SIZE

    def nvmlSystemGetDriverVersion(self, text, _length) -> int:
        text.value = b"570.86.15"
        return 0


def test_nvml_is_read_in_its_units() -> None:
    gpu = Nvml(Library(), ctypes.c_void_p(1))
    assert gpu.energy() == 5000.0
    assert gpu.power() == 350.5
    assert (gpu.power_limit(), gpu.power_default()) == (400.0, 700.0)
    assert gpu.clock_max() == 1.98e9
    assert gpu.driver() == "570.86.15"
    found = gpu.conditions()
    assert found.clock_share == pytest.approx(0.75)
    assert found.throttle == ("power cap", "thermal limit (hardware)")
    assert found.temperature_celsius == 71.0
    assert found.other_processes == 0


def test_processes_of_others_are_counted_without_this_one() -> None:
    assert Nvml(Library(3), ctypes.c_void_p(1)).conditions().other_processes == 2
    assert Nvml(Library(0), ctypes.c_void_p(1)).conditions().other_processes == 0


def test_what_a_gpu_does_not_support_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Library, "numbers", {})
    gpu = Nvml(Library(), ctypes.c_void_p(1))
    assert gpu.energy() is None
    assert gpu.power() is None
    assert gpu.conditions().clock_share is None
    assert gpu.conditions().throttle == ()


def test_without_a_driver_there_is_no_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert Nvml.open("GPU-1") is None


class Meters:
    """A clock that each run of steps moves by half a second at 200 W."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.joules = 0.0, 0.0
        monkeypatch.setattr(energy, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def run(self) -> int:
        self.now += 0.5
        self.joules += 100.0
        return 4


KNOWN = Reference("x", "X", 1e15, None, 1e12, 700.0)


def test_energy_of_a_step_by_a_counter(monkeypatch: pytest.MonkeyPatch) -> None:
    meters = Meters(monkeypatch)
    found = energy.measure(meters.run, lambda: None, energy.Meter("counter", joules=lambda: meters.joules), KNOWN, 2.0)
    assert found.source == "counter"
    assert found.joules_per_step == pytest.approx(25.0)
    assert found.watts == pytest.approx(200.0)
    assert found.window_seconds == 2.0


def test_a_counter_that_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    meters = Meters(monkeypatch)
    meter = energy.Meter("RAPL", "package", lambda: (900.0 + meters.joules) % 1000.0, wraps=1000.0)
    assert energy.measure(meters.run, lambda: None, meter, None, 2.0).watts == pytest.approx(200.0)


def test_without_a_counter_the_data_sheet_is_assumed_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    found = energy.measure(Meters(monkeypatch).run, lambda: None, None, KNOWN, 2.0)
    assert (found.source, found.watts) == ("assumed", 700.0)
    assert found.joules_per_step == pytest.approx(700 * 2 / 16)
    assert "assumed to draw the 700 W" in found.counter
    assert energy.measure(Meters(monkeypatch).run, lambda: None, None, None, 2.0).source == "none"


def test_sampled_power_is_integrated() -> None:
    import time

    def run() -> int:
        time.sleep(0.06)
        return 1

    found = energy.measure(run, lambda: None, energy.Meter("power", watts=lambda: 250.0), None, 0.3)
    assert (found.source, found.watts) == ("sampled_power", 250.0)
    assert found.joules_per_step == pytest.approx(
        250.0 * found.window_seconds / round(found.window_seconds / 0.06), rel=0.3
    )


def test_rapl_and_hwmon_files(tmp_path) -> None:
    assert energy.rapl(tmp_path) is None
    for zone, joules in (("intel-rapl:0", 3), ("intel-rapl:0:0", 1), ("intel-rapl:1", 4)):
        (tmp_path / zone).mkdir()
        (tmp_path / zone / "energy_uj").write_text(f"{joules}000000\n")
    assert energy.rapl(tmp_path).joules() == 7.0  # packages, and not the cores inside them once more
    power = tmp_path / "0000:03:00.0" / "hwmon" / "hwmon2"
    power.mkdir(parents=True)
    assert energy.hwmon("0000:03:00.0", tmp_path) is None
    (power / "power1_average").write_text("412000000\n")
    assert energy.hwmon("0000:03:00.0", tmp_path).watts() == 412.0


def test_events_are_read_once_for_many_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from costsim.bench.devices import Cuda

    queue = iter(range(0, 1000, 7))
    waited = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = next(queue)

        def synchronize(self) -> None:
            waited.append(self.at)

        def elapsed_time(self, other) -> float:
            return float(other.at - self.at)  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    backend = object.__new__(Cuda)
    marks = [backend.mark() for _ in range(4)]
    assert backend.stamps(marks) == pytest.approx([0.0, 0.007, 0.014, 0.021])
    assert waited == [21]
