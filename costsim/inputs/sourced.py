"""Leaves that say where their number comes from: ``{value: 700 W, source: datasheet, known: published}``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from costsim.errors import InputError, Problem
from costsim.inputs.kinds import nearest, shown
from costsim.inputs.source import Path, Place, Source, dotted

Known = Literal["measured", "published", "derived", "estimated", ""]
KNOWN = ("measured", "published", "derived", "estimated")
_KEYS = ("value", "source", "note", "known")


@dataclass(frozen=True)
class Fact:
    """Where a number comes from.

    Attributes:
        source: identifier of a source of the file, or a URL; empty when none is given.
        note: a remark.
        known: how it is known; empty when that is not said.
    """

    source: str = ""
    note: str = ""
    known: Known = ""


def split_sourced(source: Source) -> tuple[Source, dict[str, Fact]]:
    """Separate values from where they come from.

    Every mapping with a key ``value`` is replaced by that value. Any other mapping's own ``source`` and ``known`` are
    the default of the leaves below it; those of the file as a whole are taken out of it.

    Args:
        source: a file as read.

    Returns:
        The source without wrappers, and what is known of each leaf, by dotted path.

    Raises:
        InputError: every wrapper that has unknown keys, an unknown ``known``, or a source that the file does not list.
    """
    work = _Splitter(source)
    value = work.walk(source.value, (), (), Fact())
    if work.problems:
        raise InputError(work.problems)
    return Source(value, source.file, work.values, work.keys), work.facts


class _Splitter:
    """The state of one `split_sourced`."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.values: dict[Path, Place] = {}
        self.keys: dict[Path, Place] = {}
        self.facts: dict[str, Fact] = {}
        self.problems: list[Problem] = []
        listed = source.value.get("sources") if isinstance(source.value, dict) else None
        self.listed = listed if isinstance(listed, dict) else None

    def walk(self, value: Any, old: Path, new: Path, fact: Fact) -> Any:
        """The value without wrappers; ``old`` and ``new`` are its paths with and without them."""
        if old in self.source.values:
            self.values[new] = self.source.values[old]
        if old in self.source.keys:
            self.keys.setdefault(new, self.source.keys[old])
        if isinstance(value, dict) and "value" in value:
            return self.walk(value["value"], (*old, "value"), new, self.fact(value, old, new, fact))
        if isinstance(value, dict):
            inner = Fact() if old[:1] == ("sources",) else self.inherited(value, old, new, fact)
            taken = ("source", "known") if not old else ()
            return {
                key: self.walk(item, (*old, key), (*new, key), inner)
                for key, item in value.items()
                if key not in taken or isinstance(item, dict | list)
            }
        if isinstance(value, list):
            return [self.walk(item, (*old, index), (*new, index), fact) for index, item in enumerate(value)]
        if fact != Fact():
            self.facts[dotted(new)] = fact
        return value

    def fact(self, wrapper: Mapping[str, Any], old: Path, new: Path, default: Fact) -> Fact:
        """What a wrapper says, and its problems."""
        for key in wrapper:
            if key not in _KEYS:
                allowed = f"a value with its source has the keys {', '.join(_KEYS)}"
                self.report(f"unknown key {shown(key)}", (*old, key), new, allowed, nearest(key, _KEYS))
        return self.inherited(wrapper, old, new, default, wrapped=True)

    def inherited(self, mapping: Mapping[str, Any], old: Path, new: Path, default: Fact, wrapped: bool = False) -> Fact:
        """The default of what is below a mapping: its own ``source`` and ``known``, else the one around it."""
        strict = wrapped or not old
        said = {key: mapping.get(key) for key in ("source", "note", "known")}
        for key, text in said.items():
            if strict and text is not None and not isinstance(text, str):
                self.report(f"{shown(text)} is not text", (*old, key), new, "expected text")
        texts = {key: text for key, text in said.items() if isinstance(text, str)}
        known, identifier = texts.get("known", default.known), texts.get("source", default.source)
        if strict and known and known not in KNOWN:
            self.report(
                f"unknown {shown(known)}", (*old, "known"), new, f"one of {', '.join(KNOWN)}", nearest(known, KNOWN)
            )
        if strict and "source" in texts and self.listed is not None and not _is_listed(identifier, self.listed):
            allowed = "expected a key of 'sources', or a URL"
            self.report(
                f"unknown source {shown(identifier)}", (*old, "source"), new, allowed, nearest(identifier, self.listed)
            )
        note = texts.get("note", "") if wrapped else default.note
        return Fact(identifier, note, cast(Known, known))

    def report(self, message: str, old: Path, new: Path, allowed: str, suggestion: str = "") -> None:
        place = self.source.position(old, key=message.startswith("unknown key"))
        self.problems.append(place.problem(message, dotted((*new, old[-1])), allowed, suggestion))


def _is_listed(identifier: str, listed: Mapping[str, Any]) -> bool:
    return identifier in listed or identifier.startswith(("https://", "http://"))
