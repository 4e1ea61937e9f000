"""The spread of a layout's step time against drawn constants, and what the data file names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_cases import CHIP, LLAMA_70B, NETWORK, STACK, WORK, layout

from costsim.inputs.spreads import constant_doubts
from costsim.training.doubt import Doubt, log_spread
from costsim.training.layout import Layout, stacked
from costsim.training.schedule import step

PARTS = {"chip": CHIP, "network": NETWORK, "stack": STACK}
BROAD = layout(512, tensor=8.0, pipeline=4.0, sequence_parallel=1.0)
FLAT = layout(512, sharding=3.0, recompute=2.0)


def spread(one: Layout, *doubts: Doubt) -> float:
    return float(log_spread(LLAMA_70B, CHIP, NETWORK, STACK, WORK, one, doubts))


def test_every_named_constant_exists_and_hidden_shares_are_shares():
    found = constant_doubts()
    assert len({(doubt.part, doubt.name) for doubt in found}) == len(found)
    for doubt in found:
        value = getattr(PARTS[doubt.part], doubt.name)
        assert not doubt.exposed or 0 <= value <= 1
        assert 0 < doubt.log_sd < 1


def test_without_doubts_the_residual_is_left():
    assert spread(BROAD) == pytest.approx(STACK.residual)
    assert spread(BROAD, Doubt("stack", "matmul", 0.0)) == pytest.approx(STACK.residual)


def test_a_doubt_about_the_exposed_share_is_the_share_of_the_exposed_term():
    terms = step(LLAMA_70B, CHIP, NETWORK, STACK, BROAD, WORK)
    without = step(LLAMA_70B, CHIP, NETWORK, replace(STACK, tensor_overlap=1.0), BROAD, WORK)
    share = 1 - float(without.seconds / terms.seconds)  # of the step: the exchange, its bubble and its stragglers
    sd = 0.01
    variance = spread(BROAD, Doubt("stack", "tensor_overlap", sd, exposed=True)) ** 2 - STACK.residual**2
    assert variance**0.5 == pytest.approx(share * sd, rel=0.02)


@pytest.mark.parametrize("one", [BROAD, FLAT])
def test_it_is_the_spread_of_drawn_constants(one):
    """An independent estimate: all constants drawn together, the spread of the log of the step."""
    rng = np.random.default_rng(1)
    drawn = dict(PARTS)
    for doubt in constant_doubts():
        factor = np.exp(doubt.log_sd * rng.standard_normal(20_000))
        value = getattr(PARTS[doubt.part], doubt.name)
        new = 1 - np.minimum(1.0, (1 - value) * factor) if doubt.exposed else value * factor
        drawn[doubt.part] = replace(drawn[doubt.part], **{doubt.name: new})
    seconds = step(LLAMA_70B, drawn["chip"], drawn["network"], drawn["stack"], one, WORK).seconds
    want = float(np.hypot(np.std(np.log(seconds)), STACK.residual))
    assert spread(one, *constant_doubts()) == pytest.approx(want, rel=0.05)


def test_many_layouts_at_once_are_each_by_itself():
    both = Layout(**{key: np.array([value, getattr(FLAT, key)]) for key, value in vars(BROAD).items()})
    many = log_spread(LLAMA_70B, CHIP, NETWORK, STACK, WORK, both, constant_doubts())
    assert list(many) == pytest.approx([spread(one, *constant_doubts()) for one in (BROAD, FLAT)], rel=1e-12)
    assert many[0] != pytest.approx(many[1], rel=1e-3)
    assert stacked(BROAD).tensor.shape == (1,)
