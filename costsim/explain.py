"""Why each figure is what it is: its formula, the numbers in it, where each comes from, and the source it follows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from costsim.quantities import REGISTRY, Quantity
from costsim.tree import is_number

_PLACEHOLDER = re.compile(r"\{([a-z0-9_.*-]+)\}")


def explanations(values: Mapping[str, object], provenance: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Explain every declared quantity that has a value.

    Args:
        values: figures and inputs by dotted path; numbers in SI and USD, as in the JSON of a plan.
        provenance: rows of ``path``, ``value``, ``source`` and ``known``: where each input comes from.

    Returns:
        One mapping a figure, in the order of the values: ``path, label, value, unit``; ``formula`` with ``{path}`` for
        each number in it; ``numbers``, the same with the numbers in their place; ``inputs``, each with ``path, value,
        unit, origin``; and ``source``, the paper or convention that the formula follows.
    """
    origins = {str(row["path"]): row for row in provenance}
    known = ((path, declared(path)) for path, value in values.items() if value is not None)
    return [_explanation(path, quantity.with_given(values), values, origins) for path, quantity in known if quantity]


def declared(path: str) -> Quantity | None:
    """The declared quantity at a path; declared paths may hold ``*`` for any one name; the fewest hold first."""
    if path in REGISTRY:
        return REGISTRY[path]
    found = [pattern for pattern in REGISTRY if "*" in pattern and matches(pattern, path)]
    return REGISTRY[min(found, key=lambda pattern: pattern.count("*"))] if found else None


def _explanation(
    path: str, quantity: Quantity, values: Mapping[str, object], origins: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    inputs = [_input(name, values, origins) for pattern in quantity.inputs for name in expand(pattern, values, origins)]
    known = {item["path"]: item["value"] for item in inputs}
    return {
        "path": path,
        "label": quantity.label,
        "value": values[path],
        "unit": quantity.unit,
        "formula": quantity.formula,
        "numbers": with_numbers(quantity.formula, known),
        "inputs": inputs,
        "source": quantity.source,
    }


def _input(path: str, values: Mapping[str, object], origins: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """A number in a formula: its value and whether it was computed, given or assumed."""
    quantity = declared(path)
    row = origins.get(path)
    value = values.get(path, row["value"] if row is not None else None)
    unit = quantity.unit if quantity is not None else str(row.get("unit", "")) if row is not None else ""
    if row is not None:
        origin = ", ".join(str(row[key]) for key in ("source", "known") if row.get(key))
    elif any(name.startswith(f"{path}.") for name in origins):
        origin = f"given in parts, see {path}"
    elif "*" in path:
        origin = "month by month, see payback.monthly"
    elif quantity is not None and value is None:
        origin = "never" if path in values else "not in this plan"
    elif quantity is not None:
        origin = f"computed, see {path}"
    else:
        origin = "input" if value is not None else "not given"
    return {"path": path, "value": value, "unit": unit, "origin": origin}


def expand(pattern: str, *known: Mapping[str, object]) -> list[str]:
    """The paths that a pattern with ``*`` names; a path without ``*`` names itself."""
    if "*" not in pattern:
        return [pattern]
    found = dict.fromkeys(path for paths in known for path in paths if matches(pattern, path))
    return list(found) or [pattern]


def matches(pattern: str, path: str) -> bool:
    """Whether a path is named by a pattern in which ``*`` stands for any one name."""
    wanted, parts = pattern.split("."), path.split(".")
    return len(wanted) == len(parts) and all(w in ("*", p) for w, p in zip(wanted, parts, strict=True))


def with_numbers(formula: str, known: Mapping[str, object]) -> str:
    """A formula with numbers in the place of its paths: a pattern's are added up, an unknown one stays named."""

    def number(match: re.Match[str]) -> str:
        values = [_text(known[path]) for path in expand(match[1], known) if known.get(path) is not None]
        return " + ".join(values) if values else match[1]

    return _PLACEHOLDER.sub(number, formula)


def _text(value: object) -> str:
    return f"{value:.6g}" if is_number(value) else str(value)
