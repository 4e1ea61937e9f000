"""What all tests share: the example plans, and how the command line is run as a user would."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import Run, environment

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
