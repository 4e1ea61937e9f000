"""`search_layouts`: every way to lay a run out over its cluster, best first, and why the others were refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from os import PathLike
from typing import Any, Literal

import numpy as np

from costsim.errors import InputError
from costsim.evaluate import Values, evaluate
from costsim.inputs.build import Drawn, build
from costsim.inputs.case import Case, TrainingTerms
from costsim.inputs.scenario import load_scenario
from costsim.layouts import chosen, rankings
from costsim.training.layout import Layout
from costsim.training.search import FITS, LIKELY, Ranking

SCHEMA = "costsim.layouts/1"
NEAR = 0.05  # layouts within this of the best are told apart by less than the model's own error
FIGURES = {
    "step_seconds": "step.step_seconds",
    "mfu": "step.mfu",
    "peak_bytes": "memory.peak_bytes",
    "fit_probability": "memory.fit_probability",
    "wall_clock_days": "run.wall_clock_days",
    "accelerator_hours": "run.accelerator_hours",
    "total_usd": "cost.total_usd",
}


def search_layouts(
    x: str | PathLike[str] | Mapping[str, Any],
    *,
    top: int = 10,
    by: Literal["time", "cost"] = "time",
    overrides: Sequence[str] = (),
    stdin_text: str | None = None,
) -> dict[str, Any]:
    """The layouts of a scenario's cluster, ranked.

    Layouts that fit with a probability of 0.9 come first, then those with one half, then the rest; within each, the
    fastest or the cheapest first. Keys of the layout that the scenario gives are left free here: where the scenario's
    own layout stands is told.

    Args:
        x: as for `costsim.plan`.
        top: how many to return.
        by: what ranks those that fit.
        overrides: ``key=value`` settings.
        stdin_text: what stands for ``-``.

    Returns:
        ``schema``, ``scenario``, ``by``, ``legal`` and ``fitting`` (how many layouts), ``near_ties`` (how many lie
        within 5 % of the best), ``refused`` (how many combinations broke which rule), ``layouts`` (``rank``,
        ``layout``, figures) and ``own`` (the scenario's layout with its rank; its rank is null where it is not among
        those that the stack's search considers; all of it null where the cluster does not allow it, for the reason in
        ``own_refused``).

    Raises:
        InputError: every problem of the input.
    """
    scenario = load_scenario(x, overrides, stdin_text=stdin_text)
    case = build(scenario, Drawn.centre(scenario))
    training = case.training
    main = training.main_phase
    free = replace(training, space=replace(training.space, fixed={}))
    try:
        own, illegal = _own(training)
        phases = own or chosen(free)
    except InputError as error:
        raise scenario.placed(error) from None
    ranking = rankings(free, training.phases[main], free.space)
    order = [int(index) for index in ranking.order]
    if by == "cost":
        order = _cheapest(case, phases, ranking, order)
    shown = [ranking.candidates.layouts.at(index) for index in order[: max(top, 1)]]
    best = float(ranking.seconds[ranking.order[0]]) if order else 0.0
    usable = ranking.probability >= FITS
    return {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "by": by,
        "legal": len(ranking.candidates),
        "fitting": int(usable.sum()),
        "near_ties": int((usable & (ranking.seconds <= best * (1 + NEAR))).sum()),
        "refused": dict(sorted(ranking.candidates.refused.items(), key=lambda item: -item[1])),
        "layouts": [{"rank": place, **_figures(case, phases, layout)} for place, layout in enumerate(shown, 1)],
        "own": own and {"rank": _rank_of(own[main], ranking, order), **_figures(case, own, own[main])},
        "own_refused": illegal,
    }


def _own(training: TrainingTerms) -> tuple[tuple[Layout, ...] | None, str | None]:
    """The layouts that the scenario gives, or why they are not legal on its cluster."""
    try:
        return chosen(training), None
    except InputError as error:
        if not training.space.fixed:
            raise
        return None, error.problems[0].message


def _values(case: Case, phases: Sequence[Layout], layout: Layout) -> Values:
    """The numbers of a plan with another layout, or many, of its main phase."""
    main = case.training.main_phase
    return evaluate(case, [*phases[:main], layout, *phases[main + 1 :]]).values


def _figures(case: Case, phases: Sequence[Layout], layout: Layout) -> dict[str, Any]:
    """The layout in words, and the figures of a plan with it."""
    values = _values(case, phases, layout)
    found = {name: float(values[path]) for name, path in FIGURES.items() if path in values}
    return {"layout": layout.described(), **found}


def _cheapest(case: Case, phases: Sequence[Layout], ranking: Ranking, order: Sequence[int]) -> list[int]:
    """The layouts that fit by the cost of the run, those that surely fit first, then the rest as they were."""
    fitting = [index for index in order if ranking.probability[index] >= FITS]
    if not fitting or case.cost is None:
        return list(order)
    many = ranking.candidates.layouts.at(np.array(fitting))
    usd = np.broadcast_to(_values(case, phases, many)["cost.total_usd"], len(fitting))
    unsure = ranking.probability[fitting] < LIKELY
    return [*(fitting[i] for i in np.lexsort((usd, unsure))), *order[len(fitting) :]]


def _rank_of(layout: Layout, ranking: Ranking, order: Sequence[int]) -> int | None:
    """Where a layout stands among those ranked, in an order, from 1; None where it is not one of them."""
    layouts = ranking.candidates.layouts
    columns = [(np.asarray(getattr(layouts, f.name))[order], getattr(layout, f.name)) for f in fields(layout)]
    same = np.flatnonzero(np.logical_and.reduce([column == value for column, value in columns]))
    return int(same[0]) + 1 if same.size else None
