"""A case: everything a plan is computed from, as numbers of the pure core; floats at the centre, arrays in draws."""

from __future__ import annotations

from dataclasses import dataclass

from costsim.economics.clocks import FundingTerms
from costsim.economics.cohort import DemandTerms, PriceTerms, TokenMix
from costsim.economics.cost import CostTerms
from costsim.economics.energy import PowerTerms
from costsim.economics.replica import Roofline, ServedModel, ServingChip, ServingTerms
from costsim.scaling.laws import Law
from costsim.training.device import Chip, Network, Stack, Workload
from costsim.training.enumeration import Space
from costsim.training.goodput import FailureTerms
from costsim.training.shape import Architecture
from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class PhaseTerms:
    """A part of the run.

    Attributes:
        tokens: of the phase.
        work: one step of it.
        exact_batch: whether the batch was given in sequences, and is not rounded to whole micro-batches.
    """

    tokens: float
    work: Workload
    exact_batch: bool


@dataclass(frozen=True)
class TrainingTerms:
    """The run and the machine.

    Attributes:
        architecture: of the model.
        phases: in turn; one of them for a plain run.
        tokens: of the whole run.
        unique_tokens: distinct ones among them.
        accelerators: of the cluster.
        peak_flops: dense, of the stated precision, FLOP/s.
        chip: its rates.
        network: its links.
        stack: of the software.
        space: what the layout search may vary.
        mfu: assumed; None to predict the step time.
        goodput: assumed; None to predict it from failures.
        failures: of the cluster.
        system_watts: an accelerator's share of its node's power; None where unknown.
        power: of the site.
    """

    architecture: Architecture
    phases: tuple[PhaseTerms, ...]
    tokens: float
    unique_tokens: float
    accelerators: float
    peak_flops: Num
    chip: Chip
    network: Network
    stack: Stack
    space: Space
    mfu: Num | None
    goodput: Num | None
    failures: FailureTerms
    system_watts: Num | None
    power: PowerTerms

    @property
    def main_phase(self) -> int:
        """Index of the phase with the most tokens: the one whose step is shown."""
        return max(range(len(self.phases)), key=lambda index: self.phases[index].tokens)


@dataclass(frozen=True)
class Replica:
    """What serves the model."""

    model: ServedModel
    chip: ServingChip
    roofline: Roofline
    terms: ServingTerms


@dataclass(frozen=True)
class MarketTerms:
    """What the model earns, and who pays until then; None is what was not given.

    ``cost_decline`` is the yearly fall of the price of an accelerator-hour that serves.
    """

    demand: DemandTerms | None
    price: PriceTerms | None
    mix: TokenMix | None
    discount_rate: Num
    funding: FundingTerms
    fixed_usd_per_month: Num
    cost_decline: Num


@dataclass(frozen=True)
class Case:
    """A whole plan's inputs.

    Attributes:
        training: the run and the machine.
        law: of the loss.
        cost: prices; None where the chosen basis has none.
        replica: serving; None without.
        market: demand, price and funding; None without finance.
    """

    training: TrainingTerms
    law: Law
    cost: CostTerms | None
    replica: Replica | None
    market: MarketTerms | None
