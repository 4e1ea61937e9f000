"""What drives a plan: through the plan's own functions, over the scenario's ranges."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from plan_cases import FULL, SMALL, changed

from costsim.plan import plan

POINTS = {"uncertainty.sensitivity_points": 1024}


def drivers_of(changes: dict[str, Any], base: dict[str, Any] = FULL) -> dict[str, Any]:
    made: dict[str, Any] = plan(changed(base, {**POINTS, **changes}), draws=0, sensitivity=True).to_dict()
    return made


def output(made: dict[str, Any], path: str) -> dict[str, Any]:
    [found] = [item for item in made["sensitivity"]["outputs"] if item["output"] == path]
    return dict(found)


@pytest.fixture(scope="module")
def full() -> dict[str, Any]:
    return drivers_of({})


def test_the_swings_are_those_of_plans_with_the_input_set(full: dict[str, Any]) -> None:
    """Each end of a tornado is the plan with that one input at that end."""
    for row in output(full, "payback.npv_usd")["tornado"]:
        if row["path"] == "cost.research_multiplier":
            for end in ("p5", "p95"):
                set_ = [f"cost.research_multiplier={row[end]!r}"]
                again = plan(changed(FULL, {}), draws=0, overrides=set_).to_dict()
                assert again["payback"]["npv_usd"] == pytest.approx(row[f"at_{end}"], rel=1e-9)
                assert again["payback"]["npv_usd"] != pytest.approx(full["payback"]["npv_usd"])
            break
    else:
        pytest.fail("the research multiplier moves the net present value")


def test_it_is_there_only_when_asked_for_and_changes_no_figure(full: dict[str, Any]) -> None:
    plain = plan(changed(FULL, POINTS), draws=0).to_dict()
    assert "sensitivity" not in plain
    assert {key: value for key, value in full.items() if key != "sensitivity"} == plain


def test_shares_are_shares(full: dict[str, Any]) -> None:
    for found in full["sensitivity"]["outputs"]:
        first = [row["first_order"] for row in found["sobol"]]
        total = [row["total_order"] for row in found["sobol"]]
        assert sum(first) < 1.1, found["output"]
        assert total == sorted(total, reverse=True)
        assert sum(total) > 0.9, found["output"]


def test_one_input_is_all_of_it() -> None:
    fixed = {"cluster.mfu": 0.4, "cost.research_multiplier": 2, "cost.rent.usd_per_accelerator_hour": "1 to 3 USD/h"}
    made = drivers_of({**fixed, "cost.staff": "20%", "cost.contingency": 0}, SMALL)
    cost = output(made, "cost.total_usd")
    [share] = cost["sobol"]
    assert share["path"] == "cost.rent.usd_per_accelerator_hour"
    assert share["first_order"] == pytest.approx(1, abs=0.02)
    assert share["total_order"] == pytest.approx(1, abs=0.02)
    [swing] = cost["tornado"]
    assert swing["at_p95"] / swing["at_p5"] == pytest.approx(3)
    assert [item["output"] for item in made["sensitivity"]["outputs"]] == ["cost.programme_usd", "cost.total_usd"]


def test_the_step_time_model_is_an_input_like_any_other() -> None:
    made = drivers_of({}, SMALL)
    [share] = output(made, "run.wall_clock_days")["sobol"]
    assert share["path"] == "step.residual"


def test_nothing_uncertain_has_no_drivers() -> None:
    made = drivers_of({"cluster.mfu": 0.4}, SMALL)
    assert made["sensitivity"]["inputs"] == []
    assert made["sensitivity"]["outputs"] == []


def test_points_must_be_a_power_of_two() -> None:
    from costsim.errors import InputError

    with pytest.raises(InputError, match="power of two"):
        plan(changed(SMALL, {"uncertainty.sensitivity_points": 1000}))


def test_a_plan_without_it_never_imports_scipy() -> None:
    code = (
        "import sys; from costsim.plan import plan; plan('gpt2-124m', draws=2).to_dict(); print('scipy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if name.partition(".")[0] == "scipy"]
