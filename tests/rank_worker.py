"""One rank of a tiny bench: a collective and a step each way, in the order that rank 0 says; for test_ranks.py.

With a second argument, rank 1 dies at the second task (``dies``) or stops answering there (``hangs``).
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from costsim.bench import rank_tasks, ranks
from costsim.bench.devices import open_device
from costsim.bench.journal import Item
from costsim.bench.record import Energy
from costsim.bench.room import Work
from costsim.bench.tasks import Keep, Setting, Task
from costsim.inputs.bench import bench_file
from costsim.training.architecture import Architecture

out, fault = Path(sys.argv[1]), sys.argv[2]
PATIENCE = 4.0

backend = open_device("cpu")
together = ranks.join("cpu", PATIENCE)
assert together is not None
setting = Setting(backend, backend.describe(), "fp32", "quick", ranks=together)
steps = [Work(Architecture(2, 32, 2, 2, 16, 64, 64), 16, 1)]


def spoil(_keep: Keep) -> None:
    """What goes wrong on rank 1."""
    if together.rank == 1:
        if fault == "dies":
            os._exit(3)
        time.sleep(3 * PATIENCE)
    together.wait()


tasks = rank_tasks.rank_tasks(setting, together, steps)
if fault != "none":
    tasks.insert(1, Task("fault", "fault", 0.0, spoil))
kept: list[Item] = []
lost = ""
if together.first:
    try:
        with rank_tasks.led(together) as measured:
            for task in tasks:
                measured(task, kept.append)
    except ranks.RankLostError as error:
        lost = str(error)
    except KeyboardInterrupt:
        lost = "ended by torchrun"
    found = [asdict(item) for item in kept if not isinstance(item, Energy)]
    out.write_text(json.dumps({"items": found, "lost": lost, "rule": len(bench_file().ranks.layers)}))
    os._exit(0)
rank_tasks.follow(together, tasks)
os._exit(0)  # as the program ends: threads of gloo may abort an interpreter that is taken apart
