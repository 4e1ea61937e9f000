"""The law family: values worked by hand, broadcasting, draws, repetition and range."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest

from costsim.quantities import REGISTRY
from costsim.scaling.laws import (
    Covariance,
    Law,
    Repetition,
    Support,
    Transfer,
    best_parameters_for_data,
    counted_parameters,
    decades_beyond,
    in_range,
    predicted_loss,
    repeated,
    with_drawn_constants,
    with_drawn_level,
)
from costsim.scaling.loss import final_loss, formula_inputs, loss_notes, loss_section, loss_text
from costsim.scaling.modifiers import effective_parameters, effective_tokens

MATRIX = tuple(tuple(0.01 * (i == j) + 0.001 for j in range(5)) for i in range(5))
LAW = Law(
    name="test",
    E=1.8,
    A=400.0,
    B=2000.0,
    alpha=0.35,
    beta=0.37,
    support=Support((1e8, 1e10), (1e9, 1e12), (1.0, 300.0), (1e18, 1e22)),
    transfer=Transfer(0.15, 0.02),
    covariance=Covariance(1e9, 2e10, MATRIX),
    repetition=Repetition(15.387756),
)


def test_loss_by_hand_with_powers_that_come_out_even() -> None:
    # N = 10^4, alpha = 1/2: A / 100. D = 10^6, beta = 1/3: B / 100. (4 + 5)^(1/2) = 3; (1 + 3) * 1.5 = 6.
    law = Law("hand", E=1.0, A=400.0, B=500.0, alpha=0.5, beta=1 / 3, k=0.5, scale=1.5)
    assert predicted_loss(law, 1e4, 1e6) == pytest.approx(6.0, rel=1e-12)


def test_arrays_give_what_floats_give() -> None:
    sizes, tokens = np.array([1e8, 1e9, 1e11]), np.array([[1e10], [3e12]])
    table = predicted_loss(LAW, sizes, tokens)
    assert np.shape(table) == (2, 3)
    for i, d in enumerate(tokens[:, 0]):
        for j, n in enumerate(sizes):
            assert table[i, j] == predicted_loss(LAW, float(n), float(d))


def test_one_epoch_is_worth_itself_and_many_are_capped() -> None:
    assert effective_tokens(1e12, 1e12, 15.387756) == 1e12
    assert effective_tokens(1e12, 2e12, 15.387756) == 1e12
    # U (1 + R*) is the limit: 1e9 * 16.387756.
    assert effective_tokens(1e15, 1e9, 15.387756) == pytest.approx(16.387756e9, rel=1e-12)


def test_excess_parameters_lose_their_worth() -> None:
    assert effective_parameters(1e9, 2e9, 5.309743) == 1e9
    # R_N = 1: 1 + 5.309743 (1 - e^(-1/5.309743)) = 1 + 5.309743 (1 - .828339) = 1.911477
    assert effective_parameters(2e9, 1e9, 5.309743) == pytest.approx(1.911477e9, rel=1e-6)


def test_best_parameters_for_data_balance_both_terms() -> None:
    tokens = 3e11
    size = best_parameters_for_data(LAW, tokens)
    assert LAW.alpha * LAW.A / size**LAW.alpha == pytest.approx(LAW.beta * LAW.B / tokens**LAW.beta, rel=1e-12)


def test_only_a_law_that_says_so_decays_parameters() -> None:
    assert repeated(replace(LAW, repetition=None), 1e11, 1e12, 1e10) == (1e11, 1e12)
    size, tokens = repeated(LAW, 1e11, 1e11, 1e10)
    assert size == 1e11
    assert tokens < 1e11
    both = replace(LAW, repetition=Repetition(15.387756, 5.309743))
    assert repeated(both, 1e11, 1e11, 1e10)[0] < 1e11


@pytest.mark.parametrize(("counts", "expected"), [("total", 7e9), ("active", 7e9), ("non_embedding", 6e9)])
def test_parameters_are_counted_as_the_law_counts_them(counts: str, expected: float) -> None:
    law = replace(LAW, counts=counts)
    assert counted_parameters(law, active_parameters=7e9, non_embedding_parameters=6e9) == expected


@pytest.mark.parametrize(
    ("parameters", "tokens", "inside"),
    [
        (1e9, 2e10, True),
        (1e8, 3e10, True),  # a ratio of 300, on the edge
        (1e8, 3.1e10, False),  # a ratio of 310
        (2e10, 2e10, False),  # too large
        (1e9, 9e8, False),  # too few tokens
        (9e9, 9e11, False),  # 4.9e22 FLOP
    ],
)
def test_range(parameters: float, tokens: float, inside: bool) -> None:
    assert in_range(LAW, parameters, tokens) is inside


def test_range_of_arrays() -> None:
    assert in_range(LAW, np.array([1e9, 2e10]), 2e10).tolist() == [True, False]


def test_decades_beyond_the_largest_run() -> None:
    assert decades_beyond(LAW, 1e9, 2e10) == 0.0
    # 6 * 1e11 * 1e12 / 1e22 = 60
    assert decades_beyond(LAW, 1e11, 1e12) == pytest.approx(math.log10(60.0))
    unnamed = replace(LAW, support=Support(parameters=(1.0, 1e9), tokens=(1.0, 1e10)))
    assert decades_beyond(unnamed, 1e10, 1e10) == pytest.approx(1.0)


def test_draws_at_zero_are_the_law_itself() -> None:
    drawn = with_drawn_constants(LAW, np.zeros((3, 5)))
    for name in ("E", "A", "B", "alpha", "beta"):
        np.testing.assert_allclose(getattr(drawn, name), getattr(LAW, name), rtol=1e-12)


def test_draws_have_the_stated_covariance() -> None:
    drawn = with_drawn_constants(LAW, np.random.default_rng(1).standard_normal((40_000, 5)))
    pivot_a = np.log(drawn.A) - drawn.alpha * math.log(1e9)
    pivot_b = np.log(drawn.B) - drawn.beta * math.log(2e10)
    found = np.cov(np.stack([pivot_a, pivot_b, np.log(drawn.E), drawn.alpha, drawn.beta]))
    np.testing.assert_allclose(
        found, np.array(MATRIX), atol=3e-4
    )  # standard error of a variance: .011 sqrt(2/40000) = 8e-5


def test_a_law_without_covariance_is_not_spread() -> None:
    law = replace(LAW, covariance=None)
    assert with_drawn_constants(law, np.ones((4, 5))) is law


def test_level_grows_with_distance_and_keeps_its_median() -> None:
    z = np.array([-1.0, 0.0, 1.0])
    near = with_drawn_level(LAW, 1e9, 2e10, z)
    np.testing.assert_allclose(near.scale, np.exp(0.15 * z))
    # Two decades beyond: sqrt(.15^2 + (2 * .02)^2) = .155242
    far = with_drawn_level(LAW, 1e12, 1e24 / 6e12, z)
    np.testing.assert_allclose(np.log(far.scale), 0.155242 * z, rtol=1e-5)


def _section(law: Law, unique: float = 1e12) -> dict[str, object]:
    return dict(
        loss_section(
            law,
            active_parameters=7e9,
            non_embedding_parameters=6.5e9,
            tokens=1e12,
            unique_tokens=unique,
            flops_6nd=6 * 7e9 * 1e12,
        )
    )


def test_section_has_every_number_and_agrees_with_its_formula() -> None:
    section = _section(LAW, unique=2e11)
    assert set(section) == {
        "loss.final_loss",
        "loss.optimal_parameters",
        "loss.optimal_tokens",
        "loss.band.parameters_low",
        "loss.band.parameters_high",
    }
    inputs = formula_inputs(LAW, active_parameters=7e9, non_embedding_parameters=6.5e9, tokens=1e12, unique_tokens=2e11)
    values = {**inputs, **section, "compute.flops_6nd": 6 * 7e9 * 1e12}
    for path in ("loss.final_loss", "loss.optimal_parameters", "loss.optimal_tokens"):
        formula = re.sub(r"\{([^}]+)\}", lambda match: repr(float(values[match[1]])), REGISTRY[path].formula)
        assert eval(formula) == pytest.approx(section[path], rel=1e-12)
    assert section["loss.final_loss"] == final_loss(LAW, 7e9, 1e12, 2e11)


def test_section_of_draws_is_arrays_of_one_shape() -> None:
    z = np.random.default_rng(0).standard_normal((50, 6))
    law = with_drawn_level(with_drawn_constants(LAW, z[:, :5] * 0.1), 7e9, 1e12, z[:, 5])
    assert {np.shape(value) for value in _section(law).values()} == {(50,)}
    assert all(np.isfinite(value).all() for value in _section(law).values())


def test_text_and_notes_name_what_a_reader_must_know() -> None:
    assert loss_text(LAW, parameters=1e9, tokens=2e10) == {
        "loss.law": "test",
        "loss.unit": "nats/token",
        "loss.in_range": True,
    }
    quiet = loss_notes(LAW, parameters=1e9, tokens=2e10, unique_tokens=2e10, mixture_of_experts=False, anchored=True)
    assert quiet == ()
    loud = loss_notes(LAW, parameters=1e11, tokens=1e12, unique_tokens=1e11, mixture_of_experts=True)
    text = "\n".join(loud)
    assert len(loud) == 4
    for part in ("not anchored", "factor of 1.28", "1.8 decades", "10.0 times", "dense models"):
        assert part in text
