"""Walking nested plain data (mappings, lists, leaves) by dotted path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def lookup(tree: object, path: str) -> Any:
    """The value at a dotted path, or None where there is none."""
    for part in path.split("."):
        if not isinstance(tree, Mapping) or part not in tree:
            return None
        tree = tree[part]
    return tree


def flatten(tree: object, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf with its dotted path, in order; an element of a list has its index as a name.

    An empty mapping or list has no leaves.
    """
    if isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from flatten(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(tree, list | tuple):
        for index, item in enumerate(tree):
            yield from flatten(item, f"{prefix}.{index}")
    else:
        yield prefix, tree


def is_number(value: object) -> bool:
    """Whether a value is a number (truth values are not)."""
    return isinstance(value, int | float) and not isinstance(value, bool)
