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


def chosen_layouts(case: Case, by: Mapping[str, Num]) -> tuple[Layout, ...]:
    """The layout of a run for each precision that its row allows.

    Args:
        case: the run.
        by: log multipliers of the stack's constants.

    Raises:
        UnpredictableError: no layout agrees with what the row prints.
    """
    stack = adjusted(case.constants(), by)
    return tuple(chosen(case, index, stack) for index in range(len(case.precisions)))


def steps(case: Case, layouts: tuple[Layout, ...], by: Mapping[str, Num]) -> list[Step]:
    """The step of a run, for each precision that its row allows."""
    stack = adjusted(case.constants(), by)
    return [
        step(case.architecture, case.chips[i], case.network, stack, layout, case.works[i])
        for i, layout in enumerate(layouts)
    ]


def as_read(case: Case, layout: Layout) -> tuple[str, ...]:
    """How a row was read, in words: chip and precision, software, layout."""
    return (
        f"accelerator {case.accelerator.name}, precision {' or '.join(case.precisions)}",
        f"stack {case.stack}, software of {case.year:.1f}",
        layout_in_words(layout),
    )


def layout_in_words(layout: Layout) -> str:
    """A layout, without what it leaves at one or off."""
    described = {k: v for k, v in layout.described().items() if v not in (1, "none", False)}
    return "layout " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in described.items())


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
