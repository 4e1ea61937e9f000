"""Two ranks: DDP and FSDP2 steps of unseen shapes, from what `costsim bench --quick` measured.

Once with the step alone as it was timed, and once as a plan has it: the step alone from the calibration's coefficients
(that the schedule of a plan says the same is a test, ``tests/unit/test_calibrated_ranks.py``).

As a program of torchrun it times those shapes: ``torchrun --nproc-per-node 2 benchmarks/transfer_torchrun.py OUT``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transfer_rows import Row, of_errors

from costsim.bench import calibration, journal, scaling
from costsim.bench.record import Record, Verdict
from costsim.bench.room import Work
from costsim.inputs.bench import bench_file
from costsim.training.architecture import Architecture
from costsim.training.components import Work as Counted
from costsim.training.components import part_seconds
from costsim.training.ranks import Scaling, Shared, ddp_step, fsdp_step

DTYPE = "bf16"
BARS = {"ddp": 0.08, "fsdp2": 0.15}
PUBLISHED = {"ddp": "prototype 6 %", "fsdp2": "prototype 18 %"}
BARE = Scaling(1.0, 1.0, 0.0, 0.0)
SECONDS = 2.5  # a step


def _llama(layers: int, hidden: int, ffn: int, vocab: int) -> Architecture:
    return Architecture(layers, hidden, hidden // 64, hidden // 64, 64, ffn, vocab)


UNSEEN = [
    Work(_llama(4, 256, 704, 4096), 256, 4),
    Work(_llama(4, 512, 1408, 8192), 256, 2),
    Work(_llama(6, 384, 1024, 16384), 128, 4),
    Work(_llama(3, 512, 2048, 4096), 512, 2),
    Work(_llama(10, 192, 512, 8192), 256, 2),
    Work(_llama(2, 1024, 2816, 4096), 128, 2),
]


def rows() -> Iterator[Row]:
    """A line for each way."""
    with tempfile.TemporaryDirectory() as folder:
        box, out = Path(folder) / "box.yaml", Path(folder) / "unseen.json"
        bench = ["-m", "costsim", "bench", "--quick", "--device", "cpu", "--dtype", DTYPE, "--accept-noisy", "-q"]
        _torchrun([*bench, "-o", str(box)])
        _torchrun([__file__, str(out)])
        measured = json.loads(out.read_text(encoding="utf-8"))
        record = _record(journal.path_beside(str(box)))
    tables, found, update = scaling.tables(record), scaling.fitted(record), scaling.update_seconds(record)
    assert found is not None, "the bench measured no steps of ranks"
    print(f"  {found}")
    fitted = calibration.fit(record)
    assert fitted is not None
    errors: dict[str, list[float]] = {"ddp": [], "fsdp2": []}
    bare: dict[str, list[float]] = {"ddp": [], "fsdp2": []}
    planned: dict[str, list[float]] = {"ddp": [], "fsdp2": []}
    for work, times in zip(UNSEEN, measured, strict=True):
        a = work.architecture
        size = scaling.ELEMENT_BYTES[DTYPE]
        step = Shared(a, size, 2, times["none"], update * scaling.parameters(a).total)
        parts = part_seconds(fitted[0], Counted(a, work.sequence, work.micro_batch, size))
        whole = Shared(a, size, 2, sum(parts.values()), parts["optimizer"])
        for way, predict in (("ddp", ddp_step), ("fsdp2", fsdp_step)):
            errors[way].append(predict(step, tables, found) / times[way] - 1)
            bare[way].append(predict(step, tables, BARE) / times[way] - 1)
            planned[way].append(predict(whole, tables, found) / times[way] - 1)
        print(f"  {a.layers} layers, {a.hidden_size} wide: {times['none']:.3f} s alone", end="")
        print(*(f", {way} {times[way]:.3f} s {errors[way][-1]:+.1%}" for way in errors), flush=True)
    for way, bar in BARS.items():
        reference = of_errors("", bare[way], (bar, 1), "").measured
        row = of_errors(
            f"{way} step of two ranks", errors[way], (bar, 1.0), f"tables alone {reference}; {PUBLISHED[way]}"
        )
        yield Row(row.what, f"median {bar:.0%}", row.measured, row.reference, row.met)
        row = of_errors(f"{way} step of two ranks in a plan", planned[way], (bar, 1.0), "nothing of the shape timed")
        yield Row(row.what, f"median {bar:.0%}", row.measured, row.reference, row.met)


def _torchrun(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _record(path: Path) -> Record:
    held = journal.read(path)
    assert held is not None
    return journal.record(held.start, held.entries, Verdict("good"), (), None)


def measure(out: str) -> None:
    """Time the unseen shapes, each three ways."""
    from costsim.bench import distributed, ranks, system
    from costsim.bench.devices import open_device
    from costsim.bench.parallel import PARALLEL
    from costsim.bench.timing import rule_of

    backend, file = open_device("cpu"), bench_file()
    system.keep_heap()
    together = ranks.join("cpu", float(file.ranks.patience_seconds))
    assert together is not None
    rule, found = rule_of(0.02, SECONDS, file.noise.half_width.noisy), []
    for work in UNSEEN:
        times: dict[str, Any] = {}
        for parallel in PARALLEL:
            step = distributed.step(backend, together, work, DTYPE, parallel, rule, file.noise)
            times[parallel] = step.timing.seconds
        found.append(times)
    if together.first:
        Path(out).write_text(json.dumps(found), encoding="utf-8")
    together.end()


if __name__ == "__main__":
    measure(sys.argv[1])
