"""The closed table of dimensions and units that a quantity may be written in.

Every accepted spelling stands here with its factor to the dimension's base unit: SI for physics, US dollars for money.
A month is 1/12 of a year and a year 365.25 days; ``GB`` is 10^9 bytes and ``GiB`` 2^30.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
YEAR = 365.25 * DAY
MONTH = YEAR / 12

MAGNITUDES: Mapping[str, int] = {"u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "B": 9, "T": 12, "P": 15, "E": 18}
"""What may stand between a number and the thing that it counts, as a power of ten."""


@dataclass(frozen=True, eq=False)
class Dimension:
    """A kind of quantity and the spellings of its units.

    Attributes:
        name: short name, for programs.
        noun: with its article, for messages: "a bandwidth".
        base: the unit of the numbers inside, one of ``units``; empty for a plain number.
        units: every spelling and its factor to ``base``.
        example: a quantity as one writes it.
        example_range: an interval as one writes it.
        magnitudes: whether ``k M B T`` may stand before the unit, as in ``500M USD``.
        display: the spellings that are used to write a quantity, ascending; the base alone if there are none.
    """

    name: str
    noun: str
    base: str
    units: Mapping[str, float]
    example: str
    example_range: str
    magnitudes: bool = False
    display: tuple[str, ...] = ()

    def find(self, text: str, bare: bool = False) -> tuple[int, float] | None:
        """Power of ten and factor of a unit as written, or None if this dimension has no such unit.

        Args:
            text: what stands after the number, such as ``M USD``.
            bare: whether the unit may be left out.
        """
        if text in self.units:
            return 0, self.units[text]
        if not text:
            return (0, 1.0) if bare else None
        power, unit = MAGNITUDES.get(text[0]), text[1:]
        if power is None or not (self.magnitudes or bare):
            return None
        if not unit:
            return (power, 1.0) if bare or "" in self.units else None
        return (power, self.units[unit.strip()]) if unit[0] == " " and unit.strip() in self.units else None


def _prefixed(units: str, prefixes: str, powers: Mapping[str, float], after: str = "") -> dict[str, float]:
    """``{prefix + unit + after: factor}`` for each unit and prefix; ``-`` stands for no prefix."""
    factors = {"-": 1.0, **powers}
    return {
        f"{'' if prefix == '-' else prefix}{unit}{after}": factors[prefix]
        for prefix in prefixes.split()
        for unit in units.split()
    }


_SI = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Z": 1e21,
    "Y": 1e24,
}
_IEC = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50, "Ei": 2.0**60}
_UP = "- k M G T P E"

_TIMES: dict[str, float] = {
    spelling: factor
    for spellings, factor in (
        ("ns", 1e-9),
        ("us", 1e-6),
        ("ms", 1e-3),
        ("s sec second seconds", 1.0),
        ("min minute minutes", MINUTE),
        ("h hr hour hours", HOUR),
        ("d day days", DAY),
        ("week weeks", 7 * DAY),
        ("month months", MONTH),
        ("yr year years", YEAR),
    )
    for spelling in spellings.split()
}
_SPANS = {unit: factor for unit, factor in _TIMES.items() if unit == "s" or (factor >= 1 and not unit.endswith("s"))}
"""Times that a rate may be per: singular, a second or longer."""


def _per(units: Mapping[str, float], spans: Mapping[str, float], base: float) -> dict[str, float]:
    """``unit/span`` for every pair, with the factor to the base unit per ``base`` seconds."""
    return {f"{unit}/{span}": factor * base / time for unit, factor in units.items() for span, time in spans.items()}


_BYTE = {
    **_prefixed("B", _UP, _SI),
    **_prefixed("B", " ".join(_IEC), _IEC),
    "byte": 1.0,
    "bytes": 1.0,
}
_BIT = {
    unit: factor / 8
    for unit, factor in {**_prefixed("bit b", _UP, _SI), **_prefixed("bit", " ".join(_IEC), _IEC)}.items()
}
_FLOP = _prefixed("FLOP FLOPs", "- k M G T P E Z Y", _SI)
_USD = {"USD": 1.0, "$": 1.0, "US$": 1.0}
_TOKEN = {"tokens": 1.0, "token": 1.0, "tok": 1.0}
_PER_MILLION_TOKENS = {
    "Mtok": 1.0,
    "Mtokens": 1.0,
    "M tokens": 1.0,
    "1M tokens": 1.0,
    "million tokens": 1.0,
    "ktok": 1e3,
    "1k tokens": 1e3,
    "token": 1e6,
    "Btok": 1e-3,
    "Gtok": 1e-3,
}
_PER_GB = {"GB": 1.0, "GiB": 1e9 / 2**30, "TB": 1e-3, "TiB": 1e9 / 2**40, "PB": 1e-6}
_DOLLARS = ("USD", "$", "US$")

NUMBER = Dimension("number", "a number", "", {"": 1.0}, "1.5", "1.2 to 1.8", magnitudes=True)
COUNT = Dimension(
    "count",
    "a count",
    "",
    dict.fromkeys(("", "parameters", "params", "accelerators", "GPUs", "sequences", "requests", "users"), 1.0),
    "16384",
    "10k to 20k",
    magnitudes=True,
)
FRACTION = Dimension(
    "fraction", "a fraction", "", {"": 1.0, "%": 0.01, "percent": 0.01}, "0.25 or 25%", "20% to 30%", display=("", "%")
)
TOKENS = Dimension(
    "tokens", "a number of tokens", "tokens", {"": 1.0, **_TOKEN}, "15.6T tokens", "10T to 20T tokens", magnitudes=True
)
BYTES = Dimension(
    "bytes",
    "a size in bytes",
    "B",
    _BYTE,
    "80 GiB",
    "70 to 75 GiB",
    display=("kB", "KiB", "MB", "MiB", "GB", "GiB", "TB", "TiB", "PB"),
)
BANDWIDTH = Dimension(
    "bandwidth",
    "a bandwidth",
    "B/s",
    {
        **_per({**_BYTE, **_BIT}, {"s": 1.0, "sec": 1.0, "second": 1.0}, 1.0),
        **{f"{prefix}bps": factor / 8 for prefix, factor in _SI.items() if prefix in "kMGT"},
    },
    "400 Gbit/s or 3.35 TB/s",
    "350 to 400 Gbit/s",
    display=("MB/s", "GB/s", "TB/s"),
)
FLOP = Dimension(
    "flop",
    "an amount of computation",
    "FLOP",
    {**_FLOP, **{f"{p}FLOP/s-day": _SI[p] * DAY for p in "TPEZ"}},
    "3.8e25 FLOP",
    "1e25 to 4e25 FLOP",
    display=("TFLOP", "PFLOP", "EFLOP", "ZFLOP"),
)
FLOP_RATE = Dimension(
    "flop_rate",
    "a rate of computation",
    "FLOP/s",
    {**_prefixed("FLOP OP", _UP, _SI, "/s"), **_prefixed("FLOPS OPS", _UP, _SI)},
    "989.4 TFLOP/s",
    "700 to 800 TFLOP/s",
    display=("GFLOP/s", "TFLOP/s", "PFLOP/s"),
)
TIME = Dimension(
    "time",
    "a time",
    "s",
    _TIMES,
    "90 days",
    "80 to 100 days",
    display=("us", "ms", "s", "min", "h", "days", "months", "years"),
)
POWER = Dimension(
    "power", "a power", "W", _prefixed("W", "m - k M G", _SI), "700 W", "1.2 to 1.4 kW", display=("W", "kW", "MW", "GW")
)
USD = Dimension("usd", "an amount of money", "USD", _USD, "500M USD", "400M to 600M USD", magnitudes=True)
USD_PER_HOUR = Dimension(
    "usd_per_hour",
    "a price per hour",
    "USD/h",
    {
        **_per(_USD, _SPANS, HOUR),
        **{
            f"{d}/{what}{h}": 1.0
            for d in _DOLLARS
            for what in ("GPU-", "GPU/", "accelerator-", "chip-")
            for h in ("h", "hour")
        },
    },
    "2.35 USD/h",
    "1.8 to 3.2 USD/h",
    magnitudes=True,
)
USD_PER_MTOK = Dimension(
    "usd_per_mtok",
    "a price per million tokens",
    "USD/Mtok",
    {f"{d}/{unit}": factor for d in _DOLLARS for unit, factor in _PER_MILLION_TOKENS.items()},
    "1.25 USD/Mtok",
    "1 to 2 USD/Mtok",
    magnitudes=True,
)
USD_PER_MONTH = Dimension(
    "usd_per_month",
    "an amount of money per month",
    "USD/month",
    _per(_USD, _SPANS, MONTH),
    "2M USD/month",
    "1M to 3M USD/month",
    magnitudes=True,
)
USD_PER_KWH = Dimension(
    "usd_per_kwh",
    "an electricity price",
    "USD/kWh",
    {f"{d}/{unit}": factor for d in _DOLLARS for unit, factor in (("kWh", 1.0), ("MWh", 1e-3), ("GWh", 1e-6))},
    "0.08 USD/kWh",
    "0.06 to 0.1 USD/kWh",
)
USD_PER_GB = Dimension(
    "usd_per_gb",
    "a price per GB",
    "USD/GB",
    {f"{d}/{u}": f for d in _DOLLARS for u, f in _PER_GB.items()},
    "0.05 USD/GB",
    "0.02 to 0.09 USD/GB",
)
USD_PER_GB_MONTH = Dimension(
    "usd_per_gb_month",
    "a price of storage",
    "USD/GB/month",
    {f"{d}/{u}{month}": f for d in _DOLLARS for u, f in _PER_GB.items() for month in ("/month", "-month")},
    "0.02 USD/GB/month",
    "0.01 to 0.03 USD/GB/month",
)
CARBON = Dimension(
    "carbon_intensity",
    "a carbon intensity",
    "gCO2/kWh",
    {
        f"{mass}{gas}/{energy}": kilo * per
        for mass, kilo in (("g", 1.0), ("kg", 1e3))
        for gas in ("CO2", "CO2e", "CO2eq", "")
        for energy, per in (("kWh", 1.0), ("MWh", 1e-3))
    },
    "384 gCO2/kWh",
    "300 to 450 gCO2/kWh",
)
TOKEN_RATE = Dimension(
    "token_rate",
    "a rate of tokens",
    "tokens/s",
    _per(_TOKEN, _SPANS, 1.0),
    "40 tokens/s or 1T tokens/day",
    "0.5T to 2T tokens/day",
    magnitudes=True,
    display=("tokens/s", "tokens/day"),
)
EVENT_RATE = Dimension(
    "event_rate",
    "a rate of events",
    "/h",
    {**_per({"": 1.0, "%": 0.01}, _SPANS, HOUR)},
    "1 per 50000 h",
    "1e-5 to 4e-5/h",
)
RATE = Dimension(
    "rate",
    "a rate per year",
    "",
    {"": 1.0, **{f"{p}{year}": 0.01 for p in ("%", "percent") for year in ("", "/year", "/yr")}},
    "12%",
    "8% to 15%",
    display=("", "%"),
)
GROWTH = Dimension(
    "growth",
    "a factor per year",
    "x/year",
    {"x/year": 1.0, "x/yr": 1.0, "times/year": 1.0, "/year": 1.0},
    "10x/year",
    "3 to 10x/year",
)

DIMENSIONS: tuple[Dimension, ...] = (
    TIME,
    BYTES,
    BANDWIDTH,
    FLOP,
    FLOP_RATE,
    POWER,
    TOKENS,
    USD,
    USD_PER_HOUR,
    USD_PER_MTOK,
    USD_PER_MONTH,
    USD_PER_KWH,
    USD_PER_GB_MONTH,
    USD_PER_GB,
    CARBON,
    TOKEN_RATE,
    GROWTH,
    EVENT_RATE,
    FRACTION,
    RATE,
    COUNT,
    NUMBER,
)
"""Every dimension, the plainer ones last."""
