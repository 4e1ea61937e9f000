"""What drives an output: one input at a time (tornado), and shares of its variance (Sobol' indices).

Inputs are independent. The model is any function of arrays of inputs; it is evaluated on many points at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points: TypeAlias = Mapping[str, NDArray[np.float64]]
    Model: TypeAlias = Callable[[Points], Mapping[str, NDArray[np.float64]]]


class Uncertain(Protocol):
    """What an input must know of itself: a `ranges.Range` does."""

    def centre(self) -> float:
        """The median."""

    def interval90(self) -> tuple[float, float]:
        """The 5 % and the 95 % quantile."""

    def quantiles(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """The quantile function."""


@dataclass(frozen=True)
class Swing:
    """An output with one input at the ends of its 90 % interval and all others at their centre.

    Attributes:
        path: of the input.
        low: its 5 % quantile.
        high: its 95 % quantile.
        at_low: the output there.
        at_high: the output there.
    """

    path: str
    low: float
    high: float
    at_low: float
    at_high: float

    @property
    def size(self) -> float:
        """How far the output moves."""
        return abs(self.at_high - self.at_low)


def tornado(model: Model, inputs: Mapping[str, Uncertain]) -> dict[str, list[Swing]]:
    """Swings of each output, the widest first.

    All points are evaluated at once: two an input.

    Args:
        model: outputs of arrays of inputs, by name.
        inputs: by path.
    """
    import numpy as np

    ends = {path: item.interval90() for path, item in inputs.items()}
    columns = {path: np.full(2 * len(inputs), item.centre()) for path, item in inputs.items()}
    for index, path in enumerate(inputs):
        columns[path][2 * index : 2 * index + 2] = ends[path]
    found = {}
    for name, values in model(columns).items():
        at = np.broadcast_to(values, 2 * len(inputs)).reshape(-1, 2)
        swings = [Swing(path, *ends[path], *map(float, at[index])) for index, path in enumerate(inputs)]
        found[name] = sorted(swings, key=lambda swing: -swing.size)
    return found


@dataclass(frozen=True)
class Index:
    """Sobol' indices of an input for an output: shares of the output's variance.

    Attributes:
        path: of the input.
        first_order: what fixing this input alone would take away on average.
        total_order: what would be left if all others were fixed: its own part and its part in interactions.
    """

    path: str
    first_order: float
    total_order: float


def indices(model: Model, inputs: Mapping[str, Uncertain], points: int, seed: int) -> dict[str, list[Index]]:
    """Sobol' indices of each output that varies, the input with the largest total index first.

    Quasi-random points (Owen-scrambled Sobol' sequence); first order by Saltelli et al. 2010, total order by Jansen
    1999, both as scipy has them. The model is evaluated on ``points * (inputs + 2)`` points.

    Args:
        model: outputs of arrays of inputs, by name.
        inputs: by path; at least one.
        points: a power of two.
        seed: of the scrambling.
    """
    import numpy as np
    from scipy import stats

    names: dict[str, bool] = {}  # of the outputs, and whether each was a number everywhere

    def outputs(columns: NDArray[np.float64]) -> NDArray[np.float64]:
        made = model(dict(zip(inputs, columns, strict=True)))
        table = np.stack([np.broadcast_to(values, columns.shape[1]) for values in made.values()])
        for name, row in zip(made, table, strict=True):
            names[name] = names.get(name, True) and bool(np.isfinite(row).all())
        return table

    quantiles: Sequence[Any] = [_Quantiles(item) for item in inputs.values()]
    with np.errstate(divide="ignore", invalid="ignore"):  # an output that does not vary has no shares
        found = stats.sobol_indices(func=outputs, n=points, dists=quantiles, rng=np.random.default_rng(seed))
    shape = len(names), len(inputs)
    first, total = np.reshape(found.first_order, shape), np.reshape(found.total_order, shape)
    result = {}
    for row, (name, known) in enumerate(names.items()):
        if known and total[row].any():
            listed = [Index(path, float(first[row, i]), float(total[row, i])) for i, path in enumerate(inputs)]
            result[name] = sorted(listed, key=lambda index: -index.total_order)
    return result


@dataclass(frozen=True)
class _Quantiles:
    """An input as scipy takes one."""

    item: Uncertain

    def ppf(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """The quantile function; a scrambled point may lie at an end, where it would be infinite."""
        import numpy as np

        return self.item.quantiles(np.clip(probabilities, 1e-12, 1 - 1e-12))
