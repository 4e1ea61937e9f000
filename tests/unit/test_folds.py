"""Fits that leave rows out: a shipped one can be made again alone, and does not see the rows that it leaves out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from costsim.fitting import folds
from costsim.fitting.priors import priors
from costsim.inputs.fits import left_out_fits, step_fits


@pytest.fixture(scope="module")
def refits():
    return folds.Refits(folds.evidence(priors()), step_fits().shipped)


@pytest.mark.parametrize(("regime", "keys"), [("new_stack", ["neuron"]), ("new_source", ["stas-alst"])])
def test_a_shipped_fit_is_what_the_script_makes_alone(refits, regime, keys):
    kept = left_out_fits()[regime][keys[0]]
    made = refits.without(regime, keys)
    assert made.keys() == kept.keys()
    # The start ships with four digits, and nothing below 0.0005.
    assert [made[key] for key in made] == pytest.approx([kept[key] for key in made], abs=2e-3)


def test_a_fit_does_not_see_what_it_leaves_out(refits):
    keys = ["stas-alst"]
    out = folds.out_of(refits.data, "new_source", keys)
    assert 0 < out.sum() < len(out)
    honest = refits.without("new_source", keys)
    problem = refits.data.problem
    lied = replace(problem)
    lied.log_measured = np.where(out, problem.log_measured + 1.0, problem.log_measured)
    elsewhere = folds.Refits(folds.Evidence(refits.data.rows, lied), step_fits().shipped)
    assert elsewhere.without("new_source", keys) == honest
