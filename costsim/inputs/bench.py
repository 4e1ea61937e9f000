"""``data/bench.yaml``: how a bench measures, and what is too noisy to plan from."""

from __future__ import annotations

from functools import cache
from typing import Literal

from costsim.inputs import catalogue
from costsim.inputs.fields import Items, Strict, validate
from costsim.inputs.hardware import Origin
from costsim.inputs.model import Size
from costsim.inputs.quantity import BytesPerSecond, Count, PositiveFraction, PositiveNumber
from costsim.inputs.yaml_source import read, split_sourced
from costsim.training.architecture import Architecture


class Limits(Strict):
    """Two limits of a reading: above the first it is noisy, above the second refused."""

    noisy: PositiveNumber
    refused: PositiveNumber


class NoiseLimits(Strict):
    """Limits of what else the machine did, and of the interval of the median (``record.Conditions``)."""

    pressure: Limits
    waiting: Limits
    involuntary_per_second: Limits
    steal: Limits
    half_width: Limits
    slow_clock: Limits
    in_a_row: Count


class ModeFields(Strict):
    """How long a mode measures each thing, in seconds, and what it leaves out.

    Attributes:
        precision: half-width of the interval of a median at which to stop.
        step_seconds: for a step's shape, warm-up included.
        kernel_seconds: for a product, a linear layer, an update.
        bandwidth_seconds: for a copy.
        energy_seconds: for the energy of a step.
        budget_seconds: for all of it, once torch is imported.
        caches: memory that is copied, over the last-level cache.
        layouts: of matrix products.
        sizes: of squares.
        passes: rounds of all steps, with models made anew.
    """

    precision: PositiveFraction
    step_seconds: PositiveNumber
    kernel_seconds: PositiveNumber
    bandwidth_seconds: PositiveNumber
    energy_seconds: PositiveNumber
    budget_seconds: PositiveNumber
    caches: Count
    layouts: Items[Literal["forward", "dgrad", "wgrad"]]
    sizes: Count
    passes: Count


class Modes(Strict):
    """The three modes."""

    quick: ModeFields
    default: ModeFields
    full: ModeFields


class RankMode(Strict):
    """What ranks measure together in a mode; seconds for each thing."""

    steps: Count
    step_seconds: PositiveNumber
    collective_seconds: PositiveNumber
    operations: Items[Literal["all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all", "send"]]
    sizes: Items[Count]


class RankPrior(Strict):
    """What a step shows of its communication, before it is measured (`costsim.training.ranks.Scaling`)."""

    exposed: PositiveNumber
    copies: PositiveNumber
    group_seconds: PositiveNumber
    bandwidth: BytesPerSecond
    spread: PositiveNumber
    misfit: PositiveFraction


class RankFields(Strict):
    """What the processes of torchrun measure together."""

    patience_seconds: PositiveNumber
    prior: RankPrior
    layers: Items[Size]
    quick: RankMode
    default: RankMode
    full: RankMode


class StepShape(Strict):
    """The shape of a step of two layers."""

    hidden_size: Size
    heads: Size
    kv_heads: Size
    ffn_size: Size
    vocab_size: Size
    sequence: Size
    micro_batch: Size

    def architecture(self) -> Architecture:
        """A Llama of these widths, with a head of its own."""
        return Architecture(
            layers=2,
            hidden_size=self.hidden_size,
            heads=self.heads,
            kv_heads=self.kv_heads,
            head_size=self.hidden_size // self.heads,
            ffn_size=self.ffn_size,
            vocab_size=self.vocab_size,
        )


class Tier(Strict):
    """Steps of a size."""

    steps: Items[StepShape]


class Shapes(Strict):
    """Steps by kind of device, for the largest memory first."""

    gpu: Items[Tier]
    cpu: Items[Tier]


class Products(Strict):
    """Sides of square matrix products, the most telling first."""

    gpu: Items[Size]
    cpu: Items[Size]


class Target(Strict):
    """Tokens of a sequence of a named model's step."""

    gpu: Size
    cpu: Size


class BenchFile(Strict):
    """The whole file."""

    costsim: Literal[1]
    sources: dict[str, Origin]
    noise: NoiseLimits
    run_to_run: PositiveFraction
    modes: Modes
    products: Products
    target: Target
    ranks: RankFields
    shapes: Shapes


@cache
def bench_file() -> BenchFile:
    """The shipped file."""
    label, text = catalogue.data_text("bench.yaml")
    return validate(BenchFile, split_sourced(read(text, label))[0])
