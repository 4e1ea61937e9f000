"""Plans side by side: quantities down, scenarios across, and blocks or lists where the screen is too narrow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from costsim.explain import declared
from costsim.render import numbers
from costsim.render.figures import Figures, label_of, short, unit_of
from costsim.render.flat import csv_text, label, markdown_table, markdown_text
from costsim.render.table import columns_of
from costsim.render.text import Line, Screen, Span, clean, columns, hang, page, prose, width
from costsim.tree import is_number

Comparison = Mapping[str, Any]

KEY_RESULTS = (
    "cost.total_usd", "cost.programme_usd", "cost.usd_per_accelerator_hour", "cost.bases.rent_usd",
    "cost.bases.own_usd", "cost.bases.amortised_usd", "cost.bases.purchase_usd", "run.wall_clock_days",
    "run.accelerator_hours", "run.energy_kwh", "run.carbon_tonnes", "memory.fits", "memory.peak_bytes",
    "step.step_seconds", "step.mfu", "run.goodput", "compute.model_flops", "loss.final_loss",
    "serving.output_tokens_per_second_per_accelerator", "serving.usd_per_million_output_tokens",
    "serving.training_usd_per_million_tokens", "payback.repaid", "payback.months", "payback.probability",
    "payback.npv_usd", "payback.moic", "clocks.runway_months", "clocks.regime",
)  # fmt: skip
_ALWAYS = ("cost.total_usd", "run.wall_clock_days", "memory.fits")
_LABEL_WIDTH = 20
_NARROWEST = 13  # columns of a scenario
_NO_BETTER = ""
_BEST = "*"


@dataclass(frozen=True)
class Row:
    """A quantity of every scenario: values and ranges as text, absolute and relative differences, and the best ones."""

    label: str
    values: tuple[str, ...]
    ranges: tuple[str, ...] = ()
    changes: tuple[tuple[str, ...], ...] = ()
    best: tuple[int, ...] = ()


def render(comparison: Comparison, screen: Screen, *, verbose: bool = False) -> str:
    """A comparison as a page; with ``verbose`` every result that differs instead of the main ones."""
    plans = [Figures(plan) for plan in comparison["scenarios"]]
    names = letters(len(plans))
    room = columns_of(screen)
    lines: list[Line] = [[Span(f"{len(plans)} scenarios", "title")], []]
    for name, plan in zip(names, plans, strict=True):
        lines += hang(f"  {name}", prose(_name(plan), room - 5), 5)
    inputs = input_rows(comparison)
    lines += [[], [Span("Inputs that differ", "label")]]
    lines += _table(inputs, names, room) if inputs else [[Span("  none")]]
    results = result_rows(comparison, verbose=verbose)
    best = any(row.best for row in results)
    lines += [[], [Span("Results", "label"), Span(f"   {_BEST} the better" if best else "", "dim")]]
    lines += _table(results, names, room)
    hidden = len([item for item in comparison["differences"] if item["kind"] == "output"]) - len(results)
    lines += [[Span(f"  {hidden} more that differ: -v", "dim")]] if hidden > 0 and not verbose else []
    notes = [clean(note) for note in comparison.get("notes") or []]
    lines += [[], *hang("Notes", [line for note in notes for line in prose(note, room - 10)], 10)] if notes else []
    return page([*lines, [], [Span("costsim compare", "dim")]], screen)


def to_markdown(comparison: Comparison) -> str:
    """A comparison as Markdown: every input that differs, then every result that does."""
    plans = [Figures(plan) for plan in comparison["scenarios"]]
    titles = [f"{name}: {_name(plan)}" for name, plan in zip(letters(len(plans)), plans, strict=True)]
    inputs = [[row.label, *row.values] for row in input_rows(comparison)]
    results = [
        [row.label, *(_cell(row, i) for i in range(len(plans)))] for row in result_rows(comparison, verbose=True)
    ]
    parts = [
        "<!-- costsim compare -->",
        f"# {len(plans)} scenarios",
        f"## Inputs that differ\n\n{markdown_table(['Input', *titles], inputs)}",
        f"## Results that differ\n\n{markdown_table(['Quantity', *titles], results)}",
        *(markdown_text(note) for note in comparison.get("notes") or []),
    ]
    return "\n\n".join(parts) + "\n"


def to_csv(comparison: Comparison) -> str:
    """A comparison as rows of ``path, kind, unit`` and a value a scenario, in full."""
    names = [_name(Figures(plan)) for plan in comparison["scenarios"]]
    rows = []
    for item in comparison["differences"]:
        unit = unit_of(item["path"]) if any(is_number(value) for value in item["values"]) else ""
        rows.append([item["path"], item["kind"], unit, *item["values"]])
    return csv_text(["path", "kind", "unit", *names], rows)


def letters(count: int) -> list[str]:
    """Short names of scenarios: A, B, ... Z, AA, AB."""
    names = [chr(ord("A") + i) for i in range(26)]
    return [names[i] if i < 26 else names[i // 26 - 1] + names[i % 26] for i in range(count)]


def input_rows(comparison: Comparison) -> list[Row]:
    """Inputs that differ, named as the scenario names them; a section that some lack altogether is one row."""
    found = [item for item in comparison["differences"] if item["kind"] == "input"]
    resolved = [(plan.get("scenario") or {}).get("resolved") or {} for plan in comparison["scenarios"]]
    rows: dict[str, Row] = {}
    for item in found:
        section = item["path"].split(".", 1)[0]
        has = [tree.get(section) is not None for tree in resolved]
        if "." in item["path"] and not all(has):
            rows.setdefault(section, Row(section, tuple("given" if given else "-" for given in has)))
        else:
            values = tuple(short(v, unit_of(item["path"])) for v in item["values"])
            rows[item["path"]] = Row(clean(item["path"]), values)
    return list(rows.values())


def result_rows(comparison: Comparison, *, verbose: bool) -> list[Row]:
    """Results with their ranges and what they differ by: the main ones, or all that differ."""
    plans = [Figures(plan) for plan in comparison["scenarios"]]
    differing = [item["path"] for item in comparison["differences"] if item["kind"] == "output"]
    shown = [path for path in KEY_RESULTS if path in differing or path in _ALWAYS]
    return [_result(path, plans) for path in (differing if verbose else shown)]


def _result(path: str, plans: Sequence[Figures]) -> Row:
    values = [plan.value(path) for plan in plans]
    found = declared(path)
    unit = "count" if path == "run.accelerator_hours" else unit_of(path)  # its label says hours
    changes = [_change(value, values[0], unit) for value in values[1:]]
    texts = [plan.text(path, unit) for plan in plans]
    return Row(
        label(path) if path.count(".") > 1 else label_of(path),
        tuple(text.partition(" (")[0] for text in texts),
        tuple(text[text.find(" (") + 1 :] if " (" in text else "" for text in texts),
        ((), *changes) if any(change not in ((), ("same",)) for change in changes) else (),
        _best(values, found.better if found is not None and not _all_lose(path, values) else _NO_BETTER),
    )


def _change(value: float | None, reference: float | None, unit: str) -> tuple[str, ...]:
    """Absolute and relative difference to the first scenario; the relative one is left out of fractions."""
    if value is None or reference is None:
        return ()
    if value == reference:
        return ("same",)
    share = numbers.relative(value, reference)
    difference = numbers.signed(value - reference, unit)
    if unit in ("fraction", "probability"):  # a difference of percentages is in points, not in per cent
        return (difference.replace("%", "points"),)
    return (difference, share) if share else (difference,)


def _all_lose(path: str, values: Sequence[float | None]) -> bool:
    """Whether no plan brings its money back: then the greater multiple may be that of the larger loss."""
    return path == "payback.moic" and all(value is None or value < 1.0 for value in values)


def _best(values: Sequence[float | None], better: str) -> tuple[int, ...]:
    known = [value for value in values if value is not None]
    if better == _NO_BETTER or len(known) < 2 or min(known) == max(known):
        return ()
    best = min(known) if better == "lower" else max(known)
    return tuple(i for i, value in enumerate(values) if value == best)


def _cell(row: Row, index: int) -> str:
    change = f"[{', '.join(row.changes[index])}]" if row.changes and row.changes[index] else ""
    drawn = row.ranges[index] if row.ranges else ""
    return " ".join(part for part in (row.values[index], drawn, change, _BEST if index in row.best else "") if part)


def _table(rows: Sequence[Row], names: Sequence[str], room: int) -> list[Line]:
    """Rows as one table, as blocks of some scenarios each with the first, or as a list where not even two fit."""
    for size in range(len(names) - 1, 0, -1):
        groups = [[0, *range(i, min(i + size, len(names)))] for i in range(1, len(names), size)]
        blocks = [_block(rows, names, group, room) for group in groups]
        if max(sum(width(span.text) for span in line) for block in blocks for line in block) <= room:
            return [line for i, block in enumerate(blocks) for line in ([[], *block] if i else block)]
    return _list(rows, names, room)


def _block(rows: Sequence[Row], names: Sequence[str], group: Sequence[int], room: int) -> list[Line]:
    """Some scenarios side by side: a value, under it its range, under that what it differs by."""
    each = max(_NARROWEST, (room - _LABEL_WIDTH) // len(group) - 2)
    cells = [[Span("  "), *(Span(names[i], "strong") for i in group)]]
    for row in rows:
        name = [Span(f"  {text}") for text in _breakable(row.label, _LABEL_WIDTH - 2)]
        stacks = [_stack(row, i, each) for i in group]
        for depth in range(max(len(name), *(len(stack) for stack in stacks))):
            line = [stack[depth] if depth < len(stack) else Span("") for stack in stacks]
            cells.append([name[depth] if depth < len(name) else Span(""), *line])
    return columns(cells, "l" * (len(group) + 1))


def _stack(row: Row, index: int, room: int) -> list[Span]:
    """The lines of one cell."""
    value = _value(row, index)
    found = [Span(text, value.style) for text in _wrapped(value.text, room)]
    if row.ranges and row.ranges[index]:
        found += [Span(text) for text in _wrapped(row.ranges[index], room)]
    changes: Sequence[str] = row.changes[index] if row.changes else ()
    if width(together := ", ".join(changes)) <= room:
        changes = [together] if together else []
    return found + [Span(text, "dim") for part in changes for text in _wrapped(part, room)]


def _wrapped(text: str, room: int) -> list[str]:
    """A cell's text in lines: broken between words, within a range after its dash, in a name after its hyphen."""
    lines = [""]
    for piece in re.findall(r"[(]?-?[^ –-]+[–-]?|[ –-]", text):
        if lines[-1] and width(lines[-1]) + width(piece.rstrip()) > room:
            lines.append("")
        lines[-1] += piece if lines[-1] or piece != " " else ""
    return [line.rstrip() for line in lines]


def _breakable(label: str, room: int) -> list[str]:
    """A label in lines; dotted keys break after a dot or an underscore."""
    if " " in label or width(label) <= room:
        return ["".join(span.text for span in line) for line in prose(label, room)]
    lines = [""]
    for piece in re.findall(r"[^._]*[._]?", label):
        if width(lines[-1]) + width(piece) > room:
            lines.append("  ")
        lines[-1] += piece
    return lines


def _list(rows: Sequence[Row], names: Sequence[str], room: int) -> list[Line]:
    """A scenario a line, where not even two fit side by side."""
    lines: list[Line] = []
    for row in rows:
        lines += [[Span("  "), *line] for line in prose(row.label, room - 2)]
        for i, name in enumerate(names):
            value = _value(row, i)
            drawn = f" {row.ranges[i]}" if row.ranges and row.ranges[i] else ""
            lines += hang(f"    {name}", prose(value.text + drawn, room - 8, value.style), 8, "strong")
            change = ", ".join(row.changes[i]) if row.changes else ""
            lines += hang("", prose(change, room - 8, "dim"), 8) if change else []
    return lines


def _value(row: Row, index: int) -> Span:
    best = index in row.best
    return Span(f"{row.values[index]} {_BEST}" if best else row.values[index], "good" if best else "")


def _name(plan: Figures) -> str:
    return clean(plan.get("scenario.name") or "unnamed")
