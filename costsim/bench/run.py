"""``costsim bench``: measure, check, calibrate, and say what came of it. Torch is imported only once it is needed."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from costsim.bench.request import Request
from costsim.errors import CostsimError

if TYPE_CHECKING:
    from costsim.bench.session import Watcher


class MissingTorchError(CostsimError):
    """Torch is not installed, and nothing can be measured without it."""

    def __init__(self) -> None:
        super().__init__(
            "bench: measures with torch, which is not installed; pip install 'costsim[bench]', in a checkout '.[bench]'"
        )


def bench(request: Request, watcher: Watcher) -> dict[str, Any] | None:
    """Measure this machine.

    Args:
        request: what is asked for.
        watcher: is told how far it is.

    Returns:
        The JSON of a bench (`costsim.bench.result`); None on every process of torchrun but the first.

    Raises:
        MissingTorchError: torch is not installed.
        InputError: the request is not possible here.
        OutputError: a file cannot be written.
    """
    _need_torch()
    if int(os.environ.get("RANK", 0)) > 0:
        _follow(request)
        return None
    from costsim.bench import calibration, result, sanity, session
    from costsim.files import check_writable, write_text

    if request.output is not None:
        check_writable(request.output, force=request.force)
    prepared = session.prepare(request)
    outcome = session.run(prepared, watcher)
    findings = sanity.check(outcome.record, outcome.known)
    record = sanity.judged(outcome.record, findings, accept=request.accept_noisy)
    written = request.output if record.steps and record.verdict.status != "refused" else None
    if written is not None:
        write_text(written, calibration.text(calibration.document(record)), force=request.force)
    return result.to_dict(record, outcome.known, findings, written, request.output)


def plan(request: Request) -> dict[str, Any]:
    """What would be measured, and the memory of each step; nothing runs.

    Raises:
        MissingTorchError: torch is not installed.
        InputError: the request is not possible here.
        OutputError: the calibration could not be written.
    """
    _need_torch()
    from costsim.bench import result, session
    from costsim.files import check_writable

    if request.output is not None:
        check_writable(request.output, force=request.force)
    prepared = session.prepare(request)
    start, free, notes = prepared.start, prepared.backend.free_bytes(), prepared.setting.notes
    return result.planned(start.device, request.mode, start.dtype, free, prepared.tasks, notes, request.output)


def _follow(request: Request) -> None:
    """Measure what rank 0 says; it is the one that tells of errors."""
    from costsim.bench import rank_tasks, session

    try:
        prepared = session.prepare(request)
        if prepared.setting.ranks is not None:
            rank_tasks.follow(prepared.setting.ranks, prepared.tasks)
    except CostsimError:
        sys.exit(2)


def _need_torch() -> None:
    if find_spec("torch") is None:
        raise MissingTorchError
