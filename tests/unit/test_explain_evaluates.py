"""Explanations cannot drift from the numbers: every arithmetic formula is evaluated and must give its figure."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from costsim.explain import expand, explanations
from costsim.inputs import catalogue
from costsim.plan import plan

PLACEHOLDER = re.compile(r"\{([a-z0-9_.*-]+)\}")
OPERATORS: dict[type, Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
}
FUNCTIONS: dict[str, Callable[..., float]] = {
    "min": min, "max": max, "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "ceil": math.ceil, "floor": math.floor,
    "sum": lambda *values: math.fsum(values), "abs": abs, "round": round,
}  # fmt: skip
LEAST_SHARE = 0.3  # of the formulas: the rest say in words what no one-line arithmetic says


class NotArithmetic(Exception):
    """The formula is words, or lacks a number."""


def evaluate(formula: str, known: Mapping[str, object]) -> float:
    """The value of an arithmetic formula; paths with ``*`` stand for a comma-separated list inside sum, min or max."""
    names: dict[str, float] = {}

    def placed(match: re.Match[str]) -> str:
        found = []
        for path in expand(match[1], known):
            value = known.get(path)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise NotArithmetic(path)
            names[f"v{len(names)}"] = float(value)
            found.append(f"v{len(names) - 1}")
        return ", ".join(found)

    text = PLACEHOLDER.sub(placed, formula)
    try:
        return value_of(ast.parse(text.strip(), mode="eval").body, names)
    except SyntaxError as error:
        raise NotArithmetic(formula) from error


def value_of(node: ast.expr, names: Mapping[str, float]) -> float:
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.BinOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](value_of(node.left, names), value_of(node.right, names))
    if isinstance(node, ast.UnaryOp) and type(node.op) in OPERATORS:
        return OPERATORS[type(node.op)](value_of(node.operand, names))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FUNCTIONS:
        return FUNCTIONS[node.func.id](*(value_of(argument, names) for argument in node.args))
    raise NotArithmetic(ast.dump(node))


def test_the_evaluator_itself() -> None:
    known = {"a.b": 3.0, "c.x": 1.0, "c.y": 2.0}
    assert evaluate("2 * {a.b} ** 2 - 1", known) == 17.0
    assert evaluate("sum({c.*}) / max({a.b}, {c.x})", known) == 1.0
    for words in ("the share of {a.b}", "{a.b} * {not.known}", "__import__('os')", "{a.b}.real", "[{a.b}]"):
        with pytest.raises(NotArithmetic):
            evaluate(words, known)


def evaluated(explained: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], float]]:
    """The explanations whose formulas are arithmetic, each with what its formula gives."""
    for item in explained:
        known = {entry["path"]: entry["value"] for entry in item["inputs"]}
        try:
            yield item, evaluate(item["formula"], known)
        except NotArithmetic:
            continue


@pytest.mark.parametrize("name", catalogue.names("scenarios"))
def test_formulas_give_their_figures(name: str) -> None:
    made = plan(name, draws=0, explain=True).to_dict()
    found, wrong = list(evaluated(made["explain"])), []
    for item, value in found:
        if not math.isclose(value, float(item["value"]), rel_tol=1e-6, abs_tol=1e-12):
            wrong.append(f"{item['path']} is {item['value']}, its formula {item['formula']} gives {value}")
    assert wrong == []
    assert len(found) >= LEAST_SHARE * len(made["explain"])


def test_every_explained_figure_names_its_source_and_inputs_that_are_there() -> None:
    made: dict[str, Any] = plan("llama-3.1-405b", draws=0, explain=True).to_dict()
    assert len(made["explain"]) > 30
    for item in made["explain"]:
        assert item["source"], item["path"]
        assert item["label"], item["path"]
        assert set(item) >= {"path", "formula", "inputs", "source"}


def test_explanations_are_not_made_unless_asked_for() -> None:
    assert "explain" not in plan("gpt2-124m", draws=0).to_dict()
    assert explanations({}, []) == []


@pytest.mark.parametrize("name", ["rent-or-own-1024-h100", "serve-a-million-users"])
def test_demand_is_explained_in_the_unit_of_its_figure(name: str) -> None:
    """Tokens per second and tokens per day are not confused, whether demand is a rate or users."""
    found = {item["path"]: item for item in plan(name, draws=0, explain=True).to_dict()["explain"]}
    item = found["payback.needed.peak_tokens_per_day.planned"]
    known = {entry["path"]: entry["value"] for entry in item["inputs"]}
    assert evaluate(item["formula"], known) == pytest.approx(item["value"])
    tokens = found["payback.tokens"]
    known = {entry["path"]: entry["value"] for entry in tokens["inputs"]}
    a_month = evaluate(tokens["formula"].split(" a month")[0], known)
    assert a_month == pytest.approx(item["value"] * 365.25 / 12)
    assert 0 < tokens["value"] < a_month * known["demand.life"]
