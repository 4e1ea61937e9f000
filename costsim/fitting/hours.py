"""What full runs take beside steps and failures: ``python -m costsim.fitting.hours``, to ``data/fits/hours.json``.

A robust log-linear fit with Gaussian priors (``fit`` of ``data/run_hours.yaml``), on all shipped runs and without each
organisation in turn; and the errors of runs predicted without their organisation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from costsim.evidence import run_cases
from costsim.evidence.cases import UnpredictableError
from costsim.evidence.hours_rows import bare_hours, measured_hours
from costsim.evidence.table import group_of, shipped
from costsim.fitting.folds import DIGITS, FOLDER, lines
from costsim.inputs.run_errors import CONSTANT, TRAITS

MADE_BY = "python -m costsim.fitting.hours"
ROUNDS = 50


@dataclass(frozen=True)
class Runs:
    """The runs that a fit can use.

    Attributes:
        ids: of the rows.
        groups: organisations.
        experts: whether each is a mixture of experts.
        traits: design, shape ``(n, 1 + len(TRAITS))``.
        logs: log of measured hours over those of steps and failures.
    """

    ids: Sequence[str]
    groups: NDArray[np.str_]
    experts: Sequence[bool]
    traits: NDArray[np.float64]
    logs: NDArray[np.float64]


def runs() -> Runs:
    """The shipped runs that count and can be predicted."""
    ids, groups, experts, traits, logs = [], [], [], [], []
    for row in (r.cells for r in shipped("runs").rows):
        measured = measured_hours(row)
        if run_cases.ineligible(row) or measured is None:
            continue
        try:
            bare = bare_hours(row)
        except UnpredictableError:
            continue
        ids.append(row["id"])
        groups.append(group_of(row))
        experts.append(bare.run.case.experts)
        traits.append([1.0, *(float(trait in bare.run.traits) for trait in TRAITS)])
        logs.append(np.log(measured / bare.hours))
    return Runs(ids, np.array(groups), experts, np.array(traits), np.array(logs))


def fit(traits: NDArray[np.float64], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log factors that are likeliest given runs, by Huber weights (Huber 1964, doi 10.1214/aoms/1177703732).

    Args:
        traits: shape ``(n, k)``.
        logs: shape ``(n,)``.

    Returns:
        Shape ``(k,)``.
    """
    spreads = run_cases.silent().fit
    prior = np.diag(np.array([spreads[name] for name in (CONSTANT, *TRAITS)]) ** -2.0)
    row = spreads["row"]
    values: NDArray[np.float64] = np.zeros(traits.shape[1])
    for _ in range(ROUNDS):
        weight = np.minimum(1.0, row / np.maximum(np.abs(logs - traits @ values), 1e-9)) / row**2
        values[:] = np.linalg.solve((traits.T * weight) @ traits + prior, (traits.T * weight) @ logs)
    return np.round(values, DIGITS)


def made() -> dict[str, object]:
    """The file: factors on all runs and without each organisation; id, organisation, experts and error of each run."""
    data = runs()
    factors = {"": fit(data.traits, data.logs)}
    for group in sorted(set(data.groups.tolist())):
        others = data.groups != group
        factors[group] = fit(data.traits[others], data.logs[others])
    errors = [
        [name, group, experts, round(abs(float(traits @ factors[group] - log)), DIGITS)]
        for name, group, experts, traits, log in zip(
            data.ids, data.groups.tolist(), data.experts, data.traits, data.logs, strict=True
        )
    ]
    return {
        "costsim": 1,
        "made_by": MADE_BY,
        "factors": [[group, values.tolist()] for group, values in factors.items()],
        "errors": errors,
    }


def main() -> None:
    """Write the file."""
    FOLDER.joinpath("hours.json").write_text(lines(made()))


if __name__ == "__main__":
    main()
