"""From a row of a published full run to the case of its step: what the row leaves out is filled in, and said."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from costsim.evidence import cases, run_words
from costsim.evidence.cases import Case, UnpredictableError
from costsim.evidence.limits import impossible
from costsim.evidence.shapes import architecture, missing, of_the_shape
from costsim.evidence.understood import misspelt
from costsim.evidence.words import Row, dated, is_dated, number, year
from costsim.inputs import catalogue, machine
from costsim.inputs.fields import Strict, validate
from costsim.inputs.model import Model
from costsim.inputs.money import Failures
from costsim.inputs.yaml_source import read, split_sourced
from costsim.training.architecture import Architecture
from costsim.training.flops import flops_per_token
from costsim.training.goodput import FailureTerms

BILLION = 1e9
DAY = 86400.0
HALVES = ("gcd", "core")
"""Units of which a chip of the catalogue has two: dies of an MI250X module, cores of a TPU v2 or v3, or a Trainium."""
CHUNKS = (8, 4, 2)
"""Chunks of layers that an interleaved pipeline of several stages may have, the most first."""


class Silent(Strict):
    """What is taken where a table of runs is silent (``data/run_hours.yaml``)."""

    costsim: Literal[1]
    sources: dict[str, dict[str, str]]
    evaluation: float
    release_lag: float
    cluster_days: float
    cluster_mfu: float
    most_devices: float
    fit: dict[str, float]


@cache
def silent() -> Silent:
    """The shipped file."""
    label, text = catalogue.data_text("run_hours.yaml")
    return validate(Silent, split_sourced(read(text, label))[0])


@cache
def failures() -> FailureTerms:
    """The failure model of scenarios that say nothing of failures (``data/defaults.yaml``)."""
    label, text = catalogue.data_text("defaults.yaml")
    found = validate(Failures, split_sourced(read(text, label).at(("cluster", "failures")))[0])
    return FailureTerms(
        machine.centre(found.interruptions_per_accelerator_hour),
        machine.centre(found.restart),
        machine.centre(found.checkpoint_write),
    )


@dataclass(frozen=True)
class RunCase:
    """One full run as the model sees it.

    Attributes:
        case: its step.
        tokens: trained on.
        scope: what its hours hold.
        named: whether the row names its software.
        units: devices of the row's count for each chip of the catalogue.
        assumed: what was taken for granted, in words, besides what ``case`` says.
    """

    case: Case
    tokens: float
    scope: run_words.Scope
    named: bool
    units: float
    assumed: tuple[str, ...]

    @property
    def traits(self) -> frozenset[str]:
        """What a run like it takes more hours for (`costsim.inputs.run_errors.TRAITS`)."""
        found = set() if self.scope == "steady" else {str(self.scope)}
        if not self.named:
            found.add("unnamed")
        if not self.case.has_layout and self.case.devices > float(self.case.accelerator.accelerators_per_node):
            found.add("no_layout")
        return frozenset(found)


def ineligible(row: Row) -> str | None:
    """Why a row is no case at all: the table says so, or it lacks tokens or hours."""
    use = row.get("validation_use", "yes").strip().lower()
    if use not in ("yes", ""):
        return f"validation_use is {use!r}"
    if not number(row, "tokens_b"):
        return "no token count"
    return None


def run_case(row: Row) -> RunCase:
    """Everything that the prediction of a run needs.

    Args:
        row: blanked.

    Raises:
        UnpredictableError: with the reason.
    """
    tokens = number(row, "tokens_b")
    if not tokens:
        raise UnpredictableError("no token count")
    if reason := impossible(row) or misspelt(row):
        raise UnpredictableError(reason)
    if run_words.no_transformer(row):
        raise UnpredictableError("not a transformer: state-space layers are not modelled")
    assumed: list[str] = []
    shape, software = _shape(row, assumed), run_words.framework(row)
    filled = {**row, **_columns(shape), "sharding": run_words.sharding(row), "framework": software}
    filled["n_devices"] = f"{_devices(row, shape, tokens * BILLION, assumed):.0f}"
    if not is_dated(row) or dated(row.get("date") or row.get("release_date", "")) is None:
        lag = silent().release_lag
        assumed.append(f"a release in {year(row):.1f}, as no date is understood: software of {year(row) - lag:.1f}")
    filled["date"] = _date(year(row) - silent().release_lag)
    if (chunks := _chunks(row, shape)) > 1:
        filled["vpp"] = str(chunks)
        assumed.append(f"interleaved pipeline of {chunks} chunks")
    assumed += of_the_shape(row, shape) if not missing(row) else ()
    case = replace(cases.case(filled | {"total_params_b": ""}), architecture=shape)
    scope = run_words.scope(row)
    if scope == "benchmark":
        case = replace(case, evaluation=silent().evaluation - 1)
    return RunCase(case, tokens * BILLION, scope, software != "", units(row), tuple(assumed))


def units(row: Row) -> float:
    """Devices as the row counts them for each chip of the catalogue."""
    unit = row.get("device_unit", "").lower()
    return 2.0 if any(half in unit for half in HALVES) and "module" not in unit and "chip" not in unit else 1.0


def _date(when: float) -> str:
    """A decimal year as year and month."""
    return f"{int(when)}-{int(when % 1 * 12) + 1:02d}"


def _shape(row: Row, assumed: list[str]) -> Architecture:
    """The printed shape; one of the printed size where the row has none."""
    blank = missing(row)
    if not blank:
        return architecture(row)
    total, active = number(row, "total_params_b"), number(row, "active_params_b")
    if not total:
        raise UnpredictableError(f"no model shape ({', '.join(blank)} blank) and no size")
    try:
        model = Model(
            parameters=round(total * BILLION),
            active_parameters=round(active * BILLION) if active and active < total else None,
        )
        shape = model.to_architecture()
    except ValueError as error:
        raise UnpredictableError(f"no shape can be inferred: {error}") from None
    assumed.extend(note.removeprefix("model: ") for note in model.notes())
    return shape


def _columns(a: Architecture) -> dict[str, str]:
    """The columns that make a row eligible and tell a mixture of experts; the shape itself goes beside them."""
    e = a.experts
    found = {
        "layers": a.layers, "d_model": a.hidden_size, "n_heads": a.heads, "n_kv_heads": a.kv_heads, "d_ff": a.ffn_size,
        "vocab": a.vocab_size, "moe_experts": e.routed if e else "", "moe_top_k": e.active if e else "",
        "moe_d_ff": e.ffn_size if e else "", "gated_ffn": a.gated_ffn, "tied_embeddings": a.tied_embeddings,
    }  # fmt: skip
    return {key: str(value) for key, value in found.items()}


def _devices(row: Row, shape: Architecture, tokens: float, assumed: list[str]) -> float:
    """Devices as printed; else the nearest power of two that takes a month, no more than a batch has sequences."""
    chip = cases.accelerator(row.get("hardware", ""))
    printed = number(row, "n_devices")
    if printed:
        return max(1.0, printed / units(row))
    rules = silent()
    sequence = number(row, "seq_len") or cases.SEQUENCE
    peak = max(float(chip.peak_flops.rates()[p]) for p in ("bf16", "fp16") if p in chip.peak_flops.rates())
    flops = float(flops_per_token(shape, sequence)) * tokens
    wanted = flops / (rules.cluster_mfu * peak * rules.cluster_days * DAY)
    batch = number(row, "global_batch_tokens")
    most = min(rules.most_devices, batch / sequence if batch else rules.most_devices)
    node = float(chip.accelerators_per_node)
    found = node
    while found * 2 <= min(most, wanted * 2**0.5):
        found *= 2
    assumed.append(f"{found:.0f} accelerators")
    return found


def _chunks(row: Row, shape: Architecture) -> int:
    """Chunks of layers where a printed pipeline does not divide the layers, which the search does not try.

    Such pipelines pad their first and last stages (Llama 3 405B: 126 layers on 16 stages) and interleave as others do.
    """
    stages = int(number(row, "pp") or 1)
    if stages <= 1 or number(row, "vpp") or shape.layers % stages == 0:
        return 1
    each = -(-shape.layers // stages)
    return next((n for n in CHUNKS if each % n == 0), 1)
