"""Errors of every kind become a message and an exit code; tracebacks are for --debug."""

from __future__ import annotations

import pytest

from costsim.cli.app import run
from costsim.errors import InputError, InternalError, OutputError, Problem

POINT = ["plan", "gpt2-124m", "--draws", "0"]


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let planning raise an error."""
    import sys

    from costsim.plan import plan

    assert callable(plan)

    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sys.modules["costsim.plan"], "plan", broken)


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError([Problem("a", "x", "f.yaml", 1, 2), Problem("b")]), 2, "f.yaml:1:2: x: a\nb\n"),
        (OutputError("disk full"), 2, "disk full\n"),
        (MemoryError(), 2, "costsim: not enough memory; fewer draws need less (--draws)\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (InputError(Problem("evil \x1b[2J name", "p")), 2, "p: evil \\x1b[2J name\n"),
    ],
)
def test_known_errors(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str
) -> None:
    fail_with(monkeypatch, error)
    assert run(POINT) == code
    assert capsys.readouterr() == ("", message)


@pytest.mark.parametrize(
    "error",
    [ZeroDivisionError("division by zero"), InternalError("a sum is off"), RecursionError("deep"), OSError("x")],
)
def test_bugs_ask_for_a_report_with_versions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    fail_with(monkeypatch, error)
    assert run(POINT) == 70
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"costsim: internal error: {type(error).__name__}: {error}\n")
    assert "please report" in err.lower()
    assert "numpy" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), InputError(Problem("bad"))])
def test_debug_shows_where_it_happened(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    fail_with(monkeypatch, error)
    assert run([*POINT, "--debug"]) in (2, 70)
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert "in broken" in err
