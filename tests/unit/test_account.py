"""What a plan says besides its numbers: origins, notes, warnings, and how sure it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from plan_cases import FULL, SMALL, changed

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.scenario import load_scenario
from costsim.plan import plan
from costsim.tree import flatten

TEXT = """\
costsim: 1
name: x
model: gpt2
training:
  tokens: 10B
  sequence_length: 1024
  global_batch_sequences: 512
cluster:
  accelerator: a100-80gb-sxm
  accelerators: 8
  mfu: {value: 30% to 40%, source: my log, known: measured, note: of last week}
cost: {staff: 35%, data: 2M USD, network: {usd: 1k USD, share: 1%}}
"""


def made(scenario: Any, **how: Any) -> dict[str, Any]:
    return plan(scenario, **{"draws": 0, **how}).to_dict()


def origins(plan_: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in plan_["provenance"]}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    file = tmp_path_factory.mktemp("account") / "x.yaml"
    file.write_text(TEXT)
    return origins(made(file, overrides=["training.sequence_length=2048"]))


# --- origins ----------------------------------------------------------------------------------------------------------


def test_what_the_scenario_says_is_told_with_its_line(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["training.tokens"]
    assert (row["value"], Path(row["source"]).name, row["known"]) == (10e9, "x.yaml:5", "given")
    assert rows["training.sequence_length"]["source"] == "--set 1"
    assert rows["training.sequence_length"]["value"] == 2048


def test_a_leaf_with_a_source_of_its_own_says_so(rows: dict[str, dict[str, Any]]) -> None:
    row = rows["cluster.mfu"]
    assert row["source"].endswith("x.yaml:11 (my log)")
    assert (row["known"], row["note"]) == ("measured", "of last week")
    assert row["value"] == pytest.approx(0.35, abs=0.005)  # the median of the range


def test_lines_of_the_programme_are_told_as_written(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["cost.staff"]["value"] == "35%"
    assert rows["cost.data"]["value"] == "2M USD"
    assert rows["cost.network"]["value"] == "1,000 USD and 1 %"


def test_defaults_name_their_source(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["cost.own.life"]["source"].startswith("default: Annual reports")
    assert rows["cost.own.life"]["known"] == "published"
    assert rows["cluster.failures.restart"]["source"] == "default"
    assert rows["cluster.failures.restart"]["note"]
    assert rows["cost.research_multiplier"]["value"] == pytest.approx(4)


def test_facts_of_the_catalogue_name_theirs(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["accelerator.peak_flops"]["source"].startswith("hardware: a100-80gb-sxm (")
    assert rows["accelerator.memory.usable"]["value"] < 80 * 2**30
    assert rows["stack.matmul"]["source"].startswith("stack: single-node (")
    assert rows["cost.site.electricity"]["source"] == "site: us-average"
    assert rows["cost.rent.usd_per_accelerator_hour"]["source"].startswith("price book: a100-80gb-sxm, ")


@pytest.mark.parametrize("name", [*catalogue.names("scenarios"), "full", "small"])
def test_every_input_has_one_row(name: str) -> None:
    """Each leaf of the resolved scenario has an origin, and no path has two."""
    scenario = {"full": FULL, "small": SMALL}.get(name, name)
    found = made(scenario)
    paths = [row["path"] for row in found["provenance"]]
    assert len(paths) == len(set(paths))
    told = set(paths)
    for path, value in flatten(found["scenario"]["resolved"]):
        top, _, rest = path.partition(".")
        whole = path.rpartition(".")[0]  # the distribution that this is a part of
        if top not in ("costsim", "sources") and value is not None:
            assert path in told or whole in told, (path, rest)


def test_chip_site_and_stack_of_the_scenario_itself_are_given() -> None:
    chip = {
        "peak_flops": {"bf16": "100 TFLOP/s"},
        "memory": {"capacity": "64 GiB", "bandwidth": "1 TB/s"},
        "scale_up": {"bandwidth": "100 GB/s", "domain": 8},
        "power": {"system": "900 W"},
    }
    site = {"electricity": "0.05 USD/kWh", "carbon": "10 gCO2/kWh", "pue": 1.5}
    own = {"cluster.accelerator": chip, "cluster.stack": {"matmul": 0.8}, "cost.site": site}
    found = origins(made(changed(SMALL, own)))
    for path in ("accelerator.peak_flops", "accelerator.power.system", "stack.matmul", "cost.site.pue"):
        assert (found[path]["source"], found[path]["known"]) == ("<mapping>", "given"), path
    assert found["cost.site.electricity"]["value"] == 0.05
    assert found["stack.host_seconds"]["known"] == "estimated"


# --- notes ------------------------------------------------------------------------------------------------------------


def notes(changes: dict[str, Any], base: dict[str, Any] = SMALL) -> list[str]:
    found: list[str] = made(changed(base, changes))["notes"]
    return found


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"parameters": "1B"}}, "shape"),
        ({"cluster.mfu": 0.4}, "step: cluster.mfu is taken as that of running steps"),
        ({"cluster.accelerator": "a10"}, "cost: no purchase price of NVIDIA A10 is known"),
        ({"training.tokens": "40B", "training.unique_tokens": "1B"}, "the tokens are repeated 40.0 times"),
        ({"start": "2019-01-01", "cost.rent": {"term": "on-demand"}}, "hour: no price on or before 2019-01-01"),
    ],
)
def test_notes_tell_what_was_assumed(changes: dict[str, Any], words: str) -> None:
    assert sum(words in note for note in notes(changes)) == 1
    assert not any(words in note for note in notes({"start": "2026-10-07"}))


def test_lines_that_the_programme_lacks_are_named() -> None:
    [told] = [note for note in notes({}) if note.startswith("cost: the programme does not include")]
    assert "data, storage, network, egress" in told
    every = {f"cost.{name}": "1%" for name in ("data", "storage", "network", "egress")}
    assert not any("does not include" in note for note in notes(every))


def test_serving_at_a_precision_that_the_chip_lacks_is_told() -> None:
    """An A100 has no FP8 rate: weights are FP8, products the next wider one."""
    told = notes({"serving": {"precision": "fp8", "accelerator": "a100-80gb-sxm", "usd_per_accelerator_hour": 1}})
    assert any("has no fp8 rate: weights are fp8, products " in note for note in told)


def test_a_replica_that_is_too_small_leaves_serving_null_and_says_how_many_would_do() -> None:
    big = changed(FULL, {"model": "llama-3.1-405b", "cluster.accelerators": 512, "cluster.layout": "auto"})
    found = made(big)
    assert found["serving"] is None
    assert found["payback"] is None
    [told] = [note for note in found["notes"] if note.startswith("serving: weights of")]
    enough = int(told.split("give at least ")[1].split()[0])
    assert made(changed(big, {"serving.accelerators_per_replica": enough}))["serving"] is not None
    assert made(changed(big, {"serving.accelerators_per_replica": enough - 1}))["serving"] is None


def test_where_it_does_not_fit_that_is_the_first_note() -> None:
    found = made(changed(FULL, {"model": "llama-3.1-70b", "cluster.layout": {"tensor": 1, "pipeline": 1}}))
    assert not found["memory"]["fits"]
    first, second = found["notes"][:2]
    assert first.startswith("memory: ")
    assert "GiB a device are more than its 79.1 GiB; the largest part is " in first
    assert second.startswith("memory: the nearest layout that fits: tensor ")


def test_a_chip_without_kernels_is_told() -> None:
    chip = {
        "name": "odd",
        "peak_flops": {"bf16": "100 TFLOP/s"},
        "memory": {"capacity": "64 GiB", "bandwidth": "1 TB/s"},
        "scale_up": {"bandwidth": "100 GB/s", "domain": 8},
    }
    told = notes({"cluster.accelerator": chip})
    assert any("odd has no kernel priors" in note for note in told)
    assert any("energy: no power of odd is known" in note for note in told)


# --- warnings and coverage --------------------------------------------------------------------------------------------


def test_failures_that_eat_the_run_warn() -> None:
    often = {"cluster.failures.interruptions_per_accelerator_hour": 0.5}
    [warning] = made(changed(SMALL, often))["warnings"]
    assert warning["path"] == "run.goodput"
    assert "cluster.goodput" in warning["message"]
    assert made(changed(SMALL, {**often, "cluster.goodput": 0.5}))["warnings"] == []


def test_a_speed_that_cannot_be_kept_warns() -> None:
    found = made(changed(FULL, {"serving.speed": "100k tokens/s"}))
    assert [warning["path"] for warning in found["warnings"]] == ["serving.speed"]
    assert found["serving"]["batch"] == 1


@pytest.mark.parametrize(("name", "kind"), [("llama-3.1-8b", "dense models"), ("mixtral-8x7b-h100", "mixtures")])
def test_coverage_is_that_of_the_kind_of_model(name: str, kind: str) -> None:
    found = made(name)["coverage"]
    assert kind in found["step"]["evidence"]
    assert set(found) >= {"step", "memory"}


def test_an_assumed_mfu_has_no_coverage_of_the_step() -> None:
    assert "step" not in made(changed(SMALL, {"cluster.mfu": 0.4}))["coverage"]


def test_texts_of_the_loss() -> None:
    found = made(changed(SMALL, {"law": "chinchilla"}))
    assert found["loss"]["law"] == "hoffmann-2022"
    assert found["loss"]["unit"] == "nats/token"
    assert found["loss"]["in_range"] is True
    assert made("llama-3.1-405b")["loss"]["in_range"] is False
    assert load_scenario(SMALL).law.law.name == "besiroglu-2024"


def test_less_than_a_step_and_an_mfu_out_of_reach_are_warned_of() -> None:
    fine = {row["path"] for row in made(SMALL)["warnings"]}
    odd = made(changed(SMALL, {"training.tokens": "1k", "cluster.mfu": 0.95}))["warnings"]
    assert {row["path"] for row in odd} - fine == {"run.steps", "step.mfu"}


def test_the_market_below_the_list_is_noted() -> None:
    def noted(cap: float) -> bool:
        notes = made(changed(FULL, {"price.market_at_launch": f"{cap} USD/Mtok", "price.market_decline": "1x/year"}))[
            "notes"
        ]
        return any("market's price falls below the list" in note for note in notes)

    assert noted(1e-3)
    assert not noted(1e6)


def test_the_headline_tells_when_the_money_ends_first() -> None:
    from costsim.render import formats
    from costsim.render.text import Screen

    def headline(cash: float) -> str:
        plan_ = made(
            changed(
                FULL,
                {
                    "finance.cash": f"{cash} USD",
                    "finance.debt": ...,
                    "price.output": "500 USD/Mtok",
                    "price.input": "500 USD/Mtok",
                },
            )
        )
        assert plan_["payback"]["months"] is not None
        return formats.plan_text(plan_, "table", Screen(120), quiet=True)

    assert "money ends in month" in headline(1000.0)
    assert "money ends in month" not in headline(1e12)


def test_numbers_of_the_loss_formula_say_where_they_are_from() -> None:
    rows = origins(made(SMALL))
    assert rows["law.tokens"]["source"].startswith("computed: training.tokens")
    assert rows["law.e"]["source"].startswith("law: ")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("demand.users", 1e30),
        ("cost.data", "1e30 USD"),
        ("cost.rent.usd_per_accelerator_hour", "1e6 USD/h"),
        ("cost.own.usd_per_accelerator", "1e9 USD"),
        ("price.output", "1e6 USD/Mtok"),
        ("serving.usd_per_accelerator_hour", "1e6 USD/h"),
        ("serving.measured_tokens_per_second", "1e12 tokens/s"),
    ],
)
def test_magnitudes_that_nobody_has_are_warned_of(path: str, value: Any) -> None:
    said = {path: value}
    if path == "demand.users":
        said |= {"demand.peak": ..., "demand.tokens_per_user_per_day": 1000}
    assert made(FULL)["warnings"] == []
    told = {item["path"]: item["message"] for item in made(changed(FULL, said))["warnings"]}
    assert [found for found in told if found.startswith(path)], told


def test_a_discount_of_everything_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(InputError, match=r"cost\.rent\.discount") as refused:
        load_scenario(changed(SMALL, {"cost.rent.discount": "100%"}))
    assert "0% and 99%" in str(refused.value)
    assert load_scenario(changed(SMALL, {"cost.rent.discount": "99%"}))


def test_research_that_the_cluster_has_no_accelerators_for_is_noted() -> None:
    """A cluster of one's own is filled by the final run; research in the same months takes others."""
    alone = {"cost.basis": "own", "cost.research_multiplier": 1}
    told = notes({**alone, "cost.research_multiplier": 3, "cost.own.usd_per_accelerator": 10_000})
    [beside] = [note for note in told if "in the months of the run" in note]
    assert "together need 24 accelerators" in beside
    assert "has 8: the other 16" in beside
    for quiet in ({**alone, "cost.own.usd_per_accelerator": 10_000}, {"cost.research_multiplier": 3}):
        assert not any("in the months of the run" in note for note in notes(quiet))


def test_research_on_a_commitment_is_said_to_come_after_the_run() -> None:
    made_ = made("rent-or-own-1024-h100")
    hours = {name: made_["cost"]["hours"][f"{name}_accelerator_hours"] for name in ("final_run", "research")}
    later = made_["cost"]["committed_accelerator_hours"] - hours["final_run"]
    beside = (hours["research"] - later) / hours["final_run"] * 1024
    assert any("comes after it; research that has to come first" in note for note in made_["notes"])
    assert any(f"has 1,024: the other {beside:,.0f} are" in note for note in made_["notes"])
