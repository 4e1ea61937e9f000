"""A validation as a page, CSV or Markdown: bars, regimes, source groups, the worst rows, and what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from costsim.render import numbers, verdicts
from costsim.render.flat import csv_text, markdown_table, markdown_text
from costsim.render.text import Line, Screen, Span, clean, columns, fold, hang, page, prose, width
from costsim.render.verdicts import UNITS, percent, points, share
from costsim.validation.score import FEW

Found = Mapping[str, Any]

LABEL_WIDTH = 11
WORST = 12
_WIDE = 110  # columns from which there is room for the other regimes of a group
_SCORES = ("n", "median", "P90", "bias", "50/80/90 %", "×/÷", "constant")
_NARROW = ("n", "median", "P90", "no flags", "bias", "50/80/90 %")
_ERRORS = ("median_abs_error", "p90_abs_error")
_REGIMES = {
    "known_stack": "known stack",
    "new_source": "new source",
    "new_stack": "new stack",
    "new_model": "new model",
    "new_chip": "new chip",
    "shipped": "as shipped",
}


def render(found: Found, screen: Screen, *, quiet: bool = False) -> str:
    """A validation as a page.

    Args:
        found: the JSON of a validation.
        screen: width, encoding and colour of the output.
        quiet: the headline, the pooled scores and the bars that are missed.
    """
    room = max(screen.width, 80)
    lines: list[Line] = [*prose(_title(found), room, "title"), []]
    if "detail" in found:
        lines += _row_lines(found, room)
    else:
        lines += _table(["", *_SCORES, ""], [["all", *_scores(found["pooled"]), _few(found["pooled"])]], "lrrrrrrrl")
        lines += [[], *_bar_lines(found, room, missed_only=quiet)]
        if not quiet:
            lines += [[], *_subset_lines(found, room), [], *_group_lines(found, room)]
            lines += [[], *_worst_lines(found, room)]
            lines += _left_out(found, room)
        lines += [
            line for note in found["notes"] for line in hang("Note", prose(note, room - LABEL_WIDTH), LABEL_WIDTH)
        ]
    return page([*lines, [], [Span("costsim validate", "dim")]], screen)


def to_csv(found: Found) -> str:
    """A row of evidence a line, with every figure in full."""
    figures = ("measured", "predicted", "p5", "p10", "p25", "p75", "p90", "p95", "error")
    told = ("has_layout", "experts", "counter", "vendor")
    regimes = found["regimes"][1:]
    header = ["id", "source_group", *figures, "regime", "model", "hardware", "flag", *told, "fit_probability",
              "constant_error", *(f"error_{regime}" for regime in regimes)]  # fmt: skip
    rows = [
        [
            *(row.get(key) for key in ("id", "source_group", *figures)),
            found["regimes"][0],
            *(row.get(key) for key in ("model", "hardware", "flag", *told, "fit_probability", "constant_error")),
            *(row["other_regimes"].get(regime, {}).get("error") for regime in regimes),
        ]
        for row in found["rows"]
    ]
    return csv_text(header, rows)


def to_markdown(found: Found) -> str:
    """The whole scoreboard, failures included."""
    parts = ["<!-- costsim validate -->", f"# {markdown_text(_title(found))}"]
    if "detail" in found:
        rows = [[markdown_text(key), value] for key, value in _detail(found)]
        return "\n\n".join([*parts, markdown_table(["", "value"], rows)]) + "\n"
    header = ["rows", *_SCORES, ""]
    parts += [markdown_table(header, [["all", *_scores(found["pooled"]), _few(found["pooled"])]]), "## Bars"]
    parts.append(markdown_table(verdicts.HEADER, [verdicts.cells(bar, _REGIMES) for bar in found["bars"]]))
    for regime in found["regimes"]:
        parts.append(f"## {_REGIMES[regime].capitalize()}")
        subsets = [one for one in found["subsets"] if one["regime"] == regime]
        parts.append(markdown_table(header, [[_subset_name(one), *_scores(one), _few(one)] for one in subsets]))
    others = found["regimes"][1:]
    header = ["source group", *_SCORES, *(f"{_REGIMES[name]}: median" for name in others), ""]
    parts += ["## Source groups", markdown_table(header, [_group_cells(one, others) for one in found["groups"]])]
    worst = [_worst_cells(row, found["what"]) for row in _worst(found)]
    parts += ["## Rows that are furthest off", markdown_table(_WORST_HEADER, worst)]
    if unscored := _unscored(found):
        parts += [f"## Ran out of memory: {len(unscored):,}", f"{RAN_OUT}: {', '.join(unscored)}"]
    for key in ("ineligible", "skipped"):
        if found[key]:
            told = [[count, reason, ", ".join(ids)] for reason, count, ids in _by_reason(found[key])]
            parts += [f"## {key.capitalize()}: {len(found[key]):,}", markdown_table(["rows", "reason", "ids"], told)]
    return "\n\n".join([*parts, *(f"- {markdown_text(note)}" for note in found["notes"])]) + "\n"


def _title(found: Found) -> str:
    what = {"step": "Step times", "memory": "Peaks of memory", "hours": "Device-hours", "serving": "Serving speeds"}[
        found["what"]
    ]
    evidence = found["evidence"]
    source = "shipped evidence" if evidence["shipped"] else clean(evidence["file"])
    if "detail" in found:
        return f"{what}: one row of {evidence['rows']:,} ({source})"
    made_with = _REGIMES[found["regimes"][0]]
    return (
        f"{what}, {made_with}: {found['pooled']['n']:,} of {evidence['rows']:,} published results predicted ({source})"
    )


def _scores(one: Found) -> list[str]:
    if not one["n"]:
        return ["0", *["-"] * (len(_SCORES) - 1)]
    constant = one["constant_median_abs_error"]
    return [
        f"{one['n']:,}",
        percent(one["median_abs_error"]),
        percent(one["p90_abs_error"]),
        percent(one["bias"], signed=True),
        "/".join(share(one[key]) for key in ("coverage_50", "coverage_80", "coverage_90")),
        f"{one['median_width_80'] ** 0.5:.2f}",
        "-" if constant is None else percent(constant),
    ]


def _few(one: Found) -> str:
    """A mark on scores that say little."""
    return FEW_ROWS if 0 < one["n"] < FEW else ""


FEW_ROWS = "few rows"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], align: str, indent: int = 0) -> list[Line]:
    head = [Span(text, "label") for text in header]
    lines = columns([head, *([Span(cell, _style(cell)) for cell in row] for row in rows)], align)
    return [[Span(" " * indent), *line] if indent else line for line in lines]


def _style(cell: str) -> str:
    return {"missed": "bad", "lost": "bad", "lost if new": "bad", "lost new": "bad", "met": "good"}.get(cell, "")


def _bar_lines(found: Found, room: int, *, missed_only: bool) -> list[Line]:
    """The bars, missed ones first."""
    bars = found["bars"]
    missed = [bar for bar in bars if bar["met"] is False]
    untold = [bar for bar in bars if bar["met"] is None]
    head = f"{len(missed)} of {len(bars)} missed" + (f", {len(untold)} not judged" if untold else "")
    lines = hang("Bars", prose(head, room - LABEL_WIDTH, "bad" if missed else "good"), LABEL_WIDTH)
    shown = missed if missed_only else [*missed, *(bar for bar in bars if bar["met"]), *untold]
    rows = [verdicts.cells(bar, _REGIMES) for bar in shown]
    return lines + (_table(verdicts.HEADER, rows, "llrrl", 2) if rows else [])


def _subset_lines(found: Found, room: int) -> list[Line]:
    """Regimes and what their rows are told apart by; the errors without flagged rows stand beside those with them."""
    wide = room >= _WIDE
    header = ["Regimes", *_NARROW, *(_SCORES[5:] if wide else ()), ""]
    rows: list[list[str]] = []
    for regime in found["regimes"]:
        rows.append([_REGIMES[regime]])
        subsets = [one for one in found["subsets"] if one["regime"] == regime]
        clear = {_subset_name(one): one for one in subsets if one.get("without_flagged")}
        for one in subsets:
            if not one.get("without_flagged"):
                n, median, p90, bias, covered, *rest = _scores(one)
                same = clear.get(f"{_subset_name(one)}, no flags")
                errors = "/".join(f"{same[key] * 100:.1f}" for key in _ERRORS) if same else ""
                cells = [n, median, p90, errors, bias, covered, *(rest if wide else ())]
                few = _few(one) if wide else _SHORT.get(_few(one), "")
                rows.append([f"  {_subset_name(one)}", *cells, few])
    return _table(header, rows, "l" + "r" * (len(header) - 2) + "l")


def _subset_name(one: Found) -> str:
    words = {
        ("has_layout", True): "layout given", ("has_layout", False): "layout searched",
        ("experts", True): "experts", ("experts", False): "dense",
    }  # fmt: skip
    name = ", ".join(words[key, one[key]] for key in ("has_layout", "experts") if key in one)
    name = name or str(one.get("counter") or one.get("vendor") or "all")
    return f"{name}, no flags" if one.get("without_flagged") else name


def _group_lines(found: Found, room: int) -> list[Line]:
    others = found["regimes"][1:]
    cells = [_group_cells(one, others if room >= _WIDE else ()) for one in found["groups"]]
    rows = [[*row[:-1], _SHORT.get(row[-1], row[-1])] for row in cells]
    if room >= _WIDE:
        header = ["Groups", *_SCORES, *(_REGIMES[name] for name in others), ""]
        lines = _table(header, rows, "lrrrrrrr" + "r" * len(others) + "l")
    else:
        coverage = [share(one["coverage_80"]) for one in found["groups"]]
        rows = [[*row[:5], covered, *row[7:]] for row, covered in zip(rows, coverage, strict=True)]
        lines = _table(["Groups", *_SCORES[:4], "80 %", _SCORES[-1], ""], rows, "lrrrrrrl")
    if any(row[-1] == ONE_MODEL for row in cells):
        text = "one model: the constant is better, on one model alone, which is not counted as lost"
        lines += [[], *prose(text, room)]
    return lines


def _group_cells(one: Found, others: Sequence[str]) -> list[str]:
    """A group's scores, its median error in the other regimes, and whether it is lost to the constant."""
    elsewise = one["other_regimes"]
    cells = [clean(one["source_group"]), *_scores(one)]
    cells += [percent(elsewise[name]["median_abs_error"]) if name in elsewise else "-" for name in others]
    as_new = elsewise.get("new_source", {})
    for verdict, told in (
        ("lost", one["lost"]),
        ("lost if new", as_new.get("lost")),
        (ONE_MODEL, one["worse_in_one_model"] or as_new.get("worse_in_one_model")),
    ):
        if told:
            return [*cells, verdict]
    return [*cells, _few(one)]


ONE_MODEL = "one model: not counted"
"""A group that a constant beats, all of whose rows are of one model."""
_SHORT = {ONE_MODEL: "one model", "lost if new": "lost new", FEW_ROWS: "few"}


_WORST_HEADER = ("row", "measured", "predicted", "error", "80 % interval", "flag")


def _worst(found: Found) -> list[Found]:
    """The rows with the largest errors, as factors."""
    known = [row for row in found["rows"] if row["error"] is not None]
    return sorted(known, key=lambda row: -max(1.0 + row["error"], 1.0 / (1.0 + row["error"])))[:WORST]


def _worst_cells(row: Found, what: str) -> list[str]:
    unit = UNITS[what]
    ends = {"p5": row["p10"], "p95": row["p90"]}
    return [
        clean(row["id"]),
        "-" if row["measured"] is None else numbers.number(row["measured"], unit),
        numbers.number(row["predicted"], unit),
        "-" if row["error"] is None else percent(row["error"], signed=True),
        numbers.range_only(row["predicted"], unit, ends).strip("()"),
        clean(row["flag"] or ""),
    ]


def _worst_lines(found: Found, room: int) -> list[Line]:
    rows = [_worst_cells(row, found["what"]) for row in _worst(found)]
    header = ["Furthest off", *_WORST_HEADER[1:]]
    if room < _WIDE:
        rows = [[*row[:4], "flag" if row[5] else ""] for row in rows]
        header = [*header[:4], ""]
    if not rows:
        return []
    order = prose("by the factor between measured and predicted, which weighs -50 % as +100 %", room, "dim")
    after = order if len(rows) > 1 else []
    lines = _table(header, rows, "lrrrrl"[: len(header) - 1] + "l")
    if max(sum(width(span.text) for span in line) for line in lines) <= room:
        return [*lines, *after]
    head, *figures = _table(header[1:], [row[1:] for row in rows], "rrrrl"[: len(header) - 2] + "l", indent=2)
    below = [part for row, line in zip(rows, figures, strict=True) for part in (*fold([Span(row[0])], room), line)]
    return [[Span(header[0], "label")], head, *below, *after]


def _left_out(found: Found, room: int) -> list[Line]:
    lines: list[Line] = []
    if unscored := _unscored(found):
        head = [[Span(f"{len(unscored):,} rows", "strong")], *prose(", ".join(unscored), room - LABEL_WIDTH - 1)]
        lines += [[], *hang("Ran out", head, LABEL_WIDTH + 1), *hang("", prose(RAN_OUT, room - LABEL_WIDTH - 1), 12)]
    for key in ("ineligible", "skipped"):
        if found[key]:
            reasons = [f"{count:,}: {reason} ({', '.join(ids)})" for reason, count, ids in _by_reason(found[key])]
            text = [line for reason in reasons for line in prose(reason, room - LABEL_WIDTH - 1)]
            head = [[Span(f"{len(found[key]):,} rows", "strong")], *text]
            lines += [[], *hang(key.capitalize(), head, LABEL_WIDTH + 1)]
    return lines


RAN_OUT = "runs that ended out of memory: predicted, not scored; with the probability of fitting"


def _unscored(found: Found) -> list[str]:
    """Rows of runs that ran out of memory, each with the probability that was given to its fitting."""
    return [
        f"{clean(row['id'])} {numbers.number(row['fit_probability'], 'probability')}"
        for row in found["rows"]
        if row["measured"] is None and row["fit_probability"] is not None
    ]


_FEW = 3


def _by_reason(omitted: Sequence[Found]) -> Iterator[tuple[str, int, list[str]]]:
    """Reasons, the commonest first, with how many rows and the first of them."""
    found: dict[str, list[str]] = {}
    for one in omitted:
        found.setdefault(clean(one["reason"]), []).append(clean(one["id"]))
    for reason, ids in sorted(found.items(), key=lambda item: (-len(item[1]), item[0])):
        yield reason, len(ids), [*ids[:_FEW], *(["..."] if len(ids) > _FEW else [])]


def _row_lines(found: Found, room: int) -> list[Line]:
    rows = _detail(found)
    indent = max(len(key) for key, _ in rows) + 2
    return [line for key, value in rows for line in hang(key, prose(value, room - indent), indent)]


def _detail(found: Found) -> list[tuple[str, str]]:
    """One row: what it measured, what each regime predicted, how it was read, and its cells."""
    unit = UNITS[found["what"]]
    told: list[tuple[str, str]] = []
    for row in found["rows"]:
        told.append(("row", clean(row["id"])))
        measured = "none" if row["measured"] is None else numbers.number(row["measured"], unit)
        told.append(("measured", measured))
        predictions = {found["regimes"][0]: row, **row["other_regimes"]}
        told += [(_REGIMES[regime], _prediction(one, unit)) for regime, one in predictions.items()]
        if row["constant_error"] is not None:
            told.append(("constant", f"{percent(row['constant_error'], signed=True)}, by the best MFU elsewhere"))
        if row["fit_probability"] is not None:
            told.append(("fits", numbers.number(row["fit_probability"], "probability")))
    for key in ("ineligible", "skipped"):
        told += [(key, f"{clean(one['id'])}: {clean(one['reason'])}") for one in found[key]]
    detail = found["detail"]
    notes = dict.fromkeys(note for all_notes in detail["notes"].values() for note in all_notes)
    told += [("read as", clean(note)) for note in notes]
    for key, label in (("given", "given"), ("kept_from_it", "kept from it")):
        told.append((label, ", ".join(f"{clean(name)} {clean(cell)}" for name, cell in detail[key].items())))
    return told


def _prediction(one: Found, unit: str) -> str:
    text = numbers.number(one["predicted"], unit)
    if one["error"] is not None:
        text += f", {points(one['error'])}"
    spans = [
        f"{level} % {numbers.range_only(one['predicted'], unit, {'p5': one[low], 'p95': one[high]}).strip('()')}"
        for level, low, high in ((50, "p25", "p75"), (80, "p10", "p90"), (90, "p5", "p95"))
    ]
    return f"{text}; {', '.join(spans)}"
