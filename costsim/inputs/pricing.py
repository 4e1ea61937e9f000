"""Which prices a scenario takes: those that it states, or those of the price book."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import get_args

from costsim.errors import InputError, Problem
from costsim.inputs.accelerator import Accelerator
from costsim.inputs.book import BookFile
from costsim.inputs.hardware import Price, Term
from costsim.inputs.money import Cost, Serving
from costsim.inputs.prices import BookEntry, PurchaseQuote, Quote, book_quote, purchase_quote, rent_quote, rent_terms
from costsim.inputs.source import Place
from costsim.uncertainty.ranges import Range

PURCHASE = "purchase"
"""What is sold where it is no term of rent."""


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
        notes: prices that the user's own book lacks, so that it was not used for them.
    """

    rent: Chosen | None
    purchase: Chosen | None
    serving_rent: Chosen | None
    notes: tuple[str, ...] = ()


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
    term = _term(cost.rent.term, accelerator, any_term, start)
    find = _Finder(start, place_of, problems, book)
    rent = find.rent(cost.rent.usd_per_accelerator_hour, term, accelerator, rent_path)
    own = find.purchase(cost.own.usd_per_accelerator, accelerator, own_path)
    if rent is None and cost.basis == "rent" and not problems:
        problems.append(_lacking(rent_path, _no_rent(accelerator, cost.rent.term, start)))
    if rent is not None and cost.rent.usd_per_accelerator_hour is None and term != cost.rent.term:
        if cost.rent.commitment:
            problems.append(_lacking(rent_path, _no_rent(accelerator, cost.rent.term, start)))
        note = f"{rent_path}: {_without(accelerator, cost.rent.term, start)}; {term} stands in"
        rent = replace(rent, note="; ".join(filter(None, (note, rent.note.removeprefix(f"{rent_path}: ")))))
    if own is None and cost.basis != "rent" and not problems:
        problems.append(_lacking(own_path, _no_purchase(accelerator, start)))
    sold = term if cost.basis == "rent" else PURCHASE
    stated = cost.rent.usd_per_accelerator_hour if cost.basis == "rent" else cost.own.usd_per_accelerator
    notes = [_unused(book, accelerator, sold, start)] if stated is None else []
    if book is not None and isinstance(stated, int | float | Range):
        notes.append(f"prices: {rent_path if cost.basis == 'rent' else own_path} is stated, so your book was not asked")
    served = None
    if serving is not None and server is not None:
        stated = serving.usd_per_accelerator_hour
        if stated is None and server.name == accelerator.name and cost.rent.usd_per_accelerator_hour is not None:
            return _checked(problems, rent, own, rent, notes)  # one chip has one price, unless another is stated
        term = _term(cost.rent.term, server, any_term, start)
        served = find.rent(stated, term, server, served_path)
        if served is None and server is accelerator:
            served = rent
        if served is None and not problems:
            problems.append(_lacking(served_path, _no_rent(server, cost.rent.term, start)))
        if stated is None and served is not None and served is not rent:
            notes.append(_unused(book, server, term, start))
    return _checked(problems, rent, own, served, notes)


def _checked(
    problems: list[Problem], rent: Chosen | None, own: Chosen | None, served: Chosen | None, notes: list[str]
) -> Prices:
    """Prices, where nothing is wrong with them.

    Raises:
        InputError: the problems.
    """
    if problems:
        raise InputError(problems)
    return Prices(rent, own, served, tuple(dict.fromkeys(filter(None, notes))))


def _term(term: str, accelerator: Accelerator, any_term: bool, start: datetime.date) -> str:
    """The term whose price is taken: the one asked for, or the first that the book has."""
    has = rent_terms(accelerator, start)
    return term if term in has or not any_term or not has else has[0]


def _expired(prices: Iterable[Price], sold: str, start: datetime.date) -> datetime.date | None:
    """The last day of offers of a kind that have all expired; None where one holds, or there are none."""
    offers = [price for price in prices if price.sold == sold]
    if not offers or any(price.holds(start) for price in offers):
        return None
    return max(price.until for price in offers if price.until is not None)


def _without(accelerator: Accelerator, term: str, start: datetime.date) -> str:
    """That the price book has no price of a term, or that it has expired."""
    if ended := _expired(accelerator.prices, term, start):
        return f"the {term} price of {accelerator.label} expired on {ended}"
    return f"the price book has no {term} price of {accelerator.label}"


def _no_rent(accelerator: Accelerator, term: str, start: datetime.date) -> str:
    """That the book has no rental price of a term, or an expired one, and which it has on the day."""
    has, label = rent_terms(accelerator, start), accelerator.label
    if ended := _expired(accelerator.prices, term, start):
        others = f"only {' and '.join(has)}" if has else "nor any other"
        return f"the {term} rental price of {label} expired on {ended}: none holds on {start}, {others}"
    if not has:
        return f"no rental price of {label} is known"
    return f"no {term} rental price of {label} is known, only {' and '.join(has)}"


def _no_purchase(accelerator: Accelerator, start: datetime.date) -> str:
    """That the book has no purchase price, or that it has expired."""
    if ended := _expired(accelerator.prices, PURCHASE, start):
        return f"the purchase price of {accelerator.label} expired on {ended}: none holds on {start}"
    return f"no purchase price of {accelerator.label} is known"


def _unused(book: BookFile | None, accelerator: Accelerator, sold: str, start: datetime.date) -> str:
    """Why the user's own book was not used for a price: it has none of the kind, or it has expired; empty if it was."""
    if book is None:
        return ""
    own, label = book.of(accelerator), accelerator.label
    has = {price.sold for price in own if price.holds(start)}
    if sold in has:
        return ""
    if ended := _expired(own, sold, start):
        return f"prices: the {sold} price of {label} in your book expired on {ended} and was not used"
    if not own:
        return f"prices: your book has no price of {label} and was not used for it"
    names = " and ".join(name for name in (*get_args(Term), PURCHASE) if name in has) or "expired ones"
    hint = "" if sold == PURCHASE else "; cost.rent.term chooses another"
    return f"prices: your book has no {sold} price of {label}, only {names}, and was not used for it{hint}"


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
        return self.chosen(stated, Quote, lambda: rent_quote(accelerator, term, self.start), path, accelerator)

    def purchase(self, stated: object, accelerator: Accelerator, path: str) -> Chosen | None:
        """A purchase price: stated, by reference, or the book's."""
        return self.chosen(stated, PurchaseQuote, lambda: purchase_quote(accelerator, self.start), path, accelerator)

    def chosen(
        self,
        stated: object,
        wanted: type[Quote] | type[PurchaseQuote],
        from_book: Callable[[], Quote | PurchaseQuote],
        path: str,
        accelerator: Accelerator,
    ) -> Chosen | None:
        """A price that is stated, that a reference names, or that the book has; None and a problem noted otherwise.

        Args:
            stated: what the scenario says: a number, a range, a reference, or nothing.
            wanted: the kind of price.
            from_book: takes the book's where nothing is stated.
            path: of the field.
            accelerator: that the price is for.
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
        note = _note(quote, path, accelerator)
        if isinstance(quote, Quote):
            return Chosen(quote.usd_per_hour, _origin(quote), note, warning=_warning(quote))
        return Chosen(quote.usd, _origin(quote), note, quote.covers, _warning(quote))


def _origin(quote: Quote | PurchaseQuote) -> str:
    """Where a price of the book comes from, in words."""
    what = quote.term if isinstance(quote, Quote) else "purchase"
    return f"price book: {quote.accelerator}, {quote.provider or 'market'}, {what}, {quote.date}"


def _note(quote: Quote | PurchaseQuote, path: str, accelerator: Accelerator) -> str:
    """What should be said about a price of the book, as that it is of another accelerator; empty if nothing."""
    another = quote.accelerator != accelerator.name
    whose = f"the price is of {quote.accelerator}, and not of {accelerator.name}" if another else ""
    said = "; ".join(filter(None, (whose, quote.note)))
    return f"{path}: {said}" if said else ""


def _warning(quote: Quote | PurchaseQuote) -> str:
    """That a price is stale."""
    if not quote.stale:
        return ""
    return f"the price is of {quote.date}, more than half a year before the start"
