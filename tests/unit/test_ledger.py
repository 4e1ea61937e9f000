"""Clock one: every hour charged once, and the lines of a month."""

import math

import numpy as np
import pytest

from costsim import plan
from costsim.economics.bases import RunUse
from costsim.economics.cost import CostTerms, cost_section
from costsim.economics.ledger import ServiceUse, hours_section, monthly_cash, programme_by_line
from costsim.economics.ownership import OwnTerms, RentTerms

USE = RunUse(100.0, 50_000.0, 60_000.0)
OWN = OwnTerms(30_000.0, 1.0, 0.19, 5.0, 0.1, 0.1, 0.8, 0.03, 1.0, 0.14)


def terms(basis="rent", multiplier=3.0, hours=0.0, **changes):
    return CostTerms(basis, RentTerms(2.0, 0.0, hours), OWN, 0.08, multiplier, **changes)


def paid_hours(use, cost):
    """Hours of the fleet from the dollars of the programme, without looking at the hours' own lines."""
    values = cost_section(use, cost)
    if cost.basis == "rent":
        return values["cost.programme_usd"] / values["cost.rates.rent_usd_per_accelerator_hour"]
    standing = (
        values["cost.rates.own_usd_per_accelerator_hour"] + values["cost.rates.operation_usd_per_accelerator_hour"]
    )
    energy = cost.research_multiplier * values["cost.items.energy_usd"]
    return (values["cost.programme_usd"] - energy) / standing


@pytest.mark.parametrize(
    "cost", [terms(), terms(hours=8766.0), terms(hours=100.0), terms(multiplier=20.0), terms("own")]
)
def test_every_hour_is_charged_once(cost):
    hours = hours_section(USE, cost, None)
    fleet = hours.pop("cost.hours.fleet_accelerator_hours")
    assert math.fsum(hours.values()) == pytest.approx(fleet)
    assert fleet == pytest.approx(paid_hours(USE, cost), rel=1e-12)


def test_hours_by_hand():
    # A year of 100 is 876,600 hours; the run takes 50,000 and research twice as many
    hours = hours_section(USE, terms(hours=8766.0), ServiceUse(1e12, 0.5, 2.0, 0.4))
    assert hours["cost.hours.final_run_accelerator_hours"] == 50_000
    assert hours["cost.hours.research_accelerator_hours"] == 100_000
    assert hours["cost.hours.idle_accelerator_hours"] == 726_600
    # a million million tokens at 0.5 USD a million are 250,000 hours at 2 USD, busy for 40 %
    assert hours["cost.hours.serving_accelerator_hours"] == pytest.approx(100_000)
    assert hours["cost.hours.serving_idle_accelerator_hours"] == pytest.approx(150_000)
    assert hours["cost.hours.fleet_accelerator_hours"] == pytest.approx(876_600 + 250_000)
    # owned and busy for 80 %: a quarter on top
    assert hours_section(USE, terms("own"), None)["cost.hours.idle_accelerator_hours"] == pytest.approx(37_500)


def test_serving_hours_agree_with_the_throughput_of_the_replicas():
    made = plan("serve-a-million-users", draws=0).to_dict()
    serving, resolved = made["serving"], made["scenario"]["resolved"]["serving"]
    output = (
        made["payback"]["tokens"] * resolved["output_tokens"] / (resolved["output_tokens"] + resolved["input_tokens"])
    )
    busy = output / serving["output_tokens_per_second_per_accelerator"] / 3600
    assert made["cost"]["hours"]["serving_accelerator_hours"] == pytest.approx(busy, rel=1e-9)
    # and the dollars are those hours at their price: nothing is charged beside them
    paid = busy + made["cost"]["hours"]["serving_idle_accelerator_hours"]
    price = next(r["value"] for r in made["provenance"] if r["path"] == "serving.usd_per_accelerator_hour")
    assert made["payback"]["serving_usd"] == pytest.approx(paid * price, rel=1e-9)


@pytest.mark.parametrize("name", ["serve-a-million-users", "rent-or-own-1024-h100-owned", "llama-3.1-405b"])
def test_months_add_up_to_the_programme(name):
    made = plan(name, draws=0).to_dict()
    rows = made["cost"]["monthly"]
    assert len(rows) == math.ceil(made["run"]["wall_clock_days"] / (365.25 / 12))
    assert math.fsum(row["total_usd"] for row in rows) == pytest.approx(made["cost"]["programme_usd"])
    assert rows[-1]["cumulative_usd"] == pytest.approx(made["cost"]["programme_usd"])
    for row in rows:
        lines = [usd for key, usd in row.items() if key not in ("month", "total_usd", "cumulative_usd")]
        assert math.fsum(lines) == pytest.approx(row["total_usd"])
    if made["payback"]:
        out = [row["cost_usd"] for row in made["payback"]["monthly"]]
        assert out[: len(rows)] == pytest.approx([row["total_usd"] for row in rows])


def test_idle_hours_and_electricity_are_lines_of_their_own():
    values = cost_section(USE, terms("own"))
    lines = programme_by_line(values, 3.0)
    assert lines["idle_usd"] == pytest.approx(3 * values["cost.items.idle_usd"])
    assert lines["energy_usd"] == pytest.approx(3 * values["cost.items.energy_usd"])
    assert math.fsum(lines.values()) == pytest.approx(values["cost.programme_usd"])
    # 61 days are 2.004 months: three rows, the last of a sliver
    rows = monthly_cash(values | {"run.wall_clock_days": 61.0}, 3.0)
    assert [row["month"] for row in rows] == [1, 2, 3]
    assert rows[0]["idle_usd"] == pytest.approx(lines["idle_usd"] * 30.4375 / 61)


def test_break_even_utilisation():
    """At that use an owned hour costs what a rented one does."""
    values = cost_section(USE, terms("own"))
    use = values["cost.break_even_utilisation.own_over_rent"]
    standing = (
        values["cost.rates.own_usd_per_accelerator_hour"] + values["cost.rates.operation_usd_per_accelerator_hour"]
    )
    assert standing / use + 60_000 * 0.08 / 50_000 == pytest.approx(2.0)
    assert "cost.break_even_utilisation.term_over_on_demand" not in values
    # 41 % and 64 % off the list: more than 59 % and 36 % of the term
    for off, least in ((0.41, 0.59), (0.64, 0.36)):
        cost = CostTerms("rent", RentTerms(4.0, off), None, 0.08, 1.0, on_demand=4.0)
        assert cost_section(USE, cost)["cost.break_even_utilisation.term_over_on_demand"] == pytest.approx(least)


def test_draws():
    use = RunUse(100.0, np.array([5e4, 6e4]), 6e4)
    hours = hours_section(use, terms(hours=8766.0), None)
    assert hours["cost.hours.fleet_accelerator_hours"] == pytest.approx([876_600, 876_600])
