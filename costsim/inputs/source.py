"""Values that know where they were said: file, line and column of every key and value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from costsim.errors import Problem

Value: TypeAlias = "dict[str, Any] | list[Any] | str | int | float | bool | None"
Path: TypeAlias = "tuple[str | int, ...]"
SETTING = "--set"
"""What the places of values that the command line sets begin with."""


@dataclass(frozen=True)
class Place:
    """Where something was said.

    Attributes:
        file: name of the file, ``<stdin>`` or ``--set 1``.
        line: 1-based line, or 0 when it has none.
        column: 1-based column, or 0.
    """

    file: str
    line: int = 0
    column: int = 0

    def problem(self, message: str, path: str = "", allowed: str = "", suggestion: str = "") -> Problem:
        """A problem at this place."""
        return Problem(message, path, self.file, self.line, self.column, allowed, suggestion)


@dataclass(frozen=True)
class Source:
    """Plain values and the place of each.

    Attributes:
        value: what was read.
        file: the file that it was read from.
        values: place of the value at each path.
        keys: place of the key at each path that is a key of a mapping.
    """

    value: Value
    file: str
    values: dict[Path, Place] = field(default_factory=dict, repr=False)
    keys: dict[Path, Place] = field(default_factory=dict, repr=False)

    def position(self, path: str | Path, key: bool = False) -> Place:
        """Place of the value at a path, or of the nearest thing around it that has a place.

        Args:
            path: dotted (``prices.0.usd_per_hour``) or a tuple of keys and indexes.
            key: whether to give the place of the key instead.
        """
        parts = split(path) if isinstance(path, str) else path
        for end in range(len(parts), -1, -1):
            around = end < len(parts)
            place = self.keys.get(parts[:end]) if key or around else None
            place = place or self.values.get(parts[:end])
            if place:
                return place
        return Place(self.file)

    def at(self, path: str | Path) -> Source:
        """The part of the source at a path, as a source of its own.

        Raises:
            KeyError: there is nothing at the path.
        """
        parts = split(path) if isinstance(path, str) else path
        value: Any = self.value
        for part in parts:
            try:
                value = value[part]
            except (LookupError, TypeError) as error:
                raise KeyError(dotted(parts)) from error
        size = len(parts)

        def below(places: dict[Path, Place]) -> dict[Path, Place]:
            return {path[size:]: place for path, place in places.items() if path[:size] == parts}

        return Source(value, self.position(parts).file, below(self.values), below(self.keys))

    def problem(
        self, message: str, path: str | Path, key: bool = False, allowed: str = "", suggestion: str = ""
    ) -> Problem:
        """A problem with what stands at a path."""
        return self.position(path, key).problem(message, dotted(path), allowed, suggestion)


def split(path: str) -> Path:
    """The keys and indexes of a dotted path."""
    return tuple(int(part) if part.isascii() and part.isdigit() else part for part in path.split(".")) if path else ()


def dotted(path: str | Path) -> str:
    """A path as text, each key cut to a bearable length."""
    if isinstance(path, str):
        return path
    return ".".join(text if len(text) <= 60 else text[:59] + "…" for text in map(str, path))
