"""The price book: which dated price of an accelerator a plan takes, and why that one."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, get_args

import pydantic

from costsim.errors import CostsimError, InputError, Problem
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.book import BookFile, with_book
from costsim.inputs.fields import DATE, Date, FieldError, Strict, validate
from costsim.inputs.hardware import Covers, Origin, Price, Term
from costsim.inputs.kinds import Kind, nearest, shown
from costsim.inputs.source import Place
from costsim.uncertainty.ranges import Range

COMPARABLE_DAYS = 90
"""Prices of several providers are compared if they are at most this much older than the newest."""
MARKET = "market"
"""The provider of an index or a survey, which is no single quotation."""
STALE_DAYS = 180
"""A price that is older than this, on the day that it is wanted for, is stale."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A price taken from the book.

    Attributes:
        date: the day it is of.
        provider: who asks it; ``market`` is an index or survey.
        source: identifier of its source in the hardware file.
        stale: whether it is old for the day it is wanted for.
        later: whether it is from after that day, because there is no earlier one.
        note: how it was chosen, in words; empty where there was no choice.
        accelerator: name of the accelerator.
        index: which of the file's prices it is.
    """

    date: datetime.date
    provider: str
    source: str
    stale: bool
    later: bool
    note: str
    accelerator: str
    index: int


@dataclass(frozen=True, kw_only=True)
class Quote(Offer):
    """What an hour of one accelerator costs to rent."""

    usd_per_hour: float
    term: Term


@dataclass(frozen=True, kw_only=True)
class PurchaseQuote(Offer):
    """What one accelerator costs to buy; a range where low and high are known.

    Attributes:
        covers: what the price pays for: the chip alone, its share of a board, or of a whole server.
    """

    usd: float | Range
    covers: Covers


MARK = "book:"
"""What a price by reference begins with, where it is one line of text."""

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class BookEntry(Strict):
    """A price by reference: ``{book: h100-sxm/nebius/on-demand, as_of: 2026-09-01}``.

    The day may stand behind the reference, ``h100-sxm/nebius/on-demand@2026-09-01``; a month means its last day.
    """

    book: str
    as_of: Date | None = None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _day_behind(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or not isinstance(value.get("book"), str) or "@" not in value["book"]:
            return value
        reference, _, day = value["book"].rpartition("@")
        if value.get("as_of") is not None:
            raise FieldError("the day is given twice", field="as_of", allowed="behind the @, or as as_of")
        return {**value, "book": reference, "as_of": _last_day(day.strip())}


def _last_day(text: str) -> str:
    """A day, or the last one of a month, as text."""
    found = _MONTH.fullmatch(text)
    if found is None:
        return text
    year, month = int(found[1]), int(found[2])
    return f"{text}-{calendar.monthrange(year, month)[1]:02d}"


class PriceOrBook(Kind):
    """A price, which may be one line that names one of the book: ``book:h100-sxm/nebius/on-demand@2026-09``."""

    def read(self, value: object) -> Any:
        """Convert a value of a file.

        Raises:
            FieldError: it is neither.
        """
        if not isinstance(value, str) or not value.strip().casefold().startswith(MARK):
            return super().read(value)
        reference, _, day = value.strip()[len(MARK) :].strip().partition("@")
        as_of = DATE.read(_last_day(day.strip())) if day else None
        return BookEntry(book=reference.strip(), as_of=as_of)


def rent_quote(accelerator: Accelerator, term: str, as_of: datetime.date, provider: str | None = None) -> Quote:
    """The rental price of an hour, on a day.

    Of the prices for the term that are not from after the day, the newest counts; where several providers have one
    within 90 days of it, the one in the middle by price. Where all are from after the day, the earliest.

    Args:
        accelerator: whose price.
        term: on-demand, 1-year, 3-year or spot.
        as_of: the day.
        provider: whose offer; default anybody's.

    Raises:
        InputError: the book has no such price; the message says what it has.
    """
    rows = [
        (index, row)
        for index, row in enumerate(accelerator.prices)
        if row.kind == "rent" and row.term == term and (provider is None or _same(row.provider, provider))
    ]
    if term not in get_args(Term) or not rows:
        raise InputError(_no_rent(accelerator, term, provider))
    row, offer = _choose(accelerator, rows, as_of, _hourly)
    if not provider and not offer["note"] and row.provider.casefold() not in ("", MARKET):
        offer["note"] = f"one quotation, {row.provider}'s of {row.date}: others may ask more or less"
    assert row.usd_per_hour is not None
    assert row.term is not None
    return Quote(usd_per_hour=row.usd_per_hour, term=row.term, **offer)


def rent_terms(accelerator: Accelerator, on: datetime.date) -> tuple[Term, ...]:
    """The terms for which the book has a rental price that has not expired by a day, on-demand first."""
    has = {row.term for row in accelerator.prices if row.kind == "rent" and row.holds(on)}
    return tuple(term for term in get_args(Term) if term in has)


def purchase_quote(
    accelerator: Accelerator, as_of: datetime.date, provider: str | None = None, covers: Covers | None = None
) -> PurchaseQuote:
    """The price of owning one accelerator, on a day; chosen as `rent_quote` does.

    Args:
        accelerator: whose price.
        as_of: the day.
        provider: whose offer; default anybody's.
        covers: what the price pays for; default whatever the newest price covers. Prices that cover different things
            are never compared.

    Raises:
        InputError: the book has no such price; the message says what it has.
    """
    rows = [
        (index, row)
        for index, row in enumerate(accelerator.prices)
        if row.kind == "purchase"
        and (provider is None or _same(row.provider, provider))
        and (covers is None or row.covers == covers)
    ]
    if not rows:
        raise InputError(_no_purchase(accelerator, provider, covers))
    rows = [(index, row) for index, row in rows if row.holds(as_of)] or rows
    if covers is None:
        newest = max((row for _, row in rows if row.date <= as_of), key=lambda row: row.date, default=None)
        covered = (newest or min((row for _, row in rows), key=lambda row: row.date)).covers
        rows = [(index, row) for index, row in rows if row.covers == covered]
    row, offer = _choose(accelerator, rows, as_of, _owned)
    assert row.usd is not None
    return PurchaseQuote(usd=row.usd, covers=row.covers, **offer)


def book_quote(
    reference: str,
    as_of: datetime.date,
    relative_to: str | None = None,
    place: Place | None = None,
    path: str = "",
    book: BookFile | None = None,
) -> Quote | PurchaseQuote:
    """The price that a reference names: ``h100-sxm/nebius/on-demand``, ``h100-sxm/1-year`` or ``h100-sxm/purchase``.

    Args:
        reference: accelerator, provider if it matters, and term, with slashes between.
        as_of: the day.
        relative_to: the file that names it, beside which a path to a hardware file is looked up.
        place: where it was said, for messages.
        path: dotted path of the field that said it.
        book: the user's own.

    Raises:
        InputError: it names no price of the book.
    """
    name, provider, term = _parts(reference, place, path)
    accelerator = with_book(load_accelerator(name, relative_to, place, path)[0], book)
    try:
        if term == "purchase":
            return purchase_quote(accelerator, as_of, provider)
        return rent_quote(accelerator, term, as_of, provider)
    except InputError as error:
        raise InputError([_placed(problem, place, path) for problem in error.problems]) from None


def book_date() -> datetime.date:
    """The day of the newest price in the shipped book: where a scenario starts unless it says otherwise.

    Raises:
        CostsimError: the installation lacks it.
    """
    return _book().price_book_date


class _Book(Strict):
    """``data/book.yaml``."""

    costsim: Literal[1]
    price_book_date: Date
    sources: dict[str, Origin]


@cache
def _book() -> _Book:
    from costsim.inputs.catalogue import data_text
    from costsim.inputs.yaml_source import read, split_sourced

    label, text = data_text("book.yaml")
    try:
        return validate(_Book, split_sourced(read(text, label))[0])
    except InputError as error:
        raise CostsimError(f"this installation of costsim is broken: {error}") from None


def _hourly(row: Price) -> float:
    return row.usd_per_hour or 0.0


def _owned(row: Price) -> float:
    amount = row.usd or 0.0
    return amount.centre() if isinstance(amount, Range) else amount


def _choose(
    accelerator: Accelerator, rows: Sequence[tuple[int, Price]], as_of: datetime.date, amount: Callable[[Price], float]
) -> tuple[Price, dict[str, Any]]:
    """The row to take, and how it was chosen, as the fields of an `Offer`."""
    rows = [(index, row) for index, row in rows if row.holds(as_of)]
    if not rows:
        raise InputError(Problem(f"every such price of {accelerator.name} has expired by {as_of}", allowed="state one"))
    past = [(index, row) for index, row in rows if row.date <= as_of]
    if past:
        newest = max(row.date for _, row in past)
        pool = [(index, row) for index, row in past if (newest - row.date).days <= COMPARABLE_DAYS]
    else:
        first = min(row.date for _, row in rows)
        pool = [(index, row) for index, row in rows if row.date == first]
    newest_of = {row.provider.casefold(): (index, row) for index, row in sorted(pool, key=lambda item: item[1].date)}
    ordered = sorted(newest_of.values(), key=lambda item: amount(item[1]))
    index, row = ordered[(len(ordered) - 1) // 2]
    notes = [] if past else [f"no price on or before {as_of}: the earliest after it, of {row.date}"]
    if len(ordered) > 1:
        low, high = amount(ordered[0][1]), amount(ordered[-1][1])
        notes.append(f"{row.provider}: the middle of {len(ordered)} providers, {low:,.5g} to {high:,.5g} USD")
    return row, {
        "date": row.date,
        "provider": row.provider,
        "source": row.source,
        "stale": (as_of - row.date).days > STALE_DAYS,
        "later": not past,
        "note": "; ".join(notes),
        "accelerator": accelerator.name,
        "index": index,
    }


def _same(provider: str, wanted: str) -> bool:
    return provider.casefold() == wanted.strip().casefold()


def _parts(reference: str, place: Place | None, path: str) -> tuple[str, str | None, str]:
    """Accelerator, provider and term of a reference; the accelerator may itself be a path."""
    terms = (*get_args(Term), "purchase")
    pieces = [piece.strip() for piece in reference.split("/")]
    suffix = next((i for i, piece in enumerate(pieces) if piece.casefold().endswith((".yaml", ".yml", ".json"))), 0)
    name, rest = "/".join(pieces[: suffix + 1]), pieces[suffix + 1 :]
    form = "accelerator/term or accelerator/provider/term, such as h100-sxm/nebius/on-demand"
    if not name or len(rest) not in (1, 2) or not all(rest):
        raise InputError(_placed(Problem(f"{shown(reference)} names no price", allowed=form), place, path))
    if rest[-1] not in terms:
        problem = Problem(
            f"unknown term {shown(rest[-1])}",
            allowed=f"one of {', '.join(terms)}",
            suggestion=nearest(rest[-1].replace("_", "-"), terms),
        )
        raise InputError(_placed(problem, place, path))
    return name, rest[0] if len(rest) == 2 else None, rest[-1]


def _placed(problem: Problem, place: Place | None, path: str) -> Problem:
    """The problem, with the place and path of the field that named the price."""
    if problem.line or place is None:
        return replace(problem, path=problem.path or path)
    return place.problem(problem.message, problem.path or path, problem.allowed, problem.suggestion)


def _no_rent(accelerator: Accelerator, term: str, provider: str | None) -> Problem:
    """What is missing, and what there is: terms of the provider, or the providers and terms of the accelerator."""
    rents = [row for row in accelerator.prices if row.kind == "rent"]
    known = term in get_args(Term)
    if not known:
        return Problem(
            f"unknown term {shown(term)}",
            allowed=f"one of {', '.join(get_args(Term))}",
            suggestion=nearest(term.replace("_", "-"), get_args(Term)),
        )
    if not rents:
        return Problem(f"the price book has no rent for {accelerator.name}", allowed="give usd_per_accelerator_hour")
    asked = f"{term} price of {provider}" if provider else f"{term} price"
    message = f"the price book has no {asked} for {accelerator.name}"
    theirs = [row for row in rents if provider is not None and _same(row.provider, provider)]
    if theirs:
        return Problem(message, allowed=f"{provider} has {_listed(row.term for row in theirs)}")
    if provider is not None:
        providers = dict.fromkeys(row.provider for row in rents)
        return Problem(message, allowed=f"it has {_listed(providers)}", suggestion=nearest(provider, providers))
    return Problem(message, allowed=f"it has {_listed(row.term for row in rents)}, or give usd_per_accelerator_hour")


def _no_purchase(accelerator: Accelerator, provider: str | None, covers: Covers | None) -> Problem:
    bought = [row for row in accelerator.prices if row.kind == "purchase"]
    if not bought:
        message = f"the price book has no purchase price for {accelerator.name}"
        return Problem(message, allowed="give usd_per_accelerator")
    asked = (f" of {provider}" if provider else "") + (f" of a {covers}" if covers else "")
    has = _listed(f"{row.provider} ({row.covers})" for row in bought)
    return Problem(f"the price book has no purchase price{asked} for {accelerator.name}", allowed=f"it has {has}")


def _listed(words: Any) -> str:
    return ", ".join(sorted({str(word) for word in words}))
