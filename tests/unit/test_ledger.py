"""Clock one: every hour charged once, and the lines of a month."""

import math

import numpy as np
import pytest
from plan_cases import FULL, changed

from costsim import plan
from costsim.economics.bases import RunUse
from costsim.economics.cohort import Bill, spent
from costsim.economics.cost import Amount, CostTerms, cost_section
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


def test_a_commitment_is_billed_month_by_month_over_its_term():
    """A run of one month in a year's commitment, with 3 x its hours: eleven twelfths are billed after it."""
    run_months = 1.0
    use = RunUse(100.0, 100 * run_months * 730.5, 0.0)
    staff = Amount(share=0.25)
    values = cost_section(use, terms(hours=8766.0, staff=staff)) | {"run.wall_clock_days": run_months * 30.4375}
    rows = monthly_cash(values, 3.0, 12.0)
    bill = 100 * 730.5 * 2.0
    # staff is a third of the hours in use, three months of bill, and is paid while the run lasts
    assert [row["total_usd"] for row in rows] == pytest.approx([bill + bill] + [bill] * 11)
    assert [row["final_run_usd"] for row in rows] == pytest.approx([bill] + [0] * 11)
    assert [row["research_usd"] for row in rows] == pytest.approx([0] + [2 * bill / 11] * 11)
    assert rows[-1]["cumulative_usd"] == pytest.approx(values["cost.programme_usd"])
    assert values["cost.programme_usd"] == pytest.approx(13 * bill)
    # research beyond the committed hours is paid with the run
    more = cost_section(use, terms(multiplier=14.0, hours=8766.0)) | {"run.wall_clock_days": run_months * 30.4375}
    assert [row["total_usd"] for row in monthly_cash(more, 14.0, 12.0)] == pytest.approx([3 * bill] + [bill] * 11)


def test_a_commitment_reaches_cash_flow_funding_and_runway():
    """The unused rest of a year neither carries staff nor leaves before it is billed, in any view."""
    base = changed(FULL, {"cost.data": ..., "cost.network": ..., "cost.research_multiplier": 2, "cluster.mfu": "40%"})
    plain = plan(base, draws=0).to_dict()
    committed = plan(changed(base, {"cost.rent.commitment": True}), draws=0).to_dict()
    unused = committed["cost"]["programme_items"]["unused_commitment_usd"]
    assert unused > 0
    assert committed["cost"]["programme_items"]["staff_usd"] == plain["cost"]["programme_items"]["staff_usd"]
    assert committed["cost"]["programme_usd"] == pytest.approx(plain["cost"]["programme_usd"] + unused)
    ledger, flow = committed["cost"]["monthly"], committed["payback"]["monthly"]
    assert len(ledger) == 12
    paid = [row["cost_usd"] for row in flow]
    assert paid[:12] == pytest.approx([row["total_usd"] for row in ledger])
    assert not any(paid[12:])
    rate = committed["cost"]["rates"]["rent_usd_per_accelerator_hour"]
    assert paid[11] == pytest.approx(128 * 730.5 * rate)


def test_draws_of_a_commitment_agree_with_points():
    days, usd = np.array([30.0, 200.0, 500.0]), np.array([5e5, 2e5, 0.0])
    many = spent(1e6, days / 30.4375, Bill(usd, 12.0), 20)
    for index in range(3):
        one = spent(1e6, days[index] / 30.4375, Bill(usd[index], 12.0), 20)
        assert many[index] == pytest.approx(one)
        assert one.sum() == pytest.approx(1e6)
        assert (one >= 0).all()
