"""Speed against cost: the replicas and batches of which none is both faster for its users and cheaper a token."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from costsim.economics.replica import Roofline, ServedModel, ServingChip, ServingTerms
from costsim.economics.serving import serving_obstacle, serving_section
from costsim.quantities import declare

SPEEDS = np.geomspace(2.0, 2000.0, 31)
"""Promises that are tried, tokens a second."""
SAME = 1e-9
"""Speeds and costs within this share are one: they are sums of the same terms in another order."""


@dataclass(frozen=True)
class Point:
    """A way to serve.

    Attributes:
        accelerators_per_replica: that hold a copy.
        batch: sequences of a replica.
        tokens_per_second_per_user: what each gets.
        output_tokens_per_second_per_accelerator: while busy.
        usd_per_million_output_tokens: at the planned occupancy.
    """

    accelerators_per_replica: float
    batch: float
    tokens_per_second_per_user: float
    output_tokens_per_second_per_accelerator: float
    usd_per_million_output_tokens: float


@declare(
    "serving.pareto.*.accelerators_per_replica",
    label="accelerators per replica",
    unit="count",
    formula="tried: powers of two up to a node, and {serving.accelerators_per_replica}",
    source="speed against cost",
)
@declare(
    "serving.pareto.*.batch",
    label="batch",
    unit="sequences",
    formula="as {serving.batch}, for a promise of this speed",
    source="speed against cost",
)
@declare(
    "serving.pareto.*.tokens_per_second_per_user",
    label="speed for a user",
    unit="tokens/s",
    formula="as {serving.tokens_per_second_per_user}, with this replica",
    source="speed against cost",
    better="higher",
)
@declare(
    "serving.pareto.*.output_tokens_per_second_per_accelerator",
    label="output per accelerator",
    unit="tokens/s",
    formula="as {serving.output_tokens_per_second_per_accelerator}, with this replica",
    source="speed against cost",
    better="higher",
)
@declare(
    "serving.pareto.*.usd_per_million_output_tokens",
    label="cost of output",
    unit="USD/Mtok",
    formula="as {serving.usd_per_million_output_tokens}, with this replica and batch",
    source="speed against cost",
    better="lower",
)
def frontier(
    model: ServedModel, chip: ServingChip, roofline: Roofline, terms: ServingTerms, most: float
) -> list[Point]:
    """The points that no other beats in both speed and cost, the slowest and cheapest first.

    Replicas are of a power of two of accelerators, up to those of a node; each is asked for many speeds at once.

    Args:
        model: that is served.
        chip: its accelerators.
        roofline: the engine.
        terms: request, price and occupancy; floats. Its speed and replica are not looked at.
        most: accelerators of a node.
    """
    points = []
    sizes = [2.0**power for power in range(int(np.log2(most)) + 1)]
    for size in sorted({*sizes, terms.accelerators_per_replica}):
        asked = replace(terms, accelerators_per_replica=size, speed=SPEEDS)
        if size % terms.attention_data_parallel or serving_obstacle(model, chip, roofline, asked):
            continue
        made = serving_section(model, chip, roofline, asked)
        columns = [np.broadcast_to(np.asarray(made[f"serving.{name}"]), SPEEDS.shape) for name in _FIGURES]
        points += [Point(size, *map(float, figures)) for figures in zip(*columns, strict=True)]
    return _undominated(points)


_FIGURES = (
    "batch",
    "tokens_per_second_per_user",
    "output_tokens_per_second_per_accelerator",
    "usd_per_million_output_tokens",
)


def _undominated(points: list[Point]) -> list[Point]:
    """Those than which no other is, to rounding, as fast and cheaper or as cheap and faster; of equals the smallest."""
    best: list[Point] = []
    for point in sorted(points, key=_fastest_first):
        if best and point.usd_per_million_output_tokens >= best[-1].usd_per_million_output_tokens * (1 - SAME):
            continue
        while best and best[-1].tokens_per_second_per_user <= point.tokens_per_second_per_user * (1 + SAME):
            best.pop()
        best.append(point)
    return best[::-1]


def _fastest_first(point: Point) -> tuple[float, float, float]:
    speed, usd = point.tokens_per_second_per_user, point.usd_per_million_output_tokens
    return -float(f"{speed:.9g}"), float(f"{usd:.9g}"), point.accelerators_per_replica
