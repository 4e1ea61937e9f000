"""Power, electricity, carbon."""

import numpy as np
import pytest

from costsim.economics.energy import PowerTerms, energy_section

TERMS = PowerTerms(power_utilisation=0.75, pue=1.2, carbon=400.0)


def test_worked_example():
    # 1000 accelerators of 1 kW at 75 % and PUE 1.2: 0.9 MW. For 24,000 accelerator-hours, a day: 21,600 kWh, 8.64 t.
    section = energy_section(1000.0, 24_000.0, 1000.0, TERMS)
    assert section["run.power_megawatts"] == pytest.approx(0.9)
    assert section["run.energy_kwh"] == pytest.approx(21_600.0)
    assert section["run.carbon_tonnes"] == pytest.approx(8.64)


def test_energy_depends_on_hours_not_on_how_many_work_at_once():
    few, many = energy_section(10.0, 1e5, 1275.0, TERMS), energy_section(1000.0, 1e5, 1275.0, TERMS)
    assert few["run.energy_kwh"] == pytest.approx(many["run.energy_kwh"])
    assert few["run.power_megawatts"] == pytest.approx(many["run.power_megawatts"] / 100)


def test_broadcasts():
    pue = np.array([1.0, 1.1, 1.5])
    section = energy_section(1000.0, 24_000.0, 1000.0, PowerTerms(0.75, pue, 400.0))
    assert section["run.energy_kwh"] == pytest.approx(18_000.0 * pue)
