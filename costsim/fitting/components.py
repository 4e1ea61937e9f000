"""The component model on published steps of GPUs, and the priors that follow: ``python -m costsim.fitting.components``.

llm-foundry's table has whole steps of models from 125M to 70B parameters on 8 to 512 GPUs, with full sharding. Seconds
of a token on one GPU are fitted, for each kind of GPU apart, as a sum of five terms of the component model: products
and attention by FLOPs, element-wise passes by layer and hidden element, the loss by vocabulary entry, and what a micro-
batch pays for each parameter whatever its size (the update, gathers and casts). Each row is then predicted by a fit
without it. The network between nodes is not among the terms: these runs hid it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from costsim.evidence.shapes import architecture, missing
from costsim.evidence.table import number, shipped
from costsim.inputs.accelerator import load_accelerator
from costsim.training.architecture import attention_flops_per_token, matmul_parameters_active, parameters
from costsim.training.components import ATTENTION_BACKWARD, PASSES, Array
from costsim.training.identify import nonnegative
from costsim.training.schedule import ELEMENTWISE_PASSES

TERMS = ("matmul", "attention", "element", "logit", "parameter")
GPUS = {"H100": "h100-sxm", "A100-80": "a100-80gb-sxm", "A100-40": "a100-40gb-sxm"}
REPEATED = {"none": 0.0, "full": 1.0}  # forward passes of a layer that recomputation adds


@dataclass(frozen=True)
class PublishedStep:
    """A row of the table.

    Attributes:
        id: of the row.
        counts: of ``TERMS`` for a token on one GPU.
        seconds: of a token on one GPU.
    """

    id: str
    counts: Array
    seconds: float


def published(gpu: str) -> list[PublishedStep]:
    """The rows of llm-foundry's table in BF16 on a GPU, with all that the counts need.

    Args:
        gpu: one of `GPUS`, as the table names it.
    """
    found = []
    for row in shipped("throughput").rows:
        cells = row.cells
        rate = number(cells, "tok_per_s_per_device")
        sequence, micro_batch = number(cells, "seq_len"), number(cells, "micro_batch")
        wanted = cells.get("source_group") == "llm-foundry" and cells.get("hardware", "").startswith(gpu)
        if not wanted or cells.get("precision") != "bf16":
            continue
        again = REPEATED.get(cells.get("recompute", ""))
        if missing(cells) or not (rate and sequence and micro_batch) or again is None:
            continue
        a = architecture(cells)
        head = a.hidden_size * a.vocab_size
        products = 2 * ((PASSES + again) * (matmul_parameters_active(a) - head) + PASSES * head)
        core = (1 + ATTENTION_BACKWARD + again) * float(attention_flops_per_token(a, sequence))
        element = a.layers * a.hidden_size * (ELEMENTWISE_PASSES + again) / ELEMENTWISE_PASSES
        tokens = sequence * micro_batch
        counts = np.array([products, core, element, a.vocab_size, parameters(a).total / tokens])
        found.append(PublishedStep(row.id, counts, 1 / rate))
    return found


def fitted(steps: Sequence[PublishedStep]) -> Array:
    """Seconds of a unit of each of ``TERMS``, none negative: least squares of the relative error."""
    matrix = np.array([step.counts / step.seconds for step in steps])
    scale = np.max(matrix, axis=0)
    found: Array = nonnegative(matrix / scale, np.ones(len(steps))) / scale
    return found


def left_out_errors(steps: Sequence[PublishedStep]) -> Array:
    """Relative error of each row, predicted by a fit to all others."""
    errors = []
    for index, step in enumerate(steps):
        others = [*steps[:index], *steps[index + 1 :]]
        errors.append(float(step.counts @ fitted(others)) / step.seconds - 1)
    return np.array(errors)


def one_rate_errors(steps: Sequence[PublishedStep]) -> Array:
    """Relative errors if each row's FLOP/s were those of any one other row: what one MFU does."""
    flops = np.array([step.counts[0] + step.counts[1] for step in steps])
    seconds = np.array([step.seconds for step in steps])
    ratio = (flops / seconds)[None, :] / (flops / seconds)[:, None]
    return np.asarray((ratio - 1)[~np.eye(len(steps), dtype=bool)])


@dataclass(frozen=True)
class GpuPriors:
    """Coefficients of a GPU in the units of ``data/calibration_priors.yaml``.

    Attributes:
        rate: of products, FLOP/s.
        attention: its rate over that of products.
        element: bytes of an element of the residual stream and layer, over the bandwidth of the data sheet.
        logit: bytes of a vocabulary entry.
        parameter: bytes of a parameter and micro-batch.
    """

    rate: float
    attention: float
    element: float
    logit: float
    parameter: float


def priors_of(gpu: str) -> GpuPriors:
    """What the fit says of a GPU."""
    c = fitted(published(gpu))
    bandwidth = load_accelerator(GPUS[gpu])[0].memory.bandwidth
    return GpuPriors(
        rate=float(1 / c[0]),
        attention=float(c[0] / c[1]) if c[1] > 0 else float("inf"),
        element=float(c[2] * bandwidth),
        logit=float(c[3] * bandwidth),
        parameter=float(c[4] * bandwidth),
    )


def main() -> None:
    """Print errors and coefficients of each GPU."""
    for gpu in GPUS:
        steps = published(gpu)
        own, one = np.abs(left_out_errors(steps)), np.abs(one_rate_errors(steps))
        p = priors_of(gpu)
        sys.stdout.write(
            f"{gpu:8} {len(steps):3} rows  left out {np.median(own):.1%} / {np.quantile(own, 0.9):.1%}"
            f"  one MFU {np.median(one):.0%} / {np.quantile(one, 0.9):.0%}"
            f"  products {p.rate / 1e12:.0f} TFLOP/s  attention {p.attention:.2f} of that"
            f"  {p.element:.0f} B an element  {p.logit:.0f} B a logit  {p.parameter:.0f} B a parameter\n"
        )


if __name__ == "__main__":
    main()
