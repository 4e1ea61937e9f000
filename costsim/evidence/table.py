"""Reading a table of evidence: shipped, a file or standard input; all of its problems at once, with their lines."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from os import PathLike, fspath

from costsim.errors import InputError, Problem
from costsim.evidence.columns import BLANK, COUNTS, KINDS, NEEDED, POSITIVE, Kind, kind_of
from costsim.inputs.catalogue import data_text
from costsim.inputs.files import STDIN, read_stdin_text, read_text
from costsim.inputs.kinds import nearest, shown

MAX_BYTES = 2**24  # a hundred times the shipped tables; a slip of the finger is told before it is read
MOST_PROBLEMS = 20
SMALLEST, LARGEST = 1e-15, 1e18  # of any figure of a run in the units of these tables
UNGROUPED = "ungrouped"


@dataclass(frozen=True)
class Row:
    """One published result.

    Attributes:
        id: of the row; ``row-3`` for the third row of a table that has no ids.
        line: 1-based line of the file on which it begins.
        cells: text by column, stripped, with the ``id``; any other column that the table lacks is absent.
    """

    id: str
    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A table of published results.

    Attributes:
        kind: which of the tables it is.
        file: what messages call it.
        rows: in the order of the file.
    """

    kind: Kind
    file: str
    rows: tuple[Row, ...]


@cache
def shipped(kind: Kind) -> Table:
    """A table that ships with costsim, parsed once.

    Args:
        kind: which.
    """
    file, text = data_text(f"evidence/{kind}.csv")
    return parse(text, file, kind)


def read(path: str | PathLike[str], kind: Kind | None = None) -> Table:
    """A table from a file.

    Args:
        path: a CSV file; ``-`` is standard input.
        kind: which table it must be; default told from its header.

    Raises:
        InputError: it cannot be read, or `parse` refuses it.
    """
    name = fspath(path)
    if name == "-":
        return parse(read_stdin_text(MAX_BYTES), STDIN, kind)
    return parse(read_text(name, MAX_BYTES), name, kind)


def parse(text: str, file: str, kind: Kind | None = None) -> Table:
    """A table from text.

    Unknown columns are kept and mean nothing; optional columns may be absent; blank lines are passed over. A row
    without an id is called after its place: ``row-1`` is the first.

    Args:
        text: CSV with a header, separated by commas.
        file: what messages call it.
        kind: which table it must be; default told from its header.

    Raises:
        InputError: every problem found: it is empty or not CSV, lacks columns, repeats a column or an id, or has a cell
            that is not a number where one belongs.
    """
    records = list(_records(text, file))
    if not records:
        raise InputError(Problem("is empty", file=file, allowed="expected CSV with a header and a row a result"))
    line, header = records[0][0], [name.strip() for name in records[0][1]]
    found = _kind(header, file, line, kind, text)
    rows = []
    problems: list[Problem] = []
    for place, (line, cells) in enumerate(records[1:], 1):
        if len(cells) != len(header):
            message = f"the row has {len(cells)} cells, the header has {len(header)}"
            problems.append(Problem(message, file=file, line=line, allowed="quote cells that contain commas"))
            continue
        by_column = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
        name = by_column.get("id") or f"row-{place}"
        rows.append(Row(name, line, {**by_column, "id": name}))
        problems += _number_problems(rows[-1], file)
    problems += _repeated_ids(rows, file)
    if not rows and not problems:
        problems.append(Problem("has a header and no rows", file=file))
    if problems:
        problems.sort(key=lambda problem: problem.line)
        more = len(problems) - MOST_PROBLEMS
        rest = [Problem(f"and {more:,} more problems", file=file)] if more > 0 else []
        raise InputError([*problems[:MOST_PROBLEMS], *rest])
    return Table(found, file, tuple(rows))


def number(row: Mapping[str, str], column: str) -> float | None:
    """A cell as a number; None where it is blank or absent.

    Raises:
        ValueError: it is not a number, which `parse` refuses for the columns it knows.
    """
    cell = row.get(column, "").strip()
    return None if cell.lower() in BLANK else float(cell)


def group_of(row: Mapping[str, str]) -> str:
    """Who published a row: its source group, else its organisation (full runs), else one group of all such rows.

    Serving is grouped by what was served on what, since most of its rows are of two sources.
    """
    if "out_tok_s_per_gpu" in row and not row.get("source_group"):
        return f"{row.get('hardware', '').strip()} {(row.get('model_key') or row.get('model', '')).strip()}".lower()
    return row.get("source_group") or row.get("org") or UNGROUPED


def _records(text: str, file: str) -> Iterator[tuple[int, list[str]]]:
    """Line and cells of every record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            where = max(reader.line_num, 1)
            message = (
                f"is not CSV: {error} (the record begins on line {line})" if where > line else f"is not CSV: {error}"
            )
            raise InputError(Problem(message, file=file, line=where)) from None
        if any(cell.strip() for cell in cells):
            yield line, cells
        line = reader.line_num + 1


def _kind(header: Sequence[str], file: str, line: int, wanted: Kind | None, text: str) -> Kind:
    """Which table a header belongs to, where it has what that table needs."""
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise InputError([Problem("stands twice in the header", shown(name), file, line) for name in repeated])
    found = wanted or kind_of(tuple(header))
    if found is None:
        raise InputError(_no_table(header, file, line, text))
    lacking = [columns for columns in NEEDED[found] if not set(columns) & set(header)]
    told = kind_of(tuple(header))
    if lacking and told not in (None, found):
        message = f"is a table of {told}, not of {found}"
        allowed = f"it lacks {_alternatives(lacking[0])}"
        raise InputError(Problem(message, file=file, line=line, allowed=allowed))
    if lacking:
        allowed = f"a table of {found} needs it"
        raise InputError(
            [
                Problem(f"no column {_alternatives(columns)}", "", file, line, 0, allowed, _near(columns, header))
                for columns in lacking
            ]
        )
    return found


def _no_table(header: Sequence[str], file: str, line: int, text: str) -> Problem:
    separator = next((mark for mark, name in _SEPARATORS.items() if mark in header[0] and len(header) == 1), None)
    if text.lstrip()[:1] in ("{", "[", "<"):
        message = "is JSON or a page, not CSV"
    elif separator is not None:
        message = f"is separated by {_SEPARATORS[separator]}, not by commas"
    else:
        message = "is none of the evidence tables: its header has none of their columns"
    needs = "; ".join(f"{kind}: {', '.join(_alternatives(columns) for columns in NEEDED[kind])}" for kind in KINDS)
    return Problem(message, file=file, line=line, allowed=f"needed are, for {needs}")


_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}
_MOST_ALTERNATIVES = 3


def _alternatives(columns: Sequence[str]) -> str:
    names = " or ".join(f"'{name}'" for name in columns[:_MOST_ALTERNATIVES])
    return names + (" or another speed" if len(columns) > _MOST_ALTERNATIVES else "")


def _near(columns: Sequence[str], header: Sequence[str]) -> str:
    """What the file calls a column that it lacks."""
    return next((close for name in columns if (close := nearest(name, header))), "")


def _number_problems(row: Row, file: str) -> Iterator[Problem]:
    for column in (*POSITIVE, *COUNTS):
        cell = row.cells.get(column, "")
        if cell.lower() in BLANK:
            continue
        allowed = "expected a number above zero" if column in POSITIVE else "expected zero or a number above it"
        try:
            value = float(cell) if "_" not in cell else math.nan
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            message = f"{shown(cell)} is not a finite number"
        elif value < 0 or (value < SMALLEST and column in POSITIVE):
            message = f"{shown(cell)} is too small"
        elif value > LARGEST:
            message = f"{shown(cell)} is too large"
        else:
            continue
        yield Problem(message, f"{row.id}: {column}", file, row.line, allowed=allowed)


def _repeated_ids(rows: Sequence[Row], file: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for row in rows:
        if row.id in first:
            yield Problem(f"the id {shown(row.id)} is that of line {first[row.id]} already", "id", file, row.line)
        first.setdefault(row.id, row.line)
