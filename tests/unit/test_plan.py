"""Plans of whole scenarios: what the JSON holds and how its figures hang together."""

from __future__ import annotations

import ast
import copy
import datetime
import json
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plan_cases import FULL, SMALL, changed
from test_explain_evaluates import evaluated

from costsim.errors import InternalError
from costsim.evaluate import defined
from costsim.explain import declared
from costsim.inputs import catalogue
from costsim.inputs.law import load_law
from costsim.inputs.scenario import load_scenario
from costsim.plan import SECTIONS, Plan, plan
from costsim.tree import flatten, lookup

NAMES = catalogue.names("scenarios")

# What each figure may be: C a whole number from 1, W from 0, P a number above zero, N any number, F a share, B a truth
# value, T text, U a number or nothing ("never").
CONTRACT: dict[str, dict[str, str]] = {
    "model": {"parameters": "C", "active_parameters": "C", "embedding_parameters": "C", "layers": "C"},
    "compute": dict.fromkeys(("flops_6nd", "model_flops", "hardware_flops", "flops_per_token"), "P"),
    "layout": {
        **dict.fromkeys(("tensor", "pipeline", "virtual_pipeline", "context", "expert", "data"), "C"),
        **dict.fromkeys(("micro_batch", "gradient_accumulation"), "C"),
        **dict.fromkeys(("sharding", "recompute"), "T"),
    },
    "memory": {
        **dict.fromkeys(("weights_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes"), "P"),
        **dict.fromkeys(("peak_bytes", "capacity_bytes"), "P"),
        "fit_probability": "F",
        "fits": "B",
    },
    "step": {
        **dict.fromkeys(("step_seconds", "model_flops_per_second_per_accelerator", "tokens_per_second"), "P"),
        **dict.fromkeys(("mfu", "hfu"), "F"),
        "tokens_per_second_per_accelerator": "P",
        "breakdown": "",
    },
    "step.breakdown": dict.fromkeys(
        [
            f"{part}_seconds"
            for part in (
                "compute", "memory_bound", "tensor_comm", "pipeline_bubble", "data_comm", "expert_comm",
                "context_comm", "optimizer", "host", "straggler",
            )
        ],
        "W",
    ),
    "run": {
        **dict.fromkeys(("steps", "tokens", "ideal_days", "wall_clock_days", "accelerator_hours"), "P"),
        **dict.fromkeys(("interruptions", "power_megawatts", "energy_kwh", "carbon_tonnes"), "P"),
        "goodput": "F",
    },
    "loss": {
        "law": "T", "final_loss": "P", "unit": "T", "optimal_parameters": "P", "optimal_tokens": "P", "in_range": "B",
        "capabilities": "",
    },
    "cost": {
        "basis": "T", "total_usd": "P", "programme_usd": "P", "usd_per_accelerator_hour": "P", "items": "",
        "programme_items": "", "bases": "",
    },
    "cost.bases": dict.fromkeys(("rent_usd", "own_usd", "amortised_usd", "purchase_usd"), "P"),
    "serving": {
        **dict.fromkeys(("output_tokens_per_second_per_accelerator", "usd_per_million_input_tokens"), "P"),
        **dict.fromkeys(("usd_per_million_cached_input_tokens", "usd_per_million_output_tokens"), "P"),
        "training_usd_per_million_tokens": "P", "batch": "P", "bound_by": "T",
    },
    "payback": {
        "repaid": "B", "months": "U", "discounted_months": "U", "probability": "F", "npv_usd": "N", "irr_annual": "U",
        "moic": "N", "break_even_usd_per_million_output_tokens": "P", "break_even_tokens": "U",
        "peak_funding_usd": "P", "monthly": "",
    },
    "clocks": {"payoff_months": "U", "runway_months": "U", "regime": "T", "probability_closing": "F"},
}  # fmt: skip


def number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


KINDS = {
    "C": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 1,
    "W": lambda v: number(v) and v >= 0,
    "P": lambda v: number(v) and v > 0,
    "N": number,
    "F": lambda v: number(v) and 0 <= v <= 1,
    "B": lambda v: isinstance(v, bool),
    "T": lambda v: isinstance(v, str) and v != "",
    "U": lambda v: v is None or number(v),
    "": lambda v: v is not None,
}


@pytest.fixture(scope="module")
def full() -> Plan:
    return plan(FULL, explain=True)


def point(scenario: Any, **changes: Any) -> dict[str, Any]:
    return plan(scenario, draws=0, **changes).to_dict()


# --- the contract -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("section", CONTRACT)
def test_each_named_figure_is_there_and_is_what_it_should_be(full: Plan, section: str) -> None:
    found = lookup(full.to_dict(), section)
    kinds = CONTRACT[section]
    wrong = {key: found.get(key, "missing") for key in kinds if not KINDS[kinds[key]](found.get(key))}
    assert wrong == {}


def test_top_level_keys(full: Plan) -> None:
    made = full.to_dict()
    assert made["schema"] == "costsim.plan/1"
    assert set(made) >= {"scenario", *SECTIONS, "coverage", "intervals", "notes", "warnings", "provenance", "explain"}
    assert made["scenario"]["name"] == "full"
    assert made["loss"]["capabilities"] == []


def test_words_are_those_of_the_contract(full: Plan) -> None:
    made = full.to_dict()
    assert made["layout"]["sharding"] in ("none", "optimizer", "gradients", "full")
    assert made["layout"]["recompute"] in ("none", "selective", "full")
    assert made["cost"]["basis"] in ("rent", "own", "amortised")
    assert made["clocks"]["regime"] in ("closing", "stretching", "breaking")
    assert made["serving"]["bound_by"] in ("speed", "kv_capacity", "compute", "measured")


@pytest.mark.parametrize("name", NAMES)
def test_json_of_shipped_scenarios_is_finite_plain_and_the_same_twice(name: str) -> None:
    made = plan(name, draws=30)
    text = json.dumps(made.to_dict(), allow_nan=False)
    assert json.loads(text) == made.to_dict()  # no tuple, no number that JSON has no form for
    assert text == json.dumps(plan(name, draws=30).to_dict(), allow_nan=False)
    assert all(type(v) in (int, float, str, bool, type(None)) for _, v in flatten(made.to_dict()))


def test_intervals_are_of_figures_and_ascend(full: Plan) -> None:
    made = full.to_dict()
    assert len(made["intervals"]) > 50
    for path, drawn in made["intervals"].items():
        assert set(drawn) == {"p5", "p50", "p95"}
        parent = lookup(made, path.rpartition(".")[0])
        assert path.rpartition(".")[2] in parent, path
        if path == "payback.irr_annual" or path.endswith(".needed"):
            continue  # what does not exist lies below every rate, and what no cost would do below every cost: null
        ends = [math.inf if drawn[q] is None else drawn[q] for q in ("p5", "p50", "p95")]
        assert all(a <= b or a == b for a, b in pairwise(ends)), path


def test_a_payback_that_may_never_come_is_null_in_the_last_quantile(full: Plan) -> None:
    made = full.to_dict()
    assert 0.05 < made["payback"]["probability"] < 0.95
    months = made["intervals"]["payback.months"]
    assert months["p5"] is not None
    assert months["p95"] is None
    assert full.drawn is not None
    comes = np.isfinite(np.asarray(full.drawn.values["payback.months"]))
    assert made["payback"]["probability"] == pytest.approx(comes.mean())


def test_every_uncertain_output_has_an_interval(full: Plan) -> None:
    """The paths with intervals are those whose draws vary; the centre lies between their ends."""
    made = full.to_dict()
    for path in ("step.step_seconds", "cost.total_usd", "cost.bases.own_usd", "loss.final_loss", "payback.npv_usd",
                 "serving.usd_per_million_output_tokens", "clocks.runway_months"):  # fmt: skip
        assert path in made["intervals"]
    for path in ("step.step_seconds", "cost.total_usd", "cost.bases.purchase_usd", "run.accelerator_hours"):
        drawn = made["intervals"][path]
        assert drawn["p5"] < lookup(made, path) < drawn["p95"], path
    for path in ("model.parameters", "compute.model_flops", "memory.capacity_bytes"):
        assert path not in made["intervals"]


def test_without_draws_there_are_no_intervals_and_no_probabilities() -> None:
    made = point(FULL)
    assert made["intervals"] == {}
    assert made["payback"]["probability"] is None
    assert made["clocks"]["probability_closing"] is None
    assert made["payback"]["repaid"] in (True, False)


def test_notes_warnings_provenance_and_coverage(full: Plan) -> None:
    made = full.to_dict()
    assert all(isinstance(note, str) and note and "\n" not in note for note in made["notes"])
    assert len(set(made["notes"])) == len(made["notes"])
    paths = [row["path"] for row in made["provenance"]]
    assert len(set(paths)) == len(paths)
    for row in made["provenance"]:
        assert set(row) >= {"path", "value", "source", "known"}
        assert isinstance(row["source"], str)
        assert row["source"], row
        assert row["known"] in ("given", "measured", "published", "derived", "estimated"), row
        assert isinstance(row["value"], str | int | float | bool), row
    evidence = made["coverage"]["step"]
    assert 0 < evidence["coverage"] < 1
    assert evidence["runs"] > 0
    assert evidence["evidence"]
    hot = point(changed(SMALL, {"cluster.failures.interruptions_per_accelerator_hour": 0.5}))
    assert [set(warning) for warning in hot["warnings"]] == [{"path", "message"}]
    assert hot["warnings"][0]["path"] == "run.goodput"


def test_null_sections_say_what_to_add_and_adding_it_fills_them() -> None:
    made = point(SMALL)
    assert [name for name in SECTIONS if made[name] is None] == ["serving", "payback", "clocks"]
    assert sum(note.startswith("serving: add ") for note in made["notes"]) == 1
    [told] = [note for note in made["notes"] if note.startswith("payback: add ")]
    named = re.findall(r"\b(serving|demand|price|finance)\b", told)
    assert named == ["serving", "demand", "price", "finance"]
    more = point(SMALL | {name: FULL[name] for name in named})
    assert [name for name in SECTIONS if more[name] is None] == []
    assert not any(": add 'serving'" in note or note.startswith("payback: add") for note in more["notes"])


@pytest.mark.parametrize("lacking", ["serving", "demand", "price", "finance"])
def test_one_missing_section_is_named(lacking: str) -> None:
    made = point(changed(FULL, {lacking: ...}))
    assert made["payback"] is None
    assert made["clocks"] is None
    [told] = [note for note in made["notes"] if note.startswith("payback: add ")]
    assert re.findall(r"\b(serving|demand|price|finance)\b", told) == [lacking]


def test_finance_without_cash_has_a_payback_but_no_clocks() -> None:
    made = point(changed(FULL, {"finance.cash": ..., "finance.debt": ...}))
    assert made["payback"] is not None
    assert made["clocks"] is None
    assert any(note.startswith("clocks:") for note in made["notes"])


def test_a_cash_flow_of_a_century_is_not_made_and_a_note_says_so() -> None:
    made = point(changed(FULL, {"demand.life": "50 years", "finance.debt": ...}))
    assert made["payback"] is None
    assert any("no cash flow" in note for note in made["notes"])


def test_monthly_rows_add_up(full: Plan) -> None:
    made = full.to_dict()
    rows, payback = made["payback"]["monthly"], made["payback"]
    assert [row["month"] for row in rows] == list(range(1, len(rows) + 1))
    running = 0.0
    for row in rows:
        assert row["contribution_usd"] == pytest.approx(row["revenue_usd"] - row["serving_usd"] - row["fixed_usd"])
        running += row["contribution_usd"] - row["cost_usd"]
        assert row["cumulative_usd"] == pytest.approx(running, abs=1e-6)
    assert math.fsum(row["cost_usd"] for row in rows) == pytest.approx(made["cost"]["programme_usd"])
    assert math.fsum(row["revenue_usd"] for row in rows) == pytest.approx(payback["revenue_usd"])
    assert -min(row["cumulative_usd"] for row in rows) == pytest.approx(payback["peak_funding_usd"])
    npv = sum((row["contribution_usd"] - row["cost_usd"]) / 1.1 ** (row["month"] / 12) for row in rows)
    assert npv == pytest.approx(payback["npv_usd"])


def test_layouts_of_phases_are_told_where_there_are_several() -> None:
    grown = point("palm-540b")
    assert len(grown["layout"]["phases"]) == len(load_scenario("palm-540b").fields.training.phases) > 1
    assert all(set(layout) == set(grown["layout"]) - {"phases"} for layout in grown["layout"]["phases"])
    assert point(SMALL)["layout"]["phases"] is None


def test_a_mixture_of_experts_has_fewer_active_parameters() -> None:
    experts = point("mixtral-8x7b-h100")
    assert experts["model"]["active_parameters"] < experts["model"]["parameters"]
    assert experts["step"]["breakdown"]["expert_comm_seconds"] >= 0
    assert experts["coverage"]["step"]["evidence"].startswith("published steps of mixtures")


# --- identities -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", ["rent", "own", "amortised"])
def test_items_add_up_on_every_basis(basis: str) -> None:
    made = point(changed(FULL, {"cost.basis": basis}))["cost"]
    assert math.fsum(made["items"].values()) == pytest.approx(made["total_usd"], rel=1e-12)
    assert math.fsum(made["programme_items"].values()) == pytest.approx(made["programme_usd"], rel=1e-12)
    assert made["total_usd"] == pytest.approx(made["bases"][f"{basis}_usd"], rel=1e-12)
    assert ("energy_usd" in made["items"]) == (basis != "rent")
    assert min(made["programme_items"].values()) >= 0


@pytest.mark.parametrize("name", NAMES)
def test_identities_of_step_and_run(name: str) -> None:
    made, scenario = point(name), load_scenario(name)
    n = scenario.fields.cluster.accelerators
    step, run, layout, compute = (made[s] for s in ("step", "run", "layout", "compute"))
    peak = {row["path"]: row["value"] for row in made["provenance"]}["accelerator.peak_flops"]
    assert step["mfu"] * peak * n == pytest.approx(step["model_flops_per_second_per_accelerator"] * n, rel=1e-12)
    assert step["tokens_per_second"] == pytest.approx(step["tokens_per_second_per_accelerator"] * n, rel=1e-12)
    assert step["hfu"] / step["mfu"] == pytest.approx(compute["hardware_flops"] / compute["model_flops"], rel=1e-12)
    sequences = layout["data"] * layout["micro_batch"] * layout["gradient_accumulation"]
    assert step["tokens"] % sequences == 0
    assert compute["model_flops"] == pytest.approx(compute["flops_per_token"] * run["tokens"], rel=1e-12)
    assert compute["hardware_flops"] >= compute["model_flops"]
    assert run["interruptions"] == pytest.approx(
        run["accelerator_hours"] * scenario_rate(made, "cluster.failures.interruptions_per_accelerator_hour")
    )
    if "energy_kwh" in run:
        assert run["energy_kwh"] == pytest.approx(run["power_megawatts"] * 1000 * run["wall_clock_days"] * 24, rel=1e-9)
    assert made["cost"]["usd_per_accelerator_hour"] == pytest.approx(
        made["cost"]["total_usd"] / run["accelerator_hours"], rel=1e-12
    )


def scenario_rate(made: dict[str, Any], path: str) -> float:
    [row] = [row for row in made["provenance"] if row["path"] == path]
    return float(row["value"])


def test_hours_of_phases_add_up() -> None:
    """Two halves with the run's own batch are the run; a half with half the batch takes twice the steps."""
    whole = point(SMALL)["run"]
    halves = [{"tokens": "5B"}, {"tokens": "5B"}]
    same = point(changed(SMALL, {"training.phases": halves}))["run"]
    assert same["accelerator_hours"] == pytest.approx(whole["accelerator_hours"], rel=1e-12)
    ramp = [{"tokens": "5B", "global_batch_sequences": 256}, {"tokens": "5B"}]
    more = point(changed(SMALL, {"training.phases": ramp}))
    assert more["run"]["steps"] == pytest.approx(1.5 * whole["steps"], rel=1e-12)
    assert [layout["gradient_accumulation"] for layout in more["layout"]["phases"]] == [2, 4]
    assert more["run"]["accelerator_hours"] > whole["accelerator_hours"]


def test_tokens_may_be_left_to_the_phases_and_sequences_may_grow() -> None:
    long = [{"tokens": "9B"}, {"tokens": "1B", "sequence_length": 2048, "global_batch_sequences": 256}]
    made = point(changed(SMALL, {"training.tokens": ..., "training.phases": long}))
    assert made["run"]["tokens"] == 10e9
    assert made["step"]["tokens"] == 512 * 1024  # of the phase with the most tokens
    assert made["compute"]["flops_per_token"] > point(SMALL)["compute"]["flops_per_token"]


# --- explanations -----------------------------------------------------------------------------------------------------


def is_arithmetic(formula: str) -> bool:
    """Whether a formula is pure arithmetic on its placeholders."""
    try:
        ast.parse(re.sub(r"\{[^}]*\}", "v", formula).strip(), mode="eval")
    except SyntaxError:
        return False
    return True


REASONS = ("never", "month by month, see payback.monthly", "not in this plan", "not given")
ASSUMED = ("step.step_seconds", "run.overhead")
"""Figures whose formula is that of the model, also where the scenario assumes their result."""


@pytest.mark.parametrize("name", [*NAMES, "full"])
def test_every_placeholder_has_a_value_or_a_reason(name: str) -> None:
    made = plan(FULL if name == "full" else name, draws=0, explain=True).to_dict()
    for item in made["explain"]:
        for entry in item["inputs"]:
            if entry["value"] is not None:
                assert entry["origin"], (item["path"], entry["path"])
                continue
            reason = (item["path"], entry["path"], entry["origin"])
            assert entry["origin"] in REASONS or entry["origin"] == f"given in parts, see {entry['path']}", reason
            assert entry["origin"] != "not given" or entry["path"].startswith(("finance.debt.", "demand.")), reason
            if is_arithmetic(item["formula"]) and entry["origin"] != "never" and "*" not in entry["path"]:
                assert item["path"] in ASSUMED, reason


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"cost.basis": "own"},
        {"cost.basis": "amortised"},
        {"cost.rent.commitment": True, "cost.rent.term": "1-year"},
        {"serving.measured_tokens_per_second": 900},
        {"cluster.failures.checkpoint_every": "30 min"},
        {"training.optimizer": "adamw", "cluster.layout": "auto"},
        {"cluster.mfu": 0.41, "cluster.goodput": 0.93},
    ],
    ids=["rent", "own", "amortised", "commitment", "measured", "interval", "auto", "given"],
)
def test_arithmetic_formulas_give_their_figures(changes: dict[str, Any]) -> None:
    made = plan(changed(FULL, changes), draws=0, explain=True).to_dict()
    found = list(evaluated(made["explain"]))
    for item, value in found:
        assert value == pytest.approx(item["value"], rel=1e-9, abs=1e-12), (item["path"], item["numbers"])
    assert len(found) >= 45


def test_every_figure_is_explained(full: Plan) -> None:
    made = full.to_dict()
    explained = {item["path"] for item in made["explain"]}
    figures = {
        path
        for section in SECTIONS
        for path, value in flatten(made[section], section)
        if value is not None
        and ".monthly." not in path
        and ".pareto." not in path
        and not isinstance(value, str | bool)
    }
    assert figures - explained - {"layout.phases"} == set()
    for item in made["explain"]:
        assert set(item) >= {"path", "formula", "inputs", "source"}
        assert item["source"]
        assert declared(item["path"]) is not None


# --- wiring -----------------------------------------------------------------------------------------------------------


def test_a_law_that_counts_without_embeddings_gets_the_size_without_them() -> None:
    """GPT-2 has 124,439,808 parameters, of which (50,257 + 1,024) x 768 are embeddings."""
    law = load_law("kaplan-2020").law
    assert law.counts == "non_embedding"
    n = 124_439_808 - (50_257 + 1_024) * 768
    loss = law.E + (law.A / n**law.alpha + law.B / 10e9**law.beta) ** law.k
    assert point(changed(SMALL, {"law": "kaplan-2020"}))["loss"]["final_loss"] == pytest.approx(loss, rel=1e-9)


def test_users_times_their_tokens_are_a_peak() -> None:
    by_peak = point(changed(FULL, {"demand.peak": "45B tokens/day"}))
    users = {"demand.peak": ..., "demand.users": "3M", "demand.tokens_per_user_per_day": "15k"}
    by_users = point(changed(FULL, users))
    assert by_users["payback"]["tokens"] == pytest.approx(by_peak["payback"]["tokens"], rel=1e-12)
    assert by_users["payback"]["npv_usd"] == pytest.approx(by_peak["payback"]["npv_usd"], rel=1e-9)


def test_a_dated_price_counts_from_its_day() -> None:
    """440 days after the start are 14.46 months: the month whose middle is 14.5 is the first at the new price."""
    since = datetime.date(2026, 1, 1) + datetime.timedelta(days=440)
    twice = {
        f"price.{kind}": [
            {"since": "2026-01-01", "price": f"{usd} USD/Mtok"},
            {"since": since.isoformat(), "price": f"{2 * usd} USD/Mtok"},
        ]
        for kind, usd in (("input", 0.2), ("output", 0.8))
    }
    flat, dated = point(FULL)["payback"]["monthly"], point(changed(FULL, twice))["payback"]["monthly"]
    ratios = {
        b["month"]: b["revenue_usd"] / a["revenue_usd"] for a, b in zip(flat, dated, strict=True) if a["revenue_usd"]
    }
    assert {month: round(ratio, 9) for month, ratio in ratios.items()} == {
        month: 1.0 if month < 15 else 2.0 for month in ratios
    }


@pytest.mark.parametrize(("replica", "matters"), [(8, False), (16, True)])
def test_a_replica_inside_a_domain_does_not_use_the_network(replica: int, matters: bool) -> None:
    def chip(network: str) -> dict[str, Any]:
        return {
            "peak_flops": {"bf16": "300 TFLOP/s"},
            "memory": {"capacity": "80 GiB", "bandwidth": "2 TB/s"},
            "scale_up": {"bandwidth": "300 GB/s", "domain": 8},
            "scale_out": {"bandwidth": network},
        }

    prices = [
        point(
            changed(
                FULL,
                {
                    "serving.accelerator": chip(network),
                    "serving.precision": "bf16",
                    "serving.accelerators_per_replica": replica,
                },
            )
        )["serving"]["usd_per_million_output_tokens"]
        for network in ("1 GB/s", "50 GB/s")
    ]
    assert (prices[0] > prices[1]) is matters
    assert matters or prices[0] == prices[1]


# --- what plan() takes ------------------------------------------------------------------------------------------------

YAML = """\
costsim: 1
name: small
model: gpt2
training: {tokens: 10B, sequence_length: 1024, global_batch_sequences: 512, precision: bf16}
cluster:
  accelerator: a100-80gb-sxm
  accelerators: 8
  layout: {tensor: 1, pipeline: 1, sharding: optimizer, micro_batch: 16, recompute: none}
cost: {rent: {usd_per_accelerator_hour: 1.75}, research_multiplier: 2, staff: 20%, contingency: 0}
uncertainty: {draws: 0}
"""


def figures(made: Plan) -> dict[str, Any]:
    return {key: value for key, value in made.to_dict().items() if key not in ("provenance", "scenario")}


def test_path_text_mapping_and_scenario_give_the_same_figures(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(YAML)
    wanted = figures(plan(SMALL))
    for x in (str(file), file, load_scenario(file), load_scenario(SMALL)):
        assert figures(plan(x)) == wanted
    assert figures(plan("-", stdin_text=YAML)) == wanted


def test_a_loaded_scenario_takes_settings_and_keeps_its_origins(tmp_path: Path) -> None:
    file = tmp_path / "small.yaml"
    file.write_text(YAML)
    scenario = load_scenario(file)
    direct = plan(file, overrides=["cluster.accelerators=16"], seed=7, draws=20).to_dict()
    again = plan(scenario, overrides=["cluster.accelerators=16"], seed=7, draws=20).to_dict()
    assert again == direct
    assert direct["scenario"]["resolved"]["uncertainty"] == {"draws": 20, "seed": 7, "sensitivity_points": 2048}
    rows = {row["path"]: row for row in again["provenance"]}
    assert rows["training.tokens"]["source"] == f"{file}:4"
    assert rows["cluster.accelerators"]["source"] == "--set 1"
    assert rows["cost.own.life"]["source"].startswith("default: Annual reports")
    assert plan(scenario).to_dict()["scenario"]["resolved"]["uncertainty"]["draws"] == 0  # itself unchanged


def test_a_loaded_scenario_whose_chip_lacks_the_default_term_can_be_planned_again() -> None:
    """The book has no one-year price of an A10: another term stands in, also the second time."""
    scenario = load_scenario(changed(SMALL, {"cluster.accelerator": "a10", "cost.rent": ...}))
    first = plan(scenario, draws=10).to_dict()
    again = plan(first["scenario"]["resolved"]).to_dict()
    assert first["cost"] == again["cost"]


def test_what_a_caller_does_to_the_result_stays_with_the_caller() -> None:
    mine = copy.deepcopy(SMALL)
    first = plan(mine).to_dict()
    assert mine == SMALL
    first["scenario"]["resolved"]["cost"]["own"]["life"] = "1 year"
    first["scenario"]["resolved"]["cluster"]["failures"].clear()
    mine["training"]["tokens"] = 1
    assert plan(SMALL).to_dict()["cost"]["bases"] == first["cost"]["bases"]
    assert "life" in plan(SMALL).to_dict()["scenario"]["resolved"]["cost"]["own"]


def test_values_of_a_program_are_those_of_a_file() -> None:
    start = {"start": datetime.date(2026, 1, 1)}
    odd = changed(SMALL, {**start, "cluster.accelerators": np.int64(8), "training.tokens": np.float64(1e10)})
    odd["training"]["phases"] = ({"tokens": "5B"}, {"tokens": "5B"})
    made = plan(odd).to_dict()
    json.dumps(made, allow_nan=False)
    assert made["scenario"]["resolved"]["start"] == "2026-01-01"
    assert made["scenario"]["resolved"]["training"]["phases"] == [{"tokens": "5B"}, {"tokens": "5B"}]


# --- assumed, unfit, extreme ------------------------------------------------------------------------------------------


def test_assumed_mfu_and_goodput() -> None:
    made = point(changed(SMALL, {"cluster.mfu": "40%", "cluster.goodput": 0.8}))
    assert made["step"]["mfu"] == pytest.approx(0.4, rel=1e-12)
    assert made["step"]["breakdown"] is None
    assert made["run"]["goodput"] == 0.8
    # 10B tokens at 40 % of 8 x 312 TFLOP/s, over 0.8
    seconds = made["compute"]["model_flops"] / (0.4 * 8 * 312e12) / 0.8
    assert made["run"]["wall_clock_days"] == pytest.approx(seconds / 86400, rel=1e-9)
    assert "step" not in made["coverage"]
    assert made["run"]["interruptions"] > 0
    told = point(changed(SMALL, {"cluster.mfu": "40%"}))["notes"]
    assert any("cluster.goodput: 1" in note for note in told)


def test_a_range_of_mfu_is_an_interval_of_hours() -> None:
    made = plan(changed(SMALL, {"cluster.mfu": "35% to 45%"}), draws=2000).to_dict()
    drawn = made["intervals"]["step.mfu"]
    assert drawn["p5"] == pytest.approx(0.35, rel=0.02)
    assert drawn["p95"] == pytest.approx(0.45, rel=0.02)
    hours = made["intervals"]["run.accelerator_hours"]
    assert hours["p95"] / hours["p5"] == pytest.approx(45 / 35, rel=0.05)


def test_what_does_not_fit_is_returned_with_a_layout_that_does() -> None:
    """Its advice, fed back, fits."""
    wrong = {"tensor": 1, "pipeline": 1, "recompute": "none"}
    tight = changed(FULL, {"model": "llama-3.1-70b", "cluster.layout": wrong})
    made = plan(tight, draws=0)
    assert made.fits is False
    told = made.to_dict()
    assert told["memory"]["fits"] is False
    assert told["memory"]["fit_probability"] < 0.5
    assert told["memory"]["peak_bytes"] > told["memory"]["capacity_bytes"]
    advised = {k: v for k, v in told["layout_advice"]["layout"].items() if k != "gradient_accumulation"}
    assert told["layout_advice"]["accelerators"] is None
    assert plan(changed(tight, {"cluster.layout": advised}), draws=0).fits
    assert [note.split(":")[0] for note in told["notes"][:2]] == ["memory", "memory"]


@pytest.mark.parametrize(("spreads", "fits"), [(1.2, True), (0.2, True), (-0.2, False)])
def test_a_plan_fits_with_a_probability_of_a_half(spreads: float, fits: bool) -> None:
    """The memory is some standard deviations of its estimate's error above what is needed."""
    whole = point(SMALL)["memory"]
    spread = scenario_rate(point(SMALL), "stack.memory_spread")
    chip = {
        "peak_flops": {"bf16": "312 TFLOP/s"},
        "memory": {"capacity": f"{whole['peak_bytes'] * math.exp(spreads * spread)!r} B", "bandwidth": "2 TB/s"},
        "scale_up": {"domain": 8, "bandwidth": "300 GB/s"},
    }
    made = point(changed(SMALL, {"cluster.accelerator": chip}))
    assert made["memory"]["peak_bytes"] == whole["peak_bytes"]
    assert made["memory"]["fit_probability"] == pytest.approx(0.5 * math.erfc(-spreads / math.sqrt(2)), abs=1e-6)
    assert made["memory"]["fits"] is fits
    assert ("layout_advice" in made) is not fits


@pytest.mark.parametrize("accelerators", [16, 32])
def test_where_no_layout_fits_the_advice_is_a_number_of_accelerators(accelerators: int) -> None:
    small = changed(FULL, {"model": "llama-3.1-405b", "cluster.accelerators": accelerators, "cluster.layout": "auto"})
    told = plan(small, draws=0).to_dict()
    assert told["memory"]["fits"] is False
    assert told["layout_advice"]["layout"] is None
    enough = told["layout_advice"]["accelerators"]
    assert any(f"{enough:,} accelerators" in note for note in told["notes"])
    assert plan(changed(small, {"cluster.accelerators": enough}), draws=0).fits
    assert not plan(changed(small, {"cluster.accelerators": enough // 2}), draws=0).fits


def test_a_device_that_is_far_too_small_is_said_to_be() -> None:
    tiny = {
        "peak_flops": {"bf16": "1 TFLOP/s"},
        "memory": {"capacity": "1 MB", "bandwidth": "1 GB/s"},
        "scale_up": {"domain": 8, "bandwidth": "1 GB/s"},
    }
    told = plan(changed(SMALL, {"cluster.accelerator": tiny, "cluster.layout": "auto"})).to_dict()
    assert told["layout_advice"] == {"layout": None, "accelerators": None}
    assert any("the device is too small" in note for note in told["notes"])


def test_a_plan_that_fits_has_no_advice() -> None:
    assert "layout_advice" not in point(SMALL)


def test_one_cpu() -> None:
    cpu = {
        "model": {"parameters": "10M"},
        "training": {"tokens": "100M", "sequence_length": 256, "global_batch_sequences": 8, "precision": "fp32"},
        "cluster": {"accelerator": "cpu-generic", "accelerators": 1},
        "cost.rent.usd_per_accelerator_hour": 0.5,
    }
    made = point(changed(SMALL, cpu))
    assert made["memory"]["fits"]
    step = made["step"]["breakdown"]
    for part in ("tensor_comm", "pipeline_bubble", "data_comm", "expert_comm", "context_comm", "straggler"):
        assert step[f"{part}_seconds"] == 0
    assert made["layout"]["data"] == 1
    assert any("shape" in note for note in made["notes"])


@pytest.mark.parametrize(
    "changes",
    [
        {"training.tokens": 1},
        {"training.tokens": "1e30"},
        {"cost.rent.usd_per_accelerator_hour": 1e-12},
        {"cost.rent.usd_per_accelerator_hour": "1e20 USD/h"},
        {"training.sequence_length": 1, "training.global_batch_sequences": 128},
        {"cluster.failures.interruptions_per_accelerator_hour": 0},
        {"cluster.failures.interruptions_per_accelerator_hour": 1e6},
        {"uncertainty.draws": 1},
        {"uncertainty.draws": 2},
        {"uncertainty.seed": 2**53},
        {"start": "0001-01-01"},
        {"start": "9999-12-31"},
    ],
    ids=str,
)
def test_huge_and_tiny_numbers_stay_numbers(changes: dict[str, Any]) -> None:
    made = plan(changed(SMALL, {"uncertainty.draws": 20, **changes})).to_dict()
    json.dumps(made, allow_nan=False)
    assert made["cost"]["total_usd"] > 0
    assert 0 < made["run"]["goodput"] <= 1
    assert made["run"]["wall_clock_days"] > 0


def test_without_failures_nothing_is_lost() -> None:
    run = point(changed(SMALL, {"cluster.failures.interruptions_per_accelerator_hour": 0}))["run"]
    assert run["goodput"] == 1
    assert run["interruptions"] == 0
    assert run["checkpoint_interval_seconds"] is None  # never: nothing fails


def test_a_figure_that_is_not_a_number_is_a_bug_and_no_null() -> None:
    defined({"run.goodput": 0.9, "payback.months": np.array([3.0, np.inf])})
    with pytest.raises(InternalError, match=r"cost\.total_usd is not a number"):
        defined({"run.goodput": 0.9, "cost.total_usd": np.array([1.0, np.nan])})


def test_frame_has_every_figure(full: Plan) -> None:
    frame = full.to_frame()
    assert list(frame.columns) == ["value", "p5", "p50", "p95"]
    assert set(full.point.values) == set(frame.index)
    assert frame.loc["cost.total_usd", "p5"] == full.to_dict()["intervals"]["cost.total_usd"]["p5"]
