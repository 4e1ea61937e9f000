"""`plan`: a scenario in, every figure out, with intervals, origins and notes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from costsim import account, origins
from costsim import explain as explaining
from costsim.economics.clocks import ENDS, REGIMES
from costsim.economics.ledger import monthly_cash
from costsim.economics.payback import monthly_rows
from costsim.economics.serving import BOUNDS
from costsim.errors import InputError
from costsim.evaluate import Evaluation, evaluate, term_months
from costsim.inputs.build import Drawn, build
from costsim.inputs.case import Case
from costsim.inputs.scenario import Scenario, load_scenario
from costsim.layouts import Advice, advice, chosen
from costsim.training.layout import Layout
from costsim.training.report import layout_section
from costsim.training.search import FITS
from costsim.uncertainty.draws import middle, quantiles, stream
from costsim.version import version

if TYPE_CHECKING:
    import pandas

SCHEMA = "costsim.plan/1"
SECTIONS = (
    "model",
    "compute",
    "layout",
    "memory",
    "step",
    "run",
    "loss",
    "cost",
    "serving",
    "payback",
    "clocks",
)
CODES = {"serving.bound_by": BOUNDS, "clocks.regime": REGIMES, "clocks.ends_by": ENDS}
FLAGS = ("payback.repaid",)


@dataclass(frozen=True)
class Plan:
    """A plan. `to_dict` is its JSON; the other attributes are what that is made of.

    Attributes:
        scenario: what was asked.
        case: its numbers at the inputs' centre.
        layouts: of every phase of the run.
        point: every figure at the inputs' centre.
        drawn: every figure over the draws; None without draws.
        advice: what would fit, where this does not.
        drivers: the ``sensitivity`` section of the JSON; None unless asked for.
        explained: whether the JSON carries explanations.
    """

    scenario: Scenario
    case: Case
    layouts: tuple[Layout, ...]
    point: Evaluation
    drawn: Evaluation | None
    advice: Advice | None
    drivers: dict[str, Any] | None = None
    explained: bool = False
    _memo: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def fits(self) -> bool:
        """Whether the run fits in memory with a probability of at least one half."""
        return float(self.point.values["memory.fit_probability"]) >= FITS

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the plan: schema ``costsim.plan/1``, plain numbers in SI and USD."""
        if "dict" not in self._memo:
            self._memo["dict"] = _json(self)
        made: dict[str, Any] = self._memo["dict"]
        return made

    def to_frame(self) -> pandas.DataFrame:
        """Every figure as a table with columns value, p5, p50, p95, indexed by its path."""
        import pandas

        made = self.to_dict()
        figures = {p: _plain(p, v) for p, v in self.point.values.items()}
        rows = [{"path": p, "value": v, **made["intervals"].get(p, {})} for p, v in figures.items()]
        return pandas.DataFrame(rows, columns=["path", "value", "p5", "p50", "p95"]).set_index("path")


def plan(
    x: str | PathLike[str] | Mapping[str, Any] | Scenario,
    *,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    draws: int | None = None,
    stdin_text: str | None = None,
    explain: bool = False,
    sensitivity: bool = False,
) -> Plan:
    """Plan a run.

    Args:
        x: a path, a catalogue name, a mapping, or a scenario that was loaded before.
        overrides: ``key=value`` settings laid over it, as ``--set`` does.
        seed: of the draws; default the scenario's.
        draws: how many; default the scenario's; 0 for the point plan alone.
        stdin_text: what stands for ``-``.
        explain: whether `Plan.to_dict` carries each figure's formula and inputs.
        sensitivity: whether it carries what drives cost, time and payback.

    Returns:
        A plan; one that does not fit is returned, not raised.

    Raises:
        InputError: every problem of the input.
    """
    settings = list(overrides)
    settings += [f"uncertainty.seed={seed}"] if seed is not None else []
    settings += [f"uncertainty.draws={draws}"] if draws is not None else []
    if isinstance(x, Scenario):
        scenario = x if not settings else load_scenario(x, settings)
    else:
        scenario = load_scenario(x, settings, stdin_text=stdin_text)
    centre = build(scenario, Drawn.centre(scenario))
    try:
        layouts = chosen(centre.training)
        point = evaluate(centre, layouts)
        drawn = _spread(scenario, layouts, float(point.values["step.hfu"]))
        drives = _drivers(scenario, layouts, point) if sensitivity else None
    except InputError as error:
        raise scenario.placed(error) from None
    made = Plan(scenario, centre, layouts, point, drawn, None, drives, explain)
    if made.fits:
        return made
    return replace(made, advice=advice(centre.training, layouts[centre.training.main_phase]), _memo={})


def _drivers(scenario: Scenario, layouts: Sequence[Layout], point: Evaluation) -> dict[str, Any]:
    """What drives the plan; imported where it is asked for, because scipy is slow to start."""
    from costsim import drivers

    return drivers.sensitivity(scenario, layouts, point.values)


def _spread(scenario: Scenario, layouts: Sequence[Layout], hfu: float) -> Evaluation | None:
    """Every figure over the draws of the ranges and of the residual of the step time.

    No draw is faster than the peak of the hardware: the residual is at least the share of it used at the centre.
    """
    n, seed = scenario.fields.uncertainty.draws, scenario.fields.uncertainty.seed
    if n == 0:
        return None
    case = build(scenario, Drawn.sample(scenario, seed, n))
    spread = middle(case.training.stack.residual)
    residual = np.exp(spread * stream(seed, "step.residual").standard_normal(n))
    return evaluate(case, layouts, np.maximum(residual, hfu))


def _json(made: Plan) -> dict[str, Any]:
    """The contract's JSON."""
    scenario = made.scenario
    sections: dict[str, Any] = {
        "schema": SCHEMA,
        "costsim_version": version(),
        "scenario": {"name": scenario.name, "question": scenario.fields.question, "resolved": scenario.resolved()},
    }
    flat: dict[str, Any] = {path: _plain(path, value) for path, value in made.point.values.items()}
    flat |= layout_section(made.layouts[made.case.training.main_phase])
    flat["memory.fits"] = made.fits
    flat |= account.texts(scenario, made.case)
    if made.case.cost is not None:
        multiplier, term = float(made.case.cost.research_multiplier), float(term_months(made.case))
        flat["cost.monthly"] = monthly_cash(made.point.values, multiplier, term)
    if "serving.batch" in flat:
        flat["serving.pareto"] = account.pareto(scenario, made.case)
    if made.point.flow is not None:
        flat["payback.is_scenario"] = account.is_scenario(scenario)
        flat["payback.monthly"] = monthly_rows(made.point.flow)
    for path in _PROBABILITIES:  # of draws; a point has none
        if path in flat:
            flat[path] = (
                float(made.drawn.values[path]) if made.drawn is not None and path in made.drawn.values else None
            )
    for section in SECTIONS:
        found = {path: value for path, value in flat.items() if path.split(".", 1)[0] == section}
        sections[section] = _nested(found)[section] if found else None
    sections["layout"]["phases"] = _phases(made)
    sections["loss"]["capabilities"] = []  # named by the schema; no shipped law predicts any
    if made.advice is not None:
        sections["layout_advice"] = _advised(made.advice)
    if "step.breakdown.compute_seconds" not in flat:
        sections["step"]["breakdown"] = None
    sections["coverage"] = account.coverage(scenario, made.case)
    sections["intervals"] = _intervals(made)
    sections["notes"] = account.notes(
        scenario, made.case, made.layouts[made.case.training.main_phase], made.point.values, made.advice
    )
    sections["warnings"] = [
        {"path": path, "message": text} for path, text in account.warnings(scenario, made.case, made.point.values)
    ]
    provenance = origins.provenance(scenario, made.case)
    sections["provenance"] = provenance
    if made.drivers is not None:
        sections["sensitivity"] = made.drivers
    if made.explained:
        facts = {row["path"]: row["value"] for row in provenance}
        sections["explain"] = explaining.explanations(facts | flat, provenance)
    return sections


_PROBABILITIES = ("payback.probability", *(f"clocks.probability_{name}" for name in REGIMES))


def _phases(made: Plan) -> list[dict[str, Any]] | None:
    """Layouts of the phases, where there are several."""
    if len(made.layouts) < 2:
        return None
    return [layout.described() for layout in made.layouts]


def _advised(found: Advice) -> dict[str, Any]:
    return {
        "layout": found.layout.described() if found.layout is not None else None,
        "accelerators": found.accelerators,
    }


def _plain(path: str, value: Any) -> Any:
    """A figure as JSON has it: a number, a word for a code, null for what never comes."""
    number = float(value)
    if path in CODES:
        return CODES[path][int(number)]
    if path in FLAGS:
        return number > 0
    if not math.isfinite(number):
        return None
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _intervals(made: Plan) -> dict[str, dict[str, float | None]]:
    """Quantiles of every figure that varies over the draws; null where they are infinite."""
    if made.drawn is None:
        return {}
    found: dict[str, dict[str, float | None]] = {}
    for path, value in made.drawn.values.items():
        if path in CODES or path in FLAGS or np.ndim(value) == 0:
            continue
        found[path] = {name: q if math.isfinite(q) else None for name, q in quantiles(value).items()}
    return found


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Paths as nested mappings."""
    nested: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, last = path.split(".")
        here = nested
        for parent in parents:
            here = here.setdefault(parent, {})
        here[last] = value
    return nested
