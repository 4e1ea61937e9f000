"""When a plan may use a calibration, what it takes from it, and what to say of it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from costsim.errors import InputError, Problem
from costsim.inputs import catalogue
from costsim.inputs.accelerator import Accelerator
from costsim.inputs.calibration import USABLE, CalibrationFile, read_calibration
from costsim.inputs.cluster import OptimizerFields, Training
from costsim.inputs.source import Place
from costsim.inputs.yaml_source import read_path
from costsim.training.architecture import Architecture
from costsim.training.calibrated import PRODUCTS_ONLY, STACK_CONSTANTS
from costsim.training.components import NAMES, Coefficients
from costsim.training.layout import SHARDING, Layout
from costsim.training.ranks import NEEDED, CollectiveTable, Exchange, Scaling, tables_of

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
        tables = tables_of((c.operation, c.nbytes, c.seconds) for c in usable if c.ranks == ranks)
        if operation not in tables or len(tables[operation].nbytes) < 2:
            return None, 0
        return tables[operation], ranks

    def exchange(self, node: float) -> Exchange | None:
        """What steps of several ranks show of their communication; None where none were measured.

        Its tables hold what the coefficients were fitted with, whatever the verdict of a size: a wide interval around
        the median says more of it than no measurement.

        Args:
            node: accelerators of a node, which may have fewer than were measured inside one.
        """
        scaling, rows = self.file.scaling, self.file.collectives
        ranks = max((c.ranks for c in rows), default=0)
        used = [c for c in rows if c.ranks == ranks]
        tables = tables_of((c.operation, c.nbytes, c.seconds) for c in used)
        shared = any(s.ranks == ranks for s in self.file.steps if s.parallel in ("ddp", "fsdp2"))
        across = any(c.scope == "cluster" for c in used)
        if scaling is None or not shared or ranks < 2 or any(name not in tables for name in NEEDED):
            return None
        if ranks > node and not across:
            return None
        found = Scaling(scaling.ddp, scaling.fsdp, scaling.fsdp_copy_seconds_per_byte, scaling.fsdp_group_seconds)
        return Exchange(ranks, {name: tables[name] for name in NEEDED}, found)

    def measured_products(self, precision: str) -> bool:
        """Whether the products of a run have the number format that was measured."""
        return self.file.fit is not None and _bits(self.file.fit.dtype) == _bits(precision)

    def update_ratio(self, optimizer: OptimizerFields) -> float | None:
        """Time of an update with the planned states over that in the measured steps; None where it is not known.

        The steps keep weights and states in one format; ``bench`` times the update alone in that format and in FP32,
        which is what mixed precision has for its master copy and moments. An update is bound by memory: the ratio is
        kept between that of the bytes, twice or half of them, and one, since the update alone repeats badly.
        """
        fit, planned = self.file.fit, _format_of_states(optimizer)
        if fit is None or planned is None:
            return None
        if planned == _width(fit.dtype):
            return 1.0
        each = {row.dtype: row.seconds / row.parameters for row in self.file.optimizer if row.verdict in USABLE}
        if planned not in each or fit.dtype not in each:
            return None
        low, high = (1.0, 2.0) if planned == "fp32" else (0.5, 1.0)
        return min(max(each[planned] / each[fit.dtype], low), high)

    def estimates(self, optimizer: OptimizerFields) -> Coefficients:
        """The coefficients, that of the update for the planned states where both were measured.

        Raises:
            ValueError: it has none.
        """
        if self.file.fit is None:
            raise ValueError("a calibration without coefficients")
        found, factor = self.file.fit.estimates(), np.ones(len(NAMES))
        factor[NAMES.index("update")] = self.update_ratio(optimizer) or 1.0
        return replace(found, values=found.values * factor, covariance=found.covariance * np.outer(factor, factor))

    def constants(self, precision: str) -> frozenset[str]:
        """Constants of the stack that it says."""
        if self.obstacle(precision):
            return frozenset()
        host = {"host_seconds"} if self.file.device.kind == "cpu" else set()
        kept = frozenset() if self.measured_products(precision) else frozenset(PRODUCTS_ONLY)
        return (frozenset(STACK_CONSTANTS) | host) - kept

    def left_to_priors(
        self, a: Architecture, training: Training, layout: Layout, exchange: Exchange | None, assumed_mfu: bool
    ) -> Iterator[str]:
        """What of a plan's step was not measured, in sentences.

        Args:
            a: the model's shape.
            training: for the precision, and the optimizer.
            layout: of the plan, of floats.
            exchange: what the plan takes from steps of several ranks.
            assumed_mfu: whether the scenario gives the MFU.
        """
        if self.obstacle(training.precision):
            return
        if assumed_mfu:
            yield f"calibration: {self.path} {_NOT_USED}cluster.mfu is given, so that the step time is not computed"
            return
        if layout.accelerators > 1:
            yield self._between_devices(a, layout, exchange)
        if self.update_ratio(training.optimizer_fields) is None:
            own, planned = self.file.fit.dtype if self.file.fit else "", training.optimizer_fields
            yield (
                f"calibration: the update was measured for AdamW with all its states in {own}, not for {planned.name}"
                f" with master {planned.master} and moments {planned.moments}; its time is not moved"
            )
        if a.experts is not None:
            yield "calibration: experts were not measured; their products run at priors relative to the measured rate"

    def _between_devices(self, a: Architecture, layout: Layout, exchange: Exchange | None) -> str:
        """What of the communication of several devices was measured."""
        spread = "the spread of the step time is that of published steps"
        if exchange is not None and exchange.covers(a, layout):
            if layout.sharding in (0, 3):
                way = "DDP" if layout.sharding == 0 else "FSDP2"
                return f"calibration: communication is as steps of {exchange.ranks} ranks with {way} show it; {spread}"
            return (
                f"calibration: steps of {exchange.ranks} ranks were measured with nothing sharded, and with everything;"
                f" what is exchanged with sharding {SHARDING[int(layout.sharding)]} is hidden as little as DDP's"
                f" all-reduces; {spread}"
            )
        ranks = self.collectives("all_reduce")[1]
        joined = (
            f"collectives in a node are as measured over {ranks} ranks, their" if ranks else "communication and its"
        )
        devices, planned = max(1, self.file.device.count), int(layout.accelerators)
        of = "" if devices >= planned else f"of {devices} of the cluster's {planned:,} devices: "
        shown = exchange or self.exchange(float("inf"))
        only = "" if shown is None else f"; steps of {shown.ranks} ranks serve data parallelism of {shown.ranks} alone"
        return f"calibration: {of}{joined} overlap, and the spread of the step time, are priors of the stack{only}"

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
        if days < -FRESH_DAYS:
            found.append(
                f"calibration: {self.path} is {-days} days newer than the run: its software did not exist then"
            )
        if self.file.day > datetime.datetime.now(datetime.UTC).date():
            found.append(f"calibration: {self.path} is dated in the future, {self.file.day}: a clock was wrong")
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


def _format_of_states(optimizer: OptimizerFields) -> str | None:
    """The number format of AdamW's master copy and moments, where they have one that bench measures."""
    formats = {_width(optimizer.master), _width(optimizer.moments)}
    known = optimizer.name in ("adamw", "adam") and len(formats) == 1 and formats <= {"fp32", "bf16"}
    return formats.pop() if known else None


def _width(precision: str) -> str:
    """A format of the same bytes."""
    return {"fp16": "bf16", "tf32": "fp32"}.get(precision, precision)


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
