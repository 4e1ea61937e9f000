"""Running ``costsim`` as a user would: in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
Run = Callable[..., "subprocess.CompletedProcess[str]"]
STEERING = ("COLUMNS", "NO_COLOR", "TERM", "FORCE_COLOR")


def environment(**changes: str | None) -> dict[str, str]:
    """The environment of a child process: this one's without what steers output, and with changes (None removes)."""
    kept = {key: value for key, value in os.environ.items() if key not in STEERING}
    merged = {**kept, "PYTHONPATH": str(ROOT), **changes}
    return {key: value for key, value in merged.items() if value is not None}
