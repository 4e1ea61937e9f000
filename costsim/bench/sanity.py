"""Whether what was measured is possible and plausible, and what to do where it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from costsim.bench.record import Gemm, Record, Step, Verdict
from costsim.bench.reference import Reference
from costsim.training.flops import flops_per_token

OVER_SPEC = 1.02  # a dense peak is reached to 1.00 at best; 2 % for clocks above the one it is stated at
OVER_BANDWIDTH = 1.05
FAR_BELOW = 0.7  # of the published rate: boards of one kind differ by 5 %, software by 10 to 20 %
ISSUE_BOUND = 0.95  # of a step: from here on the device waits for the host
LOSS_TOLERANCE = 0.1  # nats from ln(vocabulary): logits of standard deviation 0.1 add 0.005


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        level: ``error``: nothing can be planned from this; ``warning``: look at it; ``note``: know it.
        text: what was found, and what to do.
    """

    level: Literal["error", "warning", "note"]
    text: str


def step_flops(step: Step) -> float:
    """Model FLOPs of one step of one rank, causal attention at half (`costsim.training.flops`)."""
    return float(flops_per_token(step.architecture, step.sequence)) * step.tokens


def step_rate(step: Step) -> float:
    """FLOP/s at the median."""
    return step_flops(step) / step.timing.seconds


def headline_step(record: Record) -> Step | None:
    """The step that a bench is summed up by: the named model's, else the first that one rank ran alone.

    The first of the designed shapes has the most FLOPs, and is the one whose energy is measured. A choice by what was
    measured, such as the fastest, would take another shape from one run to the next.
    """
    alone = _alone(record)
    named = [step for step in alone if step.role == "target"]
    return next(iter(named or alone), None)


def _alone(record: Record) -> list[Step]:
    """Steps that one rank ran by itself."""
    return [step for step in record.steps if step.ranks == 1]


def found_maximum(record: Record) -> Gemm | None:
    """The fastest product of the steps' number format."""
    products = [product for product in record.gemms if product.dtype == record.dtype]
    return max(products, key=lambda product: product.flops_per_second, default=None)


def check(record: Record, known: Reference | None) -> list[Finding]:
    """All findings, the worst first."""
    found = [*_losses(record), *_inside(record)]
    if known is not None:
        found += _against(record, known)
    return sorted(found, key=lambda finding: ("error", "warning", "note").index(finding.level))


def judged(record: Record, findings: list[Finding], *, accept: bool = False) -> Record:
    """The record with the verdict that its findings leave it.

    An error refuses it, whatever is accepted: a wrong number is no noisy one. What is only refused for noise counts as
    noisy where that is accepted, and says so.
    """
    wrong = tuple(finding.text for finding in findings if finding.level == "error")
    if wrong:
        return replace(record, verdict=Verdict("refused", wrong))
    if accept and record.verdict.status == "refused":
        reasons = ("accepted though it would be refused (--accept-noisy)", *record.verdict.reasons)
        return replace(record, verdict=Verdict("noisy", reasons))
    return record


def _against(record: Record, known: Reference) -> list[Finding]:
    """What the data sheet and others' measurements say."""
    found = []
    peak = (
        f"the dense {record.dtype} peak of {known.title}, {known.peak / 1e12:.4g} TFLOP/s (hardware/{known.name}.yaml)"
    )
    fastest = max((step_rate(step) / known.peak for step in record.steps), default=0.0)
    if fastest > 1:
        text = f"MFU {fastest:.2f} is not possible: {peak}, is not this device's, or the FLOPs are counted wrongly"
        found.append(Finding("error", text))
    product = found_maximum(record)
    if product is not None:
        share = product.flops_per_second / known.peak
        if share > OVER_SPEC:
            text = (
                f"a matrix product reached {share:.2f} of {peak}: is that sparse or dense, or is this another edition?"
            )
            found.append(Finding("warning", text))
        if known.largest_found and product.flops_per_second < FAR_BELOW * known.largest_found:
            found.append(Finding("warning", _below(product.flops_per_second, known.largest_found, record)))
    fast = max((copy.bytes_per_second for copy in record.bandwidths), default=0.0)
    if fast > OVER_BANDWIDTH * known.bandwidth:
        text = f"a copy ran at {fast / known.bandwidth:.2f} of the data sheet's bandwidth: a cache held part of it"
        found.append(Finding("warning", text))
    return found


def _below(rate: float, published: float, record: Record) -> str:
    """Why a device may be far below what others found."""
    device = record.device
    causes = ["a power cap", "clocks held down by heat", "a BLAS without kernels for this chip", "a slice of it (MIG)"]
    limit, default = device.power_limit_watts, device.power_default_watts
    if limit and default and limit < default:
        causes[0] = f"its power cap of {limit:g} W instead of {default:g} W"
    if record.mode != "full":
        causes.append("a shape that does not suit it (--full looks for the best)")
    return (
        f"the largest product ran at {rate / 1e12:.3g} TFLOP/s, {rate / published:.0%} of the {published / 1e12:.4g} "
        f"that others found (MAMF). Possible causes: {', '.join(causes)}"
    )


def _losses(record: Record) -> list[Finding]:
    """Whether steps begin at the loss of a model that knows nothing, and learn."""
    found = []
    for step in record.steps:
        start = math.log(step.architecture.vocab_size)
        if step.first_loss is None or step.last_loss is None:
            continue
        if not abs(step.first_loss - start) <= LOSS_TOLERANCE:
            text = f"a step began at a loss of {step.first_loss:.3f} nats instead of ln(vocabulary) = {start:.3f}"
            found.append(Finding("error", f"{text}: this device or its software computes wrongly"))
        elif not step.last_loss < step.first_loss:
            text = f"the loss did not fall, from {step.first_loss:.3f} to {step.last_loss:.3f} nats, on the same text"
            found.append(Finding("error", f"{text}: this device or its software computes wrongly"))
    return found


def _inside(record: Record) -> list[Finding]:
    """What the measurements say about one another."""
    found = []
    product, fastest = found_maximum(record), max(map(step_rate, _alone(record)), default=0.0)
    if product is not None and fastest > product.flops_per_second:
        text = (
            "a step was faster than every product of the table: it has no shape that suits the device (--full finds it)"
        )
        found.append(Finding("warning", text))
    bound = [
        s
        for s in record.steps
        if record.device.kind != "cpu" and (s.host_seconds or 0) >= ISSUE_BOUND * s.timing.seconds
    ]
    if bound:
        text = (
            f"{len(bound)} of {len(record.steps)} steps waited for the host to issue kernels: larger steps are faster"
        )
        found.append(Finding("note", text))
    return found
