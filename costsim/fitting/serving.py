"""The fit of serving engines: ``python -m costsim.fitting.serving``, to ``data/fits/serving.json``.

It reads ``data/evidence/serving.csv`` and ``data/fits/serving_priors.yaml``, and fits constants on all rows, and on
those without each model, each chip, and each tenth of the runs: with these `costsim validate` predicts the rest.

Method: Gauss-Newton on the log of throughput with Gaussian priors on the logs of constants, pseudo-Huber weights, and
rows of one run weighed by a power of their number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from costsim.evidence.cases import UnpredictableError
from costsim.evidence.columns import blanked
from costsim.evidence.serving_rows import ServingCase, measured, rate, run_of, serving_case
from costsim.evidence.table import shipped
from costsim.fitting.folds import DIGITS, FOLDER, lines
from costsim.inputs.catalogue import data_text
from costsim.inputs.serving_fit import EFFICIENCIES, OVERHEAD, REFERENCE, SOFTWARE, class_of
from costsim.inputs.yaml_source import read

if TYPE_CHECKING:
    from numpy.typing import NDArray

MADE_BY = "python -m costsim.fitting.serving"
STEP = 0.01
"""Of finite differences in a logarithm."""
ROUNDS, FARTHEST, CONVERGED = 25, 0.4, 1e-4
PARTS = 10
"""Runs are left out a tenth at a time."""


@dataclass(frozen=True)
class Data:
    """Rows to fit.

    Attributes:
        cases: as the model sees them.
        logs: log of measured throughput, shape ``(n,)``.
        labels: by regime, what each row's constants must not have seen; shape ``(n,)`` each.
        weights: of rows, shape ``(n,)``.
        ids: of the rows.
    """

    cases: Sequence[ServingCase]
    logs: NDArray[np.float64]
    labels: Mapping[str, NDArray[np.str_]]
    weights: NDArray[np.float64]
    ids: Sequence[str]


@dataclass(frozen=True)
class Priors:
    """Names of the constants, the logs of their centres, and the spreads of those; and how far a row may be off."""

    names: Sequence[str]
    centres: NDArray[np.float64]
    spreads: NDArray[np.float64]
    row_spread: float


def _priors_file() -> Any:
    file, text = data_text("fits/serving_priors.yaml")
    return read(text, file).value


def data() -> Data:
    """The shipped rows that can be predicted."""
    cases, logs, runs, ids = [], [], [], []
    for row in (r.cells for r in shipped("serving").rows):
        truth, seen = measured(row), blanked(row, "serving")
        if truth is None:
            continue
        try:
            case = serving_case(seen)
        except UnpredictableError:
            continue
        cases.append(case)
        logs.append(np.log(truth))
        runs.append(run_of(case, seen))
        ids.append(row["id"])
    many = Counter(runs)
    weights = np.array([many[run] ** -float(_priors_file()["repeats"]) for run in runs])
    labels = {
        "known_stack": np.array(runs),
        "new_model": np.array([case.served.name for case in cases]),
        "new_chip": np.array([case.accelerator.name for case in cases]),
    }
    return Data(cases, np.array(logs), labels, weights, ids)


def priors(cases: Sequence[ServingCase]) -> Priors:
    """Priors of the constants, and of the factors that these rows' chips have.

    NVIDIA's factors are one: another vendor's tell how much slower its chips are than NVIDIA's would be. Fixed times
    also differ by chip.
    """
    file = _priors_file()
    factors = file["factors"]
    named = [(name, float(known["centre"]), float(known["spread"])) for name, known in file["constants"].items()]
    for vendor in sorted({case.vendor for case in cases} - {REFERENCE}):
        named += [(f"{kind}.{vendor}", 1.0, float(factors[kind]["vendor"])) for kind in (SOFTWARE, OVERHEAD)]
    for chip in sorted({case.accelerator.name for case in cases}):
        named.append((f"{OVERHEAD}.{chip}", 1.0, float(factors[OVERHEAD]["chip"])))
    names, centres, spreads = zip(*named, strict=True)
    return Priors(names, np.log(np.array(centres)), np.array(spreads), float(file["row_spread"]))


def constants(names: Sequence[str], logs: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Constants from their logs, whose first axis is that of the names; no share is above one."""
    values = np.exp(logs)
    return {
        name: np.minimum(value, 1.0) if name in EFFICIENCIES else value
        for name, value in zip(names, values, strict=True)
    }


def errors(rows: Data, prior: Priors, which: Sequence[int], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of predicted over measured.

    Args:
        rows: all.
        prior: for the names.
        which: rows.
        logs: of the constants, shape ``(constants, k)``: k sets of them.

    Returns:
        Shape ``(rows, k)``.
    """
    values = constants(prior.names, logs)
    found = [np.log(np.broadcast_to(rate(rows.cases[row], values), logs.shape[1:])) - rows.logs[row] for row in which]
    return np.array(found)


def fit(
    rows: Data, prior: Priors, left_out: NDArray[np.bool_], start: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Logs of the constants that are likeliest given the rows that are not left out.

    Args:
        rows: all.
        prior: of the constants.
        left_out: which rows the fit must not see, shape ``(n,)``.
        start: where to begin; default the priors' centres.
    """
    which = np.flatnonzero(~left_out).tolist()
    logs = prior.centres.copy() if start is None else start.copy()
    moved = np.hstack([np.zeros((len(logs), 1)), STEP * np.eye(len(logs))])
    for _ in range(ROUNDS):
        made = errors(rows, prior, which, logs[:, None] + moved)
        error, slope = made[:, 0], (made[:, 1:] - made[:, :1]) / STEP
        scaled = error * rows.weights[which] / prior.row_spread
        weight = (rows.weights[which] / prior.row_spread) ** 2 / np.sqrt(1 + scaled**2)
        curvature = (slope * weight[:, None]).T @ slope + np.diag(prior.spreads**-2)
        gradient = (slope * weight[:, None]).T @ error + (logs - prior.centres) / prior.spreads**2
        change = np.linalg.solve(curvature, gradient)
        farthest = float(np.max(np.abs(change)))
        logs = logs - change * min(1.0, FARTHEST / farthest)
        if farthest < CONVERGED:
            break
    return np.round(logs, DIGITS)


def folds(labels: NDArray[np.str_], parts: int | None) -> list[tuple[list[str], NDArray[np.bool_]]]:
    """What is left out together, and which rows those are.

    Args:
        labels: of rows.
        parts: how many folds; None for one of each label.
    """
    named = sorted(set(labels.tolist()))
    count = parts or len(named)
    together = [named[part::count] for part in range(count)]
    return [(group, np.isin(labels, group)) for group in together]


def made() -> dict[str, object]:
    """The file: constants as shipped and of each fold, and the errors of rows predicted without themselves."""
    rows = data()
    prior = priors(rows.cases)
    nothing = np.zeros(len(rows.cases), dtype=np.bool_)
    shipped_logs = fit(rows, prior, nothing)
    values: dict[str, list[list[object]]] = {"shipped": [[[""], _rounded(prior, shipped_logs)]]}
    off: dict[str, list[list[object]]] = {}
    for regime, labels in rows.labels.items():
        error = np.zeros(len(rows.cases))
        values[regime], off[regime] = [], []
        for group, out in folds(labels, PARTS if regime == "known_stack" else None):
            logs = np.log(np.array(_rounded(prior, fit(rows, prior, out, shipped_logs))))
            values[regime].append([group, _rounded(prior, logs)])
            which = np.flatnonzero(out)
            error[which] = errors(rows, prior, which.tolist(), logs[:, None])[:, 0]
        off[regime] = [
            [name, class_of(case.vendor), label, round(abs(float(e)), DIGITS)]
            for name, case, label, e in zip(rows.ids, rows.cases, labels.tolist(), error, strict=True)
        ]
    return {"costsim": 1, "made_by": MADE_BY, "names": list(prior.names), "values": values, "errors": off}


def _rounded(prior: Priors, logs: NDArray[np.float64]) -> list[float]:
    return [float(f"{value:.4g}") for value in constants(prior.names, logs).values()]


def main() -> None:
    """Write the file."""
    FOLDER.joinpath("serving.json").write_text(lines(made()).replace(",[[", ",\n[["))


if __name__ == "__main__":
    main()
