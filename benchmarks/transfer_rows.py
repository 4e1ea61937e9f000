"""A line of `bench_transfer.py`: what was held against which bar, and what others reach."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One line.

    Attributes:
        what: was measured.
        bar: in words.
        measured: in words.
        reference: what else reaches what.
        met: whether the bar was.
    """

    what: str
    bar: str
    measured: str
    reference: str
    met: bool


def of_errors(
    what: str, errors: Sequence[float], bars: tuple[float, float], reference: str, upper: str = "worst"
) -> Row:
    """A line of absolute relative errors: their median, and their worst or 90th percentile, against two bars."""
    sizes = sorted(abs(error) for error in errors)
    middle = statistics.median(sizes)
    high = sizes[-1] if upper == "worst" else statistics.quantiles(sizes, n=10, method="inclusive")[-1]
    return Row(
        f"{what}, {len(sizes)} cases",
        f"median {bars[0]:.1%}, {upper} {bars[1]:.1%}",
        f"{middle:.2%} / {high:.2%}",
        reference,
        middle <= bars[0] and high <= bars[1],
    )
