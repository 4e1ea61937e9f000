"""Finding files by name and by path, in a checkout and in an installed package."""

import pytest

from costsim.errors import CostsimError, InputError
from costsim.inputs import catalogue
from costsim.inputs.yaml_source import Place


def refusal(*args, **keywords):
    with pytest.raises(InputError) as caught:
        catalogue.find(*args, **keywords)
    return caught.value.problems[0]


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_every_kind_has_entries_that_read(kind):
    names = catalogue.names(kind)
    assert names == sorted(names)
    assert names
    label, text = catalogue.text(kind, names[0])
    assert label == f"{kind}/{names[0]}.yaml"
    assert text


@pytest.mark.parametrize(
    "name", ["h100-sxm", "H100-SXM", "h100 sxm", "h100_sxm", " h100-sxm ", "H100 80GB", "H100-SXM5"]
)
def test_names_and_aliases_in_any_spelling(name):
    assert catalogue.text("hardware", name)[0] == "hardware/h100-sxm.yaml"


def test_an_entry_is_found_without_reading_the_others(monkeypatch):
    monkeypatch.setattr(catalogue, "_aliases", lambda _: pytest.fail("read every file"))
    assert catalogue.text("hardware", "h100-sxm")


def test_every_alias_names_one_entry():
    for kind in catalogue.KINDS:
        for alias, name in catalogue._aliases(kind).items():
            assert alias not in set(catalogue.names(kind)) - {name}, alias


def test_an_unknown_name_suggests_the_nearest():
    problem = refusal("hardware", "h100-smx", place=Place("s.yaml", 3, 16), path="cluster.accelerator")
    assert str(problem) == (
        "s.yaml:3:16: cluster.accelerator: unknown accelerator 'h100-smx'; see 'costsim show hardware';"
        " did you mean 'h100-sxm'?"
    )
    assert refusal("hardware", "A100 80G").suggestion  # near an alias


@pytest.mark.parametrize("name", ["", "..", ".hidden", "x" * 5000, "h100-sxm\0", "con:", "~", "*"])
def test_what_can_be_no_name(name):
    assert refusal("hardware", name).message.startswith("unknown accelerator")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("h100-sxm", False),
        ("a/b", True),
        ("./h100", True),
        ("x.yaml", True),
        ("x.YML", True),
        ("config.json", True),
        ("a\\b", True),
        ("-", True),
        ("llama-3.1-405b", False),
    ],
)
def test_what_is_a_path(name, path):
    assert catalogue.is_path(name) is path


def test_paths_resolve_beside_the_file_that_names_them(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "chip.yaml").write_text("name: mine")
    beside = str(tmp_path / "sub" / "scenario.yaml")
    assert catalogue.find("hardware", "chip.yaml", beside).value == {"name": "mine"}
    assert catalogue.find("hardware", "../sub/chip.yaml", beside).value == {"name": "mine"}
    assert catalogue.find("hardware", str(tmp_path / "sub" / "chip.yaml")).value == {"name": "mine"}
    monkeypatch.chdir(tmp_path)
    assert catalogue.find("hardware", "sub/chip.yaml").value == {"name": "mine"}
    assert catalogue.find("hardware", "sub/chip.yaml", "<stdin>").value == {"name": "mine"}
    assert catalogue.find("hardware", "sub/chip.yaml", "--set 1").value == {"name": "mine"}


def test_a_missing_file_is_told_where_it_was_named(tmp_path):
    (tmp_path / "chip.yaml").write_text("name: mine")
    beside = str(tmp_path / "s.yaml")
    problem = refusal("hardware", "chop.yaml", beside, Place("s.yaml", 3, 16), "cluster.accelerator")
    assert (problem.file, problem.line, problem.path) == ("s.yaml", 3, "cluster.accelerator")
    assert problem.message == f"{tmp_path / 'chop.yaml'}: no such file"
    assert problem.suggestion == str(tmp_path / "chip.yaml")
    assert refusal("hardware", "elsewhere/h100-sxm.yaml").suggestion == "h100-sxm"


def test_what_is_wrong_inside_a_file_is_told_there(tmp_path):
    (tmp_path / "chip.yaml").write_text("a: 1\na: 2")
    problem = refusal("hardware", "chip.yaml", str(tmp_path / "s.yaml"), Place("s.yaml", 3, 16), "cluster.accelerator")
    assert (problem.file, problem.line) == (str(tmp_path / "chip.yaml"), 2)


def test_an_entry_beside_an_entry_is_found_without_a_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = catalogue.names("scenarios")[0]
    assert catalogue.find("scenarios", f"{name}.yaml", "scenarios/x.yaml").file == f"scenarios/{name}.yaml"


def test_a_wheel_has_its_files_inside_the_package(tmp_path, monkeypatch):
    inside = tmp_path / "_data" / "hardware"
    inside.mkdir(parents=True)
    (inside / "chip.yaml").write_text("aliases: [Chip One]\nname: chip")
    (inside / "README.md").write_text("no entry")
    monkeypatch.setattr(catalogue, "files", lambda _: tmp_path)
    assert catalogue.names("hardware") == ["chip"]
    assert catalogue.find("hardware", "chip one").value == {"aliases": ["Chip One"], "name": "chip"}


def test_a_broken_installation_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "files", lambda _: tmp_path)
    monkeypatch.setattr(catalogue, "__file__", str(tmp_path / "costsim" / "inputs" / "catalogue.py"))
    (tmp_path / "hardware").mkdir()  # a stray folder, without the project file that marks a checkout
    for kind in ("hardware", "models"):
        with pytest.raises(CostsimError, match="this installation of costsim is broken"):
            catalogue.names(kind)
    with pytest.raises(CostsimError, match=r"it lacks data/defaults\.yaml"):
        catalogue.data_text("defaults.yaml")
