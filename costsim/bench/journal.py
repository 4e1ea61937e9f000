"""The journal: one JSON line for each measurement, written when it is made, so that a killed bench loses only the last.

The first line says what is measured where, the last that all of it was. A journal without a last line can be resumed
on the same device with the same software.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from costsim.bench.record import (
    Bandwidth,
    Collective,
    Cut,
    Device,
    Dtype,
    Energy,
    Gemm,
    Linear,
    Mode,
    Optimizer,
    Record,
    Software,
    Step,
    Verdict,
)
from costsim.errors import InputError, OutputError, Problem

SCHEMA = "costsim.bench-journal/1"
Item = Gemm | Linear | Bandwidth | Optimizer | Step | Collective | Energy
_KINDS: dict[str, type] = {
    kind.__name__.lower(): kind for kind in (Gemm, Linear, Bandwidth, Optimizer, Step, Collective, Energy)
}
_PLURAL = {
    Gemm: "gemms", Linear: "linears", Bandwidth: "bandwidths", Optimizer: "optimizers", Step: "steps",
    Collective: "collectives",
}  # fmt: skip


@dataclass(frozen=True)
class Start:
    """What a bench is of: two with equal ones measure the same thing.

    Attributes:
        created: when it was started, ISO 8601 in UTC.
        mode: how much is measured.
        dtype: number format.
        model: whose shape is measured besides; empty for none.
        compiled: with torch.compile.
        device: under test.
        software: that runs.
    """

    created: str
    mode: Mode
    dtype: Dtype
    model: str
    compiled: bool
    device: Device
    software: Software

    def same_as(self, other: Start) -> bool:
        """Whether both measure the same, whenever they were started."""
        return replace(self, created="") == replace(other, created="")


@dataclass(frozen=True)
class Entry:
    """A measurement under the key of its task."""

    key: str
    item: Item


@dataclass(frozen=True)
class Journal:
    """What a journal holds; ``complete`` if the bench came to its end."""

    start: Start
    entries: tuple[Entry, ...]
    complete: bool


def path_beside(output: str) -> Path:
    """Where the journal of a calibration file is: ``my-box.yaml`` has ``my-box.samples.jsonl``."""
    return Path(output).with_suffix(".samples.jsonl")


class Writer:
    """Appends to a journal, line by line, each on the disk before the next measurement begins.

    Args:
        path: of the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path

    def start(self, start: Start) -> None:
        """Begin anew."""
        if self.path is not None:
            try:
                self.path.write_text("", encoding="utf-8")
            except OSError as error:
                raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from error
        self._append({"schema": SCHEMA, **asdict(start)})

    def add(self, entry: Entry) -> None:
        """Write a measurement."""
        kind = type(entry.item).__name__.lower()
        self._append({"kind": kind, "key": entry.key, **asdict(entry.item)})

    def end(self) -> None:
        """Say that all was measured."""
        self._append({"kind": "end"})

    def _append(self, line: dict[str, Any]) -> None:
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written: {error.strerror or error}") from error


def read(path: Path) -> Journal | None:
    """Read a journal; None if there is none. A last line that a kill cut short is left out.

    Raises:
        InputError: the file is not a journal.
    """
    if not path.exists():
        return None
    lines = list(_lines(path))
    if not lines or lines[0].get("schema") != SCHEMA:
        raise InputError(Problem("is not a journal of costsim bench", file=str(path), allowed=f"schema {SCHEMA}"))
    first = {key: value for key, value in lines[0].items() if key != "schema"}
    try:
        start = _made(Start, first)
        entries = [_entry(line) for line in lines[1:] if line.get("kind") in _KINDS]
    except ValueError as error:
        raise InputError(Problem(f"has a line that no bench wrote: {error}", file=str(path))) from error
    return Journal(start, tuple(entries), any(line.get("kind") == "end" for line in lines))


def not_resumable(path: str, found: Journal | None) -> Problem:
    """What is wrong with going on with a journal that is not there, or whose bench came to its end."""
    if found is None:
        return Problem("there is no unfinished bench to resume", "--resume", file=path)
    allowed = "without --resume it is measured anew; with --resume --accept-noisy a calibration is made of its samples"
    return Problem("its bench came to its end: nothing is left to resume", "--resume", file=path, allowed=allowed)


def record(start: Start, entries: Iterable[Entry], verdict: Verdict, notes: Iterable[str], cut: Cut | None) -> Record:
    """All measurements as one record."""
    items = [entry.item for entry in entries]
    parts = {name: tuple(item for item in items if type(item) is kind) for kind, name in _PLURAL.items()}
    energies = [item for item in items if isinstance(item, Energy)]
    return Record(
        mode=start.mode,
        created=start.created,
        dtype=start.dtype,
        device=start.device,
        software=start.software,
        verdict=verdict,
        cut=cut,
        energy=energies[-1] if energies else Energy("none", "not measured"),
        notes=tuple(notes),
        **parts,  # type: ignore[arg-type]
    )


def _lines(path: Path) -> Iterable[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found = json.loads(line)
        except json.JSONDecodeError:
            return
        if isinstance(found, dict):
            yield found


def _entry(line: dict[str, Any]) -> Entry:
    fields = {key: value for key, value in line.items() if key not in ("kind", "key")}
    return Entry(line["key"], _made(_KINDS[line["kind"]], fields))


def _made(kind: Any, fields: dict[str, Any]) -> Any:
    """A record from its JSON, checked."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_python(fields)
