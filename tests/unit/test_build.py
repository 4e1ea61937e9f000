"""From a scenario to the numbers of the pure core: what each part of it becomes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from plan_cases import FULL, SMALL, changed

from costsim.inputs.accelerator import load_accelerator
from costsim.inputs.build import Drawn, build, serving_rate, system_watts
from costsim.inputs.case import Case
from costsim.inputs.scenario import load_scenario
from costsim.plan import plan

CHIP: dict[str, Any] = {
    "vendor": "AMD",
    "peak_flops": {"fp32": "50 TFLOP/s", "bf16": "300 TFLOP/s", "int8": "600 TOP/s"},
    "memory": {"capacity": "80 GiB", "usable": "78 GiB", "bandwidth": "2 TB/s"},
    "scale_up": {"bandwidth": "300 GB/s", "domain": 8},
    "scale_out": {"bandwidth": "50 GB/s"},
}


def case(base: dict[str, Any], changes: dict[str, Any] | None = None) -> Case:
    scenario = load_scenario(changed(base, changes or {}))
    return build(scenario, Drawn.centre(scenario))


# --- the run ----------------------------------------------------------------------------------------------------------


def test_a_plain_run_is_one_phase_and_parts_keep_what_they_do_not_say() -> None:
    [whole] = case(SMALL).training.phases
    assert (whole.tokens, whole.work.sequence_length, whole.work.global_batch_sequences) == (10e9, 1024, 512)
    assert whole.exact_batch
    said = [
        {"tokens": "6B"},
        {"tokens": "3B", "sequence_length": 2048},
        {"tokens": "1B", "global_batch_tokens": 1024 * 1000},
    ]
    parts = case(SMALL, {"training.phases": said}).training
    found = [(p.tokens, p.work.sequence_length, p.work.global_batch_sequences, p.exact_batch) for p in parts.phases]
    assert found == [(6e9, 1024, 512, True), (3e9, 2048, 512, True), (1e9, 1024, 1000, False)]
    assert parts.main_phase == 0


def test_unique_tokens_are_all_unless_said() -> None:
    assert case(SMALL).training.unique_tokens == 10e9
    assert case(SMALL, {"training.unique_tokens": "2B"}).training.unique_tokens == 2e9


def test_failures_and_what_is_assumed_instead() -> None:
    training = case(SMALL).training
    assert (training.mfu, training.goodput) == (None, None)
    assert training.failures.checkpoint_every is None
    assert training.failures.restart == 600
    said = {"cluster.mfu": "40%", "cluster.goodput": 0.9, "cluster.failures.checkpoint_every": "1 h"}
    training = case(SMALL, said).training
    assert (training.mfu, training.goodput, training.failures.checkpoint_every) == (0.4, 0.9, 3600)


@pytest.mark.parametrize(
    ("power", "watts"),
    [
        ({"tdp": "700 W", "system": "1275 W"}, 1275.0),
        ({"tdp": "700 W"}, 700 * 1.8),
        ({}, None),
    ],
)
def test_power_of_a_share_of_the_node(power: dict[str, str], watts: float | None) -> None:
    owning = {"server_factor": 1.5, "network_share": 0.2, "server_power_factor": 1.8}
    assert system_watts(load_accelerator({**CHIP, "power": power, "purchase": owning})[0]) == watts
    assert system_watts(load_accelerator({**CHIP, "power": {"tdp": "700 W"}})[0]) is None


# --- money ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("term", "years"), [("1-year", 1), ("3-year", 3)])
def test_a_commitment_bills_every_hour_of_its_term(term: str, years: int) -> None:
    """A year has 365.25 days, 8,766 hours."""
    rent = case(SMALL, {"cost.rent.term": term, "cost.rent.commitment": True}).cost.rent  # type: ignore[union-attr]
    assert rent is not None
    assert rent.commitment_hours == years * 8766
    made = plan(changed(SMALL, {"cost.rent.term": term, "cost.rent.commitment": True})).to_dict()["cost"]
    assert made["total_usd"] == pytest.approx(years * 8766 * 8 * 1.75)


def test_lines_of_the_programme() -> None:
    cost = case(FULL).cost
    assert cost is not None
    assert cost.staff is not None
    assert cost.network is not None
    assert (cost.staff.usd, cost.staff.share) == (0.0, 0.3)
    assert (cost.network.usd, cost.network.share) == (1e4, 0.01)
    assert case(SMALL).cost.data is None  # type: ignore[union-attr]


def test_the_hardware_file_gives_what_owning_does_not_say() -> None:
    own = case(FULL).cost.own  # type: ignore[union-attr]
    assert own is not None
    assert (own.server_factor, own.network_share) == (1.64, 0.19)
    said = {"cost.own.server_factor": 1.2, "cost.own.network_share": 0.1, "cost.own.age": "2 years"}
    own = case(FULL, said).cost.own  # type: ignore[union-attr]
    assert own is not None
    assert (own.server_factor, own.network_share, own.age) == (1.2, 0.1, 2.0)


def test_a_debt_that_outlives_the_model_is_followed_to_its_day() -> None:
    """The cash flow goes on until the debt is due; it cannot be repaid then, and that is the runway."""
    poor = {"demand.peak": "1M tokens/day", "finance.debt.due": "60 months", "finance.cash": "20M USD"}
    made = plan(changed(FULL, poor), draws=0).to_dict()
    assert len(made["payback"]["monthly"]) == 60
    rich = plan(changed(FULL, {**poor, "finance.debt.due": "3 months"}), draws=0).to_dict()
    assert 20 < len(rich["payback"]["monthly"]) < 30


def test_no_market_without_finance() -> None:
    assert case(SMALL).market is None
    assert case(FULL, {"finance": ...}).market is None
    lacking = case(FULL, {"price": ...}).market
    assert lacking is not None
    assert lacking.price is None
    assert lacking.demand is not None


# --- serving ----------------------------------------------------------------------------------------------------------


def test_a_dense_model_as_a_replica_sees_it() -> None:
    """Llama 3.1 8B: 32 layers, width 4096, 32 heads of 128, 8 of them for keys and values, an embedding of 128,256."""
    served = case(FULL).replica.model  # type: ignore[union-attr]
    assert served.parameters == 8_030_261_248
    assert served.active_parameters == 8_030_261_248 - 128_256 * 4096  # the input embedding is a look-up
    assert served.kv_elements_per_token == 2 * 32 * 8 * 128
    assert served.kv_heads == 8
    assert served.decode_attention_flops == 2 * 32 * (4096 + 4096)
    assert served.prefill_attention_flops == pytest.approx(2 * 32 * (4096 + 4096))
    assert (served.weight_bytes, served.kv_bytes) == (1, 1)
    tied = case(SMALL, {"serving": {"precision": "bf16"}}).replica.model  # type: ignore[union-attr]
    assert tied.active_parameters == tied.parameters == 124_439_808


def test_a_mixture_with_latent_attention() -> None:
    """DeepSeek-V3: 58 layers of 256 experts of 3 x 7168 x 2048; a cache of 512 + 64 elements a layer."""
    scenario = load_scenario("deepseek-v3")
    replica = build(scenario, Drawn.centre(scenario)).replica
    assert replica is not None
    served = replica.model
    assert served.expert_parameters == 58 * 256 * 3 * 7168 * 2048
    assert (served.experts, served.experts_per_token, served.layers) == (256, 8, 61)
    assert served.kv_elements_per_token == 61 * (512 + 64)
    assert served.kv_heads == 1
    assert served.decode_attention_flops == 2 * 61 * 128 * (2 * 512 + 64)
    r = scenario.fields.serving.roofline
    overhead = scenario.fields.serving.overhead
    assert "h800-sxm" not in overhead.chips  # served on a chip that was not measured: its vendor's overhead
    latent = r.layer.latent + r.layer.experts + r.layer.shared
    dense = r.layer.attention + r.layer.feed_forward
    assert replica.roofline.layer_seconds == pytest.approx(overhead.nvidia * latent)
    assert replica.roofline.prefill_efficiency == r.expert_prefill_efficiency
    assert case(FULL).replica.roofline.layer_seconds == pytest.approx(overhead.chips["h100-sxm"] * dense)  # type: ignore[union-attr]


def test_the_vendor_sets_factor_and_residual() -> None:
    own = {"serving.accelerator": CHIP, "serving.precision": "bf16"}
    roofline = load_scenario(FULL).fields.serving
    assert roofline is not None
    other, nvidia = case(FULL, own).replica, case(FULL).replica
    assert other is not None
    assert nvidia is not None
    assert other.terms.software_factor == roofline.software_factor.other  # type: ignore[union-attr]
    assert nvidia.terms.software_factor == roofline.software_factor.nvidia  # type: ignore[union-attr]
    stated = case(FULL, {**own, "serving.software_factor": 0.9}).replica
    assert stated is not None
    assert stated.terms.software_factor == 0.9


@pytest.mark.parametrize(
    ("wanted", "found"), [("bf16", "bf16"), ("fp8", "int8"), ("fp4", "int8"), ("int8", "int8"), ("fp16", "fp32")]
)
def test_products_run_at_the_next_wider_rate(wanted: str, found: str) -> None:
    assert serving_rate(load_accelerator(CHIP)[0], wanted) == found


def test_a_replica_of_a_node_unless_said_and_its_link() -> None:
    own = {"serving.accelerator": CHIP, "serving.precision": "bf16", "serving.accelerators_per_replica": ...}
    node = case(FULL, own).replica
    assert node is not None
    assert (node.terms.accelerators_per_replica, node.chip.link_bandwidth) == (8, 300e9)
    wide = case(FULL, {**own, "serving.accelerators_per_replica": 16}).replica
    assert wide is not None
    assert wide.chip.link_bandwidth == 50e9
    assert node.chip.memory_bytes == 80 * 2**30


# --- draws ------------------------------------------------------------------------------------------------------------


def test_draws_are_of_one_shape_and_the_rest_stay_numbers() -> None:
    scenario = load_scenario(FULL)
    drawn = build(scenario, Drawn.sample(scenario, 0, 7))
    assert drawn.cost is not None
    assert drawn.cost.rent is not None
    assert np.shape(drawn.cost.rent.usd_per_accelerator_hour) == (7,)
    assert np.shape(drawn.cost.electricity) == (7,)
    assert np.shape(drawn.law.E) == (7,)
    assert drawn.training.tokens == 1e12
    centre = build(scenario, Drawn.centre(scenario))
    assert centre.cost is not None
    assert centre.cost.rent is not None
    assert centre.cost.rent.usd_per_accelerator_hour == pytest.approx(6**0.5)  # the median of 2 to 3


@pytest.mark.parametrize("method", ["straight_line", "capital_recovery", "declining"])
def test_hardware_is_bought_at_the_start_whatever_the_chips_release(method: str) -> None:
    """An H100 of 2022, bought for a run of 2026 and charged over three years, is not free by any method."""
    said = {"cost.basis": "own", "cost.own.method": method, "cost.own.life": "3 years"}
    made = plan(changed(FULL, said), draws=0).to_dict()
    price, rate = (made["cost"]["rates"][name] for name in RATES)
    yearly = {"straight_line": 1 / 3, "declining": 2 / 3, "capital_recovery": 0.1 / (1 - 1.1**-3)}[method]
    assert rate == pytest.approx(price * yearly / 8766)
    assert made["cost"]["items"]["accelerators_usd"] > 0
    used = plan(changed(FULL, said | {"cost.own.age": "4 years"}), draws=0).to_dict()
    told = [item["message"] for item in used["warnings"] if item["path"] == "cost.own.age"]
    assert len(told) == 1
    assert used["cost"]["rates"]["own_usd_per_accelerator_hour"] == (0 if method == "declining" else rate)
    # Epoch's amortisation keeps counting from the release.
    assert case(FULL).cost.own.age > 3  # type: ignore[union-attr]


RATES = ("purchase_usd_per_accelerator", "own_usd_per_accelerator_hour")
