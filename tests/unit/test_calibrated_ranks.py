"""Steps of several ranks: a plan with a calibration says what `training.ranks` says, and tells what it knows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import SCALING, TABLES, shared_record, true
from hypothesis import given, settings
from hypothesis import strategies as st
from test_calibrated import ALONE, coefficients, shapes
from test_calibration_input import BOX
from test_calibration_input import scenario as scenario_of

from costsim import plan
from costsim.bench import calibration
from costsim.inputs.accelerator import load_accelerator
from costsim.inputs.cluster import OptimizerFields
from costsim.inputs.machine import chip as chip_of
from costsim.inputs.measured import load_calibration
from costsim.inputs.stack import load_stack
from costsim.training.architecture import Architecture, parameters
from costsim.training.calibrated import calibrated
from costsim.training.components import NAMES, Work, part_seconds
from costsim.training.device import Workload
from costsim.training.layout import Layout
from costsim.training.ranks import (
    CollectiveTable,
    Exchange,
    Scaling,
    Shared,
    ddp_step,
    fsdp_step,
    states_seconds,
)
from costsim.training.schedule import step

JOINED = replace(ALONE, scale_up_domain=64.0, node=64.0)


def seconds(a: Architecture, exchange: Exchange | None, layout: Layout, sequence: int = 512, nbytes: float = 2.0):
    """The schedule's step on several devices of the calibrated machine."""
    accelerator, _ = load_accelerator("cpu-generic")
    plain = load_stack("eager").stack.constants("cpu")
    chip, stack = calibrated(coefficients(), a, chip_of(accelerator, "bf16"), plain)
    sequences = layout.data * layout.micro_batch * layout.gradient_accumulation
    work = Workload(float(sequence), float(np.max(sequences)), nbytes, nbytes)
    return step(a, chip, replace(JOINED, exchange=exchange), stack, layout, work).seconds


ranks_measured = st.integers(2, 16)
scalings = st.builds(Scaling, st.floats(0, 3), st.floats(0, 3), st.floats(0, 1e-8), st.floats(0, 1e-2))


@given(shapes, ranks_measured, scalings, st.integers(1, 8), st.sampled_from([2.0, 4.0]))
@settings(max_examples=60, deadline=None)
def test_the_schedule_of_measured_ranks_is_their_model(shape, ranks, scaling, micro_batch, nbytes):
    parts = part_seconds(coefficients(), Work(shape, 512, micro_batch, nbytes))
    shared = Shared(shape, nbytes, ranks, sum(parts.values()), parts["optimizer"])
    exchange = Exchange(ranks, TABLES, scaling)
    layout = Layout(data=ranks, micro_batch=micro_batch, sharding=np.array([0.0, 3.0]))
    found = seconds(shape, exchange, layout, nbytes=nbytes)
    expected = ddp_step(shared, TABLES, scaling), fsdp_step(shared, TABLES, scaling)
    assert found == pytest.approx(np.array(expected), rel=0.01)


def test_layouts_unlike_the_measured_ones_keep_their_priors_in_the_same_arrays():
    shape = Architecture(4, 512, 8, 8, 64, 1408, 8192)
    layouts = Layout(
        tensor=np.array([1.0, 1.0, 2.0, 1.0, 1.0, 1.0]),
        data=np.array([4.0, 2.0, 4.0, 1.0, 4.0, 2.0]),
        context=np.array([1.0, 1.0, 1.0, 1.0, 1.0, 2.0]),
        sharding=np.array([0.0, 0.0, 0.0, 0.0, 3.0, 3.0]),
        shard_ranks=np.array([0.0, 0.0, 0.0, 0.0, 2.0, 0.0]),
    )
    with_it, without = (seconds(shape, x, layouts) for x in (Exchange(4, TABLES, SCALING), None))
    assert list(with_it != without) == [True, False, False, False, False, False]
    sparse = Exchange(4, TABLES, SCALING).covers(replace(shape, multi_token_prediction=1), layouts)
    assert not np.any(sparse)


def test_accumulation_repeats_what_is_gathered_and_states_alone_are_exchanged_once():
    shape = Architecture(4, 512, 8, 8, 64, 1408, 8192)
    exchange = Exchange(2, TABLES, SCALING)
    layout = Layout(data=2.0, gradient_accumulation=np.array([1.0, 5.0]), sharding=np.array([[0.0], [1.0], [3.0]]))
    found = exchange.seconds(shape, 2.0, layout)
    bare = Shared(shape, 2.0, 2, 0.0, 0.0)
    assert found[0] == pytest.approx([ddp_step(bare, TABLES, SCALING)] * 2)
    assert found[1] == pytest.approx([SCALING.ddp * states_seconds(bare, TABLES)] * 2)
    assert found[2] == pytest.approx(fsdp_step(bare, TABLES, SCALING) * np.array([1.0, 5.0]))
    flat = dict.fromkeys(TABLES, CollectiveTable((1.0, 2.0**40), (1 / 2.0**30, 2.0**10)))  # a GiB/s without latency
    assert states_seconds(bare, flat) == pytest.approx(2 * 2 * parameters(shape).total / 2**30)


# --- from the file ----------------------------------------------------------------------------------------------------

JOINED_BOX = BOX | {"scale_up": {"domain": 2, "bandwidth": "10 GB/s"}}
IN_STEP = {"name": "adamw", "master": "bf16", "moments": "bf16"}


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("ranks") / "two.yaml"
    path.write_text(calibration.text(calibration.document(shared_record(slow_fp32=1.8))), encoding="utf-8")
    return str(path)


def planned(path: str | None, optimizer: object = IN_STEP, **layout: int | str) -> dict[str, object]:
    ranks = int(layout.get("data", 1)) * int(layout.get("tensor", 1))
    asked = scenario_of(path, JOINED_BOX, accelerators=ranks, layout={"micro_batch": 4, **layout})
    asked["training"] |= {"global_batch_sequences": 4 * ranks, "optimizer": optimizer}
    return plan(asked, draws=0).to_dict()


def test_a_plan_of_measured_ranks_takes_their_steps(two):
    found = load_calibration(two).exchange(2.0)
    assert found.scaling.ddp == pytest.approx(SCALING.ddp, rel=0.02)  # the others are drawn to their priors together
    shape = Architecture(6, 512, 8, 8, 64, 1408, 12288)
    parts = part_seconds(true(), Work(shape, 512, 4))
    bare = Shared(shape, 2.0, 2, sum(parts.values()), parts["optimizer"])
    for sharding, expected in (("none", ddp_step), ("full", fsdp_step)):
        made = planned(two, data=2, sharding=sharding)
        assert made["step"]["step_seconds"] == pytest.approx(expected(bare, found.tables, found.scaling), rel=0.03)
        assert any("communication is as steps of 2 ranks with" in note for note in made["notes"])
        known = {row["path"]: row for row in made["provenance"]}
        assert known["network.scaling.ddp"]["known"] == "measured"


def test_what_several_ranks_did_not_show_is_said(two):
    assert "hidden as little as DDP's" in " | ".join(planned(two, data=2, sharding="optimizer")["notes"])
    tensor = planned(two, tensor=2, data=1)
    assert not any("communication is as steps" in note for note in tensor["notes"])
    wider = scenario_of(two, JOINED_BOX | {"scale_up": {"domain": 8, "bandwidth": "10 GB/s"}}, accelerators=4)
    wider["training"] |= {"global_batch_sequences": 16}
    said = " | ".join(plan(wider, draws=0).to_dict()["notes"])
    assert "of 2 of the cluster's 4 devices" in said
    assert "steps of 2 ranks serve data parallelism of 2 alone" in said


def test_ranks_of_one_node_do_not_stand_for_two_nodes(two):
    assert load_calibration(two).exchange(1.0) is None


def test_the_spread_of_several_ranks_is_never_that_of_one(two):
    alone, joined = (planned(two, data=n)["coverage"]["step"] for n in (1, 2))
    assert alone["evidence"] != joined["evidence"]


def test_the_update_is_that_of_the_planned_states(two):
    own, mixed = (planned(two, optimizer)["step"]["breakdown"] for optimizer in (IN_STEP, "adamw"))
    assert mixed["optimizer_seconds"] == pytest.approx(1.8 * own["optimizer_seconds"], rel=1e-4)
    assert {k: v for k, v in mixed.items() if k != "optimizer_seconds"} == pytest.approx(
        {k: v for k, v in own.items() if k != "optimizer_seconds"}
    )
    unknown = planned(two, {"name": "adamw", "master": "fp32", "moments": "fp8"})
    assert unknown["step"]["breakdown"]["optimizer_seconds"] == pytest.approx(own["optimizer_seconds"])
    assert "AdamW with all its states in bf16, not for adamw with master fp32 and moments fp8" in " | ".join(
        unknown["notes"]
    )
    assert not any("the update was measured" in note for note in planned(two, IN_STEP)["notes"])


def test_its_doubt_moves_with_it(two):
    loaded = load_calibration(two)
    plain, moved = loaded.file.fit.estimates(), loaded.estimates(OptimizerFields(name="adamw"))
    share = [
        float(np.sqrt(c.covariance[NAMES.index("update")][NAMES.index("update")])) / c.of("update")
        for c in (plain, moved)
    ]
    assert share[0] == pytest.approx(share[1])
