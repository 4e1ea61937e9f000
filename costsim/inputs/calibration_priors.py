"""``data/calibration_priors.yaml``: what coefficients of a device are before it is measured."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Literal

import numpy as np
import pydantic

from costsim.inputs import catalogue
from costsim.inputs.fields import FieldError, Strict, validate
from costsim.inputs.hardware import Origin, Section
from costsim.inputs.quantity import BytesPerSecond, FlopPerSecond, PositiveNumber
from costsim.inputs.yaml_source import read, split_sourced
from costsim.training.components import NAMES
from costsim.training.identify import Prior


class CoefficientPrior(Section):
    """One coefficient: a share of the rate of products, bytes over the bandwidth, or seconds."""

    share: PositiveNumber | None = None
    bytes: PositiveNumber | None = None
    seconds: PositiveNumber | None = None
    spread: PositiveNumber

    @pydantic.model_validator(mode="after")
    def _one_scale(self) -> CoefficientPrior:
        if sum(scale is not None for scale in (self.share, self.bytes, self.seconds)) != 1:
            raise FieldError("give one of share, bytes and seconds")
        return self

    def centre(self, rate: float, bandwidth: float) -> float:
        """Seconds of a unit, on a device with this rate of products and bandwidth."""
        if self.share is not None:
            return 1 / (self.share * rate)
        return self.seconds if self.seconds is not None else (self.bytes or 0.0) / bandwidth


class KindPriors(Section):
    """Priors of a kind of device."""

    matmul: CoefficientPrior
    weight: CoefficientPrior
    launch: CoefficientPrior
    attention: CoefficientPrior
    score: CoefficientPrior
    hidden: CoefficientPrior
    head: CoefficientPrior
    ffn: CoefficientPrior
    logit: CoefficientPrior
    update: CoefficientPrior
    embedding: CoefficientPrior
    product_bandwidth: PositiveNumber
    bandwidth: BytesPerSecond
    rate: FlopPerSecond


class Kinds(Strict):
    """By kind of device."""

    cpu: KindPriors
    gpu: KindPriors


class PriorsFile(Strict):
    """The whole file."""

    costsim: Literal[1]
    kinds: Kinds
    misfit: dict[str, PositiveNumber]
    kernels_between_runs: PositiveNumber
    updates_between_runs: PositiveNumber
    transfer: PositiveNumber
    sources: dict[str, Origin]


@cache
def priors_file() -> PriorsFile:
    """The shipped file."""
    label, text = catalogue.data_text("calibration_priors.yaml")
    return validate(PriorsFile, split_sourced(read(text, label))[0])


def prior(
    kind: Literal["cpu", "gpu"],
    rate: float | None,
    bandwidth: float | None,
    *,
    known: Mapping[str, float] | None = None,
    product_bandwidth: float | None = None,
) -> Prior:
    """Centre and spread of the coefficients of a device.

    Args:
        kind: of device.
        rate: largest FLOP/s of products found on it, or known of it; None if neither.
        bandwidth: of its memory, bytes/s; None if unknown.
        known: coefficients that its hardware file says, in place of those of the kind.
        product_bandwidth: of thin products, where its hardware file says it.
    """
    file = priors_file()
    own: KindPriors = getattr(file.kinds, kind)
    rate, bandwidth = rate or own.rate, bandwidth or own.bandwidth
    centres = [getattr(own, name).centre(rate, bandwidth) for name in NAMES]
    return Prior(
        centre=np.array([(known or {}).get(name, centre) for name, centre in zip(NAMES, centres, strict=True)]),
        spread=np.array([float(getattr(own, name).spread) for name in NAMES]),
        misfit=file.misfit,
        transfer=file.transfer,
        bandwidth=product_bandwidth or own.product_bandwidth * bandwidth,
    )
