"""A price book as YAML, as `costsim.inputs.book` reads it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Sequence

from costsim.errors import InputError, Problem
from costsim.inputs.price_import import Imported

SOURCE = "catalogue"
SUFFIXES = (".yaml", ".yml")


def check_output(output: str | None) -> None:
    """Check that a file's name is one of YAML.

    Raises:
        InputError: it has the suffix of another format.
    """
    name = (output or "").rsplit("/", 1)[-1]
    suffix = f".{name.rsplit('.', 1)[1].lower()}" if "." in name else ""
    if suffix not in ("", *SUFFIXES):
        raise InputError(Problem(f"a price book is YAML, not {suffix}", "--output", allowed=" or ".join(SUFFIXES)))


def book_yaml(prices: Sequence[Imported], file: str, as_of: datetime.date, url: str) -> str:
    """A price book.

    Args:
        prices: that it lists.
        file: that they were read from.
        as_of: the day that they are of.
        url: where the file is from.
    """
    lines = [
        "# Written by costsim prices import. A scenario takes it by: prices: THIS-FILE",
        "costsim: 1",
        "sources:",
        f"  {SOURCE}: {{title: {_text(f'SkyPilot catalogue, {file}')}, url: {_text(url)}, accessed: {as_of}}}",
        "prices:",
    ]
    for name in dict.fromkeys(price.accelerator for price in prices):
        lines.append(f"  {name}:")
        lines += _entries((price for price in prices if price.accelerator == name), as_of)
    return "\n".join(lines) + "\n"


def _entries(prices: Iterable[Imported], as_of: datetime.date) -> list[str]:
    return [
        f"    - {{kind: rent, term: {price.term}, provider: {_text(price.provider)}, date: {as_of}, "
        f"usd_per_hour: {price.usd_per_hour:.6g}, region: {_text(price.region)}, source: {SOURCE}}}"
        for price in prices
    ]


def _text(value: str) -> str:
    """Text as YAML: JSON's, which is part of it."""
    return json.dumps(value)
