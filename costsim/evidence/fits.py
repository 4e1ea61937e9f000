"""The fits of step times that ship: constants with all rows, constants without some, and the errors that are left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from costsim.inputs.catalogue import data_text
from costsim.training.adjust import Key

REGIMES = ("known_stack", "new_source", "new_stack")


@dataclass(frozen=True)
class StepFits:
    """Fitted parameters.

    Attributes:
        shipped: of the fit on all rows.
        without: by regime and by what was left out: near-duplicates, a source group, or a stack.
    """

    shipped: Mapping[Key, float]
    without: Mapping[str, Mapping[str, Mapping[Key, float]]]

    def values(self, regime: str, left_out: str) -> Mapping[Key, float]:
        """Parameters of the fit that did not see what is named; of all rows where none left it out."""
        return self.without.get(regime, {}).get(left_out, self.shipped)


@cache
def step_fits() -> StepFits:
    """The fits of ``data/fits/step.json``."""
    found = json.loads(data_text("fits/step.json")[1])
    keys: list[Key] = [(kind, name, handle) for kind, name, handle in found["parameters"]]

    def named(values: Sequence[float]) -> dict[Key, float]:
        return dict(zip(keys, values, strict=True))

    without = {
        regime: {key: values for part in parts for values in [named(part["values"])] for key in part["left_out"]}
        for regime, parts in found["left_out"].items()
    }
    return StepFits(named(found["shipped"]), without)


def near_duplicates(row: Mapping[str, str]) -> str:
    """What rows share that are left out together: source group, model and hardware."""
    return " | ".join((row.get("source_group", ""), row.get("model", "").lower(), row.get("hardware", "")))


def left_out_by(regime: str, row: Mapping[str, str], stack: str) -> str:
    """What a row is left out by in a regime."""
    return {"known_stack": near_duplicates(row), "new_source": row.get("source_group", ""), "new_stack": stack}[regime]
