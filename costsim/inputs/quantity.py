"""Quantities: reading and writing them, and the types of fields that hold them.

Each type comes twice: ``Tokens`` takes a number, ``TokensRange`` a number or a range. Values inside are SI or USD
numbers in the unit of the table below (``UsdPerHour`` stays per hour, ``UsdPerMtok`` per million tokens, as the
names say); a range is a `Range` of such numbers. The types are plain annotations of pydantic fields.
"""

from __future__ import annotations

import math
from typing import Annotated, TypeAlias

from costsim.inputs import units
from costsim.inputs.grammar import read
from costsim.inputs.kinds import FieldError, Kind, nearest, shown
from costsim.inputs.units import MAGNITUDES, Dimension
from costsim.uncertainty.ranges import Range

__all__ = ["FieldError", "Kind", "Range", "format_quantity", "kind_of", "nearest", "parse", "shown"]

Count: TypeAlias = Annotated[int, Kind(units.COUNT, lower=1, upper=1e18, whole=True)]
"""A whole number from 1, such as layers, accelerators or parameters (``70B``)."""
CountOrZero: TypeAlias = Annotated[int, Kind(units.COUNT, upper=1e18, whole=True)]
PlainNumber: TypeAlias = Annotated[float, Kind(units.NUMBER)]
"""A number from 0."""
PlainNumberRange: TypeAlias = Annotated[float | Range, Kind(units.NUMBER, ranges=True)]
PositiveNumber: TypeAlias = Annotated[float, Kind(units.NUMBER, above=True)]
PositiveNumberRange: TypeAlias = Annotated[float | Range, Kind(units.NUMBER, above=True, ranges=True)]
AtLeastOne: TypeAlias = Annotated[float, Kind(units.NUMBER, lower=1)]
"""A factor from 1, such as a PUE."""
AtLeastOneRange: TypeAlias = Annotated[float | Range, Kind(units.NUMBER, lower=1, ranges=True)]
AnyNumber: TypeAlias = Annotated[float, Kind(units.NUMBER, lower=-math.inf)]
AnyNumberRange: TypeAlias = Annotated[float | Range, Kind(units.NUMBER, lower=-math.inf, ranges=True)]
Fraction: TypeAlias = Annotated[float, Kind(units.FRACTION, upper=1)]
"""0 to 1, or 0% to 100%."""
FractionRange: TypeAlias = Annotated[float | Range, Kind(units.FRACTION, upper=1, ranges=True)]
PositiveFraction: TypeAlias = Annotated[float, Kind(units.FRACTION, upper=1, above=True)]
"""Above 0, such as an efficiency."""
PositiveFractionRange: TypeAlias = Annotated[float | Range, Kind(units.FRACTION, upper=1, above=True, ranges=True)]
Tokens: TypeAlias = Annotated[float, Kind(units.TOKENS, lower=1, whole=True)]
TokensRange: TypeAlias = Annotated[float | Range, Kind(units.TOKENS, above=True, ranges=True)]
Bytes: TypeAlias = Annotated[float, Kind(units.BYTES, above=True)]
BytesRange: TypeAlias = Annotated[float | Range, Kind(units.BYTES, above=True, ranges=True)]
BytesPerSecond: TypeAlias = Annotated[float, Kind(units.BANDWIDTH, above=True)]
BytesPerSecondRange: TypeAlias = Annotated[float | Range, Kind(units.BANDWIDTH, above=True, ranges=True)]
Flop: TypeAlias = Annotated[float, Kind(units.FLOP, above=True, bare=True)]
FlopPerSecond: TypeAlias = Annotated[float, Kind(units.FLOP_RATE, above=True)]
FlopPerSecondRange: TypeAlias = Annotated[float | Range, Kind(units.FLOP_RATE, above=True, ranges=True)]
Seconds: TypeAlias = Annotated[float, Kind(units.TIME)]
SecondsRange: TypeAlias = Annotated[float | Range, Kind(units.TIME, ranges=True)]
Hours: TypeAlias = Annotated[float, Kind(units.TIME, unit="h")]
HoursRange: TypeAlias = Annotated[float | Range, Kind(units.TIME, unit="h", ranges=True)]
Days: TypeAlias = Annotated[float, Kind(units.TIME, unit="days")]
DaysRange: TypeAlias = Annotated[float | Range, Kind(units.TIME, unit="days", ranges=True)]
Months: TypeAlias = Annotated[float, Kind(units.TIME, unit="months")]
MonthsRange: TypeAlias = Annotated[float | Range, Kind(units.TIME, unit="months", ranges=True)]
Years: TypeAlias = Annotated[float, Kind(units.TIME, unit="years", above=True)]
YearsRange: TypeAlias = Annotated[float | Range, Kind(units.TIME, unit="years", above=True, ranges=True)]
Watts: TypeAlias = Annotated[float, Kind(units.POWER, above=True)]
WattsRange: TypeAlias = Annotated[float | Range, Kind(units.POWER, above=True, ranges=True)]
Usd: TypeAlias = Annotated[float, Kind(units.USD)]
UsdRange: TypeAlias = Annotated[float | Range, Kind(units.USD, ranges=True)]
UsdNamed: TypeAlias = Annotated[float, Kind(units.USD, bare=True)]
"""For keys that name the unit, such as ``usd_per_accelerator: 30000``."""
UsdNamedRange: TypeAlias = Annotated[float | Range, Kind(units.USD, bare=True, ranges=True)]
UsdPerHour: TypeAlias = Annotated[float, Kind(units.USD_PER_HOUR, bare=True)]
"""For keys that name the unit, such as ``usd_per_hour: 2.35``; per hour inside as well."""
UsdPerHourRange: TypeAlias = Annotated[float | Range, Kind(units.USD_PER_HOUR, bare=True, ranges=True)]
UsdPerMtok: TypeAlias = Annotated[float, Kind(units.USD_PER_MTOK)]
UsdPerMtokRange: TypeAlias = Annotated[float | Range, Kind(units.USD_PER_MTOK, ranges=True)]
UsdPerMonth: TypeAlias = Annotated[float, Kind(units.USD_PER_MONTH)]
UsdPerMonthRange: TypeAlias = Annotated[float | Range, Kind(units.USD_PER_MONTH, ranges=True)]
UsdPerKwh: TypeAlias = Annotated[float, Kind(units.USD_PER_KWH)]
UsdPerKwhRange: TypeAlias = Annotated[float | Range, Kind(units.USD_PER_KWH, ranges=True)]
UsdPerGb: TypeAlias = Annotated[float, Kind(units.USD_PER_GB)]
UsdPerGbRange: TypeAlias = Annotated[float | Range, Kind(units.USD_PER_GB, ranges=True)]
UsdPerGbMonth: TypeAlias = Annotated[float, Kind(units.USD_PER_GB_MONTH)]
UsdPerGbMonthRange: TypeAlias = Annotated[float | Range, Kind(units.USD_PER_GB_MONTH, ranges=True)]
GramsPerKwh: TypeAlias = Annotated[float, Kind(units.CARBON)]
GramsPerKwhRange: TypeAlias = Annotated[float | Range, Kind(units.CARBON, ranges=True)]
TokensPerSecond: TypeAlias = Annotated[float, Kind(units.TOKEN_RATE, above=True)]
TokensPerSecondRange: TypeAlias = Annotated[float | Range, Kind(units.TOKEN_RATE, above=True, ranges=True)]
EventsPerHour: TypeAlias = Annotated[float, Kind(units.EVENT_RATE, bare=True)]
"""A failure rate such as ``1 per 50000 h``; the bare number is per hour."""
EventsPerHourRange: TypeAlias = Annotated[float | Range, Kind(units.EVENT_RATE, bare=True, ranges=True)]
RatePerYear: TypeAlias = Annotated[float, Kind(units.RATE, upper=10)]
"""A discount or interest rate: ``12%``, ``12%/year`` or 0.12."""
RatePerYearRange: TypeAlias = Annotated[float | Range, Kind(units.RATE, upper=10, ranges=True)]
GrowthPerYear: TypeAlias = Annotated[float, Kind(units.GROWTH, above=True)]
"""A factor per year, such as ``10x/year``."""
GrowthPerYearRange: TypeAlias = Annotated[float | Range, Kind(units.GROWTH, above=True, ranges=True)]


def kind_of(field_type: object) -> Kind:
    """The kind behind one of the types above: ``kind_of(Tokens)``.

    Raises:
        TypeError: it is not one of them.
    """
    for mark in getattr(field_type, "__metadata__", ()):
        if isinstance(mark, Kind):
            return mark
    raise TypeError(f"{field_type!r} is not the type of a quantity")


def parse(value: object, kind: Kind | Dimension) -> float | Range:
    """Read a quantity: ``parse("80 GiB", units.BYTES)`` is 85899345920.0.

    Args:
        value: text, a number, or the mapping of a distribution.
        kind: what is accepted; a dimension alone accepts any number of it, and ranges.

    Raises:
        FieldError: it is no such quantity.
    """
    return read(value, kind if isinstance(kind, Kind) else Kind(kind, ranges=True, lower=-math.inf))


def format_quantity(value: float | Range, kind: Kind | Dimension) -> str:
    """Write a quantity so that `parse` reads the same back (a range: to twelve digits).

    The text uses the largest unit that keeps the number short: 85899345920 bytes are ``80 GiB``.

    Args:
        value: a number or range in the kind's unit.
        kind: what it is, or its dimension.
    """
    kind = kind if isinstance(kind, Kind) else Kind(kind, ranges=True, lower=-math.inf)
    if isinstance(value, Range):
        return _format_range(value, kind)
    free = Kind(kind.dimension, bare=kind.bare, lower=-math.inf, unit=kind.unit)
    factors, own = kind.dimension.units, kind.dimension.units.get(kind.own_unit, 1.0)
    best = (repr(value).removesuffix(".0"), "", kind.own_unit)
    for magnitude in ("", "M", "B", "T") if kind.dimension.magnitudes else ("",):
        for unit in kind.dimension.display or (kind.own_unit,):
            factor = 10.0 ** MAGNITUDES.get(magnitude, 0) * factors.get(unit, 1.0) / own
            shorter = (f"{value / factor:.10g}", magnitude, unit)
            fits = len(shorter[0]) <= len(best[0]) and (abs(value) >= factor or unit == "%")
            if fits and read(_join(*shorter), free) == value:
                best = shorter
    return _join(*best)


def _join(digits: str, magnitude: str, unit: str) -> str:
    if digits == "1" and unit in ("days", "months", "years"):
        unit = unit.removesuffix("s")
    close = not unit or unit[0] in "%x/"
    return f"{digits}{magnitude}{unit}" if close else f"{digits}{magnitude} {unit}"


def _format_range(value: Range, kind: Kind) -> str:
    """A range as an interval, or as the mapping of its distribution."""
    size = max(map(abs, value.interval90()))

    def point(number: float) -> str:
        return format_quantity(_rounded(number, size), kind)

    if value.distribution == "beta":
        return f"{{distribution: beta, alpha: {value.a:.12g}, beta: {value.b:.12g}}}"
    if value.distribution == "uniform":
        return f"{{distribution: uniform, low: {point(value.a)}, high: {point(value.b)}}}"
    if value.distribution == "triangular":
        return f"{{distribution: triangular, low: {point(value.a)}, mode: {point(value.b)}, high: {point(value.c)}}}"
    low, high = (_rounded(end, size) for end in Range(value.distribution, value.a, value.b).interval90())
    implied = Range.interval(low, high, kind.dimension is units.FRACTION)
    if implied.distribution != value.distribution:
        return f"{{distribution: {value.distribution}, p5: {point(low)}, p95: {point(high)}}}"
    return _interval(low, high, implied, kind)


def _interval(low: float, high: float, meant: Range, kind: Kind) -> str:
    """The shortest of several texts of an interval that is read as the range that is meant."""
    first, last = format_quantity(low, kind), format_quantity(high, kind)
    plain = [_join(repr(end), "", kind.own_unit) for end in (low, high)]
    free = Kind(kind.dimension, ranges=True, bare=kind.bare, lower=-math.inf, unit=kind.unit)
    for text in (f"{first.partition(' ')[0]} to {last}", f"{first} to {last}"):
        # Not every pair will do: what one end lacks would be the other's, as in 500 USD to 2M USD or 25% to 1.
        try:
            if read(text, free) == meant:
                return text
        except FieldError:
            continue
    return " to ".join(plain)


def _rounded(number: float, size: float) -> float:
    """The number to twelve digits; zero if it is only a rounding error of numbers of this size."""
    return float(f"{number:.12g}") if abs(number) > 1e-12 * size else 0.0
