"""What a row prints of its measurement that cannot be, or that disagrees with something else that it prints."""

from __future__ import annotations

from collections.abc import Iterator

from costsim.evidence.cases import Case
from costsim.evidence.limits import AGREE
from costsim.evidence.measured import RECOMPUTED, TERA, speeds
from costsim.evidence.words import Row, number, says
from costsim.inputs.kinds import shown
from costsim.training.architecture import attention_flops_per_token
from costsim.training.flops import flops_per_token
from costsim.training.layout import Layout

ROUGHLY = 0.1
"""Days, devices and hours of a run that differ by less are the same but for pauses and rounding."""
DAY_HOURS = 24.0
SHARES = ("mfu_pct", "hfu_pct")


def impossible_share(row: Row) -> str | None:
    """Why a printed utilisation cannot be; None if it can."""
    for column in SHARES:
        share = number(row, column)
        if share is not None and share > 100:
            return f"{column} is {share:g}: no chip does more than 100 % of its peak"
    return None


def impossible_speed(case: Case, mfu: float) -> str | None:
    """Why a measured speed cannot be: it takes more than the peak of the chip at the row's precision.

    Args:
        case: the run.
        mfu: causal model FLOPs of the measured speed over the peak at the first of the case's precisions.
    """
    rates = case.accelerator.peak_flops.rates()
    own = float(case.chips[0].matmul_flops)
    highest = max([float(chip.matmul_flops) for chip in case.chips])
    if not says(case.row, "precision"):
        highest = max([highest, *(float(rate) for rate in rates.values())])
    if mfu * own <= highest:
        return None
    return f"the speed takes {mfu * own / highest:.0%} of the chip's peak, {highest / TERA:,.0f} TFLOP/s"


def of_the_speed(row: Row, case: Case, batch: float | None, mfu: float) -> Iterator[str]:
    """Doubts about a row's measured speed, in words.

    Args:
        row: with its measured columns.
        case: the run.
        batch: sequences of a step, where the row prints them.
        mfu: as in `impossible_speed`.
    """
    if mfu > 1:
        yield f"the speed takes {mfu:.0%} of the peak in {case.precisions[0]}, which was taken as precision is blank"
    sequence = float(case.works[0].sequence_length)
    found = speeds(row, case.devices, sequence, batch)
    unknown = None if found else of_the_convention(row)
    if unknown and number(row, "tflops_per_device"):
        yield unknown
    for other in list(found)[1:]:
        first = next(iter(found))
        if not other.endswith("incl_eval_s") and abs(found[first] / found[other] - 1) > AGREE:
            yield (
                f"measured: {first}, {found[first]:,.6g} tokens/s a device; {other} makes {found[other]:,.6g}, "
                "which was not used"
            )
    for column in SHARES:
        share = number(row, column)
        if share is not None and share < 1:
            yield f"{column} is {share:g}, below 1 %, read as printed: is it a fraction?"
    yield from _of_the_rate(row, case, found, sequence)


def _of_the_rate(row: Row, case: Case, found: dict[str, float], sequence: float) -> Iterator[str]:
    """A printed FLOP rate that no convention makes of the printed speed."""
    tera = number(row, "tflops_per_device")
    if not tera or not found:
        return
    column, speed = next(iter(found.items()))
    causal = float(flops_per_token(case.architecture, sequence))
    full = causal + 3 * float(attention_flops_per_token(case.architecture, sequence))
    least, most = causal * speed / TERA * (1 - AGREE), full * RECOMPUTED * speed / TERA * (1 + AGREE)
    if not least <= tera <= most:
        yield (
            f"measured: {column}, which makes {least:,.4g} to {most:,.4g} TFLOP/s a device as FLOPs are counted here; "
            f"tflops_per_device, {tera:,.4g}, was not used"
        )


def of_the_layout(case: Case, layout: Layout) -> Iterator[str]:
    """What was predicted in place of a printed batch that the replicas cannot share evenly, in words."""
    if not case.batch_known:
        return
    batch = float(case.works[0].global_batch_sequences)
    each, replicas = float(layout.micro_batch), float(layout.data)
    turns = float(layout.gradient_accumulation)
    taken = each * replicas * turns
    if abs(taken / batch - 1) > AGREE:
        yield (
            f"a batch of {taken:,.6g} sequences: the {batch:,.6g} of the row are no whole micro-batches of {each:g} "
            f"for {replicas:,.6g} replicas"
        )
    elif abs(turns - round(turns)) > AGREE:
        yield (
            f"{turns:.2f} micro-batches a replica: the batch of {batch:,.6g} sequences is no multiple of "
            f"micro-batches of {each:g} for {replicas:,.6g} replicas"
        )


def of_the_convention(row: Row) -> str | None:
    """A counting of FLOPs that is not understood, where the speed was made of it."""
    said = row.get("tflops_convention", "").strip()
    known = ("full", "causal", "hardware", "model", "4/3", "maxtext", "megatron", "not stated")
    if not said or any(word in said.lower() for word in known):
        return None
    return f"tflops_convention {shown(said)} is not known: attention counted in full, recomputation not"


def of_the_hours(row: Row) -> Iterator[str]:
    """Hours, days and devices of a full run that disagree, in words."""
    used, reported = number(row, "device_hours_used"), number(row, "reported_device_hours")
    if used and reported and abs(used / reported - 1) > AGREE:
        yield f"measured: device_hours_used, {used:,.6g}; reported_device_hours, {reported:,.6g}, was not used"
    hours, days, devices = used or reported, number(row, "reported_wallclock_days"), number(row, "n_devices")
    if hours and days and devices and abs(days * devices * DAY_HOURS / hours - 1) > ROUGHLY:
        yield (
            f"measured: {hours:,.6g} device-hours; {days:g} days of {devices:,.6g} devices make "
            f"{days * devices * DAY_HOURS:,.6g}"
        )
