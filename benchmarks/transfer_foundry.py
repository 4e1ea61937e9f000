"""Section ``foundry`` of `bench_transfer.py`: published steps of three GPUs, each row predicted by a fit without it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from transfer_rows import Row

from costsim.fitting.components import GPUS, left_out_errors, one_rate_errors, published

BAR = 0.04


def rows() -> Iterator[Row]:
    """The lines of this section."""
    for gpu in GPUS:
        steps = published(gpu)
        own, one = np.abs(left_out_errors(steps)), np.abs(one_rate_errors(steps))
        yield Row(
            f"llm-foundry on {gpu}, {len(steps)} cases",
            f"median {BAR:.1%}",
            f"{np.median(own):.2%} / {np.quantile(own, 0.9):.2%}",
            f"one MFU {np.median(one):.0%} / {np.quantile(one, 0.9):.0%}",
            bool(np.median(own) <= BAR),
        )
