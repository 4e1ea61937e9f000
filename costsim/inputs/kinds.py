"""What a field accepts, and how it says that a value is wrong.

A `Kind` is the annotation of a pydantic field that holds a quantity; the grammar that it reads is in ``grammar``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from costsim.errors import InputError, Problem
from costsim.inputs.units import FRACTION, RATE, Dimension

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

    from costsim.uncertainty.ranges import Range


class FieldError(InputError, ValueError):
    """What is wrong with a value, told without its place: who knows the place adds it (``fields.validate``).

    Raise it in pydantic validators; the paths of its problems count from the field or the model that is validated.
    """

    def __init__(
        self, message: str | Sequence[Problem], *, field: str = "", allowed: str = "", suggestion: str = ""
    ) -> None:
        """Make it of one message, or of several problems.

        Args:
            message: what is wrong; or problems, with paths relative to the value.
            field: the sub-field that is wrong, dotted; empty for the value itself.
            allowed: what would be accepted.
            suggestion: the nearest accepted spelling.
        """
        one = [Problem(message, field, allowed=allowed, suggestion=suggestion)] if isinstance(message, str) else message
        super().__init__(one)


def shown(value: object, limit: int = 60) -> str:
    """A user's value, named and cut to a bearable length, for a message."""
    if value is None or isinstance(value, bool):
        return {None: "an empty value", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, int) and abs(value) >= 10**limit:
        return "a number of too many digits"  # which Python may refuse to print
    text = "".join(character if character.isprintable() else "?" for character in str(value)[: limit + 1])
    return f"'{text if len(text) <= limit else text[: limit - 1] + '…'}'"


def nearest(word: str, words: Iterable[str]) -> str:
    """The word most like the given one, or an empty text if none is."""
    from difflib import get_close_matches

    by_fold: dict[str, str] = {}
    for candidate in words:
        by_fold.setdefault(candidate.casefold(), candidate)
    close = get_close_matches(word[:100].casefold(), by_fold, n=1)
    return by_fold[close[0]] if close else ""


@dataclass(frozen=True)
class Kind:
    """What one kind of field accepts; as ``Annotated`` metadata it makes a pydantic field read quantities.

    Attributes:
        dimension: what it measures.
        ranges: whether a range is accepted.
        bare: whether a number without unit is accepted, because the key names the unit.
        lower: the least value, in ``unit``.
        upper: the greatest value.
        above: whether ``lower`` itself is refused.
        whole: whether it must be a whole number; a count is then an ``int``.
        unit: the unit of the value inside, if it is not the dimension's base.
    """

    dimension: Dimension
    ranges: bool = False
    bare: bool = False
    lower: float = 0.0
    upper: float = math.inf
    above: bool = False
    whole: bool = False
    unit: str = ""

    @property
    def takes_bare(self) -> bool:
        """Whether a number without a unit is accepted."""
        return self.bare or "" in self.dimension.units

    @property
    def own_unit(self) -> str:
        """The unit of the value inside."""
        return self.unit or self.dimension.base

    def read(self, value: object) -> float | Range:
        """Convert a value of a file (see ``grammar``).

        Raises:
            FieldError: it is no such quantity.
        """
        from costsim.inputs.grammar import read

        return read(value, self)

    def expected(self) -> str:
        """What is accepted, in words."""
        words = f"expected {self.dimension.noun} such as {self.dimension.example}"
        return f"{words}, or a range such as {self.dimension.example_range}" if self.ranges else words

    def bounds(self) -> str:
        """The bounds, in words."""
        unit = f" {self.own_unit}".rstrip()
        if self.upper < math.inf:
            text = f"must be between {self.lower:g} and {self.upper:g}{unit}"
            if self.above:
                text = f"must be above {self.lower:g} and at most {self.upper:g}{unit}"
            return f"{text}, or {self.lower:.0%} and {self.upper:.0%}" if self.dimension in (FRACTION, RATE) else text
        if self.lower == 0:
            return "must be greater than zero" if self.above else "must not be negative"
        return f"must be {'greater than' if self.above else 'at least'} {self.lower:g}{unit}"

    def refusal(self, message: str, suggestion: str = "", allowed: str | None = None) -> FieldError:
        """The error that a value is not such a quantity; it says what is, unless told what to say."""
        return FieldError(message, allowed=self.expected() if allowed is None else allowed, suggestion=suggestion)

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        """Let pydantic call `read` and nothing else: no schema of the value's type is built, which would be slow."""
        from pydantic_core import core_schema

        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        """JSON Schema for editors."""
        kinds = ["string", "number"] if self.takes_bare else ["string"]
        if self.ranges:
            kinds.append("object")
        return {"type": kinds if len(kinds) > 1 else kinds[0], "description": self.expected()}
