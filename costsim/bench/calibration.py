"""From what a bench measured to its calibration: coefficients, and the file (``costsim-calibration/1``)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import yaml

from costsim.bench import scaling
from costsim.bench.record import COMPONENTS, Gemm, Linear, Measured, Record, Step
from costsim.files import CALIBRATION
from costsim.inputs.accelerator import load_accelerator
from costsim.inputs.bench import bench_file
from costsim.inputs.calibration import FORMAT, MAJOR
from costsim.inputs.calibration_priors import prior
from costsim.inputs.machine import centre
from costsim.training.components import COEFFICIENTS, NAMES, Coefficients, Work, step_seconds
from costsim.training.identify import Prior, TimedLinear, TimedStep, identify

ELEMENT_BYTES = {"fp32": 4.0, "tf32": 4.0, "bf16": 2.0}
QUANTILES = 11
QUANTILE_DIGITS = 4
DIGITS = 6
CONFIDENCE_SCORE = 1.96  # half-widths are of 95 % intervals
HOST_BOUND = 0.8  # a step whose host takes more than this share of its time says little of the device

_PART_OF = {
    "embedding_forward": "embedding",
    "embedding_backward": "embedding",
    "blocks_forward": "blocks",
    "blocks_backward": "blocks",
    "head_forward": "head",
    "head_backward": "head",
    "optimizer": "optimizer",
}


def fit(record: Record) -> tuple[Coefficients, Prior] | None:
    """Coefficients of the device, and what they were drawn to; None if no step was timed.

    Measurements that were refused are left out, unless there are no others.

    Args:
        record: what was measured.
    """
    steps = [s for s in record.steps if s.ranks == 1 and s.parallel == "none" and s.dtype == record.dtype]
    steps = [s for s in steps if not _host_bound(record, s)] or steps
    linears = [one for one in record.linears if one.dtype == record.dtype]
    if not steps:
        return None
    known = prior_of(record)
    timed = [_timed_step(s) for s in _usable(steps)]
    return identify(timed, [_timed_linear(one) for one in _usable(linears)], known), known


def prior_of(record: Record) -> Prior:
    """What the coefficients are drawn to: of the accelerator where its file is known, else of the kind of device."""
    kind = "cpu" if record.device.kind == "cpu" else "gpu"
    found = max((g.flops_per_second for g in record.gemms if g.dtype == record.dtype), default=None)
    anchors = max((one.flops_per_second for one in record.linears if one.dtype == record.dtype), default=None)
    rate = max((r for r in (found, anchors) if r is not None), default=None)
    bandwidth = max((b.bytes_per_second for b in record.bandwidths), default=None)
    if record.device.catalogue is None:
        return prior(kind, rate, bandwidth)  # type: ignore[arg-type]
    chip = load_accelerator(record.device.catalogue)[0]
    kernel = chip.matmul_kernel(record.dtype)
    peak = chip.peak_flops.rates().get(record.dtype)
    if rate is None and kernel is not None and peak is not None:
        rate = peak * centre(kernel.efficiency)
    own = {}
    if chip.kernels.attention is not None:
        own["attention"] = 1 / (chip.attention_peak() * centre(chip.kernels.attention.efficiency))
    if kernel is not None:
        own["launch"] = centre(kernel.launch)
    memory = chip.memory.bandwidth
    thin = memory * centre(kernel.memory_efficiency) if kernel is not None else None
    return prior(kind, rate, bandwidth or memory, known=own, product_bandwidth=thin)  # type: ignore[arg-type]


def work_of(step: Step) -> Work:
    """A measured step as the component model counts it."""
    return Work(step.architecture, step.sequence, step.micro_batch, ELEMENT_BYTES[step.dtype])


def parts_of(step: Step) -> dict[str, float]:
    """Seconds of the parts of the component model."""
    found = dict.fromkeys(_PART_OF.values(), 0.0)
    for name, timing in step.components.items():
        found[_PART_OF[name]] += timing.seconds
    return found


def _host_bound(record: Record, step: Step) -> bool:
    if record.device.kind == "cpu" or step.host_seconds is None:
        return False
    return step.host_seconds > HOST_BOUND * step.timing.seconds


def _usable(measured: list[Any]) -> list[Any]:
    return [one for one in measured if one.verdict.status != "refused"] or measured


def _doubt(one: Measured) -> float:
    """Relative standard deviation: of the median, and between runs."""
    return math.hypot(one.timing.half_width / CONFIDENCE_SCORE, float(bench_file().run_to_run))


def _timed_step(step: Step) -> TimedStep:
    return TimedStep(work_of(step), parts_of(step), _doubt(step))


def _timed_linear(one: Linear) -> TimedLinear:
    size = ELEMENT_BYTES[one.dtype]
    return TimedLinear(one.tokens, one.inputs, one.outputs, one.timing.seconds, size, _doubt(one))


# --- the file ---------------------------------------------------------------------------------------------------------


def document(record: Record) -> dict[str, Any]:
    """The calibration of a bench, as its file says it.

    Args:
        record: what was measured, with its verdict.
    """
    found = fit(record)
    return {
        "schema": f"{FORMAT}/{MAJOR}",
        "id": _identifier(record),
        "created": record.created,
        "costsim": record.software.costsim,
        "mode": record.mode,
        "verdict": {"status": record.verdict.status, "reasons": list(record.verdict.reasons)},
        "device": asdict(record.device),
        "software": {key: value for key, value in asdict(record.software).items() if key != "costsim"},
        "convention": {
            "flops": "2 a multiply-add, backward twice the forward, causal attention at half",
            "step_includes": ["embedding", "blocks", "head", "loss", "optimizer"],
            "recompute": "none",
            "statistic": "median with its 95 % order-statistic interval",
        },
        "fit": None if found is None else _fit_fields(record, *found),
        "steps": [_step(step) for step in record.steps],
        "linear": [
            {"tokens": x.tokens, "inputs": x.inputs, "outputs": x.outputs, "dtype": x.dtype, **_timed(x)}
            for x in record.linears
        ],
        "gemm": [
            {"m": x.m, "n": x.n, "k": x.k, "layout": x.layout, "dtype": x.dtype, **_timed(x)}
            for x in _kept(record.gemms)
        ],
        "bandwidth": [
            {
                "operation": x.operation,
                "working_bytes": x.working_bytes,
                "bytes_per_second": _short(x.bytes_per_second),
                **_timed(x),
            }
            for x in record.bandwidths
        ],
        "optimizer": [
            {"parameters": x.parameters, "kind": x.kind, "dtype": x.weights, **_timed(x)} for x in record.optimizers
        ],
        "collectives": [
            {
                "operation": x.operation,
                "ranks": x.ranks,
                "scope": x.scope,
                "dtype": x.dtype,
                "nbytes": x.nbytes,
                "backend": x.backend,
                **_timed(x),
            }
            for x in record.collectives
        ],
        "scaling": _scaling(record),
        "energy": asdict(record.energy),
        "notes": list(record.notes),
    }


def _fit_fields(record: Record, c: Coefficients, known: Prior) -> dict[str, Any]:
    steps = [s for s in record.steps if s.ranks == 1 and s.parallel == "none" and s.dtype == record.dtype]
    errors = [abs(math.log(step_seconds(c, work_of(s)) / sum(parts_of(s).values()))) for s in steps]
    scaled = c.covariance / np.outer(known.centre, known.centre)
    return {
        "dtype": record.dtype,
        "product_bandwidth": _short(c.bandwidth),
        "coefficients": {
            name: {"value": _short(value), "prior": _short(centre_), "identified": flag}
            for name, value, centre_, flag in zip(NAMES, c.values, known.centre, c.identified, strict=True)
        },
        "covariance": [[_short(value) for value in row] for row in scaled],
        "residual": {"median": _short(float(np.median(errors))), "worst": _short(max(errors))},
        "transfer": c.transfer,
    }


def _step(step: Step) -> dict[str, Any]:
    a = step.architecture
    samples = np.array(step.timing.samples)
    return {
        "model": {
            "layers": a.layers,
            "hidden_size": a.hidden_size,
            "heads": a.heads,
            "kv_heads": a.kv_heads,
            "head_size": a.head_size,
            "ffn_size": a.ffn_size,
            "vocab_size": a.vocab_size,
            "gated_ffn": a.gated_ffn,
            "tied_embeddings": a.tied_embeddings,
        },
        "sequence": step.sequence,
        "micro_batch": step.micro_batch,
        "dtype": step.dtype,
        "role": step.role,
        "compiled": step.compiled,
        "ranks": step.ranks,
        "parallel": step.parallel,
        **_timed(step),
        "best_seconds": _short(step.timing.best),
        "quantiles_seconds": [
            _short(float(q), QUANTILE_DIGITS) for q in np.quantile(samples, np.linspace(0, 1, QUANTILES))
        ],
        "components_seconds": {
            name: _short(step.components[name].seconds) for name in COMPONENTS if name in step.components
        },
        "peak_bytes": step.peak_bytes,
        "host_seconds": None if step.host_seconds is None else _short(step.host_seconds),
    }


def _scaling(record: Record) -> dict[str, float] | None:
    found = scaling.fitted(record)
    if found is None:
        return None
    return {
        "ddp": _short(found.ddp),
        "fsdp": _short(found.fsdp),
        "fsdp_copy_seconds_per_byte": _short(found.fsdp_copy),
        "fsdp_group_seconds": _short(found.fsdp_group),
    }


def _timed(one: Measured) -> dict[str, Any]:
    return {
        "seconds": _short(one.timing.seconds),
        "half_width": _short(one.timing.half_width),
        "samples": len(one.timing.samples),
        "verdict": one.verdict.status,
    }


def _kept(gemms: Sequence[Gemm]) -> list[Gemm]:
    """The table of squares, and of what a search tried the largest rate it found; its samples keep the rest."""
    formats = {x.dtype for x in gemms}
    fastest = {f: max((x for x in gemms if x.dtype == f), key=lambda x: x.flops_per_second) for f in formats}
    return [x for x in gemms if x.m == x.n == x.k or x is fastest[x.dtype]]


def _short(value: float, digits: int = DIGITS) -> float:
    return float(f"{value:.{digits - 1}e}")


def _identifier(record: Record) -> str:
    """A hash of device, software and time."""
    said = [asdict(record.device), asdict(record.software), record.created, record.dtype]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


_UNITS = "\n".join(f"#   {name}: {meaning}" for name, meaning in COEFFICIENTS.items())
_HEAD = f"""\
{CALIBRATION}, for cluster.calibration. Seconds, bytes, bytes/s, FLOP; half_width is of the median.
# Coefficients (docs/bench.md):
{_UNITS}
"""


def text(made: Mapping[str, Any]) -> str:
    """The file: one line for each measurement.

    Args:
        made: of `document`.
    """
    lines = [_HEAD.rstrip()]
    for key, value in made.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [f"{key}:", *(f"  - {_flow(row)}" for row in value)]
        elif key == "fit" and value is not None:
            lines += ["fit:", *_fit_lines(value)]
        else:
            lines.append(f"{key}: {_flow(value)}")
    return "\n".join(lines) + "\n"


def _fit_lines(value: Mapping[str, Any]) -> Iterable[str]:
    for key, inner in value.items():
        if key == "coefficients":
            yield "  coefficients:"
            yield from (f"    {name}: {_flow(row)}" for name, row in inner.items())
        elif key == "covariance":
            yield "  covariance:  # over the product of the two priors, in the order above"
            yield from (f"    - {_flow(row)}" for row in inner)
        else:
            yield f"  {key}: {_flow(inner)}"


def _flow(value: Any) -> str:
    """One line of YAML."""
    plain = json.loads(json.dumps(value))  # versions of torch are a kind of text that YAML does not know
    dumped = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=math.inf, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...").strip()
