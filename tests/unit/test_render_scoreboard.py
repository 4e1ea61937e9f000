"""A scoreboard at any width, in ASCII, with hostile names; and the command around it."""

from __future__ import annotations

import csv
import io
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import fake_predictor
import pytest
from documents import tables
from fake_predictor import predict
from processes import Run

from costsim.evidence.predicted import Omitted
from costsim.render import formats
from costsim.render.scoreboard import to_csv
from costsim.render.text import Screen, width
from costsim.validate import validate

HEADER = "id,source_group,hardware,precision,n_devices,layers,d_model,tp,step_time_s,model"


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "costsim.evidence.predictions", SimpleNamespace(predict=predict))


def test_a_group_of_one_model_that_a_constant_beats_is_marked_and_not_counted():
    def worse(what, rows, regime):
        found, *rest = predict(what, rows, regime)
        slow = [row for row in found if row.row["source_group"] == "vtrain-single"]
        return [replace(row, predicted=row.measured * 2, row={**row.row, "model": "one"}) for row in slow], *(
            [], [*rest[0], *rest[1], *(Omitted(row.row["id"], "aside") for row in found if row not in slow)],
        )  # fmt: skip

    found = validate("step", predictor=worse)
    assert [(group["lost"], group["worse_in_one_model"]) for group in found["groups"]] == [(False, True)]
    assert next(bar for bar in found["bars"] if bar["measure"] == "groups_lost")["value"] == 0
    narrow = formats.validation_text(found, "table", Screen(80)).splitlines()
    assert next(line for line in narrow if line.startswith("vtrain-single")).endswith("  one model")
    assert any(line.startswith("one model: the constant is better") for line in narrow)
    assert "| one model: not counted |" in formats.validation_text(found, "markdown", Screen())


def test_scores_of_few_rows_are_marked():
    lines = formats.validation_text(validate("step", predictor=predict), "table", Screen(80)).splitlines()
    few = [line for line in lines if line.endswith("  few")]
    assert any(line.startswith("bigscience-bloom") for line in few)
    assert not any(line.startswith(("llm-foundry", "all")) for line in few)


def test_runs_that_ran_out_of_memory_are_shown_with_their_chance_of_fitting():
    found = validate("memory")
    out = [row["id"] for row in found["rows"] if row["measured"] is None]
    assert found["pooled"]["n"] + len(out) + len(found["skipped"]) + len(found["ineligible"]) == 96
    for kind in ("table", "markdown"):
        text = formats.validation_text(found, kind, Screen(120))
        assert re.search(r"Ran out.*\b3\b", text)
        assert all(re.search(rf"{name} \d+ %", text) for name in out)


def test_the_first_line_says_which_constants_were_used():
    for what, regime in (("step", "known stack"), ("memory", "as shipped")):
        text = formats.validation_text(validate(what, predictor=predict), "table", Screen(120))
        assert f", {regime}: " in text.splitlines()[0]


@pytest.mark.parametrize("what", ["step", "memory", "hours"])
@pytest.mark.parametrize("columns", [80, 120])
def test_no_line_is_wider_than_the_screen(what, columns):
    found = validate(what, predictor=predict)
    text = formats.validation_text(found, "table", Screen(columns))
    assert max(width(line) for line in text.splitlines()) <= columns
    assert text.endswith("\ncostsim validate\n")


def test_long_names_of_rows_stand_above_their_figures():
    found = validate("serving")
    lines = formats.validation_text(found, "table", Screen(80)).splitlines()
    assert max(map(width, lines)) <= 80
    at = lines.index("Furthest off")
    assert lines[at + 1].split() == ["measured", "predicted", "error"]
    assert lines[at + 2] in {row["id"] for row in found["rows"]}
    assert lines[at + 3].endswith("%")
    wide = formats.validation_text(found, "table", Screen(160)).splitlines()
    assert any(line.startswith(f"{lines[at + 2]} ") for line in wide)  # beside them, where there is room


def test_quiet_shows_the_answer_and_what_is_missed():
    found = validate("memory", predictor=predict)
    text = formats.validation_text(found, "table", Screen(), quiet=True)
    assert "missed" in text
    assert "Groups" not in text
    assert " met" not in text


def test_ascii_screens_get_ascii():
    found = validate("step", predictor=predict)
    for kind in ("table", "csv", "markdown"):
        assert formats.validation_text(found, kind, Screen(80, unicode=False)).isascii()


def test_lost_groups_and_where_they_are_lost_are_shown():
    def worse(what, rows, regime):
        found, *rest = predict(what, rows, regime)
        slow = {"known_stack": ("vtrain-single",), "new_source": ("vtrain-single", "vtrain-multi")}.get(regime, ())
        return [
            replace(row, predicted=row.measured * 2) if row.row["source_group"] in slow else row for row in found
        ], *rest

    lines = formats.validation_text(validate("step", predictor=worse), "table", Screen(80)).splitlines()
    assert next(line for line in lines if line.startswith("vtrain-single")).endswith("  lost")
    assert next(line for line in lines if line.startswith("vtrain-multi")).endswith("  lost new")


def test_csv_has_a_row_a_result():
    found = validate("step", predictor=predict)
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert len(rows) == found["pooled"]["n"]
    assert float(rows[0]["error"]) == found["rows"][0]["error"]
    assert float(rows[0]["error_new_source"]) == found["rows"][0]["other_regimes"]["new_source"]["error"]


def test_markdown_has_every_group_and_every_bar():
    found = validate("step", predictor=predict)
    made = {heading: rows for heading, _, rows in tables(formats.validation_text(found, "markdown", Screen()))}
    assert len(made["Bars"]) == len(found["bars"])
    assert len(made["Source groups"]) == len(found["groups"])
    assert sum(int(row[0]) for row in made[f"Ineligible: {len(found['ineligible'])}"]) == len(found["ineligible"])


def test_hostile_names_steer_no_terminal_and_break_no_table(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(f"{HEADER}\n\x1b[31m=cmd|x,<b>g|h\x1b[0m,H100,bf16,8,2,4,1,1.5,=1+1\n", encoding="utf-8")
    found = validate(evidence=path, predictor=predict)
    detail = validate(evidence=path, row="\x1b[31m=cmd|x", predictor=predict)
    for kind in ("table", "json", "csv", "markdown"):
        for each in (found, detail):
            assert "\x1b" not in formats.validation_text(each, kind, Screen())
    assert "'=1+1" in formats.validation_text(found, "csv", Screen())
    assert "<b>" not in formats.validation_text(found, "markdown", Screen())


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("faked")
def test_the_exit_code_tells_whether_the_bars_are_met(inside: Run):
    assert inside("validate", "--what", "hours").returncode == 0
    done = inside("validate", "--what", "memory", "-q")
    assert done.returncode == 1
    assert "missed" in done.stdout
    assert done.stderr == ""


@pytest.mark.usefixtures("faked")
def test_evidence_without_a_row_that_can_be_predicted_is_bad_input(inside: Run):
    done = inside("validate", "--evidence", "-", stdin=f"{HEADER}\na,mine,H100,bf16,8,,4,1,1.5,m\n")
    assert done.returncode == 2
    assert "0 of 1 published results" in done.stdout
    assert done.stderr.splitlines() == ["<stdin>: no row can be predicted", "<stdin>: 1 row: no shape"]


@pytest.mark.usefixtures("faked")
def test_evidence_from_a_pipe_and_a_result_in_a_file(inside: Run, tmp_path):
    text = f"{HEADER}\na,mine,H100,bf16,8,2,4,1,1.5,m\n"
    assert "1 of 1 published results" in inside("validate", "--evidence", "-", stdin=text).stdout
    for suffix in ("md", "csv", "json", "txt"):
        for _ in range(2):  # a file of ours may be replaced
            done = inside("validate", "--what", "hours", "-o", f"board.{suffix}")
            assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
    (tmp_path / "mine.csv").write_text(text)
    done = inside("validate", "--what", "hours", "-o", "mine.csv")
    assert done.returncode == 2
    assert (tmp_path / "mine.csv").read_text() == text


@pytest.mark.usefixtures("faked")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        (("--what", "speed"), "--what: cannot validate 'speed'; one of step, memory, hours"),
        (("--row", "thr-nothing"), "--row: no row 'thr-nothing' in data/evidence/throughput.csv"),
        (("--evidence", "none.csv"), "none.csv: no such file"),
        (("--format", "html"), "--format: no format 'html'"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(inside: Run, line, message):
    done = inside("validate", *line)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_the_stand_in_spreads_as_it_says():
    draws = [fake_predictor.deviate(str(i)) for i in range(400)]
    assert abs(sum(draws)) / 400 < 0.15
