"""YAML sources: scalars by YAML 1.2 core, places, limits, merging and overriding."""

import re

import pytest

from costsim.errors import InputError
from costsim.inputs import yaml_events
from costsim.inputs.yaml_source import Place, from_mapping, merge, override, read, read_path, read_stdin


def refusal(text):
    with pytest.raises(InputError) as caught:
        read(text, "f.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("True", True),
        ("FALSE", False),
        ("tRUE", "tRUE"),
        ("null", None),
        ("~", None),
        ("NULL", None),
        ("", None),
        ("1e6", 1e6),
        ("1.5e12", 1.5e12),
        ("1e-5", 1e-5),
        ("+1.5E+3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("-3", -3),
        ("0777", 777),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1,000", "1,000"),
        ("1e400x", "1e400x"),
        ("2024-02-01", "2024-02-01"),
        ("1.2.3", "1.2.3"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("=", "="),
        ("15.6T tokens", "15.6T tokens"),
        ("1.8 to 3.2 USD/h", "1.8 to 3.2 USD/h"),
        ("9" * 30, int("9" * 30)),
    ],
)
def test_scalars_follow_yaml_1_2_core(text, value):
    found = read(f"- {text}\n- 0", "f").value[0]
    assert found == value
    assert type(found) is type(value)


def test_blocks_are_text():
    assert read("a: |\n  5\nb: >\n  x\n  y\n", "f").value == {"a": "5\n", "b": "x y\n"}


def test_every_key_and_value_has_its_place():
    source = read("name: x\ntraining:\n  tokens: 15.6T\nprices:\n  - {usd: 1, kind: rent}\n  - usd: 2\n", "f.yaml")
    assert source.position("training.tokens") == Place("f.yaml", 3, 11)
    assert source.position("training.tokens", key=True) == Place("f.yaml", 3, 3)
    assert source.position("prices.0.kind") == Place("f.yaml", 5, 20)
    assert source.position(("prices", 1, "usd"), key=True) == Place("f.yaml", 6, 5)
    assert source.position("prices.1") == Place("f.yaml", 6, 5)


def test_what_is_missing_is_placed_at_the_key_around_it():
    source = read("training:\n  tokens: 5\n", "f.yaml")
    assert source.position("training.sequence_length") == Place("f.yaml", 1, 1)
    assert source.position("law") == Place("f.yaml", 1, 1)
    assert from_mapping({"a": 1}, "a mapping").position("a.b") == Place("a mapping")


def test_places_count_characters_and_all_kinds_of_line_ends():
    source = read("é: 1\r\nü: {ö: 2}\r\n", "f")
    assert source.position("ü.ö") == Place("f", 2, 8)


def test_aliases_are_copies_with_a_place_of_their_own():
    source = read("a: &x {k: 1}\nb: *x\n", "f")
    assert source.value == {"a": {"k": 1}, "b": {"k": 1}}
    assert source.position("b") == Place("f", 2, 4)
    assert source.position("b.k") == Place("f", 1, 11)  # what the alias names was said here


def test_an_anchor_may_be_given_again():
    assert read("[&x 1, *x, &x 2, *x]", "f").value == [1, 1, 2, 2]


def test_depth_is_bounded():
    assert read("[" * 40 + "]" * 40, "f").value is not None
    assert refusal("[" * 41 + "]" * 41) == "f.yaml:1:41: nested more than 40 deep"
    assert refusal("[" * 100_000) == "f.yaml:1:41: nested more than 40 deep"


def test_aliases_count_as_deep_as_what_they_name():
    deep = "[" * 30 + "]" * 30
    assert read(f"a: &x {deep}\nb: {'[' * 9}*x{']' * 9}", "f").value
    assert refusal(f"a: &x {deep}\nb: {'[' * 10}*x{']' * 10}") == "f.yaml:2:14: nested more than 40 deep"


def test_nodes_are_bounded():
    many = ",".join(["1"] * 99_999)
    assert len(read(f"[{many}]", "f").value) == 99_999
    assert "more than 100,000 values" in refusal(f"[{many},1]")


def test_aliases_count_as_large_as_what_they_name():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "more than 100,000 values, counting aliases" in refusal("\n".join(lines))


def test_merge_keeps_the_place_of_every_leaf():
    parent = read("a: 1\nb: {c: 2, d: 3}\ne: [1, 2]\n", "parent.yaml")
    child = read("b:\n  d: 4\ne: [5]\n", "child.yaml")
    merged = merge(parent, child)
    assert merged.value == {"a": 1, "b": {"c": 2, "d": 4}, "e": [5]}
    assert merged.position("a").file == "parent.yaml"
    assert merged.position("b.c") == Place("parent.yaml", 2, 8)
    assert merged.position("b.d") == Place("child.yaml", 2, 6)
    assert merged.position("b.d", key=True) == Place("child.yaml", 2, 3)
    assert merged.position("e.0") == Place("child.yaml", 3, 5)
    assert ("e", 1) not in merged.values  # no place is left of what was replaced
    assert parent.value == {"a": 1, "b": {"c": 2, "d": 3}, "e": [1, 2]}


@pytest.mark.parametrize(
    ("parent", "child", "merged"),
    [
        ("a: {distribution: normal, mean: 1, sd: 2}", "a: {sd: 3}", {"a": {"sd": 3}}),
        (
            "a: {b: 1}",
            "a: {distribution: uniform, low: 1, high: 2}",
            {"a": {"distribution": "uniform", "low": 1, "high": 2}},
        ),
        ("a: {value: 1, source: s}", "a: {value: 2}", {"a": {"value": 2}}),
        ("a: {book: x, as_of: 2024-01-01}", "a: {book: y}", {"a": {"book": "y"}}),
        ("a: {b: 1}", "a: 5", {"a": 5}),
        ("a: 5", "a: {b: 1}", {"a": {"b": 1}}),
        ("a: {b: 1}", "a: null", {"a": None}),
        ("a: {b: 1}", "a: {}", {"a": {"b": 1}}),
    ],
)
def test_quantities_replace_whole(parent, child, merged):
    assert merge(read(parent, "p"), read(child, "c")).value == merged


def test_a_child_without_keys_is_its_parent():
    parent = read("a: 1\nb: {c: [1, {d: 2}]}\n", "p")
    merged = merge(parent, read("{}", "c"))
    assert merged.value == parent.value
    assert {path: place for path, place in merged.values.items() if path} == {
        path: place for path, place in parent.values.items() if path
    }


BASE = "name: x\ncost: {rent: 2}\nphases: [{tokens: 1}, {tokens: 2}]\nempty: null\nyears: {7: no}\n".replace("7", "'7'")


@pytest.mark.parametrize(
    ("setting", "path", "value"),
    [
        ("name=y", ("name",), "y"),
        ("cost.rent=1.8 to 3.2 USD/h", ("cost", "rent"), "1.8 to 3.2 USD/h"),
        ("cost.rent=1e6", ("cost", "rent"), 1e6),
        ("cost.own.life=5 years", ("cost", "own", "life"), "5 years"),
        ("phases.1.tokens=9", ("phases", 1, "tokens"), 9),
        ("phases.0={tokens: 3}", ("phases", 0), {"tokens": 3}),
        ("phases=[]", ("phases",), []),
        ("empty.a.b=true", ("empty", "a", "b"), True),
        ("years.7=no", ("years", "7"), "no"),
        ("law=null", ("law",), None),
        ("cost={rent: {usd: 1}}", ("cost", "rent", "usd"), 1),
        ("question=a=b", ("question",), "a=b"),
        (" name = y", ("name",), "y"),
    ],
)
def test_set(setting, path, value):
    source = read(BASE, "f")
    changed = override(source, setting, 2)
    found = changed.value
    for part in path:
        found = found[part]
    assert found == value
    assert changed.position(path) == Place("--set 2")
    assert changed.position(path, key=True).file == "--set 2"
    assert source.value == read(BASE, "f").value


def test_set_leaves_everything_else_where_it_was():
    changed = override(read(BASE, "f"), "phases.1.tokens=9")
    assert changed.position("phases.0.tokens") == Place("f", 3, 19)
    assert changed.value["phases"][0] == {"tokens": 1}
    replaced = override(read(BASE, "f"), "phases=5")
    assert not [path for path in replaced.values if path[:1] == ("phases",) and len(path) > 1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("name", "--set 1: 'name' has no '='; expected dotted.key=value"),
        ("=5", "--set 1: '' is no dotted key; expected dotted.key=value"),
        ("a..b=5", "--set 1: 'a..b' is no dotted key; expected dotted.key=value"),
        ("name=", "--set 1: name: no value after '='; expected a value, or null to unset"),
        ("name.x=5", "--set 1: name.x: 'name' is 'x', which has no keys; set 'name' to a mapping first"),
        ("phases.2.tokens=5", "--set 1: phases.2.tokens: '2' is no index of a list of 2; 0 to 1"),
        ("phases.x=5", "--set 1: phases.x: 'x' is no index of a list of 2; 0 to 1"),
        ("name=[", "--set 1: name: not YAML: while parsing a flow node, did not find expected node content"),
        ("name=!!str 5", "--set 1: name: tags are not allowed; expected plain values"),
        (
            "name=a\x1b[31m",
            "--set 1: name: the character U+001B is not allowed: it cannot be seen, or drives a terminal",
        ),
        ("name=" + "x" * 10_001, "--set 1: name: a value of 10001 characters; at most 10,000"),
    ],
)
def test_set_that_is_refused(setting, message):
    with pytest.raises(InputError) as caught:
        override(read(BASE, "f"), setting)
    assert str(caught.value) == message


def test_at_gives_a_part_with_its_places():
    part = read("a:\n  b: {c: 1}\n", "f").at("a.b")
    assert part.value == {"c": 1}
    assert part.position("c") == Place("f", 2, 10)
    with pytest.raises(KeyError):
        part.at("d.e")


def test_files_and_standard_input(tmp_path, monkeypatch):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\n")
    assert read_path(path).value == {"a": 1}
    assert read_path(path).position("a") == Place(str(path), 1, 4)
    assert read_path(path, "label").file == "label"
    with path.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        assert read_stdin().file == "<stdin>"


def test_the_parser_in_pure_python_does_as_well(monkeypatch):
    monkeypatch.setattr(yaml_events, "_LOADER", yaml_events.yaml.SafeLoader)
    assert read("a: [1, 'x', {b: no}]", "f").value == {"a": [1, "x", {"b": "no"}]}
    assert refusal("[" * 5000) == "f.yaml:1:41: nested more than 40 deep"


def test_what_the_parser_itself_cannot_read_is_refused_too(monkeypatch):
    monkeypatch.setattr(yaml_events, "_UNPRINTABLE", re.compile("(?!)"))  # as if the check before it had a gap
    assert refusal("a: \0") == "f.yaml:1:1: not YAML: control characters are not allowed"
