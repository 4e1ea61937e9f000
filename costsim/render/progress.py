"""How far a bench is, on standard error: what runs now, and the time that is left. Only where that is a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from costsim.render.text import clean

if TYPE_CHECKING:
    from costsim.bench.tasks import Task


class Progress:
    """Watches a bench.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet or sys.stderr is None
        self._bar: Any = None
        self._row: Any = None
        self._left = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def planned(self, made: list[Task]) -> None:
        """Everything that will be measured."""
        if self._quiet:
            return
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Bars

        console = Console(stderr=True)
        if not console.is_terminal:
            return
        self._left = sum(task.seconds for task in made)
        columns = (
            TimeElapsedColumn(),
            BarColumn(24),
            TextColumn("{task.fields[left]}"),
            TextColumn("{task.description}"),
        )
        self._bar = Bars(*columns, console=console, transient=True)
        self._row = self._bar.add_task("", total=self._left, left=self._words())
        self._bar.start()

    def began(self, task: Task) -> None:
        """A measurement begins."""
        if self._bar is not None:
            self._bar.update(self._row, description=clean(task.name))
            self._bar.refresh()

    def ended(self, task: Task) -> None:
        """It is over; nothing is drawn while a measurement runs, since that would disturb it."""
        self._left = max(0.0, self._left - task.seconds)
        if self._bar is not None:
            self._bar.update(self._row, advance=task.seconds, left=self._words())

    def _words(self) -> str:
        return f"{self._left:3.0f} s left"
