"""Peak memory of published runs: what a counter would have printed, and the chance that the run fits.

A printed peak is one of three things: the sum of the tensors (allocated), what the allocator holds for them (reserved),
or all that is taken of the device. The words of a row say which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np

from costsim.evidence import cases, words
from costsim.evidence.cases import GIB, Case, UnpredictableError
from costsim.evidence.choose import chosen
from costsim.evidence.columns import blanked
from costsim.evidence.doubts import of_the_layout
from costsim.evidence.predict_step import layout_in_words
from costsim.evidence.predicted import Omitted, Predicted, Regime
from costsim.evidence.words import Row, number, text
from costsim.inputs.intervals import around
from costsim.inputs.kinds import shown
from costsim.training.architecture import parameters
from costsim.training.device import Stack, Workload
from costsim.training.layout import SHARDING, Layout
from costsim.training.memory import Memory, counted, fit_probability, memory, pieces, stored_bytes
from costsim.training.stages import stage_of

SEQUENCE = 2048.0
"""Tokens of a sequence where a row of memory does not print them: its sources of 2021 to 2023 used this."""
MANY = 64.0
"""Micro-batches of a replica where the batch is not printed: enough to fill any pipeline here."""
STATE_BYTES = 18.0
"""Weights, 32-bit gradients and Adam's states of a parameter (Korthikanti et al. 2022, section 3)."""

WHOLE_BYTES = 4.0
"""A 16-bit weight and its 16-bit gradient: what each replica of an unsplit model holds at least while it steps."""

Counter = Literal["allocated", "reserved", "device"]


def counter_of(row: Row) -> Counter:
    """What a row's figure counts, by its words."""
    said = text(row, "memory_kind")
    if re.search(r"reserved", said):
        return "reserved"
    if re.search(r"allocated|max_memory_usage|author measurement|^as printed", said):
        return "allocated"
    return "device"


_DEVICE = re.compile(r"device|gpu|printed|nvidia-smi|used|total")
"""Words of a counter that counts all that is taken of the device, or that names no counter."""


def counter_doubt(row: Row) -> str | None:
    """What was taken where the words of a counter are blank or not understood, in words."""
    said = text(row, "memory_kind")
    if not said:
        return "assumed: memory used on the device, as memory_kind is blank"
    if counter_of(row) == "device" and not _DEVICE.search(said):
        return f"not understood: memory_kind {shown(row['memory_kind'])}: taken for memory used on the device"
    return None


def predict_memory(row: Mapping[str, str], regime: Regime) -> Predicted | Omitted:
    """The peak of a row.

    Args:
        row: its measured columns may be blank; they are not looked at but for the measurement.
        regime: named in the result; memory has one set of constants.

    Raises:
        UnpredictableError: with the reason.
    """
    name = row.get("id", "")
    reason = cases.ineligible(row)
    measured = number(row, "peak_mem_gib")
    ran_out = row.get("status", "").strip().lower() == "oom"
    if reason or (measured is None and not ran_out):
        return Omitted(name, reason or "no peak is printed")
    case, layout, stack, work = placed(blanked(row, "memory"))
    used = memory(case.architecture, stack, layout, work)
    component = text(row, "component")
    counter: str = counter_of(row)
    predicted = float(counted(used, counter))  # type: ignore[arg-type]
    if component not in ("", "total"):
        counter, predicted = "component", _part(component, case, stack, layout, work)
    spread = float(stack.memory_spread)
    return Predicted(
        row=row,
        regime=regime,
        measured=None if ran_out or measured is None else measured * GIB,
        predicted=predicted,
        quantiles=around(predicted, lambda share: spread * NORMAL[share]),
        subset={"counter": counter},
        fit_probability=None if counter == "component" else _chance(used, case, stack),
        notes=_notes(case, layout, used, counter),
        unread=case.unread,
    )


NORMAL = {0.5: 0.6745, 0.8: 1.2816, 0.9: 1.6449}
"""Half-widths of the standard normal distribution's central intervals: the error of a peak is taken as lognormal."""


def placed(row: Row) -> tuple[Case, Layout, Stack, Workload]:
    """A row of memory as the model sees it.

    Args:
        row: blanked.

    Raises:
        UnpredictableError: with the reason.
    """
    if "activation" in text(row, "offload") or words.sequence_ranks(row):
        raise UnpredictableError(
            "activations are offloaded or losses tiled (ALST), which the model of memory leaves out"
        )
    full = dict(row)
    if number(row, "seq_len") is None:
        full["seq_len"] = f"{SEQUENCE:.0f}"
    if text(row, "component") not in ("", "total") and not text(row, "recompute"):
        full["recompute"] = "none"  # parts are printed to show what recomputation saves
    case = cases.case(full)
    _tells_its_split(case)
    if case.stack == "megatron-deepspeed":  # DeepSpeed's engine shards the optimizer's states whatever the table says
        case = replace(case, space=replace(case.space, fixed={**case.space.fixed, "sharding": 1.0}))
        case = _with_positions(case)
    stack = case.constants()
    layout = chosen(case, 0, stack)
    work = case.works[0]
    if not case.batch_known:
        layout = replace(layout, gradient_accumulation=MANY)
    return case, layout, stack, work


def _tells_its_split(case: Case) -> None:
    """Refuse a model that is whole on each replica and does not fit there: it was split in a way not printed."""
    fixed = case.space.fixed
    if "tensor" in fixed or fixed.get("sharding", 3.0) >= SHARDING.index("full"):
        return
    if WHOLE_BYTES * parameters(case.architecture).total > float(case.chips[0].memory_bytes):
        raise UnpredictableError("the model was split over devices, and no tensor or pipeline degree is printed")


def _with_positions(case: Case) -> Case:
    """GPT-like models of Megatron learn the positions of their sequences."""
    learned = int(float(case.works[0].sequence_length))
    return replace(case, architecture=replace(case.architecture, learned_positions=learned))


def _part(component: str, case: Case, stack: Stack, layout: Layout, work: Workload) -> float:
    """Bytes of a part of the first stage that a row prints apart."""
    first = stage_of(case.architecture, layout, np.float64(0.0))
    if "activation" in component:
        filled = replace(layout, gradient_accumulation=np.maximum(layout.gradient_accumulation, layout.pipeline))
        first = stage_of(case.architecture, filled, np.float64(0.0))
        return float(stored_bytes(pieces(case.architecture, stack, filled, work), first))
    if "optimizer" in component or "param" in component:
        return STATE_BYTES * float(first.dense)
    raise UnpredictableError(f"the model of memory has no part {component!r}")


def _chance(used: Memory, case: Case, stack: Stack) -> float:
    """Probability that the run fits in the device's usable memory."""
    return float(fit_probability(used.peak_bytes, case.chips[0].memory_bytes, stack.memory_spread))


def _notes(case: Case, layout: Layout, used: Memory, counter: str) -> tuple[str, ...]:
    terms = [f"{k.removesuffix('_bytes')} {float(v) / GIB:.1f} GiB" for k, v in vars(used).items()]
    read = [
        f"counter: {counter}; accelerator {case.accelerator.name}; stack {case.stack}",
        layout_in_words(layout),
        "peak: " + ", ".join(terms),
    ]
    if "recompute" not in case.space.fixed:
        read.append("assumed: as few layers are recomputed as likely fit")
    if kind := counter_doubt(case.row):
        read.append(kind)
    return (*read, *case.taken, *(f"assumed: {text}" for text in of_the_layout(case, layout)))
