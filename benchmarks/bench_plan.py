"""How fast plans, draws and the layout search are, beside references timed in the same run.

    python benchmarks/bench_plan.py [--runs 30]

Each row is the median of repeated runs, and the same in units of a reference: a product of two 512 x 512 matrices in
numpy, interleaved with the runs, so that a busy machine slows both alike. The layout search is also given in units of
the same functions called on one layout after another in a Python loop.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from costsim.inputs.build import Drawn, build
from costsim.inputs.scenario import load_scenario
from costsim.layouts import rankings
from costsim.plan import plan
from costsim.training.memory import fits
from costsim.training.schedule import step

LAYOUT = {"tensor": 8, "pipeline": 16, "virtual_pipeline": 8, "context": 1, "sharding": "optimizer", "micro_batch": 1}
POINT: dict[str, Any] = {
    "costsim": 1,
    "name": "Llama 3.1 405B",
    "start": "2024-02-01",
    "model": "llama-3.1-405b",
    "training": {"tokens": "15.6T", "sequence_length": 8192, "global_batch_sequences": 2048, "precision": "bf16"},
    "cluster": {
        "accelerator": "h100-sxm",
        "accelerators": 16384,
        "stack": "megatron-core",
        "layout": {**LAYOUT, "sequence_parallel": True, "recompute": "selective"},
    },
    "cost": {"rent": {"usd_per_accelerator_hour": 2.35}},
    "uncertainty": {"draws": 0},
}
DRAWS = 100_000
SEARCHED, LOOPED = "deepseek-v3", 200
REPAID = "serve-a-million-users"
TARGETS = {"plan of a loaded scenario": 5e-3, "plan of a mapping": 5e-3, f"{DRAWS:,} draws": 0.15}
_MATRIX = np.random.default_rng(0).standard_normal((512, 512))


def reference() -> object:
    """What the rows are compared with."""
    return _MATRIX @ _MATRIX


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def medians(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median time of a call, and of the reference between calls."""
    work()
    reference()
    pairs = [(seconds(work), seconds(reference)) for _ in range(runs)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def start_up(runs: int) -> float:
    """Median wall time of a process that imports numpy and nothing else."""
    command = [sys.executable, "-c", "import numpy"]
    return statistics.median(seconds(lambda: subprocess.run(command, check=True)) for _ in range(runs))


def search() -> tuple[Callable[[], object], Callable[[], object], int]:
    """A search as the program does it, a part of it as a loop, and how many layouts it ranks."""
    scenario = load_scenario(SEARCHED, ["cluster.layout=auto"])
    case = build(scenario, Drawn.centre(scenario)).training
    phase = case.phases[0]
    layouts = rankings(case, phase, case.space).candidates.layouts
    count = int(np.size(layouts.tensor))
    singles = [layouts.at(int(index)) for index in np.linspace(0, count - 1, LOOPED)]

    def looped() -> None:
        for layout in singles:
            float(step(case.architecture, case.chip, case.network, case.stack, layout, phase.work).seconds)
            float(fits(case.architecture, case.chip, case.stack, layout, phase.work))

    return lambda: rankings(case, phase, case.space), looped, count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30)
    runs = parser.parse_args().runs
    loaded, repaid = load_scenario(POINT), load_scenario(REPAID)
    rows: dict[str, tuple[Callable[[], object], int]] = {
        "plan of a loaded scenario": (lambda: plan(loaded), runs),
        "  and its JSON": (lambda: plan(loaded).to_dict(), runs),
        "plan of a mapping": (lambda: plan(POINT), runs),
        f"{DRAWS:,} draws": (lambda: plan(loaded, draws=DRAWS), max(3, runs // 5)),
        f"{DRAWS:,} with cash flows": (lambda: plan(repaid, draws=DRAWS), 3),
    }
    print(f"{'':28}{'median':>11}{'to a product':>14}{'target':>10}   of {runs} runs")
    for name, (work, times) in rows.items():
        median, product = medians(work, times)
        target = f"{1e3 * TARGETS[name]:6.0f} ms" if name in TARGETS else ""
        print(f"{name:28}{1e3 * median:8.2f} ms{median / product:14.1f}{target:>10}")
    whole, looped, count = search()
    median, product = medians(whole, max(3, runs // 10))
    one = medians(looped, 3)[0] / LOOPED
    print(f"{f'search of {count:,} layouts':28}{1e3 * median:8.1f} ms{median / product:14.1f}")
    times = one * count / median
    print(f"{'  layouts a second':28}{count / median:11,.0f}   {times:.0f} times the loop's {1 / one:,.0f}")
    print(f"{'a process with numpy':28}{1e3 * start_up(5):8.0f} ms")


if __name__ == "__main__":
    main()
