"""The compute-optimal model of a scaling law, in closed form, and how flat the optimum is.

At fixed compute C = 6 N D the loss is least where ``alpha A / N**alpha = beta B / D**beta``. The outer power k, the
floor E and the level are monotone maps, so none of them moves that point, and one closed form serves the whole family.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from costsim.quantities import declare
from costsim.scaling.laws import Law, predicted_loss, reducible_sum

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num

BAND_TOLERANCE = 0.005
"""Sizes within this fraction of the least loss count as equally good: less than a re-tuned learning rate is worth."""
_FLOPS_PER_PARAMETER_TOKEN = 6.0
_NEWTON_STEPS = 7


@declare(
    "loss.optimal_parameters",
    label="Compute-optimal parameters",
    unit="parameters",
    formula="(({law.alpha} * {law.a}) / ({law.beta} * {law.b}))**(1 / ({law.alpha} + {law.beta}))"
    " * ({compute.flops_6nd} / 6)**({law.beta} / ({law.alpha} + {law.beta}))",
    source="Hoffmann et al. 2022 (arXiv:2203.15556), equation 4",
)
def optimal_parameters(law: Law, flops: Num) -> Num:
    """Parameters, as the law counts them, that reach the least loss for training compute 6 N D = ``flops``."""
    total = law.alpha + law.beta
    balance = np.power((law.alpha * law.A) / (law.beta * law.B), 1.0 / total)
    return balance * np.power(flops / _FLOPS_PER_PARAMETER_TOKEN, law.beta / total)


@declare(
    "loss.optimal_tokens",
    label="Compute-optimal tokens",
    unit="tokens",
    formula="{compute.flops_6nd} / (6 * {loss.optimal_parameters})",
    source="Hoffmann et al. 2022 (arXiv:2203.15556), equation 4, with C = 6 N D",
)
def optimal_tokens(flops: Num, parameters: Num) -> Num:
    """Tokens that spend ``flops`` on a model of ``parameters``: D = C / (6 N)."""
    return flops / (_FLOPS_PER_PARAMETER_TOKEN * parameters)


def optimum_for_loss(law: Law, loss: Num) -> tuple[Num, Num]:
    """Cheapest (parameters, tokens) that reach a loss; both infinite where the loss is at or below the law's floor.

    At the optimum the two terms share one value w of ``alpha A / N**alpha = beta B / D**beta``, so the reducible sum
    is ``w (1/alpha + 1/beta)`` and can be solved for w.
    """
    above_floor = np.maximum(loss / law.scale - law.E, 0.0)
    shared = np.power(above_floor, 1.0 / law.k) / (1.0 / law.alpha + 1.0 / law.beta)
    reachable = shared > 0.0
    safe = np.where(reachable, shared, 1.0)
    parameters = np.where(reachable, np.power(law.alpha * law.A / safe, 1.0 / law.alpha), np.inf)
    tokens = np.where(reachable, np.power(law.beta * law.B / safe, 1.0 / law.beta), np.inf)
    return parameters[()], tokens[()]


@declare(
    "loss.band.parameters_low",
    label="Smallest size within 0.5 % of the least loss",
    unit="parameters",
    formula="smallest N whose loss on {compute.flops_6nd} / (6 N) tokens is within 0.5 % of that at"
    " {loss.optimal_parameters}",
    source="the law's own curve at fixed compute",
)
@declare(
    "loss.band.parameters_high",
    label="Largest size within 0.5 % of the least loss",
    unit="parameters",
    formula="largest N whose loss on {compute.flops_6nd} / (6 N) tokens is within 0.5 % of that at"
    " {loss.optimal_parameters}",
    source="the law's own curve at fixed compute",
)
def size_band(law: Law, flops: Num, tolerance: float = BAND_TOLERANCE) -> tuple[Num, Num]:
    """Smallest and largest model that come within ``tolerance`` of the least loss at the same compute.

    With N = N* e^x the reducible sum is ``w (e^(-alpha x) / alpha + e^(beta x) / beta)``: convex in x, least at 0.
    Newton's method starts at the roots of its parabola at 0; as the sum is convex, a step lands outside the root and
    the next ones move towards it. Where one exponential alone reaches the target is an outer bound.
    """
    size = optimal_parameters(law, flops)
    tokens = optimal_tokens(flops, size)
    least = predicted_loss(law, size, tokens) / law.scale
    target = np.power(least * (1.0 + tolerance) - law.E, 1.0 / law.k) / reducible_sum(law, size, tokens)
    # The sum relative to its least value; alpha and beta trade places in its two shares.
    share_n, share_d = law.beta / (law.alpha + law.beta), law.alpha / (law.alpha + law.beta)

    def root(start: Num, outer: Num) -> Num:
        """Where the sum reaches the target, on the side of ``outer``."""
        x = np.sign(outer) * np.minimum(np.abs(start), np.abs(outer))
        for _ in range(_NEWTON_STEPS):
            n_term, d_term = share_n * np.exp(-law.alpha * x), share_d * np.exp(law.beta * x)
            x = x - (n_term + d_term - target) / (law.beta * d_term - law.alpha * n_term)
            x = np.sign(outer) * np.minimum(np.abs(x), np.abs(outer))
        return x

    parabola = np.sqrt(2.0 * (target - 1.0) / (law.alpha * law.beta))
    low = root(-parabola, -np.log(target / share_n) / law.alpha)
    high = root(parabola, np.log(target / share_d) / law.beta)
    return size * np.exp(low), size * np.exp(high)
