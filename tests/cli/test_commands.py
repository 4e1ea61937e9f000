"""Each command: what it says, and what it exits with."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import ROOT, Run, environment

from costsim.cli import app

POINT = ("plan", "gpt2-124m", "--draws", "0")
BAD = """\
costsim: 1
name: x
model: gpt2-124m
trainig:
  tokens: 1B
cluster:
  accelerator: h100-sxm
  accelerators: -3
"""


def only_line(text: str) -> str:
    """The one line of a message."""
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    return text[:-1]


@pytest.mark.parametrize("line", [("--help",), *((name, "--help") for name in app.COMMANDS)])
def test_help_has_examples_before_options_and_every_exit_code(inside: Run, line: tuple[str, ...]) -> None:
    done = inside(*line)
    assert (done.returncode, done.stderr) == (0, "")
    assert 0 < done.stdout.index("Examples:") < done.stdout.index("Options:") < done.stdout.index("Exit codes:")
    for code in ("0 ", "1 ", "2 ", "70 ", "130 "):
        assert re.search(rf"^ +{code}", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_every_summary_is_shown_whole(inside: Run) -> None:
    shown = inside("--help").stdout
    for name, summary in app.COMMANDS.items():
        assert re.search(rf"^ +{name} +{re.escape(summary)}$", shown, re.MULTILINE)


def test_no_command_is_bad_usage_and_shows_the_help(inside: Run) -> None:
    done = inside()
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("Usage: costsim")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["plam"], "costsim: no such command 'plam'. Did you mean 'plan'? (see costsim --help)"),
        (["plan"], "costsim plan: missing argument 'SCENARIO' (see costsim plan --help)"),
        (
            ["plan", "x", "--drws", "3"],
            "costsim plan: no such option: --drws. Did you mean --draws? (see costsim plan --help)",
        ),
        (["--versio"], "costsim: no such option: --versio. Did you mean --version? (see costsim --help)"),
        (["plan", "a", "b"], "costsim plan: got unexpected extra argument(s) (b) (see costsim plan --help)"),
        (["plan", "x", "--format"], "costsim: option '--format' requires an argument (see costsim --help)"),
        (["plan", "x", "--format", "html"], "--format: no format 'html'; formats: table, json, csv, markdown"),
        (
            ["plan", "x", "--format", "jsn"],
            "--format: no format 'jsn'; formats: table, json, csv, markdown; did you mean 'json'?",
        ),
        (
            ["plan", "x", "-o", "x.html"],
            "--output: the suffix of 'x.html' names no format; .txt, .json, .csv, .md, .markdown, or --format",
        ),
        (["compare", "gpt2-124m"], "compare: one scenario is nothing to compare; two scenarios or more"),
        (["compare", "-", "-"], "-: standard input can be only one of the scenarios"),
        (
            ["show", "hardwre"],
            "show: no kind 'hardwre'; hardware, models, laws, stacks, sites, scenarios; did you mean 'hardware'?",
        ),
        (
            ["schema", "scenrio"],
            "schema: no kind 'scenrio'; scenario, hardware, model, law, stack, site, calibration; did you mean"
            " 'scenario'?",
        ),
    ],
)
def test_bad_usage_is_one_line(inside: Run, line: list[str], message: str) -> None:
    done = inside(*line)
    assert (done.returncode, done.stdout) == (2, "")
    assert only_line(done.stderr) == message


@pytest.mark.parametrize(
    ("option", "value"),
    [("--draws", "abc"), ("--draws", "-1"), ("--draws", "1.5"), ("--draws", "1e99"), ("--seed", "x"), ("--seed", ""),
     ("--max-cost", "3 parsec"), ("--max-cost", "nan"), ("--max-days", "5 GiB"), ("--max-days", "-1")],
)  # fmt: skip
def test_numbers_that_are_none_are_bad_input(inside: Run, option: str, value: str) -> None:
    done = inside("plan", "gpt2-124m", f"{option}={value}")
    assert (done.returncode, done.stdout) == (2, "")
    assert only_line(done.stderr).startswith(f"{option}: ")


def test_a_scenario_that_is_not_there_is_suggested(inside: Run) -> None:
    done = inside("plan", "lama-3.1-405b")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'llama-3.1-405b'?" in only_line(done.stderr)


def test_plans_come_from_files_names_and_stdin_alike(inside: Run, tmp_path: Path) -> None:
    text = (ROOT / "scenarios" / "gpt2-124m.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    plans = [
        inside(*POINT),
        inside("plan", "mine.yaml", "--draws", "0"),
        inside("plan", "-", "--draws", "0", stdin=text),
    ]
    assert {done.returncode for done in plans} == {0}
    answers = {re.sub(r"Assumed.*", "", done.stdout, flags=re.DOTALL) for done in plans}
    assert len(answers) == 1


def test_quiet_and_verbose(inside: Run) -> None:
    lengths = [len(inside(*POINT, option).stdout.splitlines()) for option in ("-q", "--draws=0", "-v")]
    assert lengths[0] < lengths[1] < lengths[2]


def test_explanations_are_in_every_format(inside: Run) -> None:
    assert "Explained" in inside(*POINT, "--explain").stdout
    assert "## Explanations" in inside(*POINT, "--explain", "--format", "markdown").stdout
    assert ",formula,source" in inside(*POINT, "--explain", "--format", "csv").stdout
    rows = json.loads(inside(*POINT, "--explain", "--format", "json").stdout)["explain"]
    assert {"path", "formula", "inputs", "source"} <= set(rows[0])


def test_limits_answer_with_the_exit_code(inside: Run) -> None:
    assert inside(*POINT, "--max-cost", "1M", "--max-days", "1000").returncode == 0
    done = inside(*POINT, "--max-cost", "1 USD", "--max-days", "1 s")
    assert done.returncode == 1
    assert "Cost" in done.stdout
    reasons = done.stderr.splitlines()
    assert re.fullmatch(r"the answer is no: \$[0-9.]+k? is over --max-cost \$1\.00", reasons[0])
    assert re.fullmatch(r"the answer is no: .* is over --max-days .*", reasons[1])
    quiet = inside(*POINT, "--max-cost", "1 USD", "-q")
    assert quiet.returncode == 1
    assert "is over --max-cost" in quiet.stderr


def test_what_does_not_fit_is_planned_and_exits_with_one(inside: Run) -> None:
    done = inside("plan", "llama-3.1-405b", "--draws", "0", "--set", "cluster.accelerators=8", "--set",
               "cluster.layout={data: 8, sharding: none}")  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"^Fits +no", done.stdout, re.MULTILINE)
    assert done.stderr.splitlines()[0] == "the answer is no: it does not fit in memory"


def test_a_comparison_with_what_does_not_fit_exits_with_one_and_says_which(inside: Run) -> None:
    done = inside("compare", "llama-3.1-405b", "llama-3.1-405b", "--draws", "0", "--set", "cluster.accelerators=8",
                  "--set", "cluster.layout={data: 8, sharding: none}")  # fmt: skip
    assert done.returncode == 1
    assert "Inputs that differ" in done.stdout
    assert done.stderr == "the answer is no: llama-3.1-405b does not fit in memory\n" * 2


def test_too_many_draws_are_refused_with_the_true_limit(inside: Run) -> None:
    done = inside("plan", "gpt2-124m", "--draws", "1e8")
    assert done.returncode == 2
    assert re.search(r"--draws: .*between 0 and 1(e\+07|0,000,000|0000000|0M)", done.stderr)


def test_comparisons(inside: Run) -> None:
    line = ("compare", "rent-or-own-1024-h100", "rent-or-own-1024-h100-owned", "--draws", "0")
    done = inside(*line)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Inputs that differ" in done.stdout
    made = json.loads(inside(*line, "--format", "json").stdout)
    assert made["schema"] == "costsim.compare/1"
    assert {"scenarios", "differences", "attribution"} <= set(made)
    assert inside(*line, "--format", "csv").stdout.startswith("path,kind,unit,")
    assert inside(*line, "--format", "markdown").stdout.startswith("<!-- costsim compare -->")


@pytest.mark.parametrize("kind", ["hardware", "models", "laws", "stacks", "sites", "scenarios"])
def test_the_catalogue_is_listed_and_each_entry_shown(inside: Run, kind: str) -> None:
    listed = json.loads(inside("show", kind, "--format", "json").stdout)
    assert listed["schema"] == "costsim.show/1"
    names = [entry["name"] for entry in listed["entries"]]
    assert names == sorted(names)
    assert len(names) >= 3
    done = inside("show", kind)
    assert done.returncode == 0
    assert all(name in done.stdout for name in names)
    for shape in ("table", "json", "csv", "markdown"):
        shown = inside("show", kind, names[0], "--format", shape)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert names[0] in shown.stdout or shape == "csv"


def test_an_entry_has_its_sources(inside: Run) -> None:
    shown = json.loads(inside("show", "hardware", "H100", "--format", "json").stdout)  # an alias
    assert shown["name"] == "h100-sxm"
    by_path = {row["path"]: row for row in shown["values"]}
    assert by_path["peak_flops.bf16"]["value"] == "989.4 TFLOP/s"
    assert by_path["peak_flops.bf16"]["source"] in shown["sources"]
    assert by_path["peak_flops.bf16"]["known"] == "published"


def test_an_unknown_entry_is_suggested(inside: Run) -> None:
    done = inside("show", "hardware", "h100-sxn")
    assert done.returncode == 2
    assert "h100-sxm" in only_line(done.stderr)


def test_check_reports_every_problem_of_every_file(inside: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    (tmp_path / "good.yaml").write_text("extends: gpt2-124m\n")
    done = inside("check", "good.yaml", "bad.yaml", "missing.yaml")
    assert done.returncode == 2
    assert done.stdout == "good.yaml: ok\n"
    lines = done.stderr.splitlines()
    assert any(re.match(r"bad\.yaml:4:1: trainig: .*did you mean 'training'\?", line) for line in lines)
    assert any(line.startswith("bad.yaml:8:") for line in lines)
    assert any(line.startswith("missing.yaml: ") for line in lines)
    fine = inside("check", "good.yaml")
    assert (fine.returncode, fine.stdout, fine.stderr) == (0, "good.yaml: ok\n", "")
    assert inside("check", "good.yaml", "-q").stdout == ""


def test_check_as_json(inside: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD)
    done = inside("check", "bad.yaml", "--format", "json")
    assert done.returncode == 2
    assert done.stderr == ""
    (found,) = json.loads(done.stdout)["files"]
    assert found["ok"] is False
    assert {problem["line"] for problem in found["problems"]} >= {4, 8}


def test_every_shipped_file_passes_its_check(inside: Run) -> None:
    shipped = [*(ROOT / "hardware").glob("*.yaml"), *(ROOT / "scenarios").glob("*.yaml")]
    for kind in ("models", "laws", "stacks", "sites"):
        shipped += (ROOT / "costsim" / "data" / kind).glob("*.yaml")
    done = inside("check", *map(str, sorted(shipped)))
    assert done.stderr == ""
    assert done.stdout.count(": ok\n") == len(shipped) > 50


def test_a_new_scenario_checks_and_plans(cli: Run, tmp_path: Path) -> None:
    done = cli("new", "my run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "my run.yaml\n", "next: costsim plan my run.yaml\n")
    assert cli("check", "my run.yaml").stdout == "my run.yaml: ok\n"
    plan = cli("plan", "my run.yaml", "--draws", "200")
    assert plan.returncode == 0
    assert plan.stdout.startswith("my run · ")
    again = cli("new", "my run.yaml")
    assert again.returncode == 2
    assert "is there already" in only_line(again.stderr)
    assert cli("new", "no/such/folder").returncode == 2


@pytest.mark.parametrize("name", ["é中", "it's: a #name", "a\\b", "{x}", "%s"])
def test_a_new_scenario_may_have_any_name(inside: Run, name: str) -> None:
    assert inside("new", name).returncode == 0
    assert inside("plan", f"{name}.yaml", "--draws", "0").stdout.startswith(f"{name} · ")


@pytest.mark.parametrize("name", ["x\x1b[2J", "a\nb", "\u202ex", "", " "])
def test_a_name_that_cannot_be_seen_is_refused(inside: Run, tmp_path: Path, name: str) -> None:
    done = inside("new", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert only_line(done.stderr).isprintable()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["scenario", "hardware", "model", "law", "stack", "site"])
def test_schemas(inside: Run, kind: str, tmp_path: Path) -> None:
    made = json.loads(inside("schema", kind).stdout)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert made["type"] == "object"
    assert made["additionalProperties"] is False
    assert "costsim" in made["properties"]
    assert inside("schema", kind, "-o", "schema.json").returncode == 0


def test_the_version(inside: Run) -> None:
    assert re.fullmatch(r"costsim \d+\.\d+\.\d+\n", inside("--version").stdout)
    assert inside("plan", "--version").stdout == inside("--debug", "--version").stdout == inside("--version").stdout
    assert "numpy" in inside("--version", "-v").stdout


def test_completion_knows_commands_and_scenarios(cli: Run) -> None:
    def completed(words: str, index: int) -> list[str]:
        env = {"_COSTSIM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        return cli(**env).stdout.split()

    assert completed("costsim pl", 1) == ["plan"]
    assert "llama-3.1-405b" in completed("costsim plan llama-3.1", 2)
    assert completed("costsim show har", 2) == ["hardware"]


def test_an_interrupt_exits_with_130_and_no_traceback(tmp_path: Path) -> None:
    # A job in the background ignores interrupts, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    child = subprocess.Popen(
        [sys.executable, "-m", "costsim", "plan", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(),
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    time.sleep(1.5)  # it is reading its standard input by now
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out, err) == (130, "", "interrupted\n")
