"""Numbers as people read them: short, with their unit, with their range, and never cut off.

One rule for every output: three significant digits (two for days, GiB and percent), a magnitude letter or a scaled
unit, and the 90 % interval in the centre's own magnitude: ``41.2M (31–55M)``, ``78 days (67–93)``, ``41 % (36–46)``.
Everything here is a pure function of its arguments, so that the same plan is the same text everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Rung = tuple[float, str]

_PLAIN: tuple[Rung, ...] = ((1.0, ""),)
_COMPACT: tuple[Rung, ...] = (
    (1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T"), (1e15, "P"), (1e18, "E"),
)  # fmt: skip
_SI: tuple[Rung, ...] = ((1.0, " "), (1e3, " k"), (1e6, " M"), (1e9, " G"), (1e12, " T"), (1e15, " P"), (1e18, " E"))
_SECONDS: tuple[Rung, ...] = (
    (1e-9, " ns"),
    (1e-6, " µs"), (1e-3, " ms"), (1.0, " s"), (60.0, " min"), (3600.0, " h"), (86400.0, " days"),
)  # fmt: skip
_TONNES: tuple[Rung, ...] = ((1e-3, " kg"), (1.0, " t"))
_DAYS: tuple[Rung, ...] = ((1.0 / 1440.0, " min"), (1.0 / 24.0, " h"), (1.0, " days"))
_BYTES: tuple[Rung, ...] = (
    (1.0, " B"), (2.0**10, " KiB"), (2.0**20, " MiB"), (2.0**30, " GiB"), (2.0**40, " TiB"), (2.0**50, " PiB"),
)  # fmt: skip

_FIRST_EXPONENT = 15  # FLOPs are written as 4.25e25 from here on
_NEARLY_ALL, _NEARLY_NONE = 99.99, 0.01  # percent: closer than this, only the side is told
_LONGEST_COUNT = 1_000_000  # whole counts below this are written out: 16,384 accelerators
_MOST_DECIMALS = 12
_RANGE_DIGITS = (3, 4)  # significant digits of an end: more only where fewer do not tell the ends apart
_SHARED_DECIMALS, _FAR_BELOW = 2, 0.01  # in a column; far smaller numbers keep a magnitude of their own


@dataclass(frozen=True)
class UnitStyle:
    """How numbers of one unit are written.

    Attributes:
        ladder: divisors and what follows the number, smallest first.
        before: text in front of the number, such as ``$``.
        after: text behind the magnitude, such as `` tokens``; left out of a range's ends.
        factor: what the value is multiplied by first (percent).
        digits: significant digits of the centre.
        cents: two decimals for money that has no magnitude letter.
        whole: whole numbers below a million are written out.
        exponent: very large numbers are written as 4.25e25.
        never: an unbounded end of a range means that it never comes.
    """

    ladder: tuple[Rung, ...] = _COMPACT
    before: str = ""
    after: str = ""
    factor: float = 1.0
    digits: int = 3
    cents: bool = False
    whole: bool = False
    exponent: bool = False
    never: bool = False


_PERCENT = UnitStyle(_PLAIN, after=" %", factor=100.0, digits=2)
_STYLES: dict[str, UnitStyle] = {
    "": UnitStyle(),
    "1": UnitStyle(),
    "number": UnitStyle(),
    "ratio": UnitStyle(digits=2),
    "multiple": UnitStyle(after="×"),
    "count": UnitStyle(whole=True),
    "fraction": _PERCENT,
    "probability": _PERCENT,
    "per year": UnitStyle(_PLAIN, after=" % a year", factor=100.0, digits=2),
    "fraction/year": UnitStyle(_PLAIN, after=" % a year", factor=100.0, digits=2),
    "1/year": UnitStyle(_PLAIN, after=" % a year", factor=100.0, digits=2),
    "s": UnitStyle(_SECONDS),
    "h": UnitStyle(after=" h"),
    "day": UnitStyle(_DAYS, digits=2),
    "month": UnitStyle(_PLAIN, after=" months", digits=2, never=True),
    "year": UnitStyle(_PLAIN, after=" years", digits=2, never=True),
    "byte": UnitStyle(_BYTES, digits=2),
    "byte/s": UnitStyle(_SI, after="B/s"),
    "FLOP": UnitStyle(_SI, after="FLOP", exponent=True),
    "FLOP/s": UnitStyle(_SI, after="FLOP/s"),
    "FLOP/token": UnitStyle(_SI, after="FLOP/token"),
    "token": UnitStyle(after=" tokens"),
    "token/s": UnitStyle(after=" tokens/s"),
    "token/day": UnitStyle(after=" tokens/day"),
    "parameter": UnitStyle(after=" parameters"),
    "W": UnitStyle(_SI, after="W"),
    "MW": UnitStyle(_SI, after="W", factor=1e6),
    "kWh": UnitStyle(_SI, after="Wh", factor=1e3),
    "t": UnitStyle(_TONNES),
    "USD": UnitStyle(before="$", cents=True),
    "accelerator-hour": UnitStyle(after=" accelerator-hours"),
}
_ALIASES = {
    "seconds": "s", "second": "s", "hour": "h", "hours": "h",
    "d": "day", "days": "day", "months": "month", "years": "year",
    "bytes": "byte", "B": "byte", "bytes/s": "byte/s", "tokens": "token", "tokens/s": "token/s",
    "tokens/day": "token/day", "parameters": "parameter", "FLOPs": "FLOP", "tonne": "t", "tonnes": "t",
    "megawatt": "MW", "watt": "W", "accelerator-hours": "accelerator-hour", "accelerator hours": "accelerator-hour",
    "boolean": "", "text": "", "x": "multiple", "percent": "fraction",
}  # fmt: skip
_PER = {
    "hour": "h", "accelerator-hour": "h", "accelerator hour": "h", "million tokens": "Mtok", "day": "day",
}  # fmt: skip


def unit_style(unit: str) -> UnitStyle:
    """How numbers of this unit are written; an unknown unit follows its number unchanged."""
    name = _ALIASES.get(unit, unit)
    if name in _STYLES:
        return _STYLES[name]
    if name.startswith("USD/"):
        per = name.removeprefix("USD/")
        return UnitStyle(before="$", after="/" + _PER.get(per, per), cents=True)
    if name.startswith("t "):  # t CO2e
        return UnitStyle(_TONNES, after=name.removeprefix("t"))
    return UnitStyle(after=f" {name}")


def number(value: float, unit: str = "", like: float | None = None) -> str:
    """Write one number with its unit, such as ``$72.6M``, ``6.46 s`` or ``4.25e25 FLOP``.

    Args:
        value: the number.
        unit: its unit, as declared.
        like: the largest number of its column, whose magnitude it takes, so that amounts compare at a glance; a far
            smaller one keeps its own.

    Raises:
        ValueError: the value is not a number. Infinity is "never" for durations and "unbounded" otherwise.
    """
    style = unit_style(unit)
    if math.isnan(value):
        raise ValueError("not a number")
    if math.isinf(value):
        return "never" if style.never else ("unbounded" if value > 0 else "unbounded below")
    scaled = value * style.factor
    if style is _PERCENT and _NEARLY_ALL < scaled < 100.0:
        return f">{_NEARLY_ALL:g} %"
    if style is _PERCENT and 0.0 < scaled < _NEARLY_NONE:
        return f"<{_NEARLY_NONE:g} %"
    rung, shared = _rung_like(scaled, style, like)
    return _written(scaled, rung, style, _SHARED_DECIMALS if shared else _MOST_DECIMALS)


def with_range(value: float | None, unit: str, interval: Mapping[str, float | None] | None) -> str:
    """Write a number and its 90 % interval, such as ``41.2M (31–55M)``; without an interval only the number.

    Args:
        value: the centre; None where it never comes.
        unit: of all three numbers.
        interval: ``{"p5": ..., "p95": ...}``; None as an end means that it is unbounded.
    """
    style = unit_style(unit)
    centre = ("never" if style.never else "unknown") if value is None else number(value, unit)
    bounds = range_only(value, unit, interval)
    return f"{centre} ({bounds})" if bounds else centre


def range_only(
    value: float | None, unit: str, interval: Mapping[str, float | None] | None, like: float | None = None
) -> str:
    """The 90 % interval alone, in the magnitude of its centre: ``31–55M``; empty where there is no spread.

    Args:
        value: the centre; None where it never comes.
        unit: of all three numbers.
        interval: as for `with_range`.
        like: the largest number of the column, as for `number`.
    """
    if interval is None:
        return ""
    style = unit_style(unit)
    ends = [interval.get("p5"), interval.get("p95")]
    finite = [end * style.factor for end in ends if end is not None and math.isfinite(end)]
    if not finite or (len(finite) == 2 and finite[0] == finite[1]):
        return ""
    largest = max(finite, key=abs)
    centre = largest if value is None or not value or not math.isfinite(value) else value * style.factor
    rung, shared = _rung_like(centre, style, like)
    most = _SHARED_DECIMALS if shared else _MOST_DECIMALS
    span = abs(finite[-1] - finite[0]) or abs(largest)
    low, high = _ends(ends, style, rung, span, most)
    if low == high:
        return ""
    letter = rung[1] if rung[1] in _LETTERS else ""
    if min(finite) < 0.0:  # -$400M to $1,100M
        return " to ".join(_dressed_end(text, style.before, letter) for text in (low, high))
    if len(finite) == 1:  # 223T–unbounded: a word takes no magnitude
        low, high = (f"{text}{letter}" if text[-1].isdigit() else text for text in (low, high))
        return f"{style.before if low[0].isdigit() else ''}{low}–{high}"
    return f"{style.before}{low}–{high}{letter}"


def counted(count: int, noun: str) -> str:
    """A count of things: ``1 thread``, ``2 threads``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


_COUNTED = (" days", " months", " years", " sequences", " accelerators")
"""Units that one of has no plural."""
_LETTERS = {letter for _, letter in _COMPACT[1:]} | {f"e{power}" for power in range(_FIRST_EXPONENT, 309)}


def relative(value: float, reference: float) -> str:
    """How far a value lies from another, as ``+12 %`` or ``× 3.4``; empty where the reference is zero."""
    if reference == 0 or not math.isfinite(value) or not math.isfinite(reference):
        return ""
    ratio = value / reference
    if ratio >= 3.0:
        return f"× {_digits(ratio, max(0, 1 - _power(ratio)))}"
    sign = "+" if ratio >= 1.0 else "-"
    if reference < 0:
        sign = "+" if value >= reference else "-"
    return f"{sign}{number(abs(ratio - 1.0), 'fraction')}"


def signed(value: float, unit: str) -> str:
    """A difference with its sign, such as ``+$3.1M``."""
    return f"+{number(value, unit)}" if value > 0 else number(value, unit)


def _ends(ends: Sequence[float | None], style: UnitStyle, rung: Rung, span: float, most: int) -> list[str]:
    """Both ends: decimals that tell them apart, two significant digits or more but few, no idle zeros."""
    cents = _cents(style, rung) and 1.0 <= max(abs(end) for end in ends if end is not None) < 100.0
    beyond = ("never", "never") if style.never else ("none", "unbounded")
    texts: list[str] = []
    for digits in _RANGE_DIGITS:
        texts = [
            word if end is None or math.isinf(end) else _end(end, style, rung, span / rung[0], digits, 2 * cents, most)
            for end, word in zip(ends, beyond, strict=True)
        ]
        if texts[0] != texts[1]:
            break
    while not cents and any("." in text for text in texts) and all("." not in t or t[-1] == "0" for t in texts):
        texts = [text[:-1].removesuffix(".") if "." in text else text for text in texts]
    return texts


def _end(end: float, style: UnitStyle, rung: Rung, span: float, digits: int, fewest: int, most: int) -> str:
    """One end, with as many decimals as its distance from the other needs, within so many significant digits."""
    scaled = end * style.factor / rung[0]
    between = 1 - _power(span) if style.digits > 2 else -_power(span / 2)
    least = 1 - _power(scaled) if 0.0 < abs(scaled) < 10.0 else 0
    enough = min(between, digits - 1 - _power(scaled)) if scaled else between
    return _digits(scaled, min(max(least, enough, fewest), most), trim=None)


def _has_digits(text: str) -> bool:
    return text[-1].isdigit()


def _dressed_end(text: str, before: str, letter: str) -> str:
    if not _has_digits(text):
        return text
    sign = "-" if text.startswith("-") else ""
    return f"{sign}{before}{text.removeprefix('-')}{letter}"


def _rung_like(scaled: float, style: UnitStyle, like: float | None) -> tuple[Rung, bool]:
    """The step of the ladder of the largest of a column if that is not far above, else the number's own; and which."""
    if like is not None:
        rung = _rung(like * style.factor, style)
        if abs(scaled) >= _FAR_BELOW * rung[0]:
            return rung, True
    return _rung(scaled, style), False


def _rung(value: float, style: UnitStyle) -> Rung:
    """The largest step of the ladder that the rounded value reaches."""
    size = abs(value)
    if style.exponent and size >= 10.0**_FIRST_EXPONENT:
        power = _power(size)
        if round(size / 10.0**power, style.digits - 1) >= 10.0:
            power += 1
        return 10.0**power, f"e{power}"
    if style.whole and size < _LONGEST_COUNT and value == round(value):
        return style.ladder[0] if style.ladder[0][0] == 1.0 else (1.0, "")
    nearly = 1.0 - 0.5 * 10.0**-style.digits  # 999.96k is written as 1M
    reached = [rung for rung in style.ladder if size >= rung[0] * nearly]
    if reached:
        return reached[-1]
    return next((rung for rung in style.ladder if rung[0] == 1.0), style.ladder[0]) if size == 0 else style.ladder[0]


def _decimals(scaled: float, rung: Rung, style: UnitStyle) -> int:
    """Decimals that leave the style's significant digits."""
    shown = abs(scaled / rung[0])
    if style.whole and scaled == round(scaled) and abs(scaled) < _LONGEST_COUNT:
        return 0
    if shown == 0.0:
        return 0
    decimals = style.digits - 1 - _power(shown)
    if style.factor == 100.0 and 99.0 < shown < 100.0:  # 99.96 % is not 100 %
        decimals = max(1, 1 - _power(100.0 - shown))
    if _cents(style, rung) and shown < 100.0:
        decimals = max(2, decimals)
    return min(max(decimals, 0), _MOST_DECIMALS)


def _cents(style: UnitStyle, rung: Rung) -> bool:
    return style.cents and rung[1] == ""


def _power(value: float) -> int:
    """The power of ten of a value's first digit: 2 for 412, -2 for 0.0131; 0 for zero."""
    return math.floor(math.log10(abs(value))) if value else 0


def _written(scaled: float, rung: Rung, style: UnitStyle, most: int) -> str:
    body = _digits(scaled / rung[0], min(_decimals(scaled, rung, style), most), trim=2 if _cents(style, rung) else 0)
    return _dressed(body, rung, style)


def _digits(value: float, decimals: int, *, trim: int | None = 0) -> str:
    """Fixed decimals, thousands apart; idle zeros are trimmed down to ``trim`` decimals, or kept where it is None."""
    text = f"{value:,.{decimals}f}"
    if trim is not None and "." in text:
        while text.endswith("0") and len(text) - text.index(".") - 1 > trim:
            text = text[:-1]
        text = text.removesuffix(".")
    text = text.removesuffix(".00") if trim == 2 and float(text.replace(",", "")) == 0.0 else text
    return text.removeprefix("-") if set(text) <= set("-0.,") else text


def _dressed(body: str, rung: Rung, style: UnitStyle) -> str:
    sign, digits = ("-", body[1:]) if body.startswith("-") else ("", body)
    gap = " " if rung[1].startswith("e") and style.after else ""
    text = f"{sign}{style.before}{digits}{rung[1]}{gap}{style.after}"
    return "1" + text[1:].removesuffix("s") if digits == "1" and text.endswith(_COUNTED) else text
