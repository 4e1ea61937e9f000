"""Software stacks: the shipped ones, one's own, and which a cluster has that names none."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.accelerator import load_accelerator
from costsim.inputs.stack import default_stack, load_stack
from costsim.plan import plan
from costsim.training.device import Stack

NAMES = catalogue.names("stacks")
OWN = """\
costsim: 1
name: {name}
title: Mine
family: mine
summary: My own.
extends: {extends}
sources:
  me: {{title: Me, url: "https://example.org", accessed: 2026-01-01}}
"""


def refused(reference: Any, path: str = "cluster.stack") -> list[str]:
    with pytest.raises(InputError) as caught:
        load_stack(reference, path=path)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize("name", NAMES)
def test_shipped_stacks_are_whole_and_sourced(name: str) -> None:
    loaded = load_stack(name)
    assert loaded.stack.name == name
    constants = loaded.stack.constants()
    for field in fields(Stack):
        assert isinstance(getattr(constants, field.name), float)
        if field.name != "residual":  # which comes of the fit
            assert {field.name, f"{field.name}.other"} & set(loaded.facts), field.name
    for fact in loaded.facts.values():
        assert fact.known in ("measured", "published", "derived", "estimated")
        assert fact.source in loaded.stack.sources or fact.source.startswith("https://")
    assert constants.memory_spread > 0


def test_a_child_keeps_what_it_does_not_say() -> None:
    parent, child = load_stack("generic"), load_stack({"matmul": 0.8, "scale_up_efficiency": {"mesh": 0.3}})
    assert child.stack.matmul == 0.8
    assert child.stack.scale_up_efficiency.mesh == 0.3
    assert child.stack.scale_up_efficiency.switch == parent.stack.scale_up_efficiency.switch
    names = type(child.stack).model_fields
    changed = {name for name in names if getattr(child.stack, name) != getattr(parent.stack, name)}
    assert changed == {"name", "title", "family", "summary", "matmul", "scale_up_efficiency"}


def test_a_constant_of_ones_own_does_not_keep_the_parents_source() -> None:
    facts = load_stack({"matmul": 0.8}).facts
    assert "matmul" not in facts
    assert facts["host_seconds"].source == "prior"


def test_one_may_extend_any_stack_and_a_file_beside() -> None:
    assert load_stack({"extends": "megatron-core"}).stack.search == load_stack("megatron-core").stack.search


def test_files_extend_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(OWN.format(name="a", extends="generic") + "matmul: 0.5\n")
    (tmp_path / "b.yaml").write_text(OWN.format(name="b", extends="a.yaml") + "host_seconds: 1 ms\n")
    stack = load_stack(str(tmp_path / "b.yaml")).stack
    assert (stack.name, stack.matmul, stack.host_seconds) == ("b", 0.5, 1e-3)
    (tmp_path / "a.yaml").write_text(OWN.format(name="a", extends="b.yaml"))
    with pytest.raises(InputError, match="extends more than 8 others, or itself"):
        load_stack(str(tmp_path / "b.yaml"))
    (tmp_path / "a.yaml").write_text(OWN.format(name="a", extends="generic") + "matmul: x\nmatmull: 1\n")
    with pytest.raises(InputError) as caught:
        load_stack(str(tmp_path / "b.yaml"), path="cluster.stack")
    said = [f"{Path(p.file).name}:{p.line}: {p.path}" for p in caught.value.problems]
    assert said == ["a.yaml:9: matmul", "a.yaml:10: matmull"]


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("megatron-2022", "did you mean 'megatron-2021'?"),
        ({"matmul": 0}, "cluster.stack.matmul: '0' is out of bounds; must be greater than zero"),
        ({"host_seconds": 1}, "cluster.stack.host_seconds: "),
        ({"extends": "nope"}, "cluster.stack.extends: unknown stack 'nope'"),
        ({"extends": 1}, "cluster.stack.extends: must be the name of a stack"),
        ({"search": {"sharding": ["zero"]}}, "cluster.stack.search.sharding.0: 'zero' is not accepted"),
        ({"unfused_attention": 2}, "cluster.stack.unfused_attention: '2' is out of bounds"),
        ({"tensor_overlap": "50 GB"}, "cluster.stack.tensor_overlap: "),
        ({"matmull": 1}, "cluster.stack.matmull: unknown key; did you mean 'matmul'?"),
    ],
    ids=str,
)
def test_what_is_refused(reference: Any, words: str) -> None:
    lines = refused(reference)
    assert len(lines) == 1
    assert words in lines[0]


@pytest.mark.parametrize(
    ("kind", "vendor", "accelerators", "per_node", "name"),
    [
        ("gpu", "NVIDIA", 8, 8, "single-node"),
        ("gpu", "NVIDIA", 16, 8, "megatron-core"),
        ("gpu", "AMD", 8, 8, "rocm"),
        ("tpu", "Google", 4, 4, "maxtext"),
        ("asic", "Intel", 64, 8, "gaudi"),
        ("asic", "AWS", 64, 16, "neuron"),
        ("asic", "Amazon", 64, 16, "neuron"),
        ("cpu", "AMD", 1, 1, "single-node"),
        ("gpu", "", 1, 1, "single-node"),
    ],
)
def test_default_stacks(kind: str, vendor: str, accelerators: int, per_node: int, name: str) -> None:
    assert default_stack(kind, vendor, accelerators, per_node) == name
    assert name in NAMES


def test_the_search_space_has_the_stacks_limits_and_the_given_keys() -> None:
    space = load_stack("single-node").stack.space({"micro_batch": 4.0})
    assert (space.tensor, space.pipeline, space.context, space.sequence_parallel) == (False, False, False, False)
    assert space.sharding == [0, 1, 3]
    assert space.fixed == {"micro_batch": 4.0}
    assert load_stack("megatron-core").stack.space({}).pipeline


@pytest.mark.parametrize("name", catalogue.names("hardware"))
def test_every_chip_has_a_default_stack_that_runs_on_it(name: str) -> None:
    chip = load_accelerator(name)[0]
    for accelerators in (1, 10_000):
        stack = load_stack(default_stack(chip.kind, chip.vendor, accelerators, chip.accelerators_per_node)).stack
        assert stack.runs(chip.kind, chip.vendor)


@pytest.mark.parametrize(
    ("scenario", "stack", "message"),
    [
        (
            "llama-3.1-8b",
            "maxtext",
            "cluster.stack: maxtext does not run on NVIDIA H100 SXM 80 GB, a gpu of NVIDIA; it is",
        ),
        ("llama-3.1-8b", "maxtext", "it is for tpu; there is megatron-core, pax, xla-gpu"),
        ("llama-3.1-8b", "{extends: neuron, matmul: 0.7}", "custom does not run on NVIDIA H100 SXM 80 GB"),
        ("palm-540b", "torchtitan", "it is for gpu and huawei; there is maxtext"),
        ("olmo-7b-lumi", "nemo", "there is rocm, "),
        ("llama-3.1-8b", "{extends: torchtitan, matmul: 9}", "cluster.stack.matmul: 9 times the 77% of the peak that"),
    ],
)
def test_a_stack_for_other_chips_or_faster_than_the_peak_is_refused(scenario: str, stack: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        plan(scenario, draws=0, overrides=[f"cluster.stack={stack}"])
    assert message in str(caught.value)


def test_a_stack_of_ones_own_runs_where_it_says() -> None:
    own = "{extends: maxtext, runs_on: [], matmul: 1.2}"
    assert plan("llama-3.1-8b", draws=0, overrides=[f"cluster.stack={own}"]).scenario.stack.stack.matmul == 1.2
    with pytest.raises(InputError, match="did you mean 'tpu'"):
        plan("llama-3.1-8b", draws=0, overrides=["cluster.stack={extends: maxtext, runs_on: [tup]}"])
