"""Lines of the final run on each basis: rent, own, amortised; and the price of the whole cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costsim.economics.ownership import (
    OwnTerms,
    RentTerms,
    amortised_rate,
    operation_rate,
    own_rate,
    purchase_price,
    rent_rate,
)
from costsim.quantities import declare

if TYPE_CHECKING:
    from typing import TypeAlias

    from costsim.uncertainty.ranges import Num

    Lines: TypeAlias = dict[str, Num]


@dataclass(frozen=True)
class RunUse:
    """What the run uses of the cluster: figures of the ``run`` section.

    Attributes:
        accelerators: in the cluster.
        accelerator_hours: billed, lost time included.
        energy_kwh: at the meter.
    """

    accelerators: Num
    accelerator_hours: Num
    energy_kwh: Num


# --- lines of the final run -------------------------------------------------------------------------------------------


@declare(
    "cost.committed_accelerator_hours",
    label="committed hours",
    unit="h",
    formula="{cluster.accelerators} times the hours of {cost.rent.term} if {cost.rent.commitment}, else 0",
    source="a commitment bills its whole term",
)
def committed_hours(accelerators: Num, rent: RentTerms) -> Num:
    """Accelerator-hours that are billed whether used or not."""
    return accelerators * rent.commitment_hours


@declare(
    "cost.items.rental_usd",
    label="rental",
    unit="USD",
    formula="{run.accelerator_hours} * {cost.rates.rent_usd_per_accelerator_hour}",
    source="hours times rate",
    better="lower",
)
@declare(
    "cost.items.unused_commitment_usd",
    label="rest of the commitment",
    unit="USD",
    formula="max(0, {cost.committed_accelerator_hours} - {run.accelerator_hours}) * "
    "{cost.rates.rent_usd_per_accelerator_hour}",
    source="hours that are paid and not used by the final run; research fills them first, see the programme",
    better="lower",
)
def rent_items(use: RunUse, rent: RentTerms) -> Lines:
    """Lines of renting: hours used, and hours committed beyond them (after the term the same rate goes on)."""
    rate = rent_rate(rent)
    unused = np.maximum(0.0, committed_hours(use.accelerators, rent) - use.accelerator_hours)
    lines: Lines = {"rental": use.accelerator_hours * rate}
    if np.any(np.asarray(rent.commitment_hours) > 0):
        lines["unused_commitment"] = unused * rate
    return lines


@declare(
    "cost.items.accelerators_usd",
    label="accelerators",
    unit="USD",
    formula="{run.accelerator_hours} * {cost.capital_usd_per_accelerator_hour} * (1 - {cost.own.network_share}) / "
    "{cost.own.server_factor}",
    source="capital charge, the accelerators' part",
    better="lower",
)
@declare(
    "cost.items.servers_usd",
    label="rest of the servers",
    unit="USD",
    formula="{run.accelerator_hours} * {cost.capital_usd_per_accelerator_hour} * (1 - {cost.own.network_share}) * "
    "(1 - 1 / {cost.own.server_factor})",
    source="capital charge, the part of processors, memory, disks and cases",
    better="lower",
)
@declare(
    "cost.items.network_usd",
    label="network",
    unit="USD",
    formula="{run.accelerator_hours} * {cost.capital_usd_per_accelerator_hour} * {cost.own.network_share}",
    source="capital charge, the part of the network between servers",
    better="lower",
)
@declare(
    "cost.capital_usd_per_accelerator_hour",
    label="capital charged to an hour",
    unit="USD/h",
    formula="{cost.rates.own_usd_per_accelerator_hour} or {cost.rates.amortised_usd_per_accelerator_hour}, "
    "by {cost.basis}",
    source="the chosen basis",
    better="lower",
)
def capital_items(use: RunUse, own: OwnTerms, rate: Num) -> Lines:
    """Capital charged to the run at a rate per hour, by what was bought."""
    charge = use.accelerator_hours * rate
    servers = charge * (1.0 - own.network_share)
    return {
        "accelerators": servers / own.server_factor,
        "servers": servers * (1.0 - 1.0 / own.server_factor),
        "network": charge * own.network_share,
    }


@declare(
    "cost.items.energy_usd",
    label="electricity",
    unit="USD",
    formula="{run.energy_kwh} * {cost.site.electricity}",
    source="energy times price; under rent it is part of the rent",
    better="lower",
)
def energy_usd(kwh: Num, usd_per_kwh: Num) -> Num:
    """Electricity bill of the run."""
    return kwh * usd_per_kwh


@declare(
    "cost.items.operation_usd",
    label="operation",
    unit="USD",
    formula="{run.accelerator_hours} * {cost.rates.operation_usd_per_accelerator_hour}",
    source="hours times rate",
    better="lower",
)
@declare(
    "cost.items.idle_usd",
    label="idle hours",
    unit="USD",
    formula="{run.accelerator_hours} * (1 / {cost.own.occupancy} - 1) * "
    "({cost.rates.own_usd_per_accelerator_hour} + {cost.rates.operation_usd_per_accelerator_hour})",
    source="the run's share of the hours in which an owned cluster stands idle",
    better="lower",
)
def own_items(use: RunUse, own: OwnTerms, electricity: Num) -> Lines:
    """Lines of owning: capital, idle hours, energy, operation."""
    capital, operation = own_rate(own), operation_rate(own)
    idle_hours = use.accelerator_hours * (1.0 / own.occupancy - 1.0)
    return {
        **capital_items(use, own, capital),
        "idle": idle_hours * (capital + operation),
        "energy": energy_usd(use.energy_kwh, electricity),
        "operation": use.accelerator_hours * operation,
    }


def amortised_items(use: RunUse, own: OwnTerms, electricity: Num) -> Lines:
    """Lines of Epoch's method: loss of value of the hardware, and energy."""
    return {**capital_items(use, own, amortised_rate(own)), "energy": energy_usd(use.energy_kwh, electricity)}


# --- totals -------------------------------------------------------------------------------------------------------


@declare(
    "cost.bases.rent_usd",
    label="rent",
    unit="USD",
    formula="max({run.accelerator_hours}, {cost.committed_accelerator_hours}) * "
    "{cost.rates.rent_usd_per_accelerator_hour}",
    source="hours times rate; a commitment bills its whole term",
    better="lower",
)
@declare(
    "cost.bases.own_usd",
    label="own",
    unit="USD",
    formula="{run.accelerator_hours} / {cost.own.occupancy} * ({cost.rates.own_usd_per_accelerator_hour} + "
    "{cost.rates.operation_usd_per_accelerator_hour}) + {run.energy_kwh} * {cost.site.electricity}",
    source="the run's share of owning, energy and operation",
    better="lower",
)
@declare(
    "cost.bases.amortised_usd",
    label="amortised",
    unit="USD",
    formula="{run.accelerator_hours} * {cost.rates.amortised_usd_per_accelerator_hour} + "
    "{run.energy_kwh} * {cost.site.electricity}",
    source="Cottier et al. 2024 (arXiv 2405.21015): amortised hardware and energy",
    better="lower",
)
@declare(
    "cost.total_usd",
    label="final run",
    unit="USD",
    formula="the sum of {cost.items.*}: the basis that {cost.basis} names",
    source="line items of the chosen basis",
    better="lower",
)
def add_up(lines: Lines) -> Num:
    """Sum of line items."""
    total: Num = 0.0
    for line in lines.values():
        total = total + line
    return total


@declare(
    "cost.bases.purchase_usd",
    label="purchase",
    unit="USD",
    formula="{cluster.accelerators} * {cost.rates.purchase_usd_per_accelerator}",
    source="buying the whole cluster, whatever part of its life the run uses",
    better="lower",
)
def purchase_usd(accelerators: Num, own: OwnTerms) -> Num:
    """Price of the whole cluster: accelerators, servers, network."""
    return accelerators * purchase_price(own)
