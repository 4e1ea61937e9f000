"""Finance against numpy-financial and pyxirr, written by others."""

import math

import numpy as np
import numpy_financial as npf
import pytest
import pyxirr

from costsim.economics import finance
from costsim.economics.ownership import capital_recovery_factor

RNG = np.random.default_rng(20240201)


def projects(count=60, months=48):
    """Flows that invest for some months and then earn."""
    flows = RNG.uniform(0.5, 4.0, (count, months))
    for row in flows:
        spending = int(RNG.integers(1, 9))
        row[:spending] = -RNG.uniform(1.0, 50.0, spending)
    return flows


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.12, 0.5])
def test_net_present_value(rate):
    flows = projects()
    monthly = (1 + rate) ** (1 / 12) - 1
    ours = finance.net_present_value(flows, rate, first=0)
    assert ours == pytest.approx([npf.npv(monthly, row) for row in flows], rel=1e-11, abs=1e-9)
    assert ours == pytest.approx([pyxirr.npv(monthly, row) for row in flows], rel=1e-11, abs=1e-9)


def test_internal_rate():
    flows = projects()
    ours = finance.internal_rate(flows)
    profitable = flows.sum(axis=1) > 0
    assert 20 < profitable.sum() < 60
    for row, rate in zip(flows[profitable], ours[profitable], strict=True):
        monthly = (1 + rate) ** (1 / 12) - 1
        assert monthly == pytest.approx(pyxirr.irr(row), rel=1e-9, abs=1e-12)
        assert monthly == pytest.approx(npf.irr(row), rel=1e-6, abs=1e-9)
    assert np.all(ours[~profitable] == -math.inf)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.35])
@pytest.mark.parametrize("years", [1.0, 3.0, 5.0, 10.0])
def test_capital_recovery(rate, years):
    assert capital_recovery_factor(rate, years) == pytest.approx(-npf.pmt(rate, years, 1.0), rel=1e-12)
    assert capital_recovery_factor(rate, years) == pytest.approx(-pyxirr.pmt(rate, years, 1.0), rel=1e-12)
