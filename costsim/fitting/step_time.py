"""The fit of step times: log multipliers of stacks' constants, pooled, on the shipped evidence.

``python -m costsim.fitting.folds`` reads ``data/evidence/throughput.csv`` and ``data/fits/priors.yaml`` and writes
``data/fits/step.json``: the parameters fitted on all rows, and those of the fits that leave rows out, with which
`costsim validate` predicts them.

Method: Gauss–Newton on the log error with Gaussian priors, Huber weights, and rows of one model on one chip in one
source weighed by one over the square root of their number. Layouts that rows leave open are searched again as the
constants move.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from costsim.evidence.cases import Case
from costsim.evidence.predict_step import chosen_layouts, log_seconds_per_token
from costsim.fitting.priors import Priors
from costsim.training.adjust import HANDLES, Key, parameters_of
from costsim.training.layout import Layout

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 0.03
"""Of finite differences in a log multiplier: small beside its spread, large beside rounding."""
FARTHEST = 0.5
CONVERGED = 0.002


@dataclass
class Problem:
    """Rows to fit, and what they tell of which parameter.

    Attributes:
        cases: the rows as the model sees them.
        log_measured: log seconds per token, shape ``(n,)``.
        weights: of rows, shape ``(n,)``.
        priors: spreads and settings.
        names: the parameters.
        spread: prior standard deviation of each.
        design: weight of each parameter in each row's handles, shape ``(n, handles, parameters)``.
        layouts: of each row, one for each precision that it allows.
    """

    cases: Sequence[Case]
    log_measured: NDArray[np.float64]
    weights: NDArray[np.float64]
    priors: Priors
    names: list[Key] = field(init=False)
    spread: NDArray[np.float64] = field(init=False)
    design: NDArray[np.float64] = field(init=False)
    layouts: list[tuple[Layout, ...] | None] = field(init=False)

    def __post_init__(self) -> None:
        spreads, handles = self.priors.spreads, list(HANDLES)
        index: dict[Key, int] = {}
        entries = []
        for row, case in enumerate(self.cases):
            for key, weight in parameters_of(case.run, spreads):
                entries.append((row, handles.index(key[2]), index.setdefault(key, len(index)), weight))
        self.names = list(index)
        self.spread = np.array([self.priors.spread(key) for key in self.names])
        self.design = np.zeros((len(self.cases), len(handles), len(self.names)))
        for row, handle, parameter, weight in entries:
            self.design[row, handle, parameter] = weight
        self.layouts = [None] * len(self.cases)

    def handles_of(self, row: int, values: NDArray[np.float64]) -> dict[str, float]:
        """Log multipliers of a row's constants under some values of the parameters."""
        return dict(zip(HANDLES, (self.design[row] @ values).tolist(), strict=True))

    def choose(self, rows: Sequence[int], values: NDArray[np.float64]) -> None:
        """Choose the layouts of rows anew where they leave something open."""
        for row in rows:
            if self.layouts[row] is None or not self.cases[row].layout_settled:
                self.layouts[row] = chosen_layouts(self.cases[row], self.handles_of(row, values))

    def errors(
        self, rows: Sequence[int], values: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Log of predicted over measured, shape ``(rows,)``, and its derivative, shape ``(rows, parameters)``."""
        count = len(HANDLES)
        moved = np.vstack([np.zeros(count), STEP * np.eye(count)])
        found = np.empty((len(rows), count + 1))
        for place, row in enumerate(rows):
            base = self.handles_of(row, values)
            by = {handle: base[handle] + moved[:, i] for i, handle in enumerate(HANDLES)}
            layouts = self.layouts[row]
            assert layouts is not None
            found[place] = log_seconds_per_token(self.cases[row], layouts, by) - self.log_measured[row]
        slope = (found[:, 1:] - found[:, :1]) / STEP
        return found[:, 0], np.einsum("rh,rhp->rp", slope, self.design[list(rows)])


def fit(
    problem: Problem,
    left_out: NDArray[np.bool_],
    start: NDArray[np.float64] | None = None,
    rounds: int = 7,
    choose_at: Sequence[int] = (0, 2, 4),
) -> NDArray[np.float64]:
    """The parameters that are likeliest given the rows that are not left out.

    Args:
        problem: the rows.
        left_out: which rows the fit must not see, shape ``(n,)``.
        start: where to begin; default the priors.
        rounds: of Gauss–Newton.
        choose_at: rounds before which layouts are chosen anew.
    """
    rows = np.flatnonzero(~left_out & (problem.weights > 0)).tolist()
    values = np.zeros(len(problem.names)) if start is None else start.copy()
    for turn in range(rounds):
        if turn in choose_at:
            problem.choose(rows, values)
        error, slope = problem.errors(rows, values)
        huber = np.minimum(1.0, problem.priors.huber / np.maximum(np.abs(error), 1e-9))
        weight = problem.weights[rows] * huber / problem.priors.row_spread**2
        curvature = (slope * weight[:, None]).T @ slope + np.diag(problem.spread**-2)
        gradient = (slope * weight[:, None]).T @ error + values / problem.spread**2
        change = np.linalg.solve(curvature, gradient)
        farthest = float(np.max(np.abs(change), initial=0.0))
        values = values - change * min(1.0, FARTHEST / max(farthest, 1e-9))
        if farthest < CONVERGED and turn > max(choose_at):
            break
    return values


def base_model(row: Mapping[str, str]) -> str:
    """A model's name without its size and what follows."""
    return re.sub(r"[-_ ]?\d+(\.\d+)?[bt]\b.*", "", row.get("model", "").lower())


def weights(cases: Sequence[Case], flags: Sequence[str], priors: Priors) -> NDArray[np.float64]:
    """Weight of each row: shared among rows of one source, model family and chip, and less where a flag says so."""
    keys = [(c.row.get("source_group", ""), base_model(c.row), c.row.get("hardware", "")) for c in cases]
    many = Counter(keys)
    return np.array([many[k] ** -0.5 * priors.flag_weight(flag) for k, flag in zip(keys, flags, strict=True)])
