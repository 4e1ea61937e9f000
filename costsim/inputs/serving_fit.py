"""``data/fits/serving.json``: constants of serving engines fitted on published speeds, and errors of predictions.

``python -m costsim.fitting.serving`` makes it. The constants as shipped also stand in ``data/defaults.yaml``, where a
plan takes them; a test holds both to each other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from costsim.inputs.catalogue import data_text
from costsim.inputs.fields import validate
from costsim.inputs.intervals import Errors, around
from costsim.inputs.served import LAYER_PARTS
from costsim.inputs.serving import RooflineFields
from costsim.inputs.yaml_source import read, split_sourced

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num

EFFICIENCIES = (
    "memory_efficiency", "cache_efficiency", "flop_efficiency", "dense_prefill_efficiency",
    "expert_prefill_efficiency", "link_efficiency", "prefill_link_efficiency",
)  # fmt: skip
"""Shares of a peak."""
CONSTANTS = (*EFFICIENCIES, *(f"layer.{part}" for part in LAYER_PARTS), "allreduce", "sequence", "request", "reserved")
"""Constants of every engine, as `costsim.inputs.serving.RooflineFields` names them; in SI."""
SOFTWARE, OVERHEAD = "software_factor", "overhead"
REFERENCE = "nvidia"
"""The vendor whose factors are 1."""

Constants = Mapping[str, "Num"]
REGIMES = ("known_stack", "new_model", "new_chip")


@dataclass(frozen=True)
class ServingFit:
    """The fit.

    Attributes:
        values: constants by regime and what was left out of the fit; ``values["shipped"][""]`` are those on all rows.
        errors: by regime, of predictions by constants that had not seen the row.
    """

    values: Mapping[str, Mapping[str, Mapping[str, float]]]
    errors: Mapping[str, Errors]

    def chosen(self, regime: str, left_out: str) -> Mapping[str, float]:
        """Constants of a regime that did not see what is left out; as shipped where nothing of it was there to see."""
        return self.values.get(regime, {}).get(left_out, self.values["shipped"][""])

    def knows(self, regime: str, left_out: str) -> bool:
        """Whether rows of this model or chip were among those that the constants as shipped are fitted on."""
        return left_out in self.values[regime]

    def quantiles(self, predicted: float, regime: str, vendor: str, but: str = "") -> dict[str, float]:
        """Quantiles around a prediction.

        Args:
            predicted: the centre.
            regime: whose errors.
            vendor: of the chip.
            but: group of rows (`ServingFit.errors`) whose errors do not count.
        """
        table = self.errors[regime]
        return around(predicted, lambda share: table.half_width(share, class_of(vendor), but))


def class_of(vendor: str) -> str:
    """Errors are told apart by vendor: NVIDIA, for which engines are written first, and others."""
    return REFERENCE if vendor == REFERENCE else "other"


@cache
def serving_fit() -> ServingFit:
    """As made on the shipped evidence."""
    found: Any = json.loads(data_text("fits/serving.json")[1])
    names = found["names"]
    values = {
        regime: {left: dict(zip(names, row, strict=True)) for group, row in rows for left in group}
        for regime, rows in found["values"].items()
    }
    errors = {
        regime: Errors(*(np.array(column) for column in zip(*(row[1:] for row in rows), strict=True)))
        for regime, rows in found["errors"].items()
    }
    return ServingFit(values, errors)


def factor(values: Constants, kind: str, vendor: str, chip: str) -> Num:
    """A factor of a chip: its vendor's, times its own; 1 for what the fit does not know.

    Args:
        values: constants.
        kind: `SOFTWARE` or `OVERHEAD`.
        vendor: in lower case.
        chip: its catalogue name.
    """
    return values.get(f"{kind}.{vendor}", 1.0) * values.get(f"{kind}.{chip}", 1.0)


@cache
def given() -> RooflineFields:
    """The constants of engines that a plan takes: those that are not fitted are here alone."""
    label, text = data_text("defaults.yaml")
    return validate(RooflineFields, split_sourced(read(text, label).at(("serving", "roofline")))[0])


def as_fields(values: Constants) -> Any:
    """Constants under the names of `RooflineFields`; those that are not fitted as a plan takes them."""
    layer = SimpleNamespace(**{part: values[f"layer.{part}"] for part in LAYER_PARTS})
    plain = {name: values[name] for name in CONSTANTS if "." not in name}
    fixed = given()
    return SimpleNamespace(**plain, layer=layer, memory_fraction=fixed.memory_fraction, prompt_reads=fixed.prompt_reads)
