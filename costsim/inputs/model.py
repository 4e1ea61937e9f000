"""The model of a scenario: a catalogue name, a path, a shape written out, or only a number of parameters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import pydantic

from costsim.errors import Problem
from costsim.inputs import catalogue, units
from costsim.inputs.fields import ByShape, Date, FieldError, Items, Strict, validate
from costsim.inputs.quantity import Count, Kind, PositiveNumber, format_quantity, kind_of
from costsim.inputs.yaml_source import Fact, Place, Source, from_mapping, read, split_sourced
from costsim.training.architecture import Architecture, Attention, Biases, Experts, parameters
from costsim.training.inferred import Proportions, infer_shape
from costsim.training.shape import AttentionKind, inconsistencies

Size: TypeAlias = Annotated[int, Kind(units.COUNT, lower=1, upper=1e8, whole=True)]
"""A width, or a number of heads, experts or layers."""
SizeOrZero: TypeAlias = Annotated[int, Kind(units.COUNT, lower=0, upper=1e8, whole=True)]
Layers: TypeAlias = Annotated[int, Kind(units.COUNT, lower=1, upper=1e4, whole=True)]
LayersOrZero: TypeAlias = Annotated[int, Kind(units.COUNT, lower=0, upper=1e4, whole=True)]
Linear: TypeAlias = Literal["qkv", "output", "ffn", "head"]
BIASES: Mapping[str, tuple[Linear, ...]] = {"none": (), "qkv": ("qkv",), "all": ("qkv", "output", "ffn")}
SHAPE = ("layers", "hidden_size", "heads", "vocab_size")
"""Keys that a shape needs, besides a feed-forward width."""
IDENTITY = frozenset({"costsim", "name", "sources", "published_parameters"})
"""Keys that a file of the catalogue has, and a bare shape has not."""


class AttentionFields(Strict):
    """Which keys a query sees, and how they are made (`costsim.training.shape.Attention`).

    Attributes:
        kind: ``full``, ``sliding_window``, ``chunked`` or ``mla``.
        window: tokens of a sliding window or a chunk.
        every: one layer in ``every``, the last of each group, attends in full; 1: none does.
        q_rank: MLA: latent size of queries; omitted when they are projected directly.
        kv_rank: MLA: latent size of keys and values.
        rope_size: MLA: rotary part of a head's query and key.
        nope_size: MLA: the part without position.
        v_size: MLA: size of a head's value.
    """

    kind: AttentionKind = "full"
    window: SizeOrZero = 0
    every: Layers = 1
    q_rank: SizeOrZero = 0
    kv_rank: SizeOrZero = 0
    rope_size: SizeOrZero = 0
    nope_size: SizeOrZero = 0
    v_size: SizeOrZero = 0


class ExpertsFields(Strict):
    """A mixture of experts (`costsim.training.shape.Experts`).

    Attributes:
        routed: experts a router chooses from, in each layer that has them.
        active: routed experts that a token uses.
        ffn_size: inner width of an expert; default: the model's ``ffn_size``.
        shared: experts that every token uses, in addition.
        shared_ffn_size: inner width of a shared expert; default: that of a routed one.
        dense_layers: leading layers without experts.
        every: after those, layer i (from 1) has experts when i is a multiple of ``every``.
        router_bias: whether the router has a trained bias.
        shared_gate: whether a gate scales the shared experts.
    """

    routed: Size
    active: Size
    ffn_size: Size | None = None
    shared: SizeOrZero = 0
    shared_ffn_size: SizeOrZero | None = None
    dense_layers: LayersOrZero = 0
    every: Layers = 1
    router_bias: bool = False
    shared_gate: bool = False


class Model(Strict):
    """A model's shape (`costsim.training.shape.Architecture`), or its size alone.

    Attributes:
        parameters: total parameters, in place of a shape: one is inferred, and the plan says so.
        active_parameters: with ``parameters``, of a mixture of experts: those that a token uses.
        layers: transformer blocks.
        hidden_size: width of the residual stream.
        heads: query heads.
        kv_heads: key and value heads; default ``heads``.
        head_size: width of a head; default ``hidden_size / heads`` (MLA: ``nope_size + rope_size``).
        ffn_size: inner width of the dense feed-forward layers; may be omitted when every layer has experts.
        gated_ffn: three matrices (SwiGLU, GeGLU) rather than two.
        vocab_size: rows of the embedding, padding included.
        tied_embeddings: whether the head is the transposed embedding.
        learned_positions: rows of a learned position embedding.
        relative_positions: Transformer-XL's relative positions (Gopher, Chinchilla): one more projection a layer.
        biases: ``none``, ``qkv``, ``all``, or a list of ``qkv``, ``output``, ``ffn``, ``head``.
        norm_bias: layer norms (weight and bias) rather than RMS norms (weight).
        norms_per_layer: normalisations of the residual stream a layer.
        final_norm: whether one stands before the head.
        embedding_norm: whether one stands after the embedding.
        qk_norm: normalisation of queries and keys: ``none``, ``head`` (or true), or ``full``.
        attention_sinks: one trained logit a head.
        parallel_attention: attention and feed-forward layer side by side.
        attention: which keys are seen; default all.
        experts: a mixture of experts.
        multi_token_prediction: prediction modules beside the model, used in training.
    """

    parameters: Count | None = None
    active_parameters: Count | None = None
    layers: Layers | None = None
    hidden_size: Size | None = None
    heads: Size | None = None
    kv_heads: Size | None = None
    head_size: Size | None = None
    ffn_size: Size | None = None
    gated_ffn: bool = True
    vocab_size: Size | None = None
    tied_embeddings: bool = False
    learned_positions: SizeOrZero = 0
    relative_positions: bool = False
    biases: Annotated[Literal["none", "qkv", "all"] | Items[Linear], ByShape("none, qkv, all, or a list")] = "none"
    norm_bias: bool = False
    norms_per_layer: Annotated[int, Kind(units.COUNT, lower=0, upper=8, whole=True)] = 2
    final_norm: bool = True
    embedding_norm: bool = False
    qk_norm: Annotated[bool | Literal["none", "head", "full"], ByShape("true, false, none, head or full")] = "none"
    attention_sinks: bool = False
    parallel_attention: bool = False
    attention: AttentionFields = pydantic.Field(default_factory=AttentionFields.model_construct)
    experts: ExpertsFields | None = None
    multi_token_prediction: Annotated[int, Kind(units.COUNT, lower=0, upper=16, whole=True)] = 0

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Model:
        """Refuse a shape that is incomplete or contradicts itself, or one beside a bare size."""
        problems = self._size_problems() if self.parameters is not None else self._shape_problems()
        if problems:
            raise FieldError([Problem(message, field) for field, message in problems])
        return self

    def _size_problems(self) -> list[tuple[str, str]]:
        """What is wrong with a bare size."""
        others = sorted(self.model_fields_set & (Model.model_fields.keys() - {"parameters", "active_parameters"}))
        problems = [(field, "does not go with 'parameters': give a whole shape, or the size alone") for field in others]
        total, active = self.parameters or 0, self.active_parameters
        if active is not None and active > total:
            problems.append(("active_parameters", f"{active:,} active parameters are more than the {total:,} in total"))
        if problems:
            return problems
        try:
            _inferred(total, active)
        except ValueError as error:
            return [("parameters", f"{error}; give the shape: layers, hidden_size, heads and so on")]
        return []

    def _shape_problems(self) -> list[tuple[str, str]]:
        """What is wrong with a shape."""
        if not self.model_fields_set & {*SHAPE, "ffn_size"}:
            return [("", f"a model needs a shape ({', '.join(SHAPE)}, ffn_size) or its number of 'parameters'")]
        problems = [(field, "this key is missing") for field in SHAPE if getattr(self, field) is None]
        if self.active_parameters is not None:
            problems.append(("active_parameters", "goes with 'parameters' only; of a shape they are counted"))
        if self.ffn_size is None and (self.experts is None or self.experts.ffn_size is None):
            problems.append(("ffn_size", "this key is missing"))
        if self.experts and self.ffn_size is None and (self.experts.dense_layers or self.experts.every > 1):
            problems.append(("ffn_size", "this key is missing: some layers have no experts"))
        if problems:
            return problems
        assert self.hidden_size is not None
        assert self.heads is not None
        if self.head_size is None and self.attention.kind != "mla" and self.hidden_size % self.heads:
            return [
                ("head_size", f"this key is missing, and {self.heads} heads do not share {self.hidden_size} equally")
            ]
        return inconsistencies(self._shape())

    def to_architecture(self) -> Architecture:
        """The shape that the pure core works with, inferred if only a size is given."""
        return self._shape() if self.parameters is None else _inferred(self.parameters, self.active_parameters)

    def notes(self) -> list[str]:
        """What a reader of the plan should know of the shape."""
        if self.parameters is None:
            return []
        a = self.to_architecture()
        count, e = parameters(a), a.experts
        experts = f", {e.active} of {e.routed} experts of {e.ffn_size}" if e else f", ffn {a.ffn_size}"
        experts += f" and a shared one of {e.shared_ffn_size}" if e and e.shared else ""
        size = format_quantity(self.parameters, kind_of(Count))
        return [
            f"model: shape inferred from {size} parameters, in Llama 3's proportions: {a.layers} layers, hidden "
            f"{a.hidden_size}, {a.heads} heads, {a.kv_heads} of keys and values{experts}, vocabulary {a.vocab_size}: "
            f"{count.total / 1e9:.4g}B parameters" + (f", {count.active / 1e9:.4g}B active" if e else "")
        ]

    def _shape(self) -> Architecture:
        """The shape as given, with the defaults that follow from other keys."""
        layers, hidden, heads, vocab = (getattr(self, field) for field in SHAPE)
        m, e = self.attention, self.experts
        per_head = m.nope_size + m.rope_size if m.kind == "mla" else hidden // heads
        ffn = self.ffn_size if self.ffn_size is not None else e.ffn_size if e else None
        linear = BIASES[self.biases] if isinstance(self.biases, str) else self.biases
        assert ffn is not None
        return Architecture(
            layers=layers,
            hidden_size=hidden,
            heads=heads,
            kv_heads=self.kv_heads or heads,
            head_size=self.head_size or max(per_head, 1),
            ffn_size=ffn,
            vocab_size=vocab,
            gated_ffn=self.gated_ffn,
            tied_embeddings=self.tied_embeddings,
            learned_positions=self.learned_positions,
            relative_positions=self.relative_positions,
            biases=Biases(**{name: name in linear for name in ("qkv", "output", "ffn", "head")}),
            norm_bias=self.norm_bias,
            norms_per_layer=self.norms_per_layer,
            final_norm=self.final_norm,
            embedding_norm=self.embedding_norm,
            qk_norm=("head" if self.qk_norm else "none") if isinstance(self.qk_norm, bool) else self.qk_norm,
            attention_sinks=self.attention_sinks,
            parallel_attention=self.parallel_attention,
            attention=Attention(**m.model_dump()),
            experts=_experts(e, ffn) if e else None,
            multi_token_prediction=self.multi_token_prediction,
        )


def _experts(e: ExpertsFields, ffn_size: int) -> Experts:
    """Experts with the widths that were left to a default."""
    width = e.ffn_size if e.ffn_size is not None else ffn_size
    shared = (e.shared_ffn_size if e.shared_ffn_size is not None else width) if e.shared else e.shared_ffn_size or 0
    return Experts(**{**e.model_dump(), "ffn_size": width, "shared_ffn_size": shared})


class _ProportionsFile(Strict):
    """The file of proportions that an inferred shape copies."""

    costsim: Literal[1]
    sources: dict[str, Any]
    aspect: PositiveNumber
    ffn_ratio: PositiveNumber
    head_size: Size
    kv_heads: Size
    vocab_size: Size
    small_vocab_size: Size
    tied_below: PositiveNumber
    active_experts: Size


@cache
def _proportions() -> Proportions:
    """The shipped proportions."""
    label, text = catalogue.data_text("inferred_shape.yaml")
    fields = validate(_ProportionsFile, split_sourced(read(text, label))[0])
    return Proportions(**fields.model_dump(exclude={"costsim", "sources"}))


@cache
def _inferred(total: int, active: int | None) -> Architecture:
    """A shape of that size in the shipped proportions."""
    return infer_shape(total, active, _proportions())


class Reference(Strict):
    """Where a fact was published.

    Attributes:
        title: of the document.
        url: its address.
        accessed: the day it was read.
    """

    title: str
    url: str
    accessed: Date


class ModelFile(Model):
    """A file of the catalogue of models: a shape, and where it is published.

    Attributes:
        costsim: version of the format.
        name: catalogue name.
        title: name for people.
        aliases: other names it is found by.
        sources: publications, by identifier.
        published_parameters: the number of parameters as printed, or as the published weights have it.
        published_active_parameters: those that a token uses, as printed.
        note: a remark.
    """

    costsim: Literal[1]
    name: str
    title: str = ""
    aliases: Items[str] = ()
    sources: dict[str, Reference]
    published_parameters: Count | None = None
    published_active_parameters: Count | None = None
    note: str = ""


class _Written(Strict):
    """A model written out, under the key that messages name."""

    model: Model


class LoadedModel(NamedTuple):
    """A model ready to plan with.

    Attributes:
        architecture: its shape.
        name: what to call it.
        notes: what a reader of the plan should know.
        facts: where each number comes from, by key; empty for what the scenario itself says.
    """

    architecture: Architecture
    name: str
    notes: list[str]
    facts: dict[str, Fact]


def load_model(
    reference: str | Model | Mapping[str, Any],
    relative_to: str | None = None,
    place: Place | None = None,
    path: str = "model",
) -> LoadedModel:
    """Find a model.

    Args:
        reference: a catalogue name or alias; the path of a Hugging Face ``config.json``, of a folder that holds one, or
            of a model file; or a model written out.
        relative_to: the file that names it, beside which a path is looked up; default the working directory.
        place: where it was named, for messages.
        path: dotted path of the field that names it.

    Raises:
        InputError: there is no such model, or its file is wrong; every problem at once.
    """
    if isinstance(reference, Mapping):
        reference = validate(_Written, from_mapping({"model": dict(reference)})).model
    if isinstance(reference, Model):
        return LoadedModel(reference.to_architecture(), "", reference.notes(), {})
    file = Path(catalogue.resolve(reference, relative_to or ""))
    if not catalogue.is_path(reference) or file.suffix in (".yaml", ".yml"):
        return _from_file(catalogue.find("models", reference, relative_to or "", place, path))
    from costsim.inputs.hf_config import import_config  # only where one is named

    architecture, name, notes = import_config(file / "config.json" if file.is_dir() else file)
    return LoadedModel(architecture, name, notes, {})


def _from_file(source: Source) -> LoadedModel:
    """A model of the catalogue or of a file of the same form, or a bare shape, which is called as its file."""
    if isinstance(source.value, dict) and not source.value.keys() & IDENTITY:
        shape = validate(Model, source)
        return LoadedModel(shape.to_architecture(), Path(source.file).stem, shape.notes(), {})
    plain, facts = split_sourced(source)
    model = validate(ModelFile, plain)
    return LoadedModel(model.to_architecture(), model.title or model.name, model.notes(), facts)
