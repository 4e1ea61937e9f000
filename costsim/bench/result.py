"""A bench as the JSON that every format is made from (schema ``costsim.bench/1``): plain numbers in SI."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from costsim.bench import scaling
from costsim.bench.journal import path_beside
from costsim.bench.record import COMPONENTS, Device, Measured, Record, Step, Timing
from costsim.bench.reference import Reference
from costsim.bench.sanity import Finding, found_maximum, headline_step, step_flops, step_rate

if TYPE_CHECKING:
    from costsim.bench.tasks import Task

SCHEMA = "costsim.bench/1"
PLAN_SCHEMA = "costsim.bench-plan/1"


def to_dict(
    record: Record, known: Reference | None, findings: list[Finding], calibration: str | None, asked: str | None = None
) -> dict[str, Any]:
    """The whole of a bench.

    Args:
        record: what was measured.
        known: the device's entry in the catalogue.
        findings: of `costsim.bench.sanity.check`.
        calibration: the file that was written; None for none.
        asked: the file that was asked for; None for none.
    """
    return {
        "schema": SCHEMA,
        "mode": record.mode,
        "created": record.created,
        "dtype": record.dtype,
        "device": asdict(record.device),
        "software": asdict(record.software),
        "verdict": asdict(record.verdict),
        "complete": record.complete,
        "cut": record.cut,
        "headline": _headline(record, known),
        "steps": [_step(step, known) for step in record.steps],
        "products": [
            {"m": x.m, "n": x.n, "k": x.k, "layout": x.layout, "dtype": x.dtype,
             "flops_per_second": x.flops_per_second, **_measured(x)}
            for x in record.gemms
        ],
        "linear_layers": [
            {"tokens": x.tokens, "inputs": x.inputs, "outputs": x.outputs, "dtype": x.dtype,
             "flops_per_second": x.flops_per_second, **_measured(x)}
            for x in record.linears
        ],
        "bandwidth": [
            {"operation": x.operation, "working_bytes": x.working_bytes, "cache_bytes": x.cache_bytes,
             "bytes_per_second": x.bytes_per_second, **_measured(x)}
            for x in record.bandwidths
        ],
        "optimizer": [
            {"parameters": x.parameters, "dtype": x.weights, "kind": x.kind,
             "seconds_per_parameter": x.timing.seconds / x.parameters, **_measured(x)}
            for x in record.optimizers
        ],
        "collectives": [
            {"operation": x.operation, "ranks": x.ranks, "scope": x.scope, "dtype": x.dtype, "nbytes": x.nbytes,
             "backend": x.backend, **_measured(x)}
            for x in record.collectives
        ],
        "collective_lines": [
            {"operation": name, "latency_seconds": latency, "bytes_per_second": rate}
            for name, table in scaling.tables(record).items()
            for latency, rate in [table.summary()]
        ],
        "energy": asdict(record.energy),
        "findings": [asdict(finding) for finding in findings],
        "notes": list(record.notes),
        "calibration": calibration,
        "output": None if asked is None else _output(asked, record, written=calibration is not None),
    }  # fmt: skip


def _output(asked: str, record: Record, *, written: bool) -> dict[str, Any]:
    """What became of the file that was asked for, and where its samples are."""
    samples = str(path_beside(asked))
    if written:
        return {"file": asked, "written": True, "reason": "", "samples": samples}
    if not record.steps:
        return {"file": asked, "written": False, "reason": "no training step was measured", "samples": samples}
    reason = ": ".join(["the measurements were refused", *record.verdict.reasons[:1]])
    return {"file": asked, "written": False, "reason": reason, "samples": samples}


def planned(
    device: Device,
    mode: str,
    dtype: str,
    free_bytes: int,
    tasks: list[Task],
    notes: Sequence[str] = (),
    asked: str | None = None,
) -> dict[str, Any]:
    """What would be measured, as JSON.

    Args:
        device: under test.
        mode: how much.
        dtype: number format.
        free_bytes: on the device now.
        tasks: all of them.
        notes: what a reader should know: shapes that were made smaller.
        asked: the file that the calibration would be written to; None for none.
    """
    return {
        "schema": PLAN_SCHEMA,
        "mode": mode,
        "dtype": dtype,
        "device": asdict(device),
        "free_bytes": free_bytes,
        "seconds": sum(task.seconds for task in tasks),
        "tasks": [{"name": task.name, "seconds": task.seconds, "predicted_bytes": task.bytes} for task in tasks],
        "notes": list(notes),
        "output": None if asked is None else {"file": asked, "samples": str(path_beside(asked))},
    }


def _headline(record: Record, known: Reference | None) -> dict[str, Any]:
    """What this device sustains, beside what it is said to reach."""
    step, product = headline_step(record), found_maximum(record)
    rate = None if step is None else step_rate(step)
    found = None if product is None else product.flops_per_second
    return {
        "flops_per_second": rate,
        "flops_per_second_best": None if step is None else step_flops(step) / step.timing.best,
        "half_width": None if step is None else step.timing.half_width,
        "tokens_per_second": None if step is None else step.tokens / step.timing.seconds,
        "step": None if step is None else _shape(step),
        "mfu": rate / known.peak if rate and known else None,
        "share_of_found": rate / found if rate and found else None,
        "found_flops_per_second": found,
        "found_shape": None if product is None else [product.m, product.n, product.k],
        "peak_flops_per_second": known.peak if known else None,
        "peak_of": known.title if known else None,
        "published_flops_per_second": known.largest_found if known else None,
        "bandwidth": max((x.bytes_per_second for x in record.bandwidths), default=None),
        "bandwidth_spec": known.bandwidth if known else None,
        "joules_per_token": _joules_per_token(record),
    }


def _joules_per_token(record: Record) -> float | None:
    step, joules = headline_step(record), record.energy.joules_per_step
    return None if step is None or joules is None else joules / step.tokens


def _step(step: Step, known: Reference | None) -> dict[str, Any]:
    rate = step_rate(step)
    return {
        **_shape(step),
        "flops": step_flops(step),
        "flops_per_second": rate,
        "mfu": rate / known.peak if known else None,
        "components": {name: step.components[name].seconds for name in COMPONENTS if name in step.components},
        "peak_bytes": step.peak_bytes,
        "host_seconds": step.host_seconds,
        "first_loss": step.first_loss,
        "last_loss": step.last_loss,
        **_measured(step),
    }


def _shape(step: Step) -> dict[str, Any]:
    a = step.architecture
    return {
        "role": step.role, "layers": a.layers, "hidden_size": a.hidden_size, "heads": a.heads, "kv_heads": a.kv_heads,
        "ffn_size": a.ffn_size, "vocab_size": a.vocab_size, "sequence": step.sequence,
        "micro_batch": step.micro_batch, "dtype": step.dtype, "compiled": step.compiled, "ranks": step.ranks,
        "parallel": step.parallel,
    }  # fmt: skip


def _measured(one: Measured) -> dict[str, Any]:
    return {**_timing(one.timing), "verdict": one.verdict.status, "conditions": asdict(one.conditions)}


def _timing(timing: Timing) -> dict[str, Any]:
    return {
        "seconds": timing.seconds, "low": timing.low, "high": timing.high, "best": timing.best,
        "samples": len(timing.samples), "warmup": len(timing.warmup), "outliers": timing.outliers,
        "settled": timing.settled,
    }  # fmt: skip
