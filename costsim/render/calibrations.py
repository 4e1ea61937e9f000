"""A kept calibration, and the comparison of two, as a page, CSV or Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from costsim.render import flat
from costsim.render.text import NARROWEST, Line, Screen, Span, clean, fold, folded, hang, page, prose, unbroken

_WIDEST = 120
_SIDE = 8  # columns of the words before and after
_STYLES = {"slower": "bad", "faster": "good", "refused": "warn", "same": "dim"}
_VERDICTS = {"good": "good", "noisy": "warn", "refused": "bad", "partial": "warn"}


def _room(screen: Screen) -> int:
    return min(max(screen.width, NARROWEST), _WIDEST)


# --- one --------------------------------------------------------------------------------------------------------------


def render(found: Mapping[str, Any], screen: Screen) -> str:
    """The page of a calibration."""
    room = _room(screen)
    device, verdict = found["device"], found["verdict"]
    pieces = [
        Span(clean(device["name"]), "title"),
        Span(str(found["dtype"] or "no steps"), "title"),
        Span(f"torch {clean(found['software']['torch'])}", "dim"),
        Span(clean(found["created"][:16].replace("T", " ")), "dim"),
        Span(verdict["status"], _VERDICTS[verdict["status"]]),
    ]
    lines: list[Line] = fold(pieces, room)
    for reason in verdict["reasons"]:
        lines += prose(clean(reason), room)
    if found["coefficients"]:
        rows = [[Span(text, "dim") for text in _COEFFICIENT_HEAD], *map(_coefficient, found["coefficients"])]
        lines += [[], *folded(rows, "lrrrl", room, len(_COEFFICIENT_HEAD) - 1)]
        error, worst = found["residual"]["median"], found["residual"]["worst"]
        words = (
            f"fitted steps within {error:.1%} (worst {worst:.1%}); other shapes ±{found['transfer']:.0%} beyond that"
        )
        lines += [[], *prose(words, room)]
    timed = [[Span(text, "dim") for text in _TIMED_HEAD], *map(_timed, found["measurements"])]
    lines += [[], *folded(timed, "lrrrl", room)]
    for note in found["notes"]:
        lines += prose(f"note: {clean(note)}", room)
    return page(lines, screen)


_COEFFICIENT_HEAD = ("coefficient", "value", "±", "prior", "meaning")
_TIMED_HEAD = ("measured", "seconds", "±", "samples", "verdict")


def _coefficient(one: Mapping[str, Any]) -> Line:
    spread = one["spread"] / one["value"] if one["value"] else 0.0
    return [
        Span(one["name"]),
        Span(f"{one['value']:.3g}", "strong"),
        Span(f"{spread:.0%}" if one["value"] else "at its bound"),
        Span(f"{one['prior']:.3g}", "dim"),
        Span(one["meaning"], "dim") if one["identified"] else Span(f"not identified: {one['meaning']}", "warn"),
    ]


def _timed(one: Mapping[str, Any]) -> Line:
    style = _VERDICTS[one["verdict"]]
    return [
        Span(unbroken(clean(one["name"]), "x")),
        Span(f"{one['seconds']:.4g}"),
        Span(f"{one['half_width']:.1%}"),
        Span(str(one["samples"]), "dim"),
        Span("" if one["verdict"] == "good" else one["verdict"], style),
    ]


# --- two --------------------------------------------------------------------------------------------------------------


def render_comparison(found: Mapping[str, Any], screen: Screen) -> str:
    """The page of a comparison."""
    room = _room(screen)
    lines: list[Line] = []
    for side in ("before", "after"):
        lines += hang(side, _side(found[side], room - _SIDE), _SIDE, "dim")
    for row in found["differs"]:
        lines += prose(f"differs: {row['key']}: {clean(str(row['before']))} to {clean(str(row['after']))}", room)
    rows = [[Span(text, "dim") for text in _PAIR_HEAD], *map(_pair, found["rows"])]
    lines += [[], *folded(rows, "lrrrrl", room), []]
    return page([*lines, *prose(summary(found), room)], screen)


def _side(one: Mapping[str, Any], room: int) -> list[Line]:
    """One of the two files: what it is of, its verdict as a whole, and why where that is not good."""
    pieces = [Span(clean(piece)) for piece in _identity(one)]
    style = _VERDICTS[one["verdict"]]
    lines = fold([*pieces, Span(one["verdict"], style)], room)
    return lines + [line for reason in one["reasons"] for line in prose(clean(reason), room, style)]


def _identity(one: Mapping[str, Any]) -> list[str]:
    return [one["file"], one["device"], f"torch {one['torch']}", one["created"][:16].replace("T", " ")]


_PAIR_HEAD = ("measured", "before", "after", "time", "noise", "")


def summary(found: Mapping[str, Any]) -> str:
    """What a comparison comes to, in a sentence."""
    if not found["rows"]:
        return "nothing was measured in both: the modes, formats or shapes differ"
    both = len(found["rows"])
    counts = f"{len(found['worse'])} slower, {len(found['better'])} faster of {both:,} measured in both"
    other = f"; {found['unmatched']} in one of them only" if found["unmatched"] else ""
    verdicts = {side: found[side]["verdict"] for side in ("before", "after")}
    doubt = "".join(f"; {side} is {word} as a whole" for side, word in verdicts.items() if word != "good")
    return f"{counts}, beyond noise{other}{doubt}"


def _pair(row: Mapping[str, Any]) -> Line:
    style = _STYLES[row["mark"]]
    return [
        Span(unbroken(clean(row["name"]), "x")),
        Span(f"{row['before_seconds']:.4g} s"),
        Span(f"{row['after_seconds']:.4g} s"),
        Span(f"{row['ratio'] - 1:+.1%}", style),
        Span(f"±{row['noise']:.1%}", "dim"),
        Span("" if row["mark"] == "same" else row["mark"], style),
    ]


# --- flat -------------------------------------------------------------------------------------------------------------


def table(found: Mapping[str, Any]) -> tuple[Sequence[str], list[list[str]]]:
    """Header and rows, of a calibration or of a comparison, for CSV and Markdown."""
    if "rows" in found:
        head = ("name", "before_seconds", "after_seconds", "ratio", "noise", "mark")
        return head, [[str(row[key]) for key in head] for row in found["rows"]]
    titles = ("name", "value", "spread", "unit", "verdict")
    rows = [
        [c["name"], str(c["value"]), str(c["spread"]), c["meaning"], "" if c["identified"] else "not identified"]
        for c in found["coefficients"]
    ]
    rows += [
        [m["name"], str(m["seconds"]), str(m["seconds"] * m["half_width"]), "s", m["verdict"]]
        for m in found["measurements"]
    ]
    return titles, rows


def text(found: Mapping[str, Any], kind: str, screen: Screen) -> str:
    """A calibration or a comparison in a format: table, json, csv or markdown."""
    if kind == "json":
        return flat.to_json(found)
    if kind == "table":
        return render_comparison(found, screen) if "rows" in found else render(found, screen)
    head, rows = table(found)
    if kind == "csv":
        return flat.csv_text(head, rows)
    sides = [(side, ", ".join(map(clean, _told(found[side])))) for side in ("before", "after") if side in found]
    told = flat.markdown_table(("", ""), sides) + "\n\n" if sides else ""
    return told + flat.markdown_table(head, rows) + "\n"


def _told(one: Mapping[str, Any]) -> list[str]:
    return [*_identity(one), "; ".join([one["verdict"], *one["reasons"]])]
