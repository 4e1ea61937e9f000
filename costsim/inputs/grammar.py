"""The grammar of quantities as people write them: ``15.6T tokens``, ``1.8 to 3.2 USD/h``, ``1 per 50000 h``.

One closed grammar reads them all::

    quantity  =  point  |  point "to" point  |  {distribution: ..., parameters}
    point     =  number [magnitude] [unit]  |  number "per" number time-unit       (the latter for rates of events)
    number    =  ASCII digits, with or without sign, point and exponent

In an interval, a unit that one side lacks is the other's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from numbers import Real

from costsim.inputs import units
from costsim.inputs.distributions import read_distribution, within
from costsim.inputs.kinds import FieldError, Kind, nearest, shown
from costsim.inputs.units import DIMENSIONS, MAGNITUDES
from costsim.uncertainty.ranges import Range

MAX_TEXT = 200
LARGEST, SMALLEST = 1e40, 1e-40
"""No quantity of this domain lies outside; products of a few of them stay far from the limits of a float."""

_NUMBER = re.compile(r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:[eE]([+-]?[0-9]{1,9}))?(?![0-9.,_'])")
_TO = re.compile(r"\s+to\s+")
_PER = re.compile(r"\s*(?:/|\bper\b)\s*")
_GROUPED = re.compile(r"[+-]?[0-9]{1,3}(?:[,_' ][0-9]{3})+(?![0-9])")
_FOREIGN = re.compile(r"[€£¥₹]|\b(EUR|GBP|JPY|CNY|RMB|INR|KRW|CHF|CAD|AUD|SGD|SEK|NOK|DKK|BRL)\b", re.IGNORECASE)
_DASHED = re.compile(r"([0-9.]+[^-–—]*?)\s*(?:-|–|—|\.\.+)\s*([0-9][^-–—]*)")
_EXPONENT = {10.0**power: power for power in range(-30, 31)}


def read(value: object, kind: Kind) -> float | Range:
    """Convert a value of a file into a number in the kind's unit, or a range of such numbers.

    Args:
        value: what the file says: text, a number, or the mapping of a distribution.
        kind: what the field accepts.

    Raises:
        FieldError: it is no such quantity.
    """
    if isinstance(value, Range) and kind.ranges:
        return within(kind, value, "the range")
    if isinstance(value, Mapping):
        return read_distribution(value, kind, _read_number)
    if isinstance(value, str):
        sides = _TO.split(_tidy(value, kind))
        if len(sides) > 2:
            raise kind.refusal(f"{shown(value)} has more than one 'to'")
        return _read_interval(sides, kind) if len(sides) == 2 else _read_point(sides[0], kind)
    return _read_number(value, kind)


def _read_number(value: object, kind: Kind) -> float:
    """Read one number, with or without unit."""
    if isinstance(value, str):
        return _read_point(_tidy(value, kind), kind)
    if isinstance(value, bool) or not isinstance(value, Real):
        raise kind.refusal(f"{shown(value)} is not {kind.dimension.noun}")
    if not kind.takes_bare:
        raise kind.refusal(f"{shown(value)} needs a unit", f"{value} {kind.own_unit}")
    return _bounded(_finite(lambda: float(value), value), value, kind)


def _tidy(text: str, kind: Kind) -> str:
    """The text without surrounding space.

    Raises:
        FieldError: it is too long, or has separators between its digits.
    """
    if len(text) > MAX_TEXT:
        raise kind.refusal(f"a text of {len(text)} characters is no quantity", allowed=f"at most {MAX_TEXT} characters")
    text = text.strip()
    if grouped := _GROUPED.match(text):
        plain = re.sub(r"[,_' ]", "", grouped[0]) + text[grouped.end() :]
        raise kind.refusal(
            f"{shown(text)} has separators between its digits", plain, "expected digits without separators"
        )
    return text


def _read_point(text: str, kind: Kind) -> float:
    return _bounded(_convert(text, kind), text, kind)


def _read_interval(ends: list[str], kind: Kind) -> Range:
    """Read the two ends of ``low to high``."""
    low, high = ends
    text = f"{low} to {high}"
    if not kind.ranges:
        raise kind.refusal(f"{shown(text)} is a range, and this takes one number", allowed=kind.expected())
    first = _read_point(_with_unit(low, high, kind), kind)
    last = _read_point(_with_unit(high, low, kind), kind)
    if first > last:
        raise kind.refusal(f"{shown(text)} runs from high to low", _swapped(low, high), "expected the lower end first")
    fraction = kind.dimension is units.FRACTION
    return within(kind, Range.interval(first, last, fraction, kind.lower, kind.upper), shown(text))


def _swapped(low: str, high: str) -> str:
    """The interval with its ends exchanged."""
    number = _NUMBER.match(high)
    if number and _NUMBER.fullmatch(low):
        return f"{number[0]} to {low}{high[number.end() :]}"
    return f"{high} to {low}"


def _with_unit(side: str, other: str, kind: Kind) -> str:
    """A side of an interval, with the other side's unit if it has none of its own."""
    match, lender = _NUMBER.match(side), _NUMBER.match(other)
    if not lender:
        raise _not_a_number(other, kind)
    if not match:
        raise _not_a_number(side, kind)
    suffix, lent = side[match.end() :].strip(), other[lender.end() :].strip()
    if not suffix:
        return f"{match[0]} {lent}"
    if suffix in MAGNITUDES and kind.dimension.find(suffix, kind.bare) is None:
        return f"{match[0]} {suffix} {lent[1:].strip() if lent[:1] in MAGNITUDES and lent[1:2] == ' ' else lent}"
    return side


def _convert(text: str, kind: Kind) -> float:
    """The number that a text without ``to`` says, in the kind's unit."""
    match = _NUMBER.match(text)
    if not match:
        raise _not_a_number(text, kind)
    unit = _PER.sub("/", text[match.end() :].strip())
    count, found = 1.0, kind.dimension.find(unit, kind.bare)
    every = _NUMBER.match(unit, 1) if kind.dimension is units.EVENT_RATE and unit.startswith("/") else None
    if every and (span := units.TIME.find(unit[every.end() :].strip())):
        count, found = float(every[0]), (0, units.HOUR / span[1])
    if found is None:
        raise _unknown_unit(text, unit, kind)
    if not count > 0:
        raise kind.refusal(f"{shown(text)} is no rate")
    power, factor = found
    bare = unit in ("", *MAGNITUDES) and unit not in kind.dimension.units
    own = factor if bare else kind.dimension.units.get(kind.own_unit, 1.0)
    return _finite(lambda: _scaled(match, power, factor, own) / count, text)


def _scaled(match: re.Match[str], power: int, factor: float, own: float) -> float:
    """Mantissa x 10^exponent x factor / own, correctly rounded where the factor is a power of ten."""
    exponent = int(match[2] or 0) + power
    if factor == own:
        return float(f"{match[1]}e{exponent}")
    if own == 1.0 and factor in _EXPONENT:
        return float(f"{match[1]}e{exponent + _EXPONENT[factor]}")
    return float(f"{match[1]}e{exponent}") * factor / own


def _finite(compute: Callable[[], float], written: object) -> float:
    """The computed number.

    Raises:
        FieldError: it is too large or too small to be a quantity of this domain.
    """
    try:
        number = compute()
    except OverflowError:
        number = math.inf
    if not abs(number) <= LARGEST:
        raise FieldError(f"{shown(written)} is too large", allowed=f"at most {LARGEST:g} in base units")
    vanished = number == 0 and re.match(r"[+-]?[0.]*[1-9]", str(written))
    if vanished or 0 < abs(number) < SMALLEST:
        raise FieldError(f"{shown(written)} is too small", allowed=f"zero, or at least {SMALLEST:g} in base units")
    return number + 0.0  # turns -0.0 into 0.0


def _bounded(number: float, written: object, kind: Kind) -> float:
    """The number; an ``int`` if it is a count.

    Raises:
        FieldError: it is out of bounds, or not whole.
    """
    if number < kind.lower or number > kind.upper or (kind.above and number == kind.lower):
        raise kind.refusal(f"{shown(written)} is out of bounds", _meant(number, str(written), kind), kind.bounds())
    if not kind.whole:
        return number
    whole = round(number)
    if abs(number - whole) > 1e-12 * abs(number):
        raise kind.refusal(f"{shown(written)} is not a whole number", allowed="expected a whole number")
    return whole if kind.dimension is units.COUNT else float(whole)


def _meant(number: float, written: str, kind: Kind) -> str:
    """What was probably meant by a number out of bounds: 25 for 25%, or ``m`` for million."""
    if kind.dimension in (units.FRACTION, units.RATE) and 1 < number <= 100 and "%" not in written:
        return f"{number:g}%"
    milli = re.fullmatch(r"([0-9.]+) ?m\b(.*)", written) if kind.whole else None
    return f"{milli[1]}M{milli[2]}" if milli else ""


def _not_a_number(text: str, kind: Kind) -> FieldError:
    """The error that a text does not begin with a number."""
    if not text:
        return kind.refusal("an empty text")
    if dashed := _DASHED.fullmatch(text):
        return kind.refusal(f"{shown(text)} is no number", f"{dashed[1]} to {dashed[2]}")
    if text[0] == "$" and text[1:2].isdigit():
        amount = _NUMBER.match(text, 1)
        rest = text[amount.end() :].strip() if amount else ""
        magnitude = rest[:1] if rest[:1] in MAGNITUDES else ""
        meant = f"{amount[0]}{magnitude} USD{rest[len(magnitude) :]}" if amount else ""
        return kind.refusal(f"{shown(text)} has its unit in front", meant)
    return kind.refusal(f"{shown(text)} is no number")


def _unknown_unit(text: str, unit: str, kind: Kind) -> FieldError:
    """The error that what stands after a number is no unit of the expected dimension."""
    if not unit or (unit in MAGNITUDES and kind.dimension.magnitudes):
        return kind.refusal(f"{shown(text)} needs a unit", f"{text} {kind.own_unit}")
    if dashed := _DASHED.fullmatch(text):
        return kind.refusal(f"{shown(text)} is no quantity", f"{dashed[1]} to {dashed[2]}")
    for other in DIMENSIONS:
        if other is not kind.dimension and unit not in MAGNITUDES and other.find(unit):
            return kind.refusal(f"{shown(text)} is {other.noun}, not {kind.dimension.noun}")
    if _FOREIGN.search(unit) and any("USD" in known for known in kind.dimension.units):
        # No suggestion: taking it would change the amount.
        return kind.refusal(f"{shown(text)} is not in US dollars: convert it at a rate that you can name")
    spelt = {f"{m} {u}" for m in MAGNITUDES for u in kind.dimension.units} if kind.dimension.magnitudes else set()
    if spelt and unit[:1] in MAGNITUDES and f"{unit[0]} {unit[1:]}" in spelt:
        return kind.refusal(f"unknown unit {shown(unit)}", f"{unit[0]} {unit[1:]}")
    known = [
        *kind.dimension.units,
        *(MAGNITUDES if kind.takes_bare and (kind.bare or kind.dimension.magnitudes) else ()),
    ]
    return kind.refusal(f"unknown unit {shown(unit)}", nearest(unit, [word for word in known if word]))
