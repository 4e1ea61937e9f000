"""Bars in words: what is held to which limit, and how it went; and shares as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNITS = {"step": "s", "memory": "byte", "hours": "h", "serving": "tokens/s"}
HEADER = ("bar", "limit", "value", "rows", "")

_MEASURES = {
    "median_abs_error": "median error",
    "p90_abs_error": "P90 error",
    "mean_abs_error": "mean error",
    "bias": "bias",
    "within_2x": "within a factor of 2",
    "coverage_50": "50 % interval holds",
    "coverage_80": "80 % interval holds",
    "coverage_90": "90 % interval holds",
    "median_width_80": "80 % interval, ×/÷",
    "groups_lost": "groups lost to a constant",
    "refused_runs": "runs that ran, refused",
}
_ROWS = {
    "has_layout": {True: "layout given", False: "layout searched"},
    "experts": {True: "experts", False: "dense"},
}


def cells(bar: Mapping[str, Any], regimes: Mapping[str, str]) -> list[str]:
    """A bar as cells under `HEADER`."""
    rows = [_ROWS.get(key, {}).get(value, str(value)) for key, value in bar["rows"].items()]
    name = ", ".join([regimes[bar["regime"]], *rows, _MEASURES[bar["measure"]]])
    verdict = {True: "met", False: "missed", None: "too few"}[bar["met"]]
    return [name, _limit(bar), _value(bar["value"], bar["measure"]), f"{bar['n']:,}", verdict]


def _limit(bar: Mapping[str, Any]) -> str:
    low, high = (_value(bar[key], bar["measure"]).replace(".0 %", " %") for key in ("at_least", "at_most"))
    if bar["at_least"] is None:
        return f"≤ {high}"
    return f"≥ {low}" if bar["at_most"] is None else f"{low.removesuffix(' %')}–{high}"


def _value(value: float | None, measure: str) -> str:
    if value is None:
        return "-"
    if measure in ("groups_lost", "refused_runs"):
        return f"{value:,.0f}"
    return f"{value**0.5:.2f}" if measure == "median_width_80" else percent(value)


def percent(value: float, *, signed: bool = False) -> str:
    """A share with as many digits as mean something: one decimal below ten per cent."""
    shown = round(value * 100.0, 1) + 0.0  # no -0.0
    size = f"{shown:+,.1f}" if signed else f"{shown:,.1f}"
    if abs(shown) >= 99.95:
        size = f"{shown:+,.0f}" if signed else f"{shown:,.0f}"
    return f"{size} %"


def points(error: float) -> str:
    """An error in words: 12 % too long."""
    return f"{percent(abs(error))} too {'much' if error > 0 else 'little'}"


def share(value: float) -> str:
    """A share in whole per cent, without its sign: part of a list of them."""
    return f"{value * 100.0:.0f}"
