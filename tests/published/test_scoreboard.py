"""The committed results are what ``costsim validate`` writes.

``pytest tests/published/test_scoreboard.py --update`` writes them anew; review the difference, and say in the changelog
what moved.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from costsim.render import formats
from costsim.validate import validate

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"step": "scoreboard.md", "memory": "scoreboard-memory.md", "hours": "scoreboard-hours.md",
         "serving": "scoreboard-serving.md"}  # fmt: skip
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")


def rounded(text: str) -> list[str]:
    """A page without its figures: other processors round their last digits otherwise."""
    return _NUMBER.split(text)


def figures(text: str) -> list[float]:
    return [float(number.replace(",", "")) for number in _NUMBER.findall(text)]


@pytest.mark.parametrize("what", PAGES)
def test_the_committed_scoreboard_is_what_validate_writes(what: str, update: bool) -> None:
    made = formats.validation_text(validate(what), "markdown", formats.FILE_SCREEN)
    page = DOCS / PAGES[what]
    if update:
        page.write_text(made, encoding="utf-8")
        return
    wanted = page.read_text(encoding="utf-8")
    assert rounded(made) == rounded(wanted)
    assert figures(made) == pytest.approx(figures(wanted), rel=0.02, abs=0.11)
