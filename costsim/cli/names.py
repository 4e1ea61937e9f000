"""Names for shell completion: listed when the shell asks, from the catalogue's file names alone."""

from __future__ import annotations

from collections.abc import Iterator

KINDS = ("hardware", "models", "laws", "stacks", "sites", "scenarios")


def scenarios(incomplete: str) -> list[str]:
    """Scenarios that begin so; the shell itself completes files."""
    return list(_of("scenarios", incomplete))


def kinds(incomplete: str) -> list[str]:
    """Kinds of catalogue entries that begin so."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


def _of(kind: str, incomplete: str) -> Iterator[str]:
    from costsim.inputs import catalogue

    yield from (name for name in catalogue.names(kind) if name.startswith(incomplete))
