"""What the text columns of a published serving measurement say: its model, layout, precision, and how it was driven."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from costsim.errors import InputError
from costsim.evidence.words import Row, text
from costsim.inputs import catalogue
from costsim.inputs.model import load_model
from costsim.inputs.served import ElementBytes, Sparing
from costsim.inputs.yaml_source import read
from costsim.training.shape import Architecture


class Served(NamedTuple):
    """A model that was served.

    Attributes:
        name: in the catalogue, or in ``data/evidence/serving_models.yaml``.
        architecture: its shape.
        sparing: how it looks at less than its context.
    """

    name: str
    architecture: Architecture
    sparing: Sparing


class Degrees(NamedTuple):
    """How a replica is split.

    Attributes:
        accelerators: of a replica.
        groups: of attention data parallelism; 1 without.
    """

    accelerators: int
    groups: int


_KEYS = {"dsr1": "deepseek-v3", "llama70b": "llama-3.1-70b", "llama8b": "llama-3.1-8b"}
"""Short names of models in benchmarks."""

_SUFFIXES = re.compile(
    r"[-_.](fp8|fp4|nvfp4|mxfp4|int4|bf16|w4a16|w8a8|awq|gptq|instruct|chat|preview|hf|base|thinking|it|dynamic|kv|v\d|"
    r"\d{4}|\d{6,8})$"
)
_FAMILIES = (
    (re.compile(r"deepseek[-_ ]?(v3(\.1)?|r1)(/r1)?"), "deepseek-v3"),
    (re.compile(r"llama[-_ ]?2[-_ ]?70b"), "llama-2-70b"),
    (re.compile(r"llama[-_ ]?3(\.\d)?[-_ ]?70b"), "llama-3.1-70b"),
    (re.compile(r"llama[-_ ]?3(\.1)?[-_ ]?8b"), "llama-3.1-8b"),
    (re.compile(r"llama[-_ ]?3(\.1)?[-_ ]?405b"), "llama-3.1-405b"),
    (re.compile(r"kimi[-_ ]?k2(\.\d)?"), "kimi-k2"),
    (re.compile(r"qwen3\.5[-_ ]?397b([-_ ]?a17b)?"), "qwen3.5-397b-a17b"),
    (re.compile(r"minimax[-_ ]?m2(\.\d)?"), "minimax-m2.5"),
    (re.compile(r"glm[-_ ]?5"), "glm-5"),
)
"""Models of one shape under several names."""


def served(row: Row) -> Served | None:
    """The model of a row: of its name, else of its key; None if neither is known."""
    for said in (text(row, "model"), text(row, "model_key")):
        name = said.rsplit("/", 1)[-1] if not re.search(r"/r1$", said) else said
        found = _named(name.strip())
        if found is not None:
            return found
    return None


@cache
def _named(name: str) -> Served | None:
    """A model by name, without the suffixes that tell of its precision, tuning or date."""
    tried = _KEYS.get(name, name)
    while tried:
        family = next((to for pattern, to in _FAMILIES if pattern.fullmatch(tried)), tried)
        found = _known(family)
        if found is not None:
            return found
        shorter = _SUFFIXES.sub("", tried)
        if shorter == tried:
            return None
        tried = shorter
    return None


def _known(name: str) -> Served | None:
    more = _more_models().get(name)
    if more is not None:
        shape = load_model(more["model"]).architecture
        return Served(name, shape, Sparing(int(more.get("chosen_keys", 0)), int(more.get("every", 1))))
    if catalogue.is_path(name):
        return None
    try:
        file, _ = catalogue.text("models", name)
    except InputError:
        return None
    known = file.removeprefix("models/").removesuffix(".yaml")
    return Served(known, load_model(known).architecture, Sparing())


@cache
def _more_models() -> Mapping[str, Any]:
    """Models that no model file can say."""
    file, found = catalogue.data_text("evidence/serving_models.yaml")
    content: Any = read(found, file).value
    models: Mapping[str, Any] = content["models"]
    return models


def degrees(row: Row, accelerators: float | None) -> Degrees | None:
    """The split of a replica; None where it is not printed, or does not go into the accelerators.

    ``tp8``, ``tp4-ep2``, ``dep4`` (attention data parallelism and experts over four), ``tp1-dp8-ep8``. Experts are
    split over all of a replica, whatever their degree.
    """
    said = text(row, "parallelism").replace("_", "-").replace(" ", "-")
    sizes = {kind: int(size) for kind, size in re.findall(r"(?<![a-z])(tp|dp|ep|dep|pp)[-=]?(\d+)(?![a-z])", said)}
    if "dep" in sizes:
        sizes = {"tp": 1, "dp": sizes["dep"], "ep": sizes["dep"]} | {"tp": sizes.get("tp", 1)}
    if not sizes and accelerators == 1:
        sizes = {"tp": 1}
    if not sizes or sizes.get("pp", 1) > 1 or not {"tp", "dp"} & set(sizes):
        return None
    tensor, groups = sizes.get("tp", 1), sizes.get("dp", 1)
    replica = tensor * groups
    if accelerators is not None and (accelerators % replica or accelerators < replica):
        return None
    # Data parallelism without experts split over it is several replicas, each of which serves its share.
    if groups > 1 and sizes.get("ep", 1) <= 1:
        return Degrees(tensor, 1)
    return Degrees(replica, groups)


WIDENED = "bf16"
"""What weights of four bits multiply in where only they are narrow (W4A16)."""


def precision(row: Row) -> str | None:
    """Of the weights, ``int4`` for four bits without a scale format; None where it cannot be told."""
    said = text(row, "precision")
    if said in ("", "unstated", "unknown", "-"):
        return "bf16"  # what a checkpoint is in that says nothing else
    named = {
        "fp8": "fp8", "fp4": "fp4", "nvfp4": "fp4", "mxfp4": "fp4", "bf16": "bf16", "fp16": "bf16", "int4": "int4",
        "int8": "int8", "w4a16": "int4", "bfloat16": "bf16", "fp8_e4m3": "fp8",
    }  # fmt: skip
    return named.get(said)


EXPERTS_ONLY = ("gpt-oss-120b", "gpt-oss-20b")
"""Models whose own four-bit weights (MXFP4) are those of the experts; the rest is 16 bits."""


def element_bytes(name: str, narrow: str, weights: Mapping[str, float], kv: Mapping[str, float]) -> ElementBytes:
    """Bytes of weights and cache of a served model.

    Args:
        name: of the model.
        narrow: of the weights.
        weights: bytes of a weight by precision.
        kv: bytes of a cached element by precision of the weights.
    """
    if narrow == "int4":
        return ElementBytes(weights["bf16"], weights["fp4"], kv["bf16"])
    if name in EXPERTS_ONLY and narrow in ("fp4", "fp8"):  # both labels are of the same published weights
        return ElementBytes(weights["bf16"], weights["fp4"], kv[narrow])
    return ElementBytes(weights[narrow], weights[narrow], kv[narrow])


def untold(row: Row) -> str | None:
    """Why a row's speed cannot be predicted, by its words; None if it can."""
    said = text(row, "mode", "parallelism")
    if re.search(r"best of|sweep|pareto", said):
        return "the best of a sweep: its layout and engine are not printed"
    if re.search(r"disagg|prefill pool|decode pool", said):
        return "prefill and decode run on pools of their own"
    drafted = text(row, "spec_decode")
    if re.search(r"mtp|eagle|draft|medusa|allowed|ngram", drafted) and not re.search(r"none|off|\bno\b", drafted):
        return "tokens may be drafted (speculative decoding), and how many are accepted is not printed"
    return None


def drives_to_the_limit(row: Row) -> bool:
    """Whether as many requests as memory holds were given at once (offline throughput)."""
    return bool(re.search(r"offline|max(imum)? throughput", text(row, "mode")))
