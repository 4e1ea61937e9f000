"""Standard output and error: results to the one, everything else to the other, whatever either is connected to."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO

from costsim.errors import OutputError
from costsim.render.text import Screen, clean

DEFAULT_WIDTH = 80
_DRAWN_WITH = "█▏×·–±µ"


def prepare() -> None:
    """Let no character make a stream fail: what its encoding lacks is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def screen() -> Screen:
    """What standard output shows: its width and colours as a terminal, else 80 columns or what COLUMNS asks for.

    COLUMNS is followed where it is a number; output that is no terminal is never narrower than 80 columns. NO_COLOR
    and TERM=dumb switch colours off.
    """
    stream = sys.stdout
    terminal = _is_terminal(stream)
    asked = os.environ.get("COLUMNS", "")
    width = int(asked) if asked.isascii() and asked.isdigit() and 0 < len(asked) < 6 else 0
    if terminal:
        with contextlib.suppress(OSError, ValueError):
            width = width or os.get_terminal_size(stream.fileno()).columns
    else:
        width = max(width, DEFAULT_WIDTH)
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Screen(width or DEFAULT_WIDTH, _is_unicode(stream), colour)


def deliver(text: str, output: str | None = None, *, force: bool = False) -> None:
    """Write a result to a file, or to standard output.

    A reader that went away (``| head``) has what it wanted: that is no error.

    Raises:
        OutputError: it cannot be written.
    """
    if output is not None and output != "-":
        from costsim.files import write_text

        write_text(output, text, force=force)
        return
    if sys.stdout is None:
        raise OutputError("standard output is closed; the result has nowhere to go")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _abandon(sys.stdout)
    except (OSError, ValueError) as error:
        _abandon(sys.stdout)
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"standard output cannot be written: {reason}") from error


def complain(text: str) -> None:
    """Write a message to standard error, line by line, with no character that steers a terminal."""
    if sys.stderr is None:
        return
    shown = "\n".join(clean(line) for line in text.split("\n"))
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(shown + "\n")
        sys.stderr.flush()


def _abandon(stream: TextIO) -> None:
    """Let what is left in a broken stream's buffer go nowhere, so that the interpreter can end quietly."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _is_terminal(stream: TextIO | None) -> bool:
    with contextlib.suppress(ValueError, OSError):
        return stream is not None and stream.isatty()
    return False


def _is_unicode(stream: TextIO | None) -> bool:
    try:
        _DRAWN_WITH.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
