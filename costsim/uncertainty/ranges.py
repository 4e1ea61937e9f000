"""Uncertain numbers: a range is a distribution with a median, a 90 % interval and draws.

``A to B`` in a file is the 90 % interval of a distribution. Numbers that are known are floats; code that computes with
either sees floats, or arrays of draws, and never a `Range` (see ``draws``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable
    from statistics import NormalDist

    import numpy as np
    from numpy.typing import NDArray

Num: TypeAlias = "float | NDArray[np.float64]"
"""A known number, or draws of an uncertain one: functions on it broadcast."""

Distribution = Literal["lognormal", "logitnormal", "normal", "uniform", "triangular", "beta"]

_Z95 = 1.6448536269514722
"""The 95 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Range:
    """An uncertain number.

    What ``a``, ``b`` and ``c`` mean:

    ============  =======================================  ===================
    distribution  a, b                                     c
    ============  =======================================  ===================
    lognormal     mean, standard deviation of ln x         unused
    logitnormal   mean, standard deviation of ln x/(1-x)   unused
    normal        mean, standard deviation of x            unused
    uniform       low, high                                unused
    triangular    low, mode                                high
    beta          alpha, beta                              unused
    ============  =======================================  ===================

    Attributes:
        distribution: the family.
        a: first parameter.
        b: second parameter.
        c: third parameter.
        lower: no value lies below this: what would is set to it, so that quantiles inside the bounds hold as stated.
        upper: no value lies above this.
    """

    distribution: Distribution
    a: float
    b: float
    c: float = 0.0
    lower: float = -math.inf
    upper: float = math.inf

    @classmethod
    def interval(
        cls, low: float, high: float, fraction: bool = False, lower: float = -math.inf, upper: float = math.inf
    ) -> Range:
        """The distribution whose 90 % interval is ``low`` to ``high``.

        Logit-normal for a fraction inside (0, 1), else lognormal if both ends are positive, else normal.

        Args:
            low: the 5 % quantile.
            high: the 95 % quantile.
            fraction: whether the number is a fraction.
            lower: the least possible value.
            upper: the greatest possible value.

        Raises:
            ValueError: the ends are not finite, or ``low`` is above ``high``.
        """
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(f"{low} to {high} is not an interval")
        if fraction and low > 0 and high < 1:
            family, a, b = "logitnormal", _logit(low), _logit(high)
        elif low > 0:
            family, a, b = "lognormal", math.log(low), math.log(high)
        else:
            family, a, b = "normal", low, high
        return cls(family, (a + b) / 2, (b - a) / (2 * _Z95), lower=lower, upper=upper)  # type: ignore[arg-type]

    @classmethod
    def normal_interval(cls, low: float, high: float) -> Range:
        """The normal distribution whose 90 % interval is ``low`` to ``high``."""
        return cls("normal", (low + high) / 2, (high - low) / (2 * _Z95))

    def centre(self) -> float:
        """The median."""
        return self.quantile(0.5)

    def interval90(self) -> tuple[float, float]:
        """The 5 % and the 95 % quantile."""
        return self.quantile(0.05), self.quantile(0.95)

    def quantile(self, probability: float) -> float:
        """The value below which a draw lies with this probability.

        Args:
            probability: between 0 and 1, exclusive.
        """
        return float(min(max(self._inverse(probability), self.lower), self.upper))

    def quantiles(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """`quantile` of an array of probabilities between 0 and 1, exclusive; by scipy's special functions."""
        import numpy as np
        from scipy import special

        p = probabilities
        if self.distribution == "uniform":
            values = self.a + (self.b - self.a) * p
        elif self.distribution == "triangular":
            width, rise = self.c - self.a, self.b - self.a
            left = self.a + np.sqrt(p * width * rise)
            values = np.where(p * width < rise, left, self.c - np.sqrt((1 - p) * width * (self.c - self.b)))
        elif self.distribution == "beta":
            values = special.betaincinv(self.a, self.b, p)
        else:
            values = self.a + self.b * special.ndtri(p)
            values = {"lognormal": np.exp, "logitnormal": special.expit}.get(self.distribution, np.asarray)(values)
        return np.clip(values, self.lower, self.upper)

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Independent draws, shape ``(n,)``."""
        import numpy as np

        return np.clip(self._sample(rng, n), self.lower, self.upper)

    def _sample(self, rng: np.random.Generator, n: int) -> NDArray[np.float64]:
        """Draws without regard to the bounds."""
        import numpy as np

        if self.distribution == "uniform":
            return self.a + (self.b - self.a) * rng.random(n)
        if self.distribution == "triangular":
            return rng.triangular(self.a, self.b, self.c, n) if self.c > self.a else np.full(n, self.a)
        if self.distribution == "beta":
            return rng.beta(self.a, self.b, n)
        scores = self.a + self.b * rng.standard_normal(n)
        if self.distribution == "lognormal":
            return np.exp(scores)
        if self.distribution == "logitnormal":
            return 1.0 / (1.0 + np.exp(-scores))
        return scores

    def _inverse(self, p: float) -> float:
        """The quantile function without regard to the bounds."""
        if self.distribution == "uniform":
            return self.a + (self.b - self.a) * p
        if self.distribution == "triangular":
            return _triangular_inverse(p, self.a, self.b, self.c)
        if self.distribution == "beta":
            return _bisect(lambda x: beta_cumulative(x, self.a, self.b), p)
        score = self.a + self.b * _standard().inv_cdf(p)
        if self.distribution == "lognormal":
            return math.exp(score)
        if self.distribution == "logitnormal":
            return _logistic(score)
        return score


@lru_cache(maxsize=1)
def _standard() -> NormalDist:
    """The standard normal distribution; ``statistics`` is slow to import, so only when a quantile is needed."""
    from statistics import NormalDist

    return NormalDist()


def _logit(x: float) -> float:
    return math.log(x) - math.log1p(-x)


def _logistic(score: float) -> float:
    return 1 / (1 + math.exp(-score)) if score >= 0 else math.exp(score) / (1 + math.exp(score))


def _triangular_inverse(p: float, low: float, mode: float, high: float) -> float:
    """Quantile of the triangular distribution (the standard closed form)."""
    width = high - low
    if width == 0:
        return low
    if p * width < mode - low:
        return low + math.sqrt(p * width * (mode - low))
    return high - math.sqrt((1 - p) * width * (high - mode))


def _bisect(cumulative: Callable[[float], float], p: float) -> float:
    """Where a cumulative distribution on (0, 1) reaches ``p``; 100 halvings exhaust a float's digits."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if cumulative(middle) < p else (low, middle)
    return (low + high) / 2


def beta_cumulative(x: float, alpha: float, beta: float) -> float:
    """The regularised incomplete beta function: the probability of a beta draw below ``x``.

    Source: the continued fraction of DLMF 8.17.22, evaluated by the modified Lentz method (Numerical Recipes §6.4),
    on the side of the mean where it converges fast.
    """
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (alpha + 1) / (alpha + beta + 2):
        return 1 - beta_cumulative(1 - x, beta, alpha)
    log_front = math.lgamma(alpha + beta) - math.lgamma(alpha) - math.lgamma(beta)
    front = math.exp(log_front + alpha * math.log(x) + beta * math.log1p(-x)) / alpha
    tiny = 1e-300
    c, d = 1.0, 1 / _away(1 - (alpha + beta) * x / (alpha + 1), tiny)
    fraction = d
    for m in range(1, 100_000):
        even = m * (beta - m) * x / ((alpha + 2 * m - 1) * (alpha + 2 * m))
        odd = -(alpha + m) * (alpha + beta + m) * x / ((alpha + 2 * m) * (alpha + 2 * m + 1))
        step = 1.0
        for term in (even, odd):
            d = 1 / _away(1 + term * d, tiny)
            c = _away(1 + term / c, tiny)
            step = c * d
            fraction *= step
        if abs(step - 1) < 1e-15:
            break
    return min(max(front * fraction, 0.0), 1.0)


def _away(x: float, tiny: float) -> float:
    """``x``, kept away from zero."""
    return x if abs(x) > tiny else tiny
