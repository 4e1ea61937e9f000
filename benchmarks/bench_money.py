"""How fast payback and what drives it are, beside references timed in the same run.

    python benchmarks/bench_money.py [--runs 5]

Run it on one core (``OMP_NUM_THREADS=1 taskset -c 0``) to compare with the targets. Each row is the median of repeated
runs, and the same in units of a reference that is interleaved with them: for cash flows, the cheapest thing that any
program has to do with as many, multiplying them by a discount and adding them up in numpy; for the indices, the same
points through a plain function of scipy's example.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

import numpy as np

from costsim.drivers import sensitivity
from costsim.inputs.build import uncertain
from costsim.inputs.scenario import load_scenario
from costsim.plan import plan
from costsim.uncertainty.ranges import Range
from costsim.uncertainty.sensitivity import indices

SCENARIO = "serve-a-million-users"
SIXTY_MONTHS = ["demand.life=40 months", "finance.debt.due=60 months"]
INPUTS, POINTS, DRAWS, MONTHS = 16, 2048, 100_000, 60
MORE_RANGES = [
    "finance.discount_rate=8% to 15%",
    "serving.cached_share=40% to 60%",
    "demand.launch_delay=1 to 3 months",
]
TARGETS = {"draws": 1.5, "sobol": 2.0}


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def row(name: str, work: Callable[[], object], reference: Callable[[], object], runs: int, target: float) -> None:
    """Print the median of a call, and of the reference between calls."""
    work()
    pairs = [(seconds(work), seconds(reference)) for _ in range(runs)]
    median, other = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{name:44}{median:8.3f} s{other:12.4f} s{median / other:8.1f}{target:8.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    scenario = load_scenario(SCENARIO, SIXTY_MONTHS)
    point = plan(scenario, draws=0)
    assert point.point.flow is not None
    assert point.point.flow.net.shape == (MONTHS,)
    flows = np.random.default_rng(0).standard_normal((DRAWS, MONTHS))
    discount = 1.12 ** (-np.arange(1, MONTHS + 1) / 12)

    wide = load_scenario(SCENARIO, [*SIXTY_MONTHS[1:], *MORE_RANGES])
    centre = plan(wide, draws=0)
    ranges = len(uncertain(wide)) + 1  # and the residual of the step time
    plain = {str(i): Range("uniform", -math.pi, math.pi) for i in range(ranges)}
    print(f"{'':44}{'median':>10}{'reference':>14}{'ratio':>8}{'target':>10}   of {runs} runs")
    row(
        f"{DRAWS:,} draws of a plan of {MONTHS} months",
        lambda: plan(scenario, draws=DRAWS),
        lambda: (flows * discount).sum(axis=-1),
        runs,
        TARGETS["draws"],
    )
    row(
        f"Sobol' indices, {ranges} inputs x {POINTS:,} points",
        lambda: sensitivity(wide, centre.layouts, centre.point.values),
        lambda: indices(lambda x: {"y": np.sin(x["0"]) + 7 * np.sin(x["1"]) ** 2}, plain, POINTS, 0),
        runs,
        TARGETS["sobol"],
    )
    import_scipy = "the first of them in a process also imports scipy.stats: about a second"
    print(f"{import_scipy}; at least {INPUTS} inputs: {'yes' if ranges >= INPUTS else 'no'}")


if __name__ == "__main__":
    main()
