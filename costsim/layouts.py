"""Choosing the layout of a run, once, at the centre of its inputs; and what would fit where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from costsim.errors import InputError, Problem
from costsim.inputs.case import PhaseTerms, TrainingTerms
from costsim.training.enumeration import Space, enumerate_layouts
from costsim.training.layout import RECOMPUTE, SHARDING, Layout
from costsim.training.search import Ranking, nearest_that_fits, rank
from costsim.uncertainty.draws import middle

FOLLOWING = ("context", "data", "micro_batch", "recompute", "recompute_share")
"""Keys that a phase with another sequence length or batch may choose anew."""
MAX_MULTIPLE = 64  # how many times the cluster is grown in search of one that fits


@dataclass(frozen=True)
class Advice:
    """What would fit instead of a layout that does not.

    Attributes:
        layout: the nearest layout of the same cluster; None if none fits.
        accelerators: the smallest multiple of the cluster with a layout that fits; None if not looked for or not found.
    """

    layout: Layout | None
    accelerators: int | None


def rankings(case: TrainingTerms, phase: PhaseTerms, space: Space, accelerators: float | None = None) -> Ranking:
    """Every legal layout of one phase, ranked.

    Args:
        case: the run.
        phase: which part of it.
        space: what may vary.
        accelerators: of the cluster; default the case's.
    """
    count = int(case.accelerators if accelerators is None else accelerators)
    work = phase.work
    candidates = enumerate_layouts(
        case.architecture,
        count,
        middle(case.network.scale_up_domain),
        float(work.sequence_length),
        float(work.global_batch_sequences),
        space,
        exact_batch=phase.exact_batch,
    )
    return rank(case.architecture, case.chip, case.network, case.stack, work, candidates)


def chosen(case: TrainingTerms) -> tuple[Layout, ...]:
    """The layout of every phase: the fastest that likely fits among those that keep the given keys.

    Raises:
        InputError: no layout of the cluster is legal with the given keys.
    """
    main = case.phases[case.main_phase]
    best = _best(case, main, case.space)
    if best is None:
        raise InputError(_no_layout(case, main))
    layouts = []
    for phase in case.phases:
        if (phase.work, phase.exact_batch) == (main.work, main.exact_batch):
            layouts.append(best)
            continue
        kept = {f.name: float(getattr(best, f.name)) for f in fields(best)}
        follows = {key: value for key, value in kept.items() if key not in (*FOLLOWING, "gradient_accumulation")}
        found = _best(case, phase, replace(case.space, fixed=follows | dict(case.space.fixed)))
        found = found or _best(case, phase, case.space)
        if found is None:
            raise InputError(_no_layout(case, phase))
        layouts.append(found)
    return tuple(layouts)


def advice(case: TrainingTerms, layout: Layout) -> Advice:
    """The nearest layout that fits, or how many accelerators would be needed.

    Args:
        case: the run.
        layout: of its main phase, which does not fit.
    """
    phase = case.phases[case.main_phase]
    free = replace(case.space, fixed={})
    near = nearest_that_fits(layout, rankings(case, phase, free))
    if near is not None:
        return Advice(near, None)
    multiple = 2
    while multiple <= MAX_MULTIPLE:
        count = int(case.accelerators) * multiple
        ranking = rankings(case, phase, free, count)
        if len(ranking.candidates) and ranking.best_fits:
            return Advice(None, count)
        multiple *= 2
    return Advice(None, None)


def _best(case: TrainingTerms, phase: PhaseTerms, space: Space) -> Layout | None:
    ranking = rankings(case, phase, space)
    return ranking.best if len(ranking.candidates) else None


def _no_layout(case: TrainingTerms, phase: PhaseTerms) -> Problem:
    """Why no layout is legal, with the rules that refused the most."""
    ranking = rankings(case, phase, case.space)
    refused = sorted(ranking.candidates.refused.items(), key=lambda item: -item[1])
    tried = sum(count for _, count in refused)
    reasons = _listed([f"in {count:,} {reason}" for reason, count in refused[:4]])
    batch = float(phase.work.global_batch_sequences)
    given = ", ".join(f"{key} {_said(key, value)}" for key, value in case.space.fixed.items())
    message = (
        f"no layout of {case.accelerators:,.0f} accelerators for {batch:,.0f} sequences a step"
        + (f" with {given}" if given else "")
        + f" is legal; of {tried:,} tried, {reasons}"
    )
    return Problem(
        message,
        "cluster.layout",
        allowed="the product of the degrees must divide the cluster, and replicas times micro-batch the batch",
    )


def _said(key: str, value: float) -> str:
    """A value of a layout's key as a scenario says it."""
    if key in ("sharding", "recompute"):
        return (SHARDING if key == "sharding" else RECOMPUTE)[int(value)]
    return ("no", "yes")[int(value)] if key == "sequence_parallel" else f"{value:g}"


def _listed(words: Sequence[str]) -> str:
    return "; ".join(words) if words else "the search space is empty"
