"""Predictions of rows of evidence, with a reason for each row without one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from costsim.evidence import cases, doubts, words
from costsim.evidence.cases import Case, UnpredictableError
from costsim.evidence.columns import blanked
from costsim.evidence.hours_rows import predict_hours
from costsim.evidence.measured import TERA, tokens_per_second
from costsim.evidence.memory_rows import predict_memory
from costsim.evidence.predict_step import as_read, chosen_layouts, log_seconds_per_token, steps, tokens_of
from costsim.evidence.predicted import Omitted, Predicted, Regime, What
from costsim.evidence.serving_rows import predict_serving
from costsim.evidence.table import shipped
from costsim.inputs import intervals
from costsim.inputs.fits import left_out_by, left_out_fits, step_fits
from costsim.training.adjust import adjustment
from costsim.training.flops import flops_per_token
from costsim.training.layout import Layout
from costsim.training.memory import fits


@dataclass(frozen=True)
class StepPrediction:
    """A step as predicted, without its answer.

    Attributes:
        case: the run.
        layouts: one for each precision that the row allows.
        seconds: of a step.
        tokens: of a step.
        ideal: seconds at the peak of the likeliest precision.
        by: log multipliers of the stack's constants that it was predicted with.
    """

    case: Case
    layouts: tuple[Layout, ...]
    seconds: float
    tokens: float
    ideal: float
    by: Mapping[str, float]


def predict(
    what: What, rows: Sequence[Mapping[str, str]], regime: Regime
) -> tuple[list[Predicted], list[Omitted], list[Omitted]]:
    """Predict rows of a table.

    Args:
        what: step, memory, hours or serving.
        rows: cells by column, answers included; predictions see none of those.
        regime: which rows the constants may have been fitted on.

    Returns:
        The predictions; rows without a measurement, a shape or a device count; rows that could not be predicted.
    """
    by_what = {"step": _step, "memory": predict_memory, "hours": predict_hours, "serving": predict_serving}
    done: list[Predicted] = []
    ineligible: list[Omitted] = []
    skipped: list[Omitted] = []
    for row in rows:
        try:
            made = by_what[what](row, regime)
        except UnpredictableError as reason:
            skipped.append(Omitted(row.get("id", ""), str(reason)))
            continue
        (ineligible if isinstance(made, Omitted) else done).append(made)  # type: ignore[arg-type]
    return done, ineligible, skipped


def step_prediction(row: Mapping[str, str], regime: str = "shipped") -> StepPrediction:
    """The step of a row.

    Args:
        row: its measured columns may be blank; they are not looked at.
        regime: whose constants.

    Raises:
        UnpredictableError: with the reason.
    """
    case = cases.case(blanked(row, "throughput"))
    values = step_fits().shipped
    if regime != "shipped":
        values = left_out_fits()[regime].get(left_out_by(regime, row, case.stack), values)
    by = adjustment(case.run, values)
    layouts = chosen_layouts(case, by)
    tokens = float(tokens_of(case, layouts[0]))
    seconds = float(np.exp(log_seconds_per_token(case, layouts, by))) * tokens
    per_token = float(flops_per_token(case.architecture, float(case.works[0].sequence_length)))
    ideal = per_token * tokens / (float(case.chips[0].matmul_flops) * case.devices)
    return StepPrediction(case, layouts, seconds, tokens, ideal, by)


def _step(row: Mapping[str, str], regime: Regime) -> Predicted | Omitted:
    name = row.get("id", "")
    reason = cases.ineligible(row)
    if reason:
        return Omitted(name, reason)
    if reason := doubts.impossible_share(row):
        raise UnpredictableError(reason)
    made = step_prediction(row, regime)
    case, work = made.case, made.case.works[0]
    batch = float(work.global_batch_sequences) if case.batch_known else None
    speed = tokens_per_second(row, case.devices, float(work.sequence_length), batch)
    beside: tuple[str, ...] = ()
    if speed is None:
        peak = float(case.chips[0].matmul_flops)
        speed = tokens_per_second(row, case.devices, float(work.sequence_length), batch, peak)
        beside += (f"measured: a share of the catalogue's {peak / TERA:,.0f} TFLOP/s in {case.precisions[0]}",)
    if speed is None:
        return Omitted(name, f"no speed is printed; predicted {made.seconds:.4g} s a step")
    mfu = made.ideal * speed * case.devices / made.tokens
    if reason := doubts.impossible_speed(case, mfu):
        raise UnpredictableError(reason)
    beside += tuple(doubts.of_the_speed(row, case, batch, mfu))
    group = row.get("source_group", "")
    of_class = intervals.class_of(case.has_layout, case.experts)
    errors = regime
    if regime == "shipped":
        errors = "known_stack" if group in _shipped_groups() else "new_source"
    return Predicted(
        row=row,
        regime=regime,
        measured=made.tokens / (speed * case.devices),
        predicted=made.seconds,
        quantiles=intervals.quantiles(made.seconds, errors, of_class, group if regime != "shipped" else ""),
        subset={"has_layout": case.has_layout, "experts": case.experts},
        ideal=made.ideal,
        constant_key=case.constant_key,
        notes=(*_notes(made, regime), *beside),
        unread=case.unread,
        fit_probability=_chance(made) if case.layout_settled else None,
    )


def _chance(made: StepPrediction) -> float:
    """Probability that a run whose layout is printed whole fits in memory."""
    case = made.case
    return float(fits(case.architecture, case.chips[0], case.constants(), made.layouts[0], case.works[0]))


def _shipped_groups() -> set[str]:
    return {row.cells.get("source_group", "") for row in shipped("throughput").rows}


def _notes(made: StepPrediction, regime: str) -> tuple[str, ...]:
    """How the row was read, and what its step is made of."""
    case = made.case
    terms = vars(steps(case, made.layouts, made.by)[0])
    total = sum(float(v) for v in terms.values())
    shares = [f"{k.removesuffix('_seconds').replace('_', ' ')} {float(v) / total:.0%}" for k, v in terms.items()]
    read = [
        *as_read(case, made.layouts[0]),
        f"step ({regime.replace('_', ' ')}): " + ", ".join(s for s in shares if not s.endswith(" 0%")),
    ]
    if words.quantization(case.row):
        read.append(f"low-precision products scaled by {words.quantization(case.row)}")
    return (*read, *case.taken, *(f"assumed: {text}" for text in doubts.of_the_layout(case, made.layouts[0])))
