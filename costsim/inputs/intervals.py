"""How far a measurement may lie from its prediction: quantiles of the errors of predictions that had not seen it.

Errors of rows are told apart by what makes them large: experts, and layouts that are not printed. A row's interval
comes from the errors of other sources only, so that its coverage means something.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from costsim.inputs.catalogue import data_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = {"p5": -0.9, "p10": -0.8, "p25": -0.5, "p75": 0.5, "p90": 0.8, "p95": 0.9}
"""Central share of the interval that a quantile ends, with the sign of its side."""


WITHIN_SOURCE = 0.5
"""Correlation of errors within a source: the intraclass correlation of the absolute log errors of dense rows in
``data/fits/errors.json``, each predicted without its source, is 0.50."""


def class_of(has_layout: bool, experts: bool) -> str:
    """The class of a row."""
    return "experts" if experts else "layout" if has_layout else "no layout"


@dataclass(frozen=True)
class Errors:
    """Log errors of one regime's predictions.

    Attributes:
        classes: of each row.
        groups: source group of each row.
        logs: absolute log of predicted over measured.
    """

    classes: NDArray[np.str_]
    groups: NDArray[np.str_]
    logs: NDArray[np.float64]

    def half_width(self, share: float, of_class: str, but_group: str = "") -> float:
        """Log half-width of the central interval that holds a share of the errors of a class.

        The share is raised as a finite sample asks (Vovk et al. 2005, conformal prediction: by one over the sample).
        Errors of one source resemble each other, so that the sample is that of the rows over their design effect
        (Kish 1965, section 5.4), with a correlation of `WITHIN_SOURCE`.

        Args:
            share: such as 0.8.
            of_class: of the row.
            but_group: source group whose errors do not count.
        """
        use = (self.classes == of_class) & (self.groups != but_group)
        rows, sources = int(use.sum()), len(set(self.groups[use].tolist()))
        effective = rows / (1 + (rows / max(sources, 1) - 1) * WITHIN_SOURCE)
        return float(np.quantile(self.logs[use], min(1.0, share * (1 + 1 / max(effective, 1.0)))))


@cache
def errors() -> Mapping[str, Errors]:
    """Errors by regime, as the fits that leave rows out made them (``data/fits/errors.json``)."""
    found = json.loads(data_text("fits/errors.json")[1])
    return {
        regime: Errors(*(np.array(column) for column in zip(*rows, strict=True)))
        for regime, rows in found["regimes"].items()
    }


def quantiles(predicted: float, regime: str, of_class: str, but_group: str = "") -> dict[str, float]:
    """Quantiles around a prediction.

    Args:
        predicted: the centre.
        regime: whose errors.
        of_class: of the row.
        but_group: source group whose errors do not count.
    """
    table = errors()[regime]
    return around(predicted, lambda share: table.half_width(share, of_class, but_group))


def around(predicted: float, half_width: Callable[[float], float]) -> dict[str, float]:
    """Quantiles of a prediction whose error is symmetric in logarithms.

    Args:
        predicted: the centre.
        half_width: log half-width of the central interval that holds a share.
    """
    widths = {share: half_width(share) for share in {abs(level) for level in LEVELS.values()}}
    return {name: predicted * float(np.exp(np.sign(level) * widths[abs(level)])) for name, level in LEVELS.items()}
