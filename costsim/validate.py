"""`validate`: predictions against published measurements, scored, and held to stated bars."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from os import PathLike
from typing import Any, cast

import numpy as np

from costsim.errors import InputError, InternalError, Problem
from costsim.evidence.bars import Bar, bars
from costsim.evidence.board import Elsewhere, elsewhere, groups, judged, records, scored, subsets
from costsim.evidence.columns import Kind, blanked, is_answer
from costsim.evidence.predicted import QUANTILES, WHAT, Omitted, Predicted, Predictor, Regime, What
from costsim.evidence.table import Table, group_of, read, shipped
from costsim.inputs.kinds import nearest, shown
from costsim.validation.score import scores

SCHEMA = "costsim.validate/1"
TABLES: dict[What, Kind] = {"step": "throughput", "memory": "memory", "hours": "runs", "serving": "serving"}
"""Which table each kind of prediction is held against."""

REGIMES: dict[What, tuple[Regime, ...]] = {
    "step": ("known_stack", "new_source", "new_stack"),
    "memory": ("shipped",),
    "hours": ("shipped",),
    "serving": ("new_model", "known_stack", "new_chip"),
}
"""With which constants the shipped evidence is predicted; the first one's scores are the pooled ones."""


def validate(
    what: str | None = None,
    evidence: str | PathLike[str] | None = None,
    row: str | None = None,
    *,
    predictor: Predictor | None = None,
) -> dict[str, Any]:
    """Predict published measurements without their answers, and tell how good that was.

    Args:
        what: ``step``, ``memory``, ``hours`` or ``serving``; default what the evidence has, ``step`` of the shipped.
        evidence: a CSV file with the columns of the shipped tables, or ``-``; default the shipped table. A file is
            predicted with the constants as shipped (regime ``shipped``).
        row: the id of one row, to be told in detail.
        predictor: what predicts; default costsim itself.

    Returns:
        The JSON of a validation, ``costsim.validate/1``: ``pooled`` scores, ``subsets``, ``groups``, ``rows``, what was
        left out (``ineligible``, ``skipped``), ``bars`` and whether all of them are met (``passed``). docs/json.md has
        the rest.

    Raises:
        InputError: there is no such kind or row, or the evidence cannot be read.
    """
    asked = _what(what)
    wanted = TABLES[asked] if asked else None
    table = shipped(wanted or "throughput") if evidence is None else read(evidence, wanted)
    kind = next(each for each in WHAT if TABLES[each] == table.kind)
    predict = predictor or cast(Predictor, import_module("costsim.evidence.predictions").predict)
    regimes: tuple[Regime, ...] = REGIMES[kind] if evidence is None else ("shipped",)
    if row is not None:
        _check_row(row, table)
    made = {regime: _predicted(predict, kind, table, regime) for regime in regimes}
    others = elsewhere(_once([*(_ours(predict, kind) if evidence is not None else ()), *_all(made)]))
    chosen = [(regime, bar) for bar in bars() if bar.what == kind for regime in _holds(bar, regimes, table)]
    if row is not None:
        made, chosen = {regime: _one(found, row) for regime, found in made.items()}, []
    return _result(kind, table, evidence, made, others, chosen, row)


def _what(asked: str | None) -> What | None:
    if asked is None:
        return None
    for what in WHAT:
        if asked == what:
            return what
    allowed = f"one of {', '.join(WHAT)}"
    raise InputError(
        Problem(f"cannot validate {shown(asked)}", "--what", allowed=allowed, suggestion=nearest(asked, WHAT))
    )


def _check_row(row: str, table: Table) -> None:
    ids = [each.id for each in table.rows]
    if row not in ids:
        allowed = f"{len(ids):,} rows, such as {ids[0]}"
        raise InputError(
            Problem(f"no row {shown(row)} in {table.file}", "--row", allowed=allowed, suggestion=nearest(row, ids))
        )


Made = tuple[list[Predicted], list[Omitted], list[Omitted]]


def _predicted(predict: Predictor, what: What, table: Table, regime: Regime) -> Made:
    """Predictions of all rows of a table, each of which is accounted for."""
    found, ineligible, skipped = predict(what, [row.cells for row in table.rows], regime)
    told = sorted([*(one.row["id"] for one in found), *(one.id for one in (*ineligible, *skipped))])
    if told != sorted(row.id for row in table.rows):
        raise InternalError(f"predictions of {table.file} do not account for every row once")
    return found, ineligible, skipped


def _ours(predict: Predictor, what: What) -> list[Predicted]:
    """The shipped rows, to choose a file's constants from; memory and serving have no constant MFU."""
    return [] if what in ("memory", "serving") else _predicted(predict, what, shipped(TABLES[what]), "shipped")[0]


def _all(made: Mapping[Regime, Made]) -> list[Predicted]:
    return [one for predicted, *_ in made.values() for one in predicted]


def _once(predicted: Sequence[Predicted]) -> list[Predicted]:
    return list({one.row["id"]: one for one in predicted}.values())


def _holds(bar: Bar, regimes: Sequence[Regime], table: Table) -> list[Regime]:
    """The regimes of these predictions that are held to a bar."""
    if bar.regime in regimes:
        return [bar.regime]
    if regimes == ("shipped",) and bar.regime == _like(table):
        return ["shipped"]
    return []


def _like(table: Table) -> Regime:
    """What a file is like: a known stack if all of its groups are shipped, else a new source; serving, a new model."""
    if table.kind == "serving":
        return "new_model"
    return "new_source" if _new_groups(table) else "known_stack"


def _new_groups(table: Table) -> list[str]:
    ours = {group_of(row.cells) for row in shipped(table.kind).rows}
    return sorted({group_of(row.cells) for row in table.rows} - ours)


def _one(made: Made, row: str) -> Made:
    """What was made of one row."""
    found, ineligible, skipped = made
    return (
        [one for one in found if one.row["id"] == row],
        [one for one in ineligible if one.id == row],
        [one for one in skipped if one.id == row],
    )


def _result(
    what: What,
    table: Table,
    evidence: object,
    made: Mapping[Regime, Made],
    others: Elsewhere,
    chosen: Sequence[tuple[Regime, Bar]],
    row: str | None,
) -> dict[str, Any]:
    first = next(iter(made))
    main, ineligible, skipped = made[first]
    held = [judged(bar, regime, made[regime][0], others) for regime, bar in chosen]
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "what": what,
        "evidence": {"file": table.file, "shipped": evidence is None, "rows": len(table.rows)},
        "regimes": list(made),
        "pooled": scores(records(scored(main), others)),
        "subsets": [one for regime, found in made.items() for one in subsets(regime, found[0], others)]
        if not row
        else [],
        "groups": _groups(made, others) if not row else [],
        "rows": _rows(made, others),
        "ineligible": [{"id": one.id, "reason": one.reason} for one in ineligible],
        "skipped": [{"id": one.id, "reason": one.reason} for one in skipped],
        "bars": held,
        "passed": all(bar["met"] is not False for bar in held) and (row is not None or bool(main)),
        "notes": [*_notes(what, table, evidence, row), *_unread(main), *(_covered(main, others) if not row else ())],
    }
    if row is not None:
        result["detail"] = _detail(table, made, row)
    return result


def _groups(made: Mapping[Regime, Made], others: Elsewhere) -> list[dict[str, Any]]:
    """Groups of the first regime, each with what it reached in the others."""
    found = {regime: groups(predicted, others) for regime, (predicted, *_) in made.items()}
    first, *rest = found
    return [
        {**group, "other_regimes": {regime: found[regime][name] for regime in rest if name in found[regime]}}
        for name, group in found[first].items()
    ]


def _rows(made: Mapping[Regime, Made], others: Elsewhere) -> list[dict[str, Any]]:
    """Rows of the first regime, each with what it was in the others."""
    first, *rest = made
    elsewise = {regime: {one.row["id"]: one for one in made[regime][0]} for regime in rest}
    constant = _constants(made[first][0], others)
    return [
        {
            **_figures(one),
            "source_group": group_of(one.row),
            "model": one.row.get("model", ""),
            "hardware": one.row.get("hardware", ""),
            "flag": one.row.get("flag") or None,
            **one.subset,
            "fit_probability": one.fit_probability,
            "constant_error": constant.get(one.row["id"]),
            "other_regimes": {
                regime: _figures(found[one.row["id"]]) for regime, found in elsewise.items() if one.row["id"] in found
            },
        }
        for one in made[first][0]
    ]


def _constants(predicted: Sequence[Predicted], others: Elsewhere) -> dict[str, float]:
    """The constant MFU's error by row."""
    usable = scored(predicted)
    held = records(usable, others)
    errors = held.constant / held.measured - 1.0
    return {one.row["id"]: float(error) for one, error in zip(usable, errors, strict=True) if np.isfinite(error)}


def _figures(one: Predicted) -> dict[str, Any]:
    error = None if one.measured is None else float(one.predicted / one.measured - 1.0)
    return {
        "id": one.row["id"],
        "measured": None if one.measured is None else float(one.measured),
        "predicted": float(one.predicted),
        **{name: float(one.quantiles[name]) for name in QUANTILES},
        "error": error,
    }


def _detail(table: Table, made: Mapping[Regime, Made], row: str) -> dict[str, Any]:
    """One row: its cells, apart from the answer and with it, and how each regime read it."""
    cells = next(each.cells for each in table.rows if each.id == row)
    filled = {column: cell for column, cell in cells.items() if cell}
    notes = {regime: list(one.notes) for regime, (found, *_) in made.items() for one in found}
    return {
        "given": {column: cell for column, cell in blanked(cells, table.kind).items() if cell},
        "kept_from_it": {column: cell for column, cell in filled.items() if is_answer(table.kind, column)},
        "notes": notes,
    }


_NOT_UNDERSTOOD = {"framework": "is not known: predicted as if none were named"}


def _unread(predicted: Sequence[Predicted]) -> list[str]:
    """Rows with words that are not understood, by column, with the words."""
    found: dict[str, list[str]] = {}
    for one in predicted:
        for cell in one.unread:
            found.setdefault(cell.column, []).append(cell.value)
    return [
        f"{len(said):,} {'row' if len(said) == 1 else 'rows'} whose {column} "
        f"{_NOT_UNDERSTOOD.get(column, 'is not understood: taken as not said')}: "
        + ", ".join(f"{shown(value)} ({said.count(value):,})" for value in sorted(set(said)))
        for column, said in found.items()
    ]


ENOUGH = 20
"""Rows of which a share says something, as in the bars of coverage."""


def _covered(predicted: Sequence[Predicted], others: Elsewhere) -> list[str]:
    """How often the 90 % interval of memory held, by kind of counter: it has no bars, and one width for all of them."""
    told = []
    for counter in sorted({str(one.subset["counter"]) for one in predicted if "counter" in one.subset}):
        rows = [one for one in scored(predicted) if one.subset.get("counter") == counter]
        if len(rows) >= ENOUGH:
            held = (scores(records(rows, others))["coverage_90"] or 0.0) * 100
            told.append(f"{held:.0f} % of {len(rows):,} ({counter})")
    return [f"the 90 % interval, of one width for all counters and not fitted, holds {', '.join(told)}"] if told else []


def unusable(found: Mapping[str, Any]) -> InputError | None:
    """What is wrong with evidence of which no row was predicted, reason by reason; None if one was.

    Args:
        found: the JSON of a validation.
    """
    if found["rows"] or "detail" in found:
        return None
    file, omitted = found["evidence"]["file"], [*found["ineligible"], *found["skipped"]]
    told = ["no row can be predicted"]
    for reason, count in Counter(each["reason"] for each in omitted).most_common(MOST_REASONS):
        told.append(f"{count:,} {'row' if count == 1 else 'rows'}: {reason}")
    return InputError([Problem(message, file=file) for message in told])


MOST_REASONS = 10


def _notes(what: What, table: Table, evidence: object, row: str | None) -> list[str]:
    if evidence is None or row is not None or what != "step":
        return []
    new = _new_groups(table)
    if not new:
        return ["all source groups are among the shipped ones: held to the bars of a known stack"]
    return [
        f"held to the bars of a new source: {', '.join(new)} {'is' if len(new) == 1 else 'are'} not among the shipped"
    ]
