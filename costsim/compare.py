"""Plans side by side: which inputs differ, and which results do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from costsim.errors import InputError, Problem
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
        "notes": [_NOT_ATTRIBUTED],
    }


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
