"""The parts of a plan's page: each function turns one section of the JSON into lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from costsim.render import numbers
from costsim.render.figures import Figures, label_of, short, unit_of, words
from costsim.render.text import Line, Span, bar, clean, columns, fold, hang, prose, table, width
from costsim.tree import flatten, is_number

_LONGEST_BAR = 40
_FEWEST_BAR = 8
_SMALLEST_SHARE = 1e-6
_NO_INTERRUPTIONS = 0.05
_ASSUMPTIONS_SHOWN = 5
_STEP_LABELS = {
    "compute_seconds": "compute",
    "memory_bound_seconds": "memory-bound",
    "tensor_comm_seconds": "tensor comm",
    "pipeline_bubble_seconds": "pipeline bubble",
    "data_comm_seconds": "data comm",
    "expert_comm_seconds": "expert comm",
    "context_comm_seconds": "context comm",
    "optimizer_seconds": "optimizer",
    "host_seconds": "host",
    "straggler_seconds": "stragglers",
}
GIVEN = "given"
STACK = "cluster.stack"
# Defaults that move the answer most, in that order; others follow as they stand in the plan.
_MATTERS = (
    "cost.research_multiplier", "cost.rent.usd_per_accelerator_hour", "cost.staff", "cost.contingency",
    "serving.occupancy", "serving.speed", "serving.cached_share", "demand.paid_share", "demand.life",
    "demand.ramp.midpoint",
    "price.market_decline", "finance.discount_rate", "cluster.failures.interruptions_per_accelerator_hour",
    "cluster.stack", "law", "cost.power_utilisation", "cost.site", "training.optimizer",
)  # fmt: skip


def model(f: Figures, room: int) -> list[Line]:
    """The model's size and the compute that it takes."""
    pieces = []
    if f.has("model"):
        active = f.value("model.active_parameters")
        some = active is not None and active != f.value("model.parameters")
        size = f.text("model.parameters", "parameter")
        pieces.append(f"{size}, {f.text('model.active_parameters', 'count')} active" if some else size)
        pieces.append(f"{f.number('model.layers')} layers")
    if f.has("compute"):
        pieces += [f"{f.text('compute.model_flops')} of model compute", f"6ND {f.number('compute.flops_6nd')}"]
    return fold([Span(piece) for piece in pieces], room)


def step(f: Figures, room: int, *, verbose: bool) -> list[Line]:
    """One training step: how long, on which layout, and where its time goes."""
    lines = []
    seconds = f.value("step.step_seconds")
    if seconds is not None:
        pieces = [f"{f.text('step.step_seconds')} a step"]
        rate = f.value("step.tokens_per_second")
        if rate is not None:
            pieces += [f"{numbers.number(seconds * rate, 'token')} in each", f.text("step.tokens_per_second")]
        if f.value("step.model_flops_per_second_per_accelerator") is not None:
            pieces.append(f"{f.number('step.model_flops_per_second_per_accelerator')} an accelerator")
        lines += fold([Span(piece) for piece in pieces], room)
    lines += fold([Span(piece) for piece in layout_words(f.get("layout") or {})], room)
    breakdown = f.get("step.breakdown") or {}
    terms = [
        (_STEP_LABELS.get(key, words(key)), f"step.breakdown.{key}")
        for key, value in breakdown.items()
        if verbose or (value and value > _SMALLEST_SHARE * (seconds or 0.0))
    ]
    return lines + _stack(f, terms, seconds, room)


def memory(f: Figures, room: int) -> list[Line]:
    """What fills an accelerator's memory, against its capacity."""
    tree = f.get("memory") or {}
    totals = {"peak_bytes", "capacity_bytes"}
    terms = [(words(k), f"memory.{k}") for k, v in tree.items() if k.endswith("_bytes") and k not in totals and v]
    lines = _stack(f, terms, f.value("memory.capacity_bytes"), room)
    if f.value("memory.peak_bytes") is not None:
        peak = f"peak {f.text('memory.peak_bytes')} of {f.number('memory.capacity_bytes')} usable"
        lines += fold([Span(peak)], room)
    return lines


def run(f: Figures, room: int) -> list[Line]:
    """The whole run: steps, interruptions, power and carbon."""
    named = {
        "run.steps": "{} steps",
        "run.ideal_days": "{} without failures",
        "run.interruptions": "{} interruptions",
        "run.power_megawatts": "{}",
        "run.energy_kwh": "{}",
        "run.carbon_tonnes": "{}",
    }
    pieces = {path: form.format(f.text(path)) for path, form in named.items() if f.value(path) is not None}
    if (f.value("run.interruptions") or 0.0) < _NO_INTERRUPTIONS and "run.interruptions" in pieces:
        pieces["run.interruptions"] = "no interruption expected"
    return fold([Span(piece) for piece in pieces.values()], room)


def money(f: Figures, room: int, *, verbose: bool) -> list[Line]:
    """The final run's items, the same run on each basis, and the programme."""
    if not f.has("cost"):
        return []
    lines = _heading(f"final run, {clean(f.get('cost.basis'))}", f.text("cost.total_usd"), room)
    lines += _stack(f, _items(f, "cost.items", verbose), f.value("cost.total_usd"), room)
    bases = f.get("cost.bases") or {}
    chosen = f"{f.get('cost.basis')}_usd"
    pieces = []
    for key in bases:
        text = f"{words(key)} {f.text(f'cost.bases.{key}')}"
        pieces.append(Span(f"{text}, chosen" if key == chosen else text, "strong" if key == chosen else ""))
    lines += hang("by basis:", fold(pieces, room - 10), 10, "")
    left = [f.value(f"cost.{group}.unused_commitment_usd") or 0.0 for group in ("items", "programme_items")]
    if left[0] > left[1]:
        text = "the final run holds the rest of the commitment; in the programme, research fills it first"
        lines += prose(text, room)
    lines += _heading("programme", f.text("cost.programme_usd"), room)
    lines += _stack(f, _items(f, "cost.programme_items", verbose), f.value("cost.programme_usd"), room)
    lines += _cash_out(f, room) + (_ledger(f, room) if verbose else [])
    return lines + hang("hours:", fold(_hours(f), room - 7), 7, "") + fold(_break_even(f), room)


def _cash_out(f: Figures, room: int) -> list[Line]:
    """How the programme is paid, month by month."""
    rows: Sequence[Mapping[str, Any]] = f.get("cost.monthly") or []
    if len(rows) < 2:
        return []
    out, days = [short(float(row["total_usd"]), "USD") for row in rows], f.number("run.wall_clock_days")
    committed = bool(f.value("cost.items.unused_commitment_usd"))
    if not committed:
        return prose(f"cash out: {out[0]} a month over {days}", room)
    last = f"{out[-1]} in month {len(rows)}, with which the commitment ends"
    return prose(f"cash out: {out[0]} in month 1, {last}", room)


def _ledger(f: Figures, room: int) -> list[Line]:
    """The cash that goes out, month by month; its lines are in JSON, CSV and Markdown."""
    found: Sequence[Mapping[str, Any]] = f.get("cost.monthly") or []
    heads = [Span(text, "label") for text in ("  month", "cash out", "so far")]
    rows = [
        [Span(f"  {row['month']:.0f}"), *(Span(short(row[key], "USD")) for key in ("total_usd", "cumulative_usd"))]
        for row in found
    ]
    return table([heads, *rows], "rrr", room) if len(found) > 1 else []


def _hours(f: Figures) -> list[Span]:
    """Every hour of the fleet, by what it is paid for."""
    lines = [key for key, hours in (f.get("cost.hours") or {}).items() if hours]
    if len(lines) < 3:  # nothing but the run, which is the fleet
        return []
    return [
        Span(f"{label_of(f'cost.hours.{key}').lower()} {numbers.number(f.value(f'cost.hours.{key}') or 0.0)}")
        for key in lines
    ]


def _break_even(f: Figures) -> list[Span]:
    """How busy owned or reserved accelerators must be."""
    pieces = []
    own, term = (f.value(f"cost.break_even_utilisation.{key}") for key in ("own_over_rent", "term_over_on_demand"))
    if own is not None:
        pieces.append(f"by the hour, owning is {_cheaper(own)} than renting{_above(own)}")
    if term is not None:
        pieces.append(f"a commitment is {_cheaper(term)} than hours on demand{_above(term)}")
    return [Span(text) for text in pieces]


def _cheaper(share: float) -> str:
    return "cheaper" if share < 1.0 else "never cheaper"


def _above(share: float) -> str:
    return f" above {short(share, 'fraction')} use" if share < 1.0 else ""


def loss(f: Figures, room: int) -> list[Line]:
    """What size and data would have been optimal for the same compute, and what the loss is worth in capability."""
    lines: list[Line] = []
    if f.value("loss.optimal_parameters") is not None:
        size, tokens = f.text("loss.optimal_parameters", "parameter"), f.text("loss.optimal_tokens")
        lines += prose(f"compute-optimal for this compute: {size} on {tokens}", room)
    if f.value("loss.band.parameters_low") is not None:
        low, high = (f.text(f"loss.band.parameters_{end}", "count") for end in ("low", "high"))
        lines += prose(f"anything from {low} to {high} parameters comes within 0.5 % of that loss", room)
    for item in f.get("loss.capabilities") or []:
        lines += fold([Span(_capability(item))], room)
    return lines


def serving(f: Figures, room: int, *, verbose: bool) -> list[Line]:
    """How fast a replica serves, and what a million tokens cost; with ``verbose`` the cost at other speeds."""
    if not f.has("serving"):
        return []
    speed = [f"{f.text('serving.output_tokens_per_second_per_accelerator')} an accelerator"]
    if f.value("serving.batch") is not None:
        speed.append(f"batch {f.number('serving.batch')}")
    if f.get("serving.bound_by"):
        speed.append(f"bound by {clean(f.get('serving.bound_by'))}")
    prices = []
    for path, name in (
        ("serving.usd_per_million_input_tokens", "input"),
        ("serving.usd_per_million_cached_input_tokens", "cached input"),
        ("serving.usd_per_million_output_tokens", "output"),
    ):
        if f.value(path) is not None:
            prices.append(f"{name} {f.text(path)}")
    lines = fold([Span(text) for text in speed], room) + fold([Span(text) for text in prices], room)
    return lines + (_pareto(f, room) if verbose else [])


_OF_PARETO = (
    ("tokens_per_second_per_user", "for a user"),
    ("usd_per_million_output_tokens", "output"),
    ("output_tokens_per_second_per_accelerator", "an accelerator"),
    ("batch", "batch"),
    ("accelerators_per_replica", "replica"),
)
"""What is shown of each way to serve, and under which head."""


def _pareto(f: Figures, room: int) -> list[Line]:
    """Speed against cost: the ways to serve of which none is both faster and cheaper."""
    points = f.get("serving.pareto") or []
    if not points:
        return []
    rows = [[Span(numbers.number(point[name], _unit_of_pareto(name))) for name, _ in _OF_PARETO] for point in points]
    heads = [Span(head, "label") for _, head in _OF_PARETO]
    return [[], *table([heads, *rows], "r" * len(_OF_PARETO), room)]


def _unit_of_pareto(name: str) -> str:
    """The unit that is shown; that of a batch is plain, and its column narrow."""
    return "count" if name == "batch" else unit_of(f"serving.pareto.0.{name}")


def _assumed_default(row: Mapping[str, Any]) -> bool:
    """Whether an input is a default that says something of the run, and not how draws are made."""
    said = row.get("known") == GIVEN or not str(row.get("source", "")).startswith("default")
    return not said and not str(row.get("path")).startswith("uncertainty.")


def assumed(f: Figures, room: int, *, verbose: bool) -> list[Line]:
    """The software stack, and what the user did not give; with ``verbose`` every input, with where it comes from."""
    rows = f.plan.get("provenance") or []
    if verbose:
        return [line for row in rows for line in _origin(f, row, room)]
    software = [row for row in rows if row.get("path") == STACK]
    defaults = [row for row in rows if row not in software and _assumed_default(row)]
    order = {path: place for place, path in enumerate(_MATTERS)}
    defaults.sort(key=lambda row: order.get(str(row.get("path")), len(order)))
    shown = [*software, *defaults[:_ASSUMPTIONS_SHOWN]]
    pieces = [Span(f"{clean(row.get('path'))} {_said(f, row)} ({clean(row.get('known'))})") for row in shown]
    lines = fold(pieces, room)
    rest = len(rows) - len(shown)
    return lines + (prose(f"{rest} more inputs, and where they come from: -v", room, "dim") if rest else [])


def _origin(f: Figures, row: Mapping[str, Any], room: int) -> list[Line]:
    origin = ", ".join(clean(part) for part in (row.get("source"), row.get("known")) if part)
    return fold([[Span(f"{clean(row.get('path'))} {_said(f, row)} "), Span(f"({origin})", "dim")]], room)


def _said(f: Figures, row: Mapping[str, Any]) -> str:
    """An input as the scenario says it, with its unit; else its value."""
    path = str(row.get("path"))
    return f.resolved(path) or short(row.get("value"), str(row.get("unit") or unit_of(path)))


def coverage(f: Figures, room: int) -> list[Line]:
    """How often intervals such as these have held the truth."""
    tree = f.get("coverage") or {}
    return [line for name, item in tree.items() for line in prose(f"{words(name)}: {_held(item)}", room)]


def _held(item: Any) -> str:
    """Coverage in a sentence: what was held, over how many runs, of which evidence."""
    if not isinstance(item, Mapping):
        return short(item)
    said = dict(item)
    interval, share, error = said.pop("interval", None), said.pop("coverage", None), said.pop("median_error", None)
    runs, apart, evidence = said.pop("runs", None), said.pop("held_out", None), said.pop("evidence", None)
    parts = []
    if is_number(share):
        parts.append(f"{short(interval, 'fraction')} intervals held {short(share, 'fraction')}")
    if is_number(error):
        parts.append(f"median error {short(error, 'fraction')}")
    over = f"over {short(runs, 'count')} runs" if runs is not None else ""
    known = "" if apart is None else ", held out of the fit" if apart else ", which the fit had seen"
    parts += [f"{words(key)} {short(value, unit_of(key))}" for key, value in flatten(said)]
    text = f"{', '.join(parts)} {over}{known}".strip()
    return f"{text}: {clean(evidence)}" if evidence else text


def layout_words(layout: Mapping[str, Any]) -> list[str]:
    """A layout in words; what is not split, sharded or recomputed is left out."""
    degrees = ("tensor", "pipeline", "virtual_pipeline", "context", "expert", "expert_tensor", "data")
    pieces = [f"{words(name)} {short(layout[name], 'count')}" for name in degrees if layout.get(name) not in (None, 1)]
    for name, shown in (("micro_batch", "micro-batch"), ("gradient_accumulation", "accumulation")):
        if layout.get(name) is not None:
            pieces.append(f"{shown} {short(layout[name], 'count')}")
    share = layout.get("recompute_share", 1)
    for name in ("sharding", "recompute", "offload"):
        if layout.get(name) not in (None, "none"):
            part = f" in {short(share, 'fraction')} of the layers" if name == "recompute" and 0 < share < 1 else ""
            pieces.append(f"{name} {short(layout[name])}{part}")
    return pieces


def _stack(f: Figures, terms: Sequence[tuple[str, str]], total: float | None, room: int) -> list[Line]:
    """Terms as rows: name, amount, share of the total, and a bar where there is room for one."""
    if not terms:
        return []
    values = [f.value(path) or 0.0 for _, path in terms]
    largest = max(abs(value) for value in values)
    shares = [value / total if total else 0.0 for value in values]
    cells = columns(
        [
            [
                Span(name),
                Span(f.number(path, largest)),
                Span(brackets(f.range(path, largest)), "dim"),
                Span(_share(share)),
            ]
            for (name, path), share in zip(terms, shares, strict=True)
        ],
        "lrlr",
    )
    longest = max(sum(width(span.text) for span in line) for line in cells)
    if longest + 2 > room:
        return [[Span("  "), *part] for line in cells for part in fold([line], room - 2)]
    size = min(room - longest - 4, _LONGEST_BAR)
    if size < _FEWEST_BAR:
        return [[Span("  "), *line] for line in cells]
    scale = max([*shares, 1.0])
    return [
        [Span("  "), *line, Span("  "), Span(bar(share / scale, size), "bar")]
        for line, share in zip(cells, shares, strict=True)
    ]


def _share(share: float) -> str:
    """A share of a total: whole percent, one decimal below ten."""
    percent = 100.0 * share
    if percent >= 9.95:
        return f"{percent:,.0f} %"
    return f"{percent:.1f} %" if percent >= 0.05 or percent <= 0.0 else "<0.1 %"


def _items(f: Figures, path: str, verbose: bool) -> list[tuple[str, str]]:
    tree = f.get(path) or {}
    return [(label_of(f"{path}.{key}").lower(), f"{path}.{key}") for key, value in tree.items() if verbose or value]


def _heading(text: str, amount: str, room: int) -> list[Line]:
    return fold([Span(text), Span(amount, "strong")], room, "  ")


def _capability(item: Any) -> str:
    if not isinstance(item, Mapping):
        return clean(item)
    name = clean(next((item[key] for key in ("name", "benchmark", "task", "label") if key in item), "capability"))
    value = next((item[key] for key in ("value", "accuracy", "score", "centre") if is_number(item.get(key))), None)
    return f"{name} {numbers.with_range(value, str(item.get('unit', 'fraction')), item)}"


def ordinal(f: Figures, path: str) -> str:
    """The month at a path as a short number without its unit; a dash where there is none."""
    value = f.value(path)
    return "-" if value is None else numbers.number(round(value, 1) if value < 10 else round(value), "count")


def brackets(text: str) -> str:
    """Text in brackets; empty text stays empty."""
    return f"({text})" if text else ""
