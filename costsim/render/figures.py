"""Reading a plan's JSON: values by path, with label, unit, range and short text from the registry of quantities."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, cast

from costsim.explain import declared
from costsim.render import numbers
from costsim.render.text import clean
from costsim.tree import is_number, lookup

PlanDict = Mapping[str, Any]
SECTIONS = ("model", "compute", "layout", "memory", "step", "run", "loss", "cost", "serving", "payback", "clocks")

# Units of what no function declares: the keys of a scenario, whose names carry the unit.
_UNIT_BY_ENDING = (
    (r"usd_per_accelerator_hour|usd_per_hour", "USD/h"),
    (r"\w*usd_per_million_\w+|usd_per_mtok", "USD/Mtok"),
    (r"usd_per_kwh", "USD/kWh"),
    (r"usd_per_month", "USD/month"),
    (r"usd_per_accelerator|usd|\w+_usd|usd_per_mw", "USD"),
    (r"\w*bytes_per_second", "byte/s"),
    (r"\w*flops_per_second\w*", "FLOP/s"),
    (r"\w*tokens_per_second\w*", "token/s"),
    (r"flops_per_token", "FLOP/token"),
    (r"\w*flops\w*", "FLOP"),
    (r"\w*bytes", "byte"),
    (r"\w*seconds", "s"),
    (r"\w*days", "day"),
    (r"\w*months", "month"),
    (r"\w*accelerator_hours", "accelerator-hour"),
    (r"\w*kwh", "kWh"),
    (r"\w*megawatts", "MW"),
    (r"\w*tonnes", "t"),
    (r"mfu|hfu|goodput|occupancy|irr_annual|discount|residual", "fraction"),
    (r"\w*(probability|share|fraction)\w*|\w+_rate", "fraction"),
    (r"\w*tokens", "token"),
    (r"\w*parameters|accelerators\w*|\w*batch|layers|steps|draws|interruptions|\w*sequences", "count"),
)


def unit_of(path: str) -> str:
    """The unit of a path: declared, else as its last name says."""
    found = declared(path)
    if found is not None:
        return found.unit
    last = path.rsplit(".", 1)[-1]
    return next((unit for ending, unit in _UNIT_BY_ENDING if re.fullmatch(ending, last)), "")


def label_of(path: str) -> str:
    """What tables call a path: the declared label, else its last name in words."""
    found = declared(path)
    text = found.label if found is not None and "*" not in found.path else words(path.rsplit(".", 1)[-1])
    return text[:1].upper() + text[1:]


def words(name: str) -> str:
    """A key as words: ``data_comm_seconds`` is ``data comm``."""
    plain = re.sub(r"_(usd|bytes|seconds|days|months|kwh|tonnes|megawatts)$", "", name)
    return clean(plain.replace("_", " "))


def short(value: object, unit: str = "") -> str:
    """Any leaf as short text: numbers with their unit, yes and no, cleaned text, a dash for what is absent."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if is_number(value):
        return numbers.number(float(cast(float, value)), unit)
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(key)}: {short(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(short(item) for item in value)
    return clean(value)


class Figures:
    """A plan's numbers by path.

    Attributes:
        plan: the JSON of a plan.
    """

    def __init__(self, plan: PlanDict) -> None:
        self.plan = plan
        self._intervals = plan.get("intervals") or {}

    def has(self, section: str) -> bool:
        """Whether a section is there."""
        return bool(lookup(self.plan, section))

    def get(self, path: str) -> Any:
        """The value at a path, or None."""
        return lookup(self.plan, path)

    def value(self, path: str) -> float | None:
        """The number at a path, or None where there is none."""
        found = lookup(self.plan, path)
        return float(found) if is_number(found) and math.isfinite(found) else None

    def interval(self, path: str) -> Mapping[str, float | None] | None:
        """The 90 % interval of a path, or None where no draws were made or there is no spread."""
        found = self._intervals.get(path)
        return found if isinstance(found, Mapping) else None

    def number(self, path: str, like: float | None = None) -> str:
        """The number at a path with its unit, without its range; a dash where there is none."""
        value = self.value(path)
        return "-" if value is None else numbers.number(value, unit_of(path), like)

    def range(self, path: str, like: float | None = None) -> str:
        """The range at a path alone, such as ``31–55M``; empty where there is none."""
        return numbers.range_only(self.value(path), unit_of(path), self.interval(path), like)

    def text(self, path: str, unit: str | None = None) -> str:
        """The leaf at a path as short text, with its range; in its declared unit unless another is given."""
        found = self.get(path)
        if is_number(found) or (found is None and self.interval(path)):
            return numbers.with_range(self.value(path), unit_of(path) if unit is None else unit, self.interval(path))
        return short(found)

    def resolved(self, path: str) -> str:
        """An input as the scenario gave it, as short text; empty where it gave none."""
        found = lookup(self.plan, f"scenario.resolved.{path}")
        if isinstance(found, Mapping):
            found = found.get("name")
        return "" if found is None else short(found, unit_of(path))
