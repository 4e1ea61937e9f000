"""Reading the Markdown of README and docs: their tables, examples and commands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path


def tables(text: str) -> list[tuple[str, list[str], list[list[str]]]]:
    """Every table, as the heading above it, its header and its rows; a heading's `#` are not part of it."""
    found: list[tuple[str, list[str], list[list[str]]]] = []
    heading, inside = "", False
    for line in text.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        cells = [cell.strip() for cell in line.strip("|").split(" | ")] if line.startswith("|") else []
        if cells and not inside:
            found.append((heading, [cell.strip() for cell in line.strip("| ").split("|")], []))
        elif cells and set(line) - set("|-: "):
            found[-1][2].append([cell.strip() for cell in line.strip("| ").split(" | ")])
        inside = bool(cells)
    return found


def examples(path: Path, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands(path: Path) -> list[list[str]]:
    """The words of each line `costsim ...` in the shell blocks of a page, after `costsim`."""
    lines = [line for block in examples(path, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("costsim ")]
