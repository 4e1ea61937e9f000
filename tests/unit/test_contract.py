"""The JSON of a plan: every key that is promised, and the identities that its numbers must keep."""

from __future__ import annotations

import json
import math

import pytest

from costsim import load_scenario, plan
from costsim.inputs.catalogue import names

PROMISED = {
    "model": "parameters active_parameters embedding_parameters layers",
    "compute": "flops_6nd model_flops hardware_flops flops_per_token",
    "layout": "tensor pipeline virtual_pipeline context expert data sharding micro_batch gradient_accumulation"
    " recompute recompute_share shard_ranks",
    "memory": "weights_bytes gradients_bytes optimizer_bytes activations_bytes peak_bytes capacity_bytes"
    " fit_probability fits",
    "step": "step_seconds mfu hfu model_flops_per_second_per_accelerator tokens_per_second"
    " tokens_per_second_per_accelerator breakdown",
    "run": "steps tokens ideal_days goodput wall_clock_days accelerator_hours interruptions power_megawatts energy_kwh"
    " carbon_tonnes",
    "loss": "law final_loss unit optimal_parameters optimal_tokens in_range capabilities",
    "cost": "basis total_usd programme_usd usd_per_accelerator_hour items programme_items bases",
    "serving": "output_tokens_per_second_per_accelerator usd_per_million_input_tokens"
    " usd_per_million_cached_input_tokens usd_per_million_output_tokens training_usd_per_million_tokens batch bound_by",
    "payback": "repaid months discounted_months probability npv_usd irr_annual moic"
    " break_even_usd_per_million_output_tokens break_even_tokens peak_funding_usd monthly",
    "clocks": "payoff_months runway_months regime probability_closing",
}
BREAKDOWN = (
    "compute memory_bound tensor_comm pipeline_bubble data_comm expert_comm context_comm optimizer host straggler"
)


@pytest.fixture(scope="module")
def full():
    return plan("serve-a-million-users", draws=500).to_dict()


def test_every_promised_key_is_there(full):
    assert full["schema"] == "costsim.plan/1"
    for section, keys in PROMISED.items():
        assert set(keys.split()) <= full[section].keys(), section
    assert {f"{name}_seconds" for name in BREAKDOWN.split()} == full["step"]["breakdown"].keys()
    assert {"rent_usd", "own_usd", "amortised_usd", "purchase_usd"} <= full["cost"]["bases"].keys()
    assert {"name", "resolved"} <= full["scenario"].keys()
    for key in ("coverage", "intervals"):
        assert isinstance(full[key], dict)
    for key in ("notes", "warnings", "provenance"):
        assert isinstance(full[key], list)
    assert "explain" not in full
    assert all(isinstance(note, str) for note in full["notes"])
    assert all({"path", "value", "source", "known"} <= row.keys() for row in full["provenance"])


def test_json_has_no_infinity_and_intervals_ascend(full):
    json.dumps(full, allow_nan=False)
    assert "cost.total_usd" in full["intervals"]
    for path, drawn in full["intervals"].items():
        ends = [math.inf if q is None else q for q in (drawn["p5"], drawn["p50"], drawn["p95"])]
        finite = [q for q in ends if q != math.inf]
        assert finite == sorted(finite), path


def test_sections_without_inputs_are_null_and_a_note_says_what_to_add():
    sparse = plan("gpt2-124m", draws=0).to_dict()
    for section in ("serving", "payback", "clocks"):
        assert sparse[section] is None
    assert any(note.startswith("serving: add") for note in sparse["notes"])
    assert any(note.startswith("payback: add") for note in sparse["notes"])
    assert sparse["intervals"] == {}


@pytest.mark.parametrize("name", names("scenarios"))
def test_identities(name):
    made = plan(name, draws=0).to_dict()
    layout, step, run, cost, memory = (made[s] for s in ("layout", "step", "run", "cost", "memory"))
    accelerators = load_scenario(name).fields.cluster.accelerators
    assert layout["tensor"] * layout["pipeline"] * layout["context"] * layout["data"] == accelerators
    if step["breakdown"] is not None:
        assert sum(step["breakdown"].values()) == pytest.approx(step["step_seconds"], rel=1e-12)
    assert math.fsum(cost["items"].values()) == pytest.approx(cost["total_usd"], rel=1e-12)
    assert math.fsum(cost["programme_items"].values()) == pytest.approx(cost["programme_usd"], rel=1e-12)
    terms = ("weights", "gradients", "optimizer", "activations", "fragments", "overhead")
    assert sum(memory[f"{t}_bytes"] for t in terms) == pytest.approx(memory["peak_bytes"], rel=1e-12)
    assert memory["fits"] == (memory["fit_probability"] >= 0.5)
    assert made["compute"]["flops_6nd"] == pytest.approx(6 * made["model"]["active_parameters"] * run["tokens"])
    assert run["accelerator_hours"] == pytest.approx(run["wall_clock_days"] * 24 * accelerators)
    assert run["wall_clock_days"] == pytest.approx(run["ideal_days"] / run["goodput"])
    assert step["tokens_per_second"] == pytest.approx(step["tokens"] / step["step_seconds"])
    if len(load_scenario(name).fields.training.phases) == 0:
        assert run["steps"] * step["tokens"] == pytest.approx(run["tokens"])


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    first, again, other = (json.dumps(plan("llama-3.1-8b", seed=s, draws=200).to_dict()) for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_an_uncertain_input_does_not_shift_the_draws_of_the_others():
    plain = plan("llama-3.1-8b", draws=300)
    more = plan("llama-3.1-8b", draws=300, overrides=["cost.research_multiplier=2 to 6"])
    assert plain.drawn is not None
    assert more.drawn is not None
    for path in ("step.step_seconds", "cost.total_usd", "loss.final_loss"):
        assert list(plain.drawn.values[path]) == list(more.drawn.values[path])
    assert list(plain.drawn.values["cost.programme_usd"]) != list(more.drawn.values["cost.programme_usd"])


@pytest.mark.parametrize("name", ["llama-3.1-405b", "palm-540b", "gpt2-124m"])
def test_the_resolved_scenario_gives_the_same_plan(name):
    made = plan(name, draws=100).to_dict()
    again = plan(made["scenario"]["resolved"]).to_dict()
    for section in (*PROMISED, "intervals"):
        assert made[section] == again[section], section


def test_doubling_tokens_doubles_flops_and_doubling_accelerators_keeps_hours():
    base = {"cluster.mfu=0.4", "cluster.goodput=1"}
    one = plan("llama-3.1-8b", draws=0, overrides=[*base]).to_dict()
    twice = plan(
        "llama-3.1-8b", draws=0, overrides=[*base, "training.tokens=30T", "training.unique_tokens=30T"]
    ).to_dict()
    wide = plan("llama-3.1-8b", draws=0, overrides=[*base, "cluster.accelerators=2048"]).to_dict()
    assert twice["compute"]["model_flops"] == 2 * one["compute"]["model_flops"]
    assert wide["run"]["accelerator_hours"] == pytest.approx(one["run"]["accelerator_hours"])
    assert wide["run"]["wall_clock_days"] == pytest.approx(one["run"]["wall_clock_days"] / 2)
    assert one["step"]["mfu"] == pytest.approx(0.4)
    assert one["step"]["breakdown"] is None


def test_a_plan_that_does_not_fit_is_returned_with_what_would():
    made = plan(
        "llama-3.1-405b",
        draws=0,
        overrides=["cluster.layout={tensor: 8, pipeline: 4, virtual_pipeline: 1, context: 1, recompute: none}"],
    )
    assert not made.fits
    told = made.to_dict()
    near = told["layout_advice"]["layout"]
    assert any(note.startswith("memory: ") for note in told["notes"])
    again = plan(
        "llama-3.1-405b",
        draws=0,
        overrides=[
            "cluster.layout={"
            + ", ".join(
                f"{key}: {str(value).lower()}"
                for key, value in near.items()
                if key not in ("data", "gradient_accumulation")
            )
            + "}"
        ],
    )
    assert again.fits


def test_frame():
    frame = plan("gpt2-124m", draws=50).to_frame()
    assert frame.loc["model.layers", "value"] == 12
    assert list(frame.columns) == ["value", "p5", "p50", "p95"]
