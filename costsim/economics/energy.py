"""Electricity and carbon of a run: what the cluster draws at the meter, kilowatt-hours, tonnes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from costsim.quantities import declare

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class PowerTerms:
    """What a site and a workload add to the power on the nameplate.

    Attributes:
        power_utilisation: mean draw of a training node over its maximum (``cost.power_utilisation``).
        pue: power at the meter over power of the equipment (``cost.site.pue``).
        carbon: grams of CO2 equivalent a kWh (``cost.site.carbon``).
    """

    power_utilisation: Num
    pue: Num
    carbon: Num


@declare(
    "run.power_megawatts",
    label="power at the meter",
    unit="MW",
    formula="{cluster.accelerators} * {accelerator.power.system} * {cost.power_utilisation} * {cost.site.pue} / 1e6",
    source="Cottier et al. 2024 (arXiv 2405.21015), appendix on energy",
    better="lower",
)
def power_megawatts(accelerators: Num, system_watts: Num, terms: PowerTerms) -> Num:
    """Mean power of the whole cluster while the run goes on, cooling and losses included.

    Args:
        accelerators: in the cluster.
        system_watts: maximum IT power of one accelerator's share of its node, W.
        terms: utilisation, PUE, carbon.
    """
    return accelerators * system_watts * terms.power_utilisation * terms.pue / 1e6


@declare(
    "run.energy_kwh",
    label="electricity",
    unit="kWh",
    formula="{run.power_megawatts} * 1000 * {run.accelerator_hours} / {cluster.accelerators}",
    source="power times time",
    better="lower",
)
def energy_kwh(megawatts: Num, accelerator_hours: Num, accelerators: Num) -> Num:
    """Electricity of the run at the meter."""
    return megawatts * 1000.0 * accelerator_hours / accelerators


@declare(
    "run.carbon_tonnes",
    label="carbon",
    unit="t CO2e",
    formula="{run.energy_kwh} * {cost.site.carbon} / 1e6",
    source="location-based: energy times the grid's mean intensity; making the hardware is not included",
    better="lower",
)
def carbon_tonnes(kwh: Num, grams_per_kwh: Num) -> Num:
    """Operational emissions of the run, tonnes of CO2 equivalent."""
    return kwh * grams_per_kwh / 1e6


def energy_section(accelerators: Num, accelerator_hours: Num, system_watts: Num, terms: PowerTerms) -> dict[str, Num]:
    """Make the energy figures of the ``run`` section.

    Args:
        accelerators: in the cluster.
        accelerator_hours: of the run, lost time included.
        system_watts: maximum IT power of one accelerator's share of its node, W.
        terms: utilisation, PUE, carbon.
    """
    megawatts = power_megawatts(accelerators, system_watts, terms)
    kwh = energy_kwh(megawatts, accelerator_hours, accelerators)
    return {
        "run.power_megawatts": megawatts,
        "run.energy_kwh": kwh,
        "run.carbon_tonnes": carbon_tonnes(kwh, terms.carbon),
    }
