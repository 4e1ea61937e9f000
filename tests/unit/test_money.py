"""The money sections of a scenario: what they accept, what they refuse, and the shipped defaults."""

import datetime
from importlib.resources import files

import pytest

from costsim.errors import InputError
from costsim.inputs.fields import validate
from costsim.inputs.money import Cost, Demand, Failures, Finance, Price, Serving
from costsim.inputs.prices import BookEntry
from costsim.inputs.yaml_source import from_mapping, read, split_sourced
from costsim.uncertainty.ranges import Range

DEFAULTS, FACTS = split_sourced(
    read((files("costsim") / "data" / "defaults.yaml").read_text(encoding="utf-8"), "data/defaults.yaml")
)
MODELS = {"cost": Cost, "serving": Serving, "demand": Demand, "price": Price, "finance": Finance}
REQUIRED = {
    "cost": {},
    "serving": {},
    "demand": {"peak": "1T tokens/day"},
    "price": {"input": "1.25 USD/Mtok", "output": "5 USD/Mtok"},
    "finance": {},
}


def laid(base, over):
    """One mapping over another, key by key; what has a unit or a kind replaces whole."""
    if not (isinstance(base, dict) and isinstance(over, dict)) or "distribution" in over or "kind" in over:
        return over
    return {**base, **{key: laid(base.get(key), value) for key, value in over.items()}}


def section(name, **changes):
    """A section with the defaults, and changes."""
    value = laid(laid(DEFAULTS.value[name], REQUIRED[name]), changes)
    return validate(MODELS[name], from_mapping(value, "test.yaml"), name)


def refused(name, **changes):
    with pytest.raises(InputError) as caught:
        section(name, **changes)
    return caught.value.problems


# --- defaults ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_defaults_make_a_valid_section(name):
    assert section(name)


def test_every_default_says_where_it_comes_from():
    sources = DEFAULTS.value["sources"]
    assert len(FACTS) > 60
    for path, fact in FACTS.items():
        assert fact.source in sources, path
        assert fact.known in ("measured", "published", "derived", "estimated"), path
        if fact.source == "assumption":
            assert fact.known == "estimated", path
    used = {fact.source for fact in FACTS.values()}
    assert used == set(sources)
    assert all(
        key == "assumption" or source["url"].startswith(("https://", "pkg:pypi/")) for key, source in sources.items()
    )


def test_medians_of_default_ranges_are_those_of_the_documentation():
    cost, serving, demand = section("cost"), section("serving"), section("demand")
    assert cost.research_multiplier.centre() == pytest.approx(4.0)
    assert cost.staff.share.centre() == pytest.approx(0.35, abs=0.001)
    assert serving.occupancy.centre() == pytest.approx(0.5)
    assert serving.residual.nvidia.centre() == pytest.approx(1.0, abs=1e-3)
    assert serving.residual.other.centre() == pytest.approx(1.0, abs=1e-3)
    assert demand.life.centre() == pytest.approx(12.0)


def test_default_failure_rate_is_that_of_llama_3():
    failures = validate(Failures, from_mapping(DEFAULTS.value["cluster"]["failures"], "test.yaml"))
    assert failures.interruptions_per_accelerator_hour == pytest.approx(419 / (54 * 24 * 16384), rel=1e-3)
    assert failures.restart == 600.0
    assert failures.checkpoint_every == "auto"


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "usd", "share"),
    [
        ("35%", None, 0.35),
        (0, None, 0.0),
        ("20M USD", 20e6, None),
        ("5M $", 5e6, None),
        ({"usd": "1M USD", "share": "5%"}, 1e6, 0.05),
    ],
)
def test_a_line_is_a_share_or_a_sum(written, usd, share):
    line = section("cost", data=written).data
    assert (line.usd, line.share) == (usd, share)


def test_a_line_may_be_a_range():
    assert isinstance(section("cost", data="10M to 20M USD").data.usd, Range)
    assert isinstance(section("cost", data="10% to 20%").data.share, Range)
    uniform = {"distribution": "uniform", "low": "1M USD", "high": "2M USD"}
    assert section("cost", data=uniform).data.usd == Range("uniform", 1e6, 2e6, lower=0.0)


@pytest.mark.parametrize("written", [30_000_000, "thirty million", "140%", "-5%", {}])
def test_what_is_no_line_is_refused(written):
    [problem] = refused("cost", data=written)
    assert problem.path == "cost.data"


def test_prices_are_numbers_ranges_or_references():
    rent = section("cost", rent={"usd_per_accelerator_hour": 2.35}).rent
    assert rent.usd_per_accelerator_hour == 2.35
    book = {"book": "h100-sxm/nebius/on-demand", "as_of": "2026-09-01"}
    rent = section("cost", rent={"usd_per_accelerator_hour": book}).rent
    assert rent.usd_per_accelerator_hour == BookEntry(book=book["book"], as_of=datetime.date(2026, 9, 1))
    assert isinstance(section("serving", usd_per_accelerator_hour="2 to 3 USD/h").usd_per_accelerator_hour, Range)


@pytest.mark.parametrize("free", [0, "0 USD/h"])
def test_nothing_is_free(free):
    [problem] = refused("cost", rent={"usd_per_accelerator_hour": free})
    assert "greater than zero" in str(problem)


def test_commitments():
    assert section("cost", rent={"term": "3-year", "commitment": True}).rent.committed_years == 3.0
    assert section("cost").rent.committed_years == 0.0
    [problem] = refused("cost", rent={"term": "spot", "commitment": True})
    assert problem.path == "cost.rent.commitment"
    assert "1-year" in problem.allowed


def test_times_are_in_the_unit_of_their_field():
    assert section("cost", own={"life": "60 months"}).own.life == pytest.approx(5.0)
    assert section("demand", life="1 year").life == pytest.approx(12.0)
    debt = {"share": "60%", "rate": "9%", "due": "3 years"}
    assert section("finance", debt=debt).debt.due == pytest.approx(36.0)


def test_checkpoint_interval_is_auto_or_a_time():
    base = DEFAULTS.value["cluster"]["failures"]
    every = validate(Failures, from_mapping({**base, "checkpoint_every": "30 min"}, "t")).checkpoint_every
    assert every == 1800.0
    for wrong in ("never", "0 s", 30):
        with pytest.raises(InputError):
            validate(Failures, from_mapping({**base, "checkpoint_every": wrong}, "t"))


def test_demand_is_stated_once():
    users = section("demand", peak=None, users="5M", tokens_per_user_per_day="20k")
    assert users.users == 5e6
    [problem] = refused("demand", users="5M", tokens_per_user_per_day="20k")
    assert "twice" in problem.message
    [problem] = refused("demand", peak=None)
    assert "no demand" in problem.message
    [problem] = refused("demand", peak=None, users="5M")
    assert problem.path.endswith("tokens_per_user_per_day")


def test_ramps():
    bass = section("demand", ramp={"kind": "bass", "p": 0.03, "q": 0.4}).ramp
    assert (bass.p, bass.q) == (0.03, 0.4)
    [problem] = refused("demand", ramp={"kind": "linear", "p": 1})
    assert "linear" in problem.message
    assert len(refused("demand", ramp={"kind": "bass", "midpoint": "4 months"})) == 3  # unknown key, two missing


def test_dated_prices():
    steps = [{"since": "2026-01-01", "price": "5 USD/Mtok"}, {"since": "2026-09-10", "price": "4 to 6 USD/Mtok"}]
    output = section("price", output=steps).output
    assert [step.since.month for step in output] == [1, 9]
    assert isinstance(output[1].price, Range)
    assert "not in order" in refused("price", output=steps[::-1])[0].message
    assert "empty" in refused("price", output=[])[0].message


def test_factors_by_vendor_or_one():
    assert section("serving").software_factor.nvidia == 1.0
    assert section("serving", software_factor=0.8).software_factor == 0.8
    assert section("serving", roofline={"memory_efficiency": 0.8}).roofline.memory_efficiency == 0.8


@pytest.mark.parametrize(
    ("name", "changes", "path"),
    [
        ("cost", {"basis": "lease"}, "cost.basis"),
        ("cost", {"research_multiplier": 0.5}, "cost.research_multiplier"),
        ("cost", {"own": {"network_share": "95%"}}, "cost.own.network_share"),
        ("cost", {"own": {"life": "0 years"}}, "cost.own.life"),
        ("serving", {"speed": 40}, "serving.speed"),
        ("serving", {"occupancy": "0%"}, "serving.occupancy"),
        ("serving", {"precision": "int3"}, "serving.precision"),
        ("price", {"market_decline": "10%"}, "price.market_decline"),
        ("finance", {"discount_rate": "12 USD"}, "finance.discount_rate"),
        ("finance", {"cash": 5}, "finance.cash"),
    ],
)
def test_wrong_values_are_refused_where_they_stand(name, changes, path):
    [problem] = refused(name, **changes)
    assert problem.path == path
    assert problem.allowed or problem.message
