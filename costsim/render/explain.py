"""Explanations of figures as text: the formula in symbols, with its numbers, where they come from, and its source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from costsim.explain import expand
from costsim.render.figures import short, unit_of
from costsim.render.text import Line, Span, clean, fold, prose

Explanation = Mapping[str, Any]
_FUNCTION = re.compile(r"\b(sum|min|max|sqrt|exp|log|ceil|floor|abs|round)\(")
_PLACEHOLDER = re.compile(r"\{([a-z0-9_.*-]+)\}")


def explain_lines(items: Sequence[Explanation], room: int) -> list[Line]:
    """Each figure as a short paragraph."""
    lines: list[Line] = []
    for item in items:
        label = clean(item["label"])
        value = short(item["value"], str(item["unit"]))
        head = [
            Span(f"{label[:1].upper()}{label[1:]}", "strong"),
            Span(clean(item["path"]), "dim"),
            Span(value, "strong"),
        ]
        lines += [[], *([Span("  "), *line] for line in fold(head, room - 2, "  "))]
        given = item["formula"] == f"{{{item['path']}}}"
        body = ["as given"] if given else [f"= {symbols(item)}"]
        if item["inputs"] and not given and is_arithmetic(str(item["formula"])):
            body.append(f"= {numbers_in(item)}")
        body += [origin_text(entry) for entry in item["inputs"] if entry["path"] != item["path"]]
        body.append(f"source: {clean(item['source'])}")
        for text in body:
            for i, line in enumerate(prose(text, room - 6)):
                lines.append([Span("    " if i == 0 else "      "), *line])
    return lines


def is_arithmetic(formula: str) -> bool:
    """Whether a formula is a sum to be done, rather than a sentence."""
    return not re.search(r"[a-z]{2}", _FUNCTION.sub("", _PLACEHOLDER.sub("", formula)), re.IGNORECASE)


def symbols(item: Explanation) -> str:
    """The formula with the names of its inputs."""
    return _typeset(_PLACEHOLDER.sub(lambda match: match[1], str(item["formula"])))


def numbers_in(item: Explanation) -> str:
    """The formula with the numbers of its inputs, in short; a pattern's numbers are added up."""
    known = {entry["path"]: entry for entry in item["inputs"]}

    def number(match: re.Match[str]) -> str:
        found = [known[path] for path in expand(match[1], known) if path in known and known[path]["value"] is not None]
        return " + ".join(_value(entry) for entry in found) if found else match[1]

    return _typeset(_PLACEHOLDER.sub(number, str(item["formula"])))


def origin_text(entry: Explanation) -> str:
    """An input with its value and where it comes from."""
    return f"{clean(entry['path'])} {_value(entry)}: {clean(entry['origin'])}"


def _value(entry: Explanation) -> str:
    return short(entry["value"], str(entry["unit"]) or unit_of(str(entry["path"])))


def _typeset(formula: str) -> str:
    """Arithmetic as people write it: × for * and ^ for **."""
    return clean(re.sub(r"\s*\*\*\s*", "^", formula).replace(" * ", " × "))
