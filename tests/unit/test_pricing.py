"""Which prices a scenario takes: what it states, what it refers to, or what the book has."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from plan_cases import FULL, SMALL, changed

from costsim.errors import InputError
from costsim.inputs.build import Drawn
from costsim.inputs.scenario import load_scenario
from costsim.plan import plan


def book(*rows: dict[str, Any]) -> dict[str, Any]:
    """A chip with a price book of its own."""
    return {
        "name": "my-chip",
        "released": "2025-01-01",
        "peak_flops": {"bf16": "100 TFLOP/s", "fp8": "100 TFLOP/s"},
        "memory": {"capacity": "80 GiB", "bandwidth": "1 TB/s"},
        "scale_up": {"bandwidth": "100 GB/s", "domain": 8},
        "scale_out": {"bandwidth": "100 Gbit/s"},
        "prices": [{"provider": "shop", **row} for row in rows],
    }


def rent(term: str, usd: float, day: str = "2025-12-01") -> dict[str, Any]:
    return {"kind": "rent", "term": term, "usd_per_hour": usd, "date": day}


def bought(usd: float | str, covers: str = "chip") -> dict[str, Any]:
    return {"kind": "purchase", "usd": usd, "date": "2025-12-01", "covers": covers}


def prices(chip: Any, **changes: Any) -> Any:
    base = {"start": "2026-01-01", "cluster.accelerator": chip, "cost.rent": ..., **changes}
    return load_scenario(changed(SMALL, base)).prices


def refused(chip: Any, **changes: Any) -> list[str]:
    with pytest.raises(InputError) as caught:
        prices(chip, **changes)
    return str(caught.value).splitlines()


def test_a_stated_price_needs_no_book_and_no_word() -> None:
    found = prices(book(rent("1-year", 9.0)), **{"cost.rent": {"usd_per_accelerator_hour": 2.0}})
    assert (found.rent.value, found.rent.origin, found.rent.note) == (2.0, "", "")
    ranged = prices(book(), **{"cost.rent": {"usd_per_accelerator_hour": "2 to 3 USD/h"}}).rent.value
    assert ranged.interval90() == pytest.approx((2.0, 3.0))


def test_the_books_price_of_the_term_is_taken_and_told() -> None:
    found = prices(book(rent("on-demand", 4.0), rent("1-year", 3.0), rent("3-year", 2.0)))
    assert found.rent.value == 3.0
    assert found.rent.origin == "price book: my-chip, shop, 1-year, 2025-12-01"
    asked = prices(book(rent("1-year", 3.0), rent("3-year", 2.0)), **{"cost.rent": {"term": "3-year"}})
    assert asked.rent.value == 2.0


def test_a_default_term_falls_back_and_a_stated_one_does_not() -> None:
    chip = book(rent("on-demand", 4.0), rent("3-year", 2.0))
    assert prices(chip).rent.value == 4.0
    [line] = refused(chip, **{"cost.rent": {"term": "1-year"}})
    assert "no 1-year rental price of my-chip is known, only on-demand and 3-year" in line
    [line] = refused(book())
    assert "no rental price of my-chip is known" in line
    assert "cost.rent.usd_per_accelerator_hour" in line


def test_the_place_of_a_missing_price_is_in_the_scenario() -> None:
    text = """\
costsim: 1
name: x
model: gpt2
training: {tokens: 10B, sequence_length: 1024, global_batch_sequences: 512}
cluster: {accelerator: gaudi2, accelerators: 8}
cost:
  research_multiplier: 1
"""
    with pytest.raises(InputError) as caught:
        plan("-", stdin_text=text)
    assert str(caught.value).startswith("<stdin>:6:1: cost.rent.usd_per_accelerator_hour: no rental price")


def test_a_basis_needs_its_price_and_the_others_go_without() -> None:
    without = prices(book(rent("1-year", 3.0)))
    assert without.purchase is None
    made = plan(changed(SMALL, {"cluster.accelerator": book(rent("1-year", 3.0)), "cost.rent": ...})).to_dict()
    assert set(made["cost"]["bases"]) == {"rent_usd"}
    assert any(note.startswith("cost: no purchase price of my-chip") for note in made["notes"])
    [line] = refused(book(rent("1-year", 3.0)), **{"cost.basis": "own"})
    assert "cost.own.usd_per_accelerator: no purchase price of my-chip is known" in line
    owned = changed(SMALL, {"cluster.accelerator": book(bought(9000)), "cost": {"basis": "amortised"}})
    made = plan(owned).to_dict()
    assert set(made["cost"]["bases"]) == {"own_usd", "amortised_usd", "purchase_usd"}
    assert any(note.startswith("cost: no rental price of my-chip") for note in made["notes"])


def test_references_name_a_price_of_the_book() -> None:
    reference = {"usd_per_accelerator_hour": {"book": "h100-sxm/oblivus/1-year", "as_of": "2024-03-01"}}
    found = prices(book(), **{"cost.rent": reference})
    assert found.rent.value == 3.62
    assert found.rent.origin == "price book: h100-sxm, oblivus, 1-year, 2024-02-26"
    made = plan(changed(SMALL, {"cost.rent": reference})).to_dict()
    [row] = [row for row in made["provenance"] if row["path"] == "cost.rent.usd_per_accelerator_hour"]
    assert (row["value"], row["known"]) == (3.62, "published")


def test_a_reference_is_of_the_start_unless_it_names_a_day() -> None:
    reference = {"usd_per_accelerator_hour": {"book": "h100-sxm/market/1-year"}}
    assert prices(book(), **{"cost.rent": reference}).rent.value == 1.70
    assert prices(book(), **{"cost.rent": reference, "start": "2026-04-01"}).rent.value == 2.35


@pytest.mark.parametrize(
    ("path", "reference", "words"),
    [
        ("cost.rent.usd_per_accelerator_hour", "h100-sxm/purchase", "is a purchase price; expected a rental price"),
        ("cost.own.usd_per_accelerator", "h100-sxm/1-year", "is a rental price; expected a purchase price"),
        ("cost.rent.usd_per_accelerator_hour", "h100-sxm/nobody/1-year", "no 1-year price of nobody for h100-sxm"),
        ("cost.rent.usd_per_accelerator_hour", "h100-sxm", "names no price"),
        ("cost.rent.usd_per_accelerator_hour", "h100-sxm/2-year", "unknown term '2-year'"),
        ("cost.rent.usd_per_accelerator_hour", "h100-smx/1-year", "did you mean 'h100-sxm'?"),
        ("serving.usd_per_accelerator_hour", "h100-sxm/purchase", "is a purchase price; expected a rental price"),
    ],
)
def test_references_that_name_none(path: str, reference: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario(changed(FULL, {path: {"book": reference}}))
    [problem] = caught.value.problems
    assert problem.path == f"{path}.book"
    assert words in str(problem)


def test_bad_references_are_told_together() -> None:
    both = {
        "cost.rent.usd_per_accelerator_hour": {"book": "h100-sxm/purchase"},
        "cost.own.usd_per_accelerator": {"book": "nope/purchase"},
        "serving.usd_per_accelerator_hour": {"book": "h100-sxm/never"},
    }
    with pytest.raises(InputError) as caught:
        load_scenario(changed(FULL, both))
    assert len(caught.value.problems) == 3


def test_serving_takes_its_own_price_then_the_books_then_the_clusters() -> None:
    base = {"serving": {"precision": "fp8"}}
    chip = book(rent("1-year", 3.0))
    assert prices(chip, **base, **{"serving.usd_per_accelerator_hour": 1.5}).serving_rent.value == 1.5
    assert prices(chip, **base, **{"serving.accelerator": book(rent("spot", 0.7))}).serving_rent.value == 0.7
    stated = prices(book(), **base, **{"cost.rent": {"usd_per_accelerator_hour": "2 to 3 USD/h"}})
    assert stated.serving_rent is stated.rent
    [line] = refused(chip, **base, **{"serving.accelerator": book()})
    assert "serving.usd_per_accelerator_hour: no rental price of my-chip is known" in line


def test_a_price_that_serving_shares_with_the_run_is_drawn_once() -> None:
    said = {"cost.rent": {"usd_per_accelerator_hour": "2 to 3 USD/h"}, "serving": {"precision": "fp8"}}
    scenario = load_scenario(changed(SMALL, {"cluster.accelerator": book(), **said}))
    drawn = Drawn.sample(scenario, 0, 50)
    assert drawn.serving_rent is drawn.rent


@pytest.mark.parametrize(("covers", "factor"), [("chip", 1.5), ("server", 1.0)])
def test_what_a_whole_server_costs_needs_no_server_factor(covers: str, factor: float) -> None:
    chip = book(rent("1-year", 3.0), bought(10_000, covers))
    chip["purchase"] = {"server_factor": 1.5, "network_share": 0.2, "server_power_factor": 1.8}
    made = plan(changed(SMALL, {"cluster.accelerator": chip, "cost.rent": ...})).to_dict()
    assert made["cost"]["rates"]["purchase_usd_per_accelerator"] == pytest.approx(10_000 * factor / 0.8)
    assert made["cost"]["bases"]["purchase_usd"] == pytest.approx(8 * 10_000 * factor / 0.8)


def test_an_old_or_a_later_price_is_noted() -> None:
    old = prices(book(rent("1-year", 3.0, "2025-01-01"))).rent.warning
    assert "2025-01-01" in old
    assert "more than half a year before the start" in old
    later = prices(book(rent("1-year", 3.0, "2026-06-01"))).rent.note
    assert "no price on or before 2026-01-01: the earliest after it, of 2026-06-01" in later
    made = plan(changed(SMALL, {"cluster.accelerator": book(rent("1-year", 3.0, "2025-01-01")), "cost.rent": ...}))
    assert sum("half a year before" in item["message"] for item in made.to_dict()["warnings"]) == 1


def test_age_counts_from_ninety_days_after_release() -> None:
    chip = book(rent("1-year", 3.0), bought(10_000))
    made = plan(changed(SMALL, {"cluster.accelerator": chip, "cost.rent": ..., "start": "2026-01-01"})).to_dict()
    [age] = [row["value"] for row in made["provenance"] if row["path"] == "cost.own.age"]
    released, start = datetime.date(2025, 1, 1), datetime.date(2026, 1, 1)
    assert age == pytest.approx(((start - released).days - 90) / 365.25)


def test_a_default_term_that_another_stands_in_for_is_noted_and_commits_to_nothing() -> None:
    chip = book(rent("on-demand", 4.0))
    chosen = prices(chip).rent
    assert chosen.value == 4.0
    assert "no 1-year price" in chosen.note
    assert "on-demand stands in" in chosen.note
    [problem] = refused(chip, **{"cost.rent": {"commitment": True}})
    assert "no 1-year rental price" in problem
    assert "stands in" not in prices(book(rent("1-year", 3.0))).rent.note


def test_an_expired_price_is_as_one_that_is_absent() -> None:
    ended = {"until": "2025-12-20"}
    chip = book(rent("1-year", 3.0) | ended, rent("on-demand", 4.0))
    chosen = prices(chip).rent
    assert chosen.value == 4.0
    assert "the 1-year price of my-chip expired on 2025-12-20; on-demand stands in" in chosen.note
    [line] = refused(chip, **{"cost.rent": {"term": "1-year"}})
    assert "the 1-year rental price of my-chip expired on 2025-12-20: none holds on 2026-01-01, only on-demand" in line
    [line] = refused(book(rent("1-year", 3.0) | ended))
    assert "expired on 2025-12-20: none holds on 2026-01-01, nor any other" in line
    [line] = refused(book(rent("1-year", 3.0), bought(9000) | ended), **{"cost.basis": "own"})
    assert "the purchase price of my-chip expired on 2025-12-20" in line
    # Beside a term that is held, an on-demand price that has expired is none.
    for until, shown in (({}, True), (ended, False)):
        beside = book(rent("1-year", 3.0), rent("on-demand", 4.0) | until)
        made = plan(changed(SMALL, {"start": "2026-01-01", "cluster.accelerator": beside, "cost.rent": ...})).to_dict()
        assert ("on_demand_usd_per_accelerator_hour" in made["cost"]["rates"]) == shown


def test_a_price_of_another_chip_is_noted() -> None:
    reference = {"usd_per_accelerator_hour": "book:a100-80gb-sxm/on-demand"}
    made = plan(changed(SMALL, {"cluster.accelerator": "h100-sxm", "cost.rent": reference})).to_dict()
    said = "cost.rent.usd_per_accelerator_hour: the price is of a100-80gb-sxm, and not of h100-sxm"
    assert any(note.startswith(said) for note in made["notes"])
    own = {"usd_per_accelerator_hour": "book:h100/on-demand"}  # an alias of the chip itself
    same = plan(changed(SMALL, {"cluster.accelerator": "h100-sxm", "cost.rent": own})).to_dict()
    assert not any("and not of" in note for note in same["notes"])
