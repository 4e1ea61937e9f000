"""JSON, CSV and Markdown of a plan."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from costsim.errors import InternalError
from costsim.render.answers import answers_of
from costsim.render.explain import numbers_in, origin_text, symbols
from costsim.render.figures import SECTIONS, Figures, PlanDict, label_of, short, unit_of, words
from costsim.render.investment import driver_rows, title_of
from costsim.render.text import clean
from costsim.tree import flatten, is_number

_ORDER = ("schema", "costsim_version", "scenario", *SECTIONS, "sensitivity", "coverage", "intervals", "notes",
          "warnings", "provenance", "explain")  # fmt: skip
_NOT_ROWS = {"intervals", "provenance", "explain"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "|", "%")


def to_json(tree: Mapping[str, Any]) -> str:
    """A result as JSON: contract order, pure ASCII (so that no character of a name can steer a terminal), no NaN.

    Raises:
        InternalError: a number is not finite; a result never holds one.
    """
    known = {key: tree[key] for key in _ORDER if key in tree}
    rest = {key: value for key, value in tree.items() if key not in known}
    try:
        return json.dumps({**known, **rest}, indent=2, allow_nan=False, ensure_ascii=True) + "\n"
    except ValueError as error:
        broken = [path for path, value in flatten(tree) if isinstance(value, float) and not math.isfinite(value)]
        raise InternalError(f"a result holds a number that is not finite: {', '.join(broken)}") from error


def to_csv(plan: PlanDict) -> str:
    """A plan as rows of ``path, value, unit, p5, p50, p95``, and ``formula, source`` where it is explained.

    Numbers are written in full in SI and USD. Text that a spreadsheet would run as a formula gets an apostrophe.
    """
    explained = {str(item["path"]): item for item in plan.get("explain") or []}
    header = ["path", "value", "unit", "p5", "p50", "p95", *(["formula", "source"] if explained else [])]
    figures = Figures(plan)
    rows = []
    for path, value in flatten({key: item for key, item in plan.items() if key not in _NOT_ROWS}):
        interval = figures.interval(path) or {}
        row = [path, value, unit_of(path) if is_number(value) or interval else ""]
        row += [interval.get(key) for key in ("p5", "p50", "p95")]
        if explained:
            row += [explained.get(path, {}).get("formula", ""), explained.get(path, {}).get("source", "")]
        rows.append(row)
    return csv_text(header, rows)


def to_markdown(plan: PlanDict) -> str:
    """A plan as Markdown: a table a section with every figure and its range, then notes, warnings and origins."""
    figures = Figures(plan)
    answers = [[answer.label, answer.value, answer.range.strip("()"), "; ".join(filter(None, answer.details))]
               for answer in answers_of(figures)]  # fmt: skip
    parts = [
        "<!-- costsim plan -->",
        f"# {markdown_text(figures.get('scenario.name') or 'unnamed')}",
        *filter(None, [markdown_text(figures.resolved("question"))]),
        markdown_table(["", "Answer", "90 % interval", "On what"], answers),
    ]
    for section in SECTIONS:
        parts += _section(figures, section)
    parts += _drivers(plan)
    explained = plan.get("explain") or []
    return "\n\n".join(parts + _lists(plan) + (explain_markdown(explained) if explained else [])) + "\n"


def explain_markdown(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """Explanations as Markdown: a table of figures with formula, numbers, inputs and source."""
    header = ["Figure", "Value", "Formula", "With numbers", "From", "Source"]
    rows = []
    for item in items:
        inputs = "; ".join(origin_text(entry) for entry in item["inputs"])
        value = short(item["value"], str(item["unit"]))
        rows.append(
            [f"{item['label']} ({item['path']})", value, symbols(item), numbers_in(item), inputs, item["source"]]
        )
    return ["## Explanations", markdown_table(header, rows)]


def _drivers(plan: PlanDict) -> list[str]:
    """What drives each output: every input that moves it."""
    tree = plan.get("sensitivity")
    if tree is None:
        return []
    ranges = {row["path"]: row for row in tree["inputs"]}
    header = ["Input", "5 %", "95 %", "Output at 5 %", "Output at 95 %", "Sobol' index, first order", "Total order"]
    parts = ["## Drivers"]
    for output in tree["outputs"]:
        unit = unit_of(output["output"])
        rows = []
        for row in driver_rows(output):
            found = ranges[row["path"]]
            ends = [short(found[key], found["unit"]) for key in ("p5", "p95")]
            at = [short(row.get(key), unit) for key in ("at_p5", "at_p95")]
            rows.append([row["path"], *ends, *at, *(short(row.get(key)) for key in ("first_order", "total_order"))])
        parts += [f"### {title_of(output)}", markdown_table(header, rows)]
    return parts


def _section(figures: Figures, section: str) -> list[str]:
    title = f"## {section.capitalize()}"
    tree = figures.get(section)
    if tree is None:
        return [title, "Not in this plan: see the notes."]
    flat = {key: value for key, value in tree.items() if not isinstance(value, list)}
    rows = [[label(path), short(value, unit_of(path)), figures.range(path)] for path, value in flatten(flat, section)]
    parts = [title, markdown_table(["Quantity", "Value", "90 % interval"], rows)]
    for key, value in tree.items():
        if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
            header = list(dict.fromkeys(name for row in value for name in row))
            cells = [[short(row.get(n), _cell_unit(row, f"{section}.{key}.{n}")) for n in header] for row in value]
            parts += [f"### {label_of(f'{section}.{key}')}", markdown_table([words(name) for name in header], cells)]
    return parts


def _cell_unit(row: Mapping[str, Any], path: str) -> str:
    """The unit of a cell: its column's, or what the row itself says."""
    return unit_of(path) or str(row.get("unit", ""))


def label(path: str) -> str:
    """A label that also names the group of a nested figure: ``Bases: rent``."""
    parts = path.split(".")
    return label_of(path) if len(parts) < 3 else f"{parts[1].replace('_', ' ').capitalize()}: {label_of(path).lower()}"


def csv_text(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV with plain line ends."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([csv_cell(cell) for cell in header])
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return stream.getvalue()


def csv_cell(value: object) -> str:
    """A cell: numbers in full, ``true`` and ``false``, empty for None, text that no spreadsheet runs."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if is_number(value):
        return repr(value)
    text = clean(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text


def markdown_table(header: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table whose cells cannot break it."""
    lines = [[markdown_text(cell) for cell in row] for row in (header, *rows)]
    lines.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown_text(value: object) -> str:
    """Text in which Markdown and HTML mean nothing."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", clean(value)).replace("://", r":\//")


def _origin_unit(row: Mapping[str, Any]) -> str:
    return str(row.get("unit") or unit_of(str(row.get("path"))))


def _lists(plan: PlanDict) -> list[str]:
    parts = []
    for key, title in (("notes", "Notes"), ("warnings", "Warnings")):
        items = plan.get(key) or []
        if items:
            texts = [f"{item.get('path')}: {item.get('message')}" if isinstance(item, dict) else item for item in items]
            parts.append(f"## {title}\n\n" + "\n".join(f"- {markdown_text(text)}" for text in texts))
    rows = [
        [row.get("path"), short(row.get("value"), _origin_unit(row)), row.get("source"), row.get("known")]
        for row in plan.get("provenance") or []
    ]
    if rows:
        parts.append(f"## Origins\n\n{markdown_table(['Input', 'Value', 'Source', 'Known'], rows)}")
    return parts
