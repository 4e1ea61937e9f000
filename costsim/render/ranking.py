"""Ranked layouts as a page, CSV or Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from costsim.ranked import FIGURES
from costsim.render import numbers
from costsim.render.flat import csv_text, markdown_table
from costsim.render.sections import layout_words
from costsim.render.text import Line, Screen, Span, clean, columns, hang, page, prose

BESIDE = 60  # columns that a layout needs to stand beside its figures; else it stands under them
UNDER = 6
_HEADER = ("rank", "step", "p90", "days", "MFU", "cost", "memory", "fits", "layout")


def render(found: Mapping[str, Any], screen: Screen) -> str:
    """The best layouts, where the scenario's own stands, and why others were refused."""
    room = max(screen.width, 80)
    rows = _rows(found)
    cells = [[Span(text, "label") for text in _HEADER[:-1]], *([Span(text) for text in _cells(row)] for row in rows)]
    table = columns(cells, "rrrrrrrr")
    indent = sum(len(span.text) for span in table[0]) + 2
    beside = room - indent >= BESIDE
    indent = indent if beside else UNDER
    words = [
        [[Span(_HEADER[-1], "label")]],
        *(prose(" · ".join(layout_words(r["layout"])), room - indent) for r in rows),
    ]
    lines: list[Line] = [[Span(_title(found), "title")], []]
    for place, (cell, text) in enumerate(zip(table, words, strict=True)):
        if found["own"] and place == len(rows):
            lines += [[], [Span("The scenario's own", "label")]]
        first = text[:1] if beside or not place else []  # the heading of the layouts stays in its line
        lines.append([*cell, Span("  "), *(span for line in first for span in line)])
        lines += [[Span(" " * indent), *more] for more in text[len(first) :]]
    lines += [[], *_told(found, room)]
    return page([*lines, [], [Span("costsim layouts", "dim")]], screen)


def _title(found: Mapping[str, Any]) -> str:
    by = "the 90th percentile of the step time" if found["by"] == "p90" else found["by"]
    return f"{clean(found['scenario'])}: layouts by {by}"


def _rows(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The best, then the scenario's own."""
    return [*found["layouts"], *([found["own"]] if found["own"] else [])]


def _told(found: Mapping[str, Any], room: int) -> list[Line]:
    counts = f"{found['legal']:,} legal layouts; {found['fitting']:,} fit"
    if found["near_ties"]:
        counts += f", {found['near_ties']:,} of them within 5 % of the fastest: closer than the model can tell apart"
    lines = hang("Tried", prose(counts, room - 10), 10)
    if found["own_refused"]:
        lines += hang("Own", prose(found["own_refused"], room - 10), 10)
    for note in found["notes"]:
        lines += hang("Note", prose(note, room - 10), 10)
    refused = "; ".join(f"{count:,}: {reason}" for reason, count in found["refused"].items())
    return lines + (hang("Refused", prose(refused, room - 10), 10) if refused else [])


def _cells(row: Mapping[str, Any]) -> list[str]:
    usd = row.get("total_usd")
    p90 = row.get("step_seconds_p90")
    return [
        str(row["rank"]),
        numbers.number(row["step_seconds"], "s"),
        "-" if p90 is None else numbers.number(p90, "s"),
        f"{row['wall_clock_days']:.3g}",
        numbers.number(row["mfu"], "fraction"),
        "-" if usd is None else numbers.number(usd, "USD"),
        numbers.number(row["peak_bytes"], "byte"),
        numbers.number(row["fit_probability"], "probability"),
    ]


def to_csv(found: Mapping[str, Any]) -> str:
    """A row a layout, in full."""
    keys = list(found["layouts"][0]["layout"])
    return csv_text(["rank", *keys, *FIGURES], [_row(row, keys) for row in found["layouts"]])


def _row(row: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    return [row["rank"], *(row["layout"][key] for key in keys), *(row.get(key) for key in FIGURES)]


def to_markdown(found: Mapping[str, Any]) -> str:
    """The best layouts and the scenario's own as a table."""
    rows = [[*_cells(row), ", ".join(layout_words(row["layout"]))] for row in _rows(found)]
    if found["own"]:
        rows[-1][0] = f"own ({rows[-1][0]})"
    return "\n\n".join(["<!-- costsim layouts -->", f"# {_title(found)}", markdown_table(_HEADER, rows)]) + "\n"
