"""Properties of quantities: what is written reads back, units agree, and no text does worse than being refused."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costsim.inputs.grammar import LARGEST
from costsim.inputs.kinds import FieldError, Kind
from costsim.inputs.quantity import format_quantity, parse
from costsim.inputs.units import COUNT, DIMENSIONS, FRACTION, MAGNITUDES
from costsim.inputs.yaml_events import read_any
from costsim.uncertainty.ranges import Range

KINDS = st.sampled_from(DIMENSIONS).map(lambda dimension: Kind(dimension, ranges=True, lower=-math.inf))
NUMBERS = st.floats(1e-12, 1e25) | st.floats(-1e25, -1e-12) | st.integers(0, 10**15).map(float) | st.just(0.0)
ALPHABET = st.sampled_from(
    [*"0123456789.+-eE %/$xBGMTkmu,_'–", " to ", " per ", "GiB", "USD", "h", "tokens", "Gbit/s", "٣"]
)


@given(kind=KINDS, value=NUMBERS)
def test_a_number_reads_back_exactly(kind, value):
    assert parse(format_quantity(value, kind), kind) == value


@given(kind=KINDS, value=st.floats(1e-9, 1e20), unit=st.data())
def test_a_number_reads_back_in_every_unit_of_the_field(kind, value, unit):
    kind = replace(kind, unit=unit.draw(st.sampled_from([u for u in kind.dimension.units if u] or [""])))
    assert parse(format_quantity(value, kind), kind) == value


@given(kind=KINDS, low=st.floats(1e-6, 0.4), ratio=st.floats(1.0, 100.0))
def test_an_interval_reads_back(kind, low, ratio):
    drawn = Range.interval(low, low * ratio, kind.dimension is FRACTION)
    text = format_quantity(drawn, kind)
    back = parse(read_any(text, "text").value, kind)
    assert back.distribution == drawn.distribution
    assert back.interval90() == pytest.approx((low, low * ratio), rel=1e-9)
    assert back.centre() == pytest.approx(drawn.centre(), rel=1e-9)


@given(dimension=st.sampled_from(DIMENSIONS), number=st.integers(1, 10**6), choice=st.data())
def test_units_of_a_dimension_agree(dimension, number, choice):
    spelling = choice.draw(st.sampled_from(sorted(dimension.units)))
    expected = number * dimension.units[spelling]
    assert parse(f"{number} {spelling}", dimension) == pytest.approx(expected, rel=1e-14)
    assert parse(f"{number}{spelling}", dimension) == parse(f"{number} {spelling}", dimension)


@given(number=st.decimals(min_value="0.001", max_value="999", places=3), magnitude=st.sampled_from(sorted(MAGNITUDES)))
def test_magnitudes_are_powers_of_ten_correctly_rounded(number, magnitude):
    kind = Kind(COUNT, upper=math.inf)
    assert parse(f"{number}{magnitude}", kind) == float(f"{number}e{MAGNITUDES[magnitude]}")


def outcome(text, kind):
    """What is read, or the problems."""
    try:
        return parse(text, kind)
    except FieldError as error:
        return error.problems


@settings(max_examples=500)
@given(kind=KINDS, text=st.lists(ALPHABET, max_size=12).map("".join) | st.text(max_size=40))
def test_any_text_is_read_or_refused_with_words(kind, text):
    value = outcome(text, kind)
    if isinstance(value, tuple):
        assert all(problem.message and (problem.allowed or "spans" in problem.message) for problem in value)
    elif isinstance(value, Range):
        assert all(abs(end) <= LARGEST * 1.001 for end in value.interval90())
    else:
        assert abs(value) <= LARGEST


@given(kind=KINDS, text=st.lists(ALPHABET, max_size=8).map("".join))
def test_a_suggested_unit_is_a_unit(kind, text):
    value = outcome(f"5 {text}", kind)
    if isinstance(value, tuple) and value[0].message.startswith("unknown unit") and value[0].suggestion:
        assert parse(f"1 {value[0].suggestion}", kind) != 0
