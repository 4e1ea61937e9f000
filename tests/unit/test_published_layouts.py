"""The script that places real layouts in the search: it runs, reads rows as they are printed, and fits its page."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from costsim.evidence.table import shipped
from costsim.ranked import search_layouts
from costsim.training.layout import SHARDING

ROOT = Path(__file__).parents[2]
ROWS = {row.id: row.cells for row in shipped("throughput").rows}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.delitem(sys.modules, "published_layouts", raising=False)
    import published_layouts

    return published_layouts


def test_it_places_scenarios(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    script.main(["gpt2-124m", "bloom-176b"])
    header, _, *lines = capsys.readouterr().out.splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert header.count("|") == 7
    assert [row[0] for row in rows] == ["gpt2-124m", "bloom-176b"]
    for name, place, fitting, ratio, *_ in rows:
        found = search_layouts(name, top=1)
        seconds = found["layouts"][0]["step_seconds"] / found["own"]["step_seconds"]
        assert int(place) == found["own"]["rank"] <= int(fitting)
        assert float(ratio) == pytest.approx(seconds, abs=0.005)


def test_a_row_keeps_what_it_prints(script: ModuleType) -> None:
    row = ROWS["thr-bigscience-tr11-prequel-022"]
    place = script.of_row(row)
    assert f"tensor {row['tp']}, pipeline {row['pp']}, data {row['dp']}, micro-batch {row['micro_batch']}" in place.own
    assert place.own.endswith("recompute full")
    assert 1 <= place.rank <= place.fitting
    assert (place.ratio < 1) == (place.rank > 1)


def test_a_measured_answer_changes_no_place(script: ModuleType) -> None:
    row = ROWS["thr-bigscience-tr11-prequel-022"]
    assert script.of_row(row) == script.of_row(row | {"step_time_s": "1", "tflops_per_device": "1"})


@pytest.mark.parametrize("name", ["thr-megatron-2021-readme-001", "thr-bigscience-tr11-prequel-022"])
def test_a_row_that_prints_the_best_layout_is_the_first(name: str, script: ModuleType) -> None:
    made = script._case(ROWS[name])
    best = script._ranked(made, script._all(made)).best
    degrees = {
        "tp": best.tensor,
        "pp": best.pipeline,
        "vpp": best.virtual_pipeline,
        "cp": best.context,
        "dp": best.data,
    }
    words = {"optimizer": "ZeRO-1", "gradients": "ZeRO-2", "full": "ZeRO-3"}[SHARDING[int(best.sharding)]]
    printed = {
        key: f"{value:g}" for key, value in (degrees | {"dp": best.data, "micro_batch": best.micro_batch}).items()
    }
    again = script.of_row(ROWS[name] | printed | {"sharding": words, "recompute": ""})
    assert (again.rank, again.ratio) == (1, pytest.approx(1))
    assert again.own == again.best


def test_rows_that_have_no_place_say_why(script: ModuleType) -> None:
    row = ROWS["thr-bigscience-tr11-prequel-022"]
    for change, reason in (
        ({"flag": "rounded"}, "fault"),
        ({"tp": ""}, "layout"),
        ({"n_devices": "8"}, "takes 96 devices, the run has 8"),
        ({"global_batch_seqs": "", "global_batch_tokens": "", "dp": ""}, "batch"),
    ):
        with pytest.raises(script.UnplacedError, match=reason):
            script.of_row(row | change)


def test_the_page_has_a_place_for_the_tables(script: ModuleType) -> None:
    text = script.section(["| one |"])
    assert f"{script.OPENING}\n| one |\n\n{script.CLOSING}" in text
    page = script.PAGE.read_text(encoding="utf-8")
    assert text.split(script.CLOSING)[1] == page.split(script.CLOSING)[1]
    assert all(f"| {name} | " in page for name in script.printed_scenarios())
