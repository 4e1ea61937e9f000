"""When a plan may use a calibration, what it takes from it, and what to say of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from costsim.errors import InputError, Problem
from costsim.inputs import catalogue
from costsim.inputs.accelerator import Accelerator
from costsim.inputs.calibration import USABLE, CalibrationFile, read_calibration
from costsim.inputs.source import Place
from costsim.inputs.yaml_source import read_path
from costsim.training.architecture import Architecture
from costsim.training.calibrated import PRODUCTS_ONLY, STACK_CONSTANTS
from costsim.training.components import NAMES
from costsim.training.ranks import CollectiveTable

_NOT_USED = "is not used: "  # in a note on a calibration that the plan leaves aside
FRESH_DAYS = 183  # half a year: drivers and libraries of that age are seldom those of a run that is planned


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

    def constants(self, precision: str) -> frozenset[str]:
        """Constants of the stack that it says."""
        if self.obstacle(precision):
            return frozenset()
        host = {"host_seconds"} if self.file.device.kind == "cpu" else set()
        kept = frozenset() if self.measured_products(precision) else frozenset(PRODUCTS_ONLY)
        return (frozenset(STACK_CONSTANTS) | host) - kept

    def left_to_priors(self, a: Architecture, precision: str, accelerators: int, assumed_mfu: bool) -> Iterator[str]:
        """What of a plan's step was not measured, in sentences.

        Args:
            a: the model's shape.
            precision: of the run.
            accelerators: of the cluster.
            assumed_mfu: whether the scenario gives the MFU.
        """
        devices = max(1, self.file.device.count)
        if self.obstacle(precision):
            return
        if assumed_mfu:
            yield f"calibration: {self.path} {_NOT_USED}cluster.mfu is given, so that the step time is not computed"
        elif accelerators > devices:
            ranks = self.collectives("all_reduce")[1]
            joined = (
                f"collectives in a node are as measured over {ranks} ranks, their" if ranks else "communication and its"
            )
            yield (
                f"calibration: of {devices} of the cluster's {accelerators:,} devices: {joined} overlap, "
                "and the spread of the step time, are priors of the stack"
            )
        if a.experts is not None:
            yield "calibration: experts were not measured; their products run at priors relative to the measured rate"

    def notes(self, start: datetime.date, precision: str) -> list[str]:
        """What to know of it, in sentences."""
        if obstacle := self.obstacle(precision):
            return [f"calibration: {self.path} {_NOT_USED}{obstacle}"]
        found = []
        if self.file.device.kind == "cpu" and self.file.software.malloc == "kept heap":
            said = "measured with glibc's heap kept; a torch script that does not keep it is slower: see docs/bench.md"
            found.append(f"calibration: {said}")
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


def left_aside(notes: Iterable[str]) -> list[str]:
    """Of a plan's notes, those on a calibration that its scenario names and it does not use."""
    return [note for note in notes if note.startswith("calibration: ") and _NOT_USED in note]


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
