"""What a user asks of a bench, before torch is imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from costsim.bench.record import Mode
from costsim.errors import InputError, Problem

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        mode: how much to measure.
        device: of torch, ``cuda:1``; None for the best there is.
        dtype: number format; None for the device's.
        model: name or path of a model whose shape is measured besides.
        sequence: tokens of its sequences; None for the shipped length.
        compiled: with torch.compile.
        output: calibration file, beside which the journal is; None keeps neither.
        resume: continue the journal.
        force: replace a file that is not a calibration, and begin anew though there is an unfinished journal.
        accept_noisy: write a calibration from disturbed measurements too.
        dry_run: say what would be measured, and measure nothing.
    """

    mode: Mode = "default"
    device: str | None = None
    dtype: str | None = None
    model: str | None = None
    sequence: int | None = None
    compiled: bool = False
    output: str | None = None
    resume: bool = False
    force: bool = False
    accept_noisy: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            InputError: all of it.
        """
        problems = [
            Problem("'' is no name", f"--{name}", allowed=f"without --{name} it is chosen for you")
            for name in ("device", "dtype", "model")
            if getattr(self, name) == ""
        ]
        if self.output is not None and PurePath(self.output).suffix not in SUFFIXES:
            allowed = "a calibration is YAML: .yaml, .yml; the table goes to standard output, see --format"
            problems.append(Problem(f"'{self.output}' is no name for a calibration", "--output", allowed=allowed))
        if self.resume and self.output is None:
            problems.append(Problem("needs the file whose bench was cut short", "--resume", allowed="-o FILE"))
        if self.sequence is not None and self.model is None:
            problems.append(Problem("belongs to a model", "--sequence", allowed="--model NAME"))
        for name in ("resume", "accept_noisy") if self.dry_run else ():
            if getattr(self, name):
                option = f"--{name.replace('_', '-')}"
                problems.append(Problem("does not go with --dry-run", option, allowed="--dry-run measures nothing"))
        if problems:
            raise InputError(problems)


def mode(*, quick: bool, full: bool) -> Mode:
    """The mode that two switches mean.

    Raises:
        InputError: both are given.
    """
    if quick and full:
        raise InputError(Problem("--quick and --full exclude each other", allowed="one of them, or neither"))
    return "quick" if quick else "full" if full else "default"
