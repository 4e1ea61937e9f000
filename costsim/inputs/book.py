"""A user's own price book: a YAML file that a scenario names by ``prices``; ``costsim prices import`` writes one."""

from __future__ import annotations

import datetime
from typing import Literal

import pydantic

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.fields import Items, Strict, validate
from costsim.inputs.hardware import Origin, Price
from costsim.inputs.kinds import nearest, shown
from costsim.inputs.source import Place, Source
from costsim.inputs.sourced import split_sourced
from costsim.inputs.yaml_source import read_path


class BookFile(Strict):
    """A price book.

    Attributes:
        prices: by accelerator: a catalogue name or an alias.
        sources: that its prices name.
    """

    costsim: Literal[1]
    prices: dict[str, Items[Price]]
    sources: dict[str, Origin] = pydantic.Field(default_factory=dict)

    def of(self, accelerator: Accelerator) -> tuple[Price, ...]:
        """Its prices of an accelerator."""
        names = {name.casefold() for name in (accelerator.name, *accelerator.aliases)}
        return tuple(price for name, prices in self.prices.items() if name.casefold() in names for price in prices)


def read_book(source: Source) -> BookFile:
    """A price book from what was read.

    Raises:
        InputError: every problem of the file; an accelerator that the catalogue lacks is one.
    """
    book = validate(BookFile, split_sourced(source)[0])
    problems = []
    for name, prices in book.prices.items():
        for index, price in enumerate(prices):
            if price.source not in book.sources and not price.source.startswith(("https://", "http://")):
                close = nearest(price.source, book.sources)
                message = f"unknown source {shown(price.source)}" if price.source else "a price needs a source"
                path = f"prices.{name}.{index}.source"
                problems.append(source.position(path).problem(message, path, "a key of 'sources', or a URL", close))
        place = source.position(("prices", name), key=True)
        try:
            load_accelerator(name, place.file, place, f"prices.{name}")
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return book


def load_book(
    reference: str, relative_to: str | None = None, place: Place | None = None, path: str = "prices"
) -> BookFile:
    """A price book by path.

    Args:
        reference: a path.
        relative_to: the file that names it, beside which it is looked up; default the working folder.
        place: where it was named, for messages.
        path: dotted path of the field that named it.

    Raises:
        InputError: there is no such file, or it has problems.
    """
    try:
        source = read_path(catalogue.resolve(reference, relative_to or ""))
    except InputError as error:
        if place is None:
            raise
        told = [p if p.line else place.problem(f"{p.file}: {p.message}", path, p.allowed) for p in error.problems]
        raise InputError(told) from None
    return read_book(source)


def with_book(accelerator: Accelerator, book: BookFile | None, on: datetime.date | None = None) -> Accelerator:
    """An accelerator with a user's prices: those of a kind and term replace all shipped ones of that kind and term.

    Args:
        accelerator: with the prices of its file.
        book: the user's.
        on: a day by which an offer that has expired replaces nothing; default: all replace.
    """
    own = book.of(accelerator) if book is not None else ()
    if book is None or not own:
        return accelerator
    has = {(price.kind, price.term) for price in own if on is None or price.holds(on)}
    kept = tuple(price for price in accelerator.prices if (price.kind, price.term) not in has)
    return accelerator.model_copy(update={"prices": (*own, *kept), "sources": {**accelerator.sources, **book.sources}})
