"""How long costsim takes to start, beside what it rests on: medians of interleaved process runs.

    python benchmarks/bench_startup.py [SCENARIO] [--runs 15]

Interleaving lets a busy machine slow every row alike; the ratios to a bare ``import numpy`` are what to compare between
machines. SCENARIO should be a point scenario (``--draws 0`` is added).
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time


def commands(scenario: str) -> dict[str, list[str]]:
    """What is timed, by the name it is printed under."""
    python = [sys.executable]
    return {
        "python -c pass": [*python, "-c", "pass"],
        "import numpy": [*python, "-c", "import numpy"],
        "import typer": [*python, "-c", "import typer"],
        "costsim --help": [*python, "-m", "costsim", "--help"],
        "costsim plan": [*python, "-m", "costsim", "plan", scenario, "--draws", "0"],
    }


def seconds(command: list[str]) -> float:
    """Wall time of one process; a plan that says no (exit code 1) counts as well."""
    started = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    taken = time.perf_counter() - started
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr.decode()}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenario", nargs="?", default="gpt2-124m")
    parser.add_argument("--runs", type=int, default=15)
    asked = parser.parse_args()
    rows = commands(asked.scenario)
    for command in rows.values():
        seconds(command)  # compiles bytecode and warms the file cache
    taken: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(asked.runs):
        for name, command in rows.items():
            taken[name].append(seconds(command))
    medians = {name: statistics.median(values) for name, values in taken.items()}
    print(f"{'':16}{'median':>10}{'fastest':>10}{'to numpy':>10}   of {asked.runs} runs each")
    for name, median in medians.items():
        ratio = median / medians["import numpy"]
        print(f"{name:16}{1e3 * median:7.0f} ms{1e3 * min(taken[name]):7.0f} ms{ratio:10.2f}")


if __name__ == "__main__":
    main()
