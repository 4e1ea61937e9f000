"""What drives a plan: its cost, time and payback over the ranges of the scenario, through the plan's own functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from costsim.evaluate import evaluate
from costsim.inputs.build import Drawn, build, uncertain
from costsim.inputs.field_units import unit_of_input
from costsim.inputs.scenario import Scenario
from costsim.training.layout import Layout
from costsim.uncertainty.draws import middle
from costsim.uncertainty.ranges import Num, Range
from costsim.uncertainty.sensitivity import Index, Swing, indices, tornado

OUTPUTS = (
    "payback.npv_usd",
    "payback.repaid",
    "cost.programme_usd",
    "cost.total_usd",
    "run.wall_clock_days",
)
"""What is asked about. The variance of ``payback.repaid``, which is 1 or 0, is that of the payback's probability."""
RESIDUAL = "step.residual"
"""Name of the spread of the step-time model itself, which is an input like any other here."""


def sensitivity(scenario: Scenario, layouts: Sequence[Layout], point: Mapping[str, Num]) -> dict[str, Any]:
    """The ``sensitivity`` section of a plan's JSON.

    An output that the plan lacks is left out, and so is one that some point of the ranges leaves without an answer.

    Args:
        scenario: with its ranges.
        layouts: of the run's phases, chosen at the centre.
        point: figures of the plan at the centre.
    """
    wanted = [path for path in OUTPUTS if path in point]
    inputs = uncertain(scenario)
    centre = build(scenario, Drawn.centre(scenario)).training
    spread = middle(centre.stack.residual)
    if centre.mfu is None and spread > 0:
        inputs[RESIDUAL] = Range("lognormal", 0.0, spread, lower=float(point["step.hfu"]))  # as in the draws

    def model(columns: Mapping[str, Num]) -> dict[str, Any]:
        case = build(scenario, Drawn.at(scenario, columns))
        values = evaluate(case, layouts, columns.get(RESIDUAL, 1.0)).values
        return {path: np.asarray(values.get(path, np.nan)) for path in wanted}

    fields = scenario.fields.uncertainty
    swings = tornado(model, inputs) if inputs else {}
    shares = indices(model, inputs, fields.sensitivity_points, fields.seed) if inputs else {}
    outputs = [_output(path, swings[path], shares[path]) for path in wanted if path in swings and path in shares]
    moving = {row["path"] for output in outputs for name in ("tornado", "sobol") for row in output[name]}
    return {
        "points": fields.sensitivity_points,
        "seed": fields.seed,
        "inputs": [_input(path, item) for path, item in inputs.items() if path in moving],
        "outputs": outputs,
    }


def _input(path: str, item: Range) -> dict[str, Any]:
    low, high = item.interval90()
    return {"path": path, "unit": unit_of_input(path), "p5": low, "centre": item.centre(), "p95": high}


def _output(path: str, swings: Sequence[Swing], shares: Sequence[Index]) -> dict[str, Any]:
    """What drives one output; inputs that do not move it are left out."""
    return {
        "output": path,
        "tornado": [
            {"path": s.path, "p5": s.low, "p95": s.high, "at_p5": s.at_low, "at_p95": s.at_high}
            for s in swings
            if s.size > 0
        ],
        "sobol": [
            {"path": s.path, "first_order": s.first_order, "total_order": s.total_order}
            for s in shares
            if s.total_order > 0
        ],
    }
