"""Device-hours of published full runs, predicted from tokens, shape, hardware and layout, with goodput and intervals.

Hours are tokens times seconds per token times devices, over the goodput of the failure model, times what runs like it
take beside: published hours hold evaluations, restarts, slow phases, and software and layouts that are less good than
what is assumed where nothing is printed. The factor is from other organisations' runs (`costsim.inputs.run_errors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from costsim.evidence import doubts, run_cases
from costsim.evidence.columns import blanked
from costsim.evidence.predict_step import as_read, chosen_layouts, log_seconds_per_token
from costsim.evidence.predicted import Omitted, Predicted, Regime
from costsim.evidence.run_cases import RunCase, run_case
from costsim.evidence.table import group_of, number
from costsim.inputs.fits import left_out_fits, step_fits
from costsim.inputs.run_errors import run_errors
from costsim.training.adjust import adjustment
from costsim.training.flops import flops_per_token
from costsim.training.goodput import goodput, overhead
from costsim.training.layout import Layout

HOUR = 3600.0


@dataclass(frozen=True)
class Hours:
    """Device-hours of a run before what other runs take beside.

    Attributes:
        run: the run.
        layout: of its step.
        hours: in the units that the row counts.
        goodput: of the failure model.
        ideal: hours at an MFU of one.
    """

    run: RunCase
    layout: Layout
    hours: float
    goodput: float
    ideal: float


def bare_hours(row: Mapping[str, str], regime: str = "shipped") -> Hours:
    """Steps and failures of a run.

    Full runs are not among the rows that the constants were fitted on, so that of the regimes only ``new_stack`` has
    constants of its own.

    Args:
        row: its measured columns may be blank; they are not looked at.
        regime: whose constants.

    Raises:
        UnpredictableError: with the reason.
    """
    run = run_case(blanked(row, "runs"))
    case = run.case
    values = step_fits().shipped
    if regime == "new_stack":
        values = left_out_fits()[regime].get(case.stack, values)
    by = adjustment(case.run, values)
    layouts = chosen_layouts(case, by)
    seconds = float(np.exp(log_seconds_per_token(case, layouts, by)))
    useful = 1.0
    if run.scope in ("unsaid", "calendar"):
        useful = float(goodput(overhead(case.devices, run_cases.failures())))
    devices = case.devices * run.units
    flops = float(flops_per_token(case.architecture, float(case.works[0].sequence_length)))
    ideal = run.tokens * flops / float(case.chips[0].matmul_flops) * run.units / HOUR
    return Hours(run, layouts[0], run.tokens * seconds * devices / HOUR / useful, useful, ideal)


def measured_hours(row: Mapping[str, str]) -> float | None:
    """Device-hours of a run as the table has them; None where there are none."""
    return number(row, "device_hours_used") or number(row, "reported_device_hours")


def predict_hours(row: Mapping[str, str], regime: Regime) -> Predicted | Omitted:
    """Device-hours of a row of full runs.

    Args:
        row: cells by column, answers included; the prediction sees none of those.
        regime: which rows the constants may have been fitted on.

    Raises:
        UnpredictableError: with the reason.
    """
    name = row.get("id", "")
    measured = measured_hours(row)
    reason = run_cases.ineligible(row)
    if reason is None and measured is None:
        reason = "no device-hours are printed"
    if reason:
        return Omitted(name, reason)
    made = bare_hours(row, regime)
    case = made.run.case
    group, errors = group_of(row), run_errors()
    beside = errors.beside(made.run.traits, group)
    predicted = made.hours * beside
    return Predicted(
        row=row,
        regime=regime,
        measured=measured,
        predicted=predicted,
        quantiles=errors.quantiles(predicted, case.experts, group),
        subset={},
        ideal=made.ideal,
        constant_key=case.constant_key,
        notes=_notes(row, made, beside),
        unread=case.unread,
    )


def _notes(row: Mapping[str, str], made: Hours, beside: float) -> tuple[str, ...]:
    """How the row was read, and what its hours are made of."""
    case = made.run.case
    return (
        *as_read(case, made.layout),
        f"hours: {made.run.scope}; goodput {made.goodput:.2f}; runs like it take {beside:.2f}x beside",
        *(f"assumed: {text}" for text in made.run.assumed),
        *case.taken,
        *(f"assumed: {text}" for text in doubts.of_the_layout(case, made.layout)),
        *doubts.of_the_hours(row),
    )
