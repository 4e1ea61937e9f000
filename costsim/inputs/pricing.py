"""Which prices a scenario takes: those that it states, or those of the price book."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace

from costsim.errors import InputError, Problem
from costsim.inputs.accelerator import Accelerator
from costsim.inputs.book import BookFile
from costsim.inputs.money import Cost, Serving
from costsim.inputs.prices import BookEntry, PurchaseQuote, Quote, book_quote, purchase_quote, rent_quote, rent_terms
from costsim.inputs.source import Place
from costsim.uncertainty.ranges import Range


@dataclass(frozen=True)
class Chosen:
    """A price and why it was taken.

    Attributes:
        value: USD, or USD per hour.
        origin: where it comes from, in words; empty where the scenario states it.
        note: what should be said about the choice.
        covers: of a purchase, what it pays for.
        warning: that the price is old for the day it is wanted for; empty if it is not.
    """

    value: float | Range
    origin: str = ""
    note: str = ""
    covers: str = "chip"
    warning: str = ""


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
    place_of: Callable[[str], Place] = lambda _: Place(""),
    book: BookFile | None = None,
) -> Prices:
    """The prices of a scenario.

    Args:
        cost: the cost section.
        serving: the serving section.
        accelerator: of the cluster.
        server: of the service.
        start: the day that prices are of, unless a reference names another.
        any_term: whether the term is only a default, so that another may stand in where the book lacks it.
        place_of: where a path of the scenario was said, beside which a reference may name a hardware file.
        book: the user's own, which the accelerators have already.

    Raises:
        InputError: the chosen basis, or serving, has no price.
    """
    problems: list[Problem] = []
    rent_path, own_path = "cost.rent.usd_per_accelerator_hour", "cost.own.usd_per_accelerator"
    served_path = "serving.usd_per_accelerator_hour"
    term = _term(cost.rent.term, accelerator, any_term)
    find = _Finder(start, place_of, problems, book)
    rent = find.rent(cost.rent.usd_per_accelerator_hour, term, accelerator, rent_path)
    own = find.purchase(cost.own.usd_per_accelerator, accelerator, own_path)
    if rent is None and cost.basis == "rent" and not problems:
        problems.append(_lacking(rent_path, _no_rent(accelerator, cost.rent.term)))
    if rent is not None and cost.rent.usd_per_accelerator_hour is None and term != cost.rent.term:
        if cost.rent.commitment:
            problems.append(_lacking(rent_path, _no_rent(accelerator, cost.rent.term)))
        note = f"{rent_path}: the price book has no {cost.rent.term} price of {accelerator.label}; {term} stands in"
        rent = replace(rent, note="; ".join(filter(None, (note, rent.note.removeprefix(f"{rent_path}: ")))))
    if own is None and cost.basis != "rent" and not problems:
        problems.append(_lacking(own_path, f"no purchase price of {accelerator.label} is known"))
    served = None
    if serving is not None and server is not None:
        stated = serving.usd_per_accelerator_hour
        if stated is None and server.name == accelerator.name and cost.rent.usd_per_accelerator_hour is not None:
            return _checked(problems, Prices(rent, own, rent))  # one chip has one price, unless another is stated
        served = find.rent(stated, _term(cost.rent.term, server, any_term), server, served_path)
        if served is None and server is accelerator:
            served = rent
        if served is None and not problems:
            problems.append(_lacking(served_path, _no_rent(server, cost.rent.term)))
    return _checked(problems, Prices(rent, own, served))


def _checked(problems: list[Problem], found: Prices) -> Prices:
    """Prices, where nothing is wrong with them.

    Raises:
        InputError: the problems.
    """
    if problems:
        raise InputError(problems)
    return found


def _term(term: str, accelerator: Accelerator, any_term: bool) -> str:
    """The term whose price is taken: the one asked for, or the first that the book has."""
    has = rent_terms(accelerator)
    return term if term in has or not any_term or not has else has[0]


def _no_rent(accelerator: Accelerator, term: str) -> str:
    """That the book has no rental price of a term, and which it has."""
    has = rent_terms(accelerator)
    if not has:
        return f"no rental price of {accelerator.label} is known"
    return f"no {term} rental price of {accelerator.label} is known, only {' and '.join(has)}"


def _lacking(path: str, message: str) -> Problem:
    return Problem(message, path, allowed="give a price, or name one of the price book: {book: accelerator/term}")


@dataclass(frozen=True)
class _Finder:
    """Finds prices of a day.

    Attributes:
        start: the day that a reference without a day is of.
        place_of: where a path of the scenario was said.
        problems: what is wrong with a reference is added here; a book without the price is not a problem by itself.
        book: the user's own.
    """

    start: datetime.date
    place_of: Callable[[str], Place]
    problems: list[Problem]
    book: BookFile | None = None

    def rent(self, stated: object, term: str, accelerator: Accelerator, path: str) -> Chosen | None:
        """A price of an hour: stated, by reference, or the book's for the term."""
        return self.chosen(stated, Quote, lambda: rent_quote(accelerator, term, self.start), path)

    def purchase(self, stated: object, accelerator: Accelerator, path: str) -> Chosen | None:
        """A purchase price: stated, by reference, or the book's."""
        return self.chosen(stated, PurchaseQuote, lambda: purchase_quote(accelerator, self.start), path)

    def chosen(
        self,
        stated: object,
        wanted: type[Quote] | type[PurchaseQuote],
        from_book: Callable[[], Quote | PurchaseQuote],
        path: str,
    ) -> Chosen | None:
        """A price that is stated, that a reference names, or that the book has; None and a problem noted otherwise.

        Args:
            stated: what the scenario says: a number, a range, a reference, or nothing.
            wanted: the kind of price.
            from_book: takes the book's where nothing is stated.
            path: of the field.
        """
        if isinstance(stated, int | float | Range):
            return Chosen(stated)
        place = self.place_of(f"{path}.book")
        try:
            if isinstance(stated, BookEntry):
                day = stated.as_of or self.start
                quote = book_quote(stated.book, day, place.file, place, f"{path}.book", self.book)
            else:
                quote = from_book()
        except InputError as error:
            self.problems.extend(error.problems if isinstance(stated, BookEntry) else ())
            return None
        if not isinstance(quote, wanted):
            rental = wanted is Quote
            is_, expected = ("a purchase price", "a rental price") if rental else ("a rental price", "a purchase price")
            self.problems.append(Problem(f"is {is_}", f"{path}.book", allowed=f"expected {expected}"))
            return None
        if isinstance(quote, Quote):
            return Chosen(quote.usd_per_hour, _origin(quote), _note(quote, path), warning=_warning(quote))
        return Chosen(quote.usd, _origin(quote), _note(quote, path), quote.covers, _warning(quote))


def _origin(quote: Quote | PurchaseQuote) -> str:
    """Where a price of the book comes from, in words."""
    what = quote.term if isinstance(quote, Quote) else "purchase"
    return f"price book: {quote.accelerator}, {quote.provider or 'market'}, {what}, {quote.date}"


def _note(quote: Quote | PurchaseQuote, path: str) -> str:
    """What should be said about a price of the book; empty if nothing."""
    return f"{path}: {quote.note}" if quote.note else ""


def _warning(quote: Quote | PurchaseQuote) -> str:
    """That a price is stale."""
    if not quote.stale:
        return ""
    return f"the price is of {quote.date}, more than half a year before the start"
