"""Reading the text of files and of standard input, within limits, without hanging and without tracebacks."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

from costsim.errors import InputError, Problem
from costsim.inputs.kinds import nearest

MAX_BYTES = 2**20
STDIN = "<stdin>"


def read_text(path: str | os.PathLike[str], limit: int = MAX_BYTES, label: str = "") -> str:
    """The text of a regular file.

    Args:
        path: the file; ``-`` is standard input.
        limit: greatest size in bytes; checked before anything is read.
        label: what messages call it; default its path.

    Raises:
        InputError: it is missing, unreadable, no regular file, too large, or not UTF-8.
    """
    name = os.fspath(path)
    if name == "-":
        return read_stdin_text(limit)
    called = label or _printable(name)
    try:
        # Not blocking: opening a pipe that nobody writes to would wait for ever.
        handle = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        raise InputError(Problem("no such file", file=called, suggestion=_neighbour(name))) from None
    except (OSError, ValueError) as error:
        raise InputError(Problem(f"cannot be read: {_reason(error)}", file=called)) from None
    try:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise InputError(Problem("is a folder", file=called, allowed="expected a file"))
        if not stat.S_ISREG(found.st_mode):
            raise InputError(Problem("is not a regular file", file=called, allowed="expected a file, or - for a pipe"))
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = b"" if found.st_size > limit else file.read(limit + 1)
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {_reason(error)}", file=called)) from None
    finally:
        os.close(handle)
    return _decode(data, called, limit, size=max(found.st_size, len(data)))


def read_stdin_text(limit: int = MAX_BYTES) -> str:
    """The text on standard input.

    Raises:
        InputError: there is none, it is too large, or it is not UTF-8.
    """
    if sys.stdin is None:
        raise InputError(Problem("standard input is closed", file=STDIN))
    try:
        data = sys.stdin.buffer.read(limit + 1)
    except (OSError, ValueError) as error:
        raise InputError(Problem(f"cannot be read: {_reason(error)}", file=STDIN)) from None
    return _decode(data, STDIN, limit, size=len(data))


def _decode(data: bytes, name: str, limit: int, size: int) -> str:
    """Bytes as text, without a byte order mark."""
    if size > limit:
        raise InputError(Problem(f"is larger than {limit:,} bytes", file=name))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InputError(Problem("is not UTF-8 text", "", name, line, column, allowed="expected UTF-8")) from None


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _printable(name: str) -> str:
    """A file name that is safe to print."""
    return "".join(c if c.isprintable() else "?" for c in name) if not name.isprintable() else name


def _neighbour(name: str) -> str:
    """The file beside a missing one whose name is most like it."""
    folder = Path(name).parent
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(1000), strict=False) if entry.name.isprintable()]
    except (OSError, ValueError):
        return ""
    close = nearest(Path(name).name, names)
    return str(folder / close) if close else ""
