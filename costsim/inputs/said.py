"""What a scenario says: read from where it stands, laid over what it extends and over the defaults, with settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

from costsim.errors import InputError, Problem
from costsim.inputs import catalogue
from costsim.inputs.files import STDIN, read_stdin_text
from costsim.inputs.python_values import plain_values
from costsim.inputs.yaml_source import Fact, Place, Source, from_mapping, merge, override, read, split_sourced

OPTIONAL = ("serving", "demand", "price", "finance")
"""Sections whose defaults apply only where the scenario has them."""
REQUIRED = ("training", "cluster")
"""Sections that a scenario must have; where it lacks one, that is said once, and not key by key."""
MAX_PARENTS = 10
MAPPING = "<mapping>"
"""What messages call a scenario that a program gives."""


class Said(NamedTuple):
    """What a scenario says, defaults included.

    Attributes:
        source: its values, each with its place.
        facts: where those come from that say so, by dotted path.
        origins: titles of the defaults' sources, by identifier.
    """

    source: Source
    facts: dict[str, Fact]
    origins: dict[str, str]


def said(
    x: str | PathLike[str] | Mapping[str, Any] | Source, overrides: Sequence[str] = (), stdin_text: str | None = None
) -> Said:
    """What a scenario says.

    Args:
        x: a path, a catalogue name, ``-`` for standard input, a mapping, or what was read before.
        overrides: ``key=value`` settings laid over it.
        stdin_text: what stands for ``-``; default standard input itself.

    Raises:
        InputError: it cannot be read, or a setting is malformed.
    """
    first = _first(x, stdin_text)
    if not isinstance(first.value, dict):
        raise InputError(first.problem("a scenario is a mapping of keys and values", ""))
    told = _opened(_without(_extended(first), "extends"), overrides)
    for index, setting in enumerate(overrides, 1):
        told = override(told, _whole_ramp(told, setting), index)
    assert isinstance(told.value, dict)  # a setting changes no root
    defaults, facts, origins = _defaults(told.value)
    plain, own_facts = split_sourced(told)
    source = merge(defaults, plain)
    of_defaults = {path: fact for path, fact in facts.items() if is_default(source.position(path))}
    return Said(source, of_defaults | own_facts, origins)


def is_default(place: Place) -> bool:
    """Whether a value was said by the shipped defaults."""
    return place.file.startswith("data/")


def _first(x: str | PathLike[str] | Mapping[str, Any] | Source, stdin_text: str | None) -> Source:
    """What was asked for, as read."""
    if isinstance(x, Source):
        return x
    if isinstance(x, Mapping):
        return from_mapping(plain_values(x, MAPPING), MAPPING)
    name = fspath(x) if isinstance(x, str | PathLike) else None
    if not isinstance(name, str):
        raise InputError(Problem(f"{type(x).__name__} is no scenario", allowed="a path, a catalogue name or a mapping"))
    if name == "-":
        return read(stdin_text if stdin_text is not None else read_stdin_text(), STDIN)
    try:
        return catalogue.find("scenarios", name)
    except InputError as error:
        beside = next((f"{name}{suffix}" for suffix in (".yaml", ".yml") if Path(f"{name}{suffix}").is_file()), "")
        if not beside or catalogue.is_path(name):
            raise
        raise InputError([replace(problem, suggestion=beside) for problem in error.problems]) from None


def _extended(source: Source) -> Source:
    """The scenario laid over those that it extends.

    Raises:
        InputError: the chain of extensions does not end, or a scenario in it cannot be read.
    """
    seen = [source.file]
    here = source
    while isinstance(here.value, dict) and "extends" in here.value:
        parent = here.value["extends"]
        place = here.position("extends")
        if not isinstance(parent, str):
            raise InputError(
                place.problem("must be a scenario", "extends", "a catalogue name, or a path beside this file")
            )
        base = catalogue.find("scenarios", parent, place.file, place, "extends")
        if not isinstance(base.value, dict):
            raise InputError(place.problem(f"{base.file} is no mapping of keys and values", "extends", "a scenario"))
        if base.file in seen or len(seen) > MAX_PARENTS:
            raise InputError(place.problem(f"extends {base.file}, which extends it in turn", "extends"))
        seen.append(base.file)
        source = merge(_without_ramp(_without(base, "extends"), source), source)
        here = base
    return source


def _opened(said: Source, overrides: Sequence[str]) -> Source:
    """The scenario with ``layout: auto`` taken out where a setting fixes one of its keys: the rest is still chosen."""
    sets_key = any(setting.strip().startswith("cluster.layout.") for setting in overrides)
    cluster = said.value.get("cluster") if isinstance(said.value, dict) else None
    if not (sets_key and isinstance(cluster, dict) and cluster.get("layout") == "auto"):
        return said
    assert isinstance(said.value, dict)
    value = said.value | {"cluster": {key: item for key, item in cluster.items() if key != "layout"}}
    return Source(value, said.file, said.values, said.keys)


def _without(source: Source, key: str) -> Source:
    """The source without one of its top keys."""
    value = {k: v for k, v in source.value.items() if k != key} if isinstance(source.value, dict) else source.value
    return Source(value, source.file, source.values, source.keys)


def _without_ramp(parent: Source, child: Source) -> Source:
    """The parent without its ``demand.ramp`` where the child has one of another kind: their keys do not mix."""
    values = [source.value.get("demand") if isinstance(source.value, dict) else None for source in (parent, child)]
    ramps = [demand.get("ramp") if isinstance(demand, dict) else None for demand in values]
    kinds = [ramp.get("kind") if isinstance(ramp, dict) else None for ramp in ramps]
    if None in kinds or kinds[0] == kinds[1]:
        return parent
    assert isinstance(parent.value, dict)
    demand = {key: item for key, item in parent.value["demand"].items() if key != "ramp"}
    return Source(parent.value | {"demand": demand}, parent.file, parent.values, parent.keys)


def _whole_ramp(said: Source, setting: str) -> str:
    """The setting; one that changes the kind of the ramp sets the ramp whole: the keys of kinds do not mix."""
    key, _, kind = (part.strip() for part in setting.partition("="))
    demand = said.value.get("demand") if isinstance(said.value, dict) else None
    ramp = demand.get("ramp") if isinstance(demand, dict) else None
    changes = key == "demand.ramp.kind" and kind.isalpha() and isinstance(ramp, dict) and ramp.get("kind") != kind
    return f"demand.ramp={{kind: {kind}}}" if changes else setting


def _defaults(said: Mapping[str, Any]) -> tuple[Source, dict[str, Fact], dict[str, str]]:
    """The shipped defaults of the sections that apply, where they come from, and the titles of their sources."""
    plain, facts = _defaults_file()
    assert isinstance(plain.value, dict)
    origins = {key: str(item["title"]) for key, item in plain.value.get("sources", {}).items()}
    absent = {name for name in (*OPTIONAL, *REQUIRED) if said.get(name) is None}
    value = {key: item for key, item in plain.value.items() if key not in absent | {"sources"}}
    demand = said.get("demand")
    if isinstance(demand, dict) and "ramp" in demand and "demand" in value:  # another kind of ramp has other keys
        value["demand"] = {key: item for key, item in value["demand"].items() if key != "ramp"}
    return Source(value, plain.file, plain.values, plain.keys), facts, origins


@cache
def _defaults_file() -> tuple[Source, dict[str, Fact]]:
    label, text = catalogue.data_text("defaults.yaml")
    return split_sourced(read(text, label))
