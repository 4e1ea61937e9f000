"""The largest rate of matrix products that can be found: from a square, side by side, as far as it gets better."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Sides = tuple[int, int, int]
FACTORS = (2.0, 1.5, 2 / 3, 0.5)
BETTER = 1.01  # less is within what a repetition differs by


def neighbours(sides: Sides, multiple: int, largest: int) -> Iterator[Sides]:
    """Shapes with one side longer or shorter, a multiple of what kernels tile by."""
    for place, side in enumerate(sides):
        for factor in FACTORS:
            made = max(multiple, round(side * factor / multiple) * multiple)
            if made != side and made <= largest:
                m, n, k = (made if index == place else other for index, other in enumerate(sides))
                yield m, n, k


def climb(
    rate: Callable[[Sides], float], start: Sides, multiple: int, largest: int, go_on: Callable[[], bool]
) -> tuple[Sides, float]:
    """Climb to a shape that no neighbour beats.

    Args:
        rate: measures one, FLOP/s.
        start: (m, n, k) to begin with.
        multiple: that sides are rounded to.
        largest: side.
        go_on: whether there is still time.

    Returns:
        The best shape and its rate.
    """
    best, top, seen = start, rate(start), {start}
    improved = True
    while improved:
        improved = False
        for sides in neighbours(best, multiple, largest):
            if sides in seen:
                continue
            if not go_on():
                return best, top
            seen.add(sides)
            found = rate(sides)
            if found > BETTER * top:
                best, top, improved = sides, found, True
                break
    return best, top
