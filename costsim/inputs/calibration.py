"""Calibrations: what ``costsim bench`` measured on one machine, read and checked."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pydantic

from costsim.errors import InputError, Problem
from costsim.inputs.calibration_priors import prior
from costsim.inputs.fields import FieldError, Items, Strict, validate
from costsim.inputs.signs import kind_of_file, looks_like
from costsim.inputs.source import Source
from costsim.training.components import NAMES, Coefficients

FORMAT, MAJOR = "costsim-calibration", 1
SYMMETRY = 1e-6

MOST_OF_PRIOR = 1000.0
"""No fitted coefficient is more than so many times its prior, which is of the device itself."""
MOST_OF_SHIPPED = 10_000.0
"""And a prior within so many times those of an ordinary CPU and an ordinary GPU."""
MOST_SPREAD = 100.0
"""Standard deviation of a coefficient over its prior; shipped priors have at most 0.7."""

Share: TypeAlias = Annotated[float, pydantic.Field(ge=0, le=100)]
"""Of another number: a half-width, a log error, seconds that a step shows of those of its collectives."""
Measure: TypeAlias = Annotated[float, pydantic.Field(ge=0, le=1e18)]
Positive: TypeAlias = Annotated[float, pydantic.Field(gt=0)]
Seconds: TypeAlias = Annotated[float, pydantic.Field(ge=1e-9, le=1e6)]
"""Of one thing measured: from a nanosecond to eleven days."""
Rate: TypeAlias = Annotated[float, pydantic.Field(ge=1e3, le=1e17)]
"""Bytes/s."""
Whole: TypeAlias = Annotated[int, pydantic.Field(ge=0, le=10**18)]
Some: TypeAlias = Annotated[int, pydantic.Field(ge=1, le=10**18)]
Devices: TypeAlias = Annotated[int, pydantic.Field(ge=1, le=10**7)]
Dtype: TypeAlias = Literal["fp32", "tf32", "bf16"]
Status: TypeAlias = Literal["good", "noisy", "refused", "partial"]
USABLE = ("good", "noisy")


class VerdictFields(Strict):
    """Whether the measurements can be planned from, and why not."""

    status: Status
    reasons: Items[str] = ()


class DeviceFields(Strict):
    """What was measured (``costsim.bench.record.Device``); ``catalogue`` names its hardware file."""

    kind: Literal["cpu", "cuda", "rocm", "mps"]
    name: str
    catalogue: str | None = None
    count: Devices = 1
    threads: Whole = 1
    memory_bytes: Whole = 0
    cache_bytes: Whole = 0
    units: Whole = 0
    identity: str = ""
    power_limit_watts: Measure | None = None
    power_default_watts: Measure | None = None
    clock_max_hertz: Measure | None = None


class SoftwareFields(Strict):
    """What ran."""

    torch: str
    python: str
    system: str = ""
    driver: str | None = None
    cuda: str | None = None
    hip: str | None = None
    nccl: str | None = None
    blas: str = ""
    attention: str = ""
    fp32_precision: str = ""
    malloc: str = ""
    optimizer: str = ""


class Convention(Strict):
    """What is counted, so that figures of two files can be compared."""

    flops: str
    step_includes: Items[str]
    recompute: str
    statistic: str


class Timed(Strict):
    """A measured time.

    Attributes:
        seconds: the median.
        half_width: half of its 95 % interval, over the median.
        samples: how many times.
        verdict: of this measurement.
    """

    seconds: Seconds
    half_width: Share
    samples: Whole
    verdict: Status = "good"


class GemmFields(Timed):
    """A matrix product of m × k by k × n."""

    m: Whole
    n: Whole
    k: Whole
    layout: Literal["forward", "dgrad", "wgrad"]
    dtype: Dtype


class LinearFields(Timed):
    """Forward and backward pass of a linear layer."""

    tokens: Whole
    inputs: Whole
    outputs: Whole
    dtype: Dtype


class BandwidthFields(Timed):
    """Memory copied."""

    operation: Literal["copy"]
    working_bytes: Whole
    bytes_per_second: Rate


class UpdateFields(Timed):
    """An optimizer update alone."""

    parameters: Some
    kind: str
    dtype: str


class ShapeFields(Strict):
    """Shape of a measured step."""

    layers: Whole
    hidden_size: Whole
    heads: Whole
    kv_heads: Whole
    head_size: Whole
    ffn_size: Whole
    vocab_size: Whole
    gated_ffn: bool = True
    tied_embeddings: bool = False


class StepFields(Timed):
    """A training step, whole and by component; ``peak_bytes`` may be below zero where it is a process's growth."""

    model: ShapeFields
    sequence: Whole
    micro_batch: Whole
    dtype: Dtype
    role: Literal["designed", "target"] = "designed"
    compiled: bool = False
    ranks: Devices = 1
    parallel: Literal["none", "ddp", "fsdp2"] = "none"
    best_seconds: Seconds
    quantiles_seconds: Items[Seconds] = ()
    components_seconds: dict[str, Measure]
    peak_bytes: Annotated[int, pydantic.Field(ge=-(10**18), le=10**18)] | None = None
    host_seconds: Measure | None = None


class CollectiveFields(Timed):
    """A collective of a group of ranks."""

    operation: str
    ranks: Devices
    scope: Literal["node", "cluster"]
    dtype: str
    nbytes: Some
    backend: str


class ScalingFields(Strict):
    """What steps of several ranks showed of their communication (`costsim.training.ranks.Scaling`)."""

    ddp: Share
    fsdp: Share
    fsdp_copy_seconds_per_byte: Annotated[float, pydantic.Field(ge=0, le=1e-3)]
    fsdp_group_seconds: Annotated[float, pydantic.Field(ge=0, le=1e3)]


class EnergyFields(Strict):
    """Energy of a step, and where it was read."""

    source: str
    counter: str = ""
    joules_per_step: Measure | None = None
    watts: Measure | None = None
    window_seconds: Measure | None = None
    covers: str = ""


class CoefficientFields(Strict):
    """A coefficient of the component model.

    Attributes:
        value: in the unit of ``costsim.training.components.COEFFICIENTS``.
        prior: what it was drawn to.
        identified: whether the measurements say it; else it is near its prior, and as uncertain as that.
    """

    value: Annotated[float, pydantic.Field(ge=0)]
    prior: Positive
    identified: bool

    @pydantic.model_validator(mode="after")
    def _not_far_above_its_prior(self) -> CoefficientFields:
        high = self.prior * MOST_OF_PRIOR
        if self.value > high:
            message = f"{self.value:.4g} is more than {MOST_OF_PRIOR:,.0f} times its prior of {self.prior:.4g}"
            raise FieldError([Problem(message, "value", allowed=f"at most {high:.4g}")])
        return self


class FitFields(Strict):
    """Coefficients with their covariance.

    Attributes:
        dtype: number format of the steps.
        product_bandwidth: bytes/s that bound thin products.
        coefficients: by name.
        covariance: over value·value of the priors, a list for each coefficient in the order above.
        residual: absolute log error of the fitted steps: median and worst.
        transfer: standard deviation of the log error of other shapes.
    """

    dtype: Dtype
    product_bandwidth: Rate
    coefficients: dict[str, CoefficientFields]
    covariance: Items[Items[float]]
    residual: dict[Literal["median", "worst"], Share]
    transfer: Annotated[float, pydantic.Field(gt=0, le=1)]

    @pydantic.model_validator(mode="after")
    def _hangs_together(self) -> FitFields:
        problems = []
        if missing := [name for name in NAMES if name not in self.coefficients]:
            problems.append(Problem(f"{', '.join(missing)} are missing", "coefficients", allowed=", ".join(NAMES)))
        if unknown := [name for name in self.coefficients if name not in NAMES]:
            message = f"{', '.join(unknown)[:80]} is no coefficient"
            problems.append(Problem(message, "coefficients", allowed=", ".join(NAMES)))
        matrix = self.covariance
        if [len(row) for row in matrix] != [len(NAMES)] * len(NAMES):
            problems.append(Problem(f"must be {len(NAMES)} lists of {len(NAMES)} numbers", "covariance"))
        elif wild := [(i, j) for i, row in enumerate(matrix) for j, v in enumerate(row) if abs(v) > MOST_SPREAD**2]:
            (row, column), most = wild[0], f"{MOST_SPREAD**2:,.0f}"
            message = f"{matrix[row][column]:.4g} times the square of the prior says nothing of a coefficient"
            problems.append(Problem(message, f"covariance.{row}.{column}", allowed=f"-{most} to {most}"))
        elif not _is_covariance(np.array(matrix)):
            message = "is no covariance: it must be symmetric, and no combination may have a negative variance"
            problems.append(Problem(message, "covariance"))
        if not problems:
            problems = [*_unlike_any_device(self.coefficients), *_for_nothing(self.coefficients)]
        if problems:
            raise FieldError(problems)
        return self

    def estimates(self) -> Coefficients:
        """As the component model takes them."""
        found = [self.coefficients[name] for name in NAMES]
        prior = np.array([one.prior for one in found])
        return Coefficients(
            values=np.array([one.value for one in found]),
            covariance=np.array(self.covariance) * np.outer(prior, prior),
            identified=tuple(one.identified for one in found),
            bandwidth=self.product_bandwidth,
            transfer=self.transfer,
        )


def _unlike_any_device(found: Mapping[str, CoefficientFields]) -> Iterator[Problem]:
    """Priors that no device has."""
    kinds = [prior("cpu", None, None).centre, prior("gpu", None, None).centre]
    for name, shipped in zip(NAMES, zip(*kinds, strict=True), strict=True):
        low, high = float(min(shipped)) / MOST_OF_SHIPPED, float(max(shipped)) * MOST_OF_SHIPPED
        if not low <= found[name].prior <= high:
            message = f"{found[name].prior:.4g} is no prior of {name} on any device"
            yield Problem(message, f"coefficients.{name}.prior", allowed=f"{low:.3g} to {high:.3g}")


def _for_nothing(found: Mapping[str, CoefficientFields]) -> Iterator[Problem]:
    """What takes time on every device, and takes none here."""
    shares = {name: one.value / one.prior for name, one in found.items()}
    for names, what in (
        (("matmul",), "products"),
        (("update",), "an update"),
        (("attention", "score"), "attention's core"),
    ):
        if sum(shares[name] for name in names) < 1 / MOST_OF_PRIOR:
            message = f"{' and '.join(names)}: {what} takes time"
            allowed = f"at least {found[names[0]].prior / MOST_OF_PRIOR:.3g}, a thousandth of the prior"
            yield Problem(message, f"coefficients.{names[0]}.value", allowed=allowed)


def _is_covariance(matrix: Any) -> bool:
    size = float(np.max(np.abs(matrix))) or 1.0
    symmetric = bool(np.all(np.abs(matrix - matrix.T) <= SYMMETRY * size))
    return symmetric and float(np.min(np.linalg.eigvalsh(matrix))) >= -SYMMETRY * size


class CalibrationFile(Strict):
    """A calibration as its file states it; seconds, bytes, FLOP."""

    model_config = pydantic.ConfigDict(populate_by_name=False)

    format: Annotated[str, pydantic.Field(alias="schema")]
    id: str
    created: str
    costsim: str
    mode: Literal["quick", "default", "full"]
    verdict: VerdictFields
    device: DeviceFields
    software: SoftwareFields
    convention: Convention
    fit: FitFields | None = None
    steps: Items[StepFields] = ()
    linear: Items[LinearFields] = ()
    gemm: Items[GemmFields] = ()
    bandwidth: Items[BandwidthFields] = ()
    optimizer: Items[UpdateFields] = ()
    collectives: Items[CollectiveFields] = ()
    scaling: ScalingFields | None = None
    energy: EnergyFields
    notes: Items[str] = ()

    @pydantic.field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        reads = f"this costsim reads {FORMAT}/{MAJOR}"
        match = re.fullmatch(rf"{FORMAT}/([0-9]+)(\.[0-9]+)?", value)
        if match is None:
            raise FieldError("is no calibration of costsim", allowed=f"{FORMAT}/{MAJOR}")
        if int(match[1]) != MAJOR:
            raise FieldError(f"a calibration of format {match[1]}: {reads}", allowed="calibrate anew: costsim bench")
        return value

    @pydantic.field_validator("created")
    @classmethod
    def _dated(cls, value: str) -> str:
        try:
            datetime.datetime.fromisoformat(value)
        except ValueError:
            raise FieldError("is no time", allowed="expected one such as 2026-11-24T18:30:00+00:00") from None
        return value

    @property
    def day(self) -> datetime.date:
        """Of the measurement."""
        return datetime.datetime.fromisoformat(self.created).date()


def _other_kind(source: Source) -> str:
    """What a file is that is no calibration, in words; empty for a calibration, whatever its problems."""
    schema = source.value.get("schema") if isinstance(source.value, dict) else None
    if isinstance(schema, str) and not schema.startswith(FORMAT):
        return f"is not a calibration: its schema is {schema[:80]}"
    if kind_of_file(source) == "calibration":
        return ""
    like = looks_like(source)
    return f"is not a calibration: it looks like {like}" if like else "is not a calibration"


def read_calibration(source: Source) -> CalibrationFile:
    """A calibration from what was read.

    Raises:
        InputError: the file is of another kind, or has problems: all of them.
    """
    if other := _other_kind(source):
        place = source.position("schema")
        raise InputError(place.problem(other, allowed="a calibration is what costsim bench -o FILE writes"))
    return validate(CalibrationFile, source)
