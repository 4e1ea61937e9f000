"""The catalogue as text: lists with key facts, and one entry with every number, its source and how it is known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from costsim.inputs import catalogue, yaml_source
from costsim.inputs.source import Source
from costsim.inputs.sourced import Fact, split_sourced
from costsim.render.figures import short
from costsim.render.flat import csv_text, markdown_table, markdown_text
from costsim.render.table import columns_of
from costsim.render.text import Line, Screen, Span, clean, columns, fold, hang, page, prose, width
from costsim.tree import flatten, is_number, lookup

SCHEMA = "costsim.show/1"
_FACTS: dict[str, tuple[tuple[str, str], ...]] = {
    "hardware": (
        ("bf16", "peak_flops.bf16"), ("memory", "memory.capacity"),
        ("bandwidth", "memory.bandwidth"), ("power", "power.tdp"),
    ),
    "models": (("parameters", "parameters.total"), ("active", "parameters.active"), ("layers", "layers"),
               ("hidden", "hidden_size"), ("attention", "attention.kind"), ("experts", "experts.routed")),
    "laws": (("runs", "n_runs"), ("title", "title")),
    "stacks": (("family", "family"), ("title", "title")),
    "sites": (("electricity", "electricity"), ("carbon", "carbon"), ("PUE", "pue"), ("title", "title")),
    "scenarios": (("question", "question"),),
}  # fmt: skip
_ORIGIN = {"source", "known", "note"}
_NARROWEST_TEXT, _WIDEST_PATH = 20, 36
_LEAST = 0.005  # a factor nearer to one is printed as one
_ABOUT = {
    "costsim",
    "name",
    "aliases",
    "sources",
    "source",
    "known",
    "extends",
    "title",
    "question",
    "notes",
    "summary",
}


def listing(kind: str) -> dict[str, Any]:
    """Every entry of a kind with its key facts.

    Raises:
        InputError: there is no such kind.
    """
    entries = []
    for name in catalogue.names(kind):
        tree = _read(kind, name)[0]
        tree["parameters"] = tree.get("parameters") or (_parameters(name) if kind == "models" else None)
        facts = {title: _fact(tree, path) for title, path in _FACTS[kind]}
        entries.append({"name": name, **{title: value for title, value in facts.items() if value is not None}})
    return {"schema": SCHEMA, "kind": kind, "entries": entries}


def entry(kind: str, name: str) -> dict[str, Any]:
    """One entry: every value with its source, note and how it is known, and the sources themselves.

    Raises:
        InputError: there is no such entry, or its file is wrong.
    """
    tree, facts, file = _read(kind, name)
    values = []
    counted = {f"parameters.{key}": count for key, count in _parameters(name).items()} if kind == "models" else {}
    for path, count in counted.items():
        values.append(
            {"path": path, "value": count, "source": "counted from the shape", "known": "derived", "note": ""}
        )
    for path, value in _leaves({key: item for key, item in tree.items() if key not in _ABOUT}):
        fact = facts.get(path) or next((facts[leaf] for leaf, _ in flatten(value, path) if leaf in facts), Fact())
        values.append({"path": path, "value": value, "source": fact.source, "known": fact.known, "note": fact.note})
    about = {key: tree[key] for key in ("title", "question", "summary", "aliases", "extends", "notes") if tree.get(key)}
    if kind == "stacks":
        about["notes"] = [*about.get("notes", ()), _fitted(name)]
    return {
        "schema": SCHEMA,
        "kind": kind,
        "name": str(tree.get("name", name)),
        "file": file,
        **about,
        "values": values,
        "sources": _sources(tree.get("sources")),
    }


def listing_text(found: Mapping[str, Any], screen: Screen) -> str:
    """A list as a page: a row an entry, or a paragraph an entry where the screen is too narrow."""
    titles = _titles(found)
    room = columns_of(screen)
    rows = [[_short(entry.get(title)) for title in titles] for entry in found["entries"]]
    cells = columns([[Span(text, "label") for text in titles[:-1]], *([Span(t) for t in row[:-1]] for row in rows)],
                    "l" * (len(titles) - 1))  # fmt: skip
    indent = max(sum(width(span.text) for span in line) for line in cells) + 2
    lines: list[Line] = []
    longest = max((width(row[-1]) for row in rows), default=0)
    if room - indent >= min(_NARROWEST_TEXT, longest):
        lasts = [[[Span(titles[-1], "label")]], *(prose(row[-1], room - indent) for row in rows)]
        for cell, last in zip(cells, lasts, strict=True):
            gap = Span(" " * (indent - sum(width(span.text) for span in cell)))
            lines += [[*cell, gap, *last[0]], *([Span(" " * indent), *line] for line in last[1:])]
    else:
        for row in rows:
            pieces = [Span(f"{title} {text}") for title, text in zip(titles[1:], row[1:], strict=True) if text]
            lines += [[Span(row[0], "label")], *([Span("  "), *line] for line in fold(pieces, room - 2))]
    more = f"costsim show {found['kind']} NAME has every number with its source"
    return page([*lines, [], *prose(more, room, "dim")], screen)


def entry_text(found: Mapping[str, Any], screen: Screen) -> str:
    """One entry as a page."""
    room = columns_of(screen)
    lines = fold([Span(clean(found["name"]), "title"), Span(clean(found["file"]), "dim")], room, "  ")
    for key in ("title", "question", "summary"):
        lines += prose(str(found[key]), room) if key in found else []
    for key in ("aliases", "extends"):
        lines += hang(f"{key}: ", prose(short(found[key]), room - 9), 9, "dim") if key in found else []
    lines.append([])
    longest = max((width(item["path"]) for item in found["values"]), default=0)
    for item in found["values"]:
        origin = ", ".join(clean(item[key]) for key in ("known", "source") if item[key])
        told = [[Span(_exact(item["value"]), "strong")], [Span(origin, "dim")], [Span(clean(item["note"]), "dim")]]
        lines += _named(clean(item["path"]), told, min(longest, _WIDEST_PATH, room // 2) + 2, room)
    for note in found.get("notes") or []:
        lines += [[], *prose(str(note), room)]
    if found["sources"]:
        lines += [[], [Span("Sources", "label")]]
        longest = max(width(name) for name in found["sources"])
        for name, text in found["sources"].items():
            lines += _named(f"  {clean(name)}", [[Span(clean(text))]], min(longest + 2, room // 2) + 2, room)
    return page(lines, screen)


def _named(name: str, told: Sequence[Sequence[Span]], indent: int, room: int) -> list[Line]:
    """A name with what is told of it beside it, or below where the name is too long for that."""
    beside = fold(told, room - indent, "  ")
    if width(name) + 2 > indent:
        return [*prose(name, room), *hang("", beside, indent, "")]
    return hang(name, beside, indent, "")


def listing_csv(found: Mapping[str, Any]) -> str:
    """A list as CSV."""
    titles = _titles(found)
    rows = [[found["kind"], *(entry.get(title) for title in titles)] for entry in found["entries"]]
    return csv_text(["catalogue", *titles], rows)


def entry_csv(found: Mapping[str, Any]) -> str:
    """One entry as rows of ``path, value, unit, source, known, note``; the unit is written with the value."""
    rows = [
        [i["path"], i["value"] if is_number(i["value"]) else _exact(i["value"]), "", i["source"], i["known"], i["note"]]
        for i in found["values"]
    ]
    return csv_text(["path", "value", "unit", "source", "known", "note"], rows)


def listing_markdown(found: Mapping[str, Any]) -> str:
    """A list as a Markdown table."""
    titles = _titles(found)
    rows = [[_short(entry.get(title)) for title in titles] for entry in found["entries"]]
    return f"<!-- costsim show -->\n\n{markdown_table(titles, rows)}\n"


def entry_markdown(found: Mapping[str, Any]) -> str:
    """One entry as Markdown."""
    rows = [[i["path"], _exact(i["value"]), i["source"], i["known"], i["note"]] for i in found["values"]]
    parts = [
        "<!-- costsim show -->",
        f"# {markdown_text(found['name'])}",
        markdown_table(["Path", "Value", "Source", "Known", "Note"], rows),
        *([markdown_table(["Source", "What"], list(found["sources"].items()))] if found["sources"] else []),
    ]
    return "\n\n".join(parts) + "\n"


def _titles(found: Mapping[str, Any]) -> list[str]:
    return ["name", *(title for title, _ in _FACTS[found["kind"]])]


def _read(kind: str, name: str) -> tuple[dict[str, Any], dict[str, Fact], str]:
    """An entry with what it extends, without the wrappers of its facts, and the facts by path."""
    file, text = catalogue.text(kind, name)
    source, facts = split_sourced(yaml_source.read(text, file))
    while isinstance(source.value, dict) and isinstance(parent := source.value.get("extends"), str):
        parent = parent.removesuffix(".yaml")  # beside it in the catalogue
        own = {key: item for key, item in source.value.items() if key != "extends"}
        above, inherited = split_sourced(yaml_source.read(*reversed(catalogue.text(kind, parent))))
        merged = yaml_source.merge(above, Source(own, source.file, source.values, source.keys))
        source, facts = merged, {**inherited, **facts}
    return dict(source.value) if isinstance(source.value, dict) else {}, facts, file


def _fact(tree: Mapping[str, Any], path: str) -> Any:
    """The value at a path; of dated prices the newest, of another list how many there are."""
    found = lookup(tree, path)
    if isinstance(found, list) and found and isinstance(found[-1], Mapping) and "price" in found[-1]:
        return found[-1]["price"]
    return len(found) if isinstance(found, list) else found


def _parameters(name: str) -> dict[str, int]:
    from costsim.inputs.model import load_model
    from costsim.training.architecture import parameters

    counted = parameters(load_model(name).architecture)
    return {"total": counted.total, "active": counted.active}


def _fitted(name: str) -> str:
    """What the fit on published steps makes of a stack's priors, on no chip in particular."""
    from costsim.inputs.machine import fitted, stack_adjustment
    from costsim.inputs.stack import load_stack
    from costsim.training.adjust import HANDLES

    loaded = load_stack(name)
    factors = {handle: math.exp(float(log)) for handle, log in stack_adjustment(loaded).items()}
    moved = [f"{HANDLES[handle]} x {factor:.2f}" for handle, factor in factors.items() if abs(factor - 1) >= _LEAST]
    basis = (
        "rows of this stack among them" if fitted(loaded) else "no row of this stack among them: what its family has"
    )
    told = "; ".join(moved) or "nothing"
    return (
        f"Rates and overlaps above are priors. The fit on published steps ({basis}) multiplies, in 16 bits, with "
        f"experts and on no chip in particular: {told}. Chip and precision move a plan's constants further."
    )


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every value with its path; a row of a list, such as a price, stays whole."""
    for key, value in tree.items():
        path = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from _leaves(value, path)
        elif isinstance(value, list) and any(isinstance(row, Mapping) for row in value):
            yield from ((f"{path}.{i}", _bare(row)) for i, row in enumerate(value))
        elif key not in _ORIGIN:
            yield path, value


def _bare(row: Any) -> Any:
    return {key: value for key, value in row.items() if key not in _ORIGIN} if isinstance(row, Mapping) else row


def _exact(value: object) -> str:
    """A value as the file has it: no digit of a fact is left out."""
    if isinstance(value, Mapping):
        return ", ".join(f"{clean(key)} {_exact(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(_exact(item) for item in value)
    return str(value) if is_number(value) else short(value)


def _short(value: object) -> str:
    """A value of a list: short, and empty where it is absent."""
    return "" if value is None else short(value, "count")


def _sources(found: object) -> dict[str, str]:
    if isinstance(found, Mapping):
        items = [(str(key), value) for key, value in found.items()]
    else:
        items = [(str(i), value) for i, value in enumerate(found, 1)] if isinstance(found, list) else []
    return {key: ", ".join(str(v) for v in value.values()) if isinstance(value, Mapping) else str(value)
            for key, value in items}  # fmt: skip
