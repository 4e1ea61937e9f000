"""Prices of a cloud's catalogue, as SkyPilot keeps them (CSV), for a price book.

Catalogues have known defects: an on-demand price of zero or none where only reserved capacity is sold, a spot price
that repeats the on-demand one, names that stand for several accelerators. Such prices are refused, each with its line,
and so is what no table should have: rows cut short, parts of an accelerator, prices that nobody asks.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from costsim.errors import InputError, Problem
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.files import read_text
from costsim.inputs.kinds import shown

MAX_BYTES = 2**26
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "instance": ("InstanceType", "instance"),
    "accelerator": ("AcceleratorName", "accelerator"),
    "count": ("AcceleratorCount", "count"),
    "on-demand": ("Price", "price_usd_h"),
    "spot": ("SpotPrice", "spot_usd_h"),
    "region": ("Region", "region"),
    "provider": ("cloud", "Cloud"),
    "memory": ("accel_mem_mib",),
    "info": ("GpuInfo",),
}
"""What is read of a catalogue, and the names that its columns have: SkyPilot's own, then those of tables made of it."""

NEEDED = ("accelerator", "count", "on-demand")
SAME_MEMORY = 0.12
"""A device's memory is that of an accelerator within this share: catalogues count it in MiB, GiB or GB."""
PLAUSIBLE = 20.0
"""A rent above this many times the dearest one known of the accelerator is a mistake: rents differ up to tenfold."""
MOST_USD_PER_HOUR = 1000.0
"""A rent above this is a mistake where none of the accelerator is known."""


@dataclass(frozen=True)
class Imported:
    """A price of a catalogue.

    Attributes:
        accelerator: catalogue name.
        term: on-demand or spot.
        provider: who asks it.
        usd_per_hour: of one accelerator.
        region: where.
        count: accelerators of the instance.
        line: of the catalogue.
    """

    accelerator: str
    term: str
    provider: str
    usd_per_hour: float
    region: str
    count: float
    line: int


@dataclass(frozen=True)
class Catalogue:
    """What was read of a catalogue.

    Attributes:
        prices: one for each accelerator, term and provider.
        refused: rows and prices that are none, each with its line and reason.
        rows: that name an accelerator, or are cut short.
        usable: prices that are none of those refused, of which the best are taken.
    """

    prices: tuple[Imported, ...]
    refused: tuple[Problem, ...]
    rows: int
    usable: int


def read_catalogue(path: str, provider: str | None) -> Catalogue:
    """The prices of a catalogue.

    Of an accelerator's prices of one term and provider, that of the largest instance counts, in its cheapest region:
    training takes whole nodes.

    Args:
        path: a CSV file.
        provider: who asks the prices, where the table has no column ``cloud``.

    Raises:
        InputError: it cannot be read, lacks columns, or has no price that can be used; the message says why.
    """
    rows = _rows(read_text(path, MAX_BYTES), path, provider)
    best: dict[tuple[str, str, str], Imported] = {}
    refused: list[Problem] = []
    count = usable = 0
    for line, cells, cut in rows:
        if not cells["accelerator"] and not cut:
            continue
        count += 1
        if cut:
            refused.append(Problem(cut, file=path, line=line))
            continue
        try:
            found = list(_prices(cells, provider, path, line, refused))
        except InputError as error:
            refused += error.problems
            continue
        usable += len(found)
        for price in found:
            key = (price.accelerator, price.term, price.provider)
            if key not in best or _rank(price) < _rank(best[key]):
                best[key] = price
    if not best:
        raise InputError(refused or Problem("has no row that names an accelerator", file=path))
    return Catalogue(tuple(best[key] for key in sorted(best)), tuple(refused), count, usable)


def _rank(price: Imported) -> tuple[float, float]:
    return -price.count, price.usd_per_hour


def _rows(text: str, path: str, provider: str | None) -> Iterator[tuple[int, dict[str, str], str]]:
    """Line, cells by what they are, and what is wrong with the row's length; empty if nothing is."""
    reader = csv.reader(io.StringIO(text, newline=""))
    header = [name.strip() for name in next(reader, [])]
    where = {key: next((header.index(n) for n in names if n in header), None) for key, names in COLUMNS.items()}
    lacking = [key for key in NEEDED if where[key] is None]
    if lacking:
        raise InputError(
            [
                Problem(
                    f"no column {' or '.join(COLUMNS[key])}", file=path, line=1, allowed="SkyPilot's tables have it"
                )
                for key in lacking
            ]
        )
    if where["provider"] is None and not provider:
        raise InputError(_unnamed(path, "no column cloud"))
    for cells in reader:
        if any(cell.strip() for cell in cells):
            named = {key: cells[at].strip() if at is not None and at < len(cells) else "" for key, at in where.items()}
            whole = len(cells) == len(header)
            yield reader.line_num, named, "" if whole else f"has {len(cells)} cells; the header has {len(header)}"


def _unnamed(path: str, why: str, line: int = 0) -> Problem:
    return Problem(f"who asks these prices is not said: {why}", file=path, line=line, allowed="give --provider")


def _prices(
    cells: Mapping[str, str], provider: str | None, path: str, line: int, refused: list[Problem]
) -> Iterator[Imported]:
    """The prices of a row; what is wrong with one of them is noted, and the other may hold."""

    def problem(message: str, column: str, allowed: str = "") -> Problem:
        return Problem(message, COLUMNS[column][0], path, line, allowed=allowed)

    count = _number(cells["count"])
    if count is None or count < 1 or count != int(count):
        raise InputError(problem(f"{shown(cells['count'])} is no count", "count", "a whole number of accelerators"))
    asks = provider or cells["provider"]
    if not asks:
        raise InputError(_unnamed(path, "the column cloud is empty", line))
    accelerator = _accelerator(cells, path, line)
    most, known = _most(accelerator)
    listed = _number(cells["on-demand"])
    for term in ("on-demand", "spot"):
        if not cells[term]:
            if term == "on-demand":
                refused.append(problem(f"{cells['instance'] or cells['accelerator']} has no on-demand price", term))
            continue
        price = _number(cells[term])
        if price is None:
            refused.append(problem(f"{shown(cells[term])} is no price", term, "a number above zero"))
        elif price <= 0:
            refused.append(problem(f"a price of {price:g} is no offer: it may be sold by reservation alone", term))
        elif term == "spot" and listed is not None and price >= listed:
            refused.append(problem(f"a spot price of {price:g} is not below the on-demand price: a copy of it", term))
        elif price / count > most:
            message = f"{price / count:,.6g} USD an hour of one {accelerator.name} is not plausible: {known}"
            refused.append(problem(message, term, f"at most {most:,.6g}"))
        else:
            yield Imported(accelerator.name, term, asks, price / count, cells["region"], count, line)


def _most(accelerator: Accelerator) -> tuple[float, str]:
    """The largest plausible rent of an accelerator, USD an hour, and what it rests on."""
    known = [price.usd_per_hour for price in accelerator.prices if price.usd_per_hour is not None]
    if not known:
        return MOST_USD_PER_HOUR, "no rent of it is known"
    return PLAUSIBLE * max(known), f"the dearest known is {max(known):,.6g}"


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _accelerator(cells: Mapping[str, str], path: str, line: int) -> Accelerator:
    """The accelerator of a row: of its name, its form (SXM or PCIe) and its memory, where the table has them.

    Raises:
        InputError: the catalogue has none of that name, or it has other memory.
    """
    said, memory = cells["accelerator"], _memory_mib(cells)
    form = re.search(r"pcie|nvl|sxm", cells["instance"], re.IGNORECASE)
    forms = [f"-{form[0].lower()}"] if form else [""]
    names = [f"{said}{suffix}" for suffix in (*forms, "")]
    if memory:
        names = [f"{said}-{round(memory / 1024)}GB{suffix}" for suffix in (*forms, "-sxm", "")] + names
    last: Problem | None = None
    for name in dict.fromkeys(names):
        try:
            found, _ = load_accelerator(name)
        except InputError:
            continue
        has = found.memory.capacity / 2**20
        if not memory or abs(has / memory - 1) <= SAME_MEMORY:
            return found
        message = f"{shown(said)} here has {memory / 1024:.0f} GiB; {found.name} has {has / 1024:.0f}"
        last = Problem(message)
    reason = last.message if last else f"unknown accelerator {shown(said)}"
    raise InputError(Problem(reason, COLUMNS["accelerator"][0], path, line, allowed="see 'costsim show hardware'"))


def _memory_mib(cells: Mapping[str, str]) -> float | None:
    """Memory of one accelerator, from a column of its own or from SkyPilot's description."""
    own = _number(cells["memory"])
    if own:
        return own
    told = re.search(r"SizeInMiB['\"]?\s*:\s*([0-9.]+)", cells["info"])
    return float(told[1]) if told else None


def check_day(text: str) -> datetime.date:
    """The day of a catalogue.

    Raises:
        InputError: it is none.
    """
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise InputError(Problem(f"{shown(text)} is no day", "--as-of", allowed="a date such as 2026-09-15")) from None
