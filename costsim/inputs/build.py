"""From a scenario to a case: the numbers of the pure core, at the inputs' centre or drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from costsim.economics import cohort, replica
from costsim.economics.calendar import HOURS_PER_YEAR
from costsim.economics.clocks import DebtTerms, FundingTerms
from costsim.economics.cost import PROGRAMME_EXTRAS, Amount, CostTerms
from costsim.economics.energy import PowerTerms
from costsim.economics.ownership import OwnTerms, RentTerms, years_since_purchase
from costsim.errors import InputError
from costsim.inputs import machine
from costsim.inputs.accelerator import Accelerator
from costsim.inputs.case import Case, MarketTerms, PhaseTerms, Replica, TrainingTerms
from costsim.inputs.money import TERM_YEARS
from costsim.inputs.prices import rent_quote, rent_terms
from costsim.inputs.scenario import Scenario
from costsim.inputs.served import ElementBytes, engine_constants, replica_link, served_model, serving_rate
from costsim.inputs.serving import ByChip
from costsim.scaling.laws import Law, counted_parameters, with_drawn_constants, with_drawn_level
from costsim.training.architecture import parameters
from costsim.training.goodput import FailureTerms
from costsim.uncertainty.draws import at_centre, draw, placed, ranges, stream
from costsim.uncertainty.ranges import Num, Range

SECONDS_PER_DAY = 86400.0
DAYS_PER_MONTH = 365.25 / 12


@dataclass(frozen=True)
class Drawn:
    """The uncertain parts of a scenario, at their centre or as draws of one shape.

    Attributes:
        fields: the `ScenarioFields`, each range a float or an array.
        law: of the loss.
        electricity: USD a kWh.
        carbon: grams a kWh.
        pue: of the building.
        rent: USD an accelerator-hour; None where unknown.
        purchase: USD an accelerator; None where unknown.
        serving_rent: USD an accelerator-hour of the service.
    """

    fields: Any
    law: Law
    electricity: Num
    carbon: Num
    pue: Num
    rent: Num | None
    purchase: Num | None
    serving_rent: Num | None

    @classmethod
    def centre(cls, scenario: Scenario) -> Drawn:
        """Every range at its median."""
        return cls._of(scenario, at_centre(scenario.fields), scenario.law.law, at_centre(_outside(scenario)))

    @classmethod
    def sample(cls, scenario: Scenario, seed: int, n: int) -> Drawn:
        """Every range drawn, each from the stream of its own path."""
        law = _drawn_law(scenario, seed, n)
        return cls._of(scenario, draw(scenario.fields, seed, n), law, draw(_outside(scenario), seed, n))

    @classmethod
    def at(cls, scenario: Scenario, values: Mapping[str, Num]) -> Drawn:
        """Ranges at values that are given by path, the others and the law at their centre."""
        return cls._of(scenario, placed(scenario.fields, values), scenario.law.law, placed(_outside(scenario), values))

    @classmethod
    def _of(cls, scenario: Scenario, fields: Any, law: Law, outside: dict[str, Any]) -> Drawn:
        shared = scenario.prices.serving_rent is scenario.prices.rent
        return cls(
            fields,
            law,
            electricity=outside["cost.site.electricity"],
            carbon=outside["cost.site.carbon"],
            pue=outside["cost.site.pue"],
            rent=outside[RENT],
            purchase=outside[PURCHASE],
            serving_rent=outside[RENT if shared else SERVING_RENT],
        )


RENT, PURCHASE = "cost.rent.usd_per_accelerator_hour", "cost.own.usd_per_accelerator"
SERVING_RENT = "serving.usd_per_accelerator_hour"


def _outside(scenario: Scenario) -> dict[str, Any]:
    """Uncertain numbers that may come from elsewhere than the scenario's fields, by the path that they stand for."""
    prices = scenario.prices
    chosen = {RENT: prices.rent, PURCHASE: prices.purchase, SERVING_RENT: prices.serving_rent}
    return {
        "cost.site.electricity": scenario.site.usd_per_kwh,
        "cost.site.carbon": scenario.site.grams_per_kwh,
        "cost.site.pue": scenario.site.pue,
        **{path: None if price is None else price.value for path, price in chosen.items()},
    }


def uncertain(scenario: Scenario) -> dict[str, Range]:
    """Every range that a plan's cost, time and payback may depend on, by the path of its input; the law's are not."""
    outside = {path: value for path, value in _outside(scenario).items() if isinstance(value, Range)}
    if scenario.prices.serving_rent is scenario.prices.rent:
        outside.pop(SERVING_RENT, None)
    return ranges(scenario.fields) | outside


def _drawn_law(scenario: Scenario, seed: int, n: int) -> Law:
    """The law with its constants and its level drawn."""
    law = scenario.law.law
    count = parameters(scenario.model.architecture)
    tokens = scenario.fields.training.total_tokens
    counted = counted_parameters(
        law,
        active_parameters=float(count.active),
        non_embedding_parameters=float(count.active - count.embedding - count.head),
    )
    drawn = with_drawn_constants(law, stream(seed, "law.constants").standard_normal((n, 5)))
    return with_drawn_level(drawn, counted, tokens, stream(seed, "law.level").standard_normal(n))


def build(scenario: Scenario, drawn: Drawn) -> Case:
    """The case of a scenario.

    Args:
        scenario: with everything that it names.
        drawn: its uncertain parts, at their centre or as draws.

    Raises:
        InputError: the parts do not go together, such as a precision that the chip lacks.
    """
    fields = drawn.fields
    replicas = _replica(scenario, drawn) if fields.serving is not None else None
    return Case(
        training=_training(scenario, drawn),
        law=drawn.law,
        cost=_cost(scenario, drawn),
        replica=replicas,
        market=_market(scenario, drawn) if fields.finance is not None or fields.demand is not None else None,
    )


def _training(scenario: Scenario, drawn: Drawn) -> TrainingTerms:
    fields = drawn.fields
    training, cluster = fields.training, fields.cluster
    a, chip_file, stack_file = scenario.model.architecture, scenario.accelerator, scenario.stack.stack
    experts = a.experts.routed if a.experts is not None else 0
    try:
        chip, network = machine.device(chip_file, training, cluster, stack_file, experts)
        stack = machine.software(scenario.stack, training, chip_file, a.experts is not None)
        if scenario.calibration is not None:
            chip, stack = machine.as_measured(scenario.calibration, a, training, cluster, chip, stack)
            if not scenario.calibration.obstacle(training.precision):
                network = machine.as_joined(scenario.calibration, network)
    except InputError as error:
        raise scenario.placed(error) from None
    failures = cluster.failures
    every = failures.checkpoint_every
    return TrainingTerms(
        architecture=a,
        phases=_phases(fields),
        tokens=training.total_tokens,
        unique_tokens=float(training.unique_tokens or training.total_tokens),
        accelerators=float(cluster.accelerators),
        peak_flops=chip.matmul_flops,
        chip=chip,
        network=network,
        stack=stack,
        space=stack_file.space(cluster.fixed_layout),
        mfu=cluster.mfu,
        goodput=cluster.goodput,
        failures=FailureTerms(
            failures.interruptions_per_accelerator_hour,
            failures.restart,
            failures.checkpoint_write,
            None if isinstance(every, str) else every,
        ),
        system_watts=system_watts(chip_file),
        power=PowerTerms(fields.cost.power_utilisation, drawn.pue, drawn.carbon),
    )


def _phases(fields: Any) -> tuple[PhaseTerms, ...]:
    """The parts of the run, each with its own step."""
    training = fields.training

    def phase(tokens: float, length: int, sequences: int | None, batch_tokens: float | None) -> PhaseTerms:
        batch = float(sequences) if sequences is not None else float(batch_tokens or 0.0) / length
        return PhaseTerms(tokens, machine.workload(training, float(length), batch), sequences is not None)

    if not training.phases:
        given = training.global_batch_sequences, training.global_batch_tokens
        return (phase(training.total_tokens, training.sequence_length, *given),)
    parts = []
    for part in training.phases:
        own = part.global_batch_sequences, part.global_batch_tokens
        batch = own if any(own) else (training.global_batch_sequences, training.global_batch_tokens)
        parts.append(phase(float(part.tokens), part.sequence_length or training.sequence_length, *batch))
    return tuple(parts)


def system_watts(accelerator: Accelerator) -> float | None:
    """An accelerator's share of its node's power: as printed, or its TDP times the server's factor; None if unknown."""
    power, factor = accelerator.power, accelerator.purchase
    if power.system is not None:
        return power.system
    if power.tdp is not None and factor is not None:
        return power.tdp * factor.server_power_factor
    return None


def _cost(scenario: Scenario, drawn: Drawn) -> CostTerms:
    cost = drawn.fields.cost
    rent = None
    if drawn.rent is not None:
        hours = cost.rent.committed_years * HOURS_PER_YEAR
        rent = RentTerms(drawn.rent, cost.rent.discount, hours)
    return CostTerms(
        basis=cost.basis,
        rent=rent,
        own=_own(scenario, drawn),
        electricity=drawn.electricity,
        research_multiplier=cost.research_multiplier,
        on_demand=_on_demand(scenario),
        **{name: _amount(getattr(cost, name)) for name in PROGRAMME_EXTRAS},
    )


def _on_demand(scenario: Scenario) -> float | None:
    """Rent of an hour without a commitment, beside which a term is held; None where the book has none."""
    chip, start = scenario.accelerator, scenario.start
    if scenario.fields.cost.rent.term not in TERM_YEARS or "on-demand" not in rent_terms(chip, start):
        return None
    return rent_quote(chip, "on-demand", start).usd_per_hour


def _amount(line: Any) -> Amount | None:
    if line is None:
        return None
    usd, share = line.usd, line.share
    return Amount(usd if usd is not None else 0.0, share if share is not None else 0.0)


def _own(scenario: Scenario, drawn: Drawn) -> OwnTerms | None:
    """Owning; None without a purchase price. What a whole server costs needs no server factor.

    Hardware whose age is not said is bought at the start; only Epoch's method counts it from the chip's release.
    """
    own, chip = drawn.fields.cost.own, scenario.accelerator
    if drawn.purchase is None or scenario.prices.purchase is None:
        return None
    whole = scenario.prices.purchase.covers != "chip"
    factor, share = own.server_factor, own.network_share
    if factor is None:
        factor = 1.0 if whole or chip.purchase is None else chip.purchase.server_factor
    if share is None:
        share = chip.purchase.network_share if chip.purchase is not None else 0.0
    age: Any = own.age
    if age is None:
        age = years_since_purchase(chip.released, scenario.start) if chip.released is not None else 0.0
    return OwnTerms(
        usd_per_accelerator=drawn.purchase,
        server_factor=factor,
        network_share=share,
        life=own.life,
        residual=own.residual,
        capital_cost=own.capital_cost,
        occupancy=own.occupancy,
        operation=own.operation,
        age=age,
        progress=drawn.fields.cost.amortised.progress,
        method=own.method,
        book_age=own.age if own.age is not None else 0.0,
    )


def _replica(scenario: Scenario, drawn: Drawn) -> Replica:
    serving, chip, a = drawn.fields.serving, scenario.serving_accelerator, scenario.model.architecture
    assert serving is not None
    assert chip is not None
    assert drawn.serving_rent is not None
    size = serving.accelerators_per_replica or chip.accelerators_per_node
    terms = replica.ServingTerms(
        accelerators_per_replica=float(size),
        input_tokens=serving.input_tokens,
        output_tokens=serving.output_tokens,
        speed=serving.speed,
        cached_share=serving.cached_share,
        cached_cost=serving.cached_cost,
        occupancy=serving.occupancy,
        usd_per_accelerator_hour=drawn.serving_rent,
        software_factor=_of_chip(serving.software_factor, chip),
        residual=_of_chip(serving.residual, chip),
        attention_data_parallel=float(serving.attention_data_parallel),
        measured_tokens_per_second=serving.measured_tokens_per_second,
    )
    chip_terms = replica.ServingChip(
        chip.peak(serving_rate(chip, serving.precision)),
        chip.attention_peak(),
        chip.memory.capacity,
        chip.memory.bandwidth,
        replica_link(chip, size),
    )
    weight, kv = (
        getattr(each, serving.precision) for each in (serving.roofline.weight_bytes, serving.roofline.kv_bytes)
    )
    model = served_model(
        a, machine.centre(serving.input_tokens), machine.centre(serving.output_tokens), ElementBytes(weight, weight, kv)
    )
    return Replica(model, chip_terms, engine_constants(serving.roofline, a, _of_chip(serving.overhead, chip)), terms)


def _of_chip(value: Any, chip: Accelerator) -> Any:
    """One number, or that of the chip, else of its vendor, else of any other."""
    if not isinstance(value, ByChip):
        return value
    of_vendor = {"nvidia": value.nvidia, "amd": value.amd}.get(chip.vendor.casefold(), value.other)
    return value.chips.get(chip.name, of_vendor)


def _market(scenario: Scenario, drawn: Drawn) -> MarketTerms | None:
    fields = drawn.fields
    finance = fields.finance
    if finance is None:
        return None
    return MarketTerms(
        demand=_demand(fields.demand) if fields.demand is not None else None,
        price=_price(fields.price, scenario) if fields.price is not None else None,
        mix=_mix(fields.serving) if fields.serving is not None else None,
        discount_rate=finance.discount_rate,
        funding=_funding(finance),
        fixed_usd_per_month=finance.fixed_costs,
        cost_decline=fields.serving.cost_decline if fields.serving is not None else 0.0,
    )


def _demand(demand: Any) -> cohort.DemandTerms:
    peak = demand.peak
    if peak is None:
        peak = demand.users * demand.tokens_per_user_per_day / SECONDS_PER_DAY
    ramp = demand.ramp
    curve: cohort.LogisticRamp | cohort.BassRamp
    if ramp.kind == "logistic":
        curve = cohort.LogisticRamp(ramp.midpoint, ramp.width)
    else:
        curve = cohort.BassRamp(ramp.p, ramp.q)
    follows = demand.successor
    successor = cohort.Successor(follows.after, follows.half_life) if follows is not None else None
    return cohort.DemandTerms(peak, curve, demand.launch_delay, demand.life, demand.paid_share, successor)


def _price(price: Any, scenario: Scenario) -> cohort.PriceTerms:
    def steps(listed: Any) -> Any:
        if not isinstance(listed, tuple):
            return listed
        months = tuple((step.since - scenario.start).days / DAYS_PER_MONTH for step in listed)
        return cohort.Steps(months, tuple(step.price for step in listed))

    return cohort.PriceTerms(
        input=steps(price.input),
        output=steps(price.output),
        cached_input=price.cached_input,
        batch=price.batch,
        market_at_launch=price.market_at_launch,
        market_input=price.market_input,
        market_decline=price.market_decline,
    )


def _mix(serving: Any) -> cohort.TokenMix:
    return cohort.TokenMix(serving.input_tokens, serving.output_tokens, serving.cached_share, serving.batch_share)


def _funding(finance: Any) -> FundingTerms:
    """Cash and debt."""
    debt = finance.debt
    loan = DebtTerms(debt.share, debt.rate, debt.due) if debt is not None else None
    return FundingTerms(finance.cash, loan)
