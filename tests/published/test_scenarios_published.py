"""Plans of the shipped runs against what their sources report; tolerances are those of a plan, not of a fit."""

from __future__ import annotations

import pytest

from costsim.inputs.scenario import load_scenario
from costsim.plan import plan


@pytest.mark.parametrize(
    ("name", "accelerator_hours"),
    [
        ("gpt2-124m", 12.53),  # 94 minutes on 8 A100 (llm.c, discussion 481)
        ("gpt3-175b", 3.55e6),  # 405 V100-years (Patterson et al. 2021, table 4)
        ("bloom-176b", 1.08288e6),  # LLaMA paper, table 15
        ("llama-2-70b", 1.72032e6),  # model card
        ("llama-3.1-405b", 30.84e6),  # model card
        ("deepseek-v3", 2.664e6),  # technical report, table 1: pretraining
        ("palm-540b", 8.405e6),  # 1,200 h on 6,144 chips and 336 h on 3,072 (PaLM, appendix B)
    ],
)
def test_hours_of_published_runs(name: str, accelerator_hours: float) -> None:
    result = plan(load_scenario(name, ["uncertainty.draws=0"])).to_dict()
    assert 0.7 < result["run"]["accelerator_hours"] / accelerator_hours < 1.3


def test_the_largest_run_is_never_repaid_at_what_hosts_asked() -> None:
    result = plan(load_scenario("llama-3.1-405b", ["uncertainty.draws=0"])).to_dict()
    assert not result["payback"]["repaid"]
    assert result["payback"]["break_even_usd_per_million_output_tokens"] > 3.5
    assert result["clocks"]["regime"] == "breaking"


def test_one_run_rented_for_a_year_and_owned() -> None:
    rented = plan(load_scenario("rent-or-own-1024-h100", ["uncertainty.draws=0"])).to_dict()["cost"]
    owned = plan(load_scenario("rent-or-own-1024-h100-owned", ["uncertainty.draws=0"])).to_dict()["cost"]
    assert rented["bases"] == pytest.approx(owned["bases"])
    assert 0 < owned["total_usd"] < rented["total_usd"] < owned["bases"]["purchase_usd"]
