"""The verdict: which readings count where, and that the load average does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from costsim.bench import noise, system
from costsim.bench.noise import together, unseen, verdict
from costsim.bench.record import Conditions, Timing, Verdict
from costsim.bench.statistics import timing
from costsim.bench.system import Snapshot, between
from costsim.inputs.bench import bench_file

LIMITS = bench_file().noise
STEADY = timing([1.0] * 20)
QUIET = Conditions(pressure=0.01, cpu_share=0.98, involuntary_per_second=60.0, steal=0.0)


def spread(share: float) -> Timing:
    return replace(STEADY, low=1 - share, high=1 + share)


def test_a_quiet_machine_is_good() -> None:
    assert verdict(QUIET, STEADY, LIMITS, 2) == Verdict("good", ())


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"pressure": 0.1}, "noisy", "10% of the time some task waited for a processor"),
        ({"pressure": 0.5}, "refused", "50% of the time some task waited"),
        ({"steal": 0.1}, "noisy", "hypervisor gave 10%"),
        ({"steal": 0.4}, "refused", "hypervisor gave 40%"),
        ({"other_processes": 1}, "refused", "1 other process on the accelerator"),
        ({"throttle": ("thermal limit (hardware)",)}, "noisy", "slowed itself down: thermal limit (hardware)"),
        ({"clock_share": 0.6}, "noisy", "its clock was at 60%"),
        ({"clock_share": 0.2}, "refused", "its clock was at 20%"),
        # What the kernel accounts for stands; what stands in for it elsewhere does not count beside it.
        ({"cpu_share": 0.4, "involuntary_per_second": 900.0}, "good", ""),
        # A power cap is met by a long run too: it is a label of the device, and no noise.
        ({"clock_share": 0.6, "throttle": ("power cap",)}, "good", ""),
    ],
)
def test_each_reading(changed, status, words) -> None:
    found = verdict(replace(QUIET, **changed), STEADY, LIMITS, 2)
    assert found.status == status
    assert words in "; ".join(found.reasons)
    assert bool(found.reasons) == (status != "good")


def test_without_pressure_other_readings_stand_in() -> None:
    blind = replace(QUIET, pressure=None)
    assert verdict(blind, STEADY, LIMITS, 2).status == "good"
    starved = replace(blind, cpu_share=0.52, involuntary_per_second=130.0)  # as beside one busy program
    found = verdict(starved, STEADY, LIMITS, 2)
    assert found.status == "refused"
    assert "had a processor for only 52% of the time" in found.reasons[0]
    assert "no pressure (/proc/pressure)" in (unseen(blind) or "")
    assert unseen(QUIET) is None
    assert verdict(Conditions(), STEADY, LIMITS).status == "good"  # a system that tells nothing: the spread decides


@pytest.mark.parametrize(("share", "status"), [(0.02, "good"), (0.06, "noisy"), (0.2, "refused")])
def test_the_spread_of_the_times(share, status) -> None:
    assert verdict(QUIET, spread(share), LIMITS).status == status


def test_the_worst_of_several_with_each_reason_once() -> None:
    noisy, refused = Verdict("noisy", ("a",)), Verdict("refused", ("b",))
    assert together([noisy, refused, Verdict("good"), refused]) == Verdict("refused", ("b",))
    spread = [Verdict("refused", ("known to ±9% only",)), Verdict("refused", ("known to ±12.5% only",))]
    assert together(spread) == spread[0]  # one of a kind is enough
    assert together([]) == Verdict("good", ())


def test_rates_between_two_snapshots() -> None:
    before = Snapshot(wall=10.0, cpu=1.0, involuntary=100, pressure=5.0, steal=0.0)
    after = Snapshot(wall=12.0, cpu=4.0, involuntary=160, pressure=6.0, steal=None)
    found = between(before, after, threads=2)
    assert found.pressure == pytest.approx(0.5)
    assert found.cpu_share == pytest.approx(0.75)
    assert found.involuntary_per_second == pytest.approx(30)
    assert found.steal is None


def test_readers_say_nothing_where_there_is_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system, "_text", {}.get)
    assert system.snapshot().pressure is None
    assert system.snapshot().steal is None
    assert system.resident_bytes() is None
    assert system.usable_threads() >= 1


def test_readers_read_what_the_kernel_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {
        "/proc/pressure/cpu": "some avg10=1.2 avg60=0.5 avg300=0.1 total=2500000\nfull avg10=0 total=7\n",
        "/sys/fs/cgroup/cpu.max": "150000 100000\n",
        "/proc/cpuinfo": "processor: 0\nmodel name\t: Some CPU @ 2 GHz\n",
        "/proc/meminfo": "MemTotal:       1000 kB\nMemAvailable:    600 kB\n",
        "/sys/fs/cgroup/memory.max": "512000\n",
        "/sys/fs/cgroup/memory.current": "112000\n",
    }
    monkeypatch.setattr(system, "_text", texts.get)
    assert system.snapshot().pressure == 2.5
    assert system.usable_threads() == 1  # one and a half processors pay for one thread
    assert system.processor_name() == "Some CPU @ 2 GHz"
    assert system.memory_bytes() == (512000, 400000)


def test_load_average_is_read_nowhere() -> None:
    for file in Path(noise.__file__).parent.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        assert "loadavg" not in text, file
