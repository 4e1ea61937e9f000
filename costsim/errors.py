"""The only exceptions that reach a user: each says what was wrong, where, what is allowed, and what to try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class CostsimError(Exception):
    """Base of every error a user may see.

    Attributes:
        exit_code: what the command line exits with (2: bad input, bad usage or input/output; 70: a bug).
    """

    exit_code = 2


@dataclass(frozen=True)
class Problem:
    """One thing wrong with an input, as compilers report it.

    Attributes:
        message: what is wrong, in words.
        path: dotted path of the field, such as ``training.tokens``; empty for the file as a whole.
        file: name of the file, ``<stdin>`` or ``--set 1``; empty when there is none.
        line: 1-based line, or 0 when unknown.
        column: 1-based column, or 0 when unknown.
        allowed: what would be accepted, in words; may be empty.
        suggestion: the nearest accepted spelling; may be empty.
    """

    message: str
    path: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    allowed: str = ""
    suggestion: str = ""

    def __str__(self) -> str:
        """Render as ``file:line:col: path: message; allowed; did you mean 'x'?``."""
        place = ":".join([self.file, *(str(n) for n in (self.line, self.column) if n)]) if self.file else ""
        head = ": ".join(part for part in (place, self.path) if part)
        hint = f"did you mean '{self.suggestion}'?" if self.suggestion else ""
        body = "; ".join(part for part in (self.message, self.allowed, hint) if part)
        return f"{head}: {body}" if head else body


class InputError(CostsimError):
    """One or more problems of an input, all reported at once.

    Attributes:
        problems: every problem found, in the order of the file.
    """

    def __init__(self, problems: Problem | Sequence[Problem]) -> None:
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class OutputError(CostsimError):
    """A result could not be written: a full disk, a missing folder, a file that is not ours to replace."""


class InternalError(CostsimError):
    """A broken invariant: a bug of costsim, never the user's fault."""

    exit_code = 70
