"""Calibrations that are kept: what one says, and how two differ; plain numbers in SI, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Any

from costsim.inputs.bench import bench_file
from costsim.inputs.calibration import CalibrationFile, StepFields, Timed, UpdateFields, read_calibration
from costsim.inputs.calibration_priors import priors_file
from costsim.inputs.yaml_source import read_path
from costsim.training.components import COEFFICIENTS, NAMES

SHOW_SCHEMA = "costsim.calibration/1"
COMPARE_SCHEMA = "costsim.bench-compare/1"
CONFIDENCE = 0.95  # that no pair of a comparison is marked by chance
HALF_WIDTH_SCORE = NormalDist().inv_cdf(0.975)


def load(path: str) -> CalibrationFile:
    """A calibration by its path.

    Raises:
        InputError: it cannot be read, or has problems.
    """
    return read_calibration(read_path(path))


# --- one --------------------------------------------------------------------------------------------------------------


def shown(path: str) -> dict[str, Any]:
    """What a calibration says, as the JSON of ``bench show``.

    Args:
        path: of the file.

    Raises:
        InputError: it cannot be read, or has problems.
    """
    file = load(path)
    found = None if file.fit is None else file.fit.estimates()
    coefficients = []
    if file.fit is not None and found is not None:
        spreads = [math.sqrt(found.covariance[place][place]) for place in range(len(NAMES))]
        for name, spread in zip(NAMES, spreads, strict=True):
            one = file.fit.coefficients[name]
            coefficients.append(
                {
                    "name": name,
                    "meaning": COEFFICIENTS[name],
                    "value": one.value,
                    "spread": spread,
                    "prior": one.prior,
                    "identified": one.identified,
                }
            )
    return {
        "schema": SHOW_SCHEMA,
        "file": path,
        "id": file.id,
        "created": file.created,
        "mode": file.mode,
        "verdict": file.verdict.model_dump(),
        "device": file.device.model_dump(),
        "software": file.software.model_dump(),
        "dtype": None if file.fit is None else file.fit.dtype,
        "coefficients": coefficients,
        "residual": None if file.fit is None else dict(file.fit.residual),
        "transfer": None if file.fit is None else file.fit.transfer,
        "largest_flops_per_second": largest_rate(file),
        "measurements": [{"name": name, **one.model_dump(include=_KEPT)} for name, one in measured(file)],
        "energy": file.energy.model_dump(),
        "notes": list(file.notes),
    }


_KEPT = {"seconds", "half_width", "samples", "verdict"}


def largest_rate(file: CalibrationFile) -> float | None:
    """Largest rate of products found in the format of the steps, FLOP/s."""
    dtype = file.fit.dtype if file.fit is not None else None
    rates = [2 * g.m * g.n * g.k / g.seconds for g in file.gemm if dtype in (None, g.dtype)]
    return max(rates, default=None)


def measured(file: CalibrationFile) -> Iterator[tuple[str, Timed]]:
    """Everything that was timed, with a name that is the same in every file."""
    for step in file.steps:
        m = step.model
        shape = f"{m.layers} layers of {m.hidden_size}, {m.heads} heads, {m.vocab_size:,} tokens of vocabulary"
        joined = "" if step.parallel == "none" else f", {step.parallel} on {step.ranks}"
        compiled = ", compiled" if step.compiled else ""
        yield f"step {shape}, {step.micro_batch} x {step.sequence:,}, {step.dtype}{compiled}{joined}", step
    for one in file.linear:
        yield f"linear {one.inputs:,} to {one.outputs:,}, {one.tokens:,} tokens, {one.dtype}", one
    for gemm in file.gemm:
        yield f"product {gemm.m:,} x {gemm.n:,} x {gemm.k:,}, {gemm.layout}, {gemm.dtype}", gemm
    for copied in file.bandwidth:
        yield f"copy {copied.working_bytes:,} B", copied
    for update in file.optimizer:
        yield f"update of {update.parameters:,} parameters, {update.kind}, {update.dtype}", update
    for c in file.collectives:
        yield f"{c.operation} over {c.ranks}, {c.nbytes:,} B, {c.dtype}, {c.backend}, {c.scope}", c


# --- two --------------------------------------------------------------------------------------------------------------


def compared(before: str, after: str) -> dict[str, Any]:
    """How a calibration differs from an earlier one, or from that of a like device, as the JSON of ``bench compare``.

    What both timed is compared one by one. A difference counts where the logarithm of the ratio is more than the noise:
    the intervals of both medians and what two runs differ by (kernels by more than steps), so wide that in 95 of 100
    comparisons of equal machines nothing is marked (Bonferroni). What was refused on either side is listed and not
    judged.

    Args:
        before: path of the one that is compared with.
        after: path of the other.

    Raises:
        InputError: one of them cannot be read, or has problems.
    """
    one, other = load(before), load(after)
    first = dict(measured(one))
    pairs = [(name, first[name], timed) for name, timed in measured(other) if name in first]
    score = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / max(1, len(pairs)))
    rows = [_pair(name, a, b, score) for name, a, b in pairs]
    return {
        "schema": COMPARE_SCHEMA,
        "before": _identity(before, one),
        "after": _identity(after, other),
        "differs": _differences(one, other),
        "rows": rows,
        "unmatched": len(list(measured(one))) + len(list(measured(other))) - 2 * len(rows),
        "worse": [row["name"] for row in rows if row["mark"] == "slower"],
        "better": [row["name"] for row in rows if row["mark"] == "faster"],
    }


def _between(a: Timed) -> float:
    """What the logarithms of two runs' medians differ by on one machine, as a standard deviation."""
    if isinstance(a, StepFields):
        return float(bench_file().run_to_run)
    priors = priors_file()
    return float(priors.updates_between_runs if isinstance(a, UpdateFields) else priors.kernels_between_runs)


def _pair(name: str, a: Timed, b: Timed, score: float) -> dict[str, Any]:
    between = _between(a)
    spread = math.hypot(a.half_width / HALF_WIDTH_SCORE, b.half_width / HALF_WIDTH_SCORE, between, between)
    ratio = b.seconds / a.seconds
    judged = "refused" not in (a.verdict, b.verdict)
    beyond = abs(math.log(ratio)) > score * spread
    mark = "refused" if not judged else "same" if not beyond else "slower" if ratio > 1 else "faster"
    return {
        "name": name,
        "before_seconds": a.seconds,
        "after_seconds": b.seconds,
        "ratio": ratio,
        "noise": score * spread,
        "mark": mark,
    }


def _identity(path: str, file: CalibrationFile) -> dict[str, Any]:
    return {
        "file": path,
        "device": file.device.name,
        "identity": file.device.identity,
        "created": file.created,
        "mode": file.mode,
        "torch": file.software.torch,
        "driver": file.software.driver,
        "verdict": file.verdict.status,
        "reasons": list(file.verdict.reasons),
    }


def _differences(one: CalibrationFile, other: CalibrationFile) -> list[dict[str, Any]]:
    """Keys of device and software that are not the same."""
    found = []
    for section in ("device", "software"):
        a, b = getattr(one, section).model_dump(), getattr(other, section).model_dump()
        found += [{"key": f"{section}.{key}", "before": a[key], "after": b[key]} for key in a if a[key] != b[key]]
    return found
