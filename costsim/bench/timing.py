"""Times a call or a step on a device until its median is known, and says what else the machine did meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from costsim.bench import noise, system
from costsim.bench.devices import Backend
from costsim.bench.record import Conditions, Timing, Verdict
from costsim.bench.statistics import Collected, Rule, collect, timing
from costsim.bench.step import spans
from costsim.inputs.bench import NoiseLimits

Sample = TypeVar("Sample")

SHORTEST = 1e-3
"""Seconds that a sample should take: calls are repeated within one, so that stamps cost nothing beside them."""


def watched(
    backend: Backend, run: Callable[[], Sequence[Sample]], seconds_of: Callable[[Sample], float], rule: Rule
) -> tuple[Collected[Sample], Conditions]:
    """Samples, and the conditions from the first of the warm-up to the last."""
    before = system.snapshot()
    collected = collect(run, seconds_of, rule, time.perf_counter)
    backend.synchronize()
    return collected, backend.conditions(before, system.snapshot())


def timed(
    backend: Backend, call: Callable[[], object], rule: Rule, limits: NoiseLimits
) -> tuple[Timing, Conditions, Verdict]:
    """Time one call, issued back to back.

    Args:
        backend: the device.
        call: what to time.
        rule: when to stop.
        limits: of the noise.
    """
    repeats = _repeats(backend, call)

    def run() -> list[float]:
        marks = [backend.mark()]
        for _ in range(backend.batch):
            for _ in range(repeats):
                call()
            marks.append(backend.mark())
        return [seconds / repeats for seconds in spans(backend.stamps(marks))]

    collected, conditions = watched(backend, run, lambda seconds: seconds, rule)
    made = timing(collected.samples, collected.warmup, settled=collected.settled)
    return made, conditions, noise.verdict(conditions, made, limits, backend.threads)


def _repeats(backend: Backend, call: Callable[[], object]) -> int:
    """Calls in one sample; the first call, which may compile or allocate, is not looked at."""
    call()
    marks = [backend.mark()]
    call()
    marks.append(backend.mark())
    (seconds,) = spans(backend.stamps(marks))
    return min(max(1, math.ceil(SHORTEST / max(seconds, 1e-7))), 1000)


def rule_of(precision: float, seconds: float, tolerance: float = Rule.tolerance) -> Rule:
    """The rule for so many seconds in all, a third of them at most for the warm-up."""
    return replace(Rule(), precision=precision, tolerance=tolerance, seconds=seconds, warmup_seconds=seconds / 3)
