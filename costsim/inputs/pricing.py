"""Which prices a scenario takes: those that it states, or those of the price book."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from costsim.errors import InputError, Problem
from costsim.inputs.accelerator import Accelerator
from costsim.inputs.money import Cost, Serving
from costsim.inputs.prices import BookEntry, PurchaseQuote, Quote, book_quote, purchase_quote, rent_quote, rent_terms
from costsim.uncertainty.ranges import Range


@dataclass(frozen=True)
class Chosen:
    """A price and why it was taken.

    Attributes:
        value: USD, or USD per hour.
        origin: where it comes from, in words; empty where the scenario states it.
        note: what should be said about the choice.
        covers: of a purchase, what it pays for.
    """

    value: float | Range
    origin: str = ""
    note: str = ""
    covers: str = "chip"


@dataclass(frozen=True)
class Prices:
    """Prices of an accelerator; None where neither the scenario nor the book has one.

    Attributes:
        rent: of an hour of a training accelerator.
        purchase: of a training accelerator.
        serving_rent: of an hour of a serving accelerator.
    """

    rent: Chosen | None
    purchase: Chosen | None
    serving_rent: Chosen | None


def choose(
    cost: Cost,
    serving: Serving | None,
    accelerator: Accelerator,
    server: Accelerator | None,
    start: datetime.date,
    *,
    any_term: bool = False,
) -> Prices:
    """The prices of a scenario.

    Args:
        cost: the cost section.
        serving: the serving section.
        accelerator: of the cluster.
        server: of the service.
        start: the day that prices are of, unless a reference names another.
        any_term: whether the term is only a default, so that another may stand in where the book lacks it.

    Raises:
        InputError: the chosen basis, or serving, has no price.
    """
    problems: list[Problem] = []
    rent_path, own_path = "cost.rent.usd_per_accelerator_hour", "cost.own.usd_per_accelerator"
    served_path = "serving.usd_per_accelerator_hour"
    term = _term(cost.rent.term, accelerator, any_term)
    rent = _rent(cost.rent.usd_per_accelerator_hour, term, accelerator, start, rent_path, problems)
    own = _purchase(cost.own.usd_per_accelerator, accelerator, start, own_path, problems)
    if rent is None and cost.basis == "rent":
        problems.append(_lacking(rent_path, f"no rental price ({cost.rent.term}) of {accelerator.label} is known"))
    if own is None and cost.basis != "rent":
        problems.append(_lacking(own_path, f"no purchase price of {accelerator.label} is known"))
    served = None
    if serving is not None and server is not None:
        stated = serving.usd_per_accelerator_hour
        served = _rent(stated, _term(cost.rent.term, server, any_term), server, start, served_path, problems)
        if served is None and server is accelerator:
            served = rent
        if served is None:
            problems.append(_lacking(served_path, f"no rental price of {server.label} is known"))
    if problems:
        raise InputError(problems)
    return Prices(rent, own, served)


def _term(term: str, accelerator: Accelerator, any_term: bool) -> str:
    """The term whose price is taken: the one asked for, or the first that the book has."""
    has = rent_terms(accelerator)
    return term if term in has or not any_term or not has else has[0]


def _lacking(path: str, message: str) -> Problem:
    return Problem(message, path, allowed="give one, or a reference such as {book: h100-sxm/1-year}")


def _rent(
    stated: object, term: str, accelerator: Accelerator, start: datetime.date, path: str, problems: list[Problem]
) -> Chosen | None:
    """A price of an hour: stated, by reference, or the book's for the term."""
    if isinstance(stated, int | float | Range):
        return Chosen(stated)
    try:
        if isinstance(stated, BookEntry):
            quote = book_quote(stated.book, stated.as_of or start, path=f"{path}.book")
            if isinstance(quote, PurchaseQuote):
                problems.append(Problem("is a purchase price", f"{path}.book", allowed="a rental price"))
                return None
        else:
            quote = rent_quote(accelerator, term, start)
    except InputError as error:
        if isinstance(stated, BookEntry):
            problems += error.problems
        return None
    return Chosen(quote.usd_per_hour, _origin(quote), _note(quote, path))


def _purchase(
    stated: object, accelerator: Accelerator, start: datetime.date, path: str, problems: list[Problem]
) -> Chosen | None:
    """A purchase price: stated, by reference, or the book's."""
    if isinstance(stated, int | float | Range):
        return Chosen(stated)
    try:
        if isinstance(stated, BookEntry):
            quote = book_quote(stated.book, stated.as_of or start, path=f"{path}.book")
            if isinstance(quote, Quote):
                problems.append(Problem("is a rental price", f"{path}.book", allowed="a purchase price"))
                return None
        else:
            quote = purchase_quote(accelerator, start)
    except InputError as error:
        if isinstance(stated, BookEntry):
            problems += error.problems
        return None
    return Chosen(quote.usd, _origin(quote), _note(quote, path), quote.covers)


def _origin(quote: Quote | PurchaseQuote) -> str:
    """Where a price of the book comes from, in words."""
    what = quote.term if isinstance(quote, Quote) else "purchase"
    return f"price book: {quote.accelerator}, {quote.provider or 'market'}, {what}, {quote.date}"


def _note(quote: Quote | PurchaseQuote, path: str) -> str:
    """What should be said about a price of the book; empty if nothing."""
    said = [quote.note] if quote.note else []
    if quote.stale:
        said.append(f"{quote.date} is more than half a year before the start")
    return f"{path}: {'; '.join(said)}" if said else ""
