"""Import of Hugging Face configurations: counts of Transformers itself, defaults, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from costsim.errors import InputError
from costsim.inputs.hf_config import FAMILIES, import_config
from costsim.training.architecture import Attention, parameters, windowed_layers

DATA = Path(__file__).parents[1] / "data"
COUNTED = json.loads((DATA / "hf_parameters.json").read_text(encoding="utf-8"))["parameters"]
VARIANTS = json.loads((DATA / "hf_variants.json").read_text(encoding="utf-8"))["models"]
LLAMA = {
    "model_type": "llama",
    "hidden_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "intermediate_size": 96,
    "vocab_size": 1000,
}


def write(folder: Path, config: object) -> Path:
    path = folder / "config.json"
    path.write_text(config if isinstance(config, str) else json.dumps(config), encoding="utf-8")
    return path


def refused(folder: Path, config: object) -> list[str]:
    path = write(folder, config)
    with pytest.raises(InputError) as caught:
        import_config(path)
    assert all(problem.file == str(path) for problem in caught.value.problems)
    return [str(problem).removeprefix(f"{path}: ") for problem in caught.value.problems]


@pytest.mark.parametrize("name", COUNTED)
def test_published_configurations_count_as_transformers_does(name):
    a, imported, _ = import_config(DATA / "hf_configs" / f"{name}.json")
    assert parameters(a).total == COUNTED[name]
    assert imported == name


@pytest.mark.parametrize("case", VARIANTS, ids=lambda case: case["config"]["model_type"])
def test_small_variants_count_as_transformers_does(case, tmp_path):
    a, _, _ = import_config(write(tmp_path, case["config"]))
    assert parameters(a).total == case["parameters"]


def test_every_family_is_compared():
    compared = {case["config"]["model_type"] for case in VARIANTS}
    for name in COUNTED:
        config = json.loads((DATA / "hf_configs" / f"{name}.json").read_text(encoding="utf-8"))
        compared.add(config.get("text_config", config)["model_type"])
    assert compared == set(FAMILIES)


def test_windows_of_the_families():
    def of(name):
        return import_config(DATA / "hf_configs" / f"{name}.json")[0]

    assert of("mistral-7b").attention == Attention("sliding_window", 4096)
    assert windowed_layers(of("gemma-2-9b")) == 21
    assert windowed_layers(of("gemma-3-27b")) == 62 - 10
    assert of("gpt-oss-120b").attention == Attention("sliding_window", 128, 2)
    assert of("llama-4-scout").attention == Attention("chunked", 8192, 4)
    assert of("qwen2.5-7b").attention == Attention()


def test_layer_types_decide(tmp_path):
    def attention(kinds):
        config = {**LLAMA, "model_type": "mistral", "sliding_window": 16, "layer_types": kinds}
        return import_config(write(tmp_path, config))[0].attention

    full, sliding = "full_attention", "sliding_attention"
    assert attention([full] * 4) == Attention()
    assert attention([sliding] * 4) == Attention("sliding_window", 16)
    assert attention([sliding, full] * 2) == Attention("sliding_window", 16, 2)
    assert attention([sliding, sliding, full, sliding]) == Attention("sliding_window", 16, 3)


@pytest.mark.parametrize(
    "kinds",
    [
        ["full_attention", "sliding_attention"] * 2,
        ["sliding_attention", "full_attention", "full_attention", "sliding_attention"],
        ["sliding_attention"] * 3,
        ["linear_attention"] * 4,
        "sliding_attention",
        [1, 2, 3, 4],
    ],
)
def test_other_orders_of_layers_are_refused(kinds, tmp_path):
    config = {**LLAMA, "model_type": "mistral", "sliding_window": 16, "layer_types": kinds}
    assert any(text.startswith("layer_types: ") for text in refused(tmp_path, config))


def test_omitted_keys_are_noted(tmp_path):
    config = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
    a, _, notes = import_config(write(tmp_path, {**config, "model_type": "mistral"}))
    assert a.kv_heads == 8
    assert a.attention.window == 4096
    assert notes == [
        "config.json: omitted, so at Hugging Face's default for mistral: num_key_value_heads 8, sliding_window 4096"
    ]


def test_what_follows_from_other_keys_is_not_noted(tmp_path):
    config = {key: value for key, value in LLAMA.items() if key != "num_key_value_heads"}
    a, name, notes = import_config(write(tmp_path, config))
    assert (a.kv_heads, a.head_size, notes) == (8, 8, [])
    assert name == tmp_path.name


def test_null_is_as_if_omitted(tmp_path):
    a, _, _ = import_config(write(tmp_path, {**LLAMA, "num_key_value_heads": None, "head_dim": None}))
    assert (a.kv_heads, a.head_size) == (8, 8)


def test_prediction_modules_are_noted():
    a, _, notes = import_config(DATA / "hf_configs" / "deepseek-v3.json")
    assert a.multi_token_prediction == 1
    assert "counted in FLOPs, not in parameters" in notes[0]


def test_text_part_of_a_multimodal_model(tmp_path):
    nested = {"model_type": "brand_new_vlm", "text_config": LLAMA, "vision_config": {"hidden_size": 7}}
    a, _, notes = import_config(write(tmp_path, {**nested, "tie_word_embeddings": True}))
    assert a.hidden_size == 64
    assert a.tied_embeddings
    assert "language model of a multimodal brand_new_vlm" in notes[0]
    broken = {**nested, "text_config": {**LLAMA, "hidden_size": "x"}}
    assert refused(tmp_path, broken) == ["text_config.hidden_size: must be a whole number, not text"]


def test_all_problems_at_once(tmp_path):
    config = {**LLAMA, "num_hidden_layers": 4.0, "vocab_size": True, "attention_bias": "no", "num_attention_heads": 0}
    del config["hidden_size"]
    texts = refused(tmp_path, config)
    assert "hidden_size: is missing and has no default; a whole number" in texts
    assert "num_hidden_layers: must be a whole number, not a fraction" in texts
    assert "vocab_size: must be a whole number, not true or false" in texts
    assert "attention_bias: must be true or false, not text" in texts
    assert any(text.startswith("num_attention_heads: 0 is out of range") for text in texts)


@pytest.mark.parametrize(
    "key", ["hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"]
)
@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt_neox", "starcoder2"])
def test_sizes_have_no_default(family, key, tmp_path):
    config = {**LLAMA, "model_type": family}
    del config[key]
    assert f"{key}: is missing and has no default; a whole number" in refused(tmp_path, config)


def test_contradictions_are_problems(tmp_path):
    assert refused(tmp_path, {**LLAMA, "num_key_value_heads": 3}) == [
        "kv_heads: 8 query heads cannot be shared by 3 key-value heads equally"
    ]
    config = {**LLAMA, "model_type": "mixtral", "num_local_experts": 2, "num_experts_per_tok": 4}
    assert "4 active experts are more than the 2 routed ones" in refused(tmp_path, config)[0]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"model_type": "deepseek_v3", "moe_layer_freq": 2}, "moe_layer_freq"),
        ({"model_type": "deepseek_v3", "attention_bias": True}, "attention_bias"),
        ({"model_type": "qwen3_moe", "moe_intermediate_size": 8, "mlp_only_layers": [2]}, "mlp_only_layers"),
        ({"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": 2}, "max_window_layers"),
        ({"model_type": "phi", "qk_layernorm": True}, "qk_layernorm"),
        ({"model_type": "opt", "ffn_dim": 8, "word_embed_proj_dim": 8}, "word_embed_proj_dim"),
        (
            {"model_type": "gpt2", "n_embd": 8, "n_layer": 1, "n_head": 2, "add_cross_attention": True},
            "add_cross_attention",
        ),
        ({"model_type": "mpt", "d_model": 8, "n_layers": 1, "n_heads": 2, "expansion_ratio": 3}, "expansion_ratio"),
        (
            {"model_type": "mpt", "d_model": 8, "n_layers": 1, "n_heads": 2, "attn_config": {"qk_ln": True}},
            "attn_config",
        ),
        ({"model_type": "llama4_text", "moe_layers": [3]}, "moe_layers"),
        ({"model_type": "llama4_text", "no_rope_layers": [1, 1, 1, 1]}, "no_rope_layers"),
        ({"num_attention_heads": 7}, "num_attention_heads"),
    ],
)
def test_what_is_not_modelled_is_said(changes, key, tmp_path):
    assert any(text.startswith(f"{key}: ") for text in refused(tmp_path, {**LLAMA, **changes}))


def test_lists_of_llama_4_that_agree_are_accepted(tmp_path):
    config = {**LLAMA, "model_type": "llama4_text", "interleave_moe_layer_step": 2, "moe_layers": [1, 3]}
    a, _, _ = import_config(write(tmp_path, {**config, "no_rope_layers": [1, 1, 1, 0]}))
    assert a.experts is not None
    assert a.experts.every == 2


def test_unknown_model_types_list_the_known_ones(tmp_path):
    (text,) = refused(tmp_path, {**LLAMA, "model_type": "lama"})
    assert "unknown model type 'lama'" in text
    assert "gpt_neox" in text
    assert "did you mean 'llama'?" in text
    assert "not a Hugging Face configuration?" in refused(tmp_path, {"hidden_size": 4})[0]
    assert "model_type: must be text, not a list" in refused(tmp_path, {**LLAMA, "model_type": ["llama"]})[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("", "is not JSON"),
        ("[]", "must be an object, not a list"),
        ("3", "must be an object"),
        ('{"model_type": "llama", "model_type": "gpt2"}', "the key 'model_type' is there twice"),
        ('{"model_type": "llama", "x": {"a": 1, "a": 2}}', "the key 'a' is there twice"),
        ('{"model_type": "llama", "hidden_size": NaN}', "NaN is not allowed"),
        ('{"model_type": "llama", "hidden_size": -Infinity}', "-Infinity is not allowed"),
        ('{"hidden_size": ' + "9" * 5000 + "}", "digits"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "nested more than"),
        ("[" * 100_000 + "]" * 100_000, "nested more than"),
    ],
)
def test_hostile_json(text, message, tmp_path):
    assert message in refused(tmp_path, text)[0]


def test_json_problems_have_a_line(tmp_path):
    path = write(tmp_path, '{\n  "model_type": llama\n}')
    with pytest.raises(InputError) as caught:
        import_config(path)
    assert (caught.value.problems[0].line, caught.value.problems[0].column) == (2, 17)


def test_files_that_are_none(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(InputError):
            import_config(path)
    large = write(tmp_path, "{" + " " * 2**21 + "}")
    with pytest.raises(InputError, match="larger than"):
        import_config(large)
    (tmp_path / "latin.json").write_bytes(b'{"model_type": "\xff"}')
    with pytest.raises(InputError, match="UTF-8"):
        import_config(tmp_path / "latin.json")


@pytest.mark.parametrize("value", [0, -1, 1.5, "4096", True, [], {}, 10**12])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_no_value_of_a_key_leads_to_a_traceback(family, value, tmp_path):
    case = next((c["config"] for c in VARIANTS if c["config"]["model_type"] == family), {**LLAMA, "model_type": family})
    for key in [key for key in case if key != "model_type"]:
        path = write(tmp_path, {**case, key: value})
        try:
            import_config(path)
        except InputError as error:
            nameless = [problem for problem in error.problems if not (problem.file and problem.path)]
        else:
            nameless = []
        assert nameless == []


def test_the_documentation_lists_every_family():
    text = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    listed = text.split("These model types are read:")[1].split(". Of a")[0]
    assert sorted(listed.replace("\n", " ").replace(" ", "").split(",")) == list(FAMILIES)
