"""The training, cluster and uncertainty sections of a scenario."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import pydantic

from costsim.errors import Problem
from costsim.inputs import units
from costsim.inputs.fields import ByShape, FieldError, Items, Strict
from costsim.inputs.kinds import Kind
from costsim.inputs.money import Failures
from costsim.inputs.quantity import BytesPerSecondRange, Count, Fraction, PositiveFractionRange, SecondsRange, Tokens
from costsim.inputs.stack import Recompute, Sharding
from costsim.training.layout import OFFLOAD, RECOMPUTE, SHARDING

Precision: TypeAlias = Literal["fp32", "tf32", "fp16", "bf16", "fp8", "fp4"]
StatePrecision: TypeAlias = Literal["fp32", "bf16", "fp16", "fp8"]
STATE_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2, "fp8": 1}
MOMENTS = {"adamw": 2, "adam": 2, "lion": 1, "muon": 1, "sgd": 1, "adafactor": 0}
"""Optimizers, and the full-size state tensors that each keeps besides the master copy."""
MATMUL_BYTES = {"fp32": 4.0, "tf32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "fp4": 0.5}
ACTIVATION_BYTES = {"fp32": 4.0, "tf32": 4.0}
Degree: TypeAlias = Annotated[int, Kind(units.COUNT, lower=1, upper=1_000_000, whole=True)]
ClusterSize: TypeAlias = Annotated[int, Kind(units.COUNT, lower=1, upper=10_000_000, whole=True)]
SequenceLength: TypeAlias = Annotated[int, Kind(units.COUNT, lower=1, upper=100_000_000, whole=True)]

MOST_DRAWS = 10_000_000


class OptimizerFields(Strict):
    """An optimizer and the precision of its states.

    Attributes:
        name: which one.
        master: precision of the copy of the weights that is updated.
        moments: precision of its moments.
    """

    name: Literal["adamw", "adam", "lion", "muon", "sgd", "adafactor"] = "adamw"
    master: StatePrecision = "fp32"
    moments: StatePrecision = "fp32"

    @property
    def bytes_per_parameter(self) -> float:
        """Bytes of master copy and moments."""
        return STATE_BYTES[self.master] + MOMENTS[self.name] * STATE_BYTES[self.moments]


OptimizerName: TypeAlias = Literal["adamw", "adam", "lion", "muon", "sgd", "adafactor"]


class Phase(Strict):
    """A part of the run with its own sequence length or batch.

    Attributes:
        tokens: of this phase.
        sequence_length: default that of the run.
        global_batch_sequences: default that of the run.
        global_batch_tokens: in place of sequences.
    """

    tokens: Tokens
    sequence_length: SequenceLength | None = None
    global_batch_sequences: Degree | None = None
    global_batch_tokens: Tokens | None = None


class Training(Strict):
    """What is trained on.

    Attributes:
        tokens: seen in training; default the sum of the phases.
        unique_tokens: distinct ones among them; default all.
        sequence_length: tokens of a sequence.
        global_batch_sequences: sequences of an optimizer step.
        global_batch_tokens: tokens of a step instead; rounded to whole micro-batches, with a note.
        precision: of the matrix products.
        optimizer: its name, or with the precision of its states.
        phases: parts of the run in turn.
    """

    tokens: Tokens | None = None
    unique_tokens: Tokens | None = None
    sequence_length: SequenceLength
    global_batch_sequences: Degree | None = None
    global_batch_tokens: Tokens | None = None
    precision: Precision
    optimizer: Annotated[OptimizerName | OptimizerFields, ByShape("a name, or a mapping with name, master, moments")]
    phases: Items[Phase] = ()

    @pydantic.model_validator(mode="after")
    def _consistent(self) -> Training:
        problems = []
        if self.tokens is None and not self.phases:
            problems.append(Problem("this key is missing", "tokens", allowed="a number of tokens such as 15.6T"))
        if self.tokens is not None and self.phases:
            total = sum(phase.tokens for phase in self.phases)
            if abs(total / self.tokens - 1) > 1e-3:
                message = f"the phases have {total:.6g} tokens together, the run {self.tokens:.6g}"
                problems.append(Problem(message, "phases", allowed="phases that add up, or no 'tokens'"))
        batches = [self.global_batch_sequences, self.global_batch_tokens]
        if sum(b is not None for b in batches) != 1:
            message = "give one of global_batch_sequences and global_batch_tokens"
            problems.append(Problem(message, "global_batch_sequences"))
        problems += _short_batch(self.global_batch_tokens, self.sequence_length, "global_batch_tokens")
        for index, phase in enumerate(self.phases):
            path = f"phases.{index}.global_batch_tokens"
            if phase.global_batch_sequences is not None and phase.global_batch_tokens is not None:
                problems.append(Problem("give one of sequences and tokens", path))
            own = phase.global_batch_sequences is not None or phase.global_batch_tokens is not None
            tokens = phase.global_batch_tokens if own else self.global_batch_tokens
            if own or phase.sequence_length is not None:
                problems += _short_batch(tokens, phase.sequence_length or self.sequence_length, path)
        if self.unique_tokens is not None and self.unique_tokens > self.total_tokens:
            message = f"{self.unique_tokens:.6g} unique tokens are more than the {self.total_tokens:.6g} seen"
            problems.append(Problem(message, "unique_tokens", allowed="at most training.tokens"))
        if problems:
            raise FieldError(problems)
        return self

    @property
    def total_tokens(self) -> float:
        """Tokens of the whole run."""
        return float(self.tokens if self.tokens is not None else sum(phase.tokens for phase in self.phases))

    @property
    def optimizer_fields(self) -> OptimizerFields:
        """The optimizer with its states."""
        return OptimizerFields(name=self.optimizer) if isinstance(self.optimizer, str) else self.optimizer


def _short_batch(tokens: float | None, sequence_length: int, path: str) -> list[Problem]:
    """What is wrong with a batch that does not hold one sequence."""
    if tokens is None or tokens >= sequence_length:
        return []
    message = f"a step of {tokens:,.0f} tokens is less than one sequence of {sequence_length:,}"
    return [Problem(message, path, allowed="at least training.sequence_length")]


class ScaleOut(Strict):
    """The network between domains, per accelerator, one direction.

    Attributes:
        bandwidth: of the network card's share.
        latency: of a hop.
    """

    bandwidth: BytesPerSecondRange | None = None
    latency: SecondsRange | None = None


_MODES = "selective or full"
_MOST_DIVISORS = 12


class LayoutFields(Strict):
    """Keys of a layout; what is omitted is chosen by the search.

    Attributes:
        tensor: ranks that split each matrix product.
        pipeline: stages.
        virtual_pipeline: chunks of a stage.
        context: ranks that split the sequence.
        expert: ranks that split the experts.
        expert_tensor: ranks that split each expert.
        data: replicas; follows from the others.
        sharding: what is split over replicas.
        sequence_parallel: whether tensor ranks split norms too.
        micro_batch: sequences of a forward pass.
        recompute: what is computed again in the backward pass.
        shard_ranks: ranks over which states are split, the rest being copies; 0: over all replicas.
        recompute_share: of the layers of a stage that it applies to.
        offload: what lives in host memory.
    """

    tensor: Degree | None = None
    pipeline: Degree | None = None
    virtual_pipeline: Degree | None = None
    context: Degree | None = None
    expert: Degree | None = None
    expert_tensor: Degree | None = None
    data: Degree | None = None
    sharding: Sharding | None = None
    shard_ranks: Annotated[int, Kind(units.COUNT, lower=0, upper=1_000_000, whole=True)] | None = None
    sequence_parallel: bool | None = None
    micro_batch: Degree | None = None
    recompute: Recompute | None = None
    recompute_share: Fraction | None = None
    offload: Literal["none", "optimizer"] | None = None

    @pydantic.model_validator(mode="after")
    def _means_something(self) -> LayoutFields:
        problems = []
        idle = self.recompute is None or (self.recompute == "none" and self.recompute_share != 1)  # as plans print it
        if self.recompute_share is not None and idle:
            said = "no layer is recomputed" if self.recompute == "none" else "it says of which layers, but not what"
            problems.append(Problem(f"means nothing: {said}", "recompute_share", allowed=f"with recompute: {_MODES}"))
        if self.shard_ranks and self.sharding == "none":
            message = "means nothing: nothing is sharded"
            problems.append(Problem(message, "shard_ranks", allowed="with sharding: optimizer, gradients or full"))
        if problems:
            raise FieldError(problems)
        return self

    def replicas(self, accelerators: int) -> int:
        """Ranks that states may be split over, or of which their number is a divisor where degrees are open."""
        if self.data is not None and self.context is not None:
            return self.data * self.context
        return accelerators // ((self.tensor or 1) * (self.pipeline or 1))

    def fixed(self) -> dict[str, float]:
        """The keys that are given, as the numbers of `costsim.training.layout.Layout`."""
        words = {"sharding": SHARDING, "recompute": RECOMPUTE, "offload": OFFLOAD}
        given = {key: value for key, value in self.model_dump().items() if value is not None}
        return {key: float(words[key].index(v) if key in words else v) for key, v in given.items()}


class CalibrationChoice(Strict):
    """A calibration to use whatever its verdict is.

    Attributes:
        file: path of what ``costsim bench`` wrote.
        accept: use it even if its verdict is refused or partial.
    """

    file: str
    accept: bool = False


class Cluster(Strict):
    """The machines.

    Attributes:
        accelerator: a catalogue name, a path, or a mapping.
        calibration: file of measurements of one of them, in place of the stack's priors.
        accelerators: how many.
        per_node: of a node; default from the hardware file.
        scale_out: network; default from the hardware file.
        stack: a catalogue name or a mapping; default by the kind of chip.
        layout: ``auto``, or a mapping whose omitted keys are chosen.
        mfu: assume it, and skip the step-time model.
        goodput: assume it, and skip the failure model.
        failures: how often the cluster is interrupted, and what that costs.
    """

    accelerator: Annotated[str | dict[str, Any], ByShape("a catalogue name, a path or a mapping")]
    calibration: Annotated[
        str | CalibrationChoice | None, ByShape("the path of a calibration, or a mapping with file and accept")
    ] = None
    accelerators: ClusterSize
    per_node: Count | None = None
    scale_out: ScaleOut = pydantic.Field(default_factory=ScaleOut.model_construct)
    stack: Annotated[str | dict[str, Any] | None, ByShape("a catalogue name or a mapping")] = None
    layout: Annotated[Literal["auto"] | LayoutFields, ByShape("auto, or a mapping of degrees")] = "auto"
    mfu: PositiveFractionRange | None = None
    goodput: PositiveFractionRange | None = None
    failures: Failures

    @pydantic.model_validator(mode="after")
    def _shards_divide(self) -> Cluster:
        asked = 0 if isinstance(self.layout, str) else self.layout.shard_ranks or 0
        if not asked or isinstance(self.layout, str):
            return self
        replicas = self.layout.replicas(self.accelerators)
        if asked > replicas or replicas % asked:
            message = f"{asked} ranks do not divide the {replicas:,} that there are to shard over"
            listed = [f"{d:,}" for d in range(1, replicas + 1) if replicas % d == 0]
            few = listed if len(listed) <= _MOST_DIVISORS else [*listed[: _MOST_DIVISORS - 1], "...", listed[-1]]
            raise FieldError([Problem(message, "layout.shard_ranks", allowed=f"one of {', '.join(few)}; 0 for all")])
        return self

    @property
    def fixed_layout(self) -> dict[str, float]:
        """Keys of the layout that are given."""
        return {} if isinstance(self.layout, str) else self.layout.fixed()


class Uncertainty(Strict):
    """Draws of the ranges.

    Attributes:
        draws: how many; 0 for the point plan alone.
        seed: of the random streams.
        sensitivity_points: base points of the quasi-random sequence behind Sobol' indices.
    """

    draws: Annotated[int, Kind(units.COUNT, lower=0, upper=MOST_DRAWS, whole=True)]
    seed: Annotated[int, Kind(units.COUNT, lower=0, upper=2**53, whole=True)]
    sensitivity_points: Annotated[int, Kind(units.COUNT, lower=2, upper=2**20, whole=True)]

    @pydantic.field_validator("sensitivity_points")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise FieldError(
                "is no power of two", allowed="512, 1024, 2048 and so on: the sequence is balanced only there"
            )
        return value
