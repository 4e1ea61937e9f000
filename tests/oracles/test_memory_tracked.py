"""The plan's memory against torch's own tracker, and against the resident memory of a step that really runs."""

from __future__ import annotations

import statistics
import subprocess
import sys
from pathlib import Path

import memory_oracle
import pytest

pytest.importorskip("torch")

CASES = [
    memory_oracle.PLAIN[1],
    memory_oracle.Case(memory_oracle.shape(4, 256, 704, 8192, kv=2), 512, 4, recompute=True),
    memory_oracle.Case(memory_oracle.shape(4, 256, 704, 8192, kv=2), 256, 2, element_bytes=4, accumulation=2),
    memory_oracle.Case(memory_oracle.SMALL, 64, 1, element_bytes=4),  # gradients, not activations, make the peak
    memory_oracle.Case(memory_oracle.shape(3, 512, 1408, 50304, kv=2, tied_embeddings=True), 128, 1),
    memory_oracle.SHARDED[1],
    memory_oracle.Case(memory_oracle.shape(4, 256, 704, 8192), 128, 1, element_bytes=4, ranks=4, recompute=True),
]
LARGE = memory_oracle.Case(memory_oracle.LLAMA_8B, 8192, 1)


def _error(case: memory_oracle.Case) -> float:
    return float(memory_oracle.analytic(case).allocated_bytes) / memory_oracle.tracked_bytes(case) - 1


def test_peak_is_what_torch_tracks():
    errors = [abs(_error(case)) for case in CASES]
    assert statistics.median(errors) < 0.005
    assert max(errors) < 0.015


def test_peak_of_eight_billion_parameters():
    assert abs(_error(LARGE)) < 0.01


def test_what_an_oracle_finds_is_not_in_the_formula_by_chance():
    """The terms that eager torch adds are needed: without them, the same peaks are far off."""
    case = memory_oracle.PLAIN[1]
    short = float(memory_oracle.analytic(case, "generic").allocated_bytes) / memory_oracle.tracked_bytes(case) - 1
    assert short < -0.1


RUNS = [(4, 512, 1408, 32768, 512, 2), (6, 256, 704, 8192, 512, 4)]  # layers, hidden, ffn, vocab, sequence, sequences


@pytest.mark.parametrize("run", RUNS)
def test_resident_memory_of_a_real_step(run):
    """Malloc gives every tensor back, so that the process holds what is alive; its peak is read from /proc."""
    from costsim.bench import system

    if system.resident_bytes(peak=True) is None or not system.reset_peak():
        pytest.skip("this system does not tell or reset the peak of resident memory (/proc/self/clear_refs)")
    if system.memory_bytes()[1] < 4 * 2**30:
        pytest.skip("less than 4 GiB of memory are free")
    worker = Path(__file__).parents[1] / "memory_worker.py"
    done = subprocess.run([sys.executable, worker, *map(str, run)], capture_output=True, text=True, check=True)
    layers, hidden, ffn, vocab, sequence, micro = run
    case = memory_oracle.Case(memory_oracle.shape(layers, hidden, ffn, vocab), sequence, micro, element_bytes=4)
    assert float(memory_oracle.analytic(case).allocated_bytes) == pytest.approx(float(done.stdout), rel=0.03)
