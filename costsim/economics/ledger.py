"""Clock one: what goes out month by month until the run ends, and which accelerator-hours it pays for.

Every hour of a fleet is charged once: to the final run, to research, to serving, or to a line of hours that are paid
and stand idle. The lines of a month add up to its share of the programme.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costsim.economics.bases import RunUse, committed_hours
from costsim.economics.calendar import DAYS_PER_MONTH, PER_MILLION
from costsim.economics.cohort import MAX_MONTHS, rest, spread
from costsim.quantities import declare

if TYPE_CHECKING:
    from collections.abc import Mapping

    from costsim.economics.cost import CostTerms
    from costsim.uncertainty.ranges import Num


# --- accelerator-hours ------------------------------------------------------------------------------------------------


@declare(
    "cost.hours.final_run_accelerator_hours",
    label="final run",
    unit="accelerator-hours",
    formula="{run.accelerator_hours}",
    source="billed hours of the run, lost time included",
    better="lower",
)
@declare(
    "cost.hours.research_accelerator_hours",
    label="research",
    unit="accelerator-hours",
    formula="({cost.research_multiplier} - 1) * {run.accelerator_hours}",
    source="ablations, failed and unreleased runs",
    better="lower",
)
@declare(
    "cost.hours.idle_accelerator_hours",
    label="idle",
    unit="accelerator-hours",
    formula="rent: hours of a commitment that neither the run nor research fills; own: (1 / {cost.own.occupancy} - 1) "
    "of the hours of both; amortised: none",
    source="hours that are paid and not used",
    better="lower",
)
def training_hours(use: RunUse, terms: CostTerms) -> dict[str, Num]:
    """Hours of the programme's fleet on the chosen basis: of the run, of research, idle."""
    run = use.accelerator_hours
    used = terms.research_multiplier * run
    idle: Num = 0.0 * used
    if terms.basis == "rent" and terms.rent is not None:
        idle = np.maximum(0.0, committed_hours(use.accelerators, terms.rent) - used)
    elif terms.basis == "own" and terms.own is not None:
        idle = used * (1.0 / terms.own.occupancy - 1.0)
    return {
        "cost.hours.final_run_accelerator_hours": run,
        "cost.hours.research_accelerator_hours": used - run,
        "cost.hours.idle_accelerator_hours": idle,
    }


def accelerators_beside(use: RunUse, terms: CostTerms) -> Num:
    """Accelerators that research takes beside the cluster in the months of the final run, which fills all of it.

    Research on the hours of a commitment that the run leaves comes after the run, and takes none.
    """
    research = (terms.research_multiplier - 1.0) * use.accelerator_hours
    later: Num = 0.0
    if terms.basis == "rent" and terms.rent is not None:
        later = np.maximum(0.0, committed_hours(use.accelerators, terms.rent) - use.accelerator_hours)
    return np.maximum(0.0, research - later) / use.accelerator_hours * use.accelerators


@dataclass(frozen=True)
class ServiceUse:
    """What the service uses of its own fleet.

    Attributes:
        tokens: served in the model's life.
        usd_per_million: cost of a mean token at the scenario's start, idle hours included.
        usd_per_accelerator_hour: the price that it was made of.
        occupancy: share of paid hours in which replicas are busy.
    """

    tokens: Num
    usd_per_million: Num
    usd_per_accelerator_hour: Num
    occupancy: Num


@declare(
    "cost.hours.serving_accelerator_hours",
    label="serving",
    unit="accelerator-hours",
    formula="hours in which replicas are busy with {payback.tokens}",
    source="cost of the tokens at the start's price of an hour, over that price, times serving.occupancy",
)
@declare(
    "cost.hours.serving_idle_accelerator_hours",
    label="serving, idle",
    unit="accelerator-hours",
    formula="{cost.hours.serving_accelerator_hours} * (1 / {serving.occupancy} - 1)",
    source="hours that are paid and in which replicas wait",
    better="lower",
)
def serving_hours(service: ServiceUse) -> dict[str, Num]:
    """Hours of the service over the model's life: busy, and idle."""
    paid = service.tokens / PER_MILLION * service.usd_per_million / service.usd_per_accelerator_hour
    return {
        "cost.hours.serving_accelerator_hours": paid * service.occupancy,
        "cost.hours.serving_idle_accelerator_hours": paid * (1.0 - service.occupancy),
    }


@declare(
    "cost.hours.fleet_accelerator_hours",
    label="fleet",
    unit="accelerator-hours",
    formula="the sum of the other lines of cost.hours: run, research, serving and idle",
    source="every hour is charged once",
)
def hours_section(use: RunUse, terms: CostTerms, service: ServiceUse | None) -> dict[str, Num]:
    """Make ``cost.hours``: every hour that is paid, by what it is paid for.

    Args:
        use: of the run.
        terms: of cost.
        service: None without payback.
    """
    lines = training_hours(use, terms) | (serving_hours(service) if service is not None else {})
    fleet: Num = 0.0
    for hours in lines.values():
        fleet = fleet + hours
    return {**lines, "cost.hours.fleet_accelerator_hours": fleet}


# --- cash by month ----------------------------------------------------------------------------------------------------

_IDLE_AND_POWER = ("idle", "energy")
"""Lines of the final run that are told apart from its compute, for research too."""


@declare(
    "cost.monthly.*.*",
    label="cash out",
    unit="USD",
    formula="a line of the programme, evenly over {run.wall_clock_days}; what a commitment bills after the run, evenly "
    "over the rest of its term",
    source="research is charged to the months of the run, that on a commitment's hours to those that the run leaves",
    better="lower",
)
@declare("cost.monthly.*.month", label="month", unit="months", formula="months from the start", source="calendar")
def monthly_cash(
    values: Mapping[str, Num], research_multiplier: float, term_months: float = 0.0
) -> list[dict[str, float]]:
    """Cash out of a point plan by month, from the start to the end of the run, or of a commitment's term if later.

    Idle hours and electricity are lines of their own, those of research included. A commitment is billed evenly over
    its term: first the run fills its hours, then research, and what is then left is unused. A run of more than fifty
    years has no months.

    Args:
        values: figures of ``cost`` and ``run``.
        research_multiplier: compute of the programme over the final run's.
        term_months: of a commitment, from the start; 0 without one.
    """
    lines = programme_by_line(values, research_multiplier)
    run_months = float(values["run.wall_clock_days"]) / DAYS_PER_MONTH
    if run_months > MAX_MONTHS:
        return []
    later = billed_later(values)
    end = max(run_months, term_months if sum(later.values()) else 0.0)
    months = max(1, int(np.ceil(end - 1e-9)))
    in_run, after = spread(run_months, months), rest(run_months, term_months, months)
    paid = {name: (usd - later.get(name, 0.0)) * in_run + later.get(name, 0.0) * after for name, usd in lines.items()}
    out = sum(paid.values(), np.zeros(months))
    so_far = np.cumsum(out)
    rows = []
    for month in range(months):
        row = {name: float(usd[month]) for name, usd in paid.items()}
        rows.append(
            {"month": month + 1.0, **row, "total_usd": float(out[month]), "cumulative_usd": float(so_far[month])}
        )
    return rows


def billed_later(values: Mapping[str, Num]) -> dict[str, float]:
    """What of each line a commitment bills after the run: research on its hours, and those that nobody uses."""
    rest_of_it = float(values.get("cost.items.unused_commitment_usd", 0.0))
    unused = float(values.get("cost.programme_items.unused_commitment_usd", 0.0))
    return {"research_usd": rest_of_it - unused, "unused_commitment_usd": unused}


def programme_by_line(values: Mapping[str, Num], research_multiplier: float) -> dict[str, float]:
    """Lines of the whole programme with idle hours and electricity apart: they add up to it."""
    items = {
        path.rsplit(".", 1)[1]: float(usd) for path, usd in values.items() if path.startswith("cost.programme_items.")
    }
    apart = {
        f"{name}_usd": float(values[f"cost.items.{name}_usd"])
        for name in _IDLE_AND_POWER
        if f"cost.items.{name}_usd" in values
    }
    within = sum(apart.values())
    items["final_run_usd"] -= within
    items["research_usd"] -= (research_multiplier - 1.0) * within
    compute = {name: items.pop(name) for name in ("final_run_usd", "research_usd")}
    return {**compute, **{name: research_multiplier * usd for name, usd in apart.items()}, **items}
