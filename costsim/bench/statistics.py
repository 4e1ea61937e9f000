"""When to start counting, when to stop, and what to say of the times: pure, with the clock as an argument.

The median is reported because it is what a long run sustains; its interval comes from order statistics, which need no
shape of the distribution (David and Nagaraja 2003, Order Statistics, §7.1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from costsim.bench.record import Timing

Sample = TypeVar("Sample")

CONFIDENCE = 0.95
OUTLIER_MADS = 10.0  # median absolute deviations; far enough that no bell curve reaches it
WINDOW = 3  # samples whose median is compared with that of the next as many, to see whether the warm-up is over
BEST = 0.05  # the quantile that is called best


@dataclass(frozen=True)
class Rule:
    """How long to measure.

    Attributes:
        precision: half-width of the interval of the median over the median at which to stop.
        tolerance: the same, at which to stop once ``seconds`` are over.
        minimum: samples to take, unless patience ends.
        seconds: wall time after which the tolerance is enough, warm-up included.
        patience: so many times ``seconds`` after which to stop in any case.
        agreement: relative difference of two successive windows at which the warm-up is over.
        warmup_seconds: wall time after which it is over in any case.
        maximum: samples to take at most.
    """

    precision: float = 0.02
    tolerance: float = 0.03
    minimum: int = 6  # the least whose range holds the median with 95 % confidence
    seconds: float = 2.0
    patience: float = 2.0
    agreement: float = 0.05
    warmup_seconds: float = 1.0
    maximum: int = 1000


@dataclass(frozen=True)
class Collected(Generic[Sample]):
    """Samples in order: those of the warm-up, those that count, and whether the precision was reached."""

    warmup: tuple[Sample, ...]
    samples: tuple[Sample, ...]
    settled: bool


def median(values: Sequence[float]) -> float:
    """The middle value, or the mean of the two middle ones."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the samples lies, linear between neighbours (Hyndman and Fan 1996, type 7)."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def interval_ranks(count: int, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """0-based ranks of the ordered samples between which the true median lies with at least this confidence.

    The number of samples below the median is binomial(n, 1/2): the pair (l, n - 1 - l) covers it with probability
    1 - 2 P(B ≤ l). None if even the smallest and the largest of them do not (fewer than six samples at 95 %).
    """
    tail, total, best = 0, 2**count, None
    for rank in range((count + 1) // 2):
        tail += math.comb(count, rank)
        if 1 - 2 * tail / total < confidence:
            break
        best = rank
    return None if best is None else (best, count - 1 - best)


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of the median; all of the range where there are too few samples for the confidence."""
    ordered = sorted(values)
    low, high = interval_ranks(len(ordered), confidence) or (0, len(ordered) - 1)
    return ordered[low], ordered[high]


def half_width(values: Sequence[float]) -> float:
    """Half of the interval of the median over the median; infinite where there are too few samples to have one."""
    if interval_ranks(len(values)) is None:
        return math.inf
    low, high = median_interval(values)
    return (high - low) / 2 / median(values)


def outliers(values: Sequence[float]) -> int:
    """How many lie more than 10 median absolute deviations from the median; none where most are equal."""
    middle = median(values)
    deviation = median([abs(value - middle) for value in values])
    return sum(abs(value - middle) > OUTLIER_MADS * deviation for value in values) if deviation else 0


def warmed_up(values: Sequence[float], agreement: float) -> bool:
    """Whether the last two windows agree."""
    if len(values) < 2 * WINDOW:
        return False
    before, after = median(values[-2 * WINDOW : -WINDOW]), median(values[-WINDOW:])
    return abs(after - before) <= agreement * before


def collect(
    run: Callable[[], Sequence[Sample]], seconds_of: Callable[[Sample], float], rule: Rule, clock: Callable[[], float]
) -> Collected[Sample]:
    """Measure until the median is known well enough or time is over.

    The warm-up ends when two successive windows of three agree, or its time is over; the window that agreed counts.

    Args:
        run: measures once or a few times.
        seconds_of: the time of a sample that decides.
        rule: when to stop.
        clock: wall time in seconds.
    """
    start = clock()
    warm: list[Sample] = []
    while not warmed_up([seconds_of(sample) for sample in warm], rule.agreement):
        warm += run()
        if clock() - start >= rule.warmup_seconds and len(warm) > WINDOW:
            break
    kept, warm = warm[-WINDOW:], warm[:-WINDOW]
    while True:
        times = [seconds_of(sample) for sample in kept]
        spent = clock() - start
        width = half_width(times) if len(kept) >= rule.minimum else math.inf
        if width <= rule.precision:
            return Collected(tuple(warm), tuple(kept), settled=True)
        late = spent >= rule.seconds and width <= rule.tolerance
        if late or spent >= rule.patience * rule.seconds or len(kept) >= rule.maximum:
            return Collected(tuple(warm), tuple(kept), settled=False)
        kept += run()


def timing(samples: Sequence[float], warmup: Sequence[float] = (), *, settled: bool = True) -> Timing:
    """What is said of times, in seconds."""
    low, high = median_interval(samples)
    return Timing(
        seconds=median(samples),
        low=low,
        high=high,
        best=quantile(samples, BEST),
        samples=tuple(samples),
        warmup=tuple(warmup),
        outliers=outliers(samples),
        settled=settled,
    )
