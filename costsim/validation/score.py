"""How good predictions are: errors, bias, coverage and width of intervals, and what a constant MFU would have done.

Errors are predicted over measured, minus one. A constant MFU ``m`` predicts ``ideal / m``, where ``ideal`` is the time
at an MFU of one, so that its error on a row whose own MFU is ``u = ideal / measured`` is ``u / m - 1``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

LEVELS = {"coverage_50": ("p25", "p75"), "coverage_80": ("p10", "p90"), "coverage_90": ("p5", "p95")}
"""Share of the truth that an interval promises to hold, and its ends."""

DEFAULT_MFU = 0.4
"""The constant to beat where nobody else measured the chip in that precision: what is commonly assumed."""

LOST_BY = 0.02
"""A group is lost if the constant's median error is smaller by more than this."""

FEW = 5
"""A median of fewer rows than this says little: such a group is not counted as lost."""


@dataclass(frozen=True)
class Records:
    """Predictions and measurements of n rows, none of them missing.

    Attributes:
        measured: shape (n,), above zero.
        predicted: shape (n,), the centres, in the same unit.
        p5, p10, p25, p75, p90, p95: shape (n,), quantiles of the prediction.
        constant: shape (n,), what the constant MFU predicts; NaN where there is none.
        group: shape (n,), who published the row.
        model: shape (n,), of which model.
    """

    measured: Floats
    predicted: Floats
    p5: Floats
    p10: Floats
    p25: Floats
    p75: Floats
    p90: Floats
    p95: Floats
    constant: Floats
    group: NDArray[np.str_]
    model: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.measured)

    def only(self, mask: Mask) -> Records:
        """The rows of a mask, shape (n,)."""
        return Records(**{field.name: getattr(self, field.name)[mask] for field in fields(self)})

    @property
    def errors(self) -> Floats:
        """Predicted over measured, minus one; shape (n,)."""
        return self.predicted / self.measured - 1.0


def scores(records: Records) -> dict[str, float | int | None]:
    """All scores of some rows.

    Returns:
        ``n``; ``median_abs_error``, ``p90_abs_error`` and ``mean_abs_error``; ``bias``, the median error;
        ``within_2x``, the share of rows predicted within a factor of two; ``coverage_50``, ``coverage_80`` and
        ``coverage_90``, the shares of rows inside those intervals, ends included;
        ``median_width_80``, the median of p90 / p10; ``constant_median_abs_error``. Each is None where there are no
        rows, the last also where no row has a constant.
    """
    if not len(records):
        return {"n": 0, **dict.fromkeys(_SCORES)}
    errors = np.abs(records.errors)
    known = np.isfinite(records.constant)
    constant = np.abs(records.constant[known] / records.measured[known] - 1.0)
    return {
        "n": len(records),
        "median_abs_error": float(np.median(errors)),
        "p90_abs_error": float(np.percentile(errors, 90)),
        "mean_abs_error": float(np.mean(errors)),
        "bias": float(np.median(records.errors)),
        "within_2x": float(np.mean(np.abs(np.log(records.predicted / records.measured)) <= np.log(2.0))),
        **{level: coverage(records, *ends) for level, ends in LEVELS.items()},
        "median_width_80": float(np.median(records.p90 / records.p10)),
        "constant_median_abs_error": float(np.median(constant)) if constant.size else None,
    }


_SCORES = (
    "median_abs_error", "p90_abs_error", "mean_abs_error", "bias", "within_2x", *LEVELS, "median_width_80",
    "constant_median_abs_error",
)  # fmt: skip


def coverage(records: Records, low: str, high: str) -> float:
    """The share of rows whose measurement lies within two quantiles, ends included."""
    inside = (getattr(records, low) <= records.measured) & (records.measured <= getattr(records, high))
    return float(np.mean(inside))


def worse(records: Records) -> bool:
    """Whether a group of at least five rows has a median error of over two points more than its constant MFU."""
    found = scores(records)
    ours, constant = found["median_abs_error"], found["constant_median_abs_error"]
    return len(records) >= FEW and ours is not None and constant is not None and ours > constant + LOST_BY


def lost(records: Records) -> bool:
    """Whether a group is lost to its constant MFU: it is `worse`, and of several models.

    A constant that happens to suit one model says nothing of the next.
    """
    return worse(records) and len(set(records.model.tolist())) > 1


def best_constant(mfu: Floats) -> float:
    """The constant MFU with the least median absolute error on rows with these MFUs.

    The rows within a factor ``1 ± t`` of ``m`` are those of an interval ``[m (1 - t), m (1 + t)]``, so the least ``t``
    that takes in a majority is that of the shortest majority in ratio: the least median of Rousseeuw (1984, J. Am.
    Stat. Assoc. 79, 871), with distances relative to the centre. Among equals the first is taken.

    Args:
        mfu: shape (n,), of n rows; n at least one.
    """
    ordered = np.sort(mfu)
    half = len(ordered) // 2
    low, high = ordered[: len(ordered) - half], ordered[half:]
    shortest = int(np.argmin((high - low) / (high + low)))
    return float((low[shortest] + high[shortest]) / 2.0)


def constants(
    ideal: Floats,
    key: Sequence[tuple[str, str]],
    group: Sequence[str],
    elsewhere: Mapping[tuple[str, str], Mapping[str, Floats]],
) -> Floats:
    """What the constant MFU predicts for rows: the best one of the same chip and precision in all *other* groups.

    Args:
        ideal: shape (n,), time at an MFU of one; NaN where unknown.
        key: chip and class of precision of each row.
        group: who published each row.
        elsewhere: measured MFUs by key and group, to choose the constant from.

    Returns:
        Shape (n,): ideal over the constant, which is `DEFAULT_MFU` where no other group has the chip and precision.
    """
    chosen: dict[tuple[tuple[str, str], str], float] = {}
    for pair in dict.fromkeys(zip(key, group, strict=True)):
        others = [mfu for name, mfu in elsewhere.get(pair[0], {}).items() if name != pair[1] and mfu.size]
        chosen[pair] = best_constant(np.concatenate(others)) if others else DEFAULT_MFU
    return ideal / np.array([chosen[pair] for pair in zip(key, group, strict=True)], dtype=np.float64)
