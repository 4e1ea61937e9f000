"""Draws of uncertain inputs: each range has a random stream of its own, named by its place.

Because a stream depends on the seed and the name alone, adding an uncertain input, or removing one, leaves the draws of
all others as they were; and a range that two plans share is drawn alike in both, so that their difference has no noise.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from costsim.uncertainty.ranges import Range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

Tree = TypeVar("Tree")


def stream(seed: int, name: str) -> np.random.Generator:
    """The random stream of a name.

    The same on every machine and in every process: the name enters by its SHA-256, not by Python's hash.

    Args:
        seed: a whole number from 0.
        name: what is drawn, usually its dotted path.
    """
    from numpy.random import PCG64, Generator, SeedSequence

    digest = hashlib.sha256(name.encode()).digest()
    words = [int.from_bytes(digest[start : start + 4], "little") for start in range(0, 16, 4)]
    return Generator(PCG64(SeedSequence([seed, *words])))


def at_centre(tree: Tree) -> Tree:
    """The same structure with every range at its median.

    Args:
        tree: models, dataclasses, mappings, lists and tuples, nested, with ranges as leaves.
    """
    result: Tree = _replaced(tree, "", lambda _, found: found.centre())
    return result


def draw(tree: Tree, seed: int, n: int, prefix: str = "") -> Tree:
    """The same structure with every range drawn: arrays of shape ``(n,)``.

    Args:
        tree: models, dataclasses, mappings, lists and tuples, nested, with ranges as leaves.
        seed: a whole number from 0.
        n: number of draws.
        prefix: dotted path of the structure; it is part of the streams' names.
    """
    result: Tree = _replaced(tree, prefix, lambda path, found: found.sample(stream(seed, path), n))
    return result


def placed(tree: Tree, values: Mapping[str, object], prefix: str = "") -> Tree:
    """The same structure with each range replaced by the value that stands under its path, or by its median.

    Args:
        tree: models, dataclasses, mappings, lists and tuples, nested, with ranges as leaves.
        values: by dotted path.
        prefix: dotted path of the structure.
    """
    result: Tree = _replaced(tree, prefix, lambda path, found: values[path] if path in values else found.centre())
    return result


def arrays(tree: object) -> list[NDArray[np.float64]]:
    """Every array of a structure that has an axis.

    Args:
        tree: dataclasses, mappings, lists and tuples, nested.
    """
    import numpy as np

    found: list[NDArray[np.float64]] = []

    def seen(_: str, item: NDArray[np.float64]) -> NDArray[np.float64]:
        if item.ndim:
            found.append(item)
        return item

    _replaced(tree, "", seen, np.ndarray)
    return found


def part(tree: Tree, n: int, which: slice) -> Tree:
    """The same structure for some of its draws: arrays of shape ``(n,)`` are cut, everything else is kept.

    Args:
        tree: dataclasses, mappings, lists and tuples, nested, with arrays as leaves.
        n: number of draws.
        which: of them.
    """
    import numpy as np

    result: Tree = _replaced(tree, "", lambda _, found: found[which] if found.shape == (n,) else found, np.ndarray)
    return result


def ranges(tree: object, prefix: str = "") -> dict[str, Range]:
    """Every range of a structure, by dotted path.

    Args:
        tree: models, dataclasses, mappings, lists and tuples, nested.
        prefix: dotted path of the structure.
    """
    found: dict[str, Range] = {}
    _replaced(tree, prefix, lambda path, item: found.setdefault(path, item))
    return found


def middle(values: ArrayLike) -> float:
    """The median of draws, or the number itself; as `numpy.median`, without its slow first call.

    Args:
        values: a number, or draws, none of them NaN.
    """
    import numpy as np

    drawn = np.asarray(values, dtype=np.float64)
    if drawn.ndim == 0:
        return float(drawn)
    return _quantile(np.sort(drawn.ravel()), 0.5)


def quantiles(values: ArrayLike) -> dict[str, float]:
    """The 5 %, 50 % and 95 % quantiles of draws, some of which may be infinite (a payback that never comes).

    Linear between neighbouring draws, as numpy's default; between a finite draw and an infinite one, infinite.

    Args:
        values: draws, at least one, none of them NaN.

    Raises:
        ValueError: there are none, or some are NaN.
    """
    import numpy as np

    drawn = np.sort(np.asarray(values, dtype=np.float64).ravel())
    if not drawn.size or np.isnan(drawn[-1]):
        raise ValueError("quantiles of no draws, or of draws that are not numbers")
    return {name: _quantile(drawn, p) for name, p in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95))}


def _quantile(ascending: NDArray[np.float64], probability: float) -> float:
    """One quantile of sorted draws."""
    rank = probability * (len(ascending) - 1)
    below = int(rank)
    low = float(ascending[below])
    high = float(ascending[min(below + 1, len(ascending) - 1)])
    share = rank - below
    if share == 0 or low == high:
        return low
    # Halves are weighted apart, so that neither an infinity nor a difference of huge numbers makes a NaN.
    return min(max(low * (1 - share) + high * share, low), high)


def _replaced(item: Any, path: str, leaf: Callable[[str, Any], object], kind: type = Range) -> Any:
    """The structure with each leaf of a kind replaced; parts without such leaves are kept, not copied."""
    if isinstance(item, kind):
        return leaf(path, item)
    parts = _parts(item)
    if not parts:
        return item
    changed = {}
    for key, part in parts.items():
        new = _replaced(part, f"{path}.{key}" if path else str(key), leaf, kind)
        if new is not part:
            changed[key] = new
    return _rebuilt(item, parts, changed) if changed else item


def _parts(item: Any) -> Mapping[Any, Any]:
    """The parts of a structure by name, key or index; nothing for a leaf."""
    if isinstance(item, Mapping):
        return item
    if hasattr(item, "_asdict"):  # a named tuple
        return dict(item._asdict())
    if isinstance(item, list | tuple):
        return dict(enumerate(item))
    if hasattr(type(item), "model_fields"):
        return {name: getattr(item, name) for name in type(item).model_fields}
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return {field.name: getattr(item, field.name) for field in dataclasses.fields(item) if field.init}
    return {}


def _rebuilt(item: Any, parts: Mapping[Any, Any], changed: Mapping[Any, Any]) -> Any:
    """A copy of a structure with some of its parts changed."""
    if isinstance(item, Mapping):
        return {**item, **changed}
    if hasattr(item, "_asdict"):
        return item._replace(**changed)
    if isinstance(item, list | tuple):
        return type(item)([changed.get(index, part) for index, part in parts.items()])
    if hasattr(type(item), "model_fields"):
        return item.model_copy(update=dict(changed))
    return dataclasses.replace(item, **changed)
