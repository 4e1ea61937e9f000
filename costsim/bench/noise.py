"""Whether a measurement can be planned from: a rule over what else the machine did. The load average has no part in it.

With as many busy programs beside it as there are cores, a step runs many times slower while the load average still says
that half the machine is idle; the pressure that the kernel accounts for, and the processor time that a program got, say
what happened within the measurement itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

from costsim.bench.record import Conditions, Timing, Verdict
from costsim.inputs.bench import Limits, NoiseLimits

Level = Literal["good", "noisy", "refused"]
_ORDER: tuple[Level, ...] = ("good", "noisy", "refused")
REFUSED = _ORDER.index("refused")
_HARDWARE = (
    "hardware",
    "thermal",
    "power brake",
)  # words of throttling that a long run would not meet when well cooled


def level(value: float | None, limits: Limits) -> Level:
    """Where a reading lies between its limits; one that is not there is good."""
    if value is None or value <= limits.noisy:
        return "good"
    return "noisy" if value <= limits.refused else "refused"


def verdict(conditions: Conditions, timing: Timing, limits: NoiseLimits, threads: int = 1) -> Verdict:
    """The verdict on one measurement.

    Where the system tells no pressure, processor share and involuntary switches stand in for it; where it does, they
    are not used, since a machine of many cores leaves some of them idle on its own.

    Args:
        conditions: what else happened.
        timing: the times.
        limits: of ``data/bench.yaml``.
        threads: that the measurement computed with.
    """
    found = list(_readings(conditions, timing, limits, threads))
    worst = max((_ORDER.index(grade) for grade, _ in found), default=0)
    return Verdict(_ORDER[worst], tuple(reason for grade, reason in found if grade != "good"))


def crowded(conditions: Conditions, limits: NoiseLimits, threads: int = 1) -> bool:
    """Whether other programs alone are reason enough to refuse a measurement."""
    return any(found == "refused" for found, _ in _others(conditions, limits, threads))


def grade(verdict: Verdict) -> int:
    """0 for a good measurement, more for a worse one."""
    return _ORDER.index(verdict.status) if verdict.status in _ORDER else len(_ORDER)


def together(verdicts: Sequence[Verdict]) -> Verdict:
    """The worst of several, with their reasons; of those that differ in their numbers only, the first."""
    worst = max((_ORDER.index(one.status) for one in verdicts if one.status in _ORDER), default=0)
    kinds: dict[str, str] = {}
    for one in verdicts:
        for reason in one.reasons if one.status == _ORDER[worst] else ():
            kinds.setdefault(re.sub(r"[0-9.]+", "", reason), reason)
    return Verdict(_ORDER[worst], tuple(kinds.values()))


def unseen(conditions: Conditions) -> str | None:
    """What of the noise this system does not tell, in words; None if it tells of pressure."""
    if conditions.pressure is not None:
        return None
    if conditions.cpu_share is not None:
        return "this system tells no pressure (/proc/pressure); the processor time that was received is used instead"
    return "this system tells no pressure (/proc/pressure), so other programs show in the spread of the times only"


def _others(c: Conditions, limits: NoiseLimits, threads: int) -> Iterator[tuple[Level, str]]:
    """What tells of other programs, with its grade and its words."""
    if c.pressure is not None:
        words = f"for {c.pressure:.0%} of the time some task waited for a processor (other programs are running)"
        yield level(c.pressure, limits.pressure), words
    elif c.cpu_share is not None:
        words = f"the threads had a processor for only {c.cpu_share:.0%} of the time (other programs are running)"
        yield level(1 - c.cpu_share, limits.waiting), words
        switches = None if c.involuntary_per_second is None else c.involuntary_per_second / threads
        words = f"each thread lost its processor {switches or 0:.0f} times a second (other programs are running)"
        yield level(switches, limits.involuntary_per_second), words
    if c.other_processes:
        noun = "process" if c.other_processes == 1 else "processes"
        yield "refused", f"{c.other_processes} other {noun} on the accelerator"


def _readings(c: Conditions, timing: Timing, limits: NoiseLimits, threads: int) -> Iterator[tuple[Level, str]]:
    """Each reading with its grade and its words."""
    yield from _others(c, limits, threads)
    yield level(c.steal, limits.steal), f"the hypervisor gave {c.steal or 0:.0%} of the time to other machines"
    width = timing.half_width
    yield level(width, limits.half_width), f"times spread: the median is known to ±{width:.1%} only"
    hot = [reason for reason in c.throttle if reason.startswith(_HARDWARE)]
    if hot:
        yield "noisy", f"the accelerator slowed itself down: {', '.join(hot)}"
    if c.clock_share is not None and "power cap" not in c.throttle:
        yield level(1 - c.clock_share, limits.slow_clock), f"its clock was at {c.clock_share:.0%} of the highest"
