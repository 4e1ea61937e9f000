"""``bench show`` and ``bench compare``: files in, words and exit codes out, without torch."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from calibration_cases import written
from processes import ROOT, Run, environment


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str, str]:
    made = (("a.yaml", 1.0), ("b.yaml", 1.0), ("c.yaml", 1.4))
    return tuple(written(tmp_path, name, slower=factor) for name, factor in made)


def test_show_names_the_device_and_every_coefficient(inside: Run, pair: tuple[str, str, str]) -> None:
    done = inside("bench", "show", pair[0])
    assert (done.returncode, done.stderr) == (0, "")
    assert "Some CPU" in done.stdout
    assert "matmul" in done.stdout
    found = json.loads(inside("bench", "show", pair[0], "--format", "json").stdout)
    assert found["schema"] == "costsim.calibration/1"


def test_compare_ends_with_1_where_something_is_slower(inside: Run, pair: tuple[str, str, str]) -> None:
    before, same, slow = pair
    assert inside("bench", "compare", before, same).returncode == 0
    done = inside("bench", "compare", before, slow)
    assert done.returncode == 1
    assert "4 slower, 0 faster of" in done.stdout
    faster = inside("bench", "compare", slow, before, "--format", "csv")
    assert faster.returncode == 0
    rows = list(csv.DictReader(io.StringIO(faster.stdout)))
    assert sum(row["mark"] == "faster" for row in rows) == 4


@pytest.mark.parametrize("line", [("show", "none.yaml"), ("compare", "none.yaml", "none.yaml"), ("shw",)])
def test_bad_usage_ends_with_2_and_a_line(inside: Run, line: tuple[str, ...]) -> None:
    done = inside("bench", *line)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr


def test_neither_imports_torch(pair: tuple[str, str, str]) -> None:
    code = "import sys; from costsim.cli import app; app.run(sys.argv[1:]); sys.exit('torch' in sys.modules)"
    for line in (("show", pair[0]), ("compare", *pair[:2])):
        command = [sys.executable, "-c", code, "bench", *line]
        assert subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True).returncode == 0
