"""Scenarios: reading one, laying it over what it extends and over the defaults, and finding what it names."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from os import PathLike, fspath
from typing import Annotated, Any, Literal, TypeVar

import pydantic

from costsim.errors import InputError, Problem
from costsim.inputs import catalogue, pricing
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.cluster import Cluster, Training, Uncertainty
from costsim.inputs.fields import ByShape, Date, Items, Strict, validate
from costsim.inputs.files import STDIN, read_stdin_text
from costsim.inputs.law import LoadedLaw, load_law
from costsim.inputs.model import LoadedModel, load_model
from costsim.inputs.money import Cost, Demand, Finance, Price, Serving
from costsim.inputs.prices import book_date
from costsim.inputs.site import SiteTerms, load_site
from costsim.inputs.stack import LoadedStack, default_stack, load_stack
from costsim.inputs.yaml_source import Fact, Source, from_mapping, merge, override, read, split_sourced

OPTIONAL = ("serving", "demand", "price", "finance")
"""Sections whose defaults apply only where the scenario has them."""
REQUIRED = ("training", "cluster")
"""Sections that a scenario must have; where it lacks one, that is said once, and not key by key."""
MAX_PARENTS = 10
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

    @property
    def name(self) -> str:
        """What the plan is called."""
        return self.fields.name

    def resolved(self) -> dict[str, Any]:
        """The scenario with its defaults, as one could write it; read again it gives the same plan."""
        value = self.source.value
        assert isinstance(value, dict)
        return value


def load_scenario(
    x: str | PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = (), *, stdin_text: str | None = None
) -> Scenario:
    """Read a scenario and everything that it names.

    Args:
        x: a path, a catalogue name, ``-`` for standard input, or a mapping.
        overrides: ``key=value`` settings laid over it.
        stdin_text: what stands for ``-``; default standard input itself.

    Raises:
        InputError: every problem of the scenario and of what it names.
    """
    said = _without(_extended(_first(x, stdin_text)), "extends")
    said = _opened(said, overrides)
    for index, setting in enumerate(overrides, 1):
        said = override(said, setting, index)
    if not isinstance(said.value, dict):
        raise InputError(said.problem("a scenario is a mapping of keys and values", ""))
    defaults, facts, origins = _defaults(said.value)
    plain, own_facts = split_sourced(said)
    source = merge(defaults, plain)
    return _Loader(source, facts | own_facts, origins).load()


def _first(x: str | PathLike[str] | Mapping[str, Any], stdin_text: str | None) -> Source:
    """What was asked for, as read."""
    if isinstance(x, Mapping):
        return from_mapping(dict(x), "<mapping>")
    name = fspath(x)
    if name == "-":
        return read(stdin_text if stdin_text is not None else read_stdin_text(), STDIN)
    return catalogue.find("scenarios", name)


def _extended(source: Source) -> Source:
    """The scenario laid over those that it extends.

    Raises:
        InputError: the chain of extensions does not end, or a scenario in it cannot be read.
    """
    seen = [source.file]
    here = source
    while isinstance(here.value, dict) and "extends" in here.value:
        parent = here.value["extends"]
        place = here.position("extends")
        if not isinstance(parent, str):
            raise InputError(
                place.problem("must be a scenario", "extends", "a catalogue name, or a path beside this file")
            )
        base = catalogue.find("scenarios", parent, place.file, place, "extends")
        if base.file in seen or len(seen) > MAX_PARENTS:
            raise InputError(place.problem(f"extends {base.file}, which extends it in turn", "extends"))
        seen.append(base.file)
        source = merge(_without(base, "extends"), source)
        here = base
    return source


def _opened(said: Source, overrides: Sequence[str]) -> Source:
    """The scenario with ``layout: auto`` taken out where a setting fixes one of its keys: the rest is still chosen."""
    sets_key = any(setting.strip().startswith("cluster.layout.") for setting in overrides)
    cluster = said.value.get("cluster") if isinstance(said.value, dict) else None
    if not (sets_key and isinstance(cluster, dict) and cluster.get("layout") == "auto"):
        return said
    assert isinstance(said.value, dict)
    value = said.value | {"cluster": {key: item for key, item in cluster.items() if key != "layout"}}
    return Source(value, said.file, said.values, said.keys)


def _without(source: Source, key: str) -> Source:
    """The source without one of its top keys."""
    value = {k: v for k, v in source.value.items() if k != key} if isinstance(source.value, dict) else source.value
    return Source(value, source.file, source.values, source.keys)


def _defaults(said: Mapping[str, Any]) -> tuple[Source, dict[str, Fact], dict[str, str]]:
    """The shipped defaults of the sections that apply, where they come from, and the titles of their sources."""
    plain, facts = _defaults_file()
    assert isinstance(plain.value, dict)
    origins = {key: str(item["title"]) for key, item in plain.value.get("sources", {}).items()}
    absent = {name for name in (*OPTIONAL, *REQUIRED) if said.get(name) is None}
    value = {key: item for key, item in plain.value.items() if key not in absent | {"sources"}}
    demand = said.get("demand")
    if isinstance(demand, dict) and "ramp" in demand and "demand" in value:  # another kind of ramp has other keys
        value["demand"] = {key: item for key, item in value["demand"].items() if key != "ramp"}
    return Source(value, plain.file, plain.values, plain.keys), facts, origins


@cache
def _defaults_file() -> tuple[Source, dict[str, Fact]]:
    label, text = catalogue.data_text("defaults.yaml")
    return split_sourced(read(text, label))


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
        law = self.named("law", load_law)
        site = self.named("cost.site", load_site, start)
        served = self.named("serving.accelerator", load_accelerator)
        fallback = "generic"
        if fields and chip:
            per_node = fields.cluster.per_node or chip[0].accelerators_per_node
            fallback = default_stack(chip[0].kind, chip[0].vendor, fields.cluster.accelerators, per_node)
        stack = self.named("cluster.stack", load_stack, fallback=fallback)
        if self.problems or not (fields and model and chip and stack and law and site):
            raise InputError(_ordered(self.problems, self.source.file))
        server = (served or chip)[0] if fields.serving else None
        prices = self.attempt(lambda: self.prices(fields, chip[0], server, start))
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
        )

    def prices(
        self, fields: ScenarioFields, chip: Accelerator, server: Accelerator | None, start: datetime.date
    ) -> pricing.Prices:
        """The prices of the scenario, or of the book; a term that nobody asked for may be another."""
        defaulted = self.source.position("cost.rent.term").file.startswith("data/")
        return pricing.choose(fields.cost, fields.serving, chip, server, start, any_term=defaulted)

    def attempt(self, load: Callable[[], Loaded], path: str = "") -> Loaded | None:
        """What a loader makes, or None and its problems noted, placed at the path that asked."""
        try:
            return load()
        except InputError as error:
            for problem in error.problems:
                at = problem.path or path
                place = self.source.position(at)
                unplaced = not problem.file
                self.problems.append(
                    replace(problem, path=at, file=place.file, line=place.line, column=place.column)
                    if unplaced
                    else replace(problem, path=at)
                )
            return None

    def named(self, path: str, load: Callable[..., Loaded], *extra: Any, fallback: str | None = None) -> Loaded | None:
        """What a reference at a path names; None where there is none, or where its shape is wrong (told elsewhere).

        Args:
            path: of the reference.
            load: called with the reference, ``extra``, the file that names it, its place and its path.
            extra: what else the loader needs.
            fallback: the reference where there is none.
        """
        try:
            reference = self.source.at(path).value
        except KeyError:
            reference = None
        if reference is None:
            reference = fallback
        if not isinstance(reference, str | dict):
            return None
        if isinstance(reference, str) and not catalogue.is_path(reference):
            try:
                shipped: Loaded = _shipped(load, reference, *extra)
                return shipped
            except InputError:
                pass  # told below, with its place
        place = self.source.position(path)
        return self.attempt(lambda: load(reference, *extra, place.file, place, path), path)


@lru_cache(maxsize=512)
def _shipped(load: Callable[..., Any], name: str, *extra: Any) -> Any:
    """An entry of the catalogue, read once in the life of the program: what ships does not change under it."""
    return load(name, *extra)


def _ordered(problems: Sequence[Problem], file: str) -> list[Problem]:
    """Problems in the order of the scenario's file, those of other files after it; none twice."""
    unique = dict.fromkeys(problems)
    return sorted(unique, key=lambda p: (p.file != file, p.file, p.line, p.column))
