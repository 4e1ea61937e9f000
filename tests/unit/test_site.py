"""Sites: prices by the day, sources, and refusals."""

from datetime import date
from pathlib import Path

import pytest

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.quantity import Range
from costsim.inputs.site import load_site, read_site

DAY = date(2024, 2, 1)


@pytest.mark.parametrize(
    ("day", "price"),
    [(date(2024, 2, 1), 0.0771), (date(2023, 12, 31), 0.0806), (date(2026, 10, 7), 0.0826), (date(2024, 1, 1), 0.0771)],
)
def test_electricity_is_that_of_the_day(day: date, price: float) -> None:
    site = load_site("us-average", day)
    assert site.usd_per_kwh == price
    assert site.facts["electricity"].source == "eia"
    assert site.note == ""


def test_before_the_first_price_the_earliest_is_taken_and_said() -> None:
    site = load_site("us-average", date(2010, 1, 1))
    assert site.usd_per_kwh == 0.0691
    assert site.note == "no electricity price of us-average on or before 2010-01-01: the earliest, of 2015-01-01"


def test_a_site_has_price_carbon_and_pue_with_their_sources() -> None:
    site = load_site("ireland", DAY)
    # 0.256 EUR/kWh x 1.0824 USD/EUR = 0.2771
    assert site.usd_per_kwh == pytest.approx(0.256 * 1.0824, abs=5e-5)
    assert (site.grams_per_kwh, site.pue) == (256.54, 1.25)
    assert {key: fact.known for key, fact in site.facts.items()} == {
        "electricity": "derived",
        "carbon": "published",
        "pue": "published",
    }


@pytest.mark.parametrize("name", catalogue.names("sites"))
def test_every_shipped_site_is_valid_and_sourced(name: str) -> None:
    site, facts = read_site(catalogue.find("sites", name))
    assert site.name == name
    terms = load_site(name, DAY)
    assert isinstance(terms.usd_per_kwh, float)
    assert 0.03 < terms.usd_per_kwh < 0.4
    assert isinstance(terms.pue, float)
    assert 1.0 < terms.pue < 2.0
    for key in ("electricity", "carbon", "pue"):
        fact = terms.facts[key]
        assert fact.known, key
        assert site.sources[fact.source].url.startswith("https://"), key
    assert all(fact.source in site.sources for fact in facts.values())


def test_aliases_of_sites_are_unique() -> None:
    taken: dict[str, str] = {}
    for name in catalogue.names("sites"):
        site, _ = read_site(catalogue.find("sites", name))
        for alias in (name, *site.aliases):
            assert taken.setdefault(alias.casefold(), name) == name, alias
    assert load_site("gcp", DAY).name == "google"


def test_a_mapping_and_a_file_are_sites_too(tmp_path: Path) -> None:
    mapping = {"electricity": "0.06 to 0.1 USD/kWh", "carbon": "100 gCO2/kWh", "pue": 1.2}
    site = load_site(mapping, DAY)
    assert isinstance(site.usd_per_kwh, Range)
    assert site.usd_per_kwh.interval90() == pytest.approx((0.06, 0.1))
    (tmp_path / "here.yaml").write_text("electricity: 0.05 USD/kWh\ncarbon: 100 gCO2/kWh\npue: 1.2\n")
    assert load_site("here.yaml", DAY, relative_to=str(tmp_path / "run.yaml")).usd_per_kwh == 0.05


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("pue", 0.9, "pue: '0.9' is out of bounds; must be at least 1"),
        ("electricity", 0.08, "electricity: '0.08' needs a unit"),
        ("electricity", [], "electricity: a list of prices is empty"),
        ("electricity", "8 USD/h", "electricity: "),
        ("carbon", "384 g", "carbon: "),
        ("price", 1, "price: unknown key"),
    ],
)
def test_what_is_no_site_is_refused(key: str, value: object, told: str) -> None:
    mapping = {"electricity": "0.08 USD/kWh", "carbon": "100 gCO2/kWh", "pue": 1.2, key: value}
    with pytest.raises(InputError) as error:
        load_site(mapping, DAY)
    assert told in str(error.value)


def test_steps_must_ascend() -> None:
    steps = [{"since": f"{year}-01-01", "price": "0.08 USD/kWh"} for year in (2024, 2023)]
    with pytest.raises(InputError, match="the steps are not in order"):
        load_site({"electricity": steps, "carbon": "100 gCO2/kWh", "pue": 1.2}, DAY)


def test_an_unknown_site_is_told_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown site 'us-averge'.*did you mean 'us-average'"):
        load_site("us-averge", DAY)
