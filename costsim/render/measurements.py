"""A bench as a page, CSV or Markdown: what this machine sustains, what it is made of, and whether to believe it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from costsim.render import numbers
from costsim.render.flat import csv_text, markdown_table
from costsim.render.text import (
    NARROWEST,
    Line,
    Screen,
    Span,
    clean,
    columns,
    fold,
    folded,
    hang,
    item,
    page,
    prose,
    unbroken,
)

LABEL = 11
_WIDEST = 120
_GROUPS = {  # short words: a step's row fits into 80 columns
    "embed": ("embedding_forward", "embedding_backward"),
    "blocks": ("blocks_forward", "blocks_backward"),
    "head": ("head_forward", "head_backward"),
    "update": ("optimizer",),
}
_VERDICTS = {
    "good": ("good", "the machine was quiet"),
    "noisy": ("warn", "usable, with wider intervals"),
    "refused": ("bad", "nothing can be planned from this"),
    "partial": ("warn", "interrupted"),
}
_CSV = ("kind", "name", "dtype", "seconds", "low", "high", "best", "samples", "value", "unit", "verdict")


def render(found: Mapping[str, Any], screen: Screen, *, quiet: bool = False) -> str:
    """The page of a bench.

    Args:
        found: its JSON.
        screen: width, encoding and colour.
        quiet: the answer only.
    """
    room = min(max(screen.width, NARROWEST), _WIDEST)
    lines = [*_title(found, room), [], *_answer(found, room)]
    if not quiet:
        for block in (_steps(found, room), _products(found), _collectives(found, room)):
            lines += [[], *block] if block else []
        findings = [(finding["level"], finding["text"]) for finding in found["findings"]]
        lines += [[], *_listed("Findings", [text for _, text in findings], room, "warn")] if findings else []
        lines += [[], *_listed("Notes", found["notes"], room)] if found["notes"] else []
    lines += [[], *_listed("Next", _advice(found), room)]
    return page([*lines, [], [Span("costsim bench", "dim")]], screen)


def _title(found: Mapping[str, Any], room: int) -> list[Line]:
    device, software = found["device"], found["software"]
    threads = numbers.counted(device["threads"], "thread") if device["kind"] == "cpu" else device["kind"]
    pieces = [
        Span(clean(device["name"]), "title"),
        Span(threads, "title"),
        Span(found["dtype"], "title"),
        Span(f"torch {clean(software['torch'])}", "dim"),
        Span({"quick": "--quick", "full": "--full"}.get(found["mode"], ""), "dim"),
        Span(found["created"][:16].replace("T", " "), "dim"),
    ]
    return fold(pieces, room)


# --- the answer -------------------------------------------------------------------------------------------------------


def _answer(found: Mapping[str, Any], room: int) -> list[Line]:
    lines: list[Line] = []
    for label, pieces, style in (
        ("Sustained", _sustained(found["headline"]), "strong"),
        ("MFU", _mfu(found["headline"]), ""),
        ("Products", _largest(found["headline"]), ""),
        ("Memory", _memory(found["headline"]), ""),
        ("Energy", _energy(found), ""),
        ("Verdict", _verdict(found["verdict"]), _VERDICTS[found["verdict"]["status"]][0]),
    ):
        if pieces:
            spans = [Span(pieces[0], style), *(Span(piece) for piece in pieces[1:])]
            lines += hang(label, fold(spans, room - LABEL), LABEL)
    return lines


def _sustained(top: Mapping[str, Any]) -> list[str]:
    if top["flops_per_second"] is None:
        return ["no training step was measured"]
    return [
        f"{_rate(top['flops_per_second'])} ±{top['half_width']:.1%}",
        numbers.number(top["tokens_per_second"], "token/s"),
        f"best {_rate(top['flops_per_second_best'])}",
        f"training, {_shape(top['step'])}",
    ]


def _mfu(top: Mapping[str, Any]) -> list[str]:
    of_found = [] if top["share_of_found"] is None else [
        f"{_percent(top['share_of_found'])} of the largest product found"
    ]  # fmt: skip
    if top["peak_flops_per_second"] is None:
        return ["none: no peak of this device is known", *of_found]
    of_peak = "no step" if top["mfu"] is None else _percent(top["mfu"])
    return [f"{of_peak} of {_rate(top['peak_flops_per_second'])} ({clean(top['peak_of'])}, dense)", *of_found]


def _largest(top: Mapping[str, Any]) -> list[str]:
    if top["found_flops_per_second"] is None:
        return []
    pieces = [f"{_rate(top['found_flops_per_second'])} found at {_sides(top['found_shape'])}"]
    if top["peak_flops_per_second"] is not None:
        pieces.append(f"data sheet {_rate(top['peak_flops_per_second'])}")
    if top["published_flops_per_second"] is not None:
        pieces.append(f"largest published {_rate(top['published_flops_per_second'])}")
    return pieces


def _memory(top: Mapping[str, Any]) -> list[str]:
    if top["bandwidth"] is None:
        return []
    sheet = [] if top["bandwidth_spec"] is None else [f"data sheet {numbers.number(top['bandwidth_spec'], 'byte/s')}"]
    return [f"{numbers.number(top['bandwidth'], 'byte/s')} copied, beyond the caches", *sheet]


def _energy(found: Mapping[str, Any]) -> list[str]:
    energy, per_token = found["energy"], found["headline"]["joules_per_token"]
    if energy["watts"] is None:
        return [f"none: {energy['counter']}"]
    pieces = [f"{energy['watts']:.0f} W", f"by {energy['counter']}"]
    return pieces if per_token is None else [f"{per_token:.3g} J/token", *pieces]


def _verdict(verdict: Mapping[str, Any]) -> list[str]:
    words = _VERDICTS[verdict["status"]][1]
    return [f"{verdict['status']}: {'; '.join(map(clean, verdict['reasons'])) or words}"]


def _advice(found: Mapping[str, Any]) -> list[str]:
    """What became of the file that was asked for, and what to do now."""
    told = _unwritten(found["output"])
    if any(finding["level"] == "error" for finding in found["findings"]):
        return [*told, "see the findings: nothing can be planned from this, whatever is accepted"]
    if not found["complete"]:
        return [*told, *_onward(found)]
    if found["verdict"]["status"] == "refused":
        accept = "--accept-noisy takes measurements as they are, with wide intervals"
        if found["output"] is not None:
            accept = "the same command with --resume --accept-noisy calibrates from these samples, with wide intervals"
        return [*told, "end the other programs, or wait for them, and measure again", accept]
    if found["calibration"] is not None:
        return [f"costsim plan SCENARIO --set cluster.calibration={clean(found['calibration'])}"]
    return [*told, "-o my-box.yaml writes a calibration that plans can use"]


def _unwritten(output: Mapping[str, Any] | None) -> list[str]:
    """That the file which was asked for was not written, why, and where what was measured is."""
    if output is None or output["written"]:
        return []
    file, samples = clean(output["file"]), clean(output["samples"])
    return [f"{file} was not written: {clean(output['reason'])}", f"what was measured is in {samples}"]


def _onward(found: Mapping[str, Any]) -> list[str]:
    """How to go on with a bench that was cut short."""
    busy = found["cut"] == "busy machine"
    told = ["end the other programs, or wait for them; --accept-noisy measures beside them"] if busy else []
    if found["output"] is None:
        return told or ["-o FILE keeps measurements as they come, and --resume continues them"]
    again = ", and measures again what was refused" if found["verdict"]["status"] == "refused" else ""
    told.append(f"the same command with --resume goes on with what is left{again}; with --force all is measured anew")
    if found["calibration"] is not None and found["verdict"]["status"] == "partial":
        use = f"--set 'cluster.calibration={{file: {clean(found['calibration'])}, accept: true}}'"
        told.append(f"a plan leaves it aside until then, except with {use}")
    return told


# --- what it is made of -----------------------------------------------------------------------------------------------


def _steps(found: Mapping[str, Any], room: int) -> list[Line]:
    """A row a step: by component what one rank ran, and whole, in a table of their own, what several did."""
    lines: list[Line] = []
    for groups in (_GROUPS, {}):
        steps = [step for step in found["steps"] if bool(step["components"]) == bool(groups)]
        if steps:
            lines += [*([[]] if lines else []), *_step_table(steps, groups, room)]
    return lines


def _step_table(steps: Sequence[Mapping[str, Any]], groups: Mapping[str, Sequence[str]], room: int) -> list[Line]:
    wide = room >= 100
    head = ["step", "time", "±", *groups, "rate", *(["memory", "samples"] if wide else [])]
    rows = [[Span(text, "label") for text in head]]
    for step in steps:
        cells = [unbroken(_shape(step), "×"), _time(step["seconds"]), f"{_width(step):.1%}"]
        cells += [_time(sum(step["components"].get(name, 0.0) for name in names)) for names in groups.values()]
        cells.append(_rate(step["flops_per_second"], short=True))
        if wide:
            cells += [_size(step["peak_bytes"], "-"), str(step["samples"])]
        style = {"refused": "bad", "noisy": "warn"}.get(step["verdict"], "")
        rows.append([Span(text, style if place == 2 else "") for place, text in enumerate(cells)])
    return folded(rows, "l" + "r" * (len(head) - 1), room)


def _products(found: Mapping[str, Any]) -> list[Line]:
    """A row a shape and format, a column a layout, squares by size."""
    table: dict[tuple[str, str], dict[str, Any]] = {}
    for product in found["products"]:
        key = (_sides([product["m"], product["n"], product["k"]]), product["dtype"])
        table.setdefault(key, {})[product["layout"]] = product
    layouts = [name for name in ("forward", "dgrad", "wgrad") if any(name in row for row in table.values())]
    if not table:
        return []
    rows = [[Span(text, "label") for text in ("product m, n, k", "", *layouts)]]
    for (sides, dtype), row in table.items():
        cells = [_rate(row[name]["flops_per_second"], short=True) if name in row else "-" for name in layouts]
        rows.append([Span(text) for text in (sides, dtype, *cells)])
    return columns(rows, "ll" + "r" * len(layouts))


def _collectives(found: Mapping[str, Any], room: int) -> list[Line]:
    """A row a size, a column a collective, few enough for the page; times of the slowest rank."""
    most = 6 if room >= 100 else 4
    made = found["collectives"]
    lines: list[Line] = []
    for ranks, scope in dict.fromkeys((one["ranks"], one["scope"]) for one in made):
        here = [one for one in made if (one["ranks"], one["scope"]) == (ranks, scope)]
        every = list(dict.fromkeys(one["operation"] for one in here))
        for first in range(0, len(every), most):
            table = _times(here, every[first : first + most], f"{ranks} ranks of a {scope}")
            lines += [*([[]] if lines else []), *table]
    return lines


def _times(made: Sequence[Mapping[str, Any]], names: Sequence[str], title: str) -> list[Line]:
    """The table of some collectives, a row a size."""
    seconds = {(one["nbytes"], one["operation"]): one["seconds"] for one in made if one["operation"] in names}
    rows = [[Span(text, "label") for text in (title, *(name.replace("_", "-") for name in names))]]
    for size in sorted({size for size, _ in seconds}):
        times = [_time(seconds[size, name]) if (size, name) in seconds else "-" for name in names]
        rows.append([Span(text) for text in (numbers.number(size, "byte"), *times)])
    return columns(rows, "r" * (1 + len(names)))


def _listed(label: str, texts: Sequence[str], room: int, style: str = "") -> list[Line]:
    """Sentences beside a label, each marked where there are several."""
    if len(texts) == 1:
        return hang(label, prose(texts[0], room - LABEL, style), LABEL)
    return hang(label, [line for text in texts for line in item(text, room - LABEL, style)], LABEL)


# --- words ------------------------------------------------------------------------------------------------------------


def _shape(step: Mapping[str, Any]) -> str:
    parts = f"{step['hidden_size']:,} wide, {step['micro_batch']} × {step['sequence']:,}"
    how = {"none": "alone", "ddp": "DDP", "fsdp2": "FSDP2"}[step["parallel"]]
    layers = numbers.counted(step["layers"], "layer")
    parallel = "" if step["ranks"] == 1 else f", {layers}, {step['ranks']} ranks {how}"
    return parts + parallel + (", compiled" if step["compiled"] else "")


def _sides(sides: Sequence[int]) -> str:
    return f"{sides[0]:,}³" if len(set(sides)) == 1 else " × ".join(f"{side:,}" for side in sides)


def _time(seconds: float) -> str:
    return numbers.number(seconds, "s")


def _rate(value: float, *, short: bool = False) -> str:
    text = numbers.number(value, "FLOP/s")
    return text.replace("FLOP/s", "F/s") if short else text


def _percent(value: float) -> str:
    return numbers.number(value, "fraction")


def _width(row: Mapping[str, Any]) -> float:
    return float(row["high"] - row["low"]) / 2 / float(row["seconds"])


# --- other formats ----------------------------------------------------------------------------------------------------


_FIGURES = {
    "steps": ("flops_per_second", "FLOP/s"),
    "products": ("flops_per_second", "FLOP/s"),
    "linear_layers": ("flops_per_second", "FLOP/s"),
    "optimizer": ("seconds_per_parameter", "s"),
    "bandwidth": ("bytes_per_second", "byte/s"),
    "collectives": (None, ""),
}


def _named(kind: str, row: Mapping[str, Any]) -> str:
    """What a measurement is of."""
    if kind == "steps":
        return f"{_shape(row)}, {row['role']}"
    if kind == "products":
        return f"{row['m']} x {row['n']} x {row['k']}, {row['layout']}"
    if kind == "linear_layers":
        return f"{row['inputs']} to {row['outputs']}, {numbers.counted(row['tokens'], 'token')}"
    if kind == "optimizer":
        return f"AdamW, {row['parameters']} parameters"
    if kind == "bandwidth":
        return f"{row['operation']}, {row['working_bytes']} bytes"
    return f"{row['operation']}, {row['ranks']} ranks, {row['nbytes']} bytes"


def _rows(found: Mapping[str, Any]) -> list[list[Any]]:
    """Every measurement in a row."""
    rows = []
    for kind, (value, unit) in _FIGURES.items():
        for row in found[kind]:
            times = [row[key] for key in ("seconds", "low", "high", "best", "samples")]
            figure = row[value] if value else None
            rows.append([kind, _named(kind, row), row.get("dtype", ""), *times, figure, unit, row["verdict"]])
    return rows


def to_csv(found: Mapping[str, Any]) -> str:
    """A row a measurement, numbers in full."""
    return csv_text(_CSV, _rows(found))


def to_markdown(found: Mapping[str, Any]) -> str:
    """The answer and a table of all measurements."""
    answer = [
        ("Sustained", _sustained(found["headline"])), ("MFU", _mfu(found["headline"])),
        ("Products", _largest(found["headline"])), ("Memory", _memory(found["headline"])),
        ("Energy", _energy(found)), ("Verdict", _verdict(found["verdict"])), ("File", _unwritten(found["output"])),
    ]  # fmt: skip
    rows = [_short(row) for row in _rows(found)]
    title = f"# {clean(found['device']['name'])}, {found['dtype']}, torch {clean(found['software']['torch'])}"
    parts = ["<!-- costsim bench -->", title, markdown_table(("", ""), [[k, ", ".join(v)] for k, v in answer if v])]
    return "\n\n".join([*parts, markdown_table(("kind", "what", "dtype", "time", "±", "figure"), rows)]) + "\n"


def _short(row: Sequence[Any]) -> list[str]:
    """A row for people."""
    kind, name, dtype, seconds, low, high, _, _, value, unit, _ = row
    figure = "-" if value is None else numbers.number(value, unit)
    return [kind.replace("_", " "), name, dtype, _time(seconds), f"{(high - low) / 2 / seconds:.1%}", figure]


def plan_page(planned: Mapping[str, Any], screen: Screen, *, quiet: bool = False) -> str:
    """What would be measured; of a quiet page only the device, how long it takes, and the file."""
    room = min(max(screen.width, NARROWEST), _WIDEST)
    pieces = [clean(planned["device"]["name"]), planned["dtype"], f"about {planned['seconds']:.0f} s"]
    lines = fold([Span(piece, "title") for piece in pieces], room)
    if not quiet:
        rows = [[Span(text, "label") for text in ("measurement", "about", "memory")]]
        for task in planned["tasks"]:
            rows.append([Span(task["name"]), Span(_time(task["seconds"])), Span(_size(task["predicted_bytes"], ""))])
        free = f"{numbers.number(planned['free_bytes'], 'byte')} are free; the memory of a step is predicted"
        lines += [[], *folded(rows, "lrr", room), [], *prose(free, room, "dim")]
    for note in planned["notes"]:
        lines += prose(clean(note), room, "warn")
    if planned["output"] is not None:
        file, samples = (clean(planned["output"][key]) for key in ("file", "samples"))
        lines += prose(f"the calibration would be written to {file}, its samples to {samples}", room, "dim")
    return page([*lines, [], [Span("costsim bench", "dim")]], screen)


def plan_csv(planned: Mapping[str, Any]) -> str:
    """A row a measurement, numbers in full; empty where no memory is predicted."""
    rows = [[task["name"], task["seconds"], task["predicted_bytes"]] for task in planned["tasks"]]
    return csv_text(("measurement", "seconds", "predicted_bytes"), rows)


def plan_markdown(planned: Mapping[str, Any]) -> str:
    """The same for people."""
    rows = [[task["name"], _time(task["seconds"]), _size(task["predicted_bytes"], "-")] for task in planned["tasks"]]
    notes = [f"* {clean(note)}\n" for note in planned["notes"]]
    return "\n".join([markdown_table(("measurement", "about", "memory"), rows) + "\n", *notes])


def _size(count: float | None, missing: str) -> str:
    return missing if count is None else numbers.number(count, "byte")
