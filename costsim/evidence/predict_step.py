"""Step time of one measured run under some adjustment of its stack's constants."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from costsim.evidence.cases import Case
from costsim.evidence.choose import chosen
from costsim.training.adjust import adjusted
from costsim.training.layout import Layout
from costsim.training.schedule import Step, step
from costsim.uncertainty.ranges import Num


def chosen_layouts(case: Case, by: Mapping[str, Num]) -> tuple[tuple[Layout, ...], float]:
    """The layout of a run for each precision that its row allows, and how near the alternatives are.

    Args:
        case: the run.
        by: log multipliers of the stack's constants.

    Raises:
        UnpredictableError: no layout agrees with what the row prints.
    """
    stack = adjusted(case.constants(), by)
    found = [chosen(case, index, stack) for index in range(len(case.precisions))]
    return tuple(layout for layout, _ in found), max(near for _, near in found)


def steps(case: Case, layouts: tuple[Layout, ...], by: Mapping[str, Num]) -> list[Step]:
    """The step of a run, for each precision that its row allows."""
    stack = adjusted(case.constants(), by)
    return [
        step(case.architecture, case.chips[i], case.network, stack, layout, case.works[i])
        for i, layout in enumerate(layouts)
    ]


def tokens_of(case: Case, layout: Layout) -> Num:
    """Tokens of a step."""
    sequences = layout.data * layout.micro_batch * layout.gradient_accumulation
    return sequences * case.works[0].sequence_length


def log_seconds_per_token(case: Case, layouts: tuple[Layout, ...], by: Mapping[str, Num]) -> Num:
    """Log of seconds per token of the whole run: the mean over the precisions that its row allows."""
    logs = [
        np.log(found.seconds * (1 + case.evaluation) / tokens_of(case, layout))
        for found, layout in zip(steps(case, layouts, by), layouts, strict=True)
    ]
    total: Num = sum(logs) / len(logs)
    return total
