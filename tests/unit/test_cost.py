"""Cost of the final run on four bases, and of the programme."""

import datetime
import math

import numpy as np
import pytest

from costsim.economics.bases import RunUse
from costsim.economics.cost import Amount, CostTerms, cost_section, not_included
from costsim.economics.ownership import (
    OwnTerms,
    RentTerms,
    capital_recovery_factor,
    declining_share,
    own_rate,
    years_since_purchase,
)
from costsim.errors import InputError

USE = RunUse(accelerators=100.0, accelerator_hours=10_000.0, energy_kwh=9_000.0)


def owned(**changes):
    base = {
        "usd_per_accelerator": 20_000.0,
        "server_factor": 1.6,
        "network_share": 0.2,
        "life": 5.0,
        "residual": 0.0,
        "capital_cost": 0.10,
        "occupancy": 0.8,
        "operation": 0.05,
        "age": 0.0,
        "progress": 0.14,
    }
    return OwnTerms(**{**base, **changes})


def terms(**changes):
    base = {
        "basis": "rent",
        "rent": RentTerms(2.5, discount=0.2),
        "own": owned(),
        "electricity": 0.1,
        "research_multiplier": 4.0,
    }
    return CostTerms(**{**base, **changes})


def total(section, prefix):
    return math.fsum(value for path, value in section.items() if path.startswith(prefix))


def test_rent():
    # 10,000 h * 2.5 * (1 - 0.2) = 20,000
    section = cost_section(USE, terms())
    assert section["cost.total_usd"] == pytest.approx(20_000.0)
    assert section["cost.bases.rent_usd"] == pytest.approx(20_000.0)
    assert section["cost.usd_per_accelerator_hour"] == pytest.approx(2.0)
    assert {path for path in section if path.startswith("cost.items.")} == {"cost.items.rental_usd"}
    assert section["cost.committed_accelerator_hours"] == 0.0


def test_purchase():
    # 100 * 20,000 * 1.6 / (1 - 0.2) = 100 * 40,000 = 4,000,000
    assert cost_section(USE, terms())["cost.bases.purchase_usd"] == pytest.approx(4e6)


def test_own_by_straight_line():
    section = cost_section(USE, terms(basis="own", own=owned(method="straight_line")))
    # 40,000 / 5 / 8766 = 0.912617 an hour; operation 40,000 * 0.05 / 8766 = 0.228154
    capital, operation = 8000 / 8766, 2000 / 8766
    items = {path.split(".")[-1]: value for path, value in section.items() if path.startswith("cost.items.")}
    assert items["accelerators_usd"] == pytest.approx(10_000 * capital * 0.8 / 1.6)
    assert items["servers_usd"] == pytest.approx(10_000 * capital * 0.8 * 0.6 / 1.6)
    assert items["network_usd"] == pytest.approx(10_000 * capital * 0.2)
    assert items["operation_usd"] == pytest.approx(10_000 * operation)
    assert items["idle_usd"] == pytest.approx(2_500 * (capital + operation))  # a quarter as many hours stand idle
    assert items["energy_usd"] == pytest.approx(900.0)
    assert section["cost.total_usd"] == pytest.approx(12_500 * (capital + operation) + 900)
    assert section["cost.total_usd"] == section["cost.bases.own_usd"]


def test_capital_recovery_is_the_annuity():
    # 1000 at 10 % over 3 years: 402.11 a year pays it back; three payments discounted are worth 1000.
    factor = capital_recovery_factor(0.10, 3.0)
    assert factor == pytest.approx(0.402114804)
    assert sum(factor / 1.1**year for year in (1, 2, 3)) == pytest.approx(1.0)


def test_capital_recovery_without_interest_is_straight_line():
    assert capital_recovery_factor(0.0, 4.0) == 0.25
    assert capital_recovery_factor(1e-9, 4.0) == pytest.approx(0.25, rel=1e-8)


def test_residual_is_worth_its_interest():
    # Nothing lost, nothing but interest to pay: 10 % of 40,000 a year.
    assert own_rate(owned(residual=1.0)) == pytest.approx(4000 / 8766)


def test_declining_balance_year_by_year():
    # Five years: 40 % of the book while that is more than an even part of what is left.
    # 1 -> .6 -> .36 -> .216: charges .4, .24, .144; then 2 years left: .216/2 = .108 each.
    charges = declining_share(owned(age=np.array([0.0, 1.0, 2.5, 3.0, 4.9])))
    assert charges == pytest.approx([0.4, 0.24, 0.144, 0.108, 0.108])
    assert math.fsum(declining_share(owned(age=np.arange(5.0)))) == pytest.approx(1.0)


def test_declining_balance_stops_at_the_residual_and_at_the_end():
    charges = declining_share(owned(age=np.arange(7.0), residual=0.3))
    # 1 -> .6 -> .36 -> .30: the third year may charge only .06
    assert charges == pytest.approx([0.4, 0.24, 0.06, 0, 0, 0, 0])
    assert declining_share(owned(age=8.0)) == 0.0


def test_methods_order_by_when_they_charge():
    first_year = {method: own_rate(owned(method=method)) for method in ("declining", "straight_line")}
    assert first_year["declining"] == pytest.approx(2 * first_year["straight_line"])
    assert own_rate(owned()) > first_year["straight_line"]  # interest


def test_age_from_release():
    released = datetime.date(2022, 10, 1)
    assert years_since_purchase(released, datetime.date(2022, 11, 1)) == 0.0
    # 90 days to purchase, then 365.25 days to the year.
    start = released + datetime.timedelta(days=90 + 731)
    assert years_since_purchase(released, start) == pytest.approx(731 / 365.25)


def test_amortised_has_no_operation_and_no_idle_time():
    section = cost_section(USE, terms(basis="amortised"))
    names = {path.split(".")[-1] for path in section if path.startswith("cost.items.")}
    assert names == {"accelerators_usd", "servers_usd", "network_usd", "energy_usd"}
    assert section["cost.total_usd"] == pytest.approx(10_000 * 40_000 * 0.14 * math.log(10) / 8766 + 900)


def test_commitment_bills_its_whole_term():
    # 100 accelerators for 8766 h = 876,600 h at 2: 1,753,200; the run uses 10,000 h of it.
    rent = RentTerms(2.5, discount=0.2, commitment_hours=8766.0)
    section = cost_section(USE, terms(rent=rent))
    assert section["cost.items.rental_usd"] == pytest.approx(20_000.0)
    assert section["cost.items.unused_commitment_usd"] == pytest.approx(866_600 * 2.0)
    assert section["cost.total_usd"] == pytest.approx(1_753_200.0)


def test_research_fills_a_commitment_before_anything_is_unused():
    # 876,600 h are paid; the run uses 10,000, research 30,000; 836,600 are left over.
    rent = RentTerms(2.0, commitment_hours=8766.0)
    section = cost_section(USE, terms(rent=rent))
    lines = {name: section[f"cost.programme_items.{name}_usd"] for name in ("final_run", "research")}
    assert lines == {"final_run": 20_000.0, "research": 60_000.0}
    assert section["cost.programme_items.unused_commitment_usd"] == pytest.approx(836_600 * 2.0)
    assert section["cost.programme_usd"] == pytest.approx(876_600 * 2.0)  # every hour once


def test_commitment_shorter_than_the_run_adds_nothing():
    section = cost_section(USE, terms(rent=RentTerms(2.0, commitment_hours=50.0)))
    assert section["cost.items.unused_commitment_usd"] == 0.0
    assert section["cost.total_usd"] == pytest.approx(20_000.0)


def test_programme_of_compute_alone():
    section = cost_section(USE, terms())
    assert section["cost.programme_usd"] == pytest.approx(80_000.0)
    assert section["cost.programme_items.research_usd"] == pytest.approx(60_000.0)
    assert not_included(terms()) == ["staff", "data", "storage", "network", "egress", "contingency"]


def test_programme_shares_are_of_the_whole():
    given = terms(staff=Amount(share=0.3), contingency=Amount(share=0.1), data=Amount(usd=16_000.0))
    section = cost_section(USE, given)
    # (80,000 + 16,000) / (1 - 0.4) = 160,000: staff 48,000, contingency 16,000
    assert section["cost.programme_usd"] == pytest.approx(160_000.0)
    assert section["cost.programme_items.staff_usd"] == pytest.approx(48_000.0)
    assert section["cost.programme_items.contingency_usd"] == pytest.approx(16_000.0)
    assert section["cost.programme_items.data_usd"] == 16_000.0
    assert not_included(given) == ["storage", "network", "egress"]


def test_shares_that_leave_nothing_are_refused():
    with pytest.raises(InputError, match=r"cost\.staff, cost\.contingency.*below 100 %"):
        cost_section(USE, terms(staff=Amount(share=0.6), contingency=Amount(share=0.4)))


@pytest.mark.parametrize("basis", ["rent", "own", "amortised"])
def test_lines_add_up(basis):
    section = cost_section(USE, terms(basis=basis, staff=Amount(share=0.35), storage=Amount(usd=123.0)))
    assert total(section, "cost.items.") == pytest.approx(section["cost.total_usd"], rel=1e-12)
    assert total(section, "cost.programme_items.") == pytest.approx(section["cost.programme_usd"], rel=1e-12)
    assert section[f"cost.bases.{basis}_usd"] == section["cost.total_usd"]


def test_all_bases_are_there_whichever_is_chosen():
    bases = {
        basis: {path: value for path, value in cost_section(USE, terms(basis=basis)).items() if "bases" in path}
        for basis in ("rent", "own", "amortised")
    }
    assert len(bases["rent"]) == 4
    assert bases["rent"] == bases["own"] == bases["amortised"]


def test_a_basis_without_a_price_is_left_out():
    section = cost_section(USE, terms(own=None))
    assert "cost.bases.own_usd" not in section
    assert "cost.bases.purchase_usd" not in section
    assert "cost.bases.rent_usd" not in cost_section(USE, terms(basis="own", rent=None))


@pytest.mark.parametrize(
    ("basis", "missing", "path"),
    [
        ("rent", "rent", r"cost\.rent\.usd_per_accelerator_hour"),
        ("own", "own", r"cost\.own\.usd_per_accelerator"),
        ("amortised", "own", r"cost\.own\.usd_per_accelerator"),
    ],
)
def test_the_chosen_basis_needs_its_price(basis, missing, path):
    with pytest.raises(InputError, match=path):
        cost_section(USE, terms(basis=basis, **{missing: None}))


def test_draws_and_points_agree():
    prices, hours = np.array([1.0, 2.0, 3.5]), np.array([5e3, 1e4, 2e4])
    use = RunUse(100.0, hours, 9_000.0)
    many = cost_section(use, terms(basis="own", rent=RentTerms(prices), own=owned(method="declining", age=1.5)))
    for index in range(3):
        one_use = RunUse(100.0, float(hours[index]), 9_000.0)
        rent = RentTerms(float(prices[index]))
        one = cost_section(one_use, terms(basis="own", rent=rent, own=owned(method="declining", age=1.5)))
        assert many.keys() == one.keys()
        for path, value in one.items():
            assert np.broadcast_to(many[path], 3)[index] == pytest.approx(value, rel=1e-14), path
