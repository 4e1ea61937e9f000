"""What steps of several ranks say of their communication: coefficients for a calibration."""

from __future__ import annotations

from collections.abc import Iterable

from costsim.bench.record import Record, Step
from costsim.inputs.bench import bench_file
from costsim.training.architecture import parameters
from costsim.training.ranks import (
    NEEDED,
    CollectiveTable,
    Scaling,
    ScalingPrior,
    Shared,
    fit_scaling,
    tables_of,
)

ELEMENT_BYTES = {"fp32": 4.0, "tf32": 4.0, "bf16": 2.0}


def tables(record: Record) -> dict[str, CollectiveTable]:
    """The collectives of all ranks, by operation."""
    ranks = max((one.ranks for one in record.collectives), default=0)
    return tables_of(
        (one.operation, one.nbytes, one.timing.seconds)
        for one in record.collectives
        if one.ranks == ranks and one.dtype == record.dtype
    )


def shared(step: Step, alone: float, update_seconds_per_parameter: float) -> Shared:
    """A measured step as the model takes it.

    Args:
        step: on several ranks.
        alone: seconds of the same step of ranks side by side.
        update_seconds_per_parameter: of the optimizer.
    """
    update = update_seconds_per_parameter * parameters(step.architecture).total
    return Shared(step.architecture, ELEMENT_BYTES[step.dtype], step.ranks, alone, update)


def pairs(record: Record, parallel: str) -> list[tuple[Shared, float]]:
    """Steps that ranks shared in this way, each with the seconds it took; those without a step alone are left out."""
    alone = {_key(step): step.timing.seconds for step in record.steps if step.ranks > 1 and step.parallel == "none"}
    update = update_seconds(record)
    return [
        (shared(step, alone[_key(step)], update), step.timing.seconds)
        for step in record.steps
        if step.parallel == parallel and _key(step) in alone
    ]


def update_seconds(record: Record) -> float:
    """Of the optimizer, per parameter; 0 where it was not measured."""
    return next((one.timing.seconds / one.parameters for one in record.optimizers if one.weights == record.dtype), 0.0)


def fitted(record: Record) -> Scaling | None:
    """What the steps say; None where steps or tables are missing."""
    found = tables(record)
    replicated, sharded = pairs(record, "ddp"), pairs(record, "fsdp2")
    if not replicated or not sharded or any(name not in found for name in NEEDED):
        return None
    return fit_scaling(replicated, sharded, found, prior(b.bytes_per_second for b in record.bandwidths))


def prior(bandwidths: Iterable[float]) -> ScalingPrior:
    """Before anything is measured: nothing is hidden, and copies run at the bandwidth of memory."""
    p = bench_file().ranks.prior
    copy = p.copies / max(bandwidths, default=float(p.bandwidth))
    centre = Scaling(float(p.exposed), float(p.exposed), float(copy), float(p.group_seconds))
    return ScalingPrior(centre, float(p.spread), float(p.misfit))


def _key(step: Step) -> tuple[object, ...]:
    return step.architecture, step.sequence, step.micro_batch, step.dtype, step.ranks
