"""README.md against the program: what it shows is what a reader gets, and what it claims is what was measured.

``pytest tests/unit/test_readme.py --update`` writes the shown plan and the table of hours anew; review the difference.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from documents import commands, examples, tables
from processes import Run

from costsim.cli.app import COMMANDS
from costsim.inputs import catalogue
from costsim.inputs.scenario import load_scenario
from costsim.inputs.yaml_source import read, split_sourced
from costsim.plan import plan
from costsim.render import formats
from costsim.render.text import Screen
from costsim.validate import validate

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))

REPORTED = {
    "gpt2-124m": (12.53, "llm.c, discussion 481: 94 minutes on 8 A100"),
    "bloom-176b": (1.08288e6, "LLaMA paper, table 15"),
    "llama-2-70b": (1.72032e6, "model card; the layout is searched"),
    "llama-3.1-405b": (30.84e6, "model card"),
    "deepseek-v3": (2.664e6, "technical report, table 1; experts"),
    "palm-540b": (8.405e6, "PaLM, appendix B; goodput is given"),
    "gpt3-175b": (3.55e6, "Patterson et al. 2021, table 4; MFU is given"),
    "olmo-3-7b": (234e3, "the team, by Bradbury 2025; evaluation and restarts in it"),
    "llama-3.1-8b": (1.46e6, "model card; holds more than one pass"),
}
"""Accelerator-hours that were reported for shipped scenarios, and by whom. Those far off stay in the table."""


def text() -> str:
    return README.read_text(encoding="utf-8")


def between(opening: str, closing: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=^{re.escape(opening)}$\n).*?(?=^{re.escape(closing)}$)", re.DOTALL | re.MULTILINE)


def hold(opening: str, closing: str, wanted: str, update: bool) -> None:
    """Check that what stands between two marks is what is wanted, or write it there."""
    marked = between(opening, closing)
    found = marked.search(text())
    assert found is not None, f"README.md has no {opening} ... {closing}"
    if update:
        README.write_text(marked.sub(lambda _: wanted, text()), encoding="utf-8")
    else:
        assert found[0] == wanted, "run pytest tests/unit/test_readme.py --update, and review the difference"


def test_the_shown_plan_is_what_is_printed(update: bool) -> None:
    printed = formats.plan_text(plan("llama-3.1-405b").to_dict(), "table", Screen(80))
    hold("<!-- output:llama-3.1-405b -->", "<!-- /output -->", f"```\n{printed.rstrip()}\n```\n", update)


def hours_row(name: str) -> list[str]:
    scenario = load_scenario(name, ["uncertainty.draws=0"])
    planned = plan(scenario).to_dict()["run"]["accelerator_hours"]
    reported, source = REPORTED[name]
    digits = [f"{hours:,.0f}" if hours >= 1e4 else f"{hours:.1f}" for hours in (reported, planned)]
    return [scenario.name, *digits, f"{planned / reported:.2f}", source]


def test_the_table_of_hours_is_what_is_planned(update: bool) -> None:
    header = ["run", "reported", "planned", "ratio", "reported by, and what to know"]
    rows = [header, ["---", "--:", "--:", "--:", "---"]]
    rows += [hours_row(name) for name in REPORTED]
    hold("<!-- hours -->", "<!-- /hours -->", "".join(f"| {' | '.join(row)} |\n" for row in rows), update)


def test_what_is_said_of_the_hours() -> None:
    ratios = [float(hours_row(name)[3]) for name in REPORTED]
    far = [ratio for ratio in ratios if not 0.8 <= ratio <= 1.2]
    assert "mostly within about 20 %, once far below" in text()
    assert len(far) == 1
    assert max(far) < 0.5
    assert "the nine runs below" in text()
    assert len(ratios) == 9


@pytest.mark.parametrize("mark", ["plan", "test"])
def test_the_two_commands_stand_where_scripts_look_for_them(mark: str) -> None:
    after = text().split(f"\n<!-- {mark} -->\n")
    assert len(after) == 2
    line = next(line for line in after[1].splitlines() if line.startswith("python3"))
    assert after[1].splitlines().index(line) <= 1
    assert line.startswith("python3 -m venv .venv && .venv/bin/pip install -q -e ")
    assert "-c constraints.txt && .venv/bin/" in line
    extras = re.findall(r"\[([a-z,]+)\]", line)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert {extra for group in extras for extra in group.split(",")} <= set(known)


def test_the_first_command_plans_a_scenario_that_ships() -> None:
    line = next(line for line in text().splitlines() if "/costsim plan " in line)
    assert (ROOT / shlex.split(line)[-1]).is_file()


def test_commands_run_in_turn(inside: Run) -> None:
    lines = commands(README)
    assert len(lines) >= 6
    measured = [line for line in lines if any("my-box.yaml" in word for word in line)]
    assert len(measured) == 2  # a measurement, which tests of bench make, and a plan on the measured device
    for line in (line for line in lines if line not in measured):
        done = inside(*line)
        assert done.returncode == 0, f"costsim {shlex.join(line)}: {done.stderr}"


@pytest.mark.parametrize("code", examples(README, "python"))
def test_examples_in_python_run(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "README.md", "exec"), {})
    assert "p95" in capsys.readouterr().out


def test_the_commands_are_all_listed() -> None:
    rows = next(rows for _, header, rows in tables(text()) if header == ["command", "does"])
    assert {row[0].strip("`").split()[0] for row in rows} == set(COMMANDS)


def test_the_accuracy_that_is_claimed_is_that_which_is_measured() -> None:
    said = {row[0]: " ".join(row[2:]) for row in next(r for _, h, r in tables(text()) if h[0] == "figure")}
    subsets = validate("step")["subsets"]
    file = split_sourced(read(*reversed(catalogue.data_text("coverage.yaml"))))[0].value
    for kind, experts in (("dense", False), ("experts", True)):
        wanted = {"regime": "new_source", "has_layout": True, "experts": experts}
        found = next(s for s in subsets if all(s.get(k) == v for k, v in wanted.items()))
        median, ninth = (f"{found[key]:.0%}".replace("%", " %") for key in ("median_abs_error", "p90_abs_error"))
        claim = f"{found['n']} published steps median {median}, nine in ten below {ninth}; held out by source"
        assert said[f"step time, MFU: {kind}"] == claim
        assert file["step"][kind]["held_out"]
    memory = file["memory"]
    error = f"{memory['median_error']:.0%}".replace("%", " %")
    assert said["memory"] == f"{memory['runs']} measured peaks median {error}; not held out"


def test_the_catalogue_is_as_large_as_is_said() -> None:
    said = re.search(r"more than ([0-9]+) accelerators and ([0-9]+) models", text())
    assert said is not None
    for kind, least in zip(("hardware", "models"), said.groups(), strict=True):
        assert len(catalogue.names(kind)) > int(least)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    body = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", re.sub(r"`[^`]*`", "", body)):
        assert target.startswith("https://") or ((ROOT / page).parent / target).exists(), f"{page}: {target}"


def test_changes_of_this_version_are_told() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
