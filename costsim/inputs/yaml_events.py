"""Reading YAML that may be hostile: plain values, each with its place, and one message for whatever is wrong.

One pass over the events of PyYAML's C parser with a stack of our own: nothing is composed or constructed, so that tags
build nothing, nesting costs no recursion, and aliases cannot multiply. Scalars follow YAML 1.2 core: ``no`` is text and
``1e6`` a number. Values are dict, list, str, int, float, bool and None.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from costsim.errors import InputError
from costsim.inputs.source import Path, Place, Source, Value, dotted

MAX_DEPTH = 40
MAX_NODES = 100_000
MAX_KEY = 200
MAX_DIGITS = 30
MAX_NUMBER = 100

_NULL = {"", "~", "null", "Null", "NULL"}
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but for tab and line feed, DEL and C1: they drive terminals
    "\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # bidirectional controls, invisible characters
    "\ue000-\uf8ff\ufff9-\uffff\U000e0000-\U000e0fff\U000f0000-\U0010ffff\ud800-\udfff]"  # private use, tags, none
)
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass
class _Node:
    """A value under construction, with its place, its size in nodes (aliases expanded) and its height."""

    line: int
    column: int
    value: Any = None  # scalar, list of nodes, or dict of key -> (line, column, node)
    size: int = 1
    height: int = 0
    anchor: str | None = None
    key: tuple[str, int, int] | None = None


def read(text: str, file: str) -> Source:
    """Read one YAML document.

    Args:
        text: the document.
        file: what messages call it.

    Raises:
        InputError: it is not YAML of the accepted kind; the problem says where.
    """
    source = read_any(text, file)
    if source.value is None:
        raise InputError(Place(file).problem("the file is empty", allowed="expected a mapping of keys and values"))
    return source


def read_any(text: str, file: str) -> Source:
    """Read one YAML document, which may be empty."""
    if bad := _UNPRINTABLE.search(text.replace("\r\n", " \n")):
        before = text.replace("\r\n", " \n")[: bad.start()]
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        _refuse(file, line, column, _unprintable(bad[0]))
    root = _Reader(file).read(text)
    source = Source(None, file)
    value = _plain(root, (), source) if root else None
    return Source(value, file, source.values, source.keys)


def _plain(node: _Node, path: Path, source: Source) -> Value:
    """The value of a node; records the places below it. Depth is bounded, so recursion is safe."""
    source.values[path] = Place(source.file, node.line + 1, node.column + 1)
    if isinstance(node.value, list):
        return [_plain(child, (*path, index), source) for index, child in enumerate(node.value)]
    if isinstance(node.value, dict):
        result: dict[str, Any] = {}
        for key, (line, column, child) in node.value.items():
            source.keys[(*path, key)] = Place(source.file, line + 1, column + 1)
            result[key] = _plain(child, (*path, key), source)
        return result
    value: Value = node.value
    return value


def _refuse(file: str, line: int, column: int, message: str, allowed: str = "") -> NoReturn:
    raise InputError(Place(file, line + 1, column + 1).problem(message, allowed=allowed))


def _unprintable(character: str) -> str:
    return f"the character U+{ord(character):04X} is not allowed: it cannot be seen, or drives a terminal"


class _Reader:
    """Builds nodes from parser events."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.open: list[_Node] = []
        self.done: dict[str, _Node] = {}
        self.nodes = 0
        self.root: _Node | None = None

    def read(self, text: str) -> _Node | None:
        """The root node, or None if there is no document."""
        documents = 0
        try:
            for event in _events(text):
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._refuse(event, "a second document begins", "expected one document")
                elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                    self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            parts = [part for part in (error.context, error.problem) if part]
            _refuse(self.file, mark.line if mark else 0, mark.column if mark else 0, f"not YAML: {', '.join(parts)}")
        except yaml.YAMLError as error:
            _refuse(self.file, 0, 0, f"not YAML: {getattr(error, 'reason', '') or 'unreadable text'}")
        return self.root

    def _take(self, event: Any) -> None:
        """Take one event of a node's beginning or end."""
        if isinstance(event, yaml.CollectionEndEvent):
            self._close(self.open.pop())
            return
        parent = self.open[-1] if self.open else None
        if len(self.open) >= MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} deep")
        if getattr(event, "tag", None) is not None:
            self._refuse(event, "tags are not allowed", "expected plain values")
        if parent is not None and isinstance(parent.value, dict) and parent.key is None:
            self._count(1, event)
            parent.key = (self._key(event, parent), event.start_mark.line, event.start_mark.column)
            return
        self._count(1, event)
        node = _Node(event.start_mark.line, event.start_mark.column, anchor=event.anchor)
        if isinstance(event, yaml.AliasEvent):
            self._alias(event, node)
        elif isinstance(event, yaml.ScalarEvent):
            node.value = self._scalar(event)
            self._close(node)
        else:
            node.value = {} if isinstance(event, yaml.MappingStartEvent) else []
            self.open.append(node)

    def _alias(self, event: Any, node: _Node) -> None:
        """Close the node as a copy of what the alias names; it counts as large as that."""
        named = self.done.get(event.anchor)
        if named is None:
            if any(parent.anchor == event.anchor for parent in self.open):
                self._refuse(event, f"the alias *{event.anchor} names what it stands in")
            self._refuse(event, f"the alias *{event.anchor} has no anchor before it")
        if len(self.open) + named.height >= MAX_DEPTH:
            self._refuse(event, f"nested more than {MAX_DEPTH} deep")
        self._count(named.size - 1, event)
        node.value, node.size, node.height, node.anchor = named.value, named.size, named.height, None
        self._close(node)

    def _close(self, node: _Node) -> None:
        """Put a finished node into the one around it."""
        if node.anchor:
            self.done[node.anchor] = node
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif parent.key:
            key, line, column = parent.key
            parent.size += 1
            parent.value[key] = (line, column, node)
            parent.key = None

    def _key(self, event: Any, parent: _Node) -> str:
        """The text of a key."""
        if not isinstance(event, yaml.ScalarEvent):
            self._refuse(event, "a list, mapping or alias cannot be a key", "expected text")
        key = self._scalar(event)
        if key == "<<":
            self._refuse(event, "merge keys are not allowed", "expected 'extends', or the keys themselves")
        if not isinstance(key, str) or not key:
            self._refuse(event, f"the key {str(event.value)[:60]!r} is not text", "expected text, in quotes if need be")
        if len(key) > MAX_KEY:
            self._refuse(event, f"a key of {len(key)} characters", f"at most {MAX_KEY}")
        if key in parent.value:
            line = parent.value[key][0] + 1
            self._refuse(event, f"the key '{dotted((key,))}' is given twice, first on line {line}")
        return key

    def _scalar(self, event: Any) -> str | int | float | bool | None:
        """The value of a scalar by YAML 1.2 core; what is no finite number stays text.

        No field of a number takes such a text, and who refuses it there tells it beside all else that is wrong.
        """
        text: str = event.value
        if not event.implicit[0]:  # quoted, or a block
            if bad := _UNPRINTABLE.search(text):
                self._refuse(event, _unprintable(bad[0]))
            return text
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            if len(text.lstrip("+-")) > MAX_DIGITS:
                self._refuse(event, f"a whole number of {len(text)} digits", f"at most {MAX_DIGITS} digits")
            return int(text)
        return self._float(event, text) if _FLOAT.fullmatch(text) else text

    def _float(self, event: Any, text: str) -> float | str:
        """A number with point or exponent; as text if it is too large, or too small to tell from zero."""
        if len(text) > MAX_NUMBER:
            self._refuse(event, f"a number of {len(text)} characters", f"at most {MAX_NUMBER}")
        number = float(text)
        vanished = number == 0 and re.match(r"[-+]?[0.]*[1-9]", text)
        return text if math.isinf(number) or vanished else number

    def _count(self, nodes: int, event: Any) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self._refuse(event, f"more than {MAX_NODES:,} values, counting aliases as large as what they name")

    def _refuse(self, event: Any, message: str, allowed: str = "") -> NoReturn:
        _refuse(self.file, event.start_mark.line, event.start_mark.column, message, allowed)


def _events(text: str) -> Iterator[Any]:
    """Parser events; a generator, so that nothing beyond the first refused event is scanned."""
    yield from yaml.parse(text, Loader=_LOADER)
