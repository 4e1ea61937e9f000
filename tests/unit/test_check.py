"""Checking files of every kind: what each is taken for, and what is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from plan_cases import FULL, SMALL, changed

from costsim.check import check_file
from costsim.inputs import catalogue
from costsim.inputs.signs import kind_of_file
from costsim.inputs.yaml_source import read_path

ROOT = Path(__file__).parents[2]
FOLDERS = {
    "hardware": ROOT / "hardware",
    "scenario": ROOT / "scenarios",
    "stack": ROOT / "costsim" / "data" / "stacks",
    "site": ROOT / "costsim" / "data" / "sites",
    "law": ROOT / "costsim" / "data" / "laws",
    "model": ROOT / "costsim" / "data" / "models",
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_shipped_files_are_fine_and_are_what_they_are(kind: str) -> None:
    for file in sorted(FOLDERS[kind].glob("*.yaml")):
        if kind != "stack" or file.stem == "generic":
            assert kind_of_file(read_path(file)) == kind, file.name
        assert check_file(str(file)) == [], file.name


CONFIGS = sorted((ROOT / "tests" / "data" / "hf_configs").glob("llama-3*.json"))


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_hugging_face_configs_are_fine(file: Path) -> None:
    assert check_file(str(file)) == []


def test_a_scenario_may_be_named() -> None:
    assert check_file("llama-3.1-405b") == []
    [problem] = check_file("llama-3.1-405")
    assert problem.suggestion == "llama-3.1-405b"


@pytest.mark.parametrize(
    ("kind", "name", "old", "new", "path"),
    [
        ("hardware", "h100-sxm", "capacity: 80 GiB", "capacity: 80", "memory.capacity"),
        ("site", "us-texas", "pue:", "puee:", "puee"),
        ("law", "kaplan-2020", "alpha:", "alphaa:", "parameters.alphaa"),
        ("stack", "generic", "data_overlap: {value: 0.8", "data_overlap: {value: 1.8", "data_overlap"),
        ("model", "gpt2", "layers: 12", "layers: 0", "layers"),
        ("scenario", "gpt2-124m", "accelerators: 8", "accelerators: 8 GB", "cluster.accelerators"),
    ],
)
def test_a_broken_copy_is_found_with_its_place(
    tmp_path: Path, kind: str, name: str, old: str, new: str, path: str
) -> None:
    text = (FOLDERS[kind] / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.count(old) >= 1
    file = tmp_path / f"{name}.yaml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    problems = check_file(str(file))
    assert path in [problem.path for problem in problems]
    line = 1 + text[: text.index(old)].count("\n")
    assert line in [problem.line for problem in problems if problem.path == path]
    assert all(problem.file == str(file) for problem in problems)


def test_problems_that_only_the_whole_shows_are_found(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps(changed(SMALL, {"training.precision": "fp4"})))
    assert [problem.path for problem in check_file(str(file))] == ["training.precision"]
    file.write_text(json.dumps(changed(FULL, {"cluster.layout": {"expert": 4}})))
    assert [problem.path for problem in check_file(str(file))] == ["cluster.layout.expert"]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff\n")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("broken.yaml", "broken.json", "list.yaml", "latin.yaml", "folder.yaml", "none.yaml"):
        problems = check_file(str(tmp_path / name))
        assert len(problems) == 1, name
        assert problems[0].file == str(tmp_path / name)
        assert problems[0].message


def test_what_a_scenario_names_is_checked_too(tmp_path: Path) -> None:
    shutil.copy(FOLDERS["hardware"] / "h100-sxm.yaml", tmp_path / "chip.yaml")
    text = (tmp_path / "chip.yaml").read_text(encoding="utf-8").replace("tdp: 700 W", "tdp: 700")
    (tmp_path / "chip.yaml").write_text(text, encoding="utf-8")
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps(changed(SMALL, {"cluster.accelerator": "chip.yaml"})))
    [problem] = check_file(str(file))
    assert problem.file == str(tmp_path / "chip.yaml")
    assert "700" in problem.message


def test_every_kind_of_the_catalogue_is_told_apart() -> None:
    assert {"hardware", "scenarios", "stacks", "sites", "laws", "models"} == set(catalogue.KINDS)


def test_what_only_a_plan_finds_is_found(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("extends: bloom-176b\ncluster: {accelerators: 100, layout: {tensor: 8}}\n")
    [problem] = check_file(str(file))
    assert (problem.file, problem.line, problem.path) == (str(file), 2, "cluster.layout")


def test_numbers_that_are_not_finite_are_told_beside_all_else(tmp_path: Path) -> None:
    text = """\
costsim: 1
name: x
model: nope
training: {tokens: .nan, sequence_length: -4, global_batch_tokens: 4M}
cluster: {accelerator: h100-smx, accelerators: 1e999, mfu: -.Inf}
cost: {contingency: {value: .NaN, source: mine}}
uncertainty: {draws: .nan, seed: 1e-999}
"""
    (tmp_path / "s.yaml").write_text(text, encoding="utf-8")
    told = {problem.path: problem for problem in check_file(str(tmp_path / "s.yaml"))}
    expected = {"model": 3, "training.tokens": 4, "training.sequence_length": 4, "cluster.accelerator": 5,
                "cluster.accelerators": 5, "cluster.mfu": 5, "cost.contingency": 6, "uncertainty.draws": 7,
                "uncertainty.seed": 7}  # fmt: skip
    assert {path: problem.line for path, problem in told.items()} == expected
    assert "'.nan' is no number" in told["training.tokens"].message
