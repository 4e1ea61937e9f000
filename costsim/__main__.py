"""``python -m costsim`` and the command ``costsim``."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code; an interrupt is answered from the first import on."""
    try:
        from costsim.cli.app import run

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
