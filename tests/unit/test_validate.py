"""`validate` over a stand-in for the predictions: its JSON, subsets, groups, bars, one row, other evidence."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import fake_predictor
import pytest
from fake_predictor import predict

from costsim import validate
from costsim.errors import InputError, InternalError
from costsim.evidence.bars import Bar, bars
from costsim.evidence.board import elsewhere, groups, judged, subsets
from costsim.evidence.predicted import Omitted, Predicted
from costsim.evidence.table import shipped
from costsim.evidence.understood import Unread
from costsim.render import formats
from costsim.render.text import Screen
from costsim.validate import unusable

SCORES = {
    "n", "median_abs_error", "p90_abs_error", "mean_abs_error", "bias", "within_2x", "coverage_50", "coverage_80",
    "coverage_90", "median_width_80", "constant_median_abs_error",
}  # fmt: skip
ROW = {"id", "source_group", "measured", "predicted", "p5", "p10", "p25", "p75", "p90", "p95", "error"}
HEADER = "id,source_group,hardware,precision,n_devices,layers,d_model,tp,step_time_s"


@pytest.fixture(scope="module")
def step():
    return validate("step", predictor=predict)


def one(regime="known_stack", error=0.0, group="g", flag="", model="m", key=("H100", "bf16"), mfu=0.4, **subset):
    """A prediction of a step that took one second."""
    sigma = {"p5": 0.8, "p10": 0.85, "p25": 0.95, "p75": 1.05, "p90": 1.15, "p95": 1.2}
    row = {"id": f"{group}-{model}-{error}", "source_group": group, "model": model, "flag": flag}
    quantiles = {name: (1 + error) * factor for name, factor in sigma.items()}
    return Predicted(row, regime, 1.0, 1.0 + error, quantiles, subset, mfu, key)


# --- the contract -----------------------------------------------------------------------------------------------------


def test_every_promised_key_is_there(step):
    assert step["schema"] == "costsim.validate/1"
    assert step["what"] == "step"
    assert set(step["pooled"]) == SCORES
    assert all(SCORES | {"regime"} <= set(subset) for subset in step["subsets"])
    assert all(SCORES | {"source_group", "best_constant_median_abs_error", "lost"} <= set(g) for g in step["groups"])
    assert all(set(row) >= ROW for row in step["rows"])
    assert all(set(omitted) == {"id", "reason"} for omitted in [*step["ineligible"], *step["skipped"]])
    assert isinstance(step["passed"], bool)


def test_every_row_of_the_table_is_accounted_for_once(step):
    ids = [each["id"] for key in ("rows", "ineligible", "skipped") for each in step[key]]
    assert sorted(ids) == sorted(row.id for row in shipped("throughput").rows)


@pytest.mark.parametrize("what", ["step", "memory", "hours"])
def test_json_has_plain_finite_numbers(what):
    json.loads(formats.validation_text(validate(what, predictor=predict), "json", Screen()), parse_constant=pytest.fail)


def test_the_pooled_scores_are_those_of_all_rows_of_the_first_regime(step):
    errors = sorted(abs(row["predicted"] / row["measured"] - 1) for row in step["rows"])
    assert step["regimes"] == ["known_stack", "new_source", "new_stack"]
    assert step["pooled"]["n"] == len(errors)
    middle = errors[(len(errors) - 1) // 2], errors[len(errors) // 2]
    assert step["pooled"]["median_abs_error"] == pytest.approx(sum(middle) / 2)
    first = next(subset for subset in step["subsets"] if subset["regime"] == "known_stack")
    assert {key: first[key] for key in SCORES} == step["pooled"]
    for row in step["rows"]:
        assert set(row["other_regimes"]) == {"new_source", "new_stack"}


def test_subsets_add_up(step):
    for regime in step["regimes"]:
        for clear in (False, True):
            found = [s for s in step["subsets"] if s["regime"] == regime and bool(s.get("without_flagged")) is clear]
            n = {(s.get("has_layout"), s.get("experts")): s["n"] for s in found}
            assert len(n) == len(found) == 9
            assert n[None, None] == n[True, None] + n[False, None] == n[None, True] + n[None, False]
            assert n[True, None] == n[True, True] + n[True, False]


def test_groups_add_up_and_tell_the_other_regimes(step):
    assert sum(group["n"] for group in step["groups"]) == step["pooled"]["n"]
    assert len({group["source_group"] for group in step["groups"]}) == len(step["groups"])
    for group in step["groups"]:
        assert {name: other["n"] for name, other in group["other_regimes"].items()} == dict.fromkeys(
            ["new_source", "new_stack"], group["n"]
        )


def test_memory_is_told_by_counter_and_has_no_constant():
    found = validate("memory", predictor=predict)
    assert found["regimes"] == ["shipped"]
    assert {subset.get("counter") for subset in found["subsets"]} == {None, "allocated", "reserved"}
    assert found["pooled"]["constant_median_abs_error"] is None
    assert not any(group["lost"] for group in found["groups"])


# --- groups and bars --------------------------------------------------------------------------------------------------


def test_a_group_that_the_constant_wins_is_lost():
    ours = [one(group="a", error=0.1, model=str(i)) for i in range(5)]
    theirs = [one(group="b", error=0.0, model=str(i)) for i in range(5)]
    found = groups([*ours, *theirs], elsewhere([*ours, *theirs]))
    assert found["a"]["best_constant_median_abs_error"] == pytest.approx(0.0)
    assert found["a"]["lost"]
    assert not found["b"]["lost"]


def test_flagged_rows_are_left_out_apart():
    rows = [one(error=0.5, flag="bound"), one(error=0.1)]
    with_flags, without = subsets("known_stack", rows, {})
    assert with_flags["mean_abs_error"] == pytest.approx(0.3)
    assert without["without_flagged"]
    assert without["mean_abs_error"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("bar", "value", "met"),
    [
        (Bar("step", "known_stack", "median_abs_error", at_most=0.2), 0.2, True),
        (Bar("step", "known_stack", "median_abs_error", at_most=0.15), 0.2, False),
        (Bar("step", "known_stack", "median_abs_error", {"experts": True}, at_most=0.05), 0.0, True),
        (Bar("step", "known_stack", "median_abs_error", {"source_group": "b"}, at_most=0.3), 0.4, False),
        (Bar("step", "known_stack", "median_abs_error", {"source_group": "none"}, at_most=0.3), None, None),
        (Bar("step", "known_stack", "coverage_90", at_least=0.7, least_rows=4), 2 / 3, None),
        (Bar("step", "known_stack", "coverage_90", at_least=0.7, least_rows=3), 2 / 3, False),
        (Bar("step", "known_stack", "groups_lost", at_most=0), 0, True),
        (Bar("step", "known_stack", "refused_runs", at_most=0), None, None),
    ],
)
def test_bars(bar, value, met):
    rows = [one(error=0.0, experts=True), one(error=0.2, experts=False), one(error=0.4, group="b", experts=False)]
    found = judged(bar, "known_stack", rows, elsewhere(rows))
    assert (found["value"], found["met"]) == (pytest.approx(value) if value is not None else None, met)


def test_runs_that_ran_and_were_refused_are_counted():
    rows = [replace(one(), fit_probability=p) for p in (0.05, 0.2, 0.99)]
    out_of_memory = replace(one(), measured=None, fit_probability=0.0)
    found = judged(Bar("memory", "shipped", "refused_runs", at_most=0), "shipped", [*rows, out_of_memory], {})
    assert (found["value"], found["n"], found["met"]) == (1, 3, False)


def test_the_shipped_bars_are_of_known_measures_and_none_is_idle(step):
    assert len(set(map(repr, bars()))) == len(bars()) >= 30
    for bar in bars():
        assert bar.measure in SCORES | {"groups_lost", "refused_runs"}
        assert bar.at_least is not None or bar.at_most is not None
    assert len(step["bars"]) == sum(bar.what == "step" for bar in bars())


def test_a_missed_bar_fails_the_validation():
    def slow(what, rows, regime):
        found, *rest = predict(what, rows, regime)
        return [replace(row, predicted=row.measured * 2) for row in found], *rest

    found = validate("hours", predictor=slow)
    assert [bar["met"] for bar in found["bars"]] == [False]
    assert found["passed"] is False
    assert validate("hours", predictor=predict)["passed"] is True


# --- other evidence ---------------------------------------------------------------------------------------------------


def evidence(tmp_path, *rows, header=HEADER):
    path = tmp_path / "mine.csv"
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_a_file_is_predicted_as_shipped_and_held_to_the_bars_of_a_new_source(tmp_path):
    found = validate(evidence=evidence(tmp_path, "a,mine,H100,bf16,8,2,4,1,1.5", "b,mine,H100,bf16,8,,4,1,1.5"),
                     predictor=predict)  # fmt: skip
    assert found["what"] == "step"
    assert found["regimes"] == ["shipped"]
    assert [row["id"] for row in found["rows"]] == ["a"]
    assert found["ineligible"] == [{"id": "b", "reason": "no shape"}]
    limits = {(bar["measure"], *bar["rows"].items()): bar["at_most"] for bar in found["bars"]}
    assert limits["median_abs_error", ("has_layout", True)] == 0.09
    assert "mine" in found["notes"][0]


def test_a_file_of_known_groups_is_held_to_the_bars_of_a_known_stack(tmp_path):
    found = validate(evidence=evidence(tmp_path, "a,vtrain-multi,H100,bf16,8,2,4,1,1.5"), predictor=predict)
    limits = {(bar["measure"], *bar["rows"].items()): bar for bar in found["bars"]}
    assert limits["median_abs_error", ("has_layout", True)]["at_most"] == 0.065
    assert limits["coverage_80",]["met"] is None  # one row says nothing about coverage


def test_the_constant_of_a_file_comes_from_the_shipped_rows_and_its_other_groups(tmp_path):
    path = evidence(tmp_path, "a,mine,Wafer,bf16,8,2,4,1,1.5", "b,theirs,Wafer,bf16,8,2,4,1,1.5")
    found = validate(evidence=path, predictor=predict)
    rows = [row.cells for row in shipped("throughput").rows]
    lone = validate(evidence=evidence(tmp_path, "a,mine,Wafer,bf16,8,2,4,1,1.5"), predictor=predict)
    ideal = {cells["id"]: cells for cells in rows}
    assert "a" not in ideal
    mfu = {name: math.exp(-0.9 + 0.3 * fake_predictor.deviate(f"ideal {name}")) for name in "ab"}
    assert found["rows"][0]["constant_error"] == pytest.approx(mfu["a"] / mfu["b"] - 1)
    assert lone["rows"][0]["constant_error"] == pytest.approx(mfu["a"] / 0.4 - 1)


def test_the_shipped_table_given_as_a_file_has_the_same_constants(tmp_path):
    from importlib.resources import files

    path = files("costsim") / "data/evidence/throughput.csv"
    given, ours = validate(evidence=str(path), predictor=predict), validate(predictor=predict)
    errors = [{row["id"]: row["constant_error"] for row in found["rows"]} for found in (given, ours)]
    assert errors[0] == pytest.approx(errors[1])


def test_the_kind_is_told_by_the_table(tmp_path):
    header = "id,hardware,tokens_b,layers,device_hours_used"
    found = validate(evidence=evidence(tmp_path, "a,H100,8,2,400", header=header), predictor=predict)
    assert found["what"] == "hours"
    assert found["groups"][0]["source_group"] == "ungrouped"


def test_a_file_whose_rows_are_all_left_out_is_told_and_does_not_pass(tmp_path):
    path = evidence(tmp_path, "a,mine,H100,bf16,8,2,4,1,", "b,mine,H100,bf16,8,2,4,1,", "c,mine,H100,bf16,8,,4,1,2")
    found = validate(evidence=path, predictor=predict)
    assert found["pooled"] == {**dict.fromkeys(SCORES), "n": 0}
    assert found["passed"] is False
    assert "0 of 3 published results" in formats.validation_text(found, "table", Screen())
    told = str(unusable(found)).splitlines()
    assert told == [
        f"{path}: no row can be predicted", f"{path}: 2 rows: no measured value", f"{path}: 1 row: no shape",
    ]  # fmt: skip


def test_a_file_of_which_a_row_is_predicted_is_usable(tmp_path):
    path = evidence(tmp_path, "a,mine,H100,bf16,8,2,4,1,1.5", "b,mine,H100,bf16,8,,4,1,2")
    assert unusable(validate(evidence=path, predictor=predict)) is None
    assert unusable(validate(evidence=path, row="b", predictor=predict)) is None  # one row is told in full


def test_words_that_are_not_understood_are_counted(tmp_path):
    def puzzled(what, rows, regime):
        found, *rest = predict(what, rows, regime)
        strange = [Unread("framework", name, "none") for name in ("Foo", "Foo", "Bar")]
        return [replace(one, unread=(cell,)) for one, cell in zip(found, strange, strict=False)], *rest

    lines = [f"{name},mine,H100,bf16,8,2,4,1,1.5" for name in "abc"]
    found = validate(evidence=evidence(tmp_path, *lines), predictor=lambda *asked: shipped_apart(puzzled, *asked))
    assert found["notes"][-1] == (
        "3 rows whose framework is not known: predicted as if none were named: 'Bar' (1), 'Foo' (2)"
    )


def shipped_apart(puzzled, what, rows, regime):
    """Only the file's rows puzzle; the shipped ones, of which the constant is chosen, do not."""
    return (puzzled if len(rows) == 3 else predict)(what, rows, regime)


# --- one row ----------------------------------------------------------------------------------------------------------


def test_one_row_in_detail(step):
    name = "thr-vtrain-multi-044"
    found = validate("step", row=name, predictor=predict)
    assert found["rows"] == [row for row in step["rows"] if row["id"] == name]
    assert found["detail"]["given"]["tp"] == "2"
    assert "23747" not in str(found["detail"]["given"])  # which the quotation tells
    assert "step_time_s" in found["detail"]["kept_from_it"]
    assert not found["detail"]["given"].keys() & found["detail"]["kept_from_it"].keys()
    assert found["detail"]["notes"]["known_stack"] == ["A100-80 as it is called"]
    assert found["passed"] is True


def test_one_row_that_was_left_out_tells_why():
    found = validate("step", row="thr-aws-neuron-trn1-004", predictor=predict)
    assert found["rows"] == []
    assert [each["id"] for each in [*found["ineligible"], *found["skipped"]]] == ["thr-aws-neuron-trn1-004"]
    assert "no measured value" in formats.validation_text(found, "table", Screen())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"what": "stepp"}, "cannot validate 'stepp'; one of step, memory, hours, serving; did you mean 'step'?"),
        ({"what": "loss"}, "--what: cannot validate 'loss'; one of step, memory, hours"),
        ({"row": "thr-vtrain-multi-44"}, "did you mean 'thr-vtrain-multi-044'?"),
        ({"evidence": "none.csv"}, "none.csv: no such file"),
    ],
)
def test_what_cannot_be_validated_is_told(arguments, message):
    with pytest.raises(InputError) as caught:
        validate(**arguments, predictor=predict)
    assert message in str(caught.value)


def test_a_predictor_that_loses_a_row_is_a_bug():
    def forgets(what, rows, regime):
        return predict(what, rows[1:], regime)

    def repeats(what, rows, regime):
        found, left, skipped = predict(what, rows, regime)
        return found, [*left, Omitted(rows[0]["id"], "again")], skipped

    for broken in (forgets, repeats):
        with pytest.raises(InternalError, match="do not account for every row once"):
            validate("memory", predictor=broken)
