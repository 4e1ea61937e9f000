"""Section ``single`` of `bench_transfer.py`: steps of shapes that no calibration saw, on one device.

Thirty random shapes a number format are measured whole, and with two layers; several times in between this machine is
calibrated anew, as a user would, by ``costsim bench --quick`` in a process of its own. Every calibration then predicts
every shape. Measurements are kept in ``COSTSIM_TRANSFER`` (a JSONL file), if it is set, so that the section can be
measured in parts of ``COSTSIM_TRANSFER_SECONDS``; what was disturbed by other programs is measured again.
"""

from __future__ import annotations

import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from transfer_rows import Row, of_errors

from costsim.inputs.calibration import read_calibration
from costsim.inputs.yaml_source import read
from costsim.training.architecture import Architecture, attention_flops_per_token, matmul_parameters_active, parameters
from costsim.training.components import Coefficients, Work, step_seconds, step_spread

DTYPES = ("bf16", "fp32")
ELEMENT_BYTES = {"bf16": 2.0, "fp32": 4.0}
SHAPES, SEED, EVERY = 30, 20_261_124, 8
P80 = 1.2815515655446004  # a normal interval of 80 %
WHOLE, LAYERS, COVERED = (0.05, 0.10), (0.03, 0.07), (0.75, 0.88)
ATTEMPTS, QUIET = 3, 0.05


def drawn(dtype: str) -> list[Work]:
    """Shapes of 2 to 12 layers, widths of 128 to 768, 4,096 to 32,768 tokens of vocabulary, 128 to 8,192 a step."""
    dice = random.Random(f"{SEED} {dtype}")
    found = []
    for _ in range(SHAPES):
        width = 64 * dice.randint(2, 12)
        size = dice.choice([64, 128]) if width % 128 == 0 else 64
        shape = Architecture(
            layers=dice.randint(2, 12),
            hidden_size=width,
            heads=width // size,
            kv_heads=width // size,
            head_size=size,
            ffn_size=64 * round(width * dice.uniform(2.2, 4) / 64),
            vocab_size=64 * round(2 ** dice.uniform(12, 15) / 64),
        )
        sequence = dice.choice([128, 256, 384, 512, 768, 1024])
        found.append(Work(shape, sequence, dice.choice([1, 2, 4, 8]), ELEMENT_BYTES[dtype]))
    return found


# --- measuring --------------------------------------------------------------------------------------------------------


def measured() -> list[dict[str, Any]]:
    """All measurements, those that are kept and those that are still to be made while there is time."""
    path = os.environ.get("COSTSIM_TRANSFER")
    end = time.monotonic() + float(os.environ.get("COSTSIM_TRANSFER_SECONDS", "inf"))
    kept = [json.loads(line) for line in Path(path).read_text().splitlines()] if path and Path(path).exists() else []
    kept = [row for row in kept if (row.get("pressure") or 0.0) < QUIET]
    done = {row["key"] for row in kept}
    left = 0
    for key, make in _jobs():
        if key in done:
            continue
        if time.monotonic() > end:
            left += 1
            continue
        row = {"key": key, **make()}
        kept.append(row)
        print(f"  {key}: {row.get('seconds', math.nan):.4g} s", flush=True)
        if path:
            with Path(path).open("a") as stream:
                stream.write(json.dumps(row) + "\n")
    if left:
        sys.exit(f"{left} measurements are left: run again")
    return kept


def _jobs() -> Iterator[tuple[str, Any]]:
    for dtype in DTYPES:
        for index, work in enumerate(drawn(dtype)):
            if index % EVERY == 0:
                yield f"{dtype} calibration {index // EVERY}", lambda dtype=dtype: _calibrated(dtype)
            for layers in (2, work.architecture.layers):
                shape = replace(work, architecture=replace(work.architecture, layers=layers))
                name = "whole" if layers == work.architecture.layers else "two layers"
                yield f"{dtype} {index} {name}", lambda shape=shape, dtype=dtype: _timed(shape, dtype)
                if layers == work.architecture.layers:
                    break


def _calibrated(dtype: str) -> dict[str, Any]:
    """A quick bench in a process of its own; disturbed ones are made again."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "box.yaml")
        command = [
            sys.executable,
            "-m",
            "costsim",
            "bench",
            "--quick",
            "--dtype",
            dtype,
            "-o",
            str(file),
            "--force",
            "-q",
        ]
        for _ in range(ATTEMPTS):
            started = time.perf_counter()
            ran = subprocess.run(command, check=False, capture_output=True, text=True)
            if not file.exists():  # refused: the machine was not quiet
                continue
            wall = time.perf_counter() - started
            text = file.read_text()
            status = read_calibration(read(text, "box.yaml")).verdict.status
            if status == "good":
                break
        if not file.exists():
            sys.exit(ran.stderr or ran.stdout)
    return {"text": text, "seconds": wall, "status": status}


def _timed(work: Work, dtype: str) -> dict[str, Any]:
    """Seconds of a step and of its parts."""
    from costsim.bench import system, training
    from costsim.bench.calibration import parts_of
    from costsim.bench.devices import open_device
    from costsim.bench.statistics import Rule
    from costsim.inputs.bench import bench_file

    system.keep_heap()
    backend = open_device("cpu")
    rule = Rule(precision=0.02, minimum=6, seconds=1.5, warmup_seconds=0.5, patience=1.0)
    for _ in range(ATTEMPTS):
        args = (work.architecture, int(work.sequence), int(work.micro_batch), dtype, rule, bench_file().noise)
        step = training.measure(backend, *args)
        if step.verdict.status == "good":
            break
    return {"seconds": step.timing.seconds, "parts": parts_of(step), "pressure": step.conditions.pressure}


# --- what comes of it -------------------------------------------------------------------------------------------------


def rows() -> Iterator[Row]:
    """The lines of this section."""
    found = {row["key"]: row for row in measured()}
    cases: list[tuple[float, float]] = []
    for dtype in DTYPES:
        shapes = drawn(dtype)
        made = [found[f"{dtype} calibration {number}"] for number in range(math.ceil(SHAPES / EVERY))]
        fits = [read_calibration(read(one["text"], "box.yaml")).fit for one in made]
        calibrations = [fit.estimates() for fit in fits if fit is not None]
        times = [found[f"{dtype} {index} whole"]["seconds"] for index in range(SHAPES)] if shapes else []
        errors = [
            math.log(step_seconds(c, work) / seconds)
            for index, (work, seconds) in enumerate(zip(shapes, times, strict=True))
            for c in [calibrations[index // EVERY]]
        ]
        yield of_errors(f"{dtype}, whole steps after --quick", errors, WHOLE, _others(shapes, times), "P90")
        twice = [_from_two(found, dtype, index, work) for index, work in enumerate(shapes)]
        yield of_errors(f"{dtype}, from its own two layers", twice, LAYERS, "prototype 2.2 / 5.9 %", "P90")
        cases += [_case(c, work, seconds) for c in calibrations for work, seconds in zip(shapes, times, strict=True)]
        walls = [one["seconds"] for one in made]
        yield Row(f"{dtype}, wall time of --quick", "at most 15 s", f"{max(walls):.1f} s", "", max(walls) <= 15)
    share = statistics.mean(abs(error) <= P80 * spread for error, spread in cases)
    words = f"{COVERED[0]:.0%} to {COVERED[1]:.0%}"
    yield Row(f"80 % intervals, {len(cases)} cases", words, f"{share:.1%}", "none", COVERED[0] <= share <= COVERED[1])


def _case(c: Coefficients, work: Work, seconds: float) -> tuple[float, float]:
    """Log error, and its standard deviation as the calibration has it."""
    return math.log(step_seconds(c, work) / seconds), step_spread(c, work)


def _from_two(found: dict[str, dict[str, Any]], dtype: str, index: int, work: Work) -> float:
    """Log error of a step that is scaled from the same shape with two layers."""
    whole, a = found[f"{dtype} {index} whole"], work.architecture
    two = found.get(f"{dtype} {index} two layers", whole)["parts"]
    updated = parameters(a).total / parameters(replace(a, layers=2)).total
    scaled = two["blocks"] * a.layers / 2 + two["head"] + two["embedding"] + two["optimizer"] * updated
    return math.log(scaled / whole["seconds"])


def _others(shapes: list[Work], times: list[float]) -> str:
    """What one MFU does, and 6ND: calibrated on any one of the shapes, predicting the others."""

    def errors(flops: list[float]) -> str:
        rates = [amount / seconds for amount, seconds in zip(flops, times, strict=True)]
        off = [abs(math.log(one / other)) for one in rates for other in rates if one is not other]
        return f"{statistics.median(off):.0%} / {statistics.quantiles(off, n=10)[-1]:.0%}"

    def exact(work: Work) -> float:
        a = work.architecture
        core = float(attention_flops_per_token(a, work.sequence))
        return 3 * work.tokens * (2 * matmul_parameters_active(a) + core)

    six = [6 * work.tokens * parameters(work.architecture).total for work in shapes]
    return f"one MFU {errors([exact(work) for work in shapes])}, 6ND {errors(six)}"
