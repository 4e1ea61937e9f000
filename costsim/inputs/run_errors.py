"""What full runs take beside their steps and failures, and how far that differs: errors of runs, by class.

A run's own organisation never counts, so that the error of a prediction is that of a stranger's run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from costsim.inputs.catalogue import data_text
from costsim.inputs.intervals import LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray


def class_of(scope: str, experts: bool) -> str:
    """The class of a run: by what its hours hold, and whether the model has experts."""
    return "experts" if experts else scope


@dataclass(frozen=True)
class RunErrors:
    """Log of measured over bare hours (`costsim.evidence.hours_rows.bare_hours`) of the shipped runs.

    Attributes:
        classes: of each run, shape ``(n,)``.
        groups: organisation of each run.
        logs: of measured over bare hours.
    """

    classes: NDArray[np.str_]
    groups: NDArray[np.str_]
    logs: NDArray[np.float64]

    def beside(self, of_class: str, but_group: str = "") -> float:
        """Factor on bare hours: the median of a class.

        Args:
            of_class: of the run.
            but_group: organisation whose runs do not count.
        """
        return float(np.exp(self._centre(of_class, but_group)))

    def quantiles(self, predicted: float, of_class: str, but_group: str = "") -> dict[str, float]:
        """Quantiles around a prediction: of what is left when each other organisation's runs are predicted by the rest.

        The share that an interval holds is raised as a finite sample asks.

        Args:
            predicted: the centre.
            of_class: of the run.
            but_group: organisation whose runs do not count.
        """
        left = self._left(of_class, but_group)
        shares = {name: min(1.0, abs(level) * (1 + 1 / len(left))) for name, level in LEVELS.items()}
        return {
            name: predicted * float(np.exp(np.sign(level) * np.quantile(left, shares[name])))
            for name, level in LEVELS.items()
        }

    def _centre(self, of_class: str, *but: str) -> float:
        use = (self.classes == of_class) & ~np.isin(self.groups, but)
        return float(np.median(self.logs[use])) if use.any() else 0.0

    def _left(self, of_class: str, but_group: str) -> NDArray[np.float64]:
        """Absolute errors of other organisations' runs, each predicted without its own."""
        found = [
            abs(log - self._centre(str(of), str(group), but_group))
            for of, group, log in zip(self.classes, self.groups, self.logs, strict=True)
            if group != but_group
        ]
        return np.array(found)


@cache
def run_errors() -> RunErrors:
    """As `python -m costsim.fitting.hours` made them (``data/fits/hours.json``)."""
    found = json.loads(data_text("fits/hours.json")[1])
    classes, groups, logs = (np.array(column) for column in list(zip(*found["runs"], strict=True))[1:])
    return RunErrors(classes, groups, logs)
