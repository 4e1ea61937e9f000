"""Scenarios: reading one, laying it over what it extends and over the defaults, and finding what it names."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from typing import Annotated, Any, Literal, TypeVar

import pydantic

from costsim.errors import InputError, Problem
from costsim.inputs import catalogue, pricing
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.book import BookFile, load_book, with_book
from costsim.inputs.cluster import Cluster, Training, Uncertainty
from costsim.inputs.fields import ByShape, Date, Items, Strict, validate
from costsim.inputs.law import LoadedLaw, load_law
from costsim.inputs.measured import LoadedCalibration, beyond_peak, load_calibration, mismatch
from costsim.inputs.model import LoadedModel, load_model
from costsim.inputs.money import Cost, Demand, Finance, Price, Serving
from costsim.inputs.prices import book_date, rent_terms
from costsim.inputs.said import is_default, said
from costsim.inputs.site import SiteTerms, load_site
from costsim.inputs.stack import LoadedStack, default_stack, load_stack
from costsim.inputs.yaml_source import Fact, Place, Source, split
from costsim.tree import lookup

REFERENCES = (
    "model",
    "cluster.accelerator",
    "cluster.stack",
    "cluster.calibration",
    "cluster.calibration.file",
    "law",
    "cost.site",
    "serving.accelerator",
    "cost.rent.usd_per_accelerator_hour.book",
    "cost.own.usd_per_accelerator.book",
    "serving.usd_per_accelerator_hour.book",
)
"""Keys that may name a file."""
Loaded = TypeVar("Loaded")


class ScenarioSource(Strict):
    """Where a scenario's numbers are published."""

    title: str
    url: str = ""
    accessed: Date | None = None


class ScenarioFields(Strict):
    """A scenario, defaults included.

    Attributes:
        costsim: version of the format.
        name: what the plan is called.
        question: what it answers, one sentence.
        start: the day from which months and price dates count; default that of the price book.
        prices: path of a price book, which goes before the shipped one.
        sources: where its numbers are published.
        model: a catalogue name, a path to a config.json, a shape, or a size.
        training: what is trained on.
        cluster: the machines.
        law: scaling law, by name or path.
        cost: prices.
        serving: how the model is served.
        demand: tokens that are asked for.
        price: what they are sold for.
        finance: who pays until then.
        uncertainty: draws and seed.
    """

    costsim: Literal[1]
    name: str
    question: str = ""
    start: Date | None = None
    prices: str | None = None
    sources: Items[Annotated[str | ScenarioSource, ByShape("text, or a mapping with title and url")]] = ()
    model: Annotated[str | dict[str, Any], ByShape("a catalogue name, a path, or a mapping")]
    training: Training
    cluster: Cluster
    law: str
    cost: Cost
    serving: Serving | None = None
    demand: Demand | None = None
    price: Price | None = None
    finance: Finance | None = None
    uncertainty: Uncertainty

    @pydantic.field_validator("costsim", mode="before")
    @classmethod
    def _version(cls, value: object) -> object:
        if value is True:  # which equals 1
            raise ValueError("the version of the format is a number: 1")
        return value

    @pydantic.field_validator("name")
    @classmethod
    def _named(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("a scenario needs a name")
        return value


@dataclass(frozen=True)
class Scenario:
    """A scenario with everything that it names; numbers may be ranges.

    Attributes:
        fields: what is said, defaults included.
        source: the same as read, with the place of each value.
        facts: where the defaults come from, by dotted path.
        origins: titles of the defaults' sources, by identifier.
        start: the day from which months count.
        model: its shape.
        accelerator: of the cluster.
        accelerator_facts: where its numbers come from.
        serving_accelerator: of the service; None without one.
        stack: of the software.
        calibration: measurements in place of the priors; None without.
        law: of the loss.
        site: electricity and carbon.
        prices: of renting and owning, chosen from the book where they are not given.
    """

    fields: ScenarioFields
    source: Source
    facts: dict[str, Fact]
    origins: dict[str, str]
    start: datetime.date
    model: LoadedModel
    accelerator: Accelerator
    accelerator_facts: dict[str, Fact]
    serving_accelerator: Accelerator | None
    stack: LoadedStack
    law: LoadedLaw
    site: SiteTerms
    prices: pricing.Prices
    calibration: LoadedCalibration | None = None

    @property
    def name(self) -> str:
        """What the plan is called."""
        return self.fields.name

    def placed(self, error: InputError) -> InputError:
        """An error of what was made of the scenario, at the places of its fields."""
        return InputError([_placed(problem, self.source) for problem in error.problems])

    def resolved(self) -> dict[str, Any]:
        """The scenario with its defaults, as one could write it; read again it gives the same plan.

        Paths that stood beside a file are told from the working folder, where the result has no file. A default term
        that the price book lacks, and that another stood in for, is left out, as it was.
        """
        value = _copy(self.source.value)
        assert isinstance(value, dict)
        for path in REFERENCES:
            *parents, key = path.split(".")
            here = lookup(value, ".".join(parents)) if parents else value
            name = here.get(key) if isinstance(here, dict) else None
            if isinstance(name, str) and (catalogue.is_path(name) if key != "book" else ".y" in name):
                here[key] = catalogue.resolve(name, self.source.position(path).file)
        rented = [chip for chip in (self.accelerator, self.serving_accelerator) if chip is not None]
        term = value["cost"]["rent"]["term"]
        if _any_term(self.source) and not all(term in rent_terms(chip, self.start) for chip in rented):
            del value["cost"]["rent"]["term"]
        return value


def load_scenario(
    x: str | PathLike[str] | Mapping[str, Any] | Scenario,
    overrides: Sequence[str] = (),
    *,
    stdin_text: str | None = None,
) -> Scenario:
    """Read a scenario and everything that it names.

    Args:
        x: a path, a catalogue name, ``-`` for standard input, a mapping, or a scenario that was loaded before.
        overrides: ``key=value`` settings laid over it.
        stdin_text: what stands for ``-``; default standard input itself.

    Raises:
        InputError: every problem of the scenario and of what it names.
    """
    told = said(x.source if isinstance(x, Scenario) else x, overrides, stdin_text)
    known = x.facts if isinstance(x, Scenario) else {}
    return _Loader(told.source, known | told.facts, told.origins).load()


@dataclass
class _Loader:
    """Loads what a scenario names, collecting every problem on the way."""

    source: Source
    facts: dict[str, Fact]
    origins: dict[str, str]

    def __post_init__(self) -> None:
        self.problems: list[Problem] = []

    def load(self) -> Scenario:
        """The scenario.

        Raises:
            InputError: every problem.
        """
        fields = self.attempt(lambda: validate(ScenarioFields, self.source))
        start = fields.start if fields and fields.start else book_date()
        model = self.named("model", load_model)
        chip = self.named("cluster.accelerator", load_accelerator)
        law = self.named("law", load_law, shapes=(str,))
        site = self.named("cost.site", load_site, start)
        served = self.named("serving.accelerator", load_accelerator)
        book = self.named("prices", load_book, shapes=(str,))
        fallback = "generic"
        if fields and chip:
            per_node = fields.cluster.per_node or chip[0].accelerators_per_node
            fallback = default_stack(chip[0].kind, chip[0].vendor, fields.cluster.accelerators, per_node)
        stack = self.named("cluster.stack", load_stack, fallback=fallback)
        calibration = self.named("cluster.calibration", load_calibration)
        if calibration and fields and chip:
            of_device, precision = chip[0], fields.training.precision
            self.attempt(lambda: self.fitting(calibration, of_device, precision), "cluster.calibration")
        if self.problems or not (fields and model and chip and stack and law and site):
            raise InputError(_ordered(self.problems, self.source.file))
        chip = (with_book(chip[0], book, start), chip[1])
        server = (with_book(served[0], book, start) if served else chip[0]) if fields.serving else None
        prices = self.attempt(lambda: self.prices(fields, chip[0], server, start, book))
        if prices is None:
            raise InputError(_ordered(self.problems, self.source.file))
        return Scenario(
            fields,
            self.source,
            self.facts,
            self.origins,
            start,
            model,
            chip[0],
            chip[1],
            server,
            stack,
            law,
            site,
            prices,
            calibration,
        )

    def fitting(self, calibration: LoadedCalibration, chip: Accelerator, precision: str) -> None:
        """Check that a calibration is of the cluster's accelerator.

        Raises:
            InputError: it is of another, or faster than that can be.
        """
        peak = chip.peak_flops.rates().get(precision, math.inf)
        known = frozenset(catalogue.names("hardware"))
        problem = mismatch(calibration, chip, known) or beyond_peak(calibration, peak, precision)
        if problem is not None:
            raise InputError(problem)

    def prices(
        self,
        fields: ScenarioFields,
        chip: Accelerator,
        server: Accelerator | None,
        start: datetime.date,
        book: BookFile | None,
    ) -> pricing.Prices:
        """The prices of the scenario, or of the book; a term that nobody asked for may be another."""
        any_term = _any_term(self.source)
        return pricing.choose(
            fields.cost,
            fields.serving,
            chip,
            server,
            start,
            any_term=any_term,
            place_of=self.source.position,
            book=book,
        )

    def attempt(self, load: Callable[[], Loaded], path: str = "") -> Loaded | None:
        """What a loader makes, or None and its problems noted, placed at the path that asked."""
        try:
            return load()
        except InputError as error:
            self.problems += [_placed(problem, self.source, path) for problem in error.problems]
            return None

    def named(
        self,
        path: str,
        load: Callable[..., Loaded],
        *extra: Any,
        fallback: str | None = None,
        shapes: tuple[type, ...] = (str, dict),
    ) -> Loaded | None:
        """What a reference at a path names; None where there is none, or where its shape is wrong (told elsewhere).

        Args:
            path: of the reference.
            load: called with the reference, ``extra``, the file that names it, its place and its path.
            extra: what else the loader needs.
            fallback: the reference where there is none.
            shapes: what a reference may be.
        """
        try:
            reference = self.source.at(path).value
        except KeyError:
            reference = None
        if reference is None:
            reference = fallback
        if not isinstance(reference, shapes):
            return None
        if isinstance(reference, str) and not catalogue.is_path(reference):
            try:
                shipped: Loaded = _shipped(load, reference, *extra)
                return shipped
            except InputError:
                pass  # told below, with its place
        place = self.source.position(path)
        return self.attempt(lambda: load(reference, *extra, place.file, place, path), path)


def _placed(problem: Problem, source: Source, path: str = "") -> Problem:
    """A problem at the place of its field, or of the nearest thing around it that the scenario itself says.

    A default is not where the user can mend it.

    Args:
        problem: with the path of its field.
        source: of the scenario, defaults included.
        path: of the field, where the problem has none.
    """
    at = problem.path or path
    parts = split(at)
    places = (source.position(parts[:end], key=end < len(parts)) for end in range(len(parts), -1, -1))
    place = next((place for place in places if not is_default(place)), Place(source.file))
    if problem.line or problem.file not in ("", place.file):
        return replace(problem, path=at)
    return replace(problem, path=at, file=place.file, line=place.line, column=place.column)


def _any_term(source: Source) -> bool:
    """Whether nobody asked for the rental term, so that another of the price book may stand in."""
    return is_default(source.position("cost.rent.term"))


def _copy(value: Any) -> Any:
    """A copy of nested mappings and lists; the original is shared, with the defaults' cache among others."""
    if isinstance(value, dict):
        return {key: _copy(item) for key, item in value.items()}
    return [_copy(item) for item in value] if isinstance(value, list) else value


@lru_cache(maxsize=512)
def _shipped(load: Callable[..., Any], name: str, *extra: Any) -> Any:
    """An entry of the catalogue, read once in the life of the program: what ships does not change under it."""
    return load(name, *extra)


def _ordered(problems: Sequence[Problem], file: str) -> list[Problem]:
    """Problems in the order of the scenario's file, those of other files after it; none twice."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda p: (p.file != file, p.file, p.line, p.column))
