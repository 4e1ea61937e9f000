"""What must hold of every plan: directions, limits, scales, and what must not matter."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plan_cases import FULL, SMALL, changed

from costsim.inputs import catalogue
from costsim.plan import SECTIONS, plan
from costsim.tree import flatten, lookup

few = settings(derandomize=True, max_examples=15, deadline=None, database=None)

ASSUMED = changed(SMALL, {"cluster.mfu": 0.4, "cluster.layout": "auto"})
factors = st.floats(1.0001, 1000.0)


def point(scenario: Any, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    return plan(changed(scenario, changes or {}), draws=0).to_dict()


def figures(made: dict[str, Any]) -> dict[str, Any]:
    """Everything computed."""
    return {section: made[section] for section in (*SECTIONS, "intervals", "coverage")}


def usd(made: dict[str, Any]) -> float:
    return float(made["cost"]["total_usd"])


# --- scale ------------------------------------------------------------------------------------------------------------


@few
@given(st.integers(10**6, 10**15))
def test_doubling_tokens_doubles_flops_exactly_and_hours(tokens: int) -> None:
    one, two = (point(ASSUMED, {"training.tokens": n}) for n in (tokens, 2 * tokens))
    for path in ("compute.flops_6nd", "compute.model_flops", "compute.hardware_flops", "run.steps"):
        assert lookup(two, path) == 2 * lookup(one, path)
    assert two["run"]["accelerator_hours"] == pytest.approx(2 * one["run"]["accelerator_hours"], rel=1e-12)
    assert usd(two) == pytest.approx(2 * usd(one), rel=1e-12)
    assert two["step"] == one["step"]


@few
@given(st.integers(0, 9))
def test_doubling_accelerators_at_an_assumed_mfu_halves_time_and_keeps_hours(power: int) -> None:
    said = {"cluster.goodput": 1, "training.global_batch_sequences": 4096}
    one, two = (point(ASSUMED, {**said, "cluster.accelerators": n}) for n in (2**power, 2 ** (power + 1)))
    assert two["run"]["wall_clock_days"] == pytest.approx(one["run"]["wall_clock_days"] / 2, rel=1e-12)
    assert two["run"]["accelerator_hours"] == pytest.approx(one["run"]["accelerator_hours"], rel=1e-12)
    assert usd(two) == pytest.approx(usd(one), rel=1e-12)


MONEY: dict[str, tuple[float, str]] = {
    "cost.rent.usd_per_accelerator_hour": (2.5, "USD/h"),
    "cost.own.usd_per_accelerator": (27_000, "USD"),
    "cost.site.electricity": (0.07, "USD/kWh"),
    "cost.data": (1e6, "USD"),
    "cost.network.usd": (1e4, "USD"),
    "serving.usd_per_accelerator_hour": (2.5, "USD/h"),
    "price.input": (0.2, "USD/Mtok"),
    "price.output": (0.8, "USD/Mtok"),
    "price.market_at_launch": (1.1, "USD/Mtok"),
    "finance.cash": (1e6, "USD"),
    "finance.fixed_costs": (2e4, "USD/month"),
}
"""Every amount of money of the full scenario."""


@few
@given(st.floats(1e-3, 1e3))
@example(2.0)
@example(1e-3)
def test_another_currency_scales_money_and_nothing_else(rate: float) -> None:
    assert not any("USD" in str(value) for path, value in flatten(FULL) if path not in MONEY)
    for basis in ("rent", "own"):
        base = changed(FULL, {"cost.basis": basis})
        one = point(base, {path: f"{value!r} {unit}" for path, (value, unit) in MONEY.items()})
        other = point(base, {path: f"{value * rate!r} {unit}" for path, (value, unit) in MONEY.items()})
        for section in SECTIONS:
            for path, value in flatten(one[section], section):
                if "on_demand" in path:  # a price of the book, which keeps its currency
                    continue
                scaled = rate if "usd" in path else 1.0
                found = dict(flatten(other[section], section))[path]
                if isinstance(value, int | float) and not isinstance(value, bool):
                    assert found == pytest.approx(value * scaled, rel=1e-8, abs=1e-6 * scaled), path
                else:
                    assert found == value, path


# --- directions -------------------------------------------------------------------------------------------------------

GROWING = {
    "cost.rent.usd_per_accelerator_hour": ("rent", 0.5, "{} USD/h"),
    "training.tokens": ("rent", 1e9, "{}"),
    "cluster.failures.interruptions_per_accelerator_hour": ("rent", 1e-7, "{}"),
    "cluster.failures.restart": ("rent", 1.0, "{} s"),
    "cluster.failures.checkpoint_write": ("rent", 1.0, "{} s"),
    "cost.own.usd_per_accelerator": ("own", 100.0, "{} USD"),
    "cost.site.electricity": ("own", 0.001, "{} USD/kWh"),
    "cost.site.pue": ("amortised", 1.0, "{}"),
}
"""Inputs in which cost never falls: the basis that they count in, a small value, and how it is written."""
BARE = {"training.tokens", "cluster.failures.interruptions_per_accelerator_hour", "cost.site.pue"}


@pytest.mark.parametrize("path", GROWING)
@few
@given(a=factors, b=factors)
def test_cost_does_not_fall(path: str, a: float, b: float) -> None:
    basis, small, unit = GROWING[path]
    site = {"electricity": "0.07 USD/kWh", "carbon": "300 gCO2/kWh", "pue": 1.2}
    base = changed(ASSUMED, {"cost.basis": basis, "cost.site": site})
    values = [small * f for f in sorted((a, b))]
    if path == "training.tokens":
        values = [round(value) for value in values]
    said = [value if path in BARE else unit.format(repr(value)) for value in values]
    low, high = (point(base, {path: value}) for value in said)
    assert usd(low) <= usd(high) * (1 + 1e-12)
    assert low["cost"]["programme_usd"] <= high["cost"]["programme_usd"] * (1 + 1e-12)


@few
@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0))
def test_cost_does_not_grow_with_mfu_or_goodput(a: float, b: float) -> None:
    low, high = sorted((a, b))
    for path in ("cluster.mfu", "cluster.goodput"):
        assert usd(point(ASSUMED, {path: low})) >= usd(point(ASSUMED, {path: high})) * (1 - 1e-12)


@few
@given(st.floats(1.0, 10.0))
def test_the_programme_grows_with_its_parts(times: float) -> None:
    base = point(ASSUMED)["cost"]["programme_usd"]
    for part in ({"cost.research_multiplier": 2 * times}, {"cost.data": f"{times - 1!r}M USD"}, {"cost.storage": "5%"}):
        assert point(ASSUMED, part)["cost"]["programme_usd"] >= base


@few
@given(st.sampled_from(["1-year", "3-year"]), st.integers(10**8, 10**13))
def test_a_commitment_is_never_cheaper(term: str, tokens: int) -> None:
    said = {"training.tokens": tokens, "cost.rent.term": term}
    free = point(ASSUMED, said)
    bound = point(ASSUMED, {**said, "cost.rent.commitment": True})
    assert usd(bound) >= usd(free) * (1 - 1e-12)
    assert bound["cost"]["programme_usd"] >= free["cost"]["programme_usd"] * (1 - 1e-12)


CHIP: dict[str, Any] = {
    "peak_flops": {"bf16": "300 TFLOP/s"},
    "memory": {"capacity": "80 GiB", "bandwidth": "2 TB/s"},
    "scale_up": {"bandwidth": "300 GB/s", "domain": 8},
    "scale_out": {"bandwidth": "100 Gbit/s", "latency": "5 us"},
}


@pytest.mark.parametrize(
    ("path", "value", "unit"),
    [
        ("peak_flops.bf16", 300, "TFLOP/s"),
        ("memory.bandwidth", 2, "TB/s"),
        ("scale_up.bandwidth", 300, "GB/s"),
        ("scale_out.bandwidth", 100, "Gbit/s"),
    ],
)
@few
@given(times=st.floats(1.0, 50.0))
def test_a_faster_part_never_makes_a_step_slower(path: str, value: float, unit: str, times: float) -> None:
    layout = {"tensor": 4, "pipeline": 2, "virtual_pipeline": 1, "context": 2, "sharding": "optimizer",
              "micro_batch": 1, "recompute": "selective"}  # fmt: skip
    base = changed(FULL, {"cluster.layout": layout, "cluster.accelerator": CHIP, "serving": ...})
    better = changed(base, {f"cluster.accelerator.{path}": f"{value * times!r} {unit}"})
    assert point(better)["step"]["step_seconds"] <= point(base)["step"]["step_seconds"] * (1 + 1e-12)


@pytest.mark.parametrize("model", ["llama-3.1-8b", "gpt2-xl"])
def test_memory_never_grows_with_more_sharding(model: str) -> None:
    layout = {"tensor": 1, "pipeline": 1, "context": 1, "micro_batch": 1, "recompute": "full"}
    base = changed(FULL, {"model": model, "cluster.layout": layout, "training.sequence_length": 1024})
    stages = ("none", "optimizer", "gradients")
    memory = [point(base, {"cluster.layout.sharding": s})["memory"] for s in stages]
    full = point(base, {"cluster.layout.sharding": "full", "cluster.layout.tensor": 1})["memory"]
    peaks = [found["peak_bytes"] for found in (*memory, full)]
    assert all(after <= before for before, after in pairwise(peaks))
    chances = [found["fit_probability"] for found in memory]
    assert all(after >= before for before, after in pairwise(chances))


def test_more_recomputation_keeps_less_and_computes_more() -> None:
    layout = {"tensor": 2, "pipeline": 1, "context": 1, "micro_batch": 1, "sharding": "optimizer"}
    levels = ("none", "selective", "full")
    made = [point(FULL, {"cluster.layout": {**layout, "recompute": level}}) for level in levels]
    kept = [m["memory"]["activations_bytes"] for m in made]
    flops = [m["compute"]["hardware_flops"] for m in made]
    assert kept[0] > kept[1] > kept[2]
    assert flops[0] < flops[1] < flops[2]
    assert made[0]["compute"]["hardware_flops"] == made[0]["compute"]["model_flops"]
    assert len({m["compute"]["model_flops"] for m in made}) == 1


# --- limits -----------------------------------------------------------------------------------------------------------


@few
@given(st.floats(1e-12, 1e-3))
def test_goodput_tends_to_one_as_failures_end(rate: float) -> None:
    path = "cluster.failures.interruptions_per_accelerator_hour"
    lost = [1 - point(ASSUMED, {path: r})["run"]["goodput"] for r in (rate, rate / 1e4, 0)]
    assert lost[0] > lost[1] >= lost[2] == 0
    # w is about sqrt(2 c n f): a hundredth where failures are a ten-thousandth, and less for the part that is linear
    assert lost[1] <= lost[0] / 50


@few
@given(st.floats(1e-9, 1e-6), st.integers(0, 100))
def test_a_spread_of_nothing_gives_the_point(width: float, seed: int) -> None:
    def about(value: float, unit: str = "") -> str:
        return f"{value * (1 - width)!r} to {value * (1 + width)!r} {unit}".strip()

    ranges = {
        "cluster.mfu": about(0.4),
        "cluster.failures.restart": about(600, "s"),
        "cost.rent.usd_per_accelerator_hour": about(2.5, "USD/h"),
        "cost.own.usd_per_accelerator": about(27e3, "USD"),
        "cost.site.electricity": about(0.07, "USD/kWh"),
        "cost.research_multiplier": about(3),
        "serving.occupancy": about(0.5),
        "serving.residual": about(1),
        "serving.cached_cost": 0.05,
        "demand.peak": about(45e9, "tokens/day"),
    }
    made = plan(changed(FULL, ranges), draws=64, seed=seed).to_dict()
    varied = [path for path in made["intervals"] if path.split(".")[0] != "loss"]
    assert len(varied) > 30
    for path in varied:
        drawn, centre = made["intervals"][path], lookup(made, path)
        for q in drawn.values():
            assert (q is None) == (centre is None), path
            assert q is None or q == pytest.approx(centre, rel=1e-3, abs=1e-9), path


def test_one_accelerator_talks_to_nobody() -> None:
    alone = {"cluster.accelerators": 1, "cluster.layout": "auto", "cluster.stack": "megatron-core"}
    step = point(SMALL, alone)["step"]["breakdown"]
    for part in ("tensor_comm", "pipeline_bubble", "data_comm", "expert_comm", "context_comm", "straggler"):
        assert step[f"{part}_seconds"] == 0, part


# --- what must not matter ---------------------------------------------------------------------------------------------


def shuffled(value: Any, dice: random.Random) -> Any:
    """The same mapping with its keys in another order, at every level."""
    if isinstance(value, dict):
        keys = list(value)
        dice.shuffle(keys)
        return {key: shuffled(value[key], dice) for key in keys}
    return [shuffled(item, dice) for item in value] if isinstance(value, list) else value


WANTED = figures(plan(FULL, draws=50).to_dict())


@few
@given(st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(dice: random.Random) -> None:
    assert figures(plan(shuffled(FULL, dice), draws=50).to_dict()) == WANTED


@few
@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip))
def test_names_do_not_matter(name: str) -> None:
    assert figures(plan(changed(FULL, {"name": name, "question": name}), draws=50).to_dict()) == WANTED


UNITS = {
    "training.tokens": ["1T", "1000B tokens", "1e12", 1_000_000_000_000],
    "cluster.failures.restart": ["10 min", "600 s", "0.16666666666666666 h"],
    "cluster.scale_out": [{"bandwidth": "400 Gbit/s"}, {"bandwidth": "50 GB/s"}],
    "cluster.failures.interruptions_per_accelerator_hour": ["1 per 50000 h", 2e-5, "0.00048/day"],
    "cost.rent.usd_per_accelerator_hour": ["2 to 3 USD/h", "48 to 72 USD/day", "2 to 3 $/GPU-hour"],
    "cost.own.usd_per_accelerator": ["25k to 30k USD", "25000 to 30000 USD", "0.025M USD to 0.03M USD"],
    "cost.own.life": ["5 years", "60 months"],
    "cost.site.electricity": ["0.05 to 0.09 USD/kWh", "50 to 90 USD/MWh"],
    "cost.staff": ["30%", 0.3],
    "cost.data": ["1M USD", "1000000 USD", "1000k $"],
    "serving.speed": ["40 tokens/s", "2400 tokens/min"],
    "demand.peak": ["10B to 200B tokens/day", "0.01T to 0.2T tokens/day"],
    "demand.life": ["18 months", "1.5 years"],
    "price.input": ["0.2 USD/Mtok", "0.2 $/1M tokens", "200 USD/Btok"],
    "finance.fixed_costs": ["20k USD/month", "240k USD/year"],
    "finance.debt.due": ["24 months", "2 years"],
}


@pytest.mark.parametrize("path", UNITS)
def test_the_unit_does_not_matter(path: str) -> None:
    made = []
    for value in UNITS[path]:
        made.append(dict(flatten(figures(plan(changed(FULL, {path: value}), draws=50).to_dict()))))
    for other in made[1:]:
        assert other.keys() == made[0].keys()
        for key, value in made[0].items():
            found = other[key]
            assert found == (pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value), key


@pytest.mark.parametrize("name", catalogue.names("scenarios"))
def test_the_resolved_scenario_is_the_scenario(name: str) -> None:
    made = plan(name, draws=40).to_dict()
    again = plan(made["scenario"]["resolved"]).to_dict()
    assert json.dumps(figures(again)) == json.dumps(figures(made))
    assert again["scenario"] == made["scenario"]
    assert again["notes"] == made["notes"]


def test_a_layout_that_was_chosen_gives_the_same_plan_when_given() -> None:
    for name in ("one-node-week", "serve-a-million-users", "mixtral-8x7b-h100"):
        chosen = plan(name, draws=0, overrides=["cluster.layout=auto"]).to_dict()
        keys = {k: v for k, v in chosen["layout"].items() if k not in ("gradient_accumulation", "phases")}
        given_ = plan(name, draws=0, overrides=[f"cluster.layout={json.dumps(keys)}"]).to_dict()
        assert figures(given_) == figures(chosen)


# --- draws ------------------------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 2**53), st.integers(1, 40))
def test_the_same_seed_gives_the_same_bytes(seed: int, draws: int) -> None:
    first, again = (json.dumps(plan(FULL, seed=seed, draws=draws).to_dict()) for _ in range(2))
    assert first == again


@few
@given(st.integers(0, 2**53 - 1))
def test_another_seed_gives_other_draws_and_the_same_point(seed: int) -> None:
    one, other = (plan(FULL, seed=s, draws=30).to_dict() for s in (seed, seed + 1))
    assert one["intervals"].keys() == other["intervals"].keys()
    varied = {path: drawn for path, drawn in one["intervals"].items() if drawn["p5"] != pytest.approx(drawn["p50"])}
    assert len(varied) > 40
    assert [path for path, drawn in varied.items() if drawn == other["intervals"][path]] == []
    assert one["cost"] == other["cost"]


UNCERTAIN = {
    "cluster.failures.checkpoint_write": "30 s to 90 s",
    "cost.own.occupancy": "80% to 95%",
    "cost.data": "1M to 2M USD",
    "serving.cached_share": "30% to 60%",
    "finance.discount_rate": "8% to 14%",
    "price.output": "0.7 to 0.9 USD/Mtok",
}
ELSEWHERE = ("step.step_seconds", "loss.final_loss", "cost.bases.rent_usd", "serving.usd_per_million_output_tokens")


@pytest.mark.parametrize("path", UNCERTAIN)
def test_a_new_uncertain_input_does_not_shift_the_draws_of_others(path: str) -> None:
    plain, more = plan(FULL, draws=40).drawn, plan(changed(FULL, {path: UNCERTAIN[path]}), draws=40).drawn
    assert plain is not None
    assert more is not None
    for figure in ELSEWHERE:
        if (path.split(".")[0], figure.split(".")[0]) in {("serving", "serving"), ("cluster", "cost")}:
            continue  # which it does change
        assert np.array_equal(plain.values[figure], more.values[figure]), figure
    assert any(not np.array_equal(plain.values[p], more.values[p]) for p in plain.values)


def test_the_first_draws_do_not_depend_on_how_many_follow() -> None:
    """No figure mixes draws: each is as if made alone, but for the probabilities, which are of all."""
    one, many = plan(FULL, draws=1).drawn, plan(FULL, draws=25).drawn
    assert one is not None
    assert many is not None
    for path, alone in one.values.items():
        if path != "payback.probability" and not path.startswith("clocks.probability"):
            first = np.atleast_1d(many.values[path])[0]
            assert np.atleast_1d(alone)[0] == pytest.approx(first, rel=1e-12), path


def test_quantiles_are_those_of_the_draws() -> None:
    made = plan(FULL, draws=333)
    assert made.drawn is not None
    told = made.to_dict()["intervals"]
    for path in ("step.step_seconds", "cost.total_usd", "loss.final_loss", "payback.npv_usd"):
        wanted = np.quantile(made.drawn.values[path], [0.05, 0.5, 0.95])
        assert [told[path][q] for q in ("p5", "p50", "p95")] == pytest.approx(list(wanted), rel=1e-12)
