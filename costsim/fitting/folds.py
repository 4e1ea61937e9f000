"""Fits that leave rows out, and the files that ship of them: ``python -m costsim.fitting.folds``.

Three questions are asked of each row. How well is it predicted by constants that were fitted without it and its
near-duplicates (a known stack); without its whole source (a new source); without any row of its software (a new stack)?
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from costsim.evidence.cases import UnpredictableError, case, ineligible
from costsim.evidence.columns import blanked
from costsim.evidence.measured import tokens_per_second
from costsim.evidence.predict_step import chosen_layouts, log_seconds_per_token
from costsim.evidence.table import shipped
from costsim.fitting.priors import Priors, priors
from costsim.fitting.step_time import Problem, fit, weights
from costsim.inputs.fits import left_out_by, near_duplicates
from costsim.inputs.intervals import class_of
from costsim.training.adjust import Key, adjustment

FOLDER = Path(__file__).parents[1] / "data" / "fits"
DIGITS = 4
MADE_BY = "python -m costsim.fitting.folds"
REFIT_ROUNDS, REFIT_CHOOSE = 4, (1,)
"""A fit that leaves rows out starts from the one on all rows, and needs fewer rounds."""


@dataclass(frozen=True)
class Evidence:
    """The rows that a fit can use.

    Attributes:
        rows: as shipped.
        problem: the same as a fit sees them.
    """

    rows: list[Mapping[str, str]]
    problem: Problem


def evidence(settings: Priors) -> Evidence:
    """The shipped rows that have a speed, a shape and a device count."""
    rows, cases, speeds = [], [], []
    for row in (r.cells for r in shipped("throughput").rows):
        if ineligible(row):
            continue
        try:
            made = case(blanked(row, "throughput"))
        except UnpredictableError:
            continue
        work = made.works[0]
        batch = float(work.global_batch_sequences) if made.batch_known else None
        speed = tokens_per_second(row, made.devices, float(work.sequence_length), batch)
        if speed is not None:
            rows.append(row)
            cases.append(made)
            speeds.append(speed * made.devices)
    flags = [row.get("flag", "") for row in rows]
    return Evidence(rows, Problem(cases, -np.log(speeds), weights(cases, flags, settings), settings))


def partitions(data: Evidence, settings: Priors) -> dict[str, list[list[str]]]:
    """Which keys each fit leaves out, by regime.

    Near-duplicates are dealt to a few folds; sources and stacks are left out one by one.
    """
    near = sorted({near_duplicates(row) for row in data.rows})
    random.Random(settings.seed).shuffle(near)  # noqa: S311 - a deal of folds, no secret
    folds: list[list[str]] = [near[i :: settings.folds] for i in range(settings.folds)]
    return {
        "known_stack": folds,
        "new_source": [[group] for group in sorted({row.get("source_group", "") for row in data.rows})],
        "new_stack": [[stack] for stack in sorted({c.stack for c in data.problem.cases})],
    }


def out_of(data: Evidence, regime: str, keys: Sequence[str]) -> NDArray[np.bool_]:
    """Which rows a fit must not see: those of the keys, and the second printing of each of them."""
    own = [left_out_by(regime, row, c.stack) in set(keys) for row, c in zip(data.rows, data.problem.cases, strict=True)]
    told = {row.get("duplicate_key", "") for row, out in zip(data.rows, own, strict=True) if out} - {""}
    return np.array([out or row.get("duplicate_key", "") in told for row, out in zip(data.rows, own, strict=True)])


def named(problem: Problem, values: NDArray[np.float64]) -> dict[Key, float]:
    """Values by parameter, rounded as they ship."""
    return {key: round(float(value), DIGITS) for key, value in zip(problem.names, values, strict=True)}


class Refits:
    """Fits that leave rows out. Each starts where the fit on all rows ended, whatever was fitted before it.

    Args:
        data: the rows.
        everything: what was fitted on all of them, by parameter; 0 where one is absent.
    """

    def __init__(self, data: Evidence, everything: Mapping[Key, float]) -> None:
        self.data = data
        self.start = np.array([everything.get(key, 0.0) for key in data.problem.names])
        data.problem.choose(range(len(data.rows)), self.start)
        self.layouts = list(data.problem.layouts)

    def without(self, regime: str, keys: Sequence[str]) -> dict[Key, float]:
        """Parameters of the fit that does not see the rows of ``keys``."""
        problem = self.data.problem
        problem.layouts = list(self.layouts)
        values = fit(problem, out_of(self.data, regime, keys), self.start, REFIT_ROUNDS, REFIT_CHOOSE)
        return named(problem, values)


def fits(data: Evidence, settings: Priors) -> dict[str, Any]:
    """The fit on all rows, and those that leave rows out, as they ship."""
    problem = data.problem
    everything = named(problem, fit(problem, np.zeros(len(data.rows), dtype=bool)))
    refits = Refits(data, everything)
    found = {
        regime: [{"left_out": keys, "values": list(refits.without(regime, keys).values())} for keys in parts]
        for regime, parts in partitions(data, settings).items()
    }
    return {
        "costsim": 1,
        "made_by": MADE_BY,
        "rows": len(data.rows),
        "parameters": [list(key) for key in problem.names],
        "shipped": list(everything.values()),
        "left_out": found,
    }


def errors(data: Evidence, made: Mapping[str, Any]) -> dict[str, object]:
    """Log errors of predictions with constants that had not seen their rows: class, source group, size."""
    keys: list[Key] = [(kind, name, handle) for kind, name, handle in made["parameters"]]
    problem = data.problem
    found: dict[str, list[list[object]]] = {}
    for regime, parts in made["left_out"].items():
        values = {key: dict(zip(keys, p["values"], strict=True)) for p in parts for key in p["left_out"]}
        found[regime] = []
        for row, run, measured in zip(data.rows, problem.cases, problem.log_measured, strict=True):
            by = adjustment(run.run, values[left_out_by(regime, row, run.stack)])
            error = log_seconds_per_token(run, chosen_layouts(run, by), by) - measured
            of_class = class_of(run.has_layout, run.experts)
            found[regime].append([of_class, row.get("source_group", ""), round(abs(float(error)), DIGITS)])
    return {"costsim": 1, "made_by": MADE_BY, "regimes": found}


def main() -> None:
    """Fit, and write the files."""
    settings = priors()
    data = evidence(settings)
    made = fits(data, settings)
    left = errors(data, made)
    FOLDER.joinpath("step.json").write_text(lines(shipped_fit(data, made, left)))
    del made["shipped"]
    FOLDER.joinpath("step_folds.json").write_text(lines(made))
    FOLDER.joinpath("errors.json").write_text(lines(left))


LEAST = 0.0005
"""A log multiplier below this moves nothing that is printed, and does not ship."""


def shipped_fit(data: Evidence, made: Mapping[str, Any], left: Mapping[str, Any]) -> dict[str, object]:
    """What a plan reads: the parameters of the fit on all rows, and the spread of errors that it leaves elsewhere."""
    values = zip(made["parameters"], made["shipped"], strict=True)
    return {
        "costsim": 1,
        "made_by": MADE_BY,
        "rows": len(data.rows),
        "spread": {regime: spreads(rows) for regime, rows in left["regimes"].items()},
        "stacks": sorted({case.stack for case in data.problem.cases}),
        "parameters": [[*key, value] for key, value in values if abs(value) >= LEAST],
    }


NORMAL_90 = 1.6448536269514722


def spreads(rows: Sequence[Sequence[Any]]) -> dict[str, float]:
    """Standard deviation of the normal error whose 90 % interval is the one found, by class of row."""
    classes = sorted({row[0] for row in rows})
    found = {name: np.quantile([row[2] for row in rows if row[0] == name], 0.9) / NORMAL_90 for name in classes}
    return {name: round(float(value), DIGITS) for name, value in found.items()}


def lines(made: Mapping[str, object]) -> str:
    """JSON with a line for each entry, so that a change can be read."""
    return json.dumps(made, separators=(",", ":")).replace('],["', '],\n["').replace('{"left', '\n{"left') + "\n"


if __name__ == "__main__":
    main()
