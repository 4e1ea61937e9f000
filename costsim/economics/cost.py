"""Cost of the final run on four bases, line by line, and of the programme around it.

Every accelerator-hour is charged once: to the run, to research, or to a line for hours that are paid and not used.
The lines of ``cost.items`` add up to ``cost.total_usd``, those of ``cost.programme_items`` to ``cost.programme_usd``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from costsim.economics.bases import RunUse as RunUse
from costsim.economics.bases import add_up, amortised_items, committed_hours, own_items, purchase_usd, rent_items
from costsim.economics.finance import divide
from costsim.economics.ownership import OwnTerms as OwnTerms
from costsim.economics.ownership import RentTerms as RentTerms
from costsim.economics.ownership import amortised_rate, operation_rate, own_rate, purchase_price, rent_rate
from costsim.errors import InputError, Problem
from costsim.quantities import declare

if TYPE_CHECKING:
    from costsim.economics.bases import Lines
    from costsim.uncertainty.ranges import Num

Basis = Literal["rent", "own", "amortised"]

PROGRAMME_EXTRAS = ("staff", "data", "storage", "network", "egress", "contingency")
"""Lines of the programme beside compute: each is an amount or a share of the whole programme."""


@dataclass(frozen=True)
class Amount:
    """A line of the programme: dollars, plus a share of the whole programme.

    Attributes:
        usd: a fixed sum.
        share: of ``cost.programme_usd`` less ``unused_commitment``, this line included.
    """

    usd: Num = 0.0
    share: Num = 0.0


@dataclass(frozen=True)
class CostTerms:
    """Prices of the ``cost`` section; None is what is not given, and its line is left out.

    Attributes:
        basis: which basis is the total.
        rent: renting; None without a rental price.
        own: owning; None without a purchase price.
        electricity: USD a kWh at the meter.
        research_multiplier: compute of the whole programme over the final run's.
        staff: people of the programme.
        data: licences, collection, annotation.
        storage: of data and checkpoints.
        network: links to the outside.
        egress: data carried out of a cloud.
        contingency: for what is not foreseen.
        on_demand: rent of an hour without a commitment, USD; None where the price book has none.
    """

    basis: Basis
    rent: RentTerms | None
    own: OwnTerms | None
    electricity: Num
    research_multiplier: Num
    staff: Amount | None = None
    data: Amount | None = None
    storage: Amount | None = None
    network: Amount | None = None
    egress: Amount | None = None
    contingency: Amount | None = None
    on_demand: Num | None = None


_USED = " less the unused commitment"
"""What shares of the programme are not taken of."""

# --- the programme ----------------------------------------------------------------------------------------------------


@declare(
    "cost.programme_items.final_run_usd",
    label="final run's hours",
    unit="USD",
    formula="{cost.total_usd} less {cost.items.unused_commitment_usd}",
    source="hours that the final run uses",
    better="lower",
)
@declare(
    "cost.programme_items.research_usd",
    label="research compute",
    unit="USD",
    formula="({cost.research_multiplier} - 1) * {cost.programme_items.final_run_usd}",
    source="ablations, failed and unreleased runs, at the final run's price of an hour",
    better="lower",
)
@declare(
    "cost.programme_items.unused_commitment_usd",
    label="unused commitment",
    unit="USD",
    formula="max(0, {cost.committed_accelerator_hours} - {cost.research_multiplier} * {run.accelerator_hours}) * "
    "{cost.rates.rent_usd_per_accelerator_hour}",
    source="hours that are paid and used neither by the run nor by research",
    better="lower",
)
def compute_lines(use: RunUse, terms: CostTerms, items: Lines) -> Lines:
    """Compute of the programme. Research fills committed hours first, so that no hour is charged twice."""
    used = add_up({name: usd for name, usd in items.items() if name != "unused_commitment"})
    lines: Lines = {"final_run": used, "research": (terms.research_multiplier - 1.0) * used}
    if "unused_commitment" in items and terms.rent is not None:
        hours = terms.research_multiplier * use.accelerator_hours
        unused = np.maximum(0.0, committed_hours(use.accelerators, terms.rent) - hours)
        lines["unused_commitment"] = unused * rent_rate(terms.rent)
    return lines


@declare(
    "cost.programme_items.staff_usd",
    label="staff",
    unit="USD",
    better="lower",
    formula="{cost.staff}: USD, or a share of {cost.programme_usd}" + _USED,
    source="the scenario",
)
@declare(
    "cost.programme_items.data_usd",
    label="data",
    unit="USD",
    better="lower",
    formula="{cost.data}: USD, or a share of {cost.programme_usd}" + _USED,
    source="the scenario",
)
@declare(
    "cost.programme_items.storage_usd",
    label="storage",
    unit="USD",
    better="lower",
    formula="{cost.storage}: USD, or a share of {cost.programme_usd}" + _USED,
    source="the scenario",
)
@declare(
    "cost.programme_items.network_usd",
    label="network",
    unit="USD",
    better="lower",
    formula="{cost.network}: USD, or a share of {cost.programme_usd}" + _USED,
    source="the scenario",
)
@declare(
    "cost.programme_items.egress_usd",
    label="egress",
    unit="USD",
    better="lower",
    formula="{cost.egress}: USD, or a share of {cost.programme_usd}" + _USED,
    source="the scenario",
)
@declare(
    "cost.programme_items.contingency_usd",
    label="contingency",
    unit="USD",
    better="lower",
    formula="{cost.contingency}: USD, or a share of {cost.programme_usd}" + _USED,
    source="the scenario",
)
def programme_lines(compute: Lines, terms: CostTerms) -> Lines:
    """All lines of the programme. Shares are of the whole: ``P = fixed / (1 - shares)``.

    Hours of a commitment that nobody uses take neither people nor spares: they are no part of that whole.

    Raises:
        InputError: the shares leave nothing for compute.
    """
    extras = {name: getattr(terms, name) for name in PROGRAMME_EXTRAS}
    given: dict[str, Amount] = {name: amount for name, amount in extras.items() if amount is not None}
    shares = add_up({name: amount.share for name, amount in given.items()})
    if np.any(np.asarray(shares) >= 1.0):
        named = ", ".join(f"cost.{name}" for name in given)
        raise InputError(
            Problem("the shares add up to the whole programme or more", named, allowed="shares with a sum below 100 %")
        )
    used = add_up({name: usd for name, usd in compute.items() if name != "unused_commitment"})
    fixed = used + add_up({name: amount.usd for name, amount in given.items()})
    whole = fixed / (1.0 - shares)
    return {**compute, **{name: amount.usd + amount.share * whole for name, amount in given.items()}}


@declare(
    "cost.programme_usd",
    label="programme",
    unit="USD",
    formula="the sum of {cost.programme_items.*}",
    source="final run, research, people and everything else: what payback repays",
    better="lower",
)
def programme_usd(lines: Lines) -> Num:
    """Cost of the whole programme."""
    return add_up(lines)


# --- the section ------------------------------------------------------------------------------------------------------


@declare(
    "cost.usd_per_accelerator_hour",
    label="cost of an accelerator-hour",
    unit="USD/h",
    formula="{cost.total_usd} / {run.accelerator_hours}",
    source="all lines of the chosen basis over the hours of the run",
    better="lower",
)
def usd_per_accelerator_hour(total: Num, hours: Num) -> Num:
    """All-in cost of an hour on the chosen basis."""
    return total / hours


def basis_items(use: RunUse, terms: CostTerms) -> dict[str, Lines]:
    """Line items of every basis that has its prices."""
    bases: dict[str, Lines] = {}
    if terms.rent is not None:
        bases["rent"] = rent_items(use, terms.rent)
    if terms.own is not None:
        bases["own"] = own_items(use, terms.own, terms.electricity)
        bases["amortised"] = amortised_items(use, terms.own, terms.electricity)
    return bases


def rates(terms: CostTerms) -> Lines:
    """Rates per accelerator-hour of every basis that has its prices, by path."""
    found: Lines = {}
    if terms.rent is not None:
        found["cost.rates.rent_usd_per_accelerator_hour"] = rent_rate(terms.rent)
    if terms.own is not None:
        found["cost.rates.purchase_usd_per_accelerator"] = purchase_price(terms.own)
        found["cost.rates.own_usd_per_accelerator_hour"] = own_rate(terms.own)
        found["cost.rates.operation_usd_per_accelerator_hour"] = operation_rate(terms.own)
        found["cost.rates.amortised_usd_per_accelerator_hour"] = amortised_rate(terms.own)
    return found


def cost_section(use: RunUse, terms: CostTerms) -> dict[str, Num]:
    """Make the ``cost`` section of a plan.

    A basis without its price is left out of the result.

    Raises:
        InputError: the chosen basis has no price, or shares of the programme leave nothing for compute.
    """
    bases = basis_items(use, terms)
    if terms.basis not in bases:
        path = f"cost.{terms.basis if terms.basis == 'rent' else 'own'}"
        key = "usd_per_accelerator_hour" if terms.basis == "rent" else "usd_per_accelerator"
        raise InputError(Problem(f"the basis '{terms.basis}' has no price", f"{path}.{key}", allowed="a price"))
    items = bases[terms.basis]
    programme = programme_lines(compute_lines(use, terms, items), terms)
    total = add_up(items)
    section: dict[str, Num] = {f"cost.bases.{name}_usd": add_up(lines) for name, lines in bases.items()}
    if terms.own is not None:
        section["cost.bases.purchase_usd"] = purchase_usd(use.accelerators, terms.own)
    if terms.rent is not None:
        section["cost.committed_accelerator_hours"] = committed_hours(use.accelerators, terms.rent)
    found = rates(terms)
    if terms.basis != "rent":
        section["cost.capital_usd_per_accelerator_hour"] = found[f"cost.rates.{terms.basis}_usd_per_accelerator_hour"]
    return {
        "cost.total_usd": total,
        "cost.programme_usd": programme_usd(programme),
        "cost.usd_per_accelerator_hour": usd_per_accelerator_hour(total, use.accelerator_hours),
        **{f"cost.items.{name}_usd": line for name, line in items.items()},
        **{f"cost.programme_items.{name}_usd": line for name, line in programme.items()},
        **section,
        **found,
        **break_even_section(use, terms),
    }


@declare(
    "cost.break_even_utilisation.own_over_rent",
    label="use above which owning is cheaper than renting",
    unit="fraction",
    formula="({cost.rates.own_usd_per_accelerator_hour} + {cost.rates.operation_usd_per_accelerator_hour}) / "
    "({cost.rates.rent_usd_per_accelerator_hour} - {run.energy_kwh} * {cost.site.electricity} / "
    "{run.accelerator_hours})",
    source="an owned hour is paid whether used or not, its electricity only if used; above 1: never",
    better="lower",
)
@declare(
    "cost.break_even_utilisation.term_over_on_demand",
    label="use of the term above which it is cheaper than on demand",
    unit="fraction",
    formula="{cost.rates.rent_usd_per_accelerator_hour} / {cost.rates.on_demand_usd_per_accelerator_hour}",
    source="a commitment is paid whether used or not; above 1: never",
    better="lower",
)
@declare(
    "cost.rates.on_demand_usd_per_accelerator_hour",
    label="rent on demand",
    unit="USD/h",
    formula="the price book's price of {cluster.accelerator} on demand",
    source="the price book",
    better="lower",
)
def break_even_section(use: RunUse, terms: CostTerms) -> Lines:
    """Utilisation at which owning costs what renting does, and a term what hours on demand do."""
    found: Lines = {}
    if terms.rent is None:
        return found
    rent = rent_rate(terms.rent)
    if terms.own is not None:
        power = use.energy_kwh * terms.electricity / use.accelerator_hours
        standing = own_rate(terms.own) + operation_rate(terms.own)
        found["cost.break_even_utilisation.own_over_rent"] = divide(standing, rent - power, np.inf)
    if terms.on_demand is not None:
        found["cost.rates.on_demand_usd_per_accelerator_hour"] = terms.on_demand
        found["cost.break_even_utilisation.term_over_on_demand"] = divide(rent, terms.on_demand, np.inf)
    return found


def not_included(terms: CostTerms) -> list[str]:
    """Lines of the programme that were not given, and so are not part of it: for a note."""
    return [name for name in PROGRAMME_EXTRAS if getattr(terms, name) is None]
