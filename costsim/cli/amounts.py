"""Numbers on the command line, read by the grammar of scenarios: ``50M``, ``60 days``, ``10k``."""

from __future__ import annotations

from typing import Any


def usd(option: str, text: str | None) -> float | None:
    """An amount of money in USD, with or without its unit."""
    from costsim.inputs import units
    from costsim.inputs.kinds import Kind

    return None if text is None else float(_read(option, text, Kind(units.USD, bare=True)))


def days(option: str, text: str | None) -> float | None:
    """A time in days; a bare number counts days."""
    from costsim.inputs import units
    from costsim.inputs.kinds import Kind

    return None if text is None else float(_read(option, text, Kind(units.TIME, unit="days", bare=True)))


def whole(option: str, text: str | None, least: int = 0) -> int | None:
    """A whole number from zero, or from another least."""
    from costsim.inputs import units
    from costsim.inputs.kinds import Kind

    return None if text is None else int(_read(option, text, Kind(units.COUNT, lower=least, upper=1e18, whole=True)))


def draws(text: str | None) -> int | None:
    """How many draws ``--draws`` asks for."""
    from costsim.inputs import units
    from costsim.inputs.cluster import MOST_DRAWS
    from costsim.inputs.kinds import Kind

    return None if text is None else int(_read("--draws", text, Kind(units.COUNT, upper=MOST_DRAWS, whole=True)))


def _read(option: str, text: str, kind: Any) -> Any:
    """Read a number.

    Raises:
        InputError: it is none, or has the wrong unit; the option is named as its place.
    """
    from dataclasses import replace

    from costsim.errors import InputError
    from costsim.inputs.quantity import parse

    try:
        return parse(text, kind)
    except InputError as error:
        raise InputError([replace(problem, path=option) for problem in error.problems]) from error
