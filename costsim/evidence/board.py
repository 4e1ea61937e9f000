"""From predictions to a scoreboard: which rows are scored together, and what each of those sets reached."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from costsim.evidence.bars import GROUPS_LOST, REFUSED_RUNS, Bar
from costsim.evidence.predicted import QUANTILES, Predicted
from costsim.evidence.table import group_of
from costsim.validation.score import Floats, Records, constants, lost, scores, worse

REFUSED = 0.1
"""A run that ran and was given less than this probability of fitting in memory was refused."""

Elsewhere = Mapping[tuple[str, str], Mapping[str, Floats]]
_WHETHER: tuple[object, ...] = (True, False)


def elsewhere(predicted: Sequence[Predicted]) -> dict[tuple[str, str], dict[str, Floats]]:
    """The MFUs that were measured, by chip and class of precision and then by source group."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for one in predicted:
        if one.ideal is not None and one.measured is not None:
            found.setdefault(one.constant_key, {}).setdefault(group_of(one.row), []).append(one.ideal / one.measured)
    return {key: {group: np.array(mfu) for group, mfu in groups.items()} for key, groups in found.items()}


def scored(predicted: Sequence[Predicted]) -> list[Predicted]:
    """Those with a measurement to be held against."""
    return [one for one in predicted if one.measured is not None]


def records(predicted: Sequence[Predicted], others: Elsewhere) -> Records:
    """Predictions as arrays.

    Args:
        predicted: each with a measurement.
        others: measured MFUs that the constant is chosen from.
    """
    groups = [group_of(one.row) for one in predicted]
    ideal = np.array([np.nan if one.ideal is None else one.ideal for one in predicted], dtype=np.float64)
    quantiles = {name: np.array([one.quantiles[name] for one in predicted], dtype=np.float64) for name in QUANTILES}
    return Records(
        measured=np.array([one.measured for one in predicted], dtype=np.float64),
        predicted=np.array([one.predicted for one in predicted], dtype=np.float64),
        **quantiles,
        constant=constants(ideal, [one.constant_key for one in predicted], groups, others),
        group=np.array(groups, dtype=np.str_),
        model=np.array([one.row.get("model", "") for one in predicted], dtype=np.str_),
    )


def matches(one: Predicted, rows: Mapping[str, object]) -> bool:
    """Whether a row is among those that a subset or a bar names."""
    return all(
        (group_of(one.row) if key == "source_group" else one.subset.get(key)) == value for key, value in rows.items()
    )


def is_flagged(one: Predicted) -> bool:
    """Whether a row has a fault of its own."""
    return bool(one.row.get("flag"))


def subsets(regime: str, predicted: Sequence[Predicted], others: Elsewhere) -> Iterator[dict[str, Any]]:
    """Scores of a regime's rows: all, by each thing they are told apart by, and by all of those together.

    Where rows carry a flag, the same follows without them.

    Yields:
        ``regime``, what the rows have in common, ``without_flagged`` where flagged rows are left out, and the scores.
    """
    usable = scored(predicted)
    for flagged in (True, False):
        kept = [one for one in usable if flagged or not is_flagged(one)]
        if not flagged and len(kept) == len(usable):
            return
        for rows in _cuts(usable):
            members = [one for one in kept if matches(one, rows)]
            if members:
                label = {} if flagged else {"without_flagged": True}
                yield {"regime": regime, **rows, **label, **scores(records(members, others))}


def _cuts(predicted: Sequence[Predicted]) -> list[dict[str, object]]:
    """Nothing; each key of the subsets by itself, in every value; all keys together if there are several."""
    values: dict[str, list[object]] = {}
    for one in predicted:
        for key, value in one.subset.items():
            seen = values.setdefault(key, [])
            if value not in seen:
                seen.append(value)
    ordered = {key: [v for v in _WHETHER if v in seen] if set(map(type, seen)) == {bool} else sorted(seen, key=str)
               for key, seen in values.items()}  # fmt: skip
    cuts: list[dict[str, object]] = [{}, *({key: value} for key, seen in ordered.items() for value in seen)]
    if len(ordered) > 1:
        together: list[dict[str, object]] = [{}]
        for key, seen in ordered.items():
            together = [{**cut, key: value} for cut in together for value in seen]
        cuts += together
    return cuts


def groups(predicted: Sequence[Predicted], others: Elsewhere) -> dict[str, dict[str, Any]]:
    """Scores by source group: with the constant's error and whether the group is lost to it, or worse in one model."""
    found: dict[str, dict[str, Any]] = {}
    usable = scored(predicted)
    for name in sorted({group_of(one.row) for one in usable}):
        members = records([one for one in usable if group_of(one.row) == name], others)
        known = scores(members)
        found[name] = {
            "source_group": name,
            **known,
            "best_constant_median_abs_error": known["constant_median_abs_error"],
            "lost": lost(members),
            "worse_in_one_model": worse(members) and not lost(members),
        }
    return found


def judged(bar: Bar, regime: str, predicted: Sequence[Predicted], others: Elsewhere) -> dict[str, Any]:
    """A bar with the value of a regime's predictions, and whether it is met (None: too few rows to tell)."""
    members = [one for one in scored(predicted) if matches(one, bar.rows)]
    count = len(members)
    value: float | int | None
    if bar.measure == GROUPS_LOST:
        value = sum(group["lost"] for group in groups(members, others).values()) if members else None
    elif bar.measure == REFUSED_RUNS:
        asked = [one.fit_probability for one in members if one.fit_probability is not None]
        count = len(asked)
        value = sum(probability < REFUSED for probability in asked) if asked else None
    else:
        value = scores(records(members, others))[bar.measure]
    return {
        "regime": regime,
        "rows": dict(bar.rows),
        "measure": bar.measure,
        "n": count,
        "value": value,
        "at_least": bar.at_least,
        "at_most": bar.at_most,
        "least_rows": bar.least_rows,
        "met": bar.met(value, count),
    }
