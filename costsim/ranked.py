"""`search_layouts`: every way to lay a run out over its cluster, best first, and why the others were refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from costsim.errors import InputError
from costsim.evaluate import Values, evaluate
from costsim.inputs.build import Drawn, build
from costsim.inputs.case import Case, TrainingTerms
from costsim.inputs.measured import left_aside
from costsim.inputs.scenario import Scenario, load_scenario
from costsim.inputs.spreads import constant_doubts
from costsim.layouts import chosen, rankings
from costsim.training.doubt import P90_SCORE, log_spread
from costsim.training.layout import Layout, stacked
from costsim.training.memory import fits
from costsim.training.search import FITS, Ranking, preferred, rounding, step_seconds, tiers

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = "costsim.layouts/1"
NEAR = 0.05  # layouts within this of the best are told apart by less than the model's own error
By: TypeAlias = Literal["time", "cost", "p90"]
ORDERS: tuple[By, ...] = ("time", "cost", "p90")
FIGURES = {
    "step_seconds": "step.step_seconds",
    "step_seconds_p90": "step.step_seconds_p90",
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
    by: By = "time",
    overrides: Sequence[str] = (),
    stdin_text: str | None = None,
) -> dict[str, Any]:
    """The layouts of a scenario's cluster, ranked.

    Layouts that fit with a probability of 0.9 come first, then those with one half, then the rest; within each, the
    fastest, the cheapest or that of the least 90th percentile of the step time first. Keys of the layout that the
    scenario gives are left free here: where the scenario's own layout stands is told.

    Args:
        x: as for `costsim.plan`.
        top: how many to return.
        by: what ranks those that fit: ``time``, ``cost`` or ``p90``. The cost of a scenario without prices, and the
            percentile of one that assumes its MFU, are not known: then time ranks.
        overrides: ``key=value`` settings.
        stdin_text: what stands for ``-``.

    Returns:
        ``schema``, ``scenario``, ``by``, ``legal`` and ``fitting`` (how many layouts), ``near_ties`` (how many lie
        within 5 % of the fastest), ``refused`` (how many combinations broke which rule), ``layouts`` (``rank``,
        ``layout``, figures) and ``own`` (the scenario's layout, whether it is ``considered`` by the search, and the
        rank that it has or would have; null where the cluster does not allow it, for the reason in ``own_refused``),
        ``notes``.

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
    search = _Search(case, phases, by, ranking)
    usable = ranking.probability >= FITS
    best = float(ranking.seconds[ranking.order[0]]) if len(ranking.order) else 0.0
    return {
        "schema": SCHEMA,
        "scenario": scenario.name,
        "by": by,
        "legal": len(ranking.candidates),
        "fitting": int(usable.sum()),
        "near_ties": int((usable & (ranking.seconds <= best * (1 + NEAR))).sum()),
        "refused": dict(sorted(ranking.candidates.refused.items(), key=lambda item: -item[1])),
        "layouts": search.rows(max(top, 1)),
        "own": own and search.placed(own[main]),
        "own_refused": illegal,
        "notes": _left_aside(scenario),
    }


def _left_aside(scenario: Scenario) -> list[str]:
    """Which calibration the scenario names and nothing here uses, and why."""
    loaded = scenario.calibration
    return [] if loaded is None else left_aside(loaded.notes(scenario.start, scenario.fields.training.precision))


def _own(training: TrainingTerms) -> tuple[tuple[Layout, ...] | None, str | None]:
    """The layouts that the scenario gives, or why they are not legal on its cluster."""
    try:
        return chosen(training), None
    except InputError as error:
        if not training.space.fixed:
            raise
        return None, error.problems[0].message


class _Search:
    """A ranking by what was asked for, and the figures of its layouts."""

    def __init__(self, case: Case, phases: Sequence[Layout], by: By, ranking: Ranking) -> None:
        """Order the layouts.

        Args:
            case: the run.
            phases: layouts of all of its phases, of which the main one is exchanged.
            by: what ranks those that fit.
            ranking: the candidates, by time.
        """
        self.case, self.phases, self.by, self.ranking = case, phases, by, ranking
        self.layouts = ranking.candidates.layouts
        self.figure = ranking.seconds.copy()
        usable = np.flatnonzero(ranking.probability >= FITS)
        if usable.size:
            self.figure[usable] = self.measure(self.layouts.at(usable), ranking.seconds[usable])
        self.order = preferred(ranking.probability, self.figure)

    def measure(self, layouts: Layout, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """What ranks layouts that fit, of the given step times; both of shape ``(n,)``."""
        if self.by == "cost" and self.case.cost is not None:
            work = self.case.training.phases[self.case.training.main_phase].work
            return np.broadcast_to(self.values(layouts)["cost.total_usd"], seconds.shape) * rounding(work, layouts)
        return self.p90(layouts, seconds) if self.by == "p90" and self.case.training.mfu is None else seconds

    def p90(self, layouts: Layout, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """The 90th percentile of step times, seconds, of shape ``(n,)``."""
        t = self.case.training
        work = t.phases[t.main_phase].work
        spread = log_spread(t.architecture, t.chip, t.network, t.stack, work, layouts, constant_doubts())
        return np.asarray(seconds * np.exp(P90_SCORE * spread))

    def values(self, layout: Layout) -> Values:
        """The numbers of a plan with another layout, or many, of its main phase."""
        main = self.case.training.main_phase
        return evaluate(self.case, [*self.phases[:main], layout, *self.phases[main + 1 :]]).values

    def figures(self, layouts: Layout) -> list[dict[str, Any]]:
        """Layouts, as arrays of shape ``(n,)``, in words, each with the figures of a plan with it."""
        values = self.values(layouts)
        if self.case.training.mfu is None:
            values["step.step_seconds_p90"] = self.p90(layouts, np.asarray(values["step.step_seconds"]))
        count = np.size(layouts.tensor)
        found = {name: np.broadcast_to(values[path], count) for name, path in FIGURES.items() if path in values}
        return [
            {"layout": layouts.at(i).described(), **{name: float(value[i]) for name, value in found.items()}}
            for i in range(count)
        ]

    def rows(self, top: int) -> list[dict[str, Any]]:
        """The best."""
        best = self.figures(self.layouts.at(self.order[:top]))
        return [{"rank": place, **row} for place, row in enumerate(best, 1)]

    def placed(self, layout: Layout) -> dict[str, Any]:
        """The figures of a layout, whether it is one of those ranked, and the place that it has or would have."""
        columns = [(np.asarray(getattr(self.layouts, f.name)), getattr(layout, f.name)) for f in fields(layout)]
        same = np.logical_and.reduce([column == value for column, value in columns])[self.order]
        considered = bool(same.any())
        before = int(np.argmax(same)) if considered else self._better(stacked(layout))
        return {"rank": before + 1, "considered": considered, **self.figures(stacked(layout))[0]}

    def _better(self, layout: Layout) -> int:
        """How many of those ranked stand before a layout that is not one of them."""
        t = self.case.training
        work = t.phases[t.main_phase].work
        chance = np.asarray(fits(t.architecture, t.chip, t.stack, layout, work))
        seconds = step_seconds(t.architecture, t.chip, t.network, t.stack, work, layout)
        tier, others = tiers(chance)[0], tiers(self.ranking.probability)
        likelier = self.ranking.probability > chance[0]
        ahead = likelier if tier == 2 else self.figure < self.measure(layout, seconds)[0]
        return int(((others < tier) | ((others == tier) & ahead)).sum())
