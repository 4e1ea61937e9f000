"""``python -m costsim`` and the command ``costsim``."""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress


def main() -> int:
    """Run the command line and return its exit code; an interrupt is answered from the first import on."""
    try:
        from costsim.cli.app import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


def console() -> None:
    """Run the command line as a process of its own.

    A command is short: collecting garbage on the way and taking the program apart at its end would cost a fifth of it.
    All output has been written and flushed when the process ends.
    """
    gc.disable()
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, full or absent: `main` has told what mattered
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    console()
