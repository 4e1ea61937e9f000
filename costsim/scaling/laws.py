"""Scaling laws: the loss a model of N parameters reaches on D tokens.

One family holds every law that is shipped:

    L = [E + (A / N**alpha + B / D**beta)**k] * scale

With k = 1 this is the form of Hoffmann et al. 2022 (arXiv:2203.15556, equation 2); with E = 0 and beta = 1 it is the
joint law of Kaplan et al. 2020 (arXiv:2001.08361, equation 1.5). ``scale`` is the level of a corpus and tokenizer
against those of the law: 1 for the law's own, a draw where it is unknown, a fitted factor where runs anchor it.

Everything broadcasts: parameters, tokens and the law's own constants may be floats or float64 arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from costsim.scaling.modifiers import effective_parameters, effective_tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from costsim.uncertainty.ranges import Num

Counts = Literal["total", "non_embedding", "active"]
COORDINATES = ("ln_a_at_pivot", "ln_b_at_pivot", "ln_e", "alpha", "beta")


@dataclass(frozen=True)
class Support:
    """What a law was fitted on; each is (lowest, highest), and infinite ends mean that the source names none.

    Attributes:
        parameters: sizes of the fitted models, counted as the law counts them.
        tokens: training tokens.
        tokens_per_parameter: their ratio.
        compute_flops: training FLOP, 6 N D.
    """

    parameters: tuple[float, float] = (0.0, math.inf)
    tokens: tuple[float, float] = (0.0, math.inf)
    tokens_per_parameter: tuple[float, float] = (0.0, math.inf)
    compute_flops: tuple[float, float] = (0.0, math.inf)


@dataclass(frozen=True)
class Covariance:
    """Joint uncertainty of a law's constants, in coordinates in which they are close to normal.

    A and alpha are nearly collinear (correlation 0.999): drawn from their printed standard errors one by one they give
    nonsense. Taken at a pivot inside the data, as ``ln(A / N0**alpha)``, they are not.

    Attributes:
        pivot_parameters: N0, the size at which the parameter term is taken.
        pivot_tokens: D0, the tokens at which the data term is taken.
        matrix: 5 x 5 covariance of ``(ln(A / N0**alpha), ln(B / D0**beta), ln E, alpha, beta)``.
    """

    pivot_parameters: float
    pivot_tokens: float
    matrix: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Repetition:
    """How fast repeated tokens, and parameters in excess of the data, lose their value (Muennighoff et al. 2023).

    Attributes:
        tokens_decay: R*_D, repetitions after which a repeated token is worth 1/e of a fresh one.
        parameters_decay: R*_N, the same for parameters beyond the best number for the unique data; infinite where the
            law's own parameter term already holds for oversized models.
    """

    tokens_decay: float
    parameters_decay: float = math.inf


@dataclass(frozen=True)
class Transfer:
    """How far a law's level is off on a corpus and at a scale that it was not fitted on, as log standard deviations.

    Attributes:
        level: on another corpus and tokenizer, without any run to anchor it.
        per_decade: for each factor of ten in compute beyond the largest fitted run.
    """

    level: float
    per_decade: float


@dataclass(frozen=True)
class Law:
    """One scaling law; E, A, B, alpha, beta and k as in the family, floats or arrays of draws.

    Attributes:
        counts: which parameters N counts.
        scale: factor on the whole loss for the corpus and tokenizer at hand.
        unit: unit of the loss.
    """

    name: str
    E: Num
    A: Num
    B: Num
    alpha: Num
    beta: Num
    k: Num = 1.0
    scale: Num = 1.0
    counts: Counts = "total"
    unit: str = "nats/token"
    support: Support = Support()
    transfer: Transfer = Transfer(0.0, 0.0)
    covariance: Covariance | None = None
    repetition: Repetition | None = None


def reducible_sum(law: Law, parameters: Num, tokens: Num) -> Num:
    """Inner sum A / N**alpha + B / D**beta of a law, before the outer power.

    Args:
        law: the law.
        parameters: N as the law counts it.
        tokens: D, fresh tokens.
    """
    return law.A * np.power(parameters, -law.alpha) + law.B * np.power(tokens, -law.beta)


def predicted_loss(law: Law, parameters: Num, tokens: Num) -> Num:
    """Loss of N parameters on D tokens of which none is repeated, in the law's unit.

    Source: Hoffmann et al. 2022, equation 2 (k = 1); Kaplan et al. 2020, equation 1.5 (E = 0, beta = 1).
    """
    return (law.E + reducible_sum(law, parameters, tokens) ** law.k) * law.scale


def counted_parameters(law: Law, *, active_parameters: Num, non_embedding_parameters: Num) -> Num:
    """N as the law counts it, for a model with the given counts.

    Laws of this family were fitted on dense models, where every parameter is active. For a mixture of experts the
    active parameters stand in: its loss is then predicted a little too high, never too low.

    Args:
        law: the law.
        active_parameters: parameters that a token passes, embeddings included; all of them in a dense model.
        non_embedding_parameters: the same without embeddings and output head.
    """
    return non_embedding_parameters if law.counts == "non_embedding" else active_parameters


def best_parameters_for_data(law: Law, tokens: Num) -> Num:
    """Size for which the given tokens are compute-optimal: alpha A / N**alpha = beta B / D**beta solved for N.

    Source: Muennighoff et al. 2023 (arXiv:2305.16264), appendix A, which calls it U_N.
    """
    balance = (law.alpha * law.A) / (law.beta * law.B)
    return np.power(balance * np.power(tokens, law.beta), 1.0 / law.alpha)


def repeated(law: Law, parameters: Num, tokens: Num, unique_tokens: Num) -> tuple[Num, Num]:
    """(N, D) of fresh data worth as much as the given parameters and tokens of which only some are unique.

    A law without a repetition modifier returns its arguments.

    Source: Muennighoff et al. 2023 (arXiv:2305.16264), equation 5 and appendix A.
    """
    if law.repetition is None:
        return parameters, tokens
    unique = np.minimum(unique_tokens, tokens)
    useful = effective_tokens(tokens, unique, law.repetition.tokens_decay)
    if math.isinf(law.repetition.parameters_decay):
        return parameters, useful
    base = np.minimum(parameters, best_parameters_for_data(law, unique))
    return effective_parameters(parameters, base, law.repetition.parameters_decay), useful


def in_range(law: Law, parameters: Num, tokens: Num) -> bool | NDArray[np.bool_]:
    """Whether N, D, their ratio and their compute all lie inside what the law was fitted on."""
    pairs: tuple[tuple[Any, tuple[float, float]], ...] = (
        (parameters, law.support.parameters),
        (tokens, law.support.tokens),
        (tokens / parameters, law.support.tokens_per_parameter),
        (6.0 * parameters * tokens, law.support.compute_flops),
    )
    inside: Any = True
    for value, (low, high) in pairs:
        inside = inside & (value >= low) & (value <= high)
    return inside if np.ndim(inside) else bool(inside)


def decades_beyond(law: Law, parameters: Num, tokens: Num) -> Num:
    """How many factors of ten in compute 6 N D lie beyond the largest fitted run; 0 inside."""
    largest = law.support.compute_flops[1]
    if math.isinf(largest):
        largest = 6.0 * law.support.parameters[1] * law.support.tokens[1]
    return np.maximum(np.log10(6.0 * parameters * tokens / largest), 0.0)


def with_drawn_constants(law: Law, normals: NDArray[np.float64]) -> Law:
    """The law with its constants drawn from their joint uncertainty.

    Args:
        law: the law; one without a covariance is returned as it is.
        normals: standard normal draws, shape (n, 5).

    Returns:
        A law whose E, A, B, alpha and beta are arrays of shape (n,), with the law's own constants as their centre.
    """
    if law.covariance is None:
        return law
    pivot = law.covariance
    ln_n0, ln_d0 = math.log(pivot.pivot_parameters), math.log(pivot.pivot_tokens)
    point = np.array(
        [
            math.log(float(law.A)) - float(law.alpha) * ln_n0,
            math.log(float(law.B)) - float(law.beta) * ln_d0,
            math.log(float(law.E)),
            float(law.alpha),
            float(law.beta),
        ]
    )
    factor = np.linalg.cholesky(np.asarray(pivot.matrix, dtype=np.float64))
    drawn = np.ascontiguousarray((normals @ factor.T).T) + point[:, np.newaxis]  # a row a constant: fast to work on
    ln_a, ln_b, ln_e, alpha, beta = drawn
    return replace(
        law, E=np.exp(ln_e), A=np.exp(ln_a + alpha * ln_n0), B=np.exp(ln_b + beta * ln_d0), alpha=alpha, beta=beta
    )


def with_drawn_level(law: Law, parameters: Num, tokens: Num, normals: NDArray[np.float64]) -> Law:
    """The law with its level drawn: another corpus and tokenizer, and compute beyond the fitted range.

    The two are independent, so their log standard deviations add in squares. The median factor is 1.

    Args:
        law: the law.
        parameters: N as the law counts it.
        tokens: D.
        normals: standard normal draws, shape (n,).
    """
    spread = np.hypot(law.transfer.level, law.transfer.per_decade * decades_beyond(law, parameters, tokens))
    return replace(law, scale=law.scale * np.exp(spread * normals))
