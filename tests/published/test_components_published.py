"""The component model on llm-foundry's table: each row by a fit without it, and the priors that follow."""

from __future__ import annotations

import numpy as np
import pytest

from costsim.fitting.components import GPUS, left_out_errors, one_rate_errors, priors_of, published
from costsim.inputs.calibration_priors import priors_file


@pytest.mark.parametrize(("gpu", "rows"), [("H100", 35), ("A100-80", 15), ("A100-40", 29)])
def test_rows_left_out_are_predicted_within_four_percent_where_one_rate_is_off_by_three_times_as_much(gpu, rows):
    steps = published(gpu)
    assert len(steps) == rows
    own = np.median(np.abs(left_out_errors(steps)))
    assert own <= 0.04
    assert np.median(np.abs(one_rate_errors(steps))) > 3 * own


def test_products_run_at_the_largest_rates_that_sweeps_found():
    # stas00/ml-engineering, MAMF finder: 794.5 TFLOP/s on H100, 271 on A100
    assert priors_of("H100").rate == pytest.approx(794.5e12, rel=0.15)
    assert priors_of("A100-40").rate == pytest.approx(271e12, rel=0.05)


def test_the_shipped_priors_are_the_middle_of_the_gpus():
    found = [priors_of(gpu) for gpu in GPUS]
    shipped = priors_file().kinds.gpu
    assert shipped.hidden.bytes + 4 * shipped.ffn.bytes == pytest.approx(
        np.median([p.element for p in found]), rel=0.05
    )
    assert shipped.logit.bytes == pytest.approx(np.median([p.logit for p in found]), rel=0.05)
    assert shipped.attention.share == pytest.approx(np.median([p.attention for p in found]), rel=0.05)
