"""Where the layouts of real runs stand in the search of their own clusters.

    python benchmarks/published_layouts.py [SCENARIO ...] [--update]

Scenarios that print their layout, one by one; then, unless scenarios are named, the shipped measurements with a printed
layout, by source. A row is read as `costsim validate` reads it (`costsim.evidence.cases`: blanked, with the fitted
constants), and its cluster is searched with nothing fixed. For each:

* place: where the layout that was run stands among those that fit in the model's eyes, itself included;
* best/own: the step time of the model's best layout over that of the one that was run, both predicted. 1: the same.

What was run need not be the best: sweeps run every layout on purpose, and a run has reasons that are not its step time.
What the model puts far before it is either better or a fault of the model; the largest gaps are listed. ``--update``
writes the tables into docs/layouts.md.
"""

from __future__ import annotations

import argparse
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from costsim import load_scenario
from costsim.errors import InputError, Problem
from costsim.evidence.cases import Case, UnpredictableError, case, ineligible
from costsim.evidence.choose import candidates
from costsim.evidence.columns import blanked
from costsim.evidence.table import shipped
from costsim.inputs.catalogue import names
from costsim.inputs.fits import step_fits
from costsim.ranked import search_layouts
from costsim.render.sections import layout_words
from costsim.training.adjust import adjusted, adjustment
from costsim.training.enumeration import Candidates, enumerate_layouts
from costsim.training.layout import Layout, stacked
from costsim.training.search import FITS, LIKELY, Ranking, rank

PAGE = Path(__file__).parents[1] / "docs" / "layouts.md"
OPENING, CLOSING = "<!-- published layouts -->\n", "<!-- /published layouts -->\n"
FEWEST = 16  # devices; fewer leave little to choose
SAME = 1e-9  # relative difference of step times that is rounding
GAPS = 8


@dataclass(frozen=True)
class Place:
    """Where one run's layout stands.

    Attributes:
        label: of the run.
        rank: its place.
        fitting: layouts that fit, this one included.
        ratio: best step time over its own.
        fits: the probability that the own layout fits.
        own: the layout that was run, in words.
        best: the model's.
    """

    label: str
    rank: int
    fitting: int
    ratio: float
    fits: float
    own: str
    best: str


class UnplacedError(Exception):
    """A row that has no place; the message is the reason."""


def of_scenario(name: str) -> Place:
    """A scenario whose layout is printed.

    Raises:
        InputError: its layout is not legal here.
    """
    found = search_layouts(name, top=1)
    own, best = found["own"], found["layouts"][0]
    if own is None:
        raise InputError(Problem(f"{name}: {found['own_refused']}"))
    return Place(
        name,
        own["rank"],
        found["fitting"] + (not own["considered"]),
        best["step_seconds"] / own["step_seconds"],
        own["fit_probability"],
        ", ".join(layout_words(own["layout"])),
        ", ".join(layout_words(best["layout"])),
    )


def printed_scenarios() -> list[str]:
    """Shipped scenarios that print their layout."""
    return [name for name in names("scenarios") if not isinstance(load_scenario(name).fields.cluster.layout, str)]


def of_row(row: Mapping[str, str]) -> Place:
    """A measurement whose layout is printed.

    Raises:
        UnplacedError: what a search needs is not printed, or the row has a fault of its own.
    """
    made = _case(row)
    every = _all(made)
    if not len(every):
        raise UnplacedError("no layout is legal here")
    ranking, own = _ranked(made, every), _ranked(made, _printed(made))
    seconds, chance = float(own.seconds[own.order[0]]), float(own.probability[own.order[0]])
    fit = ranking.probability >= (LIKELY if (ranking.probability >= LIKELY).any() else FITS)
    # The layout that was run fitted, whatever the model says.
    faster = fit & (ranking.seconds < seconds * (1 - SAME))
    same = fit & np.isclose(ranking.seconds, seconds, rtol=SAME)
    return Place(
        row["id"],
        int(faster.sum()) + 1,
        int(fit.sum()) + (not same.any()),
        float(ranking.seconds[ranking.order[0]]) / seconds,
        chance,
        _words(own.best),
        _words(ranking.best),
    )


def _case(row: Mapping[str, str]) -> Case:
    if row.get("flag"):
        raise UnplacedError("flagged for a fault of its own")
    if reason := ineligible(row):
        raise UnplacedError(reason.split(":")[0])
    try:
        made = case(blanked(row, "throughput"))
    except UnpredictableError as error:
        raise UnplacedError(str(error)) from None
    if not made.has_layout:
        raise UnplacedError("no layout is printed")
    if not made.batch_known:
        raise UnplacedError("no batch is printed")
    if made.devices < FEWEST:
        raise UnplacedError(f"fewer than {FEWEST} devices")
    return made


def _all(made: Case) -> Candidates:
    """Every legal layout of a row's cluster. Whether norms are split is the stack's affair, not a choice."""
    kept = {key: value for key, value in made.space.fixed.items() if key == "sequence_parallel"}
    work = made.works[0]
    batch = float(work.global_batch_sequences)
    return enumerate_layouts(
        made.architecture,
        int(made.devices),
        float(made.network.scale_up_domain),
        float(work.sequence_length),
        batch,
        replace(made.space, fixed=kept),
        exact_batch=batch.is_integer(),
    )


def _printed(made: Case) -> Candidates:
    """The layouts that agree with what a row prints; what it recomputes is the least that fits unless printed."""
    fixed = made.space.fixed
    if "tensor" not in fixed:
        raise UnplacedError("no layout is printed")
    grid = stacked(candidates(made, made.works[0]))
    if "recompute" in fixed:
        return Candidates(grid, {})
    return Candidates(replace(grid, recompute=np.array(made.space.recompute, float)[:, np.newaxis]), {}, True)


def _ranked(made: Case, found: Candidates) -> Ranking:
    stack = adjusted(made.constants(), adjustment(made.run, step_fits().shipped))
    return rank(made.architecture, made.chips[0], made.network, stack, made.works[0], found)


def _words(layout: Layout) -> str:
    return ", ".join(layout_words(layout.described()))


def of_evidence() -> tuple[dict[str, list[Place]], Counter[str]]:
    """Measurements by source group, and how many rows could not be placed for which reason."""
    groups: dict[str, list[Place]] = defaultdict(list)
    skipped: Counter[str] = Counter()
    for row in (r.cells for r in shipped("throughput").rows):
        try:
            place = of_row(row)
        except (UnplacedError, UnpredictableError) as reason:
            skipped[str(reason)] += 1
        else:
            groups[row["source_group"]].append(place)
    return groups, skipped


def scenario_lines(places: Sequence[Place]) -> Iterator[str]:
    """A line a scenario."""
    yield "| scenario | place | of | best/own | own fits | the model's best |"
    yield "|---|--:|--:|--:|--:|---|"
    for p in places:
        yield f"| {p.label} | {p.rank:,} | {p.fitting:,} | {p.ratio:.2f} | {p.fits:.0%} | {p.best} |"


def evidence_lines(groups: Mapping[str, list[Place]], skipped: Counter[str]) -> Iterator[str]:
    """A line a source, then the runs with the largest gaps."""
    yield "| source | runs | median place | median of fitting | within 10 % of the best | best/own, median | least |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    every = [place for places in groups.values() for place in places]
    for name, places in [*sorted(groups.items()), ("all", every)]:
        ratios = [p.ratio for p in places]
        near = sum(ratio >= 1 / 1.1 for ratio in ratios)
        middle = [statistics.median(x) for x in ([p.rank for p in places], [p.fitting for p in places], ratios)]
        line = f"| {name} | {len(places)} | {middle[0]:.0f} | {middle[1]:.0f} | {near} | {middle[2]:.2f} |"
        yield f"{line} {min(ratios):.2f} |"
    yield ""
    reasons = "; ".join(f"{reason} ({count})" for reason, count in skipped.most_common())
    unlikely = sum(p.fits < FITS for p in every)
    yield f"{skipped.total()} rows are not placed: {reasons}."
    yield f"{unlikely} of the {len(every)} that ran would rather not have fitted, by the model."
    yield ""
    yield "The largest gaps, one a source:"
    yield ""
    for group, p in _gaps(groups):
        yield f"* {p.label} ({group}): {p.ratio:.2f}; fits {p.fits:.0%}; ran {p.own}; best {p.best}"


def _gaps(groups: Mapping[str, list[Place]]) -> list[tuple[str, Place]]:
    least = [(group, min(places, key=lambda p: p.ratio)) for group, places in groups.items()]
    return sorted(least, key=lambda found: found[1].ratio)[:GAPS]


def section(lines: Sequence[str]) -> str:
    """docs/layouts.md with other lines between its marks."""
    before, rest = PAGE.read_text(encoding="utf-8").split(OPENING)
    _, after = rest.split(CLOSING)
    return "".join([before, OPENING, "\n", *(f"{line}\n" for line in lines), "\n", CLOSING, after])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="these only, and no measurements")
    parser.add_argument("--update", action="store_true", help="write docs/layouts.md")
    given = parser.parse_args(arguments)
    if given.update and given.scenarios:
        parser.error("--update writes all of the section: name no scenarios")
    lines = list(scenario_lines([of_scenario(name) for name in given.scenarios or printed_scenarios()]))
    if not given.scenarios:
        lines += ["", *evidence_lines(*of_evidence())]
    print("\n".join(lines))
    if given.update:
        PAGE.write_text(section(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
