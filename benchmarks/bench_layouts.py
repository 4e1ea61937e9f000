"""How many layouts a second the search judges, beside the same functions called on one layout after another.

    taskset -c 0 python benchmarks/bench_layouts.py [--runs 7]

For each model: the legal layouts of clusters of 256 to 16,384 accelerators, several batches each.

* ``estimates``: time, memory and chance of fitting of all of these layouts as one array, in pieces that stay in cache.
* ``searches``: the whole of each search: enumeration and legality, time, memory, the least recomputation, the order.
* ``one by one``: the functions of ``estimates`` in a Python loop over a sample of the same layouts: the reference.
* ``search of 1,024``: one whole search, in milliseconds, and how many layouts it ranks.

A layout counts once its time and memory are known. All rows are medians of runs in the same process, interleaved.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import fields, replace

import numpy as np

from costsim.inputs.build import Drawn, build
from costsim.inputs.case import TrainingTerms
from costsim.inputs.scenario import load_scenario
from costsim.training.enumeration import Candidates, enumerate_layouts
from costsim.training.layout import Layout
from costsim.training.memory import fits
from costsim.training.schedule import step
from costsim.training.search import CHUNK, rank
from costsim.uncertainty.draws import middle
from costsim.uncertainty.ranges import Num

MODELS = {"dense: llama-3.1-405b": "llama-3.1-405b", "experts: deepseek-v3": "deepseek-v3"}
CLUSTERS = [2**i for i in range(8, 15)]
BATCHES = [2048, 4096, 8192, 16384]
SAMPLE = 300


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def enumerated(case: TrainingTerms, accelerators: int, batch: float) -> Candidates:
    """The legal layouts of a cluster."""
    work = case.phases[case.main_phase].work
    domain = middle(case.network.scale_up_domain)
    return enumerate_layouts(case.architecture, accelerators, domain, float(work.sequence_length), batch, case.space)


def searched(case: TrainingTerms, accelerators: int, batch: float) -> int:
    """A whole search; how many layouts it judged."""
    candidates = enumerated(case, accelerators, batch)
    work = replace(case.phases[case.main_phase].work, global_batch_sequences=batch)
    rank(case.architecture, case.chip, case.network, case.stack, work, candidates)
    return len(candidates)


def estimate(case: TrainingTerms, layouts: Layout) -> tuple[Num, Num]:
    """Time of a step and chance of fitting in memory."""
    work = case.phases[case.main_phase].work
    whole = step(case.architecture, case.chip, case.network, case.stack, layouts, work)
    return whole.seconds, fits(case.architecture, case.chip, case.stack, layouts, work)


def together(parts: Sequence[Layout]) -> Layout:
    """Layouts of several searches as one array."""
    return Layout(**{f.name: np.concatenate([np.asarray(getattr(p, f.name)) for p in parts]) for f in fields(Layout)})


def rows(case: TrainingTerms, runs: int) -> None:
    """Time and print one model."""
    grid = [(accelerators, float(batch)) for accelerators in CLUSTERS for batch in BATCHES]
    layouts = together([enumerated(case, *pair).layouts for pair in grid])
    count = int(np.size(layouts.tensor))
    pieces = [layouts.at(slice(start, start + CHUNK)) for start in range(0, count, CHUNK)]
    singles = [layouts.at(int(index)) for index in np.linspace(0, count - 1, SAMPLE)]
    counted = sum(searched(case, *pair) for pair in grid)
    ranked = searched(case, 1024, float(BATCHES[0]))

    timed: dict[str, tuple[int, Callable[[], object]]] = {
        "estimates": (count, lambda: [estimate(case, piece) for piece in pieces]),
        "searches": (counted, lambda: [searched(case, *pair) for pair in grid]),
        "one by one": (SAMPLE, lambda: [estimate(case, single) for single in singles]),
        "search of 1,024": (ranked, lambda: searched(case, 1024, float(BATCHES[0]))),
    }
    taken: dict[str, list[float]] = {name: [] for name in timed}
    for _ in range(runs):
        for name, (_, work) in timed.items():
            taken[name].append(seconds(work))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    loop = SAMPLE / medians["one by one"]
    for name, (number, _) in timed.items():
        rate = number / medians[name]
        print(f"  {name:18}{number:10,}{1e3 * medians[name]:11.2f} ms{rate:14,.0f}/s{rate / loop:8.0f} x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7)
    runs = parser.parse_args().runs
    for title, name in MODELS.items():
        scenario = load_scenario(name, ["cluster.layout=auto"])
        print(f"{title:20}{'layouts':>10}{'median':>14}{'rate':>16}{'to a loop':>10}")
        rows(build(scenario, Drawn.centre(scenario)).training, runs)


if __name__ == "__main__":
    main()
