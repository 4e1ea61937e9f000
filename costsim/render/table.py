"""A plan as a page to read: the answer in five lines, then what it is made of, in the order of the questions asked."""

from __future__ import annotations

import math
from collections.abc import Sequence

from costsim.inputs.measured import left_aside
from costsim.render import investment, numbers, sections
from costsim.render.answers import answers_of
from costsim.render.explain import explain_lines
from costsim.render.figures import Figures, PlanDict
from costsim.render.text import NARROWEST, Line, Screen, Span, clean, columns, fold, hang, item, page, prose, width

LABEL_WIDTH = 10
_WIDEST = 120
_ROOM_FOR_DETAILS = 24  # below this, details go under their figure


def render(plan: PlanDict, screen: Screen, *, quiet: bool = False, verbose: bool = False) -> str:
    """Render a plan's JSON as a page.

    Args:
        plan: the JSON of a plan, ``Plan.to_dict()``.
        screen: width, encoding and colour of the output.
        quiet: the headline and the answer only, and what the answer leaves aside though the scenario names it.
        verbose: every assumption, and breakdown terms that are zero.
    """
    lines = [*headline(plan, screen), [], *answer(plan, screen)]
    lines += _ignored(plan, screen) if quiet else blocks(plan, screen, verbose=verbose)
    if plan.get("explain"):
        lines += [[], [Span("Explained", "label")], *explain_lines(plan["explain"], columns_of(screen))]
    return page([*lines, [], *footer(plan, screen)], screen)


def headline(plan: PlanDict, screen: Screen) -> list[Line]:
    """What the plan is of: name, accelerators and tokens, the start, and the question it answers."""
    figures = Figures(plan)
    accelerators, device = figures.resolved("cluster.accelerators"), figures.resolved("cluster.accelerator")
    tokens = figures.number("run.tokens") if figures.has("run") else _with_unit(figures.resolved("training.tokens"))
    start = figures.resolved("start")
    degrees = [figures.value(f"layout.{key}") for key in ("tensor", "pipeline", "context", "data")]
    if None not in degrees:  # their product is the cluster, however the scenario spells it
        accelerators = f"{math.prod(degree or 0.0 for degree in degrees):,.0f}"
    pieces = [
        Span(clean(figures.get("scenario.name") or "unnamed"), "title"),
        Span(f"{accelerators} × {device}" if device else "", "title"),
        Span(tokens, "title"),
        Span(f"from {start}" if start else "", "dim"),
    ]
    question = figures.resolved("question")
    lines = fold(pieces, columns_of(screen))
    return lines + (prose(question, columns_of(screen), "dim") if question else [])


def answer(plan: PlanDict, screen: Screen) -> list[Line]:
    """The answer: cost, time, fit, loss and payback, each with its range and what it rests on."""
    figures = Figures(plan)
    rows = answers_of(figures)
    room = columns_of(screen)
    cells = columns([[Span(row.label, "label"), Span(row.value, row.style), Span(row.range)] for row in rows], "lll")
    indent = max(sum(width(span.text) for span in line) for line in cells) + 2
    lines: list[Line] = []
    for cell, row in zip(cells, rows, strict=True):
        if room - indent >= _ROOM_FOR_DETAILS:
            details = fold([Span(text) for text in row.details], room - indent) or [[]]
            used = sum(width(span.text) for span in cell)
            lines.append([*cell, Span(" " * (indent - used)), *details[0]])
            lines += [[Span(" " * indent), *line] for line in details[1:]]
        else:
            lines.append(cell)
            details = fold([Span(text) for text in row.details], room - LABEL_WIDTH)
            lines += [[Span(" " * LABEL_WIDTH), *line] for line in details]
    return lines


def _ignored(plan: PlanDict, screen: Screen) -> list[Line]:
    """Notes on a calibration that the scenario names and the plan does not use."""
    found = list(map(clean, left_aside(map(str, plan.get("notes") or []))))
    room = columns_of(screen) - LABEL_WIDTH
    return [[], *hang("Notes", _items(found, room, "warn"), LABEL_WIDTH)] if found else []


def blocks(plan: PlanDict, screen: Screen, *, verbose: bool) -> list[Line]:
    """What the answer is made of, a labelled block a topic; a topic without content is left out."""
    figures = Figures(plan)
    room = columns_of(screen) - LABEL_WIDTH
    contents = {
        "Model": sections.model(figures, room),
        "Step": sections.step(figures, room, verbose=verbose),
        "Memory": sections.memory(figures, room),
        "Run": sections.run(figures, room),
        "Money": sections.money(figures, room, verbose=verbose),
        "Loss": sections.loss(figures, room),
        "Serving": sections.serving(figures, room, verbose=verbose),
        "Payback": investment.payback(figures, room),
        "Clocks": investment.clocks(figures, room),
        "Drivers": investment.drivers(figures, room, verbose=verbose),
        "Assumed": sections.assumed(figures, room, verbose=verbose),
        "Coverage": sections.coverage(figures, room),
        "Notes": _items([clean(note) for note in plan.get("notes") or []], room),
        "Warnings": _items([_warning(item) for item in plan.get("warnings") or []], room, "warn"),
    }
    lines: list[Line] = []
    for label, content in contents.items():
        if content:
            lines += [[], *hang(label, content, LABEL_WIDTH)]
    return lines


def footer(plan: PlanDict, screen: Screen) -> list[Line]:
    """How the figures were made, so that they can be made again; marks a file as one of costsim's."""
    draws = Figures(plan).get("scenario.resolved.uncertainty.draws")
    seed = Figures(plan).get("scenario.resolved.uncertainty.seed")
    pieces = [Span("costsim plan", "dim")]
    if plan.get("intervals"):
        pieces.append(Span("ranges are 90 % intervals", "dim"))
        if draws is not None:
            pieces.append(Span(f"{numbers.number(float(draws), 'count')} draws", "dim"))
        if seed is not None:
            pieces.append(Span(f"seed {seed}", "dim"))
    return fold(pieces, columns_of(screen))


def columns_of(screen: Screen) -> int:
    """Columns to fold to: no narrower than 40, where folding stops to help, and no wider than reads well."""
    return min(max(screen.width, NARROWEST), _WIDEST)


def _items(texts: Sequence[str], room: int, style: str = "") -> list[Line]:
    return [line for text in texts for line in item(text, room, style)]


def _warning(item: object) -> str:
    if isinstance(item, dict):
        path, message = clean(item.get("path") or ""), clean(item.get("message") or "")
        return f"{path}: {message}" if path else message
    return clean(item)


def _with_unit(tokens: str) -> str:
    return tokens if not tokens or "tok" in tokens else f"{tokens} tokens"
