"""Sources of values: YAML files, standard input, ``--set``, and one laid over another.

Every value keeps the place where it was said, whatever it was merged with, so that a message can point there.
"""

from __future__ import annotations

import os
from typing import Any

from costsim.errors import InputError
from costsim.inputs.files import STDIN, read_text
from costsim.inputs.kinds import shown
from costsim.inputs.source import SETTING, Path, Place, Source, Value, dotted, split
from costsim.inputs.sourced import Fact, split_sourced
from costsim.inputs.yaml_events import read, read_any

__all__ = [
    "Fact",
    "Path",
    "Place",
    "Source",
    "Value",
    "dotted",
    "from_mapping",
    "merge",
    "override",
    "read",
    "read_path",
    "read_stdin",
    "split",
    "split_sourced",
]

_QUANTITY_KEYS = frozenset({"distribution", "value", "book"})
"""A mapping with one of these keys is a quantity: it is replaced whole."""


def read_path(path: str | os.PathLike[str], label: str = "") -> Source:
    """Read a YAML file; ``-`` is standard input.

    Args:
        path: the file.
        label: what messages call it; default its path.

    Raises:
        InputError: it cannot be read, or is not YAML of the accepted kind.
    """
    name = os.fspath(path)
    shown_as = label or (STDIN if name == "-" else name)
    return read(read_text(name, label=shown_as), shown_as)


def read_stdin() -> Source:
    """Read YAML from standard input.

    Raises:
        InputError: it cannot be read, or is not YAML of the accepted kind.
    """
    return read_path("-")


def from_mapping(value: dict[str, Any], name: str = "") -> Source:
    """Values that come from a program and have no place in a file."""
    return Source(value, name)


def merge(parent: Source, child: Source) -> Source:
    """The child laid over the parent.

    Mappings merge key by key; lists, quantities (also as mappings) and everything else replace whole.

    Args:
        parent: what is extended.
        child: what extends it; its values win.

    Returns:
        A source in which every value keeps its own file, line and column.
    """
    merged = Source(None, child.file)
    return Source(_merged((), parent, child, parent.value, child.value, merged), child.file, merged.values, merged.keys)


def _merged(path: Path, parent: Source, child: Source, old: Any, new: Any, into: Source) -> Any:
    """The merged value at a path; records places."""
    if not (isinstance(old, dict) and isinstance(new, dict)) or _QUANTITY_KEYS & (old.keys() | new.keys()):
        return _copied(path, child, new, into)
    _place(path, child, into)
    result: dict[str, Any] = {}
    for key in [*old, *(key for key in new if key not in old)]:
        below = (*path, key)
        if key not in new:
            result[key] = _copied(below, parent, old[key], into)
        elif key not in old:
            result[key] = _copied(below, child, new[key], into)
        else:
            result[key] = _merged(below, parent, child, old[key], new[key], into)
    return result


def _copied(path: Path, source: Source, value: Any, into: Source) -> Any:
    """The value at a path of one source; records places."""
    _place(path, source, into)
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _copied((*path, key), source, item, into)
    return value


def _place(path: Path, source: Source, into: Source) -> None:
    if path in source.values:
        into.values[path] = source.values[path]
    if path in source.keys:
        into.keys[path] = source.keys[path]


def override(source: Source, setting: str, index: int = 1) -> Source:
    """The source with one value replaced, as ``--set dotted.key=value`` asks.

    The value is read as YAML, by the same rules as a file: ``--set cluster.accelerators=1024``,
    ``--set 'price={input: 1 USD/Mtok, output: 4 USD/Mtok}'``; ``null`` unsets. Items of a list go by index:
    ``phases.0.tokens``.

    Args:
        source: what to change; it stays as it is.
        setting: ``key=value``.
        index: which ``--set`` it is, from 1, for messages.

    Raises:
        InputError: the setting is malformed, or leads through something that has no keys.
    """
    place = Place(f"{SETTING} {index}")
    dotted_key, equals, text = setting.partition("=")
    path = _resolved(split(dotted_key.strip()), source.value)
    if not equals:
        raise InputError(place.problem(f"{shown(setting)} has no '='", allowed="expected dotted.key=value"))
    if not path or "" in path:
        raise InputError(place.problem(f"{shown(dotted_key)} is no dotted key", allowed="expected dotted.key=value"))
    if not text.strip():
        raise InputError(place.problem("no value after '='", dotted(path), "expected a value, or null to unset"))
    if len(text) > 10_000:
        raise InputError(place.problem(f"a value of {len(text)} characters", dotted(path), "at most 10,000"))
    try:
        value = read_any(text, place.file).value
    except InputError as error:
        raise InputError([place.problem(p.message, dotted(path), p.allowed) for p in error.problems]) from None
    kept = {p: at for p, at in source.values.items() if p[: len(path)] != path}
    keys = {p: at for p, at in source.keys.items() if p[: len(path)] != path}
    result = Source(
        _set(source.value, path, 0, value, place), source.file, {**kept, path: place}, {**keys, path: place}
    )
    _mark(path, value, place, result)
    for end in range(1, len(path)):  # mappings that the setting itself makes are where it is
        if path[:end] not in source.values and isinstance(path[end - 1], str):
            result.keys[path[:end]] = result.values[path[:end]] = place
    return result


def _resolved(path: Path, value: Any) -> Path:
    """The path with numbers as indexes of lists and as text elsewhere."""
    parts: list[str | int] = []
    for part in path:
        in_list = isinstance(value, list)
        parts.append(part if in_list else str(part))
        try:
            value = value[parts[-1]]
        except (LookupError, TypeError):
            value = None
    return tuple(parts)


def _set(value: Any, path: Path, done: int, new: Any, place: Place) -> Any:
    """A copy of the value with the part at ``path[done:]`` replaced."""
    if done == len(path):
        return new
    part = path[done]
    if isinstance(value, list):
        if not isinstance(part, int) or part >= len(value):
            what = f"{shown(str(part))} is no index of a list of {len(value)}"
            allowed = f"0 to {len(value) - 1}" if value else "a list with items"
            raise InputError(place.problem(what, dotted(path), allowed))
        return [*value[:part], _set(value[part], path, done + 1, new, place), *value[part + 1 :]]
    if value is None:
        value = {}
    if not isinstance(value, dict):
        around = f"'{dotted(path[:done])}'"
        raise InputError(
            place.problem(
                f"{around} is {shown(value)}, which has no keys", dotted(path), f"set {around} to a mapping first"
            )
        )
    return {**value, part: _set(value.get(part), path, done + 1, new, place)}


def _mark(path: Path, value: Any, place: Place, into: Source) -> None:
    """Record a place for a value and everything in it."""
    into.values[path] = place
    if path and isinstance(path[-1], str):
        into.keys[path] = place
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        _mark((*path, key), item, place, into)
