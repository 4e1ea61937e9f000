"""Writing results so that nothing the user had is lost: all of a file or none of it, and only over files of our own.

A result is written to a temporary file in the same folder, flushed to the disk and moved into place, so that a full
disk, a killed process or a power cut leaves the old file as it was. A temporary file that a killed process left behind
starts with ``.costsim-`` and may be deleted.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from costsim.errors import OutputError

TEMPORARY_PREFIX = ".costsim-"
_FIRST_BYTES = 4096
_CSV_HEADERS = ("path,value,unit,", "path,kind,unit,", "catalogue,name,", "rank,tensor,",
                "id,source_group,measured,")  # fmt: skip


def write_text(path: str | Path, text: str, *, force: bool = False) -> None:
    """Write text to a file as UTF-8, atomically.

    A symbolic link stays one: what it points to is replaced. A device or a pipe is written to as it is.

    Args:
        path: the file; its folder must exist.
        text: all of its content.
        force: replace a file that costsim did not write.

    Raises:
        OutputError: the folder is missing, the file is not costsim's to replace, or writing failed; what was there
            before is untouched.
    """
    with _explained(path):
        target = _allowed(path, force=force)
        if _kind(target) == "special":
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target, text.encode("utf-8"))


def check_writable(path: str | Path, *, force: bool = False) -> None:
    """Refuse what `write_text` would refuse, before a long computation whose result would have no place.

    Raises:
        OutputError: the folder is missing or takes no files, or the file is not costsim's to replace.
    """
    with _explained(path):
        target = _allowed(path, force=force)
        if _kind(target) != "special":
            with tempfile.TemporaryFile(prefix=TEMPORARY_PREFIX, dir=target.parent):
                pass


def _allowed(path: str | Path, *, force: bool) -> Path:
    """The file to write to, behind any symbolic link."""
    target = Path(path)
    kind = _kind(target)
    if kind == "folder":
        raise OutputError(f"{path}: is a folder; name a file in it")
    if kind == "special":
        return target
    target = Path(os.path.realpath(target))
    if not target.parent.is_dir():
        raise OutputError(f"{path}: there is no folder {target.parent}; make it first")
    if kind == "file":
        _refuse(target, path, force=force)
    return target


def write_new(path: str | Path, text: str) -> None:
    """Write text to a file that must not be there yet.

    Raises:
        OutputError: there is something of that name already, or writing failed.
    """
    target = Path(path)
    with _explained(path):
        if os.path.lexists(target):
            raise OutputError(f"{path}: is there already and is left as it is; choose another name")
        if not target.parent.is_dir():
            raise OutputError(f"{path}: there is no folder {target.parent}; make it first")
        try:
            with target.open("xb") as stream:
                stream.write(text.encode("utf-8"))
        except FileExistsError:
            raise
        except BaseException:
            target.unlink(missing_ok=True)
            raise


CALIBRATION = "# Written by costsim bench"
"""How a calibration begins."""


def is_ours(path: Path) -> bool:
    """Whether a file is empty or one that costsim wrote: its JSON, CSV, Markdown, page or calibration.

    JSON has a ``schema`` of costsim's, CSV a header of ours, Markdown a first line and a page a last line that say so.
    """
    with path.open("rb") as stream:
        first = stream.read(_FIRST_BYTES)
        stream.seek(max(0, path.stat().st_size - _FIRST_BYTES))
        last = stream.read(_FIRST_BYTES).rstrip()
    text = first.decode("utf-8", "replace").lstrip()
    if not text and not last:
        return True
    if text.startswith("{"):
        return '"schema": "costsim.' in text
    if text.startswith((*_CSV_HEADERS, "<!-- costsim", CALIBRATION)):
        return True
    return last[last.rfind(b"\n") + 1 :].startswith(b"costsim ")


def _kind(target: Path) -> str:
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return "missing"
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special"


def _refuse(target: Path, named: str | Path, *, force: bool) -> None:
    if not os.access(target, os.W_OK):
        raise OutputError(f"{named}: is read-only")
    if not force and not is_ours(target):
        raise OutputError(f"{named}: was not written by costsim and is left as it is; --force replaces it")


def _replace(target: Path, data: bytes) -> None:
    """Write beside the target, flush, and move into place."""
    descriptor, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, suffix=".tmp", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.chmod(_mode(target))
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _flush_folder(target.parent)


def _mode(target: Path) -> int:
    """Permissions of the file that is replaced, or those of any new file."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(target.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entry to the disk where the system allows it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
    except ValueError as error:  # a NUL byte in the name, a lone surrogate in the text
        raise OutputError(f"{path!r}: cannot be written: {error}") from error
