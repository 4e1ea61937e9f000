"""Models written out, by name and by path; sizes without a shape; the published numbers of the catalogue."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from costsim.errors import InputError
from costsim.inputs import catalogue
from costsim.inputs.hf_config import import_config
from costsim.inputs.model import Model, ModelFile, load_model
from costsim.inputs.yaml_source import read, split_sourced
from costsim.training.architecture import Attention, Biases, Experts, parameters

DATA = Path(__file__).parents[1] / "data"
SHAPE = {"layers": 4, "hidden_size": 64, "heads": 8, "ffn_size": 96, "vocab_size": 1000}
NAMES = catalogue.names("models")
FIXTURES = {"phi-3-mini": "phi-3-mini-4k", "granite-3-8b": "granite-3.0-8b", "bloom-176b": "bloom"}

# Published counts that are not of the main model alone, and why.
COUNTED_ALIKE = {
    "glm-4.5": lambda p: p.total - p.embedding - p.head + p.multi_token_prediction,  # as its report says
    "glm-4.5-air": lambda p: p.total + p.embedding + p.head + p.multi_token_prediction,  # as its files hold
}
# Active parameters: mostly all that a token uses; these reports leave out the input embedding, or the head as well.
ACTIVE_ALIKE = {
    "deepseek-v3": lambda p: p.active - p.embedding,
    "gpt-oss-20b": lambda p: p.active - p.embedding,
    "gpt-oss-120b": lambda p: p.active - p.embedding,
    "glm-4.5": lambda p: p.active - p.embedding - p.head,
}


def refused(reference, **where) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_model(reference, **where)
    return [str(problem) for problem in caught.value.problems]


def published(name: str, key: str) -> str | None:
    found = re.search(rf"^{key}: (?:\{{value: )?([0-9.]+[BTM]?)", catalogue.text("models", name)[1], re.MULTILINE)
    return found[1] if found else None


def agrees(count: int, printed: str) -> bool:
    """Whether a count is the printed one: exactly, or to half a unit of the last printed digit."""
    magnitude = {"M": 6, "B": 9, "T": 12}.get(printed[-1])
    if magnitude is None:
        return count == int(printed)
    digits = Decimal(printed[:-1])
    half = Decimal(1).scaleb(digits.as_tuple().exponent) / 2
    return abs(Decimal(count).scaleb(-magnitude) - digits) <= half


def test_the_catalogue_has_many_models():
    assert len(NAMES) >= 60


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_the_published_ones(name):
    count = parameters(load_model(name).architecture)
    printed = published(name, "published_parameters")
    assert printed is not None
    assert agrees(COUNTED_ALIKE.get(name, lambda p: p.total)(count), printed)
    if printed_active := published(name, "published_active_parameters"):
        assert agrees(ACTIVE_ALIKE.get(name, lambda p: p.active)(count), printed_active)


def test_printed_digits_are_taken_at_their_word():
    assert agrees(671_026_404_352, "671B")
    assert not agrees(671_026_404_352, "671.1B")
    assert not agrees(124_439_809, "124439808")
    assert agrees(1_026_408_209_408, "1.03T")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("gpt2", 124_439_808),
        ("llama-2-70b", 68_976_648_192),
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("llama-3.1-405b", 405_853_388_800),
        ("mixtral-8x7b", 46_702_792_704),
        ("qwen3-235b-a22b", 235_093_634_560),
        ("gemma-2-27b", 27_227_128_320),
        ("dbrx-132b", 131_596_523_520),
        ("deepseek-v2", 235_741_434_880),
    ],
)
def test_counts_known_to_the_unit(name, count):
    assert parameters(load_model(name).architecture).total == count


@pytest.mark.parametrize("name", NAMES)
def test_files_agree_with_the_configurations_they_come_from(name):
    fixture = DATA / "hf_configs" / f"{FIXTURES.get(name, name)}.json"
    if not fixture.exists():
        # Models whose shape is known from their papers, not from a configuration of Transformers.
        assert name in {
            *("gpt3-175b", "opt-175b", "mt-nlg-530b", "palm-540b", "gopher-280b", "chinchilla-70b"),
            *("nemotron-4-340b", "dbrx-132b"),
        }
        return
    a, b = load_model(name).architecture, import_config(fixture)[0]
    if a.experts is not None and a.experts.dense_layers == 0 and a.experts.every == 1:
        assert parameters(a).total == parameters(b).total  # the unused dense width may differ
    else:
        assert a == b


@pytest.mark.parametrize("name", NAMES)
def test_files_are_sourced(name):
    source = read(catalogue.text("models", name)[1], name)
    assert isinstance(source.value, dict)
    assert source.value["name"] == name
    assert source.value["costsim"] == 1
    assert source.value["known"] == "published"
    assert all(entry["url"].startswith("https://") for entry in source.value["sources"].values())
    loaded = load_model(name)
    assert loaded.facts["layers"].source in source.value["sources"]
    assert loaded.name == source.value["title"]
    for alias in source.value.get("aliases", []):
        assert load_model(alias).architecture == loaded.architecture


def test_aliases_are_unambiguous():
    aliases = [
        alias for name in NAMES for alias in read(catalogue.text("models", name)[1], name).value.get("aliases", [])
    ]
    assert len(set(aliases)) == len(aliases)
    assert not set(aliases) & set(NAMES)


def test_a_shape_written_out():
    loaded = load_model({**SHAPE, "kv_heads": 2})
    a = loaded.architecture
    assert (a.layers, a.hidden_size, a.heads, a.kv_heads, a.head_size) == (4, 64, 8, 2, 8)
    assert a.gated_ffn
    assert not a.tied_embeddings
    assert (loaded.name, loaded.notes, loaded.facts) == ("", [], {})


def test_defaults_that_follow():
    assert load_model(SHAPE).architecture.kv_heads == 8
    mla = {"kind": "mla", "kv_rank": 16, "rope_size": 4, "nope_size": 8, "v_size": 8}
    assert load_model({**SHAPE, "attention": mla}).architecture.head_size == 12
    experts = load_model({**SHAPE, "experts": {"routed": 8, "active": 2}}).architecture.experts
    assert experts == Experts(8, 2, 96)
    shared = {"routed": 8, "active": 2, "ffn_size": 32, "shared": 1}
    assert load_model({**SHAPE, "experts": shared}).architecture.experts == Experts(8, 2, 32, 1, 32)
    without = {key: value for key, value in SHAPE.items() if key != "ffn_size"}
    assert load_model({**without, "experts": shared}).architecture.ffn_size == 32


def test_counts_may_have_magnitudes():
    assert load_model({**SHAPE, "vocab_size": "128k"}).architecture.vocab_size == 128_000


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("none", Biases()),
        ("qkv", Biases(qkv=True)),
        ("all", Biases(True, True, True)),
        (["output", "head"], Biases(output=True, head=True)),
        ([], Biases()),
    ],
)
def test_biases(said, meant):
    assert load_model({**SHAPE, "biases": said}).architecture.biases == meant


@pytest.mark.parametrize(("said", "meant"), [(True, "head"), (False, "none"), ("full", "full"), ("none", "none")])
def test_qk_norm(said, meant):
    assert load_model({**SHAPE, "qk_norm": said}).architecture.qk_norm == meant


def test_every_key_reaches_the_shape():
    a = load_model(
        {
            **SHAPE,
            "head_size": 10,
            "gated_ffn": False,
            "tied_embeddings": True,
            "learned_positions": 7,
            "relative_positions": True,
            "norm_bias": True,
            "norms_per_layer": 4,
            "final_norm": False,
            "embedding_norm": True,
            "attention_sinks": True,
            "parallel_attention": True,
            "attention": {"kind": "sliding_window", "window": 16, "every": 2},
            "multi_token_prediction": 2,
        }
    ).architecture
    assert (a.head_size, a.gated_ffn, a.tied_embeddings, a.learned_positions) == (10, False, True, 7)
    assert (a.relative_positions, a.norm_bias, a.norms_per_layer, a.final_norm) == (True, True, 4, False)
    assert (a.embedding_norm, a.attention_sinks, a.parallel_attention) == (True, True, True)
    assert a.attention == Attention("sliding_window", 16, 2)
    assert a.multi_token_prediction == 2


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kv_heads": 3}, "model.kv_heads: 8 query heads cannot be shared by 3 key-value heads equally"),
        ({"kv_heads": 16}, "model.kv_heads: 16 key-value heads are more than the 8 query heads"),
        ({"heads": 7}, "model.head_size: this key is missing, and 7 heads do not share 64 equally"),
        (
            {"experts": {"routed": 4, "active": 8}},
            "model.experts.active: 8 active experts are more than the 4 routed ones",
        ),
        ({"attention": {"kind": "sliding_window"}}, "model.attention.window: sliding_window attention needs a window"),
        ({"attention": {"kind": "mla"}}, "model.attention.kv_rank: mla needs kv_rank"),
        ({"active_parameters": "3B"}, "model.active_parameters: goes with 'parameters' only"),
        ({"parameters": "3B"}, "model.layers: does not go with 'parameters'"),
        ({"layers": "1 to 3"}, "model.layers: "),
        ({"layers": 0}, "model.layers: "),
        ({"layers": 1.5}, "model.layers: "),
        ({"layers": "many"}, "model.layers: "),
        ({"hidden_size": 1e30}, "model.hidden_size: "),
        ({"hiden_size": 64}, "did you mean 'hidden_size'?"),
        ({"qk_norm": "both"}, "model.qk_norm: "),
        ({"biases": "some"}, "model.biases: "),
        ({"biases": ["qkvo"]}, "model.biases.0: "),
        ({"gated_ffn": "yes"}, "model.gated_ffn: "),
        ({"attention": {"kind": "linear"}}, "model.attention.kind: "),
        ({"experts": {"routed": 4}}, "model.experts.active: this key is missing"),
    ],
)
def test_problems_name_the_key(change, expected):
    assert any(expected in text for text in refused({**SHAPE, **change}))


def test_all_problems_at_once():
    assert len(refused({"layers": "x", "hiden_size": 4, "heads": 8, "vocab_size": -1})) == 3
    assert len(refused({**SHAPE, "kv_heads": 3, "attention": {"kind": "full", "window": 3, "kv_rank": 2}})) == 3


def test_missing_keys_are_listed():
    texts = refused({"layers": 4})
    assert [text.split(":")[0] for text in texts] == [
        f"model.{k}" for k in ("hidden_size", "heads", "vocab_size", "ffn_size")
    ]
    assert "a model needs a shape" in refused({})[0]
    experts = {"routed": 4, "active": 2, "ffn_size": 8, "dense_layers": 1}
    without = {key: value for key, value in SHAPE.items() if key != "ffn_size"}
    assert refused({**without, "experts": experts}) == [
        "model.ffn_size: this key is missing: some layers have no experts"
    ]


@pytest.mark.parametrize("size", ["10M", "124M", "1B", "7B", "70B", "405B", "2T", "10T"])
def test_a_dense_size_alone(size):
    loaded = load_model({"parameters": size})
    wanted = float(size[:-1]) * {"M": 1e6, "B": 1e9, "T": 1e12}[size[-1]]
    assert parameters(loaded.architecture).total == pytest.approx(wanted, rel=3e-3)
    assert loaded.architecture.experts is None
    (note,) = loaded.notes
    assert f"inferred from {size} parameters" in note
    assert f"{loaded.architecture.layers} layers" in note


@pytest.mark.parametrize(("total", "active"), [("46.7B", "12.9B"), ("235B", "22B"), ("671B", "37B"), ("1T", "32B")])
def test_a_sparse_size_alone(total, active):
    loaded = load_model({"parameters": total, "active_parameters": active})
    count = parameters(loaded.architecture)
    unit = {"B": 1e9, "T": 1e12}
    assert count.total == pytest.approx(float(total[:-1]) * unit[total[-1]], rel=0.005)
    assert count.active == pytest.approx(float(active[:-1]) * unit[active[-1]], rel=0.001)
    assert f"{count.active / 1e9:.4g}B active" in loaded.notes[0]


def test_all_parameters_active_is_dense():
    assert load_model({"parameters": "7B", "active_parameters": "7B"}).architecture.experts is None


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"parameters": "7B", "active_parameters": "8B"}, "8,000,000,000 active parameters are more than"),
        ({"parameters": 1000}, "give the shape"),
        ({"parameters": "1T", "active_parameters": "1M"}, "give the shape"),
        ({"parameters": "5B to 7B"}, "model.parameters: "),
        ({"active_parameters": "7B"}, "a model needs a shape"),
    ],
)
def test_sizes_that_cannot_be(model, message):
    assert message in refused(model)[0]


def test_names_and_aliases():
    assert load_model("llama-3.1-405b").name == "Llama 3.1 405B"
    assert load_model("llama3-405b").architecture == load_model("llama-3.1-405b").architecture
    (text,) = refused("llama-3.1-40b")
    assert "unknown model 'llama-3.1-40b'" in text
    assert "did you mean 'llama-3.1-405b'?" in text


def test_paths_resolve_beside_the_file_that_names_them(tmp_path):
    folder = tmp_path / "my-model"
    folder.mkdir()
    config = (DATA / "hf_configs" / "llama-3.1-8b.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(config, encoding="utf-8")
    scenario = str(tmp_path / "scenario.yaml")
    for reference in ("my-model/config.json", "my-model/", str(folder)):
        loaded = load_model(reference, scenario)
        assert loaded.name == "my-model"
        assert loaded.architecture == load_model("llama-3.1-8b").architecture
    assert "no such file" in refused("other/config.json", relative_to=scenario)[0]


def test_a_model_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    text = catalogue.text("models", "mixtral-8x7b")[1]
    path.write_text(text, encoding="utf-8")
    assert load_model("mine.yaml", str(tmp_path / "s.yaml")).architecture == load_model("mixtral-8x7b").architecture
    path.write_text(text.replace("active: 2", "active: 20").replace("layers:", "leyers:"), encoding="utf-8")
    texts = refused(str(path))
    assert all(text.startswith(f"{path}:") for text in texts)
    assert any("did you mean 'layers'?" in text for text in texts)


def test_schema_lists_every_key():
    assert set(Model.model_json_schema()["properties"]) == set(Model.model_fields)
    plain, _ = split_sourced(read(catalogue.text("models", "gpt2")[1], "gpt2"))
    assert ModelFile.model_validate(plain.value).name == "gpt2"
