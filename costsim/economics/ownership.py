"""What an accelerator-hour costs: rented, owned by three methods of charging capital, or amortised by Epoch's.

All rates are USD per accelerator-hour. Ages and lives are years, shares are fractions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from costsim.economics.calendar import DAYS_PER_YEAR, HOURS_PER_YEAR
from costsim.quantities import declare

if TYPE_CHECKING:
    import datetime

    from costsim.uncertainty.ranges import Num

Method = Literal["capital_recovery", "straight_line", "declining"]

DAYS_FROM_RELEASE_TO_PURCHASE = 90
"""Epoch's convention: large buyers receive a chip 90 days after its release."""


@dataclass(frozen=True)
class RentTerms:
    """Renting accelerators.

    Attributes:
        usd_per_accelerator_hour: list price.
        discount: off the list price.
        commitment_hours: hours of each accelerator that are billed whether used or not; 0 without a commitment.
    """

    usd_per_accelerator_hour: Num
    discount: Num = 0.0
    commitment_hours: Num = 0.0

    @property
    def term_months(self) -> Num:
        """Months over which a commitment is billed; 0 without one."""
        return self.commitment_hours * (12 / HOURS_PER_YEAR)


@dataclass(frozen=True)
class OwnTerms:
    """Owning accelerators.

    Attributes:
        usd_per_accelerator: price of one, without the rest of its server unless ``server_factor`` is 1.
        server_factor: server over the accelerators in it.
        network_share: network between servers, of the whole cluster.
        life: over which capital is charged, years.
        residual: value at the end of that life, of the purchase price.
        capital_cost: yearly cost of capital.
        occupancy: share of owned hours that are put to use, by this run or other work.
        operation: space, staff, spares and maintenance a year, of the purchase price.
        age: of the hardware when the run starts, years; for Epoch's method.
        progress: yearly fall of a chip's value in orders of magnitude, Epoch's method.
        method: how capital is charged to an hour.
        book_age: the same for the declining method, 0 for hardware bought at the start; None for ``age``.
    """

    usd_per_accelerator: Num
    server_factor: Num
    network_share: Num
    life: Num
    residual: Num
    capital_cost: Num
    occupancy: Num
    operation: Num
    age: Num
    progress: Num
    method: Method = "capital_recovery"
    book_age: Num | None = None


def years_since_purchase(released: datetime.date, start: datetime.date) -> float:
    """Age of hardware when a run starts: bought 90 days after its release, or just before the run.

    Source: Cottier et al. 2024 (arXiv 2405.21015), appendix on amortised cost.
    """
    return max(0.0, ((start - released).days - DAYS_FROM_RELEASE_TO_PURCHASE) / DAYS_PER_YEAR)


@declare(
    "cost.rates.rent_usd_per_accelerator_hour",
    label="rent",
    unit="USD/h",
    formula="{cost.rent.usd_per_accelerator_hour} * (1 - {cost.rent.discount})",
    source="list price less discount",
    better="lower",
)
def rent_rate(terms: RentTerms) -> Num:
    """Rent of an accelerator for an hour."""
    return terms.usd_per_accelerator_hour * (1.0 - terms.discount)


@declare(
    "cost.rates.purchase_usd_per_accelerator",
    label="purchase price with server and network",
    unit="USD",
    formula="{cost.own.usd_per_accelerator} * {cost.own.server_factor} / (1 - {cost.own.network_share})",
    source="Cottier et al. 2024 (arXiv 2405.21015): server overhead, network as a share of the cluster",
    better="lower",
)
def purchase_price(terms: OwnTerms) -> Num:
    """Price of an accelerator with its share of server and network, USD."""
    return terms.usd_per_accelerator * terms.server_factor / (1.0 - terms.network_share)


def capital_recovery_factor(rate: Num, years: Num) -> Num:
    """Yearly payment that repays 1 with interest over some years: ``r / (1 - (1 + r)^-n)``; ``1/n`` as r goes to 0.

    Source: any text on engineering economics; `pmt` of spreadsheets.
    """
    r = np.asarray(rate, dtype=np.float64)
    positive = np.where(r > 0, r, 1.0)
    annuity = positive / -np.expm1(-years * np.log1p(positive))
    factor: Num = np.where(r > 0, annuity, 1.0 / years)[()]
    return factor


def capital_recovery_share(terms: OwnTerms) -> Num:
    """Yearly charge of the capital-recovery method, of the purchase price: interest included.

    Annuity on what is lost over the life, interest on what is left at its end: ``(1 - s) crf + s r``.
    """
    factor = capital_recovery_factor(terms.capital_cost, terms.life)
    return (1.0 - terms.residual) * factor + terms.residual * terms.capital_cost


def straight_line_share(terms: OwnTerms) -> Num:
    """Yearly charge in equal parts, of the purchase price: a book view, without cost of capital."""
    return (1.0 - terms.residual) / terms.life


def declining_share(terms: OwnTerms) -> Num:
    """Charge of the year that the hardware is in, by double-declining balance, of the purchase price.

    Twice the straight-line rate on the book value at the start of the year; straight line over the years left once
    that is more; never below the residual; nothing after the life. A book view, without cost of capital.
    """
    years = terms.life
    age = np.asarray((terms.age if terms.book_age is None else terms.book_age) + 0.0 * years)
    book, charge = np.ones_like(age), np.zeros_like(age)
    for year in range(int(np.floor(np.max(age))) + 1):
        left = years - year
        even = (book - terms.residual) / np.maximum(left, 1.0)
        due = np.minimum(np.maximum(2.0 / years * book, even), book - terms.residual)
        due = np.where(left > 0, np.maximum(0.0, due), 0.0)
        charge = np.where(np.floor(age) == year, due, charge)
        book = book - due
    share: Num = charge[()]
    return share


@declare(
    "cost.rates.own_usd_per_accelerator_hour",
    label="capital of an owned hour",
    unit="USD/h",
    formula="{cost.rates.purchase_usd_per_accelerator} times the yearly charge of {cost.own.method} over "
    "{cost.own.life}, over 8766",
    source="capital recovery factor, straight line, or double-declining balance",
    better="lower",
)
def own_rate(terms: OwnTerms) -> Num:
    """Capital charged to an hour of an owned accelerator, server and network, by the stated method."""
    shares = {
        "capital_recovery": capital_recovery_share,
        "straight_line": straight_line_share,
        "declining": declining_share,
    }
    return purchase_price(terms) * shares[terms.method](terms) / HOURS_PER_YEAR


@declare(
    "cost.rates.operation_usd_per_accelerator_hour",
    label="operation of an owned hour",
    unit="USD/h",
    formula="{cost.rates.purchase_usd_per_accelerator} * {cost.own.operation} / 8766",
    source="a yearly share of the purchase price",
    better="lower",
)
def operation_rate(terms: OwnTerms) -> Num:
    """Space, staff, spares and maintenance of an owned accelerator for an hour."""
    return purchase_price(terms) * terms.operation / HOURS_PER_YEAR


@declare(
    "cost.rates.amortised_usd_per_accelerator_hour",
    label="capital of an amortised hour",
    unit="USD/h",
    formula="{cost.rates.purchase_usd_per_accelerator} * 10 ** (-{cost.amortised.progress} * {cost.own.age})"
    " * {cost.amortised.progress} * 2.302585092994046 / 8766",
    source="Cottier et al. 2024 (arXiv 2405.21015): value falls by 0.14 orders of magnitude a year",
    better="lower",
)
def amortised_rate(terms: OwnTerms) -> Num:
    """Fall of the hardware's value in an hour at the start of the run, by Epoch's method.

    The rate at the start is charged throughout; the cluster is taken to be always busy.
    """
    value = purchase_price(terms) * 10.0 ** (-terms.progress * terms.age)
    return value * terms.progress * math.log(10) / HOURS_PER_YEAR
