"""The layout of a measured run: what its row prints, and the best of what it leaves open."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from costsim.evidence.cases import Case, UnpredictableError
from costsim.training.architecture import Architecture
from costsim.training.device import Chip, Stack, Workload
from costsim.training.enumeration import enumerate_layouts
from costsim.training.layout import Layout, stacked
from costsim.training.memory import fit_probability, peak_bytes
from costsim.training.schedule import step
from costsim.training.search import LIKELY, least_share
from costsim.uncertainty.ranges import Num

STAGE_BATCHES = 8.0
"""Micro-batches for each stage of a pipeline where a row does not print its batch: a bubble of an eighth."""
LARGEST = 64.0


def candidates(case: Case, work: Workload) -> Layout:
    """Layouts that agree with what the row prints; one where it prints all of it.

    Raises:
        UnpredictableError: none is possible.
    """
    fixed = dict(case.space.fixed)
    if {"tensor", "micro_batch"} <= set(fixed) and (case.batch_known or "recompute" in fixed):
        return _printed(case, work, fixed)
    batch = float(work.global_batch_sequences) if case.batch_known else case.devices * LARGEST
    found = enumerate_layouts(
        case.architecture,
        int(case.devices),
        float(case.network.scale_up_domain),
        float(work.sequence_length),
        batch,
        replace(case.space, recompute=[0]) if "recompute" not in fixed else case.space,
        exact_batch=False,
    ).layouts
    found = replace(found, shard_ranks=fixed.get("shard_ranks", 0.0))
    if not np.size(found.tensor):
        if "tensor" in fixed:
            return _printed(case, work, {"micro_batch": 1.0, **fixed})
        raise UnpredictableError("no layout of the search agrees with what the row prints")
    if case.batch_known:
        return _whole(found, batch)
    few = np.where(np.asarray(found.pipeline) > 1, STAGE_BATCHES * found.pipeline, 1.0)
    return replace(found, gradient_accumulation=few)


def _whole(found: Layout, batch: float) -> Layout:
    """Those whose replicas all have a sequence; all of them where none is such."""
    enough = np.asarray(found.data * found.micro_batch) <= batch
    return found.at(np.flatnonzero(enough)) if enough.any() else found


def _printed(case: Case, work: Workload, fixed: dict[str, float]) -> Layout:
    """The layout as printed, legal by our rules or not: it ran."""
    degrees = {key: value for key, value in fixed.items() if key != "data"}
    split = degrees.get("tensor", 1.0) * degrees.get("pipeline", 1.0) * degrees.get("context", 1.0)
    data = max(1.0, case.devices / split)
    micro = degrees.get("micro_batch", 1.0)
    pipeline = degrees.get("pipeline", 1.0)
    own = STAGE_BATCHES * pipeline if pipeline > 1 else 1.0
    batch = float(work.global_batch_sequences) if case.batch_known else data * micro * own
    accumulation = max(1.0, batch / (data * micro))
    degrees.setdefault("recompute", 0.0)
    return stacked(Layout(**degrees, data=data, gradient_accumulation=accumulation))


def recomputed(a: Architecture, chip: Chip, stack: Stack, layout: Layout, work: Workload) -> tuple[Layout, Num]:
    """Layouts with the smallest share of layers recomputed that likely fits, and by how much the rest is too large.

    As the search of a plan has it (`costsim.training.search.least_share`).

    Args:
        a: the shape.
        chip: for its memory.
        stack: constants of memory.
        layout: arrays; its own recomputation is not looked at.
        work: the step.

    Returns:
        The layouts, and log of the peak over the device's memory where that is above zero.
    """
    none = replace(layout, recompute=np.zeros(np.shape(layout.tensor)))
    kept = peak_bytes(a, stack, none, work)
    share, used = least_share(a, chip, stack, replace(none, recompute=none.recompute + 2.0), work)
    fits = np.asarray(fit_probability(kept, chip.memory_bytes, stack.memory_spread)) >= LIKELY
    found = replace(none, recompute=np.where(fits, 0.0, 2.0), recompute_share=np.where(fits, 1.0, share))
    return found, _lacking(np.where(fits, kept, used), chip)


def chosen(case: Case, index: int, stack: Stack) -> Layout:
    """The layout to predict with: the fastest of those that lack the least memory.

    Args:
        case: the run.
        index: which of its precisions.
        stack: constants.

    Raises:
        UnpredictableError: none is possible.
    """
    a, chip, work = case.architecture, case.chips[index], case.works[index]
    layouts = stacked(candidates(case, work))
    lacking: Num | None = None
    if "recompute" not in case.space.fixed:
        layouts, lacking = recomputed(a, chip, stack, layouts, work)
    if np.size(layouts.tensor) == 1:
        return layouts.at(0)
    if lacking is None:
        lacking = _lacking(peak_bytes(a, stack, layouts, work), chip)
    sequences = layouts.data * layouts.micro_batch * layouts.gradient_accumulation
    seconds = np.asarray(np.log(step(a, chip, case.network, stack, layouts, work).seconds / sequences))
    return layouts.at(int(np.lexsort((seconds, np.round(lacking, 2)))[0]))


def _lacking(peak: Num, chip: Chip) -> Num:
    """Log of a peak over the device's memory where that is above zero."""
    return np.log(np.maximum(peak / chip.memory_bytes, 1.0))
