"""From a case and its layouts to every number of a plan; the same for one plan and for ten thousand draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np

from costsim.economics import cohort
from costsim.economics.bases import RunUse
from costsim.economics.clocks import clocks_obstacle, clocks_section
from costsim.economics.cost import cost_section
from costsim.economics.energy import energy_section
from costsim.economics.ledger import ServiceUse, hours_section
from costsim.economics.needed import LONGEST_LIFE_MONTHS, needed_section, solved_section
from costsim.economics.payback import payback_section
from costsim.economics.serving import serving_obstacle, serving_section
from costsim.errors import InternalError
from costsim.inputs.case import Case, MarketTerms, TrainingTerms
from costsim.scaling.loss import loss_section
from costsim.training import flops, report
from costsim.training.architecture import model_section, parameters
from costsim.training.goodput import run_section
from costsim.training.layout import Layout
from costsim.training.memory import memory
from costsim.training.schedule import recomputed_core, recomputed_share, step
from costsim.uncertainty.draws import arrays, part
from costsim.uncertainty.ranges import Num

Values: TypeAlias = dict[str, Num]


@dataclass(frozen=True)
class Evaluation:
    """Numbers of a plan by JSON path, and its cash flow.

    Attributes:
        values: floats, or arrays of draws.
        flow: by month; None where payback cannot be made.
    """

    values: Values
    flow: cohort.CashFlow | None


def evaluate(case: Case, layouts: Sequence[Layout], residual: Num = 1.0) -> Evaluation:
    """Every number of a plan.

    Args:
        case: floats at the centre, or arrays of draws.
        layouts: one for each phase, of floats.
        residual: measured over predicted step time; 1 at the centre.
    """
    training = case.training
    a = training.architecture
    count = parameters(a)
    values: Values = dict(model_section(a))
    values |= training_values(training, layouts, residual)
    values |= loss_section(
        case.law,
        active_parameters=float(count.active),
        non_embedding_parameters=float(count.active - count.embedding - count.head),
        tokens=training.tokens,
        unique_tokens=training.unique_tokens,
        flops_6nd=values["compute.flops_6nd"],
    )
    if case.cost is not None:
        use = RunUse(training.accelerators, values["run.accelerator_hours"], values.get("run.energy_kwh", 0.0))
        values |= cost_section(use, case.cost)
    r = case.replica
    if r is not None and not serving_obstacle(r.model, r.chip, r.roofline, r.terms):
        values |= serving_section(r.model, r.chip, r.roofline, r.terms)
    sale = sale_of(case, values)
    flow = None
    if sale is not None:
        found, flow = sold(sale)
        values |= found
    if case.cost is not None:
        values |= hours_section(use, case.cost, service_use(case, sale, values))
    defined(values)
    return Evaluation(values, flow)


def training_values(training: TrainingTerms, layouts: Sequence[Layout], residual: Num) -> Values:
    """Compute, memory, step and run."""
    a = training.architecture
    main = training.main_phase
    layout, work = layouts[main], training.phases[main].work
    recomputed = recomputed_fraction(training, layout)
    values: Values = flops.compute_section(
        a,
        training.tokens,
        work.sequence_length,
        recomputed,
        phases=[(phase.tokens, phase.work.sequence_length) for phase in training.phases],
    )
    values |= report.memory_section(memory(a, training.stack, layout, work), training.chip, training.stack)
    steps: Num = 0.0
    ideal: Num = 0.0
    for index, phase in enumerate(training.phases):
        sequences = layouts[index].data * layouts[index].micro_batch * layouts[index].gradient_accumulation
        tokens = sequences * phase.work.sequence_length
        per_token = flops.flops_per_token(a, phase.work.sequence_length)
        seconds, parts = step_time(training, index, layouts[index], tokens * per_token, residual)
        steps = steps + phase.tokens / tokens
        ideal = ideal + phase.tokens / tokens * seconds
        if index == main:
            share = 1 + recomputed / 3
            values |= parts | report.rates(
                seconds,
                sequences,
                phase.work.sequence_length,
                training.accelerators,
                per_token,
                training.peak_flops,
                share,
            )
    values |= run_section(
        steps, ideal / steps, training.tokens, training.accelerators, training.failures, training.goodput
    )
    if training.system_watts is not None:
        values |= energy_section(
            training.accelerators, values["run.accelerator_hours"], training.system_watts, training.power
        )
    return values


def step_time(
    training: TrainingTerms, phase: int, layout: Layout, flops_of_step: Num, residual: Num
) -> tuple[Num, Values]:
    """Seconds of a step of a phase, and its breakdown; no breakdown where the MFU is assumed."""
    if training.mfu is not None:
        return report.assumed_step_seconds(flops_of_step, training.mfu, training.accelerators, training.peak_flops), {}
    work = training.phases[phase].work
    terms = step(training.architecture, training.chip, training.network, training.stack, layout, work)
    return report.step_seconds(terms, residual), report.breakdown_section(terms, residual)


def recomputed_fraction(training: TrainingTerms, layout: Layout) -> Num:
    """Share of the forward pass's FLOPs that the layout runs again."""
    work = training.phases[training.main_phase].work
    return flops.recomputed_forward_fraction(
        training.architecture,
        work.sequence_length,
        recomputed_share(layout, training.stack),
        recomputed_core(layout, training.stack),
    )


# --- payback ----------------------------------------------------------------------------------------------------------

BLOCK = 1024
"""Draws whose cash flows are made at a time: what they need stays in a processor's cache, and the memory is bounded."""


@dataclass(frozen=True)
class Sale:
    """What a cash flow is made of; floats, or arrays of draws.

    Attributes:
        programme_usd: to be repaid.
        wall_clock_days: of the run.
        costs: of serving.
        market: demand, price and funding.
        months: that the cash flow needs.
        bill: what a commitment bills after the run.
    """

    programme_usd: Num
    wall_clock_days: Num
    costs: cohort.UnitCosts
    market: MarketTerms
    months: int
    bill: cohort.Bill

    def flow(self, demand: cohort.DemandTerms, price: cohort.PriceTerms, months: int) -> cohort.CashFlow:
        """The cash flow with this demand and price."""
        assert self.market.mix is not None
        return cohort.cash_flow(
            self.programme_usd,
            self.wall_clock_days,
            demand,
            price,
            self.market.mix,
            self.costs,
            self.market.fixed_usd_per_month,
            months,
            self.bill,
        )


def sale_of(case: Case, values: Values) -> Sale | None:
    """What the cash flow is made of, where demand, price, serving and cost are all known and the time is bearable."""
    market = case.market
    if market is None or market.demand is None or market.price is None or market.mix is None or case.replica is None:
        return None
    if "serving.usd_per_million_output_tokens" not in values or "cost.programme_usd" not in values:
        return None
    days = values["run.wall_clock_days"]
    months = cohort.horizon_months(days, market.demand, last_duty(case))
    if cohort.payback_obstacle(months):
        return None
    costs = cohort.UnitCosts(
        values["serving.usd_per_million_input_tokens"],
        values["serving.usd_per_million_cached_input_tokens"],
        values["serving.usd_per_million_output_tokens"],
        market.cost_decline,
    )
    bill = cohort.Bill(values.get("cost.items.unused_commitment_usd", 0.0), term_months(case))
    return Sale(values["cost.programme_usd"], days, costs, market, months, bill)


def term_months(case: Case) -> Num:
    """Months over which a commitment is billed; 0 without one, or where renting is not the basis."""
    cost = case.cost
    return cost.rent.term_months if cost is not None and cost.rent is not None and cost.basis == "rent" else 0.0


def last_duty(case: Case) -> Num:
    """When the last of debt and commitment ends, months after the start; 0 without either."""
    debt = case.market.funding.debt if case.market is not None else None
    return np.maximum(debt.due if debt is not None else 0.0, term_months(case))[()]


def sold(sale: Sale) -> tuple[Values, cohort.CashFlow | None]:
    """Payback and clocks, block by block of draws; and the cash flow, of a point."""
    n = max((array.size for array in arrays(sale)), default=0)
    if not n:
        return _sold(sale)
    found = [_sold(part(sale, n, slice(start, start + BLOCK)))[0] for start in range(0, n, BLOCK)]
    sizes = [min(BLOCK, n - start) for start in range(0, n, BLOCK)]
    return {path: _joined(path, found, sizes) for path in found[0]}, None


def _joined(path: str, blocks: Sequence[Values], sizes: Sequence[int]) -> Num:
    """A figure of all draws from that of their blocks; one number for all of them is a share, or is the same in all."""
    parts = [values[path] for values in blocks]
    if all(np.ndim(value) == 0 for value in parts):
        return float(np.average([float(value) for value in parts], weights=sizes))
    return np.concatenate([np.broadcast_to(value, (size,)) for value, size in zip(parts, sizes, strict=True)])


def _sold(sale: Sale) -> tuple[Values, cohort.CashFlow]:
    market = sale.market
    assert market.demand is not None
    assert market.price is not None
    flow = sale.flow(market.demand, market.price, sale.months)
    values = payback_section(flow, market.discount_rate)
    price, unit = values["payback.usd_per_million_output_tokens"], values["serving.serving_usd_per_million_tokens"]
    values |= needed_section(flow, market.demand, price, unit)
    if flow.tokens.ndim == 1:
        values |= _solved(sale, market.demand, market.price)
    if not clocks_obstacle(market.funding):
        values |= clocks_section(flow, values["payback.months"], market.funding)
    return values, flow


def _solved(sale: Sale, demand: cohort.DemandTerms, price: cohort.PriceTerms) -> Values:
    """Drivers of a point plan that take the cash flow anew."""
    life = float(np.asarray(demand.life))
    longest = cohort.horizon_months(
        sale.wall_clock_days, replace(demand, life=LONGEST_LIFE_MONTHS), sale.bill.term_months
    )
    decline = float(np.asarray(price.market_decline)) if price.market_at_launch is not None else None
    return solved_section(
        life,
        decline,
        lambda lives: sale.flow(replace(demand, life=lives), price, longest),
        lambda declines: sale.flow(demand, replace(price, market_decline=declines), sale.months),
    )


def service_use(case: Case, sale: Sale | None, values: Values) -> ServiceUse | None:
    """The hours that serving takes; None without payback."""
    if sale is None or case.replica is None or sale.market.mix is None:
        return None
    terms = case.replica.terms
    unit = cohort.mean_unit_cost(sale.costs, sale.market.mix)
    return ServiceUse(values["payback.tokens"], unit, terms.usd_per_accelerator_hour, terms.occupancy)


def defined(values: Values) -> None:
    """Check that no number of a plan is undefined: what is not known is left out, and what never comes is infinite.

    Raises:
        InternalError: one is; its path is named.
    """
    for path, value in values.items():
        if np.isnan(np.asarray(value, dtype=float)).any():
            raise InternalError(f"{path} is not a number")
