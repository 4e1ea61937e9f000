"""Payback, the two clocks, and what drives them, as lines of a plan's page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from costsim.render import numbers
from costsim.render.figures import Figures, label_of, short, unit_of
from costsim.render.sections import brackets, ordinal
from costsim.render.text import Line, Span, bar, clean, columns, fold, hang, prose, table, width

_DRIVERS_SHOWN = 5
_BAR = 20


def payback(f: Figures, room: int) -> list[Line]:
    """The investment's figures, the two halves of a token's cost, and what would repay it."""
    if not f.has("payback"):
        return []
    named = {
        "payback.npv_usd": "NPV",
        "payback.irr_annual": "IRR",
        "payback.moic": "MOIC",
        "payback.peak_funding_usd": "peak funding",
    }
    pieces = [f"{name} {f.text(path)}" for path, name in named.items() if f.value(path) is not None]
    if f.get("payback.repaid") and f.value("payback.discounted_months") is not None:
        pieces.insert(0, f"discounted payback month {ordinal(f, 'payback.discounted_months')}")
    return fold([Span(piece) for piece in pieces], room) + _halves(f, room) + _needed(f, room)


def _halves(f: Figures, room: int) -> list[Line]:
    """The training half and the serving half of a token's cost, and what it is sold for."""
    paths = (
        "serving.training_usd_per_million_tokens",
        "serving.serving_usd_per_million_tokens",
        "payback.revenue_usd_per_million_tokens",
    )
    if any(f.value(path) is None for path in paths):
        return []
    training, serving, revenue = (f.text(path) for path in paths)
    pieces = [f"training {training}", f"serving {serving}", f"earned {revenue}"]
    return hang("a token:", fold([Span(piece) for piece in pieces], room - 9), 9, "")


def _needed(f: Figures, room: int) -> list[Line]:
    """What each driver would have to be, alone; of a plan that is repaid, how far each might go."""
    tree: Mapping[str, Any] = f.get("payback.needed") or {}
    if not tree:
        return []
    back = bool(f.get("payback.repaid"))
    title = "repaid as long as, each alone:" if back else "to be repaid, one of:"
    rows = [[Span(""), Span("planned"), Span("at the edge" if back else "needed"), Span("")]]
    for name in tree:
        path = f"payback.needed.{name}"
        label = label_of(f"{path}.planned").lower().removesuffix(": planned")
        planned, needed = f.value(f"{path}.planned"), f.value(f"{path}.needed")
        factor = f"× {numbers.number(needed / planned)}" if planned and needed is not None else ""
        edge = "no value does" if needed is None else _driver(f, f"{path}.needed")
        rows.append([Span(f"  {label}"), Span(_driver(f, f"{path}.planned")), Span(edge), Span(factor, "dim")])
    heads = [Span(title), *rows[0][1:]]
    one = columns([heads, *rows[1:]], "lrrl")
    if all(sum(width(span.text) for span in line) <= room for line in one):
        return one
    return prose(title, room) + table(rows, "lrrl", room)


def _driver(f: Figures, path: str) -> str:
    """A driver's number; a life keeps its half month, as the scenario says it."""
    value = f.value(path)
    return f"{value:.3g} months" if value is not None and unit_of(path) == "months" else f.number(path)


def clocks(f: Figures, room: int) -> list[Line]:
    """Payoff against runway, what the debt costs, and the regime that follows."""
    if not f.has("clocks"):
        return []
    runway = "runway: the money lasts"
    if f.value("clocks.runway_months") is not None:
        why = {"debt": ", debt due and unpaid", "cash": ", cash is spent"}.get(str(f.get("clocks.ends_by")), "")
        runway = f"runway {_month(f, 'clocks.runway_months')}{why}"
    pieces = [Span(f"payoff {_month(f, 'clocks.payoff_months')}"), Span(runway)]
    if f.value("clocks.debt_usd"):
        due = f.resolved("finance.debt.due")
        pieces.append(Span(f"debt {f.number('clocks.debt_usd')}{f', due in {due}' if due else ''}"))
        pieces.append(Span(f"interest {f.number('clocks.interest_usd')}"))
    regime = clean(f.get("clocks.regime") or "")
    style = {"breaking": "bad", "closing": "good"}.get(regime, "warn")
    shares = [
        f"{name} {f.number(path)}"
        for name in ("closing", "stretching", "breaking")
        if f.value(path := f"clocks.probability_{name}") is not None
    ]
    pieces.append(Span(f"{regime} ({', '.join(shares)})" if shares else regime, style))
    return fold(pieces, room)


def _month(f: Figures, path: str) -> str:
    value = f.value(path)
    span = brackets(f.range(path))
    return " ".join(part for part in ("never" if value is None else f"month {ordinal(f, path)}", span) if part)


# --- what drives it ---------------------------------------------------------------------------------------------------


def drivers(f: Figures, room: int, *, verbose: bool) -> list[Line]:
    """Of each output the inputs that move it most: the output at both ends of their intervals, and Sobol' indices."""
    tree = f.plan.get("sensitivity")
    if tree is None:
        return []
    lines: list[Line] = []
    for output in tree["outputs"]:
        lines += _drivers_of(output, room, verbose)
    return lines or fold([Span("no input has a range: nothing to vary")], room)


def driver_rows(output: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Inputs of one output: both ends of the tornado and both indices, the largest total first, then the widest swing.

    Without meaning are the ends of a yes or no: its indices tell what its probability hangs on.
    """
    ends = {row["path"]: row for row in output["tornado"]}
    shares = {row["path"]: row for row in output["sobol"]}
    paths = [*shares, *(path for path in ends if path not in shares)]
    return [{"path": path, **ends.get(path, {}), **shares.get(path, {})} for path in paths]


def title_of(output: Mapping[str, Any]) -> str:
    """What an output is called among drivers; a yes or no stands for its probability."""
    path = str(output["output"])
    return label_of("payback.probability" if path == "payback.repaid" else path)


def _drivers_of(output: Mapping[str, Any], room: int, verbose: bool) -> list[Line]:
    path = str(output["output"])
    unit, yes_or_no = unit_of(path), path == "payback.repaid"
    found = driver_rows(output)
    shown = found if verbose else found[:_DRIVERS_SHOWN]
    heads = ("", "") if yes_or_no else ("at p5", "at p95")
    rows = [[Span(title_of(output)), *(Span(text, "dim") for text in (*heads, "alone", "in all"))]]
    for row in shown:
        ends = ["", ""] if yes_or_no else [_cell(row.get(key), unit) for key in ("at_p5", "at_p95")]
        shares = [_cell(row.get(key), "fraction") for key in ("first_order", "total_order")]
        rows.append([Span(f"  {clean(row['path'])}"), *(Span(text) for text in (*ends, *shares))])
    cells = columns(rows, "lrrrr")
    longest = max(sum(width(span.text) for span in line) for line in cells)
    if longest > room:
        return table(rows, "lrrrr", room)
    size = min(room - longest - 2, _BAR)
    if size < _BAR // 2:
        return cells
    bars = [bar(float(row.get("total_order") or 0.0), size) for row in shown]
    return [cells[0], *([*line, Span("  "), Span(text, "bar")] for line, text in zip(cells[1:], bars, strict=True))]


def _cell(value: float | None, unit: str) -> str:
    """A number of a driver's row; a share that the estimate puts below nothing or above all is nothing, or all."""
    if value is None:
        return "-"
    return short(min(max(0.0, value), 1.0) if unit == "fraction" else value, unit)
