"""What must hold for every law, size and amount of data."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from costsim.scaling.laws import Law, Repetition, predicted_loss
from costsim.scaling.loss import final_loss
from costsim.scaling.modifiers import effective_tokens
from costsim.scaling.optimal import optimal_parameters, optimal_tokens, optimum_for_loss, size_band

exponents = st.floats(0.15, 0.9)
laws = st.builds(
    Law,
    name=st.just("any"),
    E=st.floats(0.5, 2.5),
    A=st.floats(10.0, 1e4),
    B=st.floats(10.0, 1e4),
    alpha=exponents,
    beta=exponents,
    k=st.floats(0.3, 1.0),
    scale=st.floats(0.5, 2.0),
    repetition=st.sampled_from([None, Repetition(15.387756), Repetition(15.387756, 5.309743)]),
)
sizes = st.floats(6.0, 13.0).map(lambda x: 10.0**x)
amounts = st.floats(8.0, 14.0).map(lambda x: 10.0**x)
computes = st.floats(17.0, 28.0).map(lambda x: 10.0**x)
ROUNDING = 1.0 + 1e-12


@settings(max_examples=60, deadline=None)
@given(laws, sizes, amounts, amounts, st.floats(1.0, 100.0))
def test_more_of_anything_never_raises_the_loss(law: Law, size: float, tokens: float, unique: float, by: float) -> None:
    loss = final_loss(law, size, tokens, unique)
    assert final_loss(law, size * by, tokens, unique) <= loss * ROUNDING
    assert final_loss(law, size, tokens * by, unique) <= loss * ROUNDING
    assert final_loss(law, size, tokens, unique * by) <= loss * ROUNDING


@settings(max_examples=60, deadline=None)
@given(laws, sizes, amounts, amounts)
def test_loss_stays_above_the_floor(law: Law, size: float, tokens: float, unique: float) -> None:
    assert final_loss(law, size, tokens, unique) >= law.E * law.scale


@settings(max_examples=60, deadline=None)
@given(amounts, amounts)
def test_repeated_tokens_are_worth_something_but_less_than_fresh_ones(tokens: float, unique: float) -> None:
    worth = effective_tokens(tokens, unique, 15.387756)
    assert min(tokens, unique) <= worth * ROUNDING
    assert worth <= tokens * ROUNDING


@settings(max_examples=60, deadline=None)
@given(laws, computes, st.floats(-2.0, 2.0))
def test_no_other_size_beats_the_optimum(law: Law, flops: float, shift: float) -> None:
    best = optimal_parameters(law, flops)
    least = predicted_loss(law, best, optimal_tokens(flops, best))
    other = best * np.exp(shift)
    assert least <= predicted_loss(law, other, optimal_tokens(flops, other)) * ROUNDING


@settings(max_examples=60, deadline=None)
@given(laws, computes)
def test_band_holds_the_optimum_and_ends_where_it_says(law: Law, flops: float) -> None:
    best = optimal_parameters(law, flops)
    low, high = size_band(law, flops)
    assert low < best < high
    ends = np.array([low, high])
    least = predicted_loss(law, best, optimal_tokens(flops, best))
    np.testing.assert_allclose(predicted_loss(law, ends, flops / (6.0 * ends)), 1.005 * least, rtol=1e-9)


@settings(max_examples=60, deadline=None)
@given(laws, computes)
def test_more_compute_buys_a_lower_loss_and_back(law: Law, flops: float) -> None:
    best = optimal_parameters(law, flops)
    tokens = optimal_tokens(flops, best)
    loss = predicted_loss(law, best, tokens)
    more = optimal_parameters(law, 2.0 * flops)
    assert predicted_loss(law, more, optimal_tokens(2.0 * flops, more)) < loss
    reducible = loss / law.scale - law.E
    np.testing.assert_allclose(
        optimum_for_loss(law, loss), (best, tokens), rtol=1e-12 / min(reducible / loss, 1.0) * 100
    )
