"""The unit of an input by its dotted path, read off the model of the file that it stands in."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import pydantic

from costsim.inputs.kinds import Kind
from costsim.inputs.scenario import ScenarioFields
from costsim.inputs.stack import StackFile

_PLAIN = {"fraction": "fraction", "rate": "fraction/year", "count": "count"}
"""Dimensions whose base has no name."""
_CATALOGUE = {
    "accelerator.peak_flops": "FLOP/s",
    "accelerator.memory.usable": "byte",
    "accelerator.memory.bandwidth": "byte/s",
    "accelerator.power.system": "W",
    "cost.site.electricity": "USD/kWh",
    "cost.site.carbon": "gCO2/kWh",
}
"""Facts of the catalogue under the names that formulas have for them."""


@cache
def unit_of_input(path: str) -> str:
    """The unit in which an input's value is told; empty for plain numbers, texts, and what no field stands for."""
    if path in _CATALOGUE:
        return _CATALOGUE[path]
    root, _, rest = path.partition(".")
    if root == "stack":
        return _unit(StackFile, rest.split("."))
    return _unit(ScenarioFields, path.split("."))


def _unit(annotation: Any, parts: list[str]) -> str:
    """The unit below an annotation: of a model's field, a list's item, or a quantity."""
    for found in _within(annotation):
        if isinstance(found, Kind) and not parts:
            return _PLAIN.get(found.dimension.name, found.own_unit)
        field = getattr(found, "model_fields", {}).get(parts[0]) if parts else None
        if field is not None:
            unit = _unit((field.annotation, *field.metadata), parts[1:])
            if unit:
                return unit
    return _unit(annotation, parts[1:]) if parts and parts[0].isdigit() else ""


def _within(annotation: Any) -> Iterator[Any]:
    """Models and kinds in an annotation, at any depth."""
    if isinstance(annotation, Kind) or (isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)):
        yield annotation
        return
    parts = annotation if isinstance(annotation, tuple) else (*get_args(annotation), getattr(annotation, "kind", None))
    for part in (*parts, *getattr(annotation, "__metadata__", ())):
        if part is not None and part is not annotation:
            yield from _within(part)
