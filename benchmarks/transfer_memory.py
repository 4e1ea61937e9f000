"""Peak memory: the plan's count against torch's tracker, from 10 million to 8 billion parameters."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from transfer_rows import Row, of_errors

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from memory_oracle import PLAIN, SHARDED, Case, analytic, naive_bytes, tracked_bytes

from costsim.training.architecture import parameters

BARS = (0.03, 0.06)


def rows() -> Iterator[Row]:
    """Both oracles, each case printed."""
    for name, cases in (("one device", PLAIN), ("FSDP2", SHARDED)):
        errors, naive = [], []
        for case in cases:
            start = time.perf_counter()
            tracked = tracked_bytes(case)
            errors.append(float(analytic(case).allocated_bytes) / tracked - 1)
            naive.append(naive_bytes(case) / tracked - 1)
            seconds = time.perf_counter() - start
            print(f"  {_words(case):64} {tracked / 2**30:8.3f} GiB  {errors[-1]:+.2%}  {seconds:5.1f} s", flush=True)
        reference = of_errors("", naive, BARS, "").measured
        yield of_errors(f"peak memory against torch's tracker, {name}", errors, BARS, f"naive formula {reference}")


def _words(case: Case) -> str:
    size = f"{parameters(case.a).total / 1e6:,.0f} M, {case.micro_batch} x {case.sequence}"
    parts = [size, "fp32" if case.element_bytes == 4 else "bf16"]
    parts += ["recomputed"] * case.recompute + [f"{case.ranks} ranks"] * bool(case.ranks)
    return ", ".join(parts + [f"{case.accumulation} micro-batches"] * (case.accumulation > 1))
