"""Reading scenarios: where they come from, what they extend, settings, what they name, and every problem at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from plan_cases import FULL, SMALL, changed

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.python_values import plain_values
from costsim.inputs.said import said
from costsim.inputs.scenario import load_scenario
from costsim.plan import plan
from costsim.uncertainty.ranges import Range

CONFIGS = Path(__file__).parents[1] / "data" / "hf_configs"
BASE = """\
costsim: 1
name: base
model: gpt2
training: {tokens: 10B, sequence_length: 1024, global_batch_sequences: 512}
cluster:
  accelerator: a100-80gb-sxm
  accelerators: 8
"""
CHIP = """\
costsim: 1
name: my-chip
peak_flops: {bf16: 100 TFLOP/s}
memory: {capacity: 64 GiB, bandwidth: 1 TB/s}
scale_up: {bandwidth: 100 GB/s, domain: 8}
sources:
  sheet: {title: Datasheet, url: "https://example.org", accessed: 2026-02-01}
prices:
  - {kind: rent, term: on-demand, usd_per_hour: 1.25, date: 2026-01-01, source: sheet}
  - {kind: purchase, usd: 9000, date: 2026-01-01, source: sheet}
"""

STACK = """\
costsim: 1
name: mine
title: Mine
family: mine
summary: My own.
extends: generic
host_seconds: 1 ms
sources:
  x: {title: X, url: "https://example.org", accessed: 2026-01-01}
"""
ALONE = {
    "peak_flops": {"bf16": "100 TFLOP/s"},
    "memory": {"capacity": "64 GiB", "bandwidth": "1 TB/s"},
    "scale_up": {"domain": 1},
}
"""A chip that is connected to nothing."""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    return made


def told(x: Any, *settings: str, **how: Any) -> list[str]:
    """What is said of a scenario that is refused, a line a problem."""
    with pytest.raises(InputError) as caught:
        plan(x, overrides=settings, **how)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


# --- where it comes from ----------------------------------------------------------------------------------------------


def test_a_name_and_its_path_are_the_same_scenario() -> None:
    file = Path(__file__).parents[2] / "scenarios" / "gpt2-124m.yaml"
    assert load_scenario("gpt2-124m").resolved() == load_scenario(file).resolved()


def test_standard_input_is_a_text() -> None:
    assert load_scenario("-", stdin_text=BASE).name == "base"
    assert told("-", stdin_text="costsim: [")[0].startswith("<stdin>:2:1: not YAML")


@pytest.mark.parametrize("wrong", [None, 5, b"gpt2.yaml", ["gpt2-124m"], object()], ids=lambda x: type(x).__name__)
def test_what_is_no_scenario_is_said_to_be_none(wrong: Any) -> None:
    [line] = told(wrong)
    assert type(wrong).__name__ in line
    assert "a path, a catalogue name or a mapping" in line


def test_names_that_are_none_are_suggested_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told("lama-3.1-405b") == [
        "unknown scenario 'lama-3.1-405b'; see 'costsim show scenarios'; did you mean 'llama-3.1-405b'?"
    ]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(BASE)
    assert told("mine") == ["unknown scenario 'mine'; see 'costsim show scenarios'; did you mean 'mine.yaml'?"]
    [line] = told("min.yaml")
    assert "no such file" in line
    assert "mine.yaml" in line


def test_a_folder_and_a_broken_name_are_refused(tmp_path: Path) -> None:
    assert told(tmp_path) == [f"{tmp_path}: is a folder; expected a file"]
    assert "cannot be read" in told("a\0b.yaml")[0]


# --- extends ----------------------------------------------------------------------------------------------------------


def test_extends_a_file_beside_this_one_and_a_catalogue_name(write: Write) -> None:
    write("shared/base.yaml", BASE)
    child = write("mine/child.yaml", "costsim: 1\nextends: ../shared/base.yaml\nname: child\n"
                  "training: {tokens: 20B}\ncluster: {layout: {tensor: 2}}\n")  # fmt: skip
    fields = load_scenario(child).fields
    assert fields.name == "child"
    assert fields.training.tokens == 20e9
    assert fields.training.sequence_length == 1024
    assert fields.cluster.fixed_layout == {"tensor": 2.0}
    named = write("named.yaml", "costsim: 1\nextends: gpt2-124m\nname: mine\n")
    assert load_scenario(named).fields.training.tokens == 9.89e9
    assert "extends" not in load_scenario(named).resolved()


def test_paths_resolve_beside_the_file_that_says_them(write: Write) -> None:
    """The parent's chip stands beside the parent, the child's model beside the child."""
    write("far/chip.yaml", CHIP)
    write("far/base.yaml", BASE.replace("a100-80gb-sxm", "chip.yaml"))
    shutil.copy(CONFIGS / "qwen3-8b.json", write("near/config.json", ""))
    child = write("near/child.yaml", "costsim: 1\nextends: ../far/base.yaml\nname: child\nmodel: config.json\n")
    scenario = load_scenario(child)
    assert scenario.accelerator.name == "my-chip"
    assert scenario.model.architecture.layers == 36


def test_an_empty_child_is_its_parent(write: Write) -> None:
    """`extends` of an empty child equals the parent."""
    write("base.yaml", json.dumps(FULL))
    child = write("child.yaml", "extends: base.yaml\n")
    mine, parent = plan(child).to_dict(), plan(FULL).to_dict()
    for section in mine:
        if section not in ("provenance",):
            assert mine[section] == parent[section], section


def test_lists_and_quantities_replace_whole(write: Write) -> None:
    base = changed(FULL, {"sources": ["one", "two"], "training.phases": [{"tokens": "1T"}]})
    write("base.yaml", json.dumps(base))
    child = write("child.yaml", "extends: base.yaml\nsources: [three]\ntraining: {tokens: 2T, phases: [{tokens: 2T}]}\n"
                  "cost: {research_multiplier: {distribution: uniform, low: 1, high: 3}}\n")  # fmt: skip
    fields = load_scenario(child).fields
    assert fields.sources == ("three",)
    assert [phase.tokens for phase in fields.training.phases] == [2e12]
    assert fields.cost.research_multiplier == Range("uniform", 1.0, 3.0, lower=1.0)


def test_a_child_may_have_a_ramp_of_another_kind(write: Write) -> None:
    write("base.yaml", json.dumps(FULL))
    child = write("child.yaml", "extends: base.yaml\ndemand: {ramp: {kind: bass, p: 0.03, q: 0.4}}\n")
    ramp = load_scenario(child).fields.demand.ramp
    assert (ramp.kind, ramp.p, ramp.q) == ("bass", 0.03, 0.4)
    same = write("same.yaml", "extends: base.yaml\ndemand: {ramp: {kind: logistic, width: 2 months}}\n")
    assert load_scenario(same).fields.demand.ramp.midpoint == 3.0
    assert load_scenario(same).fields.demand.ramp.width == 2.0


def test_null_takes_out_what_the_parent_says(write: Write) -> None:
    write("base.yaml", BASE)
    text = "extends: base.yaml\ntraining: {global_batch_sequences: null, global_batch_tokens: 1M}\n"
    assert load_scenario(write("child.yaml", text)).fields.training.global_batch_tokens == 1e6


def test_the_place_of_a_parents_problem_is_in_the_parent(write: Write) -> None:
    parent = write("base.yaml", BASE.replace("10B", "10X"))
    child = write("child.yaml", "costsim: 1\nextends: base.yaml\ncluster: {accelerators: -1}\n")
    lines = told(child)
    assert lines[0].startswith(f"{child}:3:25: cluster.accelerators: '-1' is out of bounds")
    assert lines[1].startswith(f"{parent}:4:20: training.tokens: ")
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("files", "said_of_it"),
    [
        ({"a.yaml": "extends: a.yaml"}, "a.yaml:1:10: extends: extends {}/a.yaml, which extends it in turn"),
        ({"a.yaml": "extends: b.yaml", "b.yaml": "extends: a.yaml"}, "b.yaml:1:10: extends: extends {}/a.yaml"),
        ({"a.yaml": "extends: c.yaml"}, "a.yaml:1:10: extends: {}/c.yaml: no such file"),
        ({"a.yaml": "extends: gpt2-124"}, "a.yaml:1:10: extends: unknown scenario 'gpt2-124'"),
        ({"a.yaml": "extends: [b.yaml]", "b.yaml": BASE}, "a.yaml:1:10: extends: must be a scenario"),
        ({"a.yaml": "extends: b.yaml", "b.yaml": "- 1"}, "extends: {}/b.yaml is no mapping"),
        ({"a.yaml": "extends:", "b.yaml": BASE}, "extends: must be a scenario"),
        ({"a.yaml": "extends: b.yaml", "b.yaml": "x: ["}, "b.yaml:2:1: not YAML"),
    ],
)
def test_broken_chains(write: Write, tmp_path: Path, files: dict[str, str], said_of_it: str) -> None:
    for name, text in files.items():
        write(name, text + "\n")
    [line] = told(tmp_path / "a.yaml")
    assert said_of_it.replace("{}", str(tmp_path)) in line


def test_a_chain_has_an_end(write: Write, tmp_path: Path) -> None:
    write("s0.yaml", BASE)
    for index in range(1, 15):
        write(f"s{index}.yaml", f"extends: s{index - 1}.yaml\nname: s{index}\n")
    assert load_scenario(tmp_path / "s9.yaml").name == "s9"
    assert len(told(tmp_path / "s14.yaml")) == 1


# --- settings ---------------------------------------------------------------------------------------------------------


def test_settings_lie_over_the_file() -> None:
    settings = ["training.tokens=1B", "cost={basis: own}", "cluster.failures.restart=1 min", "name='x: y'"]
    fields = load_scenario("gpt2-124m", settings).fields
    assert fields.training.tokens == 1e9
    assert fields.cost.basis == "own"
    assert fields.cluster.failures.restart == 60
    assert fields.name == "x: y"


def test_a_setting_may_add_a_section_with_its_defaults() -> None:
    made = plan("gpt2-124m", overrides=["serving.speed=30 tokens/s", "serving.precision=bf16"], draws=0).to_dict()
    assert made["serving"]["tokens_per_second_per_user"] == pytest.approx(30, rel=0.01)


def test_a_setting_of_one_key_of_an_auto_layout_leaves_the_rest_to_the_search() -> None:
    made = plan("one-node-week", overrides=["cluster.layout.tensor=2"], draws=0).to_dict()
    assert made["layout"]["tensor"] == 2
    assert made["layout"]["data"] == 4


def test_items_of_lists_go_by_index() -> None:
    base = changed(SMALL, {"training.tokens": ..., "training.phases": [{"tokens": "1B"}, {"tokens": "2B"}]})
    assert load_scenario(base, ["training.phases.1.tokens=3B"]).fields.training.total_tokens == 4e9


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("training.tokens", "--set 1: 'training.tokens' has no '='; expected dotted.key=value"),
        ("=5", "--set 1: '' is no dotted key; expected dotted.key=value"),
        ("a..b=5", "--set 1: 'a..b' is no dotted key; expected dotted.key=value"),
        ("training.tokens=", "--set 1: training.tokens: no value after '='; expected a value, or null to unset"),
        ("training.tokens=10 GB", "--set 1: training.tokens: '10 GB' "),
        ("training.tokns=1B", "--set 1: training.tokns: unknown key; did you mean 'tokens'?"),
        ("training.tokens.x=1B", "--set 1: training.tokens.x: 'training.tokens' is '9.89B', which has no keys"),
        ("cluster.accelerators=8.5", "--set 1: cluster.accelerators: '8.5' is not a whole number"),
        ("model=gpt5", "--set 1: model: unknown model 'gpt5'; see 'costsim show models'"),
        ("uncertainty.seed=-1", "--set 1: uncertainty.seed: '-1' is out of bounds"),
        ("training.tokens=[", "--set 1: training.tokens: "),
        ("training.tokens=null", "tokens: this key is missing"),
        ("extends=gpt2-124m", "--set 1: extends: unknown key"),
    ],
)
def test_bad_settings(setting: str, line: str) -> None:
    lines = told("gpt2-124m", setting)
    assert len(lines) == 1
    assert line in lines[0]


def test_the_number_of_a_setting_is_told() -> None:
    lines = told("gpt2-124m", "training.tokens=1B", "cluster.accelerators=x", "cluster.mfu=3")
    assert [line.split(":")[0] for line in lines] == ["--set 2", "--set 3"]


# --- what it names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "name", "kind", "meant"),
    [
        ("model", "gpt22", "model", "gpt2"),
        ("cluster.accelerator", "h101-sxm", "accelerator", "h100-sxm"),
        ("cluster.stack", "megatron-cor", "stack", "megatron-core"),
        ("law", "hofmann-2022", "law", "hoffmann-2022"),
        ("cost.site", "us-texs", "site", "us-texas"),
        ("serving.accelerator", "l40x", "accelerator", "l40"),
    ],
)
def test_unknown_names_are_suggested_for(path: str, name: str, kind: str, meant: str) -> None:
    [line] = told(changed(FULL, {path: name}))
    assert line.startswith(f"<mapping>: {path}: unknown {kind} '{name}'; ")
    assert f"did you mean '{meant}" in line


def test_aliases_are_names() -> None:
    scenario = load_scenario(changed(SMALL, {"cluster.accelerator": "A100", "law": "Chinchilla"}))
    assert scenario.accelerator.name.startswith("a100")
    assert scenario.law.law.name == "hoffmann-2022"


def test_a_hugging_face_config_beside_the_scenario(write: Write, tmp_path: Path) -> None:
    shutil.copy(CONFIGS / "llama-3.1-8b.json", tmp_path / "config.json")
    file = write("s.yaml", BASE.replace("model: gpt2", "model: config.json"))
    by_name = plan(write("n.yaml", BASE.replace("gpt2", "llama-3.1-8b")), draws=0).to_dict()
    by_file = plan(file, draws=0).to_dict()
    assert by_file["model"] == by_name["model"]
    assert by_file["step"] == by_name["step"]


def test_paths_on_standard_input_and_in_settings_are_of_the_working_folder(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(CONFIGS / "qwen3-8b.json", tmp_path / "config.json")
    deep = write("deep/s.yaml", BASE)
    monkeypatch.chdir(tmp_path)
    text = BASE.replace("model: gpt2", "model: config.json")
    assert load_scenario("-", stdin_text=text).model.architecture.layers == 36
    assert load_scenario(deep, ["model=config.json"]).model.architecture.layers == 36
    assert load_scenario({**SMALL, "model": "config.json"}).model.architecture.layers == 36
    assert "no such file" in told(write("deep/t.yaml", text))[0]


def test_chip_site_law_and_stack_may_be_files(write: Write, tmp_path: Path) -> None:
    write("chip.yaml", CHIP)
    write("site.yaml", "costsim: 1\nname: barn\nelectricity: 0.05 USD/kWh\ncarbon: 10 gCO2/kWh\npue: 1.5\n")
    write("stack.yaml", STACK)
    law = Path(str(catalogue._folder("laws"))) / "kaplan-2020.yaml"
    shutil.copy(law, tmp_path / "law.yaml")
    text = BASE.replace("a100-80gb-sxm", "chip.yaml")
    text += "  stack: ./stack.yaml\nlaw: law.yaml\ncost: {site: site.yaml}\n"
    scenario = load_scenario(write("s.yaml", text))
    assert scenario.accelerator.name == "my-chip"
    assert scenario.site.pue == 1.5
    assert scenario.law.law.name == "kaplan-2020"
    assert scenario.stack.stack.host_seconds == 1e-3
    assert scenario.prices.rent is not None
    assert scenario.prices.rent.value == 1.25


def test_a_scenario_with_paths_can_be_loaded_again_from_its_resolved_form(write: Write, tmp_path: Path) -> None:
    """Paths stood beside the file; as a mapping it has no folder, so they are told from the working folder."""
    write("deep/chip.yaml", CHIP)
    shutil.copy(CONFIGS / "gpt2.json", write("deep/config.json", ""))
    text = BASE.replace("a100-80gb-sxm", "chip.yaml").replace("model: gpt2", "model: config.json")
    text += "cost: {rent: {usd_per_accelerator_hour: {book: chip.yaml/on-demand}}}\n"
    first = plan(write("deep/s.yaml", text), draws=0).to_dict()
    again = plan(first["scenario"]["resolved"]).to_dict()
    assert [key for key in first if first[key] != again[key]] == ["provenance"]
    assert plan(load_scenario(tmp_path / "deep" / "s.yaml"), draws=0).to_dict() == first


def test_an_accelerator_and_a_stack_as_mappings() -> None:
    chip = {
        "name": "mine",
        "peak_flops": {"bf16": {"value": "100 TFLOP/s", "note": "measured here", "known": "measured"}},
        "memory": {"capacity": "64 GiB", "bandwidth": "1 TB/s"},
        "scale_up": {"bandwidth": "100 GB/s", "domain": 8},
    }
    made = plan(changed(SMALL, {"cluster.accelerator": chip, "cluster.stack": {"matmul": 0.8}})).to_dict()
    rows = {row["path"]: row for row in made["provenance"]}
    assert rows["accelerator.peak_flops"]["value"] == 1e14
    assert rows["accelerator.peak_flops"]["known"] == "measured"
    assert rows["accelerator.memory.bandwidth"]["known"] == "given"
    assert (rows["stack.matmul"]["value"], rows["stack.matmul"]["known"]) == (0.8, "given")
    assert made["memory"]["capacity_bytes"] == 64 * 2**30
    assert "energy_kwh" not in made["run"]
    assert any(note.startswith("energy: no power of mine is known") for note in made["notes"])


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ("stack: {matmul: 0}", "s.yaml:8:19: cluster.stack.matmul: '0' is out of bounds"),
        ("stack: {matmull: 1}", "s.yaml:8:20: cluster.stack.matmull: unknown key; did you mean 'matmul'?"),
        ("stack: {extends: nope}", "s.yaml:8:20: cluster.stack.extends: unknown stack 'nope'"),
        ("stack: {extends: 5}", "s.yaml:8:20: cluster.stack.extends: must be the name of a stack"),
        ("stack: [x]", "s.yaml:8:10: cluster.stack: a list is not accepted here"),
        ("stack: {search: {tensor: 1}}", "s.yaml:8:28: cluster.stack.search.tensor: '1' is not true or false"),
        ("scale_out: {bandwidth: 400 GB}", "s.yaml:8:26: cluster.scale_out.bandwidth: '400 GB' is "),
        ("layout: {sharding: zero}", "s.yaml:8:22: cluster.layout.sharding: 'zero' is not accepted; one of none, "),
        ("calibration: 5", "s.yaml:8:16: cluster.calibration: '5' is not accepted here"),
        ("calibration: my-box", "s.yaml:8:16: cluster.calibration: 'my-box' is no file; the path of a calibration"),
        ("calibration: my-box.yaml", "s.yaml:8:16: cluster.calibration: "),
    ],
)
def test_the_place_of_a_problem_in_a_mapping(write: Write, part: str, problem: str) -> None:
    [line] = told(write("s.yaml", f"{BASE}  {part}\n"))
    assert problem in line


# --- every problem at once --------------------------------------------------------------------------------------------


def test_every_problem_is_told_with_its_place(write: Write) -> None:
    text = """\
costsim: 1
name: base
model: gpt22
training: {tokens: 10X, sequence_length: 0, global_batch_sequences: 512, precison: bf16}
cluster:
  accelerator: a100-90gb
  accelerators: 8.5
law: nope
cost: {site: mars, basis: buy}
serving: {accelerator: h101, precision: fp9}
uncertainty: {draws: -1}
"""
    file = write("s.yaml", text)
    lines = [line.removeprefix(f"{file}:") for line in told(file)]
    assert [line.split(": ")[:2] for line in lines] == [
        ["3:8", "model"],
        ["4:20", "training.tokens"],
        ["4:42", "training.sequence_length"],
        ["4:74", "training.precison"],
        ["6:16", "cluster.accelerator"],
        ["7:17", "cluster.accelerators"],
        ["8:6", "law"],
        ["9:14", "cost.site"],
        ["9:27", "cost.basis"],
        ["10:24", "serving.accelerator"],
        ["10:41", "serving.precision"],
        ["11:22", "uncertainty.draws"],
    ]
    assert "did you mean 'precision'?" in lines[3]


def test_problems_of_the_machine_are_told_together(write: Write) -> None:
    text = BASE.replace("512}", "512, precision: fp4}") + "  layout: {expert: 8, expert_tensor: 2}\n"
    file = write("s.yaml", text)
    lines = [line.removeprefix(f"{file}:") for line in told(file)]
    assert [line.split(":")[0] for line in lines] == ["8", "8", "4"]
    assert "8 ranks have no experts to split: the model is dense" in lines[0]
    assert "NVIDIA A100 SXM 80 GB has no peak rate for fp4; it has fp32, tf32, fp16, bf16, int8" in lines[2]


def test_a_missing_section_is_told_once() -> None:
    lines = told({"costsim": 1})
    assert [line.split(": ")[1] for line in lines] == ["name", "model", "training", "cluster"]


@pytest.mark.parametrize("top", ["5", "- a", "text", ""])
def test_a_file_that_is_no_mapping(write: Write, top: str) -> None:
    [line] = told(write("s.yaml", f"{top}\n"))
    assert line.startswith(str(write("s.yaml", top)))


@pytest.mark.parametrize(
    ("setting", "lines"),
    [
        (
            "demand.ramp={kind: logistic}",
            ["demand.ramp.midpoint: this key is missing", "demand.ramp.width: this key is missing"],
        ),
        ("demand.ramp.kind=bass", ["demand.ramp.p: this key is missing", "demand.ramp.q: this key is missing"]),
        (
            "finance.debt={share: 50%}",
            ["finance.debt.rate: this key is missing", "finance.debt.due: this key is missing"],
        ),
        (
            "demand.ramp={kind: bass, p: 0.01, q: 0.2, midpoint: 6 months}",
            ["demand.ramp.midpoint: unknown key; the keys here are kind, p, q"],
        ),
        (
            "demand.ramp.kind=bas",
            ["demand.ramp.kind: 'bas' is not accepted; one of logistic, bass; did you mean 'bass'?"],
        ),
    ],
)
def test_what_a_setting_lacks_is_told_at_the_setting(setting: str, lines: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        load_scenario("serve-a-million-users", [setting])
    assert str(caught.value).splitlines() == [f"--set 1: {line}" for line in lines]


def test_a_setting_may_exchange_the_kind_of_the_ramp() -> None:
    settings = ["demand.ramp.kind=bass", "demand.ramp.p=0.02", "demand.ramp.q=0.4"]
    ramp = load_scenario("serve-a-million-users", settings).fields.demand.ramp
    assert (ramp.kind, ramp.p, ramp.q) == ("bass", 0.02, 0.4)
    same = load_scenario("serve-a-million-users", ["demand.ramp.kind=logistic"]).fields.demand.ramp
    assert same == load_scenario("serve-a-million-users").fields.demand.ramp


# --- what does not go together ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "path", "words"),
    [
        ({"training.global_batch_sequences": 7, "cluster.layout": "auto"}, "cluster.layout", "batch does not divide"),
        ({"cluster.layout": {"tensor": 3}}, "cluster.layout", "with tensor 3 is legal"),
        ({"cluster.layout": {"tensor": 4, "pipeline": 4}}, "cluster.layout", "degrees do not multiply to the cluster"),
        ({"cluster.layout": {"data": 4}}, "cluster.layout", "degrees do not multiply to the cluster"),
        ({"cluster.layout": {"micro_batch": 128}}, "cluster.layout", "batch does not divide"),
        ({"cluster.layout": {"virtual_pipeline": 5}}, "cluster.layout", "chunks of a stage do not divide its layers"),
        ({"cluster.layout": {"expert": 2}}, "cluster.layout.expert", "the model is dense"),
        ({"training.unique_tokens": "11B"}, "training.unique_tokens", "are more than"),
        ({"training.phases": [{"tokens": "9B"}]}, "training.phases", "9e+09 tokens together, the run 1e+10"),
        ({"training.global_batch_tokens": "1M"}, "training.global_batch_sequences", "give one of"),
        ({"training.global_batch_sequences": ...}, "training.global_batch_sequences", "give one of"),
        (
            {"training.global_batch_sequences": ..., "training.global_batch_tokens": 1000},
            "training.global_batch_tokens",
            "a step of 1,000 tokens is less than one sequence of 1,024",
        ),
        (
            {
                "training.global_batch_sequences": ...,
                "training.global_batch_tokens": 2000,
                "training.phases": [{"tokens": "5B"}, {"tokens": "5B", "sequence_length": 4096}],
            },
            "training.phases.1.global_batch_tokens",
            "a step of 2,000 tokens is less than one sequence of 4,096",
        ),
        ({"cost.staff": "60%", "cost.data": "50%"}, "cost.staff, cost.data", "the shares add up"),
        ({"cluster.accelerators": 16, "cluster.accelerator": ALONE}, "cluster.scale_out.bandwidth", "no network"),
        ({"costsim": True}, "costsim", "the version of the format is a number: 1"),
        ({"costsim": 2}, "costsim", "'2' is not accepted; one of 1"),
        ({"law": {"E": 1.7}}, "law", "a mapping is not text"),
    ],
)  # fmt: skip
def test_inconsistent_scenarios(changes: dict[str, Any], path: str, words: str) -> None:
    lines = told(changed(SMALL, changes))
    assert len(lines) == 1
    assert lines[0].startswith(f"<mapping>: {path}")
    assert words in lines[0]


def test_experts_must_divide_over_their_ranks() -> None:
    [line] = told("mixtral-8x7b-h100", "cluster.layout.expert=16")
    assert "cluster.layout.expert: 16 ranks do not divide 8 experts; a divisor of 8" in line


def test_a_batch_of_tokens_is_rounded_with_a_note() -> None:
    """10,000 sequences of 1,024 over 8 replicas with micro-batches of 16: 78 of them, 9,984 sequences."""
    changes = {"training.global_batch_sequences": ..., "training.global_batch_tokens": 10_240_000}
    made = plan(changed(SMALL, changes)).to_dict()
    assert made["step"]["tokens"] == 78 * 8 * 16 * 1024
    assert made["layout"]["gradient_accumulation"] == 78
    [note] = [note for note in made["notes"] if "rounded" in note]
    assert "10,240,000" in note
    assert "10,223,616" in note
    exact = plan(changed(SMALL, changes | {"training.global_batch_tokens": 8 * 16 * 1024})).to_dict()
    assert not any("rounded" in note for note in exact["notes"])


def test_a_batch_of_tokens_that_becomes_another_is_warned_of() -> None:
    """2M tokens, 244 sequences of 8,192, on 1,152 ranks: 288 replicas take one each, 18 % more."""
    changes = {
        "training": {"tokens": 1e12, "sequence_length": 8192, "global_batch_tokens": 2e6, "precision": "bf16"},
        "cluster": {
            "accelerator": "gb200-nvl72", "accelerators": 1152,
            "layout": {"tensor": 4, "pipeline": 1, "context": 1, "micro_batch": 1},
        },
    }  # fmt: skip
    mapping = {"name": "moved", "model": "llama-3.1-70b", **changes}
    made = plan(mapping, draws=0).to_dict()
    assert made["step"]["tokens"] == 288 * 8192
    [warning] = [each for each in made["warnings"] if each["path"] == "step.tokens"]
    assert "2,000,000 tokens becomes one of 2,359,296 (+18%)" in warning["message"]
    assert not any("rounded" in note for note in made["notes"])
    kept = plan(mapping, draws=0, overrides=["training.global_batch_tokens=2359296"]).to_dict()
    assert not any(each["path"] == "step.tokens" for each in kept["warnings"])
    sequences = ["training.global_batch_tokens=null", "training.global_batch_sequences=288"]
    assert plan(mapping, draws=0, overrides=sequences).to_dict()["step"] == kept["step"]


def test_no_draws_is_a_choice() -> None:
    assert load_scenario(changed(SMALL, {"uncertainty": {"draws": 0}})).fields.uncertainty.draws == 0
    assert load_scenario(changed(SMALL, {"uncertainty": ...})).fields.uncertainty.draws == 10_000


# --- defaults ---------------------------------------------------------------------------------------------------------


def test_defaults_of_a_section_apply_where_it_is_present() -> None:
    fields = load_scenario(SMALL).fields
    assert fields.serving is None
    assert fields.demand is None
    assert fields.cluster.failures.restart == 600
    some = load_scenario(changed(SMALL, {"serving": {}})).fields.serving
    assert some is not None
    assert some.output_tokens == 500


def test_facts_of_defaults_are_those_of_the_values_that_are_defaults() -> None:
    told_ = said(changed(SMALL, {"cluster.failures.restart": "5 min"}))
    assert "cluster.failures.restart" not in told_.facts
    assert told_.facts["cluster.failures.checkpoint_write"].known == "estimated"
    own = said(changed(SMALL, {"cluster.mfu": {"value": "40%", "source": "me", "known": "measured"}})).facts
    assert (own["cluster.mfu"].source, own["cluster.mfu"].known) == ("me", "measured")


def test_the_start_is_that_of_the_price_book_unless_said() -> None:
    assert load_scenario(FULL).start.isoformat() == "2026-01-01"
    assert load_scenario(SMALL).start.year >= 2026
    for wrong in ("2026-02-30", "January", 2026):
        [line] = told(changed(SMALL, {"start": wrong}))
        assert "start: " in line


# --- values of a program ----------------------------------------------------------------------------------------------


def test_a_mapping_that_holds_itself_or_is_too_large_is_refused() -> None:
    loop: dict[str, Any] = changed(SMALL, {})
    loop["training"]["phases"] = loop
    deep: dict[str, Any] = {}
    here = deep
    for _ in range(2000):
        here["x"] = {}
        here = here["x"]
    twice: list[Any] = []
    twice += [twice, twice]
    for x in (loop, {**SMALL, "cost": deep}, {**SMALL, "sources": twice}):
        [line] = told(x)
        assert line.endswith("nested more than 40 deep")
    [line] = told(changed(SMALL, {"sources": ["x"] * 100_001}))
    assert line.endswith("more than 100,000 values")


ODD = ({1, 2}, 1j, b"x", object(), len, Range.interval(1, 2))


@pytest.mark.parametrize("odd", ODD, ids=lambda x: type(x).__name__)
def test_what_no_file_can_hold_is_refused(odd: Any) -> None:
    lines = told(changed(SMALL, {"training.tokens": odd, "cluster.mfu": odd}))
    assert [line.split(": ")[1] for line in lines] == ["training.tokens", "cluster.mfu"]
    assert "is no value of a file" in lines[0]


def test_keys_are_text() -> None:
    assert told(changed(SMALL, {"cost": {1: 2}})) == ["<mapping>: cost: the key '1' is not text"]


def test_paths_are_text(tmp_path: Path) -> None:
    assert plain_values({"model": tmp_path / "config.json", "x": (1, None)}, "x") == {
        "model": str(tmp_path / "config.json"),
        "x": [1, None],
    }
