"""What all tests share: the example plans, and how the command line is run as a user would."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from processes import STEERING, Run, environment

# Continuous integration tells what a change broke, and nothing else; searches with other seeds are for people.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
if os.environ.get("CI"):
    settings.load_profile("ci")

DATA = Path(__file__).parent / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="rewrite the golden files; review the difference")


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update"))


@pytest.fixture
def example() -> dict[str, Any]:
    """The JSON of a plan with every section filled."""
    return json.loads((DATA / "plan_example.json").read_text(encoding="utf-8"))


@pytest.fixture
def sparse() -> dict[str, Any]:
    """The JSON of a plan that does not fit and has most sections absent."""
    return json.loads((DATA / "plan_sparse.json").read_text(encoding="utf-8"))


@pytest.fixture
def cli(tmp_path: Path) -> Run:
    """Run ``costsim`` in a process of its own, in an empty folder."""

    def run(*args: str, stdin: str | None = None, cwd: Path = tmp_path, **env: str | None) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "costsim", *args],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=cwd,
            env=environment(**env),
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``costsim`` as ``cli`` does, but in this process: where only words and exit codes matter, and fast."""
    from costsim.cli.app import run as command_line

    monkeypatch.chdir(tmp_path)
    for name in STEERING:
        monkeypatch.delenv(name, raising=False)

    def run(*args: str, stdin: str = "") -> Any:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        capsys.readouterr()
        code = command_line(args)
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return run
