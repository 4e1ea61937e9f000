"""The schedule with a calibration's constants is the component model: on one device both say the same seconds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costsim.inputs.accelerator import load_accelerator
from costsim.inputs.machine import chip as chip_of
from costsim.inputs.stack import load_stack
from costsim.training.architecture import Architecture
from costsim.training.calibrated import CHIP_CONSTANTS, STACK_CONSTANTS, calibrated
from costsim.training.components import NAMES, Coefficients, Work, part_seconds, step_seconds
from costsim.training.device import Network, Workload
from costsim.training.layout import Layout
from costsim.training.schedule import step

CENTRE = {
    "matmul": 5e-13,
    "weight": 3e-10,
    "launch": 3e-5,
    "attention": 2e-12,
    "score": 3e-10,
    "hidden": 3e-8,
    "head": 3e-7,
    "ffn": 4e-9,
    "logit": 2e-9,
    "update": 7e-10,
    "embedding": 2e-10,
}
ALONE = Network(1e10, 1.0, 0.0, 1.0, 1e10, 0.0, 1.0)


def coefficients(**changed: float) -> Coefficients:
    values = np.array([(CENTRE | changed)[name] for name in NAMES])
    return Coefficients(values, np.diag((0.05 * values) ** 2), (True,) * len(NAMES), 3e10, 0.04)


def planned(c: Coefficients, a: Architecture, sequence: int, micro_batch: int, precision: str = "bf16"):
    """The schedule's step of one micro-batch on one device."""
    accelerator, _ = load_accelerator("cpu-generic")
    chip, stack = calibrated(c, a, chip_of(accelerator, precision), load_stack("eager").stack.constants("cpu"))
    nbytes = 2.0 if precision == "bf16" else 4.0
    work = Workload(float(sequence), float(micro_batch), nbytes, nbytes)
    return step(a, chip, ALONE, stack, Layout(micro_batch=micro_batch, gradient_accumulation=1.0), work)


shapes = st.builds(
    lambda layers, heads, size, groups, ffn, vocab, gated, tied: Architecture(
        layers=layers,
        hidden_size=heads * groups * size,
        heads=heads * groups,
        kv_heads=heads,
        head_size=size,
        ffn_size=64 * ffn,
        vocab_size=256 * vocab,
        gated_ffn=gated,
        tied_embeddings=tied,
    ),
    st.integers(1, 40),
    st.integers(1, 8),
    st.sampled_from([64, 128]),
    st.integers(1, 4),
    st.integers(1, 60),
    st.integers(2, 500),
    st.booleans(),
    st.booleans(),
)


@given(shapes, st.sampled_from([128, 1024, 8192]), st.integers(1, 8), st.sampled_from(["bf16", "fp32"]))
@settings(max_examples=60, deadline=None)
def test_the_schedule_of_one_device_is_the_component_model(shape, sequence, micro_batch, precision):
    c, nbytes = coefficients(), 2.0 if precision == "bf16" else 4.0
    model = part_seconds(c, Work(shape, sequence, micro_batch, nbytes))
    terms = planned(c, shape, sequence, micro_batch, precision)
    assert float(terms.seconds) == pytest.approx(sum(model.values()), rel=0.005)  # weights of norms are the difference
    assert float(terms.optimizer_seconds) == pytest.approx(model["optimizer"], rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_each_coefficient_moves_the_schedule_as_it_moves_the_model(name):
    shape = Architecture(4, 512, 8, 8, 64, 1408, 8192)
    work = Work(shape, 512, 2)
    slower = coefficients(**{name: 3 * CENTRE[name]})
    more = step_seconds(slower, work) - step_seconds(coefficients(), work)
    assert more > 0
    moved = float(planned(slower, shape, 512, 2).seconds - planned(coefficients(), shape, 512, 2).seconds)
    assert moved == pytest.approx(more, rel=0.01)


def test_a_calibration_leaves_peak_memory_links_and_what_was_not_measured():
    accelerator, _ = load_accelerator("h100-sxm")
    chip, stack = chip_of(accelerator, "bf16"), load_stack("megatron-core").stack.constants("hopper")
    new_chip, new_stack = calibrated(coefficients(), Architecture(4, 512, 8, 8, 64, 1408, 8192), chip, stack)
    assert replace(new_chip, **{name: getattr(chip, name) for name in CHIP_CONSTANTS}) == chip
    assert replace(new_stack, **{name: getattr(stack, name) for name in (*STACK_CONSTANTS, "host_seconds")}) == stack
    assert new_stack.tensor_overlap == stack.tensor_overlap


def test_another_number_format_keeps_the_priors_of_its_products():
    accelerator, _ = load_accelerator("h100-sxm")
    chip, stack = chip_of(accelerator, "fp8"), load_stack("megatron-core").stack.constants("hopper")
    shape = Architecture(4, 512, 8, 8, 64, 1408, 8192)
    new_chip, new_stack = calibrated(coefficients(), shape, chip, stack, products=False, host=False)
    assert new_chip == replace(chip, launch_seconds=CENTRE["launch"])
    assert (new_stack.matmul, new_stack.host_seconds) == (stack.matmul, stack.host_seconds)
    assert float(new_stack.attention_efficiency * new_chip.vector_flops) == pytest.approx(
        1 / (CENTRE["attention"] + CENTRE["score"] / 256 / 3.8)
    )
