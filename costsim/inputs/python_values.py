"""Values that a program gives in place of a file, made into those that a file can hold."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any

import numpy as np

from costsim.errors import InputError, Problem
from costsim.inputs.kinds import shown
from costsim.inputs.source import Path, dotted
from costsim.inputs.yaml_events import MAX_DEPTH, MAX_NODES


def plain_values(mapping: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """A copy of a mapping in which everything is a mapping, a list, text, a number, a truth value or None.

    Tuples become lists; numpy's numbers, dates and paths what a file would say for them. The copy keeps what was given
    apart from what a caller does with it later.

    Args:
        mapping: what a program gave.
        name: what messages call it.

    Raises:
        InputError: it is deeper or larger than a file may be, or holds something that no file can.
    """
    copy = _Copy(name)
    made = copy.of(dict(mapping), ())
    if copy.problems:
        raise InputError(copy.problems)
    assert isinstance(made, dict)
    return made


class _Copy:
    """The state of one `plain_values`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.values = 0
        self.problems: list[Problem] = []

    def of(self, value: Any, path: Path) -> Any:
        """The copy of one value."""
        self.values += 1
        if len(path) > MAX_DEPTH or self.values > MAX_NODES:
            limit = f"nested more than {MAX_DEPTH} deep" if len(path) > MAX_DEPTH else f"more than {MAX_NODES:,} values"
            raise InputError(Problem(limit, dotted(path[:3]), self.name))
        if isinstance(value, Mapping):
            return {self.key(key, path): self.of(item, (*path, str(key))) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.of(item, (*path, index)) for index, item in enumerate(value)]
        return self.leaf(value, path)

    def key(self, key: object, path: Path) -> str:
        """A key, which must be text."""
        if not isinstance(key, str):
            self.problems.append(Problem(f"the key {shown(key)} is not text", dotted(path), self.name))
        return str(key)

    def leaf(self, value: Any, path: Path) -> Any:
        """A value that holds no others."""
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, datetime.date):
            return value.isoformat()
        if isinstance(value, PathLike):
            value = fspath(value)
        if value is None or isinstance(value, bool | int | float | str):
            return value
        kind = type(value).__name__
        allowed = "a mapping, a list, text, a number, true, false or None"
        self.problems.append(Problem(f"a {kind} is no value of a file", dotted(path), self.name, allowed=allowed))
        return None
