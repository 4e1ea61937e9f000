"""Two real processes under torchrun, with gloo: what they measure, and what is left when one of them is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
WORKER = Path(__file__).parents[1] / "rank_worker.py"


def _run(tmp_path, fault: str):
    out = tmp_path / "found.json"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, WORKER, out, fault], capture_output=True, text=True, timeout=120)
    return json.loads(out.read_text(encoding="utf-8")), done


def test_ranks_measure_together_and_only_the_first_tells(tmp_path):
    found, done = _run(tmp_path, "none")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""
    collectives = [item for item in found["items"] if "operation" in item]
    steps = {item["parallel"]: item for item in found["items"] if "parallel" in item}
    assert {item["operation"] for item in collectives} == {"all_reduce", "all_gather", "reduce_scatter"}
    assert set(steps) == {"none", "ddp", "fsdp2"}
    for item in found["items"]:
        assert item["ranks"] == 2
        assert len(item["rank_seconds"]) == 2
        # The slowest of each sample is never faster than either rank's own median.
        assert item["timing"]["seconds"] >= max(item["rank_seconds"]) * (1 - 1e-9)
    by_size = {item["nbytes"]: item["timing"]["seconds"] for item in collectives if item["operation"] == "all_reduce"}
    assert by_size[max(by_size)] > by_size[min(by_size)]


@pytest.mark.parametrize("fault", ["dies", "hangs"])
def test_a_lost_rank_ends_the_others_and_what_was_measured_is_kept(tmp_path, fault):
    found, _ = _run(tmp_path, fault)
    assert found["lost"]
    assert {item["operation"] for item in found["items"]} == {"all_reduce"}
