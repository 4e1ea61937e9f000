"""Scaling laws as files: ``laws/*.yaml`` of the catalogue, and a user's own of the same form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import numpy as np
import pydantic

from costsim.inputs import catalogue, yaml_source
from costsim.inputs.fields import FieldError, Items, Strict, validate
from costsim.inputs.quantity import AnyNumber, Count, Flop, Fraction, PlainNumber, PositiveNumber, Tokens
from costsim.inputs.yaml_source import Fact, Place, split_sourced
from costsim.scaling.laws import COORDINATES, Covariance, Law, Repetition, Support, Transfer

End = TypeVar("End")


def _ascends(pair: tuple[Any, ...]) -> tuple[Any, ...]:
    """Check that a list is [lowest, highest]."""
    if len(pair) != 2 or pair[0] > pair[1]:
        raise FieldError("a range is [lowest, highest]", allowed="two values that ascend")
    return pair


Ends: TypeAlias = Annotated[Items[End], pydantic.AfterValidator(_ascends)]


class Parameters(Strict):
    """Constants of ``L = E + (A/N^alpha + B/D^beta)^k``."""

    E: PlainNumber
    A: PositiveNumber
    B: PositiveNumber
    alpha: PositiveNumber
    beta: PositiveNumber
    k: PositiveNumber = 1.0


class Fitted(Strict):
    """What the law was fitted on, lowest and highest; what is absent is not known."""

    parameters: Ends[Count] | None = None
    tokens: Ends[Tokens] | None = None
    tokens_per_parameter: Ends[PositiveNumber] | None = None
    compute_flops: Ends[Flop] | None = None


class Pivot(Strict):
    """Size and tokens at which the covariance takes both terms."""

    parameters: Count
    tokens: Tokens


class JointSpread(Strict):
    """Covariance of the constants in coordinates in which they are close to normal."""

    pivot: Pivot
    coordinates: Items[Literal["ln_a_at_pivot", "ln_b_at_pivot", "ln_e", "alpha", "beta"]]
    matrix: Items[Items[AnyNumber]]
    source: str = ""
    known: str = ""

    @pydantic.model_validator(mode="after")
    def _is_a_covariance(self) -> JointSpread:
        """Refuse what no joint normal distribution has."""
        if self.coordinates != COORDINATES:
            raise FieldError("coordinates are out of order", field="coordinates", allowed=", ".join(COORDINATES))
        size = len(COORDINATES)
        if len(self.matrix) != size or any(len(row) != size for row in self.matrix):
            raise FieldError(
                "the matrix does not fit the coordinates", field="matrix", allowed=f"{size} rows of {size}"
            )
        matrix = np.array(self.matrix)
        if not np.array_equal(matrix, matrix.T):
            raise FieldError("a covariance is symmetric", field="matrix")
        if float(np.linalg.eigvalsh(matrix)[0]) <= 0.0:
            raise FieldError("a covariance is positive definite", field="matrix")
        return self


class Decay(Strict):
    """Worth of repeated tokens and of excess parameters."""

    tokens_decay: PositiveNumber
    parameters_decay: PositiveNumber | None = None


class Spread(Strict):
    """Log standard deviation of the level elsewhere, and per decade of compute beyond the fitted range."""

    level: Fraction
    per_decade: Fraction = 0.0


class Origin(Strict):
    """A source that facts of the file name."""

    title: str
    url: str
    where: str = ""


class LawFile(Strict):
    """A scaling law as written in YAML."""

    costsim: Literal[1]
    name: str
    title: str = ""
    aliases: Items[str] = ()
    parameters: Parameters
    counts: Literal["total", "non_embedding", "active"] = "total"
    loss_unit: str = "nats/token"
    tokenizer: str = ""
    corpus: str = ""
    objective: str = ""
    n_runs: Count | None = None
    range: Fitted = pydantic.Field(default_factory=Fitted.model_construct)
    covariance: JointSpread | None = None
    repetition: Decay | None = None
    transfer: Spread
    sources: dict[str, Origin] = pydantic.Field(default_factory=dict)
    notes: Items[str] = ()

    @pydantic.model_validator(mode="after")
    def _spreads_what_it_has(self) -> LawFile:
        """The logarithm of E is a coordinate of the covariance, so E must not be zero."""
        if self.covariance is not None and self.parameters.E == 0.0:
            raise FieldError("a law with a covariance has a floor E above zero", field="parameters.E")
        return self

    def law(self) -> Law:
        """The law for the pure core."""
        p = self.parameters
        ends = {name: pair for name in Fitted.model_fields if (pair := getattr(self.range, name)) is not None}
        return Law(
            name=self.name,
            E=p.E,
            A=p.A,
            B=p.B,
            alpha=p.alpha,
            beta=p.beta,
            k=p.k,
            counts=self.counts,
            unit=self.loss_unit,
            support=Support(**{name: (float(low), float(high)) for name, (low, high) in ends.items()}),
            transfer=Transfer(self.transfer.level, self.transfer.per_decade),
            covariance=_covariance(self.covariance),
            repetition=_repetition(self.repetition),
        )


@dataclass(frozen=True)
class LoadedLaw:
    """A law with where its numbers come from.

    Attributes:
        law: for the pure core.
        spec: the file as written.
        facts: source and standing of each number, by dotted path.
        file: the file's label.
    """

    law: Law
    spec: LawFile
    facts: dict[str, Fact]
    file: str


def _covariance(spread: JointSpread | None) -> Covariance | None:
    if spread is None:
        return None
    return Covariance(float(spread.pivot.parameters), float(spread.pivot.tokens), spread.matrix)


def _repetition(decay: Decay | None) -> Repetition | None:
    if decay is None:
        return None
    if decay.parameters_decay is None:
        return Repetition(decay.tokens_decay)
    return Repetition(decay.tokens_decay, decay.parameters_decay)


def read_law(source: yaml_source.Source) -> LoadedLaw:
    """A law from what was read.

    Raises:
        InputError: every problem of the file.
    """
    plain, facts = split_sourced(source)
    spec = validate(LawFile, plain)
    return LoadedLaw(spec.law(), spec, facts, source.file)


def load_law(reference: str, relative_to: str | None = None, place: Place | None = None, path: str = "") -> LoadedLaw:
    """Find a law.

    Args:
        reference: a catalogue name or alias such as ``besiroglu-2024``, or the path of a YAML file.
        relative_to: the file that names it, beside which a path is looked up; default the working folder.
        place: where it was named, for messages.
        path: dotted path of the field that names it.

    Raises:
        InputError: there is no such law, or its file is wrong; every problem at once.
    """
    return read_law(catalogue.find("laws", reference, relative_to or "", place, path))
