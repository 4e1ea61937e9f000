"""The first lines of a plan's page: cost, time, fit, loss and payback, each with its range and what it rests on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from costsim.render import numbers
from costsim.render.figures import Figures, words
from costsim.render.sections import brackets, layout_words, ordinal
from costsim.render.text import clean
from costsim.tree import is_number

_DEMAND, _PRICE = "peak_tokens_per_day", "usd_per_million_output_tokens"


@dataclass(frozen=True)
class Answer:
    """One line of the answer: a figure, its range, and what it rests on."""

    label: str
    value: str
    range: str
    details: tuple[str, ...]
    style: str = "strong"


def answers_of(f: Figures) -> list[Answer]:
    """The answer, line by line."""
    return [cost_answer(f), time_answer(f), fits_answer(f), loss_answer(f), repaid_answer(f)]


def cost_answer(f: Figures) -> Answer:
    """What the final run costs, on which basis, and the programme around it."""
    if not f.has("cost"):
        return _missing(f, "Cost", "cost")
    basis = clean(f.get("cost.basis"))
    rate = f" at {f.number('cost.usd_per_accelerator_hour')}" if f.value("cost.usd_per_accelerator_hour") else ""
    if rate and f.value("cost.items.unused_commitment_usd"):
        rate = f" with its whole term,{rate.removeprefix(' at')} of use"
    return Answer(
        "Cost",
        f.number("cost.total_usd"),
        brackets(f.range("cost.total_usd")),
        (f"final run, {basis}{rate}", f"programme {f.text('cost.programme_usd')}"),
    )


def time_answer(f: Figures) -> Answer:
    """How long the run takes on the wall clock, and the hours, MFU and goodput behind it."""
    if not f.has("run"):
        return _missing(f, "Time", "run")
    details = [f.text("run.accelerator_hours", "accelerator-hour")]
    if f.value("step.mfu") is not None:
        details.append(f"MFU {f.text('step.mfu')}")
    if f.value("run.goodput") is not None:
        details.append(f"goodput {f.text('run.goodput')}")
    return Answer("Time", f.number("run.wall_clock_days"), brackets(f.range("run.wall_clock_days")), tuple(details))


def fits_answer(f: Figures) -> Answer:
    """Whether it fits in memory; if not, by how much it does not, and the nearest layout that does."""
    if not f.has("memory"):
        return _missing(f, "Fits", "memory")
    peak, capacity = f.number("memory.peak_bytes"), f.number("memory.capacity_bytes")
    if peak.split()[-1] == capacity.split()[-1]:
        peak = peak.split()[0]
    probability = f"probability {f.number('memory.fit_probability')}" if f.value("memory.fit_probability") else ""
    if f.get("memory.fits"):
        return Answer("Fits", "yes", "", (f"{peak} of {capacity} an accelerator", probability), "good")
    largest = _largest_term(f)
    details = (f"needs {peak} of {capacity} an accelerator", largest, probability, *_advice(f))
    return Answer("Fits", "no", "", tuple(text for text in details if text), "bad")


def loss_answer(f: Figures) -> Answer:
    """The loss that the law predicts, and whether this run is inside what the law was fitted on."""
    if not f.has("loss"):
        return _missing(f, "Loss", "loss")
    unit = clean(f.get("loss.unit") or "nats/token")
    details = [f"{unit}, law {clean(f.get('loss.law'))}"]
    if f.get("loss.in_range") is False:
        details.append("beyond the runs it was fitted on")
    value = f.value("loss.final_loss")
    return Answer(
        "Loss",
        "-" if value is None else numbers.number(value),
        brackets(numbers.range_only(value, "", f.interval("loss.final_loss"))),
        tuple(details),
    )


def repaid_answer(f: Figures) -> Answer:
    """When the programme is repaid, how likely that is, or what it would take."""
    if not f.has("payback"):
        return _missing(f, "Repaid", "payback")
    details = [f"probability {f.number('payback.probability')}"] if f.value("payback.probability") is not None else []
    if f.get("payback.is_scenario"):
        details.append("a scenario, no forecast")
    life = f.resolved("demand.life")
    if f.get("payback.repaid"):
        details.append(f"NPV {f.text('payback.npv_usd')}")
        runway = f.value("clocks.runway_months")
        if runway is not None and runway < (f.value("payback.months") or 0):
            details.append(f"money ends in month {ordinal(f, 'clocks.runway_months')}, before that")
        span = brackets(f.range("payback.months"))
        return Answer("Repaid", f"month {ordinal(f, 'payback.months')}", span, tuple(details), "good")
    within = f"not within its {life}" if life else "not within the model's life"
    return Answer("Repaid", "no", "", (within, *details, *_would_need(f)), "bad")


def _would_need(f: Figures) -> list[str]:
    """What would repay it: the demand, or the price."""
    demand, price = (f.value(f"payback.needed.{name}.needed") for name in (_DEMAND, _PRICE))
    planned = f.value(f"payback.needed.{_DEMAND}.planned")
    pieces = []
    if demand is not None and planned:
        pieces.append(f"{numbers.number(demand / planned)} times the demand")
    if price is not None:
        pieces.append(f"a mean {f.number(f'payback.needed.{_PRICE}.needed')} of output")
    if not pieces:
        return ["no demand and no price would do"]
    return [f"{'or' if index else 'would need'} {piece}" for index, piece in enumerate(pieces)]


def note_on(f: Figures, section: str) -> str:
    """What the notes say a missing section needs; empty where they say nothing."""
    notes: Sequence[object] = f.plan.get("notes") or []
    return next((clean(note) for note in notes if re.match(rf"[\w, ]*\b{section}\b[\w, ]*:", str(note))), "")


def _missing(f: Figures, label: str, section: str) -> Answer:
    note = note_on(f, section)
    return Answer(label, "-", "", (note.split(": ", 1)[-1] if note else "not in this plan: see Notes",), "dim")


def _advice(f: Figures) -> list[str]:
    """What would fit, told beside what does not: a layout, perhaps on more accelerators, or a sentence."""
    found: Any = f.plan.get("layout_advice")
    if not isinstance(found, Mapping):
        return [clean(found)] if found else []
    layout, count = found.get("layout"), found.get("accelerators")
    lines = [f"would fit with {', '.join(layout_words(layout))}"] if isinstance(layout, Mapping) else []
    if isinstance(count, int | float):
        lines.append(f"would fit on {numbers.number(float(count), 'count')} accelerators")
    return lines or ["no layout found that fits"]


def _largest_term(f: Figures) -> str:
    terms = {k: v for k, v in (f.get("memory") or {}).items() if k.endswith("_bytes") and is_number(v)}
    parts = {k: v for k, v in terms.items() if k not in {"peak_bytes", "capacity_bytes"}}
    if not parts:
        return ""
    largest = max(parts, key=lambda key: parts[key])
    return f"most of it {words(largest)}, {f.number(f'memory.{largest}')}"
