"""Predictions of published steps: they do not see the answer, and the shipped fit is the one that the script makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from costsim.evidence.columns import blanked, is_answer
from costsim.evidence.predictions import predict, step_prediction
from costsim.evidence.table import shipped
from costsim.fitting import folds
from costsim.fitting.priors import priors
from costsim.fitting.step_time import fit
from costsim.inputs.fits import left_out_by, left_out_fits, step_fits
from costsim.training.adjust import HANDLES, Run, adjustment

ROWS = [row.cells for row in shipped("throughput").rows]
PREDICTED = {p.row["id"]: p for p in predict("step", ROWS, "shipped")[0]}
SOME = [row for row in ROWS if row["id"] in PREDICTED][::6]


@pytest.mark.parametrize("row", SOME, ids=lambda row: row["id"])
def test_a_prediction_does_not_see_the_answer(row: dict[str, str]) -> None:
    said = PREDICTED[row["id"]].predicted
    assert step_prediction(blanked(row, "throughput")).seconds == said
    tenfold = {k: f"{float(v) * 10}" if is_answer("throughput", k) and _number(v) else v for k, v in row.items()}
    assert step_prediction(tenfold).seconds == said


def _number(cell: str) -> bool:
    try:
        return bool(cell) and np.isfinite(float(cell))
    except ValueError:
        return False


def test_a_row_without_a_speed_is_ineligible_and_tells_its_prediction() -> None:
    done, ineligible, skipped = predict("step", [blanked(SOME[0], "throughput")], "shipped")
    assert (done, skipped) == ([], [])
    assert "predicted" in ineligible[0].reason


def test_an_unknown_accelerator_is_skipped_with_its_name() -> None:
    _, _, skipped = predict("step", [{**SOME[0], "hardware": "Z9000"}], "shipped")
    assert "Z9000" in skipped[0].reason


def test_a_stack_without_rows_has_its_familys_constants() -> None:
    fits = step_fits()
    plain = {"accelerator": "h100-sxm", "generation": "hopper", "precision": "bf16"}
    one, other = (adjustment(Run(stack=name, family="megatron", **plain), fits.shipped) for name in ("new", "newer"))
    assert one == other
    assert set(one) == set(HANDLES)
    assert any(one.values())


def test_a_shipped_fold_predicts_what_its_fit_does_when_run_again() -> None:
    """Alone, a fold starts from other layouts than in the script, which goes from fold to fold: parameters of stacks
    whose layouts are searched may settle elsewhere, predictions of the rows left out do not."""
    settings = priors()
    data = folds.evidence(settings)
    problem, group = data.problem, "mcore-0.8-weak"
    everything = np.array([step_fits().shipped.get(key, 0.0) for key in problem.names])
    assert len(everything) < len(data.rows)
    problem.choose(range(len(data.rows)), everything)
    out = folds.out_of(data, "new_source", [group])
    again = fit(problem, out, everything, folds.REFIT_ROUNDS, folds.REFIT_CHOOSE)
    saved = np.array([left_out_fits()["new_source"][group][key] for key in problem.names])
    rows = np.flatnonzero(out).tolist()
    assert problem.errors(rows, again)[0] == pytest.approx(problem.errors(rows, saved)[0], abs=0.02)


def test_no_answer_moves_what_is_told_of_a_step() -> None:
    """Centre, quantiles, ideal and notes, through the door that `costsim validate` uses."""
    rows = SOME[::4]
    wrong = [
        {k: f"{float(v) * 0.9}" if is_answer("throughput", k) and _number(v) else v for k, v in row.items()}
        for row in rows
    ]

    def of_inputs(one: Any) -> list[str]:  # answers that disagree with each other are told too
        return [note for note in one.notes if "not used" not in note and "makes" not in note]

    told = [PREDICTED[row["id"]] for row in rows]
    found = predict("step", wrong, "shipped")[0]
    assert len(found) == len(rows)
    for one, other in zip(told, found, strict=True):
        assert (one.predicted, one.quantiles, one.ideal) == (other.predicted, other.quantiles, other.ideal)
        assert of_inputs(one) == of_inputs(other)
        assert one.measured != other.measured


@pytest.mark.parametrize("regime", ["known_stack", "new_source", "new_stack"])
def test_the_constants_of_a_regime_have_not_seen_the_row(regime: str) -> None:
    row = SOME[0]
    made = step_prediction(row, regime)
    key = left_out_by(regime, row, made.case.stack)
    assert made.by == adjustment(made.case.run, left_out_fits()[regime][key])
    assert made.by != adjustment(made.case.run, step_fits().shipped)
