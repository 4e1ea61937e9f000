"""Results to standard output, everything else to standard error, whatever they are connected to."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest
from processes import Run, environment

POINT = ("plan", "gpt2-124m", "--draws", "0")


def test_a_table_goes_to_stdout_and_nothing_to_stderr(cli: Run) -> None:
    done = cli(*POINT)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "Cost" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_json_is_json_and_csv_is_csv(cli: Run) -> None:
    assert json.loads(cli(*POINT, "--format", "json").stdout)["schema"] == "costsim.plan/1"
    rows = list(csv.reader(io.StringIO(cli(*POINT, "--format", "csv").stdout)))
    assert rows[0] == ["path", "value", "unit", "p5", "p50", "p95"]
    assert {len(row) for row in rows} == {6}
    assert cli(*POINT, "--format", "markdown").stdout.startswith("<!-- costsim plan -->\n\n# ")


def test_the_same_plan_is_the_same_bytes(cli: Run) -> None:
    line = ("plan", "gpt2-124m", "--draws", "200", "--seed", "7", "--format", "json")
    assert cli(*line).stdout == cli(*line).stdout


def test_columns_widens_a_pipe_and_never_narrows_it(cli: Run) -> None:
    assert cli(*POINT, COLUMNS="20").stdout == cli(*POINT).stdout
    assert max(map(len, cli(*POINT, COLUMNS="120").stdout.splitlines())) > 80
    for nonsense in ("wide", "-5", "9" * 50):
        assert cli(*POINT, COLUMNS=nonsense).stdout == cli(*POINT).stdout


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    for line in (POINT, ("--help",), ("plan", "--help"), ("show", "hardware")):
        command = [sys.executable, "-m", "costsim", *line]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment()
        ) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            child.stdout.close()
            assert child.stderr.read() == b""
            assert child.wait(60) == 0


@pytest.mark.parametrize("line", [POINT, (*POINT, "--format", "json"), ("show", "laws"), ("--version",)])
def test_a_full_disk_behind_stdout_is_an_error(tmp_path: Path, line: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "costsim", *line], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
            env=environment(), timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "standard output cannot be written: No space left on device\n"


def test_closed_streams_are_survived(tmp_path: Path) -> None:
    def run(redirect: str, *line: str) -> subprocess.CompletedProcess[str]:
        command = f'"{sys.executable}" -m costsim {" ".join(line)} {redirect}'
        return subprocess.run(
            command,
            shell=True,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(),
            timeout=60,
            check=False,
        )

    done = run(">&-", *POINT)
    assert done.returncode == 2
    assert "standard output is closed" in done.stderr
    assert run("2>&-", "plan", "nothing-of-this-name").returncode == 2
    assert run("2>&-", "plan", "nothing-of-this-name").stdout == ""
    done = run("<&-", "plan", "-")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "utf-8:strict"},
    ],
)
def test_any_encoding_will_do(tmp_path: Path, env: dict[str, str]) -> None:
    """Numbers and names reach an ASCII output readable; a name beyond it is escaped."""
    (tmp_path / "run.yaml").write_text("extends: gpt2-124m\nname: Modèle 中\n", encoding="utf-8")
    for shape in ("table", "json", "csv", "markdown"):
        done = subprocess.run(
            [sys.executable, "-m", "costsim", "plan", "run.yaml", "--draws", "0", "--format", shape],
            capture_output=True, cwd=tmp_path, env=environment(**env), timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == b""
        assert b"Mod" in done.stdout
        if env.get("PYTHONIOENCODING") == "ascii":
            assert done.stdout.isascii()


def test_no_home_is_needed(cli: Run) -> None:
    bare = dict.fromkeys(("HOME", "USER", "LOGNAME", "TERM", "LANG", "XDG_CONFIG_HOME"))
    assert cli(*POINT, **bare).returncode == 0
    assert cli(*POINT, HOME="/nonexistent").returncode == 0


def test_a_folder_that_may_not_be_written_is_enough(tmp_path: Path, cli: Run) -> None:
    tmp_path.chmod(0o500)
    try:
        assert cli(*POINT).returncode == 0
    finally:
        tmp_path.chmod(0o700)


def test_files_have_the_format_of_their_suffix_and_stdout_stays_empty(tmp_path: Path, cli: Run) -> None:
    starts = {"plan.json": "{", "plan.csv": "path,value,unit", "plan.md": "<!-- costsim plan -->", "plan.txt": ""}
    for name, start in starts.items():
        done = cli(*POINT, "-o", name)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        assert (tmp_path / name).read_text(encoding="utf-8").startswith(start)
        assert cli(*POINT, "-o", name).returncode == 0  # its own file may be replaced
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(starts)


def test_a_file_of_the_users_is_not_lost(tmp_path: Path, cli: Run) -> None:
    mine = tmp_path / "notes.md"
    mine.write_text("mine\n")
    done = cli(*POINT, "-o", "notes.md")
    assert done.returncode == 2
    assert done.stderr == "notes.md: was not written by costsim and is left as it is; --force replaces it\n"
    assert mine.read_text() == "mine\n"
    assert cli(*POINT, "-o", "notes.md", "--force").returncode == 0
    assert mine.read_text() != "mine\n"


def test_an_output_of_a_dash_is_stdout(cli: Run) -> None:
    assert cli(*POINT, "-o", "-").stdout == cli(*POINT).stdout
