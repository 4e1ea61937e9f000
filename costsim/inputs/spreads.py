"""``data/constant_spreads.yaml``: how badly the constants of the step-time model are known."""

from __future__ import annotations

from functools import cache
from typing import Literal

import pydantic

from costsim.inputs import catalogue
from costsim.inputs.fields import Strict, validate
from costsim.inputs.hardware import Origin
from costsim.inputs.quantity import PositiveNumber
from costsim.inputs.yaml_source import read, split_sourced
from costsim.training.doubt import Doubt


class _Parts(Strict):
    """Standard deviations of logarithms, by field of the chip, the network and the stack."""

    chip: dict[str, PositiveNumber] = pydantic.Field(default_factory=dict)
    network: dict[str, PositiveNumber] = pydantic.Field(default_factory=dict)
    stack: dict[str, PositiveNumber] = pydantic.Field(default_factory=dict)

    def doubts(self, exposed: bool) -> list[Doubt]:
        """One for each field."""
        parts: tuple[Literal["chip", "network", "stack"], ...] = ("chip", "network", "stack")
        return [Doubt(part, name, sd, exposed) for part in parts for name, sd in getattr(self, part).items()]


class _SpreadFile(Strict):
    """``data/constant_spreads.yaml``."""

    costsim: Literal[1]
    sources: dict[str, Origin]
    values: _Parts
    exposed: _Parts


@cache
def constant_doubts() -> tuple[Doubt, ...]:
    """Every constant that is not well known, and by how much."""
    label, text = catalogue.data_text("constant_spreads.yaml")
    file = validate(_SpreadFile, split_sourced(read(text, label))[0])
    return (*file.values.doubts(exposed=False), *file.exposed.doubts(exposed=True))
