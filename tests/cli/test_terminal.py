"""On a terminal: its width, its colours, and what switches them off."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from processes import environment

from costsim.render.text import width

POINT = ("plan", "gpt2-124m", "--draws", "0")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def on_terminal(folder: Path, *line: str, columns: int = 80, **env: str | None) -> str:
    """What a command writes to a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = environment(**{"TERM": "xterm-256color", **env})
    child = subprocess.Popen(
        [sys.executable, "-m", "costsim", *line], stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=settings
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the terminal is gone with its last writer
            break
        if not part:
            break
        written += part
    os.close(ours)
    child.wait(60)
    return written.decode("utf-8").replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_pages_have_the_width_of_the_terminal(tmp_path: Path, columns: int) -> None:
    shown = ANSI.sub("", on_terminal(tmp_path, *POINT, columns=columns))
    assert max(width(line) for line in shown.splitlines()) <= columns
    assert "…" not in shown


def test_columns_overrides_the_terminal(tmp_path: Path) -> None:
    assert on_terminal(tmp_path, *POINT, columns=80, COLUMNS="60") == on_terminal(tmp_path, *POINT, columns=60)


def test_colours_change_nothing_but_colour(tmp_path: Path) -> None:
    coloured = on_terminal(tmp_path, *POINT)
    plain = on_terminal(tmp_path, *POINT, NO_COLOR="1")
    assert ANSI.search(coloured)
    assert "\x1b" not in plain
    assert ANSI.sub("", coloured) == plain


def test_a_dumb_terminal_gets_no_colours(tmp_path: Path) -> None:
    assert "\x1b" not in on_terminal(tmp_path, *POINT, TERM="dumb")


def test_an_empty_no_color_means_nothing(tmp_path: Path) -> None:
    assert "\x1b" in on_terminal(tmp_path, *POINT, NO_COLOR="")


def test_data_has_no_colours_even_on_a_terminal(tmp_path: Path) -> None:
    for shape in ("json", "csv", "markdown"):
        assert "\x1b" not in on_terminal(tmp_path, *POINT, "--format", shape)


@pytest.mark.parametrize(
    "name", ["evil\\u001b[2Jname", "[/bold][red]x", "\\u202Eright", "\\u009b31m", ":smile: {0} %s"]
)
def test_hostile_names_never_reach_the_terminal(tmp_path: Path, name: str) -> None:
    (tmp_path / "run.yaml").write_text(f'extends: gpt2-124m\nname: "{name}"\n')
    shown = ANSI.sub("", on_terminal(tmp_path, "plan", "run.yaml", "--draws", "0"))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)
    if "\\u" not in name:
        assert name in shown
