"""A machine whose coefficients are known, as a bench would measure it; for the tests of calibrations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from costsim.bench import calibration
from costsim.bench.record import (
    Bandwidth,
    Collective,
    Conditions,
    Device,
    Gemm,
    Linear,
    Optimizer,
    Record,
    Software,
    Step,
    Timing,
    Verdict,
)
from costsim.training.architecture import Architecture
from costsim.training.components import NAMES, Coefficients, Work, part_seconds
from costsim.training.identify import TimedLinear
from costsim.training.ranks import CollectiveTable, Scaling, Shared, ddp_step, fsdp_step

TRUTH = np.array([5e-13, 4e-10, 6e-5, 8e-13, 3e-10, 2e-8, 5e-7, 5e-9, 2e-9, 7e-10, 3e-10])
BANDWIDTH = 3e10


def work(layers, width, size, ffn, vocab, sequence, micro_batch) -> Work:
    heads = width // size
    return Work(Architecture(layers, width, heads, heads, size, ffn, vocab), sequence, micro_batch)


DESIGNED = [
    work(2, 768, 64, 2048, 8192, 128, 4),
    work(2, 128, 64, 384, 8192, 1024, 1),
    work(2, 256, 128, 704, 16384, 256, 4),
    work(2, 768, 128, 2048, 4096, 128, 1),
]


def true(values=TRUTH) -> Coefficients:
    return Coefficients(values, np.zeros((len(NAMES),) * 2), (True,) * len(NAMES), BANDWIDTH, 0.03)


def linears() -> list[TimedLinear]:
    return [
        TimedLinear(n, i, o, 6 * n * i * o * TRUTH[0] + i * o * TRUTH[1] + 3 * TRUTH[2])
        for n, i, o in [(512, 768, 4096), (1024, 256, 16384)]
    ]


GOOD, QUIET = Verdict("good"), Conditions(pressure=0.01)
SPLIT = {"embedding": 0.1, "blocks": 0.3, "head": 0.35}


def timing(seconds: float) -> Timing:
    return Timing(seconds, seconds * 0.99, seconds * 1.01, seconds * 0.98, (seconds,) * 9)


def record(status: str = "good", slower: float = 1.0, **device: object) -> Record:
    """A quick bench of a machine whose coefficients are known exactly."""
    made = []
    for one in DESIGNED:
        parts = part_seconds(true(), one)
        halves = {}
        for part, share in SPLIT.items():
            halves[f"{part}_forward"] = timing(parts[part] * share * slower)
            halves[f"{part}_backward"] = timing(parts[part] * (1 - share) * slower)
        halves["optimizer"] = timing(parts["optimizer"] * slower)
        whole = timing(sum(parts.values()) * slower)
        made.append(Step(whole, QUIET, GOOD, one.architecture, int(one.sequence), int(one.micro_batch), "bf16", halves))
    layers = [
        Linear(timing(x.seconds), QUIET, GOOD, int(x.tokens), int(x.inputs), int(x.outputs), "bf16") for x in linears()
    ]
    return Record(
        "quick",
        "2026-11-24T18:00:00+00:00",
        "bf16",
        Device("cpu", "Some CPU", threads=2, memory_bytes=24 << 30, **device),
        Software("0.1.0", "2.13.0+cpu", "3.11.7", "Linux"),
        Verdict(status, () if status == "good" else ("another program ran beside it",)),
        gemms=(Gemm(timing(2 * 2048**3 / 2e12), QUIET, GOOD, 2048, 2048, 2048, "forward", "bf16"),),
        linears=tuple(layers),
        steps=tuple(made),
        bandwidths=(Bandwidth(timing(0.1), QUIET, GOOD, "copy", 2**31, int(BANDWIDTH * 0.1), 2**25),),
    )  # fmt: skip


def written(folder: Path, name: str = "my-box.yaml", **kwargs: object) -> str:
    path = folder / name
    path.write_text(calibration.text(calibration.document(record(**kwargs))), encoding="utf-8")
    return str(path)


# --- of two ranks -----------------------------------------------------------------------------------------------------

SIZES = (2**16, 2**20, 2**24, 2**28)


def line(latency: float, rate: float) -> CollectiveTable:
    return CollectiveTable(SIZES, tuple(latency + n / rate for n in SIZES))


TABLES = {"all_reduce": line(3e-4, 1e9), "all_gather": line(2e-4, 2e9), "reduce_scatter": line(3e-4, 8e8)}
SCALING = Scaling(1.3, 0.8, 2e-10, 1e-3)


def shared_record(slow_fp32: float = 1.0):
    """The machine of `calibration_cases`, measured by two ranks with known `SCALING`."""
    plain, steps = record(), []
    for one in (
        DESIGNED[0],
        replace(DESIGNED[1], architecture=replace(DESIGNED[1].architecture, layers=8)),
        DESIGNED[2],
    ):
        parts = part_seconds(true(), one)
        bare = Shared(one.architecture, 2.0, 2, sum(parts.values()), parts["optimizer"])
        for way, found in (
            ("none", bare.alone),
            ("ddp", ddp_step(bare, TABLES, SCALING)),
            ("fsdp2", fsdp_step(bare, TABLES, SCALING)),
        ):
            shape = one.architecture, int(one.sequence), int(one.micro_batch), "bf16", {}
            steps.append(Step(timing(found), QUIET, GOOD, *shape, ranks=2, parallel=way))
    collectives = [
        Collective(timing(s), QUIET, GOOD, name, 2, "node", "bf16", n, "gloo")
        for name, table in TABLES.items()
        for n, s in zip(table.nbytes, table.seconds, strict=True)
    ]
    updates = [
        Optimizer(timing(2**20 * 7e-10 * factor), QUIET, GOOD, 2**20, dtype, dtype, "fused")
        for dtype, factor in (("bf16", 1.0), ("fp32", slow_fp32))
    ]
    return replace(
        plain,
        device=replace(plain.device, count=2),
        steps=(*plain.steps, *steps),
        collectives=tuple(collectives),
        optimizers=tuple(updates),
    )
