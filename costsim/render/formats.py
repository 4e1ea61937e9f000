"""Which formats there are, which one is meant, and where each is made. A new format is a file here and a line below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from costsim.errors import InputError, Problem
from costsim.render.text import Screen, to_ascii

FORMATS = ("table", "json", "csv", "markdown")
_SUFFIXES = {".txt": "table", ".json": "json", ".csv": "csv", ".md": "markdown", ".markdown": "markdown"}
FILE_SCREEN = Screen()


def choose(asked: str | None, output: str | None, formats: Sequence[str] = FORMATS) -> str:
    """The format that is meant: the one asked for, else that of the output's suffix, else the table.

    Raises:
        InputError: there is no such format here, or the suffix names none.
    """
    allowed = f"formats: {', '.join(formats)}"
    if asked is not None:
        if asked not in formats:
            from costsim.inputs.kinds import nearest

            raise InputError(
                Problem(f"no format '{asked}'", "--format", allowed=allowed, suggestion=nearest(asked, formats))
            )
        return asked
    if output is None or output == "-":
        return formats[0]
    name = output.replace("\\", "/").rsplit("/", 1)[-1]
    suffix = f".{name.rsplit('.', 1)[1].lower()}" if "." in name else ""
    known = {ending: found for ending, found in _SUFFIXES.items() if found in formats}
    if suffix not in known:
        endings = ", ".join(known)
        raise InputError(
            Problem(f"the suffix of '{output}' names no format", "--output", allowed=f"{endings}, or --format")
        )
    return known[suffix]


def plan_text(plan: Mapping[str, Any], kind: str, screen: Screen, *, quiet: bool = False, verbose: bool = False) -> str:
    """A plan in a format."""
    if kind == "table":
        from costsim.render import table

        return table.render(plan, screen, quiet=quiet, verbose=verbose)
    from costsim.render import flat

    if kind == "json":
        return flat.to_json(plan)
    return encodable(flat.to_csv(plan) if kind == "csv" else flat.to_markdown(plan), screen)


def comparison_text(comparison: Mapping[str, Any], kind: str, screen: Screen, *, verbose: bool = False) -> str:
    """A comparison in a format."""
    from costsim.render import comparison as side_by_side

    if kind == "table":
        return side_by_side.render(comparison, screen, verbose=verbose)
    if kind == "json":
        from costsim.render import flat

        return flat.to_json(comparison)
    text = side_by_side.to_csv(comparison) if kind == "csv" else side_by_side.to_markdown(comparison)
    return encodable(text, screen)


def layouts_text(found: Mapping[str, Any], kind: str, screen: Screen) -> str:
    """Ranked layouts in a format."""
    from costsim.render import flat, ranking

    if kind == "table":
        return ranking.render(found, screen)
    if kind == "json":
        return flat.to_json(found)
    return encodable(ranking.to_csv(found) if kind == "csv" else ranking.to_markdown(found), screen)


def validation_text(found: Mapping[str, Any], kind: str, screen: Screen, *, quiet: bool = False) -> str:
    """A validation in a format."""
    from costsim.render import flat, scoreboard

    if kind == "table":
        return scoreboard.render(found, screen, quiet=quiet)
    if kind == "json":
        return flat.to_json(found)
    return encodable(scoreboard.to_csv(found) if kind == "csv" else scoreboard.to_markdown(found), screen)


def bench_text(found: Mapping[str, Any], kind: str, screen: Screen, *, quiet: bool = False) -> str:
    """A bench in a format."""
    from costsim.render import flat, measurements

    if kind == "table":
        return measurements.render(found, screen, quiet=quiet)
    if kind == "json":
        return flat.to_json(found)
    return encodable(measurements.to_csv(found) if kind == "csv" else measurements.to_markdown(found), screen)


def bench_plan_text(planned: Mapping[str, Any], kind: str, screen: Screen, *, quiet: bool = False) -> str:
    """What a bench would measure, in a format."""
    from costsim.render import flat, measurements

    if kind == "table":
        return measurements.plan_page(planned, screen, quiet=quiet)
    if kind == "json":
        return flat.to_json(planned)
    text = measurements.plan_csv(planned) if kind == "csv" else measurements.plan_markdown(planned)
    return encodable(text, screen)


def catalogue_text(kind: str, name: str | None, chosen: str, screen: Screen) -> str:
    """A list of the catalogue, or one entry of it, in a format."""
    from costsim.render import catalogue, flat

    if name is None:
        found = catalogue.listing(kind)
        made = {"csv": catalogue.listing_csv, "markdown": catalogue.listing_markdown}
        paged = catalogue.listing_text
    else:
        found = catalogue.entry(kind, name)
        made = {"csv": catalogue.entry_csv, "markdown": catalogue.entry_markdown}
        paged = catalogue.entry_text
    if chosen == "table":
        return paged(found, screen)
    return flat.to_json(found) if chosen == "json" else encodable(made[chosen](found), screen)


def encodable(text: str, screen: Screen) -> str:
    """Text as it is, or in ASCII where the output has no more."""
    return text if screen.unicode else to_ascii(text)
