"""Broken and extreme scenarios: each is refused with words, or planned with finite figures; soon, and nothing else.

A file of ``scenarios/`` opens with a comment for each problem that must be told, in order: a regular expression.
"""

from __future__ import annotations

import copy
import json
import random
import re
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from plan_cases import SMALL, changed

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.scenario import load_scenario
from costsim.inputs.yaml_source import read
from costsim.plan import plan
from costsim.tree import flatten

FOLDER = Path(__file__).parent / "scenarios"
FILES = sorted(FOLDER.glob("*.yaml"))
SOON = 2.0  # seconds


def refusal(x: Any, **how: Any) -> list[str]:
    """What is said of a scenario that must be refused."""
    started = time.perf_counter()
    with pytest.raises(InputError) as caught:
        plan(x, **how)
    assert time.perf_counter() - started < SOON
    lines = str(caught.value).splitlines()
    assert all(line.isprintable() for line in lines)
    assert all(problem.message for problem in caught.value.problems)
    return lines


def expected(file: Path) -> list[str]:
    return re.findall(r"(?m)^# expect: (.+)$", file.read_text(encoding="utf-8"))


def test_there_are_enough() -> None:
    assert len(FILES) > 100
    assert all(expected(file) for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_broken_scenario_is_refused_with_these_words(file: Path) -> None:
    lines = refusal(file)
    wanted = expected(file)
    assert len(lines) == len(wanted), lines
    for line, words in zip(lines, wanted, strict=True):
        assert re.search(words, line), line
        assert re.match(r".+\.yaml:\d+:\d+: ", line), line  # where it is
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_same_from_standard_input_and_from_a_program(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    text = file.read_text(encoding="utf-8")
    assert refusal("-", stdin_text=text)
    try:
        value = read(text, "x").value
    except InputError:  # no YAML of the accepted kind, and so nothing that a program could give
        return
    assert isinstance(value, dict)
    before = copy.deepcopy(value)
    assert len(refusal(value)) == len(expected(file)) or file.stem == "extends_itself"
    assert value == before


# --- extreme, but legal -----------------------------------------------------------------------------------------------

UNITS = ("tokens/s", "tokens/day", "USD/h", "USD/Mtok", "USD/month", "Gbit/s", "months", "years", "x/year", "min", "us")
SIZES = ("0", "1e-40", "1e-30", "1e-9", "1", "7", "100", "1e6", "1e12", "1e30", "1e40", "1e-3 to 1e3", "0 to 1")
NUMBERS = (0, 1, 2, 7, -1, 1e-30, 1e-9, 0.999999, 1e6, 1e15, 1e30, "1e-3 to 1e3", "0.01 to 0.99", "99.99%", "1e-30")


def extremes(value: Any) -> list[Any]:
    """Values of the same kind at the ends of what may be written."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return list(NUMBERS)
    unit = next((unit for unit in (*UNITS, "s", "USD") if str(value).endswith(f" {unit}")), None)
    if unit is not None:
        return [f"{size} {unit}" for size in SIZES]
    return list(NUMBERS) if re.match(r"\d", str(value)) else []


def replaced(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    return changed(tree, {path: value})


SKIPPED = ("sources", "name", "question", "costsim", "start", "uncertainty")
NEVER = re.compile(
    r"payback\..*|clocks\..*|serving\.(training|serving)_usd_per_million_tokens|cost\.break_even_utilisation\..*|run\.checkpoint_interval_seconds"
    r"|layout\.phases|step\.breakdown"
)
"""Figures that may be null because what they tell of never comes, or is not made."""


def sound(made: dict[str, Any]) -> None:
    """The figures of a plan are finite, in their range, and add up."""
    json.dumps(made, allow_nan=False)
    for section in ("model", "compute", "layout", "memory", "step", "run", "loss", "cost", "serving"):
        for path, value in flatten(made[section] or {}, section):
            assert value is not None or NEVER.fullmatch(path), path
            assert not isinstance(value, int | float) or value >= 0, (path, value)
    assert 0 < made["run"]["goodput"] <= 1
    assert 0 <= made["memory"]["fit_probability"] <= 1
    assert 0 < made["step"]["mfu"] <= 1
    cost = made["cost"]
    assert sum(cost["items"].values()) == pytest.approx(cost["total_usd"], rel=1e-9)
    assert sum(cost["programme_items"].values()) == pytest.approx(cost["programme_usd"], rel=1e-9)
    for path, drawn in made["intervals"].items():
        ends = [float("inf") if drawn[q] is None else drawn[q] for q in ("p5", "p50", "p95")]
        ascends = all(a <= b or a == pytest.approx(b, rel=1e-12) for a, b in pairwise(ends))
        assert ascends or path == "payback.irr_annual" or path.startswith("payback.needed."), (path, drawn)


@pytest.mark.parametrize("name", catalogue.names("scenarios"))
def test_a_scenario_with_a_leaf_at_an_extreme_is_planned_or_refused(name: str) -> None:
    base = load_scenario(name).resolved()
    leaves = [(p, v) for p, v in flatten(base) if p.split(".")[0] not in SKIPPED and ".distribution" not in p]
    cases = [(path, extreme) for path, value in leaves for extreme in extremes(value)]
    planned = 0
    for path, extreme in random.Random(name).sample(cases, 30):
        x = replaced(replaced(base, path, extreme), "uncertainty", {"draws": 16})
        started = time.perf_counter()
        try:
            made = plan(x, explain=True).to_dict()
        except InputError:
            continue
        finally:
            assert time.perf_counter() - started < SOON, (path, extreme)
        sound(made)
        planned += 1
    assert planned >= 5  # not all is refused


@pytest.mark.parametrize("seed", range(6))
def test_a_scenario_with_several_leaves_at_extremes_is_planned_or_refused(seed: int) -> None:
    dice = random.Random(seed)
    names = catalogue.names("scenarios")
    for _ in range(25):
        x = load_scenario(dice.choice(names)).resolved()
        leaves = [(p, v) for p, v in flatten(x) if p.split(".")[0] not in SKIPPED and extremes(v)]
        for path, value in dice.sample(leaves, 3):
            x = replaced(x, path, dice.choice(extremes(value)))
        try:
            made = plan(replaced(x, "uncertainty", {"draws": dice.choice([0, 1, 2, 20])}), explain=True).to_dict()
        except InputError:
            continue
        sound(made)


# --- a program's mischief ---------------------------------------------------------------------------------------------


ODD = ("x" * 100_000, "\ud800", "\x00", 10**5000, -(10**5000), [[]] * 1000, {"a": {}})
MISCHIEF = ("a" * 20_000 + "=1", "=", ".=1", "a=" + "[" * 1000, "a=&x *x", "a=!!python/none", "training=\x1b")


@pytest.mark.parametrize("value", ODD, ids=lambda v: type(v).__name__)
@pytest.mark.parametrize("path", ["model", "training.tokens", "cluster", "cost.site", "law"])
def test_odd_values_of_a_program_are_refused(path: str, value: Any) -> None:
    assert refusal(changed(SMALL, {path: value}))


def test_text_that_drives_terminals_does_not_reach_messages() -> None:
    """The words of a message are printable whatever stands in the scenario."""
    for path in ("model", "law", "cluster.accelerator", "cost.site", "training.tokens", "cluster.stack"):
        lines = refusal(changed(SMALL, {path: "\x1b]0;owned\x07\u202e"}))
        assert len(lines) == 1


@pytest.mark.parametrize("setting", MISCHIEF, ids=lambda setting: repr(setting[:10]))
def test_mischief_in_settings_is_refused(setting: str) -> None:
    assert refusal(SMALL, overrides=[setting])


def test_many_settings() -> None:
    made = plan(SMALL, overrides=[f"cost.rent.usd_per_accelerator_hour={n}" for n in range(1, 300)])
    assert made.point.values["cost.rates.rent_usd_per_accelerator_hour"] == 299
