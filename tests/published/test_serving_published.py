"""Serving against published speeds: the fit that ships, what a prediction may see, and the bars."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from costsim import plan
from costsim.evidence.predicted import Omitted
from costsim.evidence.serving_rows import predict_serving, serving_case
from costsim.evidence.table import shipped
from costsim.fitting import serving as fitting
from costsim.inputs.scenario import load_scenario
from costsim.inputs.serving_fit import CONSTANTS, OVERHEAD, REFERENCE, SOFTWARE, factor, given, serving_fit

SCENARIO = {
    "costsim": 1,
    "name": "served",
    "model": "llama-3.1-8b",
    "training": {"tokens": "1T", "sequence_length": 4096, "global_batch_tokens": "4M"},
    "cluster": {"accelerator": "h100-sxm", "accelerators": 64},
    "serving": {},
}
ROW = {
    "id": "r", "model": "meta-llama/Llama-3.1-70B", "hardware": "h100", "n_gpus": "4", "engine": "vllm",
    "precision": "fp8", "parallelism": "tp4", "mode": "aggregated", "concurrency": "32", "isl": "1024",
    "osl": "1024", "out_tok_s_per_gpu": "300",
}  # fmt: skip


def test_a_plan_takes_the_constants_that_the_fit_found() -> None:
    values, fields = serving_fit().values["shipped"][""], given()
    for name in CONSTANTS:
        found = fields
        for part in name.split("."):
            found = getattr(found, part)
        assert float(found) == pytest.approx(values[name], rel=1e-3), name
    serving = load_scenario(SCENARIO).fields.serving
    assert serving is not None
    for kind in (SOFTWARE, OVERHEAD):
        stated = getattr(serving, kind)
        assert stated.nvidia == 1
        assert stated.amd == stated.other == pytest.approx(values[f"{kind}.amd"], rel=1e-3)
    for chip, own in serving.overhead.chips.items():
        vendor = "amd" if chip.startswith("mi") else REFERENCE
        assert own == pytest.approx(factor(values, OVERHEAD, vendor, chip), rel=1e-3), chip
    assert len(serving.overhead.chips) == sum(name.startswith(f"{OVERHEAD}.") for name in values) - 1


def test_the_band_of_a_plan_is_that_of_models_that_the_fit_had_not_seen() -> None:
    serving, fit = load_scenario(SCENARIO).fields.serving, serving_fit()
    assert serving is not None
    for vendor, of_class in (("nvidia", "nvidia"), ("amd", "other"), ("other", "other")):
        low, high = getattr(serving.residual, vendor).interval90()
        wide = float(np.exp(fit.errors["new_model"].half_width(0.9, of_class)))
        assert (low, high) == pytest.approx((1 / wide, wide), rel=5e-3), vendor


def test_a_new_fit_finds_what_ships() -> None:
    rows = fitting.data()
    prior = fitting.priors(rows.cases)
    logs = fitting.fit(rows, prior, np.zeros(len(rows.cases), dtype=np.bool_))
    found = fitting.constants(prior.names, logs)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        dict(serving_fit().values["shipped"][""]), rel=5e-3
    )


def test_constants_of_a_fold_have_not_seen_it() -> None:
    """Rows of a model that are made twice as fast leave the constants that are fitted without it where they were."""
    rows = fitting.data()
    prior = fitting.priors(rows.cases)
    out = rows.labels["new_model"] == "llama-3.1-8b"
    assert out.any()
    faster = fitting.Data(rows.cases, np.where(out, rows.logs + 1.0, rows.logs), rows.labels, rows.weights, rows.ids)
    start = np.log(np.array(list(serving_fit().values["shipped"][""].values())))
    assert np.array_equal(fitting.fit(rows, prior, out, start), fitting.fit(faster, prior, out, start))
    everything = np.zeros(len(rows.cases), dtype=np.bool_)
    assert not np.allclose(fitting.fit(rows, prior, everything, start), fitting.fit(faster, prior, everything, start))


@pytest.mark.parametrize("regime", ["new_model", "known_stack", "new_chip", "shipped"])
def test_a_prediction_never_sees_what_was_measured(regime: str) -> None:
    table = shipped("serving").rows[::29]
    for row in table:
        cells = dict(row.cells)
        try:
            honest = predict_serving(cells, regime)  # type: ignore[arg-type]
        except Exception as error:
            assert type(error).__name__ == "UnpredictableError", error  # noqa: PT017
            continue
        if isinstance(honest, Omitted):
            continue
        lied = {**cells, "out_tok_s_per_gpu": "1", "total_tok_s_per_gpu": "2", "ttft_ms": "3", "tpot_ms": "4",
                "note": "5", "calibrated_roofline_out_tok_s_per_gpu": "6"}  # fmt: skip
        same = predict_serving(lied, regime)  # type: ignore[arg-type]
        assert not isinstance(same, Omitted)
        assert same.predicted == honest.predicted
        assert same.quantiles == honest.quantiles


def test_what_a_row_is_like_sets_its_interval() -> None:
    """A chip and then a model that the fit has not seen widen it."""

    def width(**changes: str) -> float:
        made = predict_serving({**ROW, **changes}, "shipped")
        assert not isinstance(made, Omitted)
        return made.quantiles["p90"] / made.quantiles["p10"]

    known, model, chip = width(), width(model="mistral-7b", n_gpus="1", parallelism="tp1"), width(hardware="A100-80GB")
    assert known < model < chip


@pytest.mark.parametrize(
    ("changes", "accelerators", "groups", "requests"),
    [
        ({}, 4, 1, 32),
        ({"parallelism": "dep4"}, 4, 4, 32),
        ({"parallelism": "tp4-ep2"}, 4, 1, 32),
        ({"parallelism": "tp1-dp4-ep4"}, 4, 4, 32),
        ({"parallelism": "tp2"}, 2, 1, 16),  # two replicas share the requests
        ({"parallelism": "tp2-dp2"}, 2, 1, 16),
        ({"mode": "offline max throughput", "concurrency": ""}, 4, 1, 1024),
    ],
)
def test_how_a_layout_is_read(changes: dict[str, str], accelerators: int, groups: int, requests: float) -> None:
    case = serving_case({**ROW, **changes})
    assert case.terms.accelerators_per_replica == accelerators
    assert case.terms.attention_data_parallel == groups
    assert case.requests == requests


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "some-new-model", "model_key": ""}, "not in the catalogue"),
        ({"hardware": "abacus"}, "unknown accelerator 'abacus'"),
        ({"hardware": "hardware/h100-sxm.yaml"}, "not in the catalogue"),
        ({"hardware": "L4", "n_gpus": "1", "parallelism": "tp1"}, "do not fit"),
        ({"precision": "fp4/fp8"}, "precision"),
        ({"parallelism": ""}, "split"),
        ({"parallelism": "tp3"}, "split"),
        ({"isl": ""}, "lengths"),
        ({"concurrency": ""}, "at once"),
        ({"mode": "pareto point", "parallelism": "best of sweep"}, "best of a sweep"),
        ({"spec_decode": "mtp"}, "drafted"),
        ({"mode": "disagg prefill pool"}, "pools"),
        ({"isl": "1e9"}, "isl is 1e+09"),
    ],
)
def test_a_row_is_refused_with_its_reason(changes: dict[str, str], reason: str) -> None:
    from costsim.evidence.cases import UnpredictableError

    with pytest.raises(UnpredictableError, match=reason.replace("+", r"\+")):
        predict_serving({**ROW, **changes}, "shipped")


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek-v3"),
        ("amd/DeepSeek-R1-0528-MXFP4-Preview", "deepseek-v3"),
        ("nvidia/DeepSeek-R1-0528-FP4-V2", "deepseek-v3"),
        ("DeepSeek-V3/R1", "deepseek-v3"),
        ("Qwen/Qwen3-235B-A22B-FP8", "qwen3-235b-a22b"),
        ("nvidia/Llama-3.1-8B-Instruct-FP8", "llama-3.1-8b"),
        ("Llama-3.3-70B", "llama-3.1-70b"),
        ("moonshotai/Kimi-K2.5", "kimi-k2"),
        ("zhipuai/GLM-5", "glm-5"),
    ],
)
def test_models_are_found_under_the_names_of_benchmarks(said: str, name: str) -> None:
    row = {**ROW, "model": said, "hardware": "b300", "n_gpus": "8", "parallelism": "tp8"}
    assert serving_case(row).served.name == name


def test_parameters_of_the_models_that_no_file_can_say() -> None:
    published = {"zhipuai/GLM-5": 744e9, "MiniMaxAI/MiniMax-M2.5": 229e9, "Qwen/Qwen3.5-397B-A17B": 397e9}
    for name, count in published.items():
        case = serving_case({**ROW, "model": name, "hardware": "b300", "n_gpus": "8", "parallelism": "tp8"})
        assert case.model.parameters == pytest.approx(count, rel=0.02), name


def test_the_file_of_the_fit_names_every_row_once_a_regime() -> None:
    path = Path(fitting.FOLDER) / "serving.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    for regime, rows in found["errors"].items():
        assert len({row[0] for row in rows}) == len(rows) == 572, regime


def test_the_band_of_a_vendor_is_in_the_interval_of_value() -> None:
    def width(*settings: str) -> float:
        made = plan("serve-a-million-users", overrides=["uncertainty.draws=1000", *settings]).to_dict()
        interval = made["intervals"]["payback.npv_usd"]
        return float(interval["p95"] - interval["p5"])

    assert width() > 1.05 * width("serving.residual=1")
