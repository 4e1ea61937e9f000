"""Finding the files that ship with costsim, by name, in a wheel and in a checkout alike; and files beside a file."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from costsim.errors import CostsimError, InputError, Problem
from costsim.inputs.kinds import nearest, shown
from costsim.inputs.source import Place, Source
from costsim.inputs.yaml_source import read, read_path

KINDS = ("hardware", "scenarios", "models", "laws", "stacks", "sites")
_TOP_LEVEL = ("hardware", "scenarios")
"""Kinds that stand beside the package in a checkout and under ``_data`` in a wheel; the others are in ``data``."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,99}")
_SUFFIXES = (".yaml", ".yml", ".json")
_SINGULAR = {"hardware": "accelerator", "scenarios": "scenario", "models": "model", "laws": "law", "stacks": "stack"}


def is_path(name: str) -> bool:
    """Whether a text names a file rather than an entry of the catalogue: it has a slash or the suffix of a file."""
    return name == "-" or "/" in name or "\\" in name or name.casefold().endswith(_SUFFIXES)


def names(kind: str) -> list[str]:
    """Names of all entries of a kind, sorted.

    Args:
        kind: one of `KINDS`.
    """
    found = (entry.name for entry in _folder(kind).iterdir())
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))


def text(kind: str, name: str, place: Place | None = None, path: str = "") -> tuple[str, str]:
    """A label for messages, and the text of an entry.

    Args:
        kind: one of `KINDS`.
        name: a name or an alias, in any case, with spaces or underscores for hyphens.
        place: where the name was said, for messages.
        path: dotted path of the field that said it.

    Raises:
        InputError: there is no such entry.
    """
    wanted = _normal(name)
    folder = _folder(kind)
    if _NAME.fullmatch(wanted):
        entry = folder / f"{wanted}.yaml"
        if entry.is_file():
            return f"{kind}/{wanted}.yaml", entry.read_text(encoding="utf-8")
    aliases = _aliases(kind)
    if wanted in aliases:
        return text(kind, aliases[wanted])
    known = names(kind)
    listed = f"one of {', '.join(known)}" if 0 < len(known) <= 12 else f"see 'costsim show {kind}'"
    close = nearest(wanted, [*known, *aliases])
    noun = _SINGULAR.get(kind, kind.removesuffix("s"))
    problem = (place or Place("")).problem(f"unknown {noun} {shown(name)}", path, listed, close)
    raise InputError(problem)


def find(kind: str, name: str, beside: str = "", place: Place | None = None, path: str = "") -> Source:
    """Read an entry of the catalogue, or the file that a path names.

    Args:
        kind: one of `KINDS`.
        name: a name, an alias or a path.
        beside: the file that names it, in whose folder relative paths resolve; the working folder if empty or stdin.
        place: where the name was said, for messages.
        path: dotted path of the field that said it.

    Raises:
        InputError: there is no such entry or file, or it is not YAML of the accepted kind.
    """
    if not is_path(name):
        label, found = text(kind, name, place, path)
        return read(found, label)
    file = resolve(name, beside)
    stem = re.sub(r".*[/\\]|\.ya?ml$", "", name)
    absent = name != "-" and not Path(file).exists()
    if absent and beside.startswith(f"{kind}/") and "/" not in name and stem in names(kind):
        # An entry of the catalogue names the entry beside it, and runs from a wheel, where that is no file here.
        label, found = text(kind, stem)
        return read(found, label)
    try:
        return read_path(file)
    except InputError as error:
        suggestion = stem if absent and stem in names(kind) else ""
        problems = [
            replace(moved(problem, place, path), suggestion=suggestion or problem.suggestion)
            for problem in error.problems
        ]
        raise InputError(problems) from None


def moved(problem: Problem, place: Place | None, path: str) -> Problem:
    """A problem with a file as a whole, told where the file was named."""
    if place is None or problem.line:
        return problem
    return place.problem(f"{problem.file}: {problem.message}", path, problem.allowed, problem.suggestion)


def resolve(name: str, beside: str = "") -> str:
    """The path that a name means, beside the file that names it.

    Args:
        name: a path.
        beside: the file that names it.
    """
    folder = Path(beside).parent if beside and not beside.startswith(("<", "--")) else Path()
    return name if name == "-" else str(folder / name)


def data_text(name: str) -> tuple[str, str]:
    """A label and the text of a file of the package's ``data`` folder, such as ``defaults.yaml``.

    Raises:
        CostsimError: the installation lacks it.
    """
    entry = files("costsim") / "data" / name
    if not entry.is_file():
        raise CostsimError(f"this installation of costsim is broken: it lacks data/{name}; install it again")
    return f"data/{name}", entry.read_text(encoding="utf-8")


def _folder(kind: str) -> Traversable:
    """Where the files of a kind are."""
    package = files("costsim")
    if kind not in _TOP_LEVEL:
        folder = package / "data" / kind
    else:
        folder = package / "_data" / kind
        if not folder.is_dir():
            folder = _beside_package(kind) or folder
    if not folder.is_dir():
        raise CostsimError(f"this installation of costsim is broken: it lacks the folder of {kind}; install it again")
    return folder


def _beside_package(kind: str) -> Path | None:
    """The folder beside the package, in a checkout only: a stray folder in site-packages is never taken for ours."""
    root = Path(__file__).resolve().parents[2]
    return root / kind if (root / "pyproject.toml").is_file() else None


def _normal(name: str) -> str:
    return re.sub(r"[\s_]+", "-", name.strip().casefold())


def _aliases(kind: str) -> dict[str, str]:
    """Entry of each alias; reads every file of the kind, so only where a name is none of the entries'."""
    result: dict[str, str] = {}
    for name in names(kind):
        found = (_folder(kind) / f"{name}.yaml").read_text(encoding="utf-8")
        if "aliases:" not in found:
            continue
        value = read(found, f"{kind}/{name}.yaml").value
        aliases = value.get("aliases") if isinstance(value, dict) else None
        for alias in aliases if isinstance(aliases, list) else []:
            result.setdefault(_normal(str(alias)), name)
    return result
