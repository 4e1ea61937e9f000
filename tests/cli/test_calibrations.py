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

from costsim.inputs.bench import bench_file


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


def test_help_says_the_lengths_that_are_shipped(inside: Run) -> None:
    target = bench_file().target
    words = " ".join(inside("bench", "--help").stdout.split())
    assert f"default {target.gpu:,}, on a CPU {target.cpu:,}" in words
    assert "the machine was too disturbed to measure" in words
    assert "bench compare found something slower" in words


@pytest.mark.parametrize("width", [80, 120])
def test_both_pages_fit(inside: Run, pair: tuple[str, str, str], width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for line in (("show", pair[0]), ("compare", *pair[:2])):
        done = inside("bench", *line)
        assert max(map(len, done.stdout.splitlines())) <= width
        words = " ".join(done.stdout.split())
        assert "step 2 layers of 768, 12 heads" in words
        assert "bf16" in words


def test_compare_says_what_is_wrong_with_either_file(inside: Run, tmp_path: Path) -> None:
    good, noisy = written(tmp_path, "a.yaml"), written(tmp_path, "b.yaml", status="noisy")
    for files, side in (((good, noisy), "after"), ((noisy, good), "before")):
        text = inside("bench", "compare", *files).stdout
        assert text.count("another program ran beside it") == 1
        assert f"beyond noise; {side} is noisy as a whole" in " ".join(text.split())
        found = json.loads(inside("bench", "compare", *files, "--format", "json").stdout)
        assert found[side]["reasons"] == ["another program ran beside it"]
        assert "another program ran beside it" in inside("bench", "compare", *files, "--format", "markdown").stdout


def test_another_file_is_one_error(inside: Run, tmp_path: Path) -> None:
    made = {"plan.yaml": "schema: costsim.plan/1\nverdict: 1", "list.yaml": "[1, 2]"}
    for name, text in made.items():
        (tmp_path / name).write_text(text)
    told = {
        str(ROOT / "scenarios" / "llama-3.1-405b.yaml"): "is not a calibration: it looks like a scenario;",
        str(ROOT / "hardware" / "h100-sxm.yaml"): "is not a calibration: it looks like a hardware file",
        str(tmp_path / "plan.yaml"): "is not a calibration: its schema is costsim.plan/1",
        str(tmp_path / "list.yaml"): "is not a calibration; a calibration is what costsim bench -o FILE writes",
    }
    for file, words in told.items():
        done = inside("bench", "show", file)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"{file}:")
        assert words in done.stderr


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
