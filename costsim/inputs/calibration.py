"""Calibrations: what ``costsim bench`` measured on one machine, read and checked, and when a plan may use it."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pydantic

from costsim.errors import InputError, Problem
from costsim.inputs import catalogue
from costsim.inputs.accelerator import Accelerator
from costsim.inputs.fields import FieldError, Items, Strict, validate
from costsim.inputs.source import Place, Source
from costsim.inputs.yaml_source import read_path
from costsim.training.components import NAMES, Coefficients
from costsim.training.ranks import CollectiveTable

FORMAT, MAJOR = "costsim-calibration", 1
FRESH_DAYS = 183  # half a year: drivers and libraries of that age are seldom those of a run that is planned
SYMMETRY = 1e-6

Seconds: TypeAlias = Annotated[float, pydantic.Field(ge=0)]
Positive: TypeAlias = Annotated[float, pydantic.Field(gt=0)]
Whole: TypeAlias = Annotated[int, pydantic.Field(ge=0)]
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
    count: Whole = 1
    threads: Whole = 1
    memory_bytes: Whole = 0
    cache_bytes: Whole = 0
    units: Whole = 0
    identity: str = ""
    power_limit_watts: float | None = None
    power_default_watts: float | None = None
    clock_max_hertz: float | None = None


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

    seconds: Positive
    half_width: Seconds
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
    bytes_per_second: Positive


class UpdateFields(Timed):
    """An optimizer update alone."""

    parameters: Whole
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
    """A training step, whole and by component."""

    model: ShapeFields
    sequence: Whole
    micro_batch: Whole
    dtype: Dtype
    role: Literal["designed", "target"] = "designed"
    compiled: bool = False
    ranks: Whole = 1
    parallel: Literal["none", "ddp", "fsdp2"] = "none"
    best_seconds: Positive
    quantiles_seconds: Items[Seconds] = ()
    components_seconds: dict[str, Seconds]
    peak_bytes: int | None = None
    host_seconds: float | None = None


class CollectiveFields(Timed):
    """A collective of a group of ranks."""

    operation: str
    ranks: Whole
    scope: Literal["node", "cluster"]
    dtype: str
    nbytes: Whole
    backend: str


class EnergyFields(Strict):
    """Energy of a step, and where it was read."""

    source: str
    counter: str = ""
    joules_per_step: float | None = None
    watts: float | None = None
    window_seconds: float | None = None
    covers: str = ""


class CoefficientFields(Strict):
    """A coefficient of the component model.

    Attributes:
        value: in the unit of ``costsim.training.components.COEFFICIENTS``.
        prior: what it was drawn to.
        identified: whether the measurements say it; else it is near its prior, and as uncertain as that.
    """

    value: Seconds
    prior: Positive
    identified: bool


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
    product_bandwidth: Positive
    coefficients: dict[str, CoefficientFields]
    covariance: Items[Items[float]]
    residual: dict[Literal["median", "worst"], Seconds]
    transfer: Positive

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
        elif not _is_covariance(np.array(matrix)):
            message = "is no covariance: it must be symmetric, and no combination may have a negative variance"
            problems.append(Problem(message, "covariance"))
        if not problems and self.coefficients[NAMES[0]].value == 0:
            problems.append(Problem("products take time", f"coefficients.{NAMES[0]}.value", allowed="above zero"))
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


def read_calibration(source: Source) -> CalibrationFile:
    """A calibration from what was read.

    Raises:
        InputError: every problem of the file.
    """
    return validate(CalibrationFile, source)


@dataclass(frozen=True)
class LoadedCalibration:
    """A calibration that a scenario names.

    Attributes:
        file: what it says.
        path: where it is, as the scenario means it.
        accepted: whether the scenario wants it used whatever its verdict is.
    """

    file: CalibrationFile
    path: str
    accepted: bool = False

    @property
    def label(self) -> str:
        """For messages and provenance."""
        device, soft = self.file.device.name, self.file.software.torch
        return f"calibration: {self.path} ({device}, torch {soft}, {self.file.day})"

    def obstacle(self, precision: str) -> str:
        """Why a plan does not use it, in words; empty if it does."""
        verdict = self.file.verdict
        if self.file.fit is None:
            return "it has no coefficients: too little was measured"
        if verdict.status not in USABLE and not self.accepted:
            why = f": {verdict.reasons[0]}" if verdict.reasons else ""
            accept = f"calibration: {{file: {self.path}, accept: true}}"
            return f"its verdict is {verdict.status}{why}; calibrate anew, or say {accept}"
        if not _comparable(self.file.fit.dtype, precision):
            anew = f"costsim bench --dtype {precision}"
            return f"it was measured in {self.file.fit.dtype}, and the run is in {precision}: {anew}"
        return ""

    def collectives(self, operation: str) -> tuple[CollectiveTable | None, int]:
        """Times of a collective inside a node over the most ranks that were measured, and how many those are."""
        usable = [
            c for c in self.file.collectives
            if c.operation == operation and c.scope == "node" and c.verdict in USABLE
        ]  # fmt: skip
        ranks = max((c.ranks for c in usable), default=0)
        points = sorted((float(c.nbytes), c.seconds) for c in usable if c.ranks == ranks)
        if len(points) < 2:
            return None, 0
        return CollectiveTable(tuple(n for n, _ in points), tuple(s for _, s in points)), ranks

    def measured_products(self, precision: str) -> bool:
        """Whether the products of a run have the number format that was measured."""
        return self.file.fit is not None and _bits(self.file.fit.dtype) == _bits(precision)

    def notes(self, start: datetime.date, precision: str) -> list[str]:
        """What to know of it, in sentences."""
        if obstacle := self.obstacle(precision):
            return [f"calibration: {self.path} is not used: {obstacle}"]
        found = []
        if (days := (start - self.file.day).days) > FRESH_DAYS:
            found.append(f"calibration: {self.path} is {days} days older than the run; drivers and libraries move on")
        here = _installed_torch()
        if here and here != self.file.software.torch:
            found.append(f"calibration: {self.path} is of torch {self.file.software.torch}; {here} is installed here")
        fit = self.file.fit
        assert fit is not None
        unknown = [name for name in NAMES if not fit.coefficients[name].identified]
        if unknown:
            found.append(f"calibration: not identified, and as uncertain as before: {', '.join(unknown)}")
        if not self.measured_products(precision):
            found.append(f"calibration: products in {precision} were not measured; their rate is the chip's prior")
        if self.file.verdict.status != "good":
            found.append(f"calibration: {self.path} is {self.file.verdict.status}: its intervals are wide")
        return found


def load_calibration(
    reference: str | Mapping[str, Any], beside: str = "", place: Place | None = None, path: str = ""
) -> LoadedCalibration:
    """Read the calibration that a scenario names.

    Args:
        reference: a path, or a mapping of ``file`` and ``accept``.
        beside: the file that names it, in whose folder the path resolves.
        place: where it was said, for messages.
        path: dotted path of the field that said it.

    Raises:
        InputError: there is no such file, or it has problems.
    """
    mapping = isinstance(reference, Mapping)
    name = reference.get("file") if isinstance(reference, Mapping) else reference
    accepted = bool(reference.get("accept")) if isinstance(reference, Mapping) else False
    where = f"{path}.file" if mapping and path else path
    at = place or Place("")
    if not isinstance(name, str):
        raise InputError(at.problem("this key is missing", where, "the path of a file that costsim bench wrote"))
    if not catalogue.is_path(name) or name == "-":
        raise InputError(at.problem(f"'{name}' is no file", where, "the path of a calibration, such as my-box.yaml"))
    file = catalogue.resolve(name, beside)
    try:
        return LoadedCalibration(read_calibration(read_path(file)), file, accepted)
    except InputError as error:
        raise InputError([catalogue.moved(problem, place, where) for problem in error.problems]) from None


def mismatch(calibration: LoadedCalibration, accelerator: Accelerator, known: frozenset[str]) -> Problem | None:
    """What is wrong with using a calibration for a cluster of these accelerators; None if nothing is.

    A device that was measured counts for the same device alone. One that has no hardware file counts for an accelerator
    of its kind that the scenario describes itself.

    Args:
        calibration: measured.
        accelerator: of the cluster.
        known: names of the catalogue's accelerators.
    """
    device = calibration.file.device
    kind = "cpu" if device.kind == "cpu" else "gpu"
    path = "cluster.calibration"
    if device.catalogue == accelerator.name:
        return None
    if device.catalogue is not None and accelerator.name in known:
        message = f"was measured on {device.name}, and the cluster has {accelerator.label}"
        return Problem(message, path, allowed="a calibration of that device", suggestion=device.catalogue)
    if accelerator.kind != kind or accelerator.name in known:
        message = f"was measured on {device.name}, which has no hardware file, and the cluster has {accelerator.label}"
        allowed = f"cluster.accelerator as a mapping that describes {device.name}: kind, peak_flops, memory, scale_up"
        return Problem(message, path, allowed=allowed)
    return None


def beyond_peak(calibration: LoadedCalibration, peak: float, precision: str) -> Problem | None:
    """What is wrong with a measured rate of products against a peak; None if nothing is."""
    fit = calibration.file.fit
    if fit is None or not calibration.measured_products(precision):
        return None
    rate = 1 / fit.coefficients[NAMES[0]].value
    if rate <= peak:
        return None
    message = f"products run at {rate:.4g} FLOP/s, above the accelerator's peak of {peak:.4g} in {precision}"
    return Problem(message, "cluster.calibration", allowed="the accelerator that was measured, with its dense peak")


def _bits(precision: str) -> str:
    return {"fp16": "bf16"}.get(precision, precision)


def _comparable(measured: str, planned: str) -> bool:
    """Whether what is beside products (attention, element-wise passes) is the same in two number formats."""
    narrow = {"bf16", "fp16", "fp8", "fp4"}
    return _bits(measured) == _bits(planned) or (measured in narrow and planned in narrow)


def _installed_torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
