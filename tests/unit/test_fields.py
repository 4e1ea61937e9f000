"""Validation: every problem at once, each with its place, what is allowed and a suggestion."""

import datetime
import inspect
from typing import Annotated, Literal

import pydantic
import pytest

from costsim.errors import InputError
from costsim.inputs import quantity as q
from costsim.inputs.fields import MAX_PROBLEMS, ByShape, Date, FieldError, Items, Strict, validate
from costsim.inputs.yaml_source import from_mapping, merge, override, read
from costsim.uncertainty.ranges import Range


class Memory(Strict):
    capacity: q.Bytes
    bandwidth: q.BytesPerSecondRange


class Chip(Strict):
    name: str
    memory: Memory
    kind: Literal["gpu", "tpu"]


class Logistic(Strict):
    kind: Literal["logistic"]
    midpoint: q.Months


class Bass(Strict):
    kind: Literal["bass"]
    p: q.Fraction


class Price(Strict):
    usd_per_hour: q.UsdPerHourRange | None = None
    date: Date


class Step(Strict):
    month: q.CountOrZero
    value: q.UsdPerMtok


class Book(Strict):
    book: str
    as_of: Date | None = None


class Scenario(Strict):
    version: Literal[1] = pydantic.Field(default=1, alias="costsim")
    name: str
    start: Date | None = None
    chip: Annotated[str | Chip, ByShape("expected a catalogue name or a mapping")] = "h100"
    ramp: Annotated[Logistic | Bass, pydantic.Field(discriminator="kind")] | None = None
    prices: Items[Price] = ()
    price: Annotated[q.UsdPerMtokRange | Items[Step] | Book | None, ByShape()] = None
    by_name: dict[str, Price] | None = None
    tokens: q.Tokens | None = None
    layers: int = 3
    flag: bool = False

    @pydantic.model_validator(mode="after")
    def _check(self) -> "Scenario":
        if self.layers == 7:
            raise FieldError("seven layers", field="layers", allowed="any other number", suggestion="8")
        return self


def problems(text):
    with pytest.raises(InputError) as caught:
        validate(Scenario, read(inspect.cleandoc(text), "f.yaml"))
    return [str(problem) for problem in caught.value.problems]


def test_a_good_file():
    made = validate(
        Scenario,
        read(
            """
costsim: 1
name: x
start: 2024-02-01
chip: {name: h, memory: {capacity: 80 GiB, bandwidth: 3 to 3.35 TB/s}, kind: gpu}
ramp: {kind: logistic, midpoint: 4 months}
prices: [{usd_per_hour: 2.3, date: 2024-01-01}, {date: 2024-03-01}]
by_name: {a: {date: 2024-01-01}}
tokens: 15.6T
flag: true
""",
            "f",
        ),
    )
    assert made.start == datetime.date(2024, 2, 1)
    assert made.chip.memory.capacity == 80 * 2**30
    assert isinstance(made.chip.memory.bandwidth, Range)
    assert made.ramp.midpoint == 4
    assert [price.usd_per_hour for price in made.prices] == [2.3, None]
    with pytest.raises(pydantic.ValidationError):
        made.name = "y"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("price: 5 USD/Mtok", 5.0),
        ("price: [{month: 0, value: 5 USD/Mtok}]", (Step(month=0, value="5 USD/Mtok"),)),
        ("price: {book: a/b, as_of: 2024-01-01}", Book(book="a/b", as_of=datetime.date(2024, 1, 1))),
        ("price: null", None),
        ("name: y", None),
    ],
)
def test_a_union_takes_the_member_of_the_value_s_shape(text, value):
    assert validate(Scenario, read(f"{text}\n{'name: x' if 'name' not in text else ''}", "f")).price == value


def test_a_range_is_no_mapping_of_a_union():
    text = "name: x\nprice: {distribution: uniform, low: 1 USD/Mtok, high: 2 USD/Mtok}"
    assert validate(Scenario, read(text, "f")).price.distribution == "uniform"


def test_every_problem_at_once_in_the_order_of_the_file():
    assert problems(
        """
        costsim: 2
        name: 5
        start: 2024-02-31
        chips: h
        chip: {name: h, memory: {capacity: 80 Gib, bandwith: 3 TB/s}, kind: gpy}
        ramp: {kind: logistic, midpont: 4 months}
        prices:
          - {usd_per_hour: {distribution: triangular, low: 5, mode: x, high: 4 h}, date: 2024-01-01}
          - 5
          - {date: tomorrow}
        price: true
        tokens: 15 h
        layers: 1.5
        flag: no
        """
    ) == [
        "f.yaml:1:10: costsim: '2' is not accepted; one of 1",
        "f.yaml:2:7: name: '5' is not text",
        "f.yaml:3:8: start: '2024-02-31' is no day of the calendar; expected year-month-day",
        "f.yaml:4:1: chips: unknown key; did you mean 'chip'?",
        "f.yaml:5:17: chip.memory.bandwidth: this key is missing",
        "f.yaml:5:36: chip.memory.capacity: unknown unit 'Gib'; expected a size in bytes such as 80 GiB;"
        " did you mean 'GiB'?",
        "f.yaml:5:44: chip.memory.bandwith: unknown key; did you mean 'bandwidth'?",
        "f.yaml:5:69: chip.kind: 'gpy' is not accepted; one of gpu, tpu; did you mean 'gpu'?",
        "f.yaml:6:1: ramp.midpoint: this key is missing",
        "f.yaml:6:24: ramp.midpont: unknown key; did you mean 'midpoint'?",
        "f.yaml:8:61: prices.0.usd_per_hour.mode: 'x' is no number; expected a price per hour such as 2.35 USD/h,"
        " or a range such as 1.8 to 3.2 USD/h",
        "f.yaml:8:70: prices.0.usd_per_hour.high: '4 h' is a time, not a price per hour; expected a price per hour"
        " such as 2.35 USD/h, or a range such as 1.8 to 3.2 USD/h",
        "f.yaml:9:5: prices.1: '5' is not a mapping of keys and values",
        "f.yaml:10:12: prices.2.date: 'tomorrow' is no date; expected a date such as 2024-02-01",
        "f.yaml:11:8: price: true is not accepted here; expected text or number or range or list or mapping",
        "f.yaml:12:9: tokens: '15 h' is a time, not a number of tokens; expected a number of tokens such as"
        " 15.6T tokens",
        "f.yaml:13:9: layers: '1.5' is not a whole number",
        "f.yaml:14:7: flag: 'no' is not true or false",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("layers: 7", "f.yaml:1:9: layers: seven layers; any other number; did you mean '8'?"),
        (
            "ramp: {kind: lgistic}",
            "f.yaml:1:14: ramp.kind: 'lgistic' is not accepted; one of logistic, bass; did you mean 'logistic'?",
        ),
        ("ramp: {p: 1}", "f.yaml:1:1: ramp.kind: this key is missing; one of logistic, bass"),
        ("ramp: 5", "f.yaml:1:7: ramp: '5' is not a mapping of keys and values"),
        (
            "ramp: {kind: bass, p: 200%}",
            "f.yaml:1:23: ramp.p: '200%' is out of bounds; must be between 0 and 1, or 0% and 100%",
        ),
        ("chip: [x]", "f.yaml:1:7: chip: a list is not accepted here; expected a catalogue name or a mapping"),
        ("prices: {a: 1}", "f.yaml:1:9: prices: a mapping is not a list"),
        ("by_name: [1]", "f.yaml:1:10: by_name: a list is not a mapping of keys and values"),
        ("by_name: {a: {dat: 2024-01-01}}", "f.yaml:1:15: by_name.a.dat: unknown key; did you mean 'date'?"),
        ("layers: x", "f.yaml:1:9: layers: 'x' is not a whole number"),
        ("layers: true", "f.yaml:1:9: layers: true is not a whole number"),
        ("price: {boook: x}", "f.yaml:1:9: price.boook: unknown key; did you mean 'book'?"),
        (
            "zzz: 1",
            "f.yaml:1:1: zzz: unknown key; the keys here are costsim, name, start, chip, ramp, prices,",
        ),
        ("question: " + "x" * 10_001, "f.yaml:1:1: question: unknown key"),
        ("version: 1", "f.yaml:1:1: version: unknown key"),
        ("start: 20240201", "f.yaml:1:8: start: '20240201' is no date; expected a date such as 2024-02-01"),
    ],
)
def test_one_problem(text, message):
    found = problems(f"{text}\nname: x")
    assert any(problem.startswith(message) for problem in found), found


def test_a_text_has_a_bearable_length():
    assert problems(f"name: {'x' * 10_001}") == ["f.yaml:1:7: name: a text of 10,001 characters; at most 10,000"]


def test_what_is_missing_or_no_mapping_at_the_top():
    assert problems("layers: 3") == ["f.yaml:1:1: name: this key is missing"]
    assert problems("[1]") == ["f.yaml:1:1: a list is not a mapping of keys and values"]


def test_messages_name_the_file_that_said_it():
    source = override(merge(read("name: x\nlayers: a", "parent"), read("flag: 5", "child")), "tokens=1 W", 3)
    with pytest.raises(InputError) as caught:
        validate(Scenario, source)
    assert [problem.file for problem in caught.value.problems] == ["child", "--set 3", "parent"]


def test_a_missing_key_is_missing_from_the_file_and_not_from_its_defaults():
    source = merge(read("chip:\n  name: h\n  kind: gpu", "defaults"), read("layers: 3\nname: x", "child"))
    with pytest.raises(InputError) as caught:
        validate(Scenario, source)
    assert str(caught.value) == "child:1:1: chip.memory: this key is missing"


def test_a_prefix_goes_before_every_path():
    with pytest.raises(InputError) as caught:
        validate(Memory, from_mapping({"capacity": 5}, "f"), "cluster.accelerator")
    assert {problem.path for problem in caught.value.problems} == {
        "cluster.accelerator.capacity",
        "cluster.accelerator.bandwidth",
    }


def test_problems_are_bounded_in_number_and_time():
    found = problems("\n".join(f"key{number}: 1" for number in range(40_000)))
    assert len(found) == MAX_PROBLEMS + 1
    assert found[-1] == f"f.yaml: and {40_001 - MAX_PROBLEMS:,} more problems"


def test_objects_of_a_program_are_taken_as_they_are():
    chip = Chip(name="h", memory=Memory(capacity="80 GiB", bandwidth="3 TB/s"), kind="gpu")
    day = datetime.date(2024, 1, 1)
    made = validate(Scenario, from_mapping({"name": "x", "chip": chip, "start": day}))
    assert made.chip is chip
    assert made.start == day


class Shapes(Strict):
    when: Annotated[Date | bool, ByShape()] = False
    size: Annotated[int | Literal["auto"], ByShape("expected a number or auto")] = 1
    several: Annotated[Annotated[Items[Price], "of a market"] | Price | float | None, ByShape()] = None
    small: Annotated[int, pydantic.Field(le=3)] = 1

    @pydantic.field_validator("several")
    @classmethod
    def _refuse_two(cls, value: object) -> object:
        if value == 2.0:
            raise ValueError("two is too many")
        return value


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("when: 2024-01-01", "when", datetime.date(2024, 1, 1)),
        ("when: true", "when", True),
        ("size: auto", "size", "auto"),
        ("size: 8", "size", 8),
        ("several: 1.5", "several", 1.5),
        ("several: [{date: 2024-01-01}]", "several", (Price(date=datetime.date(2024, 1, 1)),)),
        ("several: {date: 2024-01-01}", "several", Price(date=datetime.date(2024, 1, 1))),
    ],
)
def test_unions_by_shape(text, field, value):
    assert getattr(validate(Shapes, read(text, "f")), field) == value


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: no", "f:1:7: size: 'no' is not accepted; one of auto"),
        ("size: true", "f:1:7: size: true is not accepted here; expected a number or auto"),
        ("several: 2", "f:1:10: several: two is too many"),
        ("small: 5", "f:1:8: small: '5': input should be less than or equal to 3"),
    ],
)
def test_what_a_union_refuses(text, message):
    with pytest.raises(InputError) as caught:
        validate(Shapes, read(text, "f"))
    assert str(caught.value) == message


def test_json_schema_for_editors():
    schema = Scenario.model_json_schema()
    assert schema["additionalProperties"] is False
    assert schema["properties"]["start"]["anyOf"][0] == {"format": "date", "type": "string"}
    assert [member.get("type", "model") for member in schema["properties"]["chip"]["oneOf"]] == ["string", "model"]
