"""Leaves with their source: wrappers, defaults of files and of mappings, and what is wrong with them."""

import pytest

from costsim.errors import InputError
from costsim.inputs.sourced import Fact, split_sourced
from costsim.inputs.yaml_source import Place, read

FILE = """\
name: h100
source: sheet
known: published
sources:
  sheet: {title: Data sheet, url: "https://example.org/sheet"}
  test: {title: A test, url: "https://example.org/test"}
memory:
  capacity: 80 GiB
  usable: {value: 79 GiB, source: test, known: measured, note: as reported}
prices:
  - {usd_per_hour: 2, source: test}
  - usd_per_hour: {value: {distribution: uniform, low: 1, high: 2}, known: estimated}
"""


def test_wrappers_give_way_to_their_values():
    source, _ = split_sourced(read(FILE, "f"))
    assert source.value["memory"] == {"capacity": "80 GiB", "usable": "79 GiB"}
    assert source.value["prices"][0] == {"usd_per_hour": 2, "source": "test"}
    assert source.value["prices"][1] == {"usd_per_hour": {"distribution": "uniform", "low": 1, "high": 2}}
    assert sorted(source.value) == ["memory", "name", "prices", "sources"]


def test_places_are_those_of_the_values():
    source, _ = split_sourced(read(FILE, "f"))
    assert source.position("memory.usable") == Place("f", 9, 19)
    assert source.position("memory.usable", key=True) == Place("f", 9, 3)
    assert source.position("prices.1.usd_per_hour.low") == Place("f", 12, 56)


def test_each_leaf_has_its_fact():
    _, facts = split_sourced(read(FILE, "f"))
    assert facts["memory.capacity"] == Fact("sheet", "", "published")
    assert facts["memory.usable"] == Fact("test", "as reported", "measured")
    assert facts["prices.0.usd_per_hour"] == Fact("test", "", "published")
    assert facts["prices.1.usd_per_hour.low"] == Fact("sheet", "", "estimated")
    assert not [path for path in facts if path.startswith("sources")]


def test_without_sources_there_are_no_facts():
    source, facts = split_sourced(read("a: 1\nb: {c: 2}", "f"))
    assert source.value == {"a": 1, "b": {"c": 2}}
    assert facts == {}


def test_a_source_may_be_a_url_or_unlisted_where_nothing_is_listed():
    _, facts = split_sourced(read("sources: {}\na: {value: 1, source: 'https://example.org'}", "f"))
    assert facts["a"].source == "https://example.org"
    _, facts = split_sourced(read("a: {value: 1, source: anything}", "f"))
    assert facts["a"].source == "anything"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "a: {value: 1, sauce: x}",
            "f:1:15: a.sauce: unknown key 'sauce'; a value with its source has the keys value, source, note, known;"
            " did you mean 'source'?",
        ),
        (
            "a: {value: 1, known: guessed}",
            "f:1:22: a.known: unknown 'guessed'; one of measured, published, derived, estimated",
        ),
        (
            "a: {value: 1, known: measurd}",
            "f:1:22: a.known: unknown 'measurd'; one of measured, published, derived, estimated;"
            " did you mean 'measured'?",
        ),
        ("a: {value: 1, note: 5}", "f:1:21: a.note: '5' is not text; expected text"),
        (
            "sources: {sheet: {}}\na: {value: 1, source: shet}",
            "f:2:23: a.source: unknown source 'shet'; expected a key of 'sources', or a URL; did you mean 'sheet'?",
        ),
        ("source: 5\na: 1", "f:1:9: source: '5' is not text; expected text"),
        ("known: maybe\na: 1", "f:1:8: known: unknown 'maybe'; one of measured, published, derived, estimated"),
    ],
)
def test_what_is_wrong_with_a_wrapper(text, message):
    with pytest.raises(InputError) as caught:
        split_sourced(read(text, "f"))
    assert str(caught.value) == message


def test_all_problems_are_told():
    with pytest.raises(InputError) as caught:
        split_sourced(read("a: {value: 1, known: x}\nb: {value: 1, x: 2}", "f"))
    assert len(caught.value.problems) == 2
