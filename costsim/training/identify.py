"""Coefficients of the component model from timed components: weighted ridge regression, none of them negative."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from costsim.training.components import NAMES, PARTS, Array, Coefficients, Work, counts, linear_counts

Flags: TypeAlias = NDArray[np.bool_]

ROUNDS = 4  # the roofline of thin products depends on the rate that is fitted, and weakly: two rounds settle it
SWEEPS = 20_000
LEAST: Array = np.array([0.25 if name == "matmul" else 0.0 for name in NAMES])
"""Bounds over priors: no product runs at four times the largest rate that was found, nothing takes negative time."""
NARROWED = 0.9  # an estimate whose standard deviation is still more than this share of the prior's was not identified


@dataclass(frozen=True)
class TimedStep:
    """A training step timed by component.

    Attributes:
        work: what was run.
        seconds: of each of ``PARTS``.
        doubt: relative standard deviation of the measurement.
    """

    work: Work
    seconds: Mapping[str, float]
    doubt: float = 0.0


@dataclass(frozen=True)
class TimedLinear:
    """Forward and backward pass of a linear layer.

    Attributes:
        tokens: rows.
        inputs: width of the input.
        outputs: width of the output.
        seconds: of both passes.
        element_bytes: of weights and activations.
        doubt: relative standard deviation of the measurement.
    """

    tokens: float
    inputs: float
    outputs: float
    seconds: float
    element_bytes: float = 2.0
    doubt: float = 0.0


@dataclass(frozen=True)
class Prior:
    """What is known before anything is measured, and how well the model describes what is.

    Attributes:
        centre: of the coefficients, as of ``NAMES``.
        spread: their standard deviations over their centres.
        misfit: relative standard deviation of a measured part around the model, by part, and of ``linear``.
        transfer: that of whole steps of other shapes.
        bandwidth: bytes/s of products.
    """

    centre: Array
    spread: Array
    misfit: Mapping[str, float]
    transfer: float
    bandwidth: float


def identify(steps: Sequence[TimedStep], linears: Sequence[TimedLinear], prior: Prior) -> Coefficients:
    """Coefficients from measurements, drawn to their prior.

    Minimises Σ ((count · c − t) / (t σ))² + Σ ((c − p) / (p s))² over c ≥ 0, where σ is the part's misfit and the
    measurement's own doubt. The covariance is the inverse of the normal matrix, larger where the residuals are larger
    than σ says. What the measurements set to its bound at zero keeps at least the spread of its prior, and is not
    identified; nor is what they did not narrow. Several of these may still be known well together.

    Args:
        steps: timed by component.
        linears: anchors of the rate of products.
        prior: centre and spread of the coefficients.
    """
    rate = float(1 / prior.centre[0])
    for _ in range(ROUNDS):
        rows, scale = _design(steps, linears, prior, rate)
        shrink = 1 / prior.spread
        matrix = np.vstack([rows * prior.centre * scale[:, None], np.diag(shrink)])
        wanted = np.concatenate([_times(steps, linears) * scale, shrink])
        share = LEAST + nonnegative(matrix, wanted - matrix @ LEAST)
        rate = float(1 / (share[0] * prior.centre[0]))
    left = matrix @ share - wanted
    freedom = max(1, len(wanted) - len(NAMES))
    noise = max(1.0, float(left @ left) / freedom)
    covariance: Array = np.asarray(np.linalg.inv(matrix.T @ matrix) * noise, dtype=np.float64)
    spread: Array = np.sqrt(np.diag(covariance))
    bound: Flags = share <= LEAST
    known = (spread < NARROWED * prior.spread) & ~bound
    return Coefficients(
        values=share * prior.centre,
        covariance=_widened(covariance, bound, prior.spread) * np.outer(prior.centre, prior.centre),
        identified=tuple(bool(flag) for flag in known),
        bandwidth=prior.bandwidth,
        transfer=prior.transfer,
    )


def _design(
    steps: Sequence[TimedStep], linears: Sequence[TimedLinear], prior: Prior, rate: float
) -> tuple[Array, Array]:
    """Counts of every measurement, and one over its standard deviation in seconds."""
    rows, scale = [], []
    for step in steps:
        found = counts(step.work, rate, prior.bandwidth)
        for part in PARTS:
            rows.append(found[part])
            scale.append(1 / (step.seconds[part] * float(np.hypot(prior.misfit[part], step.doubt))))
    for one in linears:
        work = Work(steps[0].work.architecture, 1, 1, one.element_bytes)
        rows.append(linear_counts(one.tokens, one.inputs, one.outputs, work, rate, prior.bandwidth))
        scale.append(1 / (one.seconds * float(np.hypot(prior.misfit["linear"], one.doubt))))
    return np.array(rows), np.array(scale)


def _times(steps: Sequence[TimedStep], linears: Sequence[TimedLinear]) -> Array:
    """Seconds, in the order of the rows."""
    return np.array([step.seconds[part] for step in steps for part in PARTS] + [one.seconds for one in linears])


def _widened(covariance: Array, bound: Flags, spread: Array) -> Array:
    """The covariance with at least the prior's variance, and no correlation, of what was set to its bound."""
    wide: Array = np.where(np.logical_or.outer(bound, bound), 0.0, covariance)
    np.fill_diagonal(wide, np.maximum(np.diag(covariance), np.where(bound, spread**2, 0.0)))
    return wide


def nonnegative(matrix: Array, wanted: Array) -> Array:
    """The non-negative x that minimises the length of ``matrix @ x - wanted``.

    Coordinate descent, which converges for any matrix of full rank (Franc et al. 2005, sequential coordinate-wise
    algorithm for the non-negative least squares problem).

    Args:
        matrix: (measurements, unknowns), of full rank.
        wanted: (measurements,).
    """
    gram, target = matrix.T @ matrix, matrix.T @ wanted
    x: Array = np.maximum(np.linalg.solve(gram, target), 0.0)
    slope = gram @ x - target
    for _ in range(SWEEPS):
        largest = 0.0
        for j in range(len(x)):
            new = max(0.0, x[j] - slope[j] / gram[j, j])
            if (change := new - x[j]) != 0.0:
                slope += change * gram[:, j]
                x[j] = new
                largest = max(largest, abs(change))
        if largest < 1e-12:
            break
    return x
