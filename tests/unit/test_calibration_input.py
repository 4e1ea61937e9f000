"""Calibration files: written by bench, read back the same, refused where they must be, and used by a plan."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from calibration_cases import DESIGNED, GOOD, QUIET, record, timing, true, written
from test_calibrated import ALONE

from costsim import load_scenario, plan
from costsim.bench import calibration, held
from costsim.bench.record import (
    Collective,
)
from costsim.check import check_file
from costsim.compare import compare
from costsim.errors import InputError
from costsim.inputs.calibration import DeviceFields, SoftwareFields, read_calibration
from costsim.inputs.machine import as_joined
from costsim.inputs.measured import load_calibration
from costsim.inputs.stack import load_stack
from costsim.inputs.yaml_source import read
from costsim.ranked import search_layouts
from costsim.render import table
from costsim.render.text import Screen
from costsim.training import collectives
from costsim.training.components import Work, step_seconds, step_spread

BOX = {
    "title": "my box",
    "kind": "cpu",
    "peak_flops": {"bf16": "4 TFLOP/s", "fp32": "1 TFLOP/s"},
    "memory": {"capacity": "24 GiB", "bandwidth": "40 GB/s"},
    "scale_up": {"domain": 1},
}
SHAPE = {"hidden_size": 512, "layers": 6, "heads": 8, "ffn_size": 1408, "vocab_size": 12288}


def scenario(calibrated: object, accelerator: object = None, **cluster: object) -> dict[str, object]:
    return {
        "costsim": 1,
        "name": "mine",
        "start": "2026-12-01",
        "model": SHAPE,
        "training": {"tokens": "10M", "sequence_length": 512, "global_batch_sequences": 4, "precision": "bf16"},
        "cluster": {
            "accelerator": accelerator or BOX,
            "accelerators": 1,
            "layout": {"micro_batch": 4},
            "calibration": calibrated,
            **cluster,
        },
        "cost": {"rent": {"usd_per_accelerator_hour": 0.1}},
    }


def test_a_long_search_leaves_its_best_product_alone_in_the_file():
    plain = record()
    (square,) = plain.gemms
    tried = [replace(square, n=square.n + 128 * turn) for turn in range(1, 40)]  # as fast for more columns: faster
    rows = calibration.document(replace(plain, gemms=(*tried, square)))["gemm"]
    assert [(row["n"], row["m"]) for row in rows] == [(square.n + 128 * 39, square.m), (square.n, square.m)]


def test_what_is_written_is_read_back(tmp_path):
    path = written(tmp_path)
    assert check_file(path) == []
    assert Path(path).stat().st_size < 20_000
    made = calibration.document(record())
    back = read_calibration(read(Path(path).read_text(), "my-box.yaml"))
    found, own = back.fit.estimates(), calibration.fit(record())[0]
    np.testing.assert_allclose(found.values, own.values, rtol=1e-5)
    np.testing.assert_allclose(found.covariance, own.covariance, rtol=1e-4, atol=1e-6 * own.covariance.max())
    assert back.verdict.status == "good"
    assert back.steps[0].seconds == pytest.approx(made["steps"][0]["seconds"])


def test_a_plan_of_one_device_takes_the_calibrated_step(tmp_path):
    path = written(tmp_path)
    found = plan(scenario(path), draws=2000).to_dict()
    shape = load_scenario(scenario(path)).model.architecture
    c = read_calibration(read(Path(path).read_text(), path)).fit.estimates()
    expected = step_seconds(c, Work(shape, 512, 4))
    assert found["step"]["step_seconds"] == pytest.approx(expected, rel=0.02)
    low, high = (found["intervals"]["step.step_seconds"][key] for key in ("p5", "p95"))
    spread = step_spread(c, Work(shape, 512, 1))
    assert np.log(high / low) / (2 * 1.645) == pytest.approx(spread, rel=0.1)
    measured = [row for row in found["provenance"] if row["known"] == "measured" and "my-box.yaml" in row["source"]]
    assert {"stack.elementwise", "stack.logits_bytes"} <= {row["path"] for row in measured}


def test_it_moves_neither_price_nor_memory_nor_links(tmp_path):
    path = written(tmp_path)
    without, with_it = (plan(scenario(x), draws=0).to_dict() for x in (None, path))
    assert without["memory"] == with_it["memory"]
    assert without["cost"]["usd_per_accelerator_hour"] == with_it["cost"]["usd_per_accelerator_hour"]
    assert without["step"]["step_seconds"] != with_it["step"]["step_seconds"]
    terms = [load_scenario(scenario(x)) for x in (None, path)]
    assert terms[0].accelerator == terms[1].accelerator


def test_the_path_resolves_beside_the_file_that_names_it_and_stays_in_what_is_resolved(tmp_path, monkeypatch):
    written(tmp_path)
    (tmp_path / "run.yaml").write_text(json.dumps(scenario("my-box.yaml")))
    monkeypatch.chdir(tmp_path.parent)
    loaded = load_scenario(str(tmp_path / "run.yaml"))
    again = load_scenario(loaded.resolved())
    assert again.calibration.file == loaded.calibration.file


def quiet_page(made):
    return " ".join(table.render(made, Screen(), quiet=True).split())


def test_a_refused_one_is_not_used_unless_accepted_and_the_plan_says_why(tmp_path):
    path = written(tmp_path, status="refused")
    prior, refused, accepted = (
        plan(scenario(x), draws=0).to_dict() for x in (None, path, {"file": path, "accept": True})
    )
    assert refused["step"]["step_seconds"] == prior["step"]["step_seconds"]
    assert accepted["step"]["step_seconds"] != prior["step"]["step_seconds"]
    said = " | ".join(refused["notes"])
    assert "is not used: its verdict is refused: another program ran beside it" in said
    assert "is not used: its verdict is refused" in quiet_page(refused)
    assert "Notes" not in quiet_page(accepted)
    assert "is not used: its verdict is refused" in compare([prior, refused])["notes"][0]
    assert [["is not used" in note for note in search_layouts(scenario(x))["notes"]] for x in (None, path)] == [
        [],
        [True],
    ]


def test_a_given_mfu_leaves_it_aside_and_even_the_shortest_page_says_so(tmp_path):
    asked = scenario(written(tmp_path))
    asked["cluster"]["mfu"] = 0.4
    assert "yaml is not used: cluster.mfu is given" in quiet_page(plan(asked, draws=0).to_dict())


def test_a_kept_heap_is_told(tmp_path):
    path = Path(written(tmp_path))
    told = "measured with glibc's heap kept"
    assert told not in " | ".join(plan(scenario(str(path)), draws=0).to_dict()["notes"])
    path.write_text(path.read_text().replace("malloc: default", "malloc: kept heap"))
    assert told in " | ".join(plan(scenario(str(path)), draws=0).to_dict()["notes"])


def test_another_precision_is_not_used_and_half_a_year_is_told(tmp_path):
    path = written(tmp_path)
    asked = scenario(path)
    asked["training"]["precision"] = "fp32"
    assert "it was measured in bf16, and the run is in fp32" in " | ".join(plan(asked, draws=0).to_dict()["notes"])
    late = scenario(path) | {"start": "2027-08-01"}
    assert "days older than the run" in " | ".join(plan(late, draws=0).to_dict()["notes"])
    loaded = load_scenario(scenario(path)).calibration
    fresh = loaded.notes(datetime.date(2026, 12, 1), "bf16")
    assert not any("older" in note for note in fresh)


def test_a_date_in_the_future_or_long_after_the_run_is_told(tmp_path):
    path = Path(written(tmp_path))
    path.write_text(path.read_text().replace("created: '2026-", "created: '2226-", 1))
    loaded = load_calibration(str(path))
    said = " | ".join(loaded.notes(datetime.date(2026, 12, 1), "bf16"))
    assert "is dated in the future, 2226-11-24" in said
    assert "days newer than the run" in said
    assert "newer" not in " | ".join(loaded.notes(datetime.date(2226, 12, 1), "bf16"))


def test_the_file_has_every_key_of_what_was_measured():
    for fields_of_file, made in ((DeviceFields, record().device), (SoftwareFields, record().software)):
        assert set(fields_of_file.model_fields) == set(vars(made)) - {"costsim"}


def test_several_devices_say_that_what_joins_them_was_not_measured(tmp_path):
    path = written(tmp_path)
    accelerator = BOX | {"scale_up": {"domain": 8, "bandwidth": "100 GB/s"}}
    found = plan(scenario(path, accelerator, accelerators=4, layout={"micro_batch": 1}), draws=0).to_dict()
    assert "of 1 of the cluster's 4 devices: communication and its overlap" in " | ".join(found["notes"])


def test_measured_collectives_stand_in_for_those_of_the_links(tmp_path):
    alpha, rate = 2e-4, 2e9  # of the buffer
    made = tuple(
        Collective(timing(alpha + n / rate), QUIET, GOOD, "all_reduce", 4, "node", "bf16", n, "gloo")
        for n in (2**16, 2**20, 2**24, 2**28)
    )
    path = tmp_path / "joined.yaml"
    path.write_text(calibration.text(calibration.document(replace(record(), collectives=made))))
    loaded = load_calibration(str(path))
    links = replace(ALONE, scale_up_domain=8.0, scale_up_bandwidth=1e11)
    found = as_joined(loaded, links)
    assert found.all_gather is None
    assert found.scale_up_bandwidth == links.scale_up_bandwidth
    group = collectives.group(4.0, 1.0, found, load_stack("eager").stack.constants())
    for nbytes in (2.0**20, 2.0**27):
        assert float(collectives.all_reduce(nbytes, group)) == pytest.approx(alpha + nbytes / rate, rel=0.02)


def problem(asked: dict[str, object]) -> str:
    with pytest.raises(InputError) as caught:
        load_scenario(asked)
    return str(caught.value)


def test_another_device_is_refused(tmp_path):
    unknown = written(tmp_path)
    said = problem(scenario(unknown, "h100-sxm"))
    assert "was measured on Some CPU, which has no hardware file, and the cluster has" in said
    assert "cluster.accelerator as a mapping that describes Some CPU" in said
    of_a100 = written(tmp_path, "a100.yaml", catalogue="a100-80gb-sxm")
    assert "did you mean 'a100-80gb-sxm'?" in problem(scenario(of_a100, "h100-sxm"))


def test_products_above_the_peak_are_refused(tmp_path):
    slow = BOX | {"peak_flops": {"bf16": "1 TFLOP/s"}}
    assert "above the accelerator's peak of 1e+12 in bf16" in problem(scenario(written(tmp_path), slow))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema: costsim-calibration/1", "schema: costsim-calibration/2", "a calibration of format 2"),
        ("schema: costsim-calibration/1", "schema: something/1", "is not a calibration: its schema is something/1"),
        ("mode: quick", "mode: quik", "'quik' is not accepted; one of quick, default, full; did you mean 'quick'?"),
        ("    score: {", "    skore: {", "score are missing"),
        ("status: good", "status: fine", "'fine' is not accepted"),
        ("created: '2026-11-24T18:00:00+00:00'", "created: yesterday", "is no time"),
        ("  transfer: 0.04", "  transfer: 0", "transfer"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(tmp_path, old, new, said):
    path = Path(written(tmp_path))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    problems = check_file(str(path))
    assert problems
    assert any(said in str(one) for one in problems), problems
    assert all(one.line for one in problems)


def test_a_covariance_that_is_none_is_refused(tmp_path):
    path = Path(written(tmp_path))
    lines = path.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("  covariance"))
    lines[at + 1] = lines[at + 1].replace("- [", "- [-", 1)
    path.write_text("\n".join(lines) + "\n")
    assert "is no covariance" in str(check_file(str(path))[0])


# --- show and compare -------------------------------------------------------------------------------------------------


def test_a_slower_machine_is_marked_beyond_noise_and_an_equal_one_is_not(tmp_path):
    before, same, slow = (
        written(tmp_path, name, slower=factor) for name, factor in (("a.yaml", 1), ("b.yaml", 1.01), ("c.yaml", 1.3))
    )
    assert not held.compared(before, same)["worse"]
    found = held.compared(before, slow)
    assert len(found["worse"]) == len(DESIGNED)
    assert all(name.startswith("step ") for name in found["worse"])
    assert not found["better"]
    assert len(held.compared(slow, before)["better"]) == len(DESIGNED)


def test_show_lists_every_coefficient_with_its_doubt(tmp_path):
    found = held.shown(written(tmp_path))
    assert len(found["coefficients"]) == len(true().values)
    assert all(one["spread"] > 0 for one in found["coefficients"])
    json.dumps(found, allow_nan=False)
