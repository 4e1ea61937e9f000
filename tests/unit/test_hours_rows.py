"""Device-hours of full runs: how rows are read, what they may not see, and the fit that ships."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from costsim.evidence import run_cases, run_words
from costsim.evidence.cases import UnpredictableError
from costsim.evidence.columns import blanked
from costsim.evidence.hours_rows import bare_hours, predict_hours
from costsim.evidence.predicted import Omitted, Predicted
from costsim.evidence.predictions import predict
from costsim.evidence.table import shipped
from costsim.fitting import hours as fitting
from costsim.inputs.catalogue import data_text
from costsim.inputs.run_errors import TRAITS, run_errors

SHAPE = {"layers": "32", "d_model": "4096", "n_heads": "32", "n_kv_heads": "32", "d_ff": "11008", "vocab": "32000"}
RUN = {
    "id": "a-run", "model": "A-7B", "org": "Nobody", "release_date": "2024-06", **SHAPE, "gated_ffn": "true",
    "total_params_b": "6.738", "tokens_b": "1000", "seq_len": "4096", "global_batch_tokens": "4194304",
    "precision": "bf16", "hardware": "H100", "device_unit": "GPU", "n_devices": "256", "framework": "Megatron-Core",
    "tp": "1", "pp": "1", "cp": "1", "micro_batch": "1", "hours_scope": "planned", "device_hours_used": "100000",
    "reported_mfu_pct": "40", "quote": "100,000 GPU hours", "notes": "", "device_hours_basis": "reported",
}  # fmt: skip
BLANK_SHAPE = dict.fromkeys(SHAPE, "")
RUNS = [row.cells for row in shipped("runs").rows]


def predicted(row: Mapping[str, str]) -> Predicted:
    made = predict_hours(row, "shipped")
    assert isinstance(made, Predicted)
    return made


@pytest.mark.parametrize(
    ("said", "failures", "scope"),
    [
        ("MLPerf time-to-train: excludes initialisation", "no", "benchmark"),
        ("planned ## days; ran # Sep to ## Dec", "no", "steady"),
        ("pretraining rate x #.#T tokens", "unknown", "steady"),
        ("wall-clock ## min", "", "steady"),
        ("about ## h on #x####", "", "steady"),
        ("about ## days", "", "calendar"),
        ("~# months (correspondence)", "unknown", "calendar"),
        ("card hours", "yes", "calendar"),
        ("cumulative; card does not say whether restarts are included", "unknown", "unsaid"),
        ("TPU v# hours (which unit: chip)", "", "unsaid"),
        ("", "", "unsaid"),
    ],
)
def test_the_words_tell_what_hours_hold(said: str, failures: str, scope: str) -> None:
    assert run_words.scope({"hours_scope": said, "includes_failures": failures}) == scope


@given(st.sampled_from(RUNS), st.integers(1, 10**9))
def test_what_was_measured_does_not_reach_the_case(row: dict[str, str], other: int) -> None:
    changed = {**row, "device_hours_used": str(other), "reported_device_hours": str(other), "reported_mfu_pct": "7"}
    changed["reported_wallclock_days"] = changed["implied_6nd_mfu_pct"] = str(other)
    assert blanked(changed, "runs") == blanked(row, "runs")


def test_a_prediction_is_the_same_whatever_was_measured() -> None:
    for row in [r for r in RUNS if r["validation_use"] == "yes"][::6]:
        try:
            here = predicted(row)
        except UnpredictableError:
            continue
        other = predicted({**row, "device_hours_used": "1", "reported_device_hours": "2", "quote": "9", "flag": "x"})
        assert (here.predicted, here.quantiles) == (other.predicted, other.quantiles)


def test_hours_are_tokens_times_time_and_grow_with_them() -> None:
    once, twice = bare_hours(RUN), bare_hours({**RUN, "tokens_b": "2000"})
    assert twice.hours == pytest.approx(2 * once.hours, rel=1e-12)
    assert 0.2 < once.ideal / once.hours < 0.65  # an MFU that an H100 has been seen to reach
    six_nd = 6 * 6.6e9 * 1e12 / 989.4e12 / 3600  # and attention, a few percent
    assert once.ideal == pytest.approx(six_nd, rel=0.1)


def test_only_hours_that_may_hold_failures_are_divided_by_goodput() -> None:
    steady, unsaid = bare_hours(RUN), bare_hours({**RUN, "hours_scope": "card"})
    assert steady.goodput == 1
    assert 0.9 < unsaid.goodput < 1
    assert unsaid.hours == pytest.approx(steady.hours / unsaid.goodput)


def test_dies_of_a_module_count_one_each() -> None:
    module = {**RUN, "hardware": "MI250X", "device_unit": "module (2 GCDs)", "n_devices": "128"}
    dies = {**module, "device_unit": "GCD", "n_devices": "256"}
    assert bare_hours(dies).hours == pytest.approx(2 * bare_hours(module).hours)


def test_a_missing_shape_is_inferred_and_said() -> None:
    dense = predicted({**RUN, **BLANK_SHAPE})
    assert any("shape inferred from 6738M" in note for note in dense.notes)
    assert dense.predicted == pytest.approx(predicted(RUN).predicted, rel=0.25)
    mixture = run_cases.run_case({**RUN, **BLANK_SHAPE, "total_params_b": "100", "active_params_b": "10"})
    assert mixture.case.experts


def test_a_missing_cluster_is_chosen_and_said() -> None:
    made = run_cases.run_case({**RUN, "n_devices": ""})
    flops, month = 6 * 6.7e9 * 1e12, 30 * 86400
    assert made.case.devices / (flops / (0.4 * 989e12 * month)) == pytest.approx(1, abs=0.6)
    assert f"{made.case.devices:.0f} accelerators" in made.assumed
    few = run_cases.run_case({**RUN, "n_devices": "", "tokens_b": "15000", "global_batch_tokens": "524288"})
    assert few.case.devices <= 128


def test_fsdp_beside_a_pipeline_does_not_gather_for_each_micro_batch() -> None:
    assert "no reshard" in run_words.sharding({"sharding": "FSDP", "pp": "16"})
    assert run_words.sharding({"sharding": "FSDP", "pp": "1"}) == "FSDP"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "Falcon-Mamba-7B"}, "not a transformer"),
        ({"hardware": "Abacus"}, "unknown accelerator 'Abacus'"),
        ({**BLANK_SHAPE, "total_params_b": ""}, "no model shape"),
        ({**BLANK_SHAPE, "total_params_b": "0.00001"}, "no shape can be inferred"),
    ],
)
def test_a_row_that_cannot_be_predicted_says_why(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(UnpredictableError, match=reason):
        predict_hours({**RUN, **changes}, "shipped")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"validation_use": "no: bound only"}, "bound only"),
        ({"tokens_b": ""}, "no token count"),
        ({"device_hours_used": ""}, "no device-hours"),
    ],
)
def test_a_row_that_is_no_case_says_why(changes: dict[str, str], reason: str) -> None:
    made = predict_hours({**RUN, **changes}, "shipped")
    assert isinstance(made, Omitted)
    assert reason in made.reason


def test_factors_leave_out_the_runs_own_organisation() -> None:
    errors, unnamed = run_errors(), frozenset({"calendar", "unnamed"})
    assert errors.beside(unnamed, "Meta") != errors.beside(unnamed)
    assert errors.beside(unnamed, "nobody known") == errors.beside(unnamed)
    assert errors.beside(unnamed) > errors.beside(frozenset({"calendar"})) > errors.beside(frozenset())


def test_the_fit_finds_the_factors_that_made_the_hours() -> None:
    draw = np.random.default_rng(0)
    traits = np.column_stack([np.ones(4000), draw.integers(0, 2, (4000, len(TRAITS)))]).astype(float)
    true = np.array([0.05, 0.3, 0.1, 0.15, 0.4, 0.2])
    assert fitting.fit(traits, traits @ true + draw.normal(0, 0.1, 4000)) == pytest.approx(true, abs=0.02)


def test_the_shipped_fit_is_what_the_script_makes() -> None:
    assert fitting.lines(fitting.made()) == data_text("fits/hours.json")[1]


def test_the_shipped_runs_are_predicted_as_well_as_promised() -> None:
    done, ineligible, skipped = predict("hours", RUNS, "shipped")
    assert len(done) + len(ineligible) + len(skipped) == len(RUNS)
    assert all(p.measured is not None for p in done)
    error = np.array([p.predicted / (p.measured or np.nan) - 1 for p in done])
    inside = np.array([p.quantiles["p10"] <= (p.measured or 0) <= p.quantiles["p90"] for p in done])
    assert len(done) >= 60
    assert float(np.median(np.abs(error))) <= 0.18
    assert 0.75 <= float(np.mean(inside)) <= 0.85
    assert len(json.loads(data_text("fits/hours.json")[1])["errors"]) == len(done)
