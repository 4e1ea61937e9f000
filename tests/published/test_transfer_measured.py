"""The steps that were measured for docs/bench.md, held against what their calibrations say: no torch, no clock."""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from costsim.inputs.calibration import read_calibration
from costsim.inputs.calibration_priors import priors_file
from costsim.inputs.catalogue import data_text
from costsim.inputs.sourced import split_sourced
from costsim.inputs.yaml_source import read
from costsim.training.components import step_seconds, step_spread

ROOT = Path(__file__).parents[2]
P90 = NormalDist().inv_cdf(0.95)
MEASURED = ROOT / "tests" / "data" / "transfer_single.jsonl"  # written by benchmarks/transfer_single.py, 2026-11-24


@pytest.fixture(scope="module")
def single():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield importlib.import_module("transfer_single")


@pytest.fixture(scope="module")
def rows():
    return {row["key"]: row for row in map(json.loads, MEASURED.read_text().splitlines())}


def calibrations(rows, dtype):
    fits = [
        read_calibration(read(row["text"], "box.yaml")).fit for key, row in rows.items() if key.startswith(f"{dtype} c")
    ]
    return [replace(fit.estimates(), transfer=priors_file().transfer) for fit in fits]


@pytest.mark.parametrize("dtype", ["bf16", "fp32"])
def test_unseen_steps_are_predicted_within_the_bars(single, rows, dtype):
    made = calibrations(rows, dtype)
    errors, twice = [], []
    for index, work in enumerate(single.drawn(dtype)):
        seconds = rows[f"{dtype} {index} whole"]["seconds"]
        errors.append(abs(math.log(step_seconds(made[index // single.EVERY], work) / seconds)))
        twice.append(abs(single._from_two(rows, dtype, index, work)))
    assert np.median(errors) <= single.WHOLE[0]
    assert np.quantile(errors, 0.9) <= single.WHOLE[1]
    assert np.median(twice) <= single.LAYERS[0]
    if dtype == "bf16":  # in FP32 nine in ten are within 8.3 %, and docs/bench.md says that this bar was missed
        assert np.quantile(twice, 0.9) <= single.LAYERS[1]


def test_plans_print_the_coverage_that_was_found(single, rows):
    inside, narrower, sizes = [], [], []
    for dtype in single.DTYPES:
        for c in calibrations(rows, dtype):
            for index, work in enumerate(single.drawn(dtype)):
                size = abs(math.log(step_seconds(c, work) / rows[f"{dtype} {index} whole"]["seconds"]))
                inside.append(size <= P90 * step_spread(c, work))
                narrower.append(size <= single.P80 * step_spread(c, work))
                sizes.append(size)
    label, text = data_text("coverage.yaml")
    said = split_sourced(read(text, label))[0].value["step"]["calibrated"]
    assert said["runs"] == len(inside)
    assert said["interval"] == 0.9  # as wide as the ranges that a plan prints
    assert said["coverage"] == pytest.approx(np.mean(inside), abs=0.005)
    assert said["median_error"] == pytest.approx(np.median(sizes), abs=0.005)
    assert single.COVERED[0] <= np.mean(narrower) <= single.COVERED[1]
