from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.render import numbers

GIB = 2.0**30


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (41.2e6, "count", "41.2M"),
        (72.6e6, "USD", "$72.6M"),
        (78.1, "days", "78 days"),
        (6.461, "s", "6.46 s"),
        (4.25e25, "FLOP", "4.25e25 FLOP"),
        (67.2 * GIB, "byte", "67 GiB"),
        (1.5e12, "tokens", "1.5T tokens"),
        (0.41, "fraction", "41 %"),
        (16384, "count", "16,384"),
        (16384.5, "count", "16.4k"),
        (1e6, "count", "1M"),
        (405853388800, "parameters", "406B parameters"),
        (2.35, "USD/h", "$2.35/h"),
        (2.35, "USD/hour", "$2.35/h"),
        (9.4, "USD/Mtok", "$9.40/Mtok"),
        (0.031, "USD/Mtok", "$0.031/Mtok"),
        (0.31, "USD/Mtok", "$0.31/Mtok"),
        (412.3, "USD", "$412"),
        (41234, "USD", "$41.2k"),
        (-120e6, "USD", "-$120M"),
        (0, "USD", "$0"),
        (-0.0, "USD", "$0"),
        (19.3e6, "kWh", "19.3 GWh"),
        (21.9, "MW", "21.9 MW"),
        (0.5, "MW", "500 kW"),
        (8930.2, "t CO2e", "8,930 t CO2e"),
        (0.00374, "t CO2e", "3.74 kg CO2e"),
        (7.89e18, "FLOP", "7.89e18 FLOP"),
        (593e-15, "s", "0.000593 ns"),
        (1.6912, "nats/token", "1.69 nats/token"),
        (405.7e12, "FLOP/s", "406 TFLOP/s"),
        (2.43e12, "FLOP/token", "2.43 TFLOP/token"),
        (2.597e6, "tokens/s", "2.6M tokens/s"),
        (5e-6, "s", "5 µs"),
        (0.0003, "s", "300 µs"),
        (0.4, "days", "9.6 h"),
        (1, "days", "1 day"),
        (1, "months", "1 month"),
        (math.inf, "months", "never"),
        (math.inf, "USD", "unbounded"),
        (-math.inf, "USD", "unbounded below"),
        (0.12, "fraction/year", "12 % a year"),
        (7.5, "widgets", "7.5 widgets"),
        (0, "fraction", "0 %"),
        (1, "fraction", "100 %"),
        (3.5, "", "3.5"),
    ],
)
def test_a_number_is_short_and_has_its_unit(value: float, unit: str, text: str) -> None:
    assert numbers.number(value, unit) == text


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (999_960, "USD", "$1M"),  # not $1,000k
        (999.6e6, "count", "1B"),
        (9.999e25, "FLOP", "1e26 FLOP"),
        (59.99, "s", "1 min"),
        (0.9996, "fraction", "99.96 %"),  # a probability that is not 1 is never shown as 100 %
        (0.99999, "fraction", ">99.99 %"),
        (0.00001, "fraction", "<0.01 %"),
    ],
)
def test_rounding_at_the_edge_of_a_magnitude(value: float, unit: str, text: str) -> None:
    assert numbers.number(value, unit) == text


@pytest.mark.parametrize(
    ("value", "unit", "low", "high", "text"),
    [
        (41.2e6, "count", 31e6, 55e6, "41.2M (31–55M)"),
        (72.6e6, "USD", 61e6, 88e6, "$72.6M ($61–88M)"),
        (78.1, "days", 67.2, 93.1, "78 days (67–93)"),
        (0.41, "fraction", 0.36, 0.46, "41 % (36–46)"),
        (1.691, "nats/token", 1.46, 1.93, "1.69 nats/token (1.46–1.93)"),
        (1.69, "nats/token", 1.688, 1.692, "1.69 nats/token (1.688–1.692)"),
        (4.25e25, "FLOP", 3.9e25, 4.6e25, "4.25e25 FLOP (3.9–4.6e25)"),
        (2.35, "USD/h", 1.8, 3.2, "$2.35/h ($1.80–3.20)"),
        (100.0, "USD", 98.0, 103.0, "$100 ($98–103)"),
        (-112e6, "USD", -260e6, 80e6, "-$112M (-$260M to $80M)"),
        (-112e6, "USD", -1.2e9, None, "-$112M (-$1,200M to unbounded)"),
        (14.0, "months", 9.0, None, "14 months (9–never)"),
        (0.46, "fraction/year", None, 4.2, "46 % a year (none–420)"),
        (None, "months", 14.0, None, "never (14–never)"),
        (None, "months", None, None, "never"),
        (None, "USD", None, None, "unknown"),
        (0.02, "fraction", 0.0, 0.5, "2 % (0–50)"),
        (0.98, "fraction", 0.98, 0.98, "98 %"),  # no spread, no range
        (0.0, "USD", 0.0, 0.0, "$0"),
        (1.2e9, "USD", 0.9e9, 1.6e9, "$1.2B ($0.9–1.6B)"),
        (41.2e6, "count", 0.31e6, 5e9, "41.2M (0.31–5,000M)"),  # one magnitude for all three
        (0.0, "count", 0.0, 3e6, "0 (0–3M)"),
        (1072.0, "tokens/s", 1071.8, 1072.2, "1.07k tokens/s"),  # ends that read alike are no range
        (0.153, "USD/Mtok", 0.14873, 0.15831, "$0.153/Mtok ($0.149–0.158)"),
        (1.69, "nats/token", 1.6901, 1.6949, "1.69 nats/token (1.690–1.695)"),
        (67.0 * GIB, "byte", 60 * GIB, 75 * GIB, "67 GiB (60–75)"),
    ],
)
def test_a_range_is_written_in_its_centres_magnitude(
    value: float | None, unit: str, low: float | None, high: float | None, text: str
) -> None:
    assert numbers.with_range(value, unit, {"p5": low, "p50": value, "p95": high}) == text


def test_without_draws_there_is_no_range() -> None:
    assert numbers.with_range(2.5, "USD", None) == "$2.50"
    assert numbers.range_only(2.5, "USD", None) == ""


def test_not_a_number_is_never_written() -> None:
    with pytest.raises(ValueError, match="not a number"):
        numbers.number(math.nan, "USD")


@pytest.mark.parametrize(
    ("value", "reference", "text"),
    [(112, 100, "+12 %"), (300, 100, "× 3"), (50, 100, "-50 %"), (-50, -100, "+50 %"), (1, 0, ""), (5000, 3, "× 1,667"),
     (math.inf, 1, "")],
)  # fmt: skip
def test_relative_differences(value: float, reference: float, text: str) -> None:
    assert numbers.relative(value, reference) == text


def test_signed_differences() -> None:
    assert numbers.signed(3.1e6, "USD") == "+$3.1M"
    assert numbers.signed(-3.1e6, "USD") == "-$3.1M"


def test_a_column_keeps_one_magnitude() -> None:
    assert numbers.number(0.5234, "s", like=4.52) == "0.52 s"
    assert numbers.number(0.9e6, "USD", like=290e6) == "$0.9M"
    assert numbers.number(300.0, "USD", like=290e6) == "$300"  # far below: its own
    assert numbers.range_only(0.133, "s", {"p5": 0.099, "p95": 0.179}, like=4.5) == "0.10–0.18"
    assert numbers.range_only(418e-6, "s", {"p5": 311e-6, "p95": 564e-6}, like=4.5) == "311–564"


_READ_BACK = {"": 1.0, "k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}


@given(st.floats(min_value=1e-6, max_value=1e20))
def test_three_digits_survive(value: float) -> None:
    """What is written reads back within half a unit of the third digit."""
    match = re.fullmatch(r"([0-9.,]+)([kMBTPE]?)", numbers.number(value))
    assert match is not None
    assert float(match[1].replace(",", "")) * _READ_BACK[match[2]] == pytest.approx(value, rel=5.1e-3)


@given(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e60, max_value=1e60),
    st.sampled_from(["", "count", "USD", "s", "days", "byte", "FLOP", "fraction", "months", "tokens", "MW", "USD/h"]),
    st.floats(min_value=-1e60, max_value=1e60),
    st.floats(min_value=-1e60, max_value=1e60),
)
def test_any_number_is_written_in_full(value: float, unit: str, low: float, high: float) -> None:
    text = numbers.with_range(value, unit, {"p5": min(low, high), "p95": max(low, high)})
    assert text
    assert "…" not in text
    assert "nan" not in text
    assert "..." not in text
