"""What a prediction of published results is: one record a row, and a reason for each row without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from costsim.evidence.understood import Unread

What = Literal["step", "memory", "hours", "serving"]
WHAT: tuple[What, ...] = ("step", "memory", "hours", "serving")
Regime = Literal["known_stack", "new_source", "new_stack", "new_model", "new_chip", "shipped"]
QUANTILES = ("p5", "p10", "p25", "p75", "p90", "p95")


@dataclass(frozen=True)
class Predicted:
    """One row, predicted without its answer.

    Attributes:
        row: its cells, measured columns included.
        regime: which rows the constants had been fitted on: all but the row's near-duplicates (``known_stack``), those
            of other source groups (``new_source``), none of its stack (``new_stack``), or the constants as shipped.
        measured: seconds of a step, bytes of peak memory, or device-hours of a run; None where there is none, as for a
            run that ended out of memory.
        predicted: the same, the centre.
        quantiles: of the prediction: p5, p10, p25, p75, p90 and p95.
        subset: what rows are told apart by: ``has_layout`` and ``experts`` of a step, ``counter`` (allocated, reserved
            or device) of memory, nothing of hours.
        ideal: seconds or device-hours at an MFU of 1, so that a constant MFU predicts ``ideal / mfu``; None for memory.
        constant_key: hardware and class of precision that share a constant MFU.
        notes: how the row was read, and what the prediction is made of.
        fit_probability: that the run fits in memory; None where that was not asked.
        unread: cells whose words were not understood.
    """

    row: Mapping[str, str]
    regime: str
    measured: float | None
    predicted: float
    quantiles: Mapping[str, float]
    subset: Mapping[str, object]
    ideal: float | None = None
    constant_key: tuple[str, str] = ("", "")
    notes: tuple[str, ...] = ()
    fit_probability: float | None = None
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True)
class Omitted:
    """A row that was not predicted, and why."""

    id: str
    reason: str


class Predictor(Protocol):
    """Predicts rows of evidence."""

    def __call__(
        self, what: What, rows: Sequence[Mapping[str, str]], regime: Regime, /
    ) -> tuple[list[Predicted], list[Omitted], list[Omitted]]:
        """Predict rows.

        Args:
            what: what of them.
            rows: each with an ``id``.
            regime: which constants to use.

        Returns:
            The predictions; the rows that no one could predict (no measured value, shape or device count); and those
            that were skipped for another reason. Each row is in one of the three.
        """
        ...
