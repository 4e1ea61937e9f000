"""Layout search: every legal layout of a cluster, through the same functions as one layout.

``costsim.training.enumeration`` makes the layouts; ``rank`` gives each its time and its chance of fitting, and orders
them. Recomputation is crossed with all other keys by broadcasting, so that what does not depend on it is computed once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from costsim.training.architecture import Architecture
from costsim.training.device import Chip, Network, Stack, Workload
from costsim.training.enumeration import Candidates
from costsim.training.layout import Layout, stacked
from costsim.training.memory import fit_probability, memory
from costsim.training.schedule import stage_layers, step
from costsim.uncertainty.ranges import Num

if TYPE_CHECKING:
    from numpy.typing import NDArray

FITS = 0.5  # a layout fits when it does with at least this probability: the contract's rule
LIKELY = 0.9  # a layout is taken for fitting when it fits with this probability, if any does
LIKELY_SCORE = 1.2815515655446004  # standard normal quantile of LIKELY
CHUNK = 8192  # layouts evaluated together, before recomputation is crossed: the arrays of one chunk stay in cache
ROUNDING = 1e-9  # of a share of layers: less than this over a whole layer is that layer


@dataclass(frozen=True)
class Ranking:
    """Every candidate with its step time and its chance of fitting, and the order to prefer them in.

    Attributes:
        candidates: the layouts, one by one, each with the recomputation that it needs.
        seconds: time of each for the stated batch, shape ``(n,)``; batches that were rounded are scaled to it, and pay
            for that (`rounding`).
        probability: of fitting, shape ``(n,)``.
        order: indices, best first: those that fit by time, then the rest by probability.
    """

    candidates: Candidates
    seconds: NDArray[np.float64]
    probability: NDArray[np.float64]
    order: NDArray[np.intp]

    @property
    def best(self) -> Layout:
        """The first of the order."""
        return self.candidates.layouts.at(int(self.order[0]))

    @property
    def best_fits(self) -> bool:
        """Whether the first of the order fits with a probability of at least one half."""
        return bool(self.probability[self.order[0]] >= FITS)


def preferred(probability: NDArray[np.float64], within: NDArray[np.float64]) -> NDArray[np.intp]:
    """The order of preference: what fits with ``LIKELY``, then with ``FITS``, by a figure; then the rest by chance.

    Args:
        probability: of fitting, shape ``(n,)``.
        within: what is to be small among those that fit, shape ``(n,)``.
    """
    tier = tiers(probability)
    return np.lexsort((np.where(tier == 2, -probability, within), tier))


def tiers(probability: NDArray[np.float64]) -> NDArray[np.intp]:
    """0 where a layout likely fits, 1 where it rather fits than not, 2 for the rest."""
    return np.where(probability >= LIKELY, 0, np.where(probability >= FITS, 1, 2))


def least_share(
    a: Architecture, chip: Chip, stack: Stack, layout: Layout, work: Workload
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest share of a stage's layers that must be recomputed to fit with ``LIKELY``; 1 where none is enough.

    Whole layers of the heaviest stage, at least one. Peak memory is the greater of two lines in the share, one for each
    end of the pipeline. The line through no and one recomputed layer meets the limit at or before the answer: where
    that share does not fit, the other end has become the fuller, and the line from there to all layers is its.

    Args:
        a: the model's shape.
        chip: its memory.
        stack: its constants.
        layout: floats or arrays; its own share is not looked at.
        work: the step.

    Returns:
        The share, and the peak memory with it, bytes.
    """
    layers = stage_layers(a, layout)[0]
    shape = np.broadcast_shapes(np.shape(layout.recompute), np.shape(layers))
    if not shape:
        share, used = least_share(a, chip, stack, stacked(layout), work)
        return share.reshape(()), used.reshape(())
    limit = chip.memory_bytes * np.exp(-LIKELY_SCORE * stack.memory_spread)
    ends = np.reshape([0.0, 1.0], (2, *(1 for _ in shape)))
    none, used = np.array(np.broadcast_to(_peak(a, stack, layout, work, ends), (2, *shape)))
    share = np.ones(shape)
    able = np.nonzero((used <= limit) & (used < none))
    if able[0].size:
        some = Layout(**{name: _at(v, shape, able) for name, v in vars(layout).items()})
        share[able], used[able] = _crossing(a, stack, some, work, limit, none[able], used[able])
    return share, used


def _crossing(
    a: Architecture,
    stack: Stack,
    layouts: Layout,
    work: Workload,
    limit: Num,
    none: NDArray[np.float64],
    whole: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The share at which layouts that fit with all of their layers recomputed begin to, and the peak there.

    Args:
        a: the model's shape.
        stack: its constants.
        layouts: arrays of shape ``(n,)``.
        work: the step.
        limit: of the peak, bytes.
        none: the peak with no layer recomputed, more than ``whole``.
        whole: the peak with all.
    """
    layers = stage_layers(a, layouts)[0]

    def meets(start: Num, before: Num, end: Num, after: Num) -> NDArray[np.float64]:
        """Where the line from ``before`` at a share to ``after`` at another meets the limit, in whole layers."""
        saved = before - after
        part = start + (end - start) * np.maximum(before - limit, 0.0) / np.where(saved > 0, saved, np.inf)
        return np.clip(np.ceil(part * layers - ROUNDING), 1.0, layers) / layers

    one = 1.0 / layers
    share = meets(0.0, none, one, _peak(a, stack, layouts, work, one))
    used = _peak(a, stack, layouts, work, share)
    if np.any(used > limit):
        share = np.where(used > limit, meets(share, used, 1.0, whole), share)
        used = _peak(a, stack, layouts, work, share)
    return share, used


def _peak(a: Architecture, stack: Stack, layout: Layout, work: Workload, share: Num) -> NDArray[np.float64]:
    """Bytes at the peak where a share of the layers is recomputed."""
    return np.asarray(memory(a, stack, replace(layout, recompute_share=share), work).peak_bytes)


def _at(column: Num, shape: tuple[int, ...], index: tuple[NDArray[np.intp], ...]) -> NDArray[np.float64]:
    """Elements of an array that broadcasts to a shape of one or two axes, each a plain axis or of length 1."""
    array = np.asarray(column)
    if not array.ndim:
        return np.broadcast_to(array, index[0].shape)
    own = index[-array.ndim :]
    picked = tuple(i if n == m else 0 for i, n, m in zip(own, array.shape, shape[-array.ndim :], strict=True))
    return np.asarray(array[picked])


def step_seconds(
    a: Architecture, chip: Chip, network: Network, stack: Stack, work: Workload, layouts: Layout
) -> NDArray[np.float64]:
    """Seconds of a step of the stated batch with each layout; batches that were rounded are scaled to it, and pay."""
    sequences = layouts.data * layouts.micro_batch * layouts.gradient_accumulation
    seconds = step(a, chip, network, stack, layouts, work).seconds
    return np.asarray(seconds * (work.global_batch_sequences / sequences) * rounding(work, layouts))


def rounding(work: Workload, layouts: Layout) -> NDArray[np.float64]:
    """What a layout that moves the stated batch pays for it: as large a share of time or money as it moves the batch.

    A larger batch makes more tokens a second and may learn no more from them; a smaller one takes more steps. So
    a layout that keeps the batch is preferred, unless another gains more than it moves the batch. 1 where it is kept.
    """
    sequences = layouts.data * layouts.micro_batch * layouts.gradient_accumulation
    return np.asarray(1.0 + np.abs(sequences / work.global_batch_sequences - 1.0))


def rank(
    a: Architecture, chip: Chip, network: Network, stack: Stack, work: Workload, candidates: Candidates
) -> Ranking:
    """Step time and chance of fitting of every candidate, best first.

    Those that fit with a probability of 0.9 come first, by step time; then those that fit with at least one half, by
    time; then the rest, by probability. Where recomputation is free it applies to as few layers as fit, and a layout
    that needs none is left out: the same without recomputation is a candidate of its own.
    """
    parts = []
    for layouts in _chunks(candidates.grid):
        kept = np.ones(np.broadcast_shapes(np.shape(layouts.recompute), np.shape(layouts.tensor)), dtype=bool)
        if candidates.least_recomputation:
            share, used = least_share(a, chip, stack, layouts, work)
            layouts = replace(layouts, recompute_share=share)
        else:
            used = np.asarray(memory(a, stack, layouts, work).peak_bytes)
        probability = np.asarray(fit_probability(used, chip.memory_bytes, stack.memory_spread))
        if candidates.least_recomputation:
            none = np.broadcast_to(layouts.recompute == 0, kept.shape)
            kept = none | ~(none & (probability >= LIKELY)).any(axis=0)
        seconds = step_seconds(a, chip, network, stack, work, layouts)
        columns = (*vars(layouts).values(), seconds, probability)
        one_by_one = np.nonzero(kept.T)[::-1]  # all modes of the first, then of the second
        parts.append([_at(column, kept.shape, one_by_one) for column in columns])
    *keys, seconds, probability = (np.concatenate(column) for column in zip(*parts, strict=True))
    made = Layout(**dict(zip((f.name for f in fields(Layout)), keys, strict=True)))
    return Ranking(replace(candidates, grid=made), seconds, probability, preferred(probability, seconds))


def _chunks(grid: Layout) -> Iterator[Layout]:
    """The layouts of a grid in pieces of at most ``CHUNK``, each with all of its recomputation."""
    for start in range(0, max(1, np.size(grid.tensor)), CHUNK):
        part = slice(start, start + CHUNK)
        yield Layout(**{name: np.asarray(v)[part] if np.ndim(v) == 1 else v for name, v in vars(grid).items()})


def changes(layout: Layout, other: Layout) -> NDArray[np.float64]:
    """How far layouts lie from a given one: the number of keys that differ."""
    far = [np.asarray(getattr(other, f.name) != getattr(layout, f.name), float) for f in fields(layout)]
    total: NDArray[np.float64] = np.sum(np.broadcast_arrays(*far), axis=0)
    return total


def nearest_that_fits(layout: Layout, ranking: Ranking) -> Layout | None:
    """The layout that fits and changes the fewest keys of ``layout``; the fastest of those; None if none fits."""
    if not len(ranking.candidates):
        return None
    far = changes(layout, ranking.candidates.layouts)
    usable = ranking.probability >= FITS
    if not usable.any():
        return None
    cost = np.where(usable, far, np.inf)
    index = np.lexsort((ranking.seconds, cost))[0]
    return ranking.candidates.layouts.at(int(index))
