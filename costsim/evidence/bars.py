"""The bars that predictions are held to: data in ``data/bars.yaml``."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from costsim.evidence.predicted import Regime, What
from costsim.inputs.catalogue import data_text
from costsim.inputs.yaml_source import read

GROUPS_LOST, REFUSED_RUNS = "groups_lost", "refused_runs"


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        what: of which predictions.
        regime: made with which constants.
        measure: the score that is held to it, `GROUPS_LOST` or `REFUSED_RUNS`.
        rows: which rows, by what they are told apart by; all of them where it is empty.
        at_least: the lower limit, or None.
        at_most: the upper limit, or None.
        least_rows: of fewer rows than this, a score says nothing.
    """

    what: What
    regime: Regime
    measure: str
    rows: Mapping[str, object] = field(default_factory=dict)
    at_least: float | None = None
    at_most: float | None = None
    least_rows: int = 1

    def met(self, value: float | None, rows: int) -> bool | None:
        """Whether a score of so many rows is within the limits; None where it says nothing."""
        if value is None or rows < self.least_rows:
            return None
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)


@functools.cache
def bars() -> tuple[Bar, ...]:
    """All bars, in the order of their file."""
    file, text = data_text("bars.yaml")
    content: Any = read(text, file).value
    return tuple(Bar(**entry) for entry in content["bars"])
