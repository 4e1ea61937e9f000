"""Software stacks: catalogue files of constants, each extending another down to ``generic``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from costsim.errors import InputError
from costsim.inputs import catalogue, units
from costsim.inputs.fields import ByShape, Date, Items, Strict, validate
from costsim.inputs.kinds import Kind
from costsim.inputs.quantity import (
    Bytes,
    BytesPerSecond,
    Fraction,
    PlainNumber,
    PositiveFraction,
    PositiveNumber,
    Seconds,
)
from costsim.inputs.yaml_source import Fact, Place, Source, from_mapping, merge, split_sourced
from costsim.training.device import Stack
from costsim.training.enumeration import Space
from costsim.training.layout import RECOMPUTE, SHARDING
from costsim.tree import flatten

MAX_PARENTS = 8
Flag: TypeAlias = Annotated[int, Kind(units.COUNT, lower=0, upper=1, whole=True)]
Sharding: TypeAlias = Literal["none", "optimizer", "gradients", "full"]
Recompute: TypeAlias = Literal["none", "selective", "full"]


RunsOn: TypeAlias = Literal["gpu", "tpu", "asic", "cpu", "nvidia", "amd", "intel", "aws", "google", "huawei"]


class SourceFields(Strict):
    """Where a constant comes from."""

    title: str
    url: str
    accessed: Date


class SearchFields(Strict):
    """What the layout search may use with this stack."""

    tensor: bool
    pipeline: bool
    context: bool
    sharding: Items[Sharding]
    recompute: Items[Recompute]
    sequence_parallel: bool


class LinkEfficiency(Strict):
    """Share of the links inside a domain that ring collectives reach, by topology."""

    switch: PositiveFraction
    mesh: PositiveFraction
    torus: PositiveFraction


class AttentionEfficiency(Strict):
    """Share of the 16-bit peak that a stack's attention kernel reaches, by the generation of the chip.

    A kernel written for one generation runs far below its rate on the next (FlashAttention-2 on Hopper).
    """

    other: PositiveFraction
    volta: PositiveFraction | None = None
    ampere: PositiveFraction | None = None
    ada: PositiveFraction | None = None
    hopper: PositiveFraction | None = None
    blackwell: PositiveFraction | None = None
    tpu: PositiveFraction | None = None

    def on(self, generation: str) -> float:
        """The share on a generation of chips."""
        found = getattr(self, generation, None)
        return float(self.other if found is None else found)


class StackFile(Strict):
    """A stack; the constants are those of `costsim.training.device.Stack`, which says what each means.

    ``runs_on`` names the kinds of chips, or their vendors, that the software exists for; any chip where it is empty.
    """

    costsim: Literal[1]
    name: str
    title: str
    family: str
    summary: str
    aliases: Items[str] = ()
    released: Date | None = None
    runs_on: Items[RunsOn] = ()
    sources: dict[str, SourceFields]
    matmul: PositiveNumber
    attention_efficiency: Annotated[PositiveFraction | AttentionEfficiency, ByShape("a share, or shares by generation")]
    attention_backward: PositiveNumber
    unfused_attention: Flag
    memory_efficiency: PositiveFraction
    elementwise: PositiveNumber
    permute_bytes: PlainNumber
    logits_bytes: PlainNumber
    grouped_matmul: PositiveNumber
    grouped_half_width: PlainNumber
    expert_imbalance: PositiveNumber
    accumulate_bytes: PlainNumber
    accumulate_fused: Flag
    host_seconds: Seconds
    host_experts: PositiveNumber
    host_tensor_growth: PlainNumber
    tensor_overlap: Fraction
    data_overlap: Fraction
    gather_overlap: Fraction
    context_overlap: Fraction
    expert_overlap: Fraction
    pipeline_exposed: Fraction
    scale_up_efficiency: LinkEfficiency
    measured_collectives: Flag
    scale_out_efficiency: PositiveFraction
    ring_latency: Fraction
    straggler: PlainNumber
    recompute_full: PositiveFraction
    recompute_selective: Fraction
    selective_kept: PositiveFraction
    activation_factor: PositiveNumber
    weight_bytes: PositiveNumber
    gradient_bytes: PositiveNumber
    optimizer_bytes: PositiveNumber
    layer_gradient_bytes: PlainNumber
    update_bytes: PlainNumber
    pipeline_outputs: PlainNumber
    low_precision_storage: Flag
    communication_gradient_bytes: PositiveNumber
    logits_memory_bytes: PlainNumber
    states_in_precision: Flag
    brief_gradients: Flag
    gather_buffers: PlainNumber
    unfused_blocks: Flag
    unfused_norms: Flag
    repeated_keys: Flag
    offload_link: BytesPerSecond
    offload_memory: BytesPerSecond
    overhead_bytes: Bytes
    allocator_slack: PlainNumber
    memory_spread: PositiveNumber
    search: SearchFields

    def runs(self, kind: str, vendor: str) -> bool:
        """Whether the software exists for a chip.

        Args:
            kind: of the chip: gpu, tpu, asic or cpu.
            vendor: of the chip.
        """
        return not self.runs_on or bool({kind, vendor.casefold()} & set(self.runs_on))

    def constants(self, generation: str = "other") -> Stack:
        """The numbers that the step-time model takes, as the file states them: before any fit, and without a spread.

        Args:
            generation: of the chip, for the attention kernel.
        """
        by_chip = self.attention_efficiency
        special = {
            "attention_efficiency": by_chip.on(generation) if isinstance(by_chip, AttentionEfficiency) else by_chip,
            "residual": 0.0,
        }
        plain = {f.name: float(getattr(self, f.name)) for f in fields_of(Stack) if f.name not in special}
        return Stack(**plain, **special)

    def space(self, fixed: Mapping[str, float]) -> Space:
        """What the layout search may vary, with the given keys fixed."""
        s = self.search
        return Space(
            tensor=s.tensor,
            pipeline=s.pipeline,
            context=s.context,
            sharding=[SHARDING.index(x) for x in s.sharding],
            recompute=[RECOMPUTE.index(x) for x in s.recompute],
            sequence_parallel=s.sequence_parallel,
            fixed=fixed,
        )


class LoadedStack(NamedTuple):
    """A stack, and where each of its constants comes from.

    Attributes:
        stack: the constants.
        facts: where each of them comes from.
        fitted_as: stack of the catalogue, and its family, whose fit holds for it: itself, or what it extends.
        own: constants that are given apart from the catalogue, which no fit changes.
    """

    stack: StackFile
    facts: dict[str, Fact]
    fitted_as: tuple[str, str]
    own: frozenset[str]


def load_stack(
    reference: str | Mapping[str, Any], beside: str = "", place: Place | None = None, path: str = ""
) -> LoadedStack:
    """Find a stack by catalogue name, path or mapping, and lay it over those that it extends.

    Args:
        reference: a name, an alias, a path, or a mapping of changed constants (with ``extends``, default generic).
        beside: file that names it.
        place: where the name was said, for messages.
        path: dotted path of the field that said it.

    Raises:
        InputError: every problem of the file.
    """
    if isinstance(reference, str):
        source = catalogue.find("stacks", reference, beside, place, path)
    else:
        named = {
            "costsim": 1,
            "name": "custom",
            "title": "Custom stack",
            "family": "custom",
            "summary": "From the scenario.",
        }
        source = from_mapping({"extends": "generic", **named, **reference})
    try:
        return _laid(source)
    except InputError as error:
        if isinstance(reference, str) or not path:
            raise
        within = [replace(p, path=f"{path}.{p.path}" if p.path else path) if not p.file else p for p in error.problems]
        raise InputError(within) from None


def _laid(source: Source) -> LoadedStack:
    """A stack laid over those that it extends.

    Raises:
        InputError: every problem of the file.
    """
    plain, facts = split_sourced(source)
    shipped = source.file.startswith("stacks/")
    own = frozenset() if shipped or not isinstance(plain.value, dict) else frozenset(plain.value)
    fitted_as = _names(plain) if shipped else None
    for _ in range(MAX_PARENTS):
        if not isinstance(plain.value, dict) or "extends" not in plain.value:
            return LoadedStack(validate(StackFile, plain), facts, fitted_as or _names(plain), own)
        parent = plain.value["extends"]
        if not isinstance(parent, str):
            raise InputError(plain.problem("must be the name of a stack", "extends"))
        base, base_facts = split_sourced(
            catalogue.find("stacks", parent, plain.file, plain.position("extends"), "extends")
        )
        fitted_as = fitted_as or (_names(base) if base.file.startswith("stacks/") else None)
        said = {path for path, _ in flatten(plain.value)}
        inherited = {path: fact for path, fact in base_facts.items() if path not in said}
        plain, facts = merge(base, _without(plain, "extends")), inherited | facts
    raise InputError(plain.problem(f"extends more than {MAX_PARENTS} others, or itself", "extends"))


def _names(source: Source) -> tuple[str, str]:
    """Name and family of a stack."""
    value = source.value if isinstance(source.value, dict) else {}
    return str(value.get("name", "")), str(value.get("family", ""))


def _without(source: Source, key: str) -> Source:
    """The source without one of its top keys."""
    value = {k: v for k, v in source.value.items() if k != key} if isinstance(source.value, dict) else source.value
    return Source(value, source.file, source.values, source.keys)


def default_stack(kind: str, vendor: str, accelerators: int, per_node: int) -> str:
    """Name of the stack for a cluster that names none: by the kind of chip, its vendor and the size of the job.

    Args:
        kind: gpu, tpu, asic or cpu.
        vendor: of the chip.
        accelerators: of the cluster.
        per_node: accelerators of a node.
    """
    by_vendor = {"amd": "rocm", "intel": "gaudi", "aws": "neuron", "amazon": "neuron"}
    if kind == "tpu":
        return "maxtext"
    if kind == "cpu":
        return "single-node"
    if vendor.casefold() in by_vendor:
        return by_vendor[vendor.casefold()]
    return "single-node" if accelerators <= per_node else "megatron-core"
