"""Output tokens a second of published serving runs, predicted from model, chip, layout, lengths and concurrency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from costsim.economics.engine import Roofline
from costsim.economics.replica import ServedModel, ServingChip, ServingTerms, weights_bytes
from costsim.economics.serving import throughput
from costsim.errors import InputError
from costsim.evidence import serving_words as words
from costsim.evidence.cases import UnpredictableError, accelerator
from costsim.evidence.columns import blanked
from costsim.evidence.predicted import Omitted, Predicted, Regime
from costsim.evidence.words import Row, number
from costsim.inputs import catalogue
from costsim.inputs.accelerator import Accelerator
from costsim.inputs.served import engine_constants, replica_link, served_model, serving_rate
from costsim.inputs.serving_fit import OVERHEAD, SOFTWARE, Constants, as_fields, factor, given, serving_fit
from costsim.uncertainty.ranges import Num

MOST_SEQUENCES = 1024.0
"""Sequences that a group decodes at most where as many as fit were asked for: vLLM's default; engines differ."""
LONGEST, MOST = 1e7, 1e6
"""Tokens of a request, and requests or accelerators, that no row exceeds."""


@dataclass(frozen=True)
class ServingCase:
    """A row as the model sees it.

    Attributes:
        served: its model.
        accelerator: its chip's file.
        model: as a replica sees it.
        chip: as a replica sees it.
        terms: request and layout; speed, price and occupancy are not looked at.
        requests: that a replica is given at once.
        notes: how the row was read.
    """

    served: words.Served
    accelerator: Accelerator
    model: ServedModel
    chip: ServingChip
    terms: ServingTerms
    requests: float
    notes: tuple[str, ...]

    @property
    def vendor(self) -> str:
        """Of the chip, in lower case."""
        return self.accelerator.vendor.casefold()

    def left_out(self, regime: str, row: Row) -> str:
        """What of a row a regime's constants must not have seen."""
        if regime == "new_model":
            return self.served.name
        return self.accelerator.name if regime == "new_chip" else run_of(self, row)


def run_of(case: ServingCase, row: Row) -> str:
    """Rows of one model on one chip in one precision, engine and pair of lengths: near-duplicates."""
    said = (row.get("engine", ""), row.get("precision", ""), row.get("isl", ""), row.get("osl", ""))
    return "|".join((case.served.name, case.accelerator.name, *said)).lower()


def measured(row: Row) -> float | None:
    """Output tokens a second of each accelerator; None where they are not printed."""
    found = number(row, "out_tok_s_per_gpu")
    return found if found is not None and found > 0 else None


def serving_case(row: Row) -> ServingCase:
    """A row as the model sees it.

    Args:
        row: blanked.

    Raises:
        UnpredictableError: with the reason.
    """
    reason = words.untold(row)
    if reason:
        raise UnpredictableError(reason)
    served = words.served(row)
    if served is None:
        raise UnpredictableError("the model is not in the catalogue")
    chip = _chip(row)
    narrow = words.precision(row)
    if narrow is None:
        raise UnpredictableError("the precision of the weights cannot be told")
    size = _within(row, "n_gpus", MOST)
    degrees = words.degrees(row, size)
    if degrees is None:
        raise UnpredictableError("how the model is split over accelerators is not printed, or does not go into them")
    isl, osl = _within(row, "isl", LONGEST), _within(row, "osl", LONGEST)
    if isl is None or osl is None:
        raise UnpredictableError("the lengths of requests are not printed")
    replicas = (size or degrees.accelerators) / degrees.accelerators
    requests = _requests(row, degrees) / replicas
    fields = given()
    each = words.element_bytes(served.name, narrow, dict(fields.weight_bytes), dict(fields.kv_bytes))
    model = served_model(served.architecture, isl, osl, each, served.sparing)
    if weights_bytes(model) > chip.memory.capacity * degrees.accelerators:
        raise UnpredictableError("the weights do not fit in the accelerators that are printed")
    return ServingCase(
        served=served,
        accelerator=chip,
        model=model,
        chip=ServingChip(
            chip.peak(serving_rate(chip, words.WIDENED if narrow == "int4" else narrow)),
            chip.attention_peak(),
            chip.memory.capacity,
            chip.memory.bandwidth,
            replica_link(chip, degrees.accelerators),
        ),
        terms=ServingTerms(
            accelerators_per_replica=float(degrees.accelerators),
            input_tokens=isl,
            output_tokens=osl,
            speed=1.0,
            cached_share=0.0,
            cached_cost=0.0,
            occupancy=1.0,
            usd_per_accelerator_hour=1.0,
            attention_data_parallel=float(degrees.groups),
        ),
        requests=requests,
        notes=(
            f"model {served.name}; accelerator {chip.name}; weights {narrow}",
            f"replica of {degrees.accelerators} in {degrees.groups} group{'s' * (degrees.groups > 1)} of attention, "
            f"{requests:g} requests at once",
        ),
    )


def _chip(row: Row) -> Accelerator:
    said = row.get("hardware", "").strip()
    if not said:
        raise UnpredictableError("no accelerator is printed")
    try:
        if not catalogue.is_path(said):
            return accelerator(said)
    except InputError:
        pass
    raise UnpredictableError(f"the accelerator {said[:40]!r} is not in the catalogue")


def _within(row: Row, column: str, most: float) -> float | None:
    """A number of at least one."""
    value = number(row, column)
    if value is not None and not 1 <= value <= most:
        raise UnpredictableError(f"{column} is {value:g}; expected a number from 1 to {most:g}")
    return value


def _requests(row: Row, degrees: words.Degrees) -> float:
    """Requests that all accelerators of a row are given at once."""
    printed = _within(row, "concurrency", MOST)
    if printed is not None:
        return printed
    if words.drives_to_the_limit(row):
        return MOST_SEQUENCES * degrees.groups
    raise UnpredictableError("how many requests were served at once is not printed")


def rate(case: ServingCase, values: Constants) -> Num:
    """Output tokens a second of each accelerator.

    Args:
        case: the row.
        values: constants; numbers, or arrays of one shape.
    """
    chip = case.accelerator.name
    software, overhead = (factor(values, kind, case.vendor, chip) for kind in (SOFTWARE, OVERHEAD))
    engine: Roofline = engine_constants(as_fields(values), case.served.architecture, overhead, case.served.sparing)
    return software * throughput(case.model, case.chip, engine, case.terms, case.requests)


def predict_serving(row: Mapping[str, str], regime: Regime) -> Predicted | Omitted:
    """Output tokens a second of each accelerator of a row.

    Args:
        row: cells by column, answers included; the prediction sees none of those.
        regime: which rows the constants may have been fitted on.

    Raises:
        UnpredictableError: with the reason.
    """
    name, truth = row.get("id", ""), measured(row)
    if truth is None:
        return Omitted(name, "no output tokens a second are printed")
    seen = blanked(row, "serving")
    case, fit = serving_case(seen), serving_fit()
    if regime == "shipped":
        errors, but = _as_shipped(case), ""
        values = fit.values["shipped"][""]
    else:
        errors = regime
        but = case.left_out(regime, seen)
        values = fit.chosen(regime, but)
    predicted = float(np.asarray(rate(case, values)))
    return Predicted(
        row=row,
        regime=regime,
        measured=truth,
        predicted=predicted,
        quantiles=fit.quantiles(predicted, errors, case.vendor, but),
        subset={"vendor": case.accelerator.vendor},
        notes=(*case.notes, f"errors: {errors.replace('_', ' ')}"),
    )


def _as_shipped(case: ServingCase) -> str:
    """Whose errors a row's are like: of a chip or a model that no fit has seen, or of those that the fit has."""
    fit = serving_fit()
    if not fit.knows("new_chip", case.accelerator.name):
        return "new_chip"
    return "known_stack" if fit.knows("new_model", case.served.name) else "new_model"
