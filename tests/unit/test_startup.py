"""What a start imports: the fast way to a slow program is one heavy import at module level."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import costsim

ROOT = Path(__file__).parents[2]
HEAVY = {"numpy", "pandas", "torch", "scipy", "pydantic", "yaml", "rich"}
POINT = "plan gpt2-124m --draws 0"


def modules_after(program: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has after a program, costsim's own in full."""
    ending = "import sys; print('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{ending}"], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )
    names = done.stderr.split("\n")
    return {name if name.startswith("costsim") else name.split(".")[0] for name in names}


def modules_after_command(line: str) -> set[str]:
    return modules_after(f"from costsim.cli.app import run; assert run({line.split()!r}) == 0")


@pytest.mark.parametrize(
    "line", ["--help", "plan --help", "compare --help", "show --help", "new --help", "validate --help", "--version"]
)
def test_help_imports_nothing_heavy(line: str) -> None:
    assert HEAVY & modules_after_command(line) == set()


def test_a_plan_imports_no_frames_and_no_torch() -> None:
    loaded = modules_after_command(POINT)
    assert {"pandas", "torch", "scipy", "matplotlib", "jinja2"} & loaded == set()
    assert "costsim.plan" in loaded


def test_a_plan_for_another_program_needs_no_terminal_library() -> None:
    assert "rich" not in modules_after_command(f"{POINT} --format json")


def test_importing_the_package_costs_nothing() -> None:
    loaded = modules_after("import costsim")
    assert {name for name in loaded if name.startswith("costsim")} == {"costsim"}
    assert HEAVY & loaded == set()


def test_the_public_names_are_what_they_say() -> None:
    assert set(dir(costsim)) == set(costsim.__all__)
    for name in costsim.__all__:
        assert getattr(costsim, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'plam'"):
        costsim.plam  # noqa: B018


@pytest.mark.parametrize("name", ["plan", "compare", "validate"])
def test_functions_are_not_hidden_by_modules_of_their_name(name: str) -> None:
    """Whichever is imported first, ``from costsim import plan`` is the function, with no warning."""
    for first in (f"import costsim.{name}", f"from costsim.{name} import {name}", f"from costsim import {name}"):
        program = (
            f"import warnings; warnings.simplefilter('error')\n{first}\n"
            f"from costsim import {name}\nassert callable({name}), {name}\n"
            f"from costsim.{name} import {name} as inner\nassert inner is {name}"
        )
        assert f"costsim.{name}" in modules_after(program)


def test_the_version_is_the_projects() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert costsim.__version__ == project["version"]
