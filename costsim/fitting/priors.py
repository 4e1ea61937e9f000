"""What a fit may move, and by how much: ``data/fits/priors.yaml``."""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

from costsim.evidence.cases import accelerator
from costsim.inputs import catalogue
from costsim.inputs.fields import Date, Strict, validate
from costsim.inputs.sourced import split_sourced
from costsim.inputs.yaml_source import read
from costsim.training.adjust import Key
from costsim.uncertainty.ranges import Range

NORMAL_90 = 1.645


class _Limits(Strict):
    least: float
    most: float


class _Row(Strict):
    spread: float
    huber: float


class Priors(Strict):
    """The file."""

    costsim: Literal[1]
    date: Date
    chip: _Limits
    spreads: dict[str, dict[str, float]]
    row: _Row
    flags: dict[str, float]
    folds: int
    seed: int

    @property
    def huber(self) -> float:
        """Log error beyond which a row's influence grows no more."""
        return self.row.huber

    @property
    def row_spread(self) -> float:
        """Log error of a row that the model does not explain."""
        return self.row.spread

    def spread(self, key: Key) -> float:
        """Prior standard deviation of a parameter; a chip's is that of its kernels in the hardware file."""
        kind, name, handle = key
        return self.chip_spread(name) if kind == "chip" else self.spreads[kind][handle]

    def chip_spread(self, name: str) -> float:
        """Log standard deviation of a chip's matrix products, from the range in its file."""
        kernel = accelerator(name).matmul_kernel("bf16")
        if kernel is None:
            return self.chip.most
        if not isinstance(kernel.efficiency, Range):
            return self.spreads["chip"]["matmul"]
        low, high = kernel.efficiency.interval90()
        return min(self.chip.most, max(self.chip.least, math.log(high / low) / (2 * NORMAL_90)))

    def flag_weight(self, flag: str) -> float:
        """Weight of a row with a flag; 1 without."""
        return self.flags.get(flag, self.flags["default"]) if flag else 1.0


@cache
def priors() -> Priors:
    """What the fits start from."""
    label, text = catalogue.data_text("fits/priors.yaml")
    return validate(Priors, split_sourced(read(text, label))[0])
