"""Quantities: what people write, what it means, and what is refused with which words."""

import math
from typing import Annotated

import numpy as np
import pydantic
import pytest

from costsim.inputs import quantity as q
from costsim.inputs import units
from costsim.inputs.quantity import FieldError, format_quantity, kind_of, parse
from costsim.uncertainty.ranges import Range

HOUR, DAY, YEAR = 3600, 86400, 365.25 * 86400


def refusal(text, field):
    with pytest.raises(FieldError) as caught:
        parse(text, kind_of(field))
    return caught.value.problems[0]


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("15.6T", q.Tokens, 15.6e12),
        ("15.6T tokens", q.Tokens, 15.6e12),
        ("1e6", q.Tokens, 1e6),
        (15_600_000_000_000, q.Tokens, 15.6e12),
        ("80 GiB", q.Bytes, 80 * 2**30),
        ("80GiB", q.Bytes, 80 * 2**30),
        ("80 GB", q.Bytes, 80e9),
        ("80 B", q.Bytes, 80),
        ("1.5 TB", q.Bytes, 1.5e12),
        ("400 Gbit/s", q.BytesPerSecond, 50e9),
        ("400 Gb/s", q.BytesPerSecond, 50e9),
        ("400 Gbps", q.BytesPerSecond, 50e9),
        ("3.35 TB/s", q.BytesPerSecond, 3.35e12),
        ("3.35 TB per s", q.BytesPerSecond, 3.35e12),
        ("989.4 TFLOP/s", q.FlopPerSecond, 989.4e12),
        ("989.4 TFLOPS", q.FlopPerSecond, 989.4e12),
        ("1978.9 TOP/s", q.FlopPerSecond, 1978.9e12),
        ("3.8e25", q.Flop, 3.8e25),
        ("3.8e25 FLOP", q.Flop, 3.8e25),
        ("1 PFLOP/s-day", q.Flop, 1e15 * DAY),
        ("5 us", q.Seconds, 5e-6),
        ("90 days", q.Seconds, 90 * DAY),
        ("1 month", q.Seconds, YEAR / 12),
        ("2 years", q.Seconds, 2 * YEAR),
        ("2 h", q.Hours, 2),
        ("90 min", q.Hours, 1.5),
        ("36 h", q.Days, 1.5),
        ("1 year", q.Months, 12),
        ("6 months", q.Years, 0.5),
        ("5 years", q.Years, 5),
        ("700 W", q.Watts, 700),
        ("1.2 kW", q.Watts, 1200),
        ("30 MW", q.Watts, 30e6),
        ("500M USD", q.Usd, 5e8),
        ("2B USD", q.Usd, 2e9),
        ("0 USD", q.Usd, 0),
        ("25 $", q.Usd, 25),
        (30_000, q.UsdNamed, 30_000),
        ("30k", q.UsdNamed, 30_000),
        ("2.49 $/h", q.UsdPerHour, 2.49),
        ("2.49 USD per hour", q.UsdPerHour, 2.49),
        ("2.49 USD/GPU-hour", q.UsdPerHour, 2.49),
        ("24 USD/day", q.UsdPerHour, 1),
        (2.35, q.UsdPerHour, 2.35),
        ("1.25 USD/Mtok", q.UsdPerMtok, 1.25),
        ("1.25 USD/M tokens", q.UsdPerMtok, 1.25),
        ("0.002 USD/ktok", q.UsdPerMtok, 2),
        ("12 USD/year", q.UsdPerMonth, 1),
        ("2M USD/month", q.UsdPerMonth, 2e6),
        ("0.08 USD/kWh", q.UsdPerKwh, 0.08),
        ("80 USD/MWh", q.UsdPerKwh, 0.08),
        ("0.02 USD/GB/month", q.UsdPerGbMonth, 0.02),
        ("20 USD/TB-month", q.UsdPerGbMonth, 0.02),
        ("0.05 USD/GB", q.UsdPerGb, 0.05),
        ("384 gCO2/kWh", q.GramsPerKwh, 384),
        ("0.384 kgCO2/kWh", q.GramsPerKwh, 384),
        ("40 tokens/s", q.TokensPerSecond, 40),
        ("1T tokens/day", q.TokensPerSecond, 1e12 / DAY),
        ("1 per 50000 h", q.EventsPerHour, 2e-5),
        ("1/50000 h", q.EventsPerHour, 2e-5),
        ("3 per 2 days", q.EventsPerHour, 3 / 48),
        ("2e-5/h", q.EventsPerHour, 2e-5),
        ("2e-5 per hour", q.EventsPerHour, 2e-5),
        ("8766 per year", q.EventsPerHour, 1),
        ("9%/year", q.EventsPerHour, 0.09 / 8766),
        (1.97e-5, q.EventsPerHour, 1.97e-5),
        ("10x/year", q.GrowthPerYear, 10),
        ("10 x/year", q.GrowthPerYear, 10),
        ("12%", q.RatePerYear, 0.12),
        ("12%/year", q.RatePerYear, 0.12),
        (0.12, q.RatePerYear, 0.12),
        ("50%", q.Fraction, 0.5),
        ("50 %", q.Fraction, 0.5),
        (0.5, q.Fraction, 0.5),
        (0, q.Fraction, 0),
        ("100%", q.Fraction, 1),
        ("70B", q.Count, 70_000_000_000),
        ("16k accelerators", q.Count, 16_000),
        (16_384, q.Count, 16_384),
        (16_384.0, q.Count, 16_384),
        ("0777", q.Count, 777),
        ("+5", q.Count, 5),
        (0, q.CountOrZero, 0),
        ("4", q.PlainNumber, 4),
        ("-3.5", q.AnyNumber, -3.5),
        (".5", q.PositiveNumber, 0.5),
        ("5.", q.PositiveNumber, 5),
        (1.3, q.AtLeastOne, 1.3),
        (np.float64(1.3), q.AtLeastOne, 1.3),
        (np.int64(8), q.Count, 8),
    ],
)
def test_what_people_write(text, field, value):
    assert parse(text, kind_of(field)) == pytest.approx(value, rel=1e-14)


def test_decimal_magnitudes_and_units_are_exact():
    assert parse("1.1T tokens", kind_of(q.Tokens)) == 1_100_000_000_000
    assert parse("8.2 GB", kind_of(q.Bytes)) == 8_200_000_000
    assert parse("0.1 us", kind_of(q.Seconds)) == 1e-7
    assert parse("4.35M USD", kind_of(q.Usd)) == 4_350_000


def test_counts_are_int_and_the_rest_float():
    assert type(parse("70B", kind_of(q.Count))) is int
    assert type(parse("15.6T", kind_of(q.Tokens))) is float
    assert type(parse(1, kind_of(q.Fraction))) is float
    assert math.copysign(1, parse("-0 USD", kind_of(q.Usd))) == 1


@pytest.mark.parametrize(
    ("text", "field", "message", "allowed", "suggestion"),
    [
        ("80 Gib", q.Bytes, "unknown unit 'Gib'", "expected a size in bytes such as 80 GiB", "GiB"),
        ("80 gb", q.Bytes, "unknown unit 'gb'", "expected a size in bytes such as 80 GiB", "GB"),
        ("5 parsecs", q.Seconds, "unknown unit 'parsecs'", "expected a time such as 90 days", "sec"),
        ("5 qq", q.Seconds, "unknown unit 'qq'", "expected a time such as 90 days", ""),
        ("500MUSD", q.Usd, "unknown unit 'MUSD'", "expected an amount of money such as 500M USD", "M USD"),
        ("3 K", q.Count, "unknown unit 'K'", "expected a count such as 16384", "k"),
        ("5 h", q.Bytes, "'5 h' is a time, not a size in bytes", "expected a size in bytes such as 80 GiB", ""),
        ("80 GB", q.BytesPerSecond, "'80 GB' is a size in bytes, not a bandwidth", None, ""),
        ("5 USD", q.UsdPerMtok, "'5 USD' is an amount of money, not a price per million tokens", None, ""),
        ("400 Gbit/s", q.FlopPerSecond, "'400 Gbit/s' is a bandwidth, not a rate of computation", None, ""),
        (80, q.Bytes, "'80' needs a unit", "expected a size in bytes such as 80 GiB", "80 B"),
        ("80", q.Bytes, "'80' needs a unit", "expected a size in bytes such as 80 GiB", "80 B"),
        ("500M", q.Usd, "'500M' needs a unit", None, "500M USD"),
        ("80G", q.Bytes, "unknown unit 'G'", None, "GB"),
        ("5 B", q.Fraction, "unknown unit 'B'", None, ""),
        (0, q.UsdPerMonth, "'0' needs a unit", None, "0 USD/month"),
        ("h", q.Seconds, "'h' is no number", None, ""),
        ("", q.Seconds, "an empty text", None, ""),
        ("   ", q.Seconds, "an empty text", None, ""),
        ("٣ h", q.Seconds, "'٣ h' is no number", None, ""),
        ("1,000 h", q.Seconds, "'1,000 h' has separators between its digits", None, "1000 h"),
        ("16_384", q.Count, "'16_384' has separators between its digits", None, "16384"),
        ("1 000 000", q.Count, "'1 000 000' has separators between its digits", None, "1000000"),
        ("1.2.3 h", q.Seconds, "'1.2.3 h' is no number", None, ""),
        ("1e2e3 h", q.Seconds, "unknown unit 'e3 h'", None, ""),
        ("0x10 h", q.Seconds, "unknown unit 'x10 h'", None, ""),
        ("1e1000000 h", q.Seconds, "'1e1000000 h' is too large", None, ""),
        ("1e-1000000 h", q.Seconds, "'1e-1000000 h' is too small", None, ""),
        ("1e999 h", q.Seconds, "'1e999 h' is too large", "at most 1e+40 in base units", ""),
        ("1e-200 h", q.Seconds, "'1e-200 h' is too small", "zero, or at least 1e-40 in base units", ""),
        ("1e-999 h", q.Seconds, "'1e-999 h' is too small", None, ""),
        (10**400, q.PlainNumber, "a number of too many digits is too large", None, ""),
        (1e300, q.PlainNumber, "'1e+300' is too large", None, ""),
        (math.nan, q.PlainNumber, "'nan' is too large", None, ""),
        (math.inf, q.PlainNumber, "'inf' is too large", None, ""),
        ("nan", q.PlainNumber, "'nan' is no number", None, ""),
        ("inf h", q.Seconds, "'inf h' is no number", None, ""),
        ("-5 h", q.Seconds, "'-5 h' is out of bounds", "must not be negative", ""),
        ("0 GiB", q.Bytes, "'0 GiB' is out of bounds", "must be greater than zero", ""),
        (0.9, q.AtLeastOne, "'0.9' is out of bounds", "must be at least 1", ""),
        (0, q.Count, "'0' is out of bounds", "must be between 1 and 1e+18", ""),
        (25, q.Fraction, "'25' is out of bounds", "must be between 0 and 1, or 0% and 100%", "25%"),
        ("110%", q.Fraction, "'110%' is out of bounds", "must be between 0 and 1, or 0% and 100%", ""),
        (-0.1, q.Fraction, "'-0.1' is out of bounds", "must be between 0 and 1, or 0% and 100%", ""),
        (12, q.RatePerYear, "'12' is out of bounds", "must be between 0 and 10, or 0% and 1000%", "12%"),
        (1.5, q.Count, "'1.5' is not a whole number", "expected a whole number", ""),
        ("1.5", q.Tokens, "'1.5' is not a whole number", "expected a whole number", ""),
        ("5m tokens", q.Tokens, "'5m tokens' is out of bounds", "must be at least 1 tokens", "5M tokens"),
        ("$2.49/h", q.UsdPerHour, "'$2.49/h' has its unit in front", None, "2.49 USD/h"),
        ("$500M", q.Usd, "'$500M' has its unit in front", None, "500M USD"),
        ("1 per 0 h", q.EventsPerHour, "'1 per 0 h' is no rate", None, ""),
        (True, q.Count, "true is not a count", "expected a count such as 16384", ""),
        (None, q.Count, "an empty value is not a count", None, ""),
        ([1], q.Count, "a list is not a count", None, ""),
        ({"low": 1}, q.Count, "a mapping is no number", None, ""),
        ("9" * 300, q.Count, "a text of 300 characters is no quantity", "at most 200 characters", ""),
    ],
)
def test_what_is_refused(text, field, message, allowed, suggestion):
    problem = refusal(text, field)
    assert problem.message == message
    assert problem.suggestion == suggestion
    assert allowed is None or problem.allowed == allowed


@pytest.mark.parametrize(
    ("value", "field", "text"),
    [
        (15.6e12, q.Tokens, "15.6T tokens"),
        (80 * 2**30, q.Bytes, "80 GiB"),
        (80e9, q.Bytes, "80 GB"),
        (1e12 * (1 / DAY), q.TokensPerSecond, "1T tokens/day"),
        (90 * DAY, q.Seconds, "90 days"),
        (DAY, q.Seconds, "1 day"),
        (5e-6, q.Seconds, "5 us"),
        (YEAR / 12, q.Seconds, "1 month"),
        (5, q.Years, "5 years"),
        (0.5, q.Years, "6 months"),
        (0.51, q.Years, "6.12 months"),
        (0.25, q.Fraction, "25%"),
        (1 / 3, q.Fraction, "0.3333333333333333"),
        (10.0, q.GrowthPerYear, "10x/year"),
        (2e-5, q.EventsPerHour, "2e-05/h"),
        (2.35, q.UsdPerHour, "2.35 USD/h"),
        (30_000.0, q.Usd, "30000 USD"),
        (5e8, q.Usd, "500M USD"),
        (16_384, q.Count, "16384"),
        (0.0, q.Usd, "0 USD"),
        (1275.0, q.Watts, "1275 W"),
    ],
)
def test_writing_a_quantity(value, field, text):
    assert format_quantity(value, kind_of(field)) == text
    assert parse(text, kind_of(field)) == value


def test_types_are_fields_of_pydantic_models():
    class Model(pydantic.BaseModel):
        price: q.UsdPerHourRange | None = None
        size: q.Bytes
        own: Annotated[float, q.Kind(units.USD_PER_KWH, bare=True)] = 0.1

    made = Model.model_validate({"price": "1.8 to 3.2 USD/h", "size": "80 GiB", "own": 0.2})
    assert isinstance(made.price, Range)
    assert made.size == 80 * 2**30
    assert made.own == 0.2
    assert Model.model_validate({"price": made.price, "size": "1 B"}).price == made.price
    schema = Model.model_json_schema()["properties"]
    assert schema["price"]["anyOf"][0]["type"] == ["string", "number", "object"]
    assert schema["size"] == {
        "description": "expected a size in bytes such as 80 GiB",
        "title": "Size",
        "type": "string",
    }


def test_a_type_that_is_no_quantity_has_no_kind():
    with pytest.raises(TypeError, match="not the type of a quantity"):
        kind_of(int)


def test_a_dimension_alone_takes_any_number_and_ranges():
    assert parse("-5 h", units.TIME) == -5 * HOUR
    assert isinstance(parse("1 to 2 h", units.TIME), Range)
    assert format_quantity(7200.0, units.TIME) == "2 h"


@pytest.mark.parametrize("dimension", units.DIMENSIONS, ids=lambda dimension: dimension.name)
def test_every_example_of_a_dimension_reads(dimension):
    for example in dimension.example.split(" or "):
        assert parse(example, dimension) > 0
    assert parse(dimension.example_range, q.Kind(dimension, ranges=True)).centre() > 0
    assert not dimension.base or dimension.units[dimension.base] == 1.0
    assert all(spelling in dimension.units for spelling in dimension.display)
