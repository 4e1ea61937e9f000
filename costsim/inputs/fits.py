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
        spread: standard deviation of the log error of predictions that had not seen a row's source or stack, by regime
            and by whether the model has experts.
        stacks: that have rows among the measurements.
    """

    shipped: Mapping[Key, float]
    spread: Mapping[str, Mapping[str, float]]
    stacks: frozenset[str]

    def residual(self, known: bool, experts: bool) -> float:
        """Standard deviation of log measured over predicted step time of a run that the fit has not seen.

        Args:
            known: whether other runs of its stack were measured.
            experts: whether the model is a mixture of experts.
        """
        return self.spread["new_source" if known else "new_stack"]["experts" if experts else "layout"]


@cache
def step_fits() -> StepFits:
    """The fit of ``data/fits/step.json``."""
    found = json.loads(data_text("fits/step.json")[1])
    shipped = {(kind, name, handle): value for kind, name, handle, value in found["parameters"]}
    return StepFits(shipped, found["spread"], frozenset(found["stacks"]))


@cache
def left_out_fits() -> Mapping[str, Mapping[str, Mapping[Key, float]]]:
    """Parameters of fits that leave rows out, by regime and by what was left out (``data/fits/step_folds.json``)."""
    found = json.loads(data_text("fits/step_folds.json")[1])
    keys: list[Key] = [(kind, name, handle) for kind, name, handle in found["parameters"]]

    def named(values: Sequence[float]) -> dict[Key, float]:
        return dict(zip(keys, values, strict=True))

    return {
        regime: {key: values for part in parts for values in [named(part["values"])] for key in part["left_out"]}
        for regime, parts in found["left_out"].items()
    }


def near_duplicates(row: Mapping[str, str]) -> str:
    """What rows share that are left out together: source group, model and hardware."""
    return " | ".join((row.get("source_group", ""), row.get("model", "").lower(), row.get("hardware", "")))


def left_out_by(regime: str, row: Mapping[str, str], stack: str) -> str:
    """What a row is left out by in a regime."""
    return {"known_stack": near_duplicates(row), "new_source": row.get("source_group", ""), "new_stack": stack}[regime]
