"""What full runs take beside their steps and failures, and how far that differs.

Factors are of a log-linear fit on published runs (`costsim.fitting.hours`). A run's own organisation never counts,
neither in its factor nor in the errors that make its interval, so that the error of a prediction is a stranger's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from costsim.inputs.catalogue import data_text
from costsim.inputs.intervals import around

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONSTANT = "constant"
TRAITS = ("calendar", "unsaid", "benchmark", "unnamed", "no_layout")
"""What a run may take more for: what its hours hold (steps alone without a trait), and what its row does not print."""


@dataclass(frozen=True)
class RunErrors:
    """The fit on full runs.

    Attributes:
        factors: log factor by trait, by the organisation left out; "" for none.
        experts: whether the model of each run is a mixture of experts, shape ``(n,)``.
        groups: organisation of each run.
        logs: absolute log of predicted over measured hours of each run, predicted without its organisation.
    """

    factors: Mapping[str, Mapping[str, float]]
    experts: NDArray[np.bool_]
    groups: NDArray[np.str_]
    logs: NDArray[np.float64]

    def beside(self, traits: frozenset[str], but_group: str = "") -> float:
        """Factor on the hours of steps and failures.

        Args:
            traits: of the run, out of `TRAITS`.
            but_group: organisation whose runs do not count.
        """
        found = self.factors.get(but_group, self.factors[""])
        return float(np.exp(sum(found[trait] for trait in (CONSTANT, *sorted(traits)))))

    def quantiles(self, predicted: float, experts: bool, but_group: str = "") -> dict[str, float]:
        """Quantiles around a prediction, from the errors of other organisations' runs of the same class.

        The share that an interval holds is raised as a finite sample asks.

        Args:
            predicted: the centre.
            experts: whether the model is a mixture of experts.
            but_group: organisation whose runs do not count.
        """
        logs = self.logs[(self.experts == experts) & (self.groups != but_group)]
        raised = 1 + 1 / max(len(logs), 1)
        return around(predicted, lambda share: float(np.quantile(logs, min(1.0, share * raised))))


@cache
def run_errors() -> RunErrors:
    """As ``python -m costsim.fitting.hours`` made it (``data/fits/hours.json``)."""
    found = json.loads(data_text("fits/hours.json")[1])
    _, groups, experts, logs = (np.array(column) for column in zip(*found["errors"], strict=True))
    factors = {group: dict(zip((CONSTANT, *TRAITS), values, strict=True)) for group, values in found["factors"]}
    return RunErrors(factors, experts.astype(bool), groups, logs)
