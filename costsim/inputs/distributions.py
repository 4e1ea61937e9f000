"""Ranges written as a mapping: ``{distribution: triangular, low: 1 USD/h, mode: 2 USD/h, high: 4 USD/h}``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from costsim.inputs.kinds import FieldError, Kind, nearest, shown
from costsim.inputs.units import FRACTION, NUMBER
from costsim.uncertainty.ranges import Range

PARAMETERS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "uniform": (("low", "high"),),
    "triangular": (("low", "mode", "high"),),
    "normal": (("mean", "sd"), ("p5", "p95")),
    "lognormal": (("mean", "sd"), ("p5", "p95")),
    "beta": (("alpha", "beta"), ("mean", "sd")),
}
"""The distributions, and the sets of keys that each may be given by."""

_MAX_SPREAD = 7.0
"""Greatest standard deviation of ln x: a 90 % interval of ten orders of magnitude."""


def read_distribution(value: Mapping[Any, Any], kind: Kind, read: Callable[[object, Kind], float]) -> Range:
    """Read the mapping of a distribution.

    Args:
        value: the mapping.
        kind: what the field accepts.
        read: reads one number of a kind.

    Raises:
        FieldError: every problem of the mapping.
    """
    if not kind.ranges:
        raise kind.refusal("a mapping is no number")
    family = value.get("distribution")
    known = f"one of {', '.join(PARAMETERS)}"
    if family is None:
        raise kind.refusal("a range as a mapping needs the key 'distribution'", allowed=known)
    if not isinstance(family, str) or family not in PARAMETERS:
        suggestion = nearest(str(family), PARAMETERS)
        raise FieldError(
            f"unknown distribution {shown(family)}", field="distribution", allowed=known, suggestion=suggestion
        )
    keys = {key for key in value if key != "distribution"}
    form = next((form for form in PARAMETERS[family] if set(form) == keys), None)
    if form is None:
        forms = " or ".join(" and ".join(form) for form in PARAMETERS[family])
        raise FieldError(f"a {family} range is given by {forms}, not by {shown(', '.join(map(str, sorted(keys))))}")
    numbers, problems = {}, []
    for key in form:
        try:
            numbers[key] = read(value[key], _kind_of(key, kind))
        except FieldError as error:
            problems += [replace(problem, path=key) for problem in error.problems]
    if problems:
        raise FieldError(problems)
    return within(kind, _range(family, form, numbers, kind), f"the {family} range")


def within(kind: Kind, drawn: Range, named: str) -> Range:
    """The range, bounded as its field is.

    Its 90 % interval must keep to the field's bounds; draws further out are set to the bound. Where the bound itself
    is not allowed (no bandwidth is zero), 99 % must keep to it, and lesser draws are set to a hundredth of the median
    or to the 1 % quantile, whichever is less.

    Raises:
        FieldError: more of it is out of bounds, or the spread is absurd.
    """
    if drawn.distribution in ("lognormal", "logitnormal") and drawn.b > _MAX_SPREAD:
        raise FieldError(f"{named} spans more than ten orders of magnitude")
    free = replace(drawn, lower=-math.inf, upper=math.inf)
    low, high = free.interval90()
    slack = 1e-9 * max(abs(low), abs(high))
    if low < kind.lower - slack or high > kind.upper + slack or (kind.above and free.quantile(0.01) <= kind.lower):
        advice = "a lognormal, triangular or beta range can be kept within bounds"
        raise FieldError(f"much of {named} is out of bounds", allowed=f"{kind.bounds()}; {advice}")
    lower = kind.lower
    if kind.above and drawn.distribution in ("normal", "beta"):
        lower = min(lower + (free.centre() - lower) / 100, free.quantile(0.01))
    return replace(drawn, lower=lower, upper=kind.upper)


def _kind_of(key: str, kind: Kind) -> Kind:
    """What a parameter of a distribution must be."""
    if key in ("alpha", "beta"):
        return Kind(NUMBER, lower=0.01, upper=1e5)
    if key == "sd":
        return replace(kind, lower=0.0, upper=math.inf, above=True)
    return kind


def _range(family: str, form: tuple[str, ...], numbers: Mapping[str, float], kind: Kind) -> Range:
    """The range with these parameters.

    Raises:
        FieldError: they do not ascend, or there is no such distribution.
    """
    values = [numbers[key] for key in form]
    first, last = values[0], values[-1]
    if form[0] in ("low", "p5") and values != sorted(values):
        raise FieldError(f"{', '.join(form)} must ascend", field=form[0])
    if family == "uniform":
        return Range("uniform", first, last)
    if family == "triangular":
        return Range("triangular", *values)
    if family == "beta":
        return _beta(form, first, last, kind)
    if family == "lognormal" and first <= 0:
        raise FieldError("a lognormal range is of positive numbers", field=form[0])
    if form == ("mean", "sd"):
        if family == "normal":
            return Range("normal", first, last)
        variance = math.log1p((last / first) ** 2)
        return Range("lognormal", math.log(first) - variance / 2, math.sqrt(variance))
    return Range.interval(first, last) if family == "lognormal" else Range.normal_interval(first, last)


def _beta(form: tuple[str, ...], first: float, last: float, kind: Kind) -> Range:
    """A beta distribution on (0, 1), by its parameters or by mean and standard deviation."""
    if kind.dimension not in (FRACTION, NUMBER):
        raise FieldError("a beta range is of fractions", allowed="triangular or lognormal", field="distribution")
    if form == ("alpha", "beta"):
        return Range("beta", first, last)
    if not 0 < first < 1 or last**2 >= first * (1 - first):
        raise FieldError(
            "no beta distribution has this mean and sd", allowed="0 < mean < 1, sd < sqrt(mean (1 - mean))"
        )
    total = first * (1 - first) / last**2 - 1
    return Range("beta", first * total, (1 - first) * total)
