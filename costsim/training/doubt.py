"""How sure a layout's step time is: the spread that the badly known constants it rests on give it.

Two layouts of equal time may differ in how far the truth may lie from it: one rests on matrix products, whose rate is
known within 8 %, another on exchanges over the network, known within 40 %. The spreads of the constants are carried
through the step time one by one and added as independent (first order: Taylor 1997, *An Introduction to Error
Analysis*, section 3.11).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from costsim.training.architecture import Architecture
from costsim.training.device import Chip, Network, Stack, Workload
from costsim.training.layout import Layout
from costsim.training.schedule import step
from costsim.uncertainty.ranges import Num

if TYPE_CHECKING:
    from numpy.typing import NDArray

P90_SCORE = 1.2815515655446004
"""The 90 % quantile of the standard normal distribution."""


@dataclass(frozen=True)
class Doubt:
    """One constant that is not well known.

    Attributes:
        part: whose field it is.
        name: of the field.
        log_sd: standard deviation of its logarithm, or of that of its rest.
        exposed: whether it is a share that is hidden, so that its rest, the exposed share, varies.
    """

    part: Literal["chip", "network", "stack"]
    name: str
    log_sd: float
    exposed: bool = False

    def moved(self, parts: dict[str, Chip | Network | Stack], deviations: float) -> dict[str, Chip | Network | Stack]:
        """The chip, network and stack with this constant some standard deviations off.

        Args:
            parts: by name.
            deviations: how many, of either sign; hidden shares stay between none and all.
        """
        value = getattr(parts[self.part], self.name)
        factor = np.exp(deviations * self.log_sd)
        moved = 1 - np.minimum(1.0, (1 - value) * factor) if self.exposed else value * factor
        return {**parts, self.part: replace(parts[self.part], **{self.name: moved})}


def log_spread(
    a: Architecture,
    chip: Chip,
    network: Network,
    stack: Stack,
    work: Workload,
    layouts: Layout,
    doubts: Sequence[Doubt],
) -> NDArray[np.float64]:
    """Standard deviation of the log of each layout's step time: that of its constants, and the stack's residual.

    The effect of a constant is half the difference between a standard deviation up and one down, so that a bound which
    sets in within that reach (a transfer that is just hidden) counts. The residual was measured with the constants
    at their centre and holds some of their error as well, so that the sum rather errs on the wide side.

    Args:
        a: the model's shape.
        chip: the device.
        network: its links.
        stack: the software.
        work: the step.
        layouts: floats, or arrays of shape ``(n,)``.
        doubts: the constants.

    Returns:
        Of the shape of the layouts.
    """
    parts: dict[str, Chip | Network | Stack] = {"chip": chip, "network": network, "stack": stack}

    def log_seconds(doubt: Doubt, deviations: float) -> Num:
        return np.log(step(a, layout=layouts, work=work, **doubt.moved(parts, deviations)).seconds)  # type: ignore[arg-type]

    effects = [(log_seconds(doubt, 1.0) - log_seconds(doubt, -1.0)) / 2 for doubt in doubts]
    variance: Num = sum((effect**2 for effect in effects), start=np.float64(0.0))
    return np.asarray(np.sqrt(stack.residual**2 + variance))
