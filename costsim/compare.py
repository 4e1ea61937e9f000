"""Plans side by side: which inputs differ, and which results do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from costsim.errors import InputError, Problem
from costsim.explain import declared
from costsim.inputs.measured import left_aside
from costsim.tree import flatten, is_number

SCHEMA = "costsim.compare/1"
_SECTIONS = ("model", "compute", "layout", "memory", "step", "run", "loss", "cost", "serving", "payback", "clocks")
_NOT_INPUTS = re.compile(r"(costsim|name|question|extends|sources)(\..*)?")  # they name a scenario, and change nothing
_LISTS = re.compile(r".*\.\d+(\..*)?")  # months and benchmarks: whole tables, found in the plans themselves
_NOT_ATTRIBUTED = "attribution: how much of each difference comes from which input is not worked out in this version"


class HasDict(Protocol):
    """Anything with the JSON of a plan, such as ``Plan``."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a plan."""
        ...


def compare(plans: Sequence[Mapping[str, Any] | HasDict]) -> dict[str, Any]:
    """Compare two or more plans.

    Args:
        plans: plans, or their JSON, the first of which the others are measured against.

    Returns:
        The JSON ``costsim.compare/1``: ``scenarios`` (the plans), ``differences`` (``path``, ``kind`` input or output,
        one value a plan, None where a plan has none), ``attribution`` and ``notes``.

    Raises:
        InputError: fewer than two plans.
    """
    trees = [dict(plan) if isinstance(plan, Mapping) else plan.to_dict() for plan in plans]
    if len(trees) < 2:
        raise InputError(Problem("a comparison needs two scenarios or more", allowed=f"{len(trees)} given"))
    inputs = [dict(_inputs(tree)) for tree in trees]
    outputs = [dict(_outputs(tree)) for tree in trees]
    return {
        "schema": SCHEMA,
        "scenarios": trees,
        "differences": [*_differences("input", inputs), *_differences("output", outputs)],
        "attribution": [],
        "notes": [*_left_aside(trees), *_rankings(trees), _NOT_ATTRIBUTED],
    }


def _left_aside(trees: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Which calibration a scenario names and its plan does not use."""
    for tree in trees:
        yield from (f"{note}, in '{_named(tree)}'" for note in left_aside(map(str, tree.get("notes") or [])))


def _rankings(trees: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Why a plan whose final run is the cheaper has the dearer programme, or the other way round."""
    costs = [tree.get("cost") for tree in trees]
    for index, cost in enumerate(costs[1:], start=1):
        first = costs[0]
        if first is None or cost is None:
            continue
        run, programme = (float(cost[key]) - float(first[key]) for key in ("total_usd", "programme_usd"))
        if run * programme >= 0:
            continue
        low, high = (trees[0], trees[index]) if programme < 0 else (trees[index], trees[0])
        # ``low`` has the cheaper final run and the dearer programme.
        yield (f"cost: the final run of '{_named(low)}' is the cheaper, its programme the dearer: {_why(low, high)}")


def _why(low: Mapping[str, Any], high: Mapping[str, Any]) -> str:
    """What the final run of one plan holds that its programme does not; else the line that turns the order."""
    filled = [_part(tree, "items") - _part(tree, "programme_items") for tree in (low, high)]
    if filled[1] > filled[0]:
        return (
            f"of the other's final run, {filled[1] / 1e6:.3g}M USD are the rest of a commitment, which research fills"
            " in the programme"
        )
    lines, others = (tree["cost"]["programme_items"] for tree in (low, high))
    more = {name: float(usd) - float(others.get(name, 0.0)) for name, usd in lines.items()}
    most = max(more, key=lambda name: more[name])
    found = declared(f"cost.programme_items.{most}")
    return f"its {found.label if found is not None else most} costs {more[most] / 1e6:.3g}M USD more"


def _part(tree: Mapping[str, Any], group: str) -> float:
    return float((tree["cost"].get(group) or {}).get("unused_commitment_usd", 0.0))


def _named(tree: Mapping[str, Any]) -> str:
    return str((tree.get("scenario") or {}).get("name") or "unnamed")


def _inputs(plan: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    resolved = (plan.get("scenario") or {}).get("resolved") or {}
    return ((path, value) for path, value in flatten(resolved) if not _NOT_INPUTS.fullmatch(path))


def _outputs(plan: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for section in _SECTIONS:
        if plan.get(section) is not None:
            yield from ((p, value) for p, value in flatten(plan[section], section) if not _LISTS.fullmatch(p))


def _differences(kind: str, trees: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    paths = dict.fromkeys(path for tree in trees for path in tree)
    rows = [(path, [tree.get(path) for tree in trees]) for path in paths]
    return [{"path": path, "kind": kind, "values": values} for path, values in rows if not _all_equal(values)]


def _all_equal(values: Sequence[Any]) -> bool:
    first = values[0]
    return all(value == first and is_number(value) == is_number(first) for value in values)
