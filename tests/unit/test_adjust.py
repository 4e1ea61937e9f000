"""What a fit may change in a stack's constants: bounds, directions, and what is shared between runs."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.evidence.cases import stack_file
from costsim.fitting.priors import priors
from costsim.inputs.fits import step_fits
from costsim.training.adjust import (
    HANDLES,
    LOW_PRECISION,
    ONLY_EXPERTS,
    REFERENCE_YEAR,
    TREND_SINCE,
    Run,
    adjusted,
    adjustment,
    constant_of,
    parameters_of,
)
from costsim.training.device import Stack

STACKS = ("megatron-core", "megatron-2021", "fsdp", "maxtext", "nemo", "generic")
SHARES = ("attention_efficiency", "scale_out_efficiency", "tensor_overlap", "expert_overlap", "data_overlap",
          "pipeline_exposed")  # fmt: skip
CAPS = {"attention_efficiency": 0.9, "scale_out_efficiency": 0.97}
NAMES = {field.name for field in fields(Stack)}


def prior(name: str) -> Stack:
    return stack_file(name).constants("hopper")


def run(**changes) -> Run:
    plain = {"stack": "new", "family": "new", "accelerator": "new", "generation": "new", "precision": "bf16"}
    return Run(**(plain | changes))


@pytest.mark.parametrize("handle", HANDLES)
def test_a_handle_has_a_meaning_and_moves_its_own_constant(handle: str) -> None:
    before = prior("megatron-core")
    after = adjusted(before, {handle: np.log(1.1)})
    moved = {name for name in NAMES if getattr(before, name) != getattr(after, name)}
    assert moved == {constant_of(handle)}
    assert HANDLES[handle]


@pytest.mark.parametrize(
    ("handle", "constant", "expected"),
    [
        ("matmul", "matmul", lambda v: v * 1.1),
        ("attention", "attention_efficiency", lambda v: v * 1.1),
        ("memory", "elementwise", lambda v: v / 1.1),  # faster passes are as fewer bytes
        ("host", "host_seconds", lambda v: v * 1.1),
        ("tensor", "tensor_overlap", lambda v: 1 - (1 - v) * 1.1),
        ("pipeline", "pipeline_exposed", lambda v: v * 1.1),
    ],
)
def test_a_multiplier_of_a_tenth(handle: str, constant: str, expected) -> None:
    before = prior("megatron-core")
    assert getattr(adjusted(before, {handle: np.log(1.1)}), constant) == pytest.approx(
        expected(getattr(before, constant))
    )


@pytest.mark.parametrize("name", STACKS)
def test_nothing_moves_by_nothing(name: str) -> None:
    before, after = prior(name), adjusted(prior(name), dict.fromkeys(HANDLES, 0.0))
    assert {n: getattr(after, n) for n in NAMES} == pytest.approx({n: getattr(before, n) for n in NAMES})


@given(
    st.sampled_from(STACKS),
    st.dictionaries(st.sampled_from(sorted(HANDLES)), st.floats(-20, 20) | st.sampled_from([-300.0, 300.0])),
)
def test_no_multiplier_goes_past_what_is_possible(name: str, by: dict[str, float]) -> None:
    after = adjusted(prior(name), by)
    for share in SHARES:
        assert 0 <= getattr(after, share) <= CAPS.get(share, 1.0), share
    assert all(getattr(after, constant_of(handle)) >= 0 for handle in by)


def test_multipliers_broadcast() -> None:
    logs = np.array([-1.0, 0.0, 1.0])
    many = adjusted(prior("fsdp"), dict.fromkeys(HANDLES, logs))
    for i, log in enumerate(logs):
        one = adjusted(prior("fsdp"), dict.fromkeys(HANDLES, float(log)))
        for handle in HANDLES:
            name = constant_of(handle)
            assert np.broadcast_to(getattr(many, name), 3)[i] == pytest.approx(getattr(one, name))


# --- pooling ----------------------------------------------------------------------------------------------------------


def test_a_run_that_nothing_is_known_of_has_what_all_runs_share() -> None:
    fitted = step_fits().shipped
    found = adjustment(run(experts=True), fitted)
    assert found == {handle: fitted.get(("all", "all", handle), 0.0) for handle in HANDLES}
    assert any(found.values())


def test_parameters_of_scopes_add_up() -> None:
    values = {
        ("all", "all", "matmul"): 1.0, ("chip", "c", "matmul"): 2.0, ("family", "f", "matmul"): 4.0,
        ("stack", "s", "matmul"): 8.0, ("stack on generation", "s on g", "matmul"): 16.0,
        ("precision", "fp8 block", "matmul"): 32.0, ("precision on generation", "fp8 on g", "matmul"): 64.0,
        ("trend of family", "f", "matmul"): 128.0, ("trend of stack", "s", "matmul"): 256.0,
    }  # fmt: skip
    names = {"stack": "s", "family": "f", "accelerator": "c", "generation": "g"}
    assert adjustment(run(**names), values)["matmul"] == 31
    low = names | {"precision": "fp8", "scaling": "block"}
    assert adjustment(run(**low), values)["matmul"] == 127
    assert adjustment(run(**low, year=REFERENCE_YEAR + 1), values)["matmul"] == 127 + 384
    assert adjustment(run(**low, year=TREND_SINCE), values)["matmul"] == 127  # no trend of older software


def test_dense_models_do_not_move_what_is_of_experts() -> None:
    values = {("all", "all", handle): 1.0 for handle in HANDLES}
    dense, experts = adjustment(run(), values), adjustment(run(experts=True), values)
    assert {handle for handle in HANDLES if dense[handle] != experts[handle]} == ONLY_EXPERTS
    spreads = priors().spreads
    assert not any(key[2] in ONLY_EXPERTS for key, _ in parameters_of(run(), spreads))


@pytest.mark.parametrize("experts", [False, True])
@pytest.mark.parametrize("precision", ["bf16", *sorted(LOW_PRECISION)])
def test_design_and_adjustment_agree(precision: str, experts: bool) -> None:
    """The fit's parameters of a run, with their weights, make the multipliers that a prediction takes."""
    a_run = run(precision=precision, experts=experts, year=2026.0)
    pairs = list(parameters_of(a_run, priors().spreads))
    values = {key: 0.1 * (i + 1) for i, (key, _) in enumerate(pairs)}
    by_hand = dict.fromkeys(HANDLES, 0.0)
    for key, weight in pairs:
        by_hand[key[2]] += weight * values[key]
    assert adjustment(a_run, values) == pytest.approx(by_hand)
