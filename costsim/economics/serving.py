"""What serving a token costs: the largest batch that keeps a promise of speed, and an hour's price split by time.

Prefill of new requests takes turns with decode, so a user sees a token every ``step + (batch - 1) * prefill /
output_tokens``. That is what the promise bounds: on 451 published measurements the measured interval is 1.04 times it
in the median, where the bare step is up to 2.2 times too short for long prompts in large batches.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from costsim.economics.calendar import PER_MILLION, SECONDS_PER_HOUR
from costsim.economics.replica import DecodeTimes as DecodeTimes
from costsim.economics.replica import Roofline as Roofline
from costsim.economics.replica import ServedModel as ServedModel
from costsim.economics.replica import ServingChip as ServingChip
from costsim.economics.replica import ServingTerms as ServingTerms
from costsim.economics.replica import (
    decode_times,
    kv_bytes_per_sequence,
    kv_capacity,
    log_missed,
    prefill_seconds,
    prefill_seconds_per_token,
    reading_seconds,
    step_seconds,
    weights_bytes,
)
from costsim.quantities import declare

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num

BOUNDS = ("speed", "kv_capacity", "compute", "measured")
"""What keeps a token from being cheaper, in the order of the codes of ``serving.bound_by``: the promised speed bounds
the batch; the memory for the KV cache does; decode multiplies rather than reads, so a larger batch gains nothing; or
throughput was measured."""


# --- the batch --------------------------------------------------------------------------------------------------------


def token_interval_seconds(step: Num, prefill: Num, batch: Num, output_tokens: Num) -> Num:
    """Time between two tokens of a user: a step, and the prefills of the others that fall between."""
    return step + (batch - 1.0) * prefill / output_tokens


def largest_batch(times: DecodeTimes, model: ServedModel, turn: Num, interval: Num) -> Num:
    """Largest batch, not below 1, that gives every user a token within an interval.

    Exact where the model is dense. With experts, reading grows concavely with the batch, and Newton's method from
    below approaches the root without passing it.

    Args:
        times: of a decode step.
        model: for its experts.
        turn: prefill seconds that one more sequence adds between two tokens.
        interval: promised, seconds.
    """
    shared = times.exchange + turn
    left = interval + turn - times.fixed
    computing = left / (times.compute + shared)
    slope = times.cache + shared
    room = left - times.weights
    if not model.experts:
        return np.maximum(1.0, np.minimum(computing, room / slope))
    decay = log_missed(model)
    reading: Num = np.ones_like(np.asarray(room + slope, dtype=np.float64))[()]
    for _ in range(60):
        missed = np.exp(decay * reading) if decay > -math.inf else 0.0 * reading
        over = times.experts * (1.0 - missed) + slope * reading - room
        rise = slope + (times.experts * missed * -decay if decay > -math.inf else 0.0)
        ahead = np.maximum(reading, reading - over / rise)
        close = np.all(ahead - reading <= 1e-12 * ahead)
        reading = ahead
        if close:
            break
    return np.maximum(1.0, np.minimum(computing, reading))


@declare(
    "serving.batch",
    label="batch",
    unit="sequences",
    formula="the largest at which users get {serving.speed} and whose KV cache fits",
    source="speed bounds the batch, and so the price",
    better="higher",
)
def batch_size(promised: Num, capacity: Num) -> Num:
    """Sequences decoded together, on average: bounded by promise and memory, at least 1."""
    return np.maximum(1.0, np.minimum(promised, capacity))


def measured_batch(rate: Num, terms: ServingTerms) -> Num:
    """Sequences of a replica whose output rate was measured at the promised speed: each user takes their share."""
    return np.maximum(1.0, rate * terms.accelerators_per_replica / terms.speed)


@declare(
    "serving.bound_by",
    label="bound by",
    unit="code",
    formula="what keeps {serving.batch}, or the gain from it, from growing",
    source="0 speed, 1 kv_capacity, 2 compute, 3 measured",
)
def bound_by(times: DecodeTimes, model: ServedModel, batch: Num, promised: Num, terms: ServingTerms) -> Num:
    """Code of what bounds serving, an index of `BOUNDS`."""
    if terms.measured_tokens_per_second is not None:
        return 3.0
    memory_ends = batch < promised
    multiplies = times.compute * batch >= reading_seconds(times, model, batch)
    code: Num = np.where(multiplies, 2.0, np.where(memory_ends, 1.0, 0.0))[()]
    return code


def throughput(model: ServedModel, chip: ServingChip, roofline: Roofline, terms: ServingTerms, requests: Num) -> Num:
    """Output tokens per second and accelerator of a replica that is given so many requests at once.

    Each that ends is followed by another; those whose cache finds no room wait.

    Args:
        model: that is served.
        chip: its accelerators.
        roofline: the engine.
        terms: request and layout.
        requests: at once, of a replica.
    """
    batch = batch_size(requests, kv_capacity(model, chip, roofline, terms))
    step = step_seconds(decode_times(model, chip, roofline, terms), model, batch)
    prefill = prefill_seconds(prefill_seconds_per_token(model, chip, roofline, terms), terms)
    return output_rate(step, prefill, batch, terms)


# --- money ------------------------------------------------------------------------------------------------------------


@declare(
    "serving.output_tokens_per_second_per_accelerator",
    label="output per accelerator",
    unit="tokens/s",
    formula="{serving.output_tokens} / ({serving.prefill_seconds} + {serving.output_tokens} * {serving.step_seconds} / "
    "{serving.batch}) / {serving.accelerators_per_replica}",
    source="decode slots share time with prefill (continuous batching)",
    better="higher",
)
def output_rate(step: Num, prefill: Num, batch: Num, terms: ServingTerms) -> Num:
    """Output tokens per second and accelerator while busy."""
    seconds = prefill + terms.output_tokens * step / batch
    return terms.output_tokens / seconds / terms.accelerators_per_replica


@declare(
    "serving.tokens_per_second_per_user",
    label="speed for a user",
    unit="tokens/s",
    formula="1 / ({serving.step_seconds} + ({serving.batch} - 1) * {serving.prefill_seconds} / "
    "{serving.output_tokens})",
    source="between two tokens fall a step and others' prefills",
    better="higher",
)
def user_speed(interval: Num) -> Num:
    """Tokens per second that a user sees."""
    return 1.0 / interval


@declare(
    "serving.usd_per_million_input_tokens",
    label="cost of input",
    unit="USD/Mtok",
    formula="{serving.usd_per_accelerator_hour} * {serving.accelerators_per_replica} / 3600 / {serving.occupancy} * "
    "{serving.prefill_seconds_per_token} * 1e6",
    source="an hour's price split by time, uncached tokens",
    better="lower",
)
@declare(
    "serving.usd_per_million_cached_input_tokens",
    label="cost of cached input",
    unit="USD/Mtok",
    formula="{serving.usd_per_million_input_tokens} * {serving.cached_cost}",
    source="storage and loading, as a share of prefilling",
    better="lower",
)
@declare(
    "serving.usd_per_million_output_tokens",
    label="cost of output",
    unit="USD/Mtok",
    formula="{serving.usd_per_accelerator_hour} * {serving.accelerators_per_replica} / 3600 / {serving.occupancy} * "
    "{serving.step_seconds} / {serving.batch} * 1e6",
    source="an hour's price split by time",
    better="lower",
)
def usd_per_million(seconds_per_token: Num, terms: ServingTerms) -> Num:
    """Price of replica time spent on a token, USD per million tokens; idle hours are paid by the busy ones."""
    per_second = terms.usd_per_accelerator_hour * terms.accelerators_per_replica / SECONDS_PER_HOUR
    return per_second / terms.occupancy * seconds_per_token * PER_MILLION


def serving_obstacle(model: ServedModel, chip: ServingChip, roofline: Roofline, terms: ServingTerms) -> str:
    """Why the model cannot be served so, in words; empty if it can: then `serving_section` holds."""
    room = kv_capacity(model, chip, roofline, terms)
    if np.all(np.asarray(room) >= 1.0):
        return ""
    each = float(np.min(chip.memory_bytes * roofline.memory_fraction))
    needed = (weights_bytes(model) + float(np.max(kv_bytes_per_sequence(model, terms)))) / each
    plural = "" if terms.accelerators_per_replica == 1 else "s"
    return (
        f"serving: weights of {weights_bytes(model) / 1e9:.0f} GB and the KV cache of one request do not fit in "
        f"{terms.accelerators_per_replica:g} accelerator{plural}; give at least {math.ceil(needed)} as "
        "serving.accelerators_per_replica, or a narrower serving.precision"
    )


def serving_section(model: ServedModel, chip: ServingChip, roofline: Roofline, terms: ServingTerms) -> dict[str, Num]:
    """Make the ``serving`` section, except what training adds to a token's cost.

    ``serving.bound_by`` is a code; `BOUNDS` has its words.
    """
    times = decode_times(model, chip, roofline, terms)
    per_token = prefill_seconds_per_token(model, chip, roofline, terms)
    prefill = prefill_seconds(per_token, terms)
    promised = largest_batch(times, model, prefill / terms.output_tokens, 1.0 / terms.speed)
    batch = batch_size(promised, kv_capacity(model, chip, roofline, terms))
    step = step_seconds(times, model, batch)
    code = bound_by(times, model, batch, promised, terms)
    # The batch is planned; how fast it turns out is uncertain, as measured over predicted throughput at a batch is.
    slow: Num = 1.0 / terms.residual
    if terms.measured_tokens_per_second is not None:
        # A measurement sets the pace of the whole; the roofline only splits time between prefill and decode.
        slow = output_rate(step, prefill, batch, terms) / terms.measured_tokens_per_second
        measured = measured_batch(terms.measured_tokens_per_second, terms)
        step, batch = step * measured / batch, measured
    per_token, prefill, step = per_token * slow, prefill * slow, step * slow
    interval = token_interval_seconds(step, prefill, batch, terms.output_tokens)
    price_in = usd_per_million(per_token, terms)
    return {
        "serving.output_tokens_per_second_per_accelerator": output_rate(step, prefill, batch, terms),
        "serving.usd_per_million_input_tokens": price_in,
        "serving.usd_per_million_cached_input_tokens": price_in * terms.cached_cost,
        "serving.usd_per_million_output_tokens": usd_per_million(step / batch, terms),
        "serving.batch": batch,
        "serving.bound_by": code,
        "serving.tokens_per_second_per_user": user_speed(interval),
        "serving.step_seconds": step,
        "serving.prefill_seconds": prefill,
        "serving.prefill_seconds_per_token": per_token,
    }


def serving_warnings(section: dict[str, Num], terms: ServingTerms) -> list[tuple[str, str]]:
    """Say where the promised speed cannot be kept even by a batch of one.

    Returns:
        Pairs of path and message; empty where it can.
    """
    fastest, promised = float(np.median(section["serving.tokens_per_second_per_user"])), float(np.median(terms.speed))
    alone = float(np.median(section["serving.batch"])) <= 1.0
    if terms.measured_tokens_per_second is not None or not alone or fastest >= 0.99 * promised:
        return []
    return [
        (
            "serving.speed",
            f"{promised:,.6g} tokens/s per user cannot be kept: alone on a replica a request gets {fastest:.3g}; "
            "more accelerators per replica or a narrower precision would help, and the cost of a token is that of a "
            "batch of 1",
        )
    ]
