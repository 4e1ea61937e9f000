"""Sites: what electricity costs where a cluster stands, what its grid emits, and what the building adds."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import pydantic

from costsim.inputs.fields import ByShape, Date, FieldError, Items, Strict, validate
from costsim.inputs.hardware import Origin, Section
from costsim.inputs.quantity import AtLeastOneRange, GramsPerKwhRange, Range, UsdPerKwhRange
from costsim.inputs.source import Place, Source
from costsim.inputs.sourced import Fact, split_sourced


class PriceStep(Section):
    """A price of electricity from a day on."""

    since: Date
    price: UsdPerKwhRange


class Site(Strict):
    """A site as its file states it; prices per kWh at the meter.

    Attributes:
        electricity: one price, or dated steps in ascending order.
        carbon: grams of CO2 equivalent a kWh.
        pue: power at the meter over power of the equipment.
    """

    costsim: Literal[1] = 1
    name: str = "custom"
    title: str = ""
    aliases: Items[str] = ()
    electricity: Annotated[UsdPerKwhRange | Items[PriceStep], ByShape("a price such as 0.08 USD/kWh, or dated steps")]
    carbon: GramsPerKwhRange
    pue: AtLeastOneRange
    sources: dict[str, Origin] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _steps_ascend(self) -> Site:
        if isinstance(self.electricity, tuple):
            days = [step.since for step in self.electricity]
            if not days:
                raise FieldError("a list of prices is empty", field="electricity", allowed="a price, or dated steps")
            if days != sorted(set(days)):
                raise FieldError("the steps are not in order", field="electricity", allowed="days that ascend")
        return self


@dataclass(frozen=True)
class SiteTerms:
    """What a site is on a day, for the pure core.

    Attributes:
        name: of the site.
        usd_per_kwh: price of electricity at the meter.
        grams_per_kwh: grams of CO2 equivalent a kWh.
        pue: power at the meter over power of the equipment.
        facts: where each comes from, under the keys ``electricity``, ``carbon`` and ``pue``.
        note: what is to be said about the price of electricity; empty if nothing.
    """

    name: str
    usd_per_kwh: float | Range
    grams_per_kwh: float | Range
    pue: float | Range
    facts: dict[str, Fact]
    note: str


def read_site(source: Source, prefix: str = "") -> tuple[Site, dict[str, Fact]]:
    """A site from what was read, and where each of its numbers comes from, by dotted path.

    Raises:
        InputError: every problem of the file.
    """
    plain, facts = split_sourced(source)
    return validate(Site, plain, prefix), facts


def load_site(
    reference: str | Mapping[str, Any] | Source,
    as_of: datetime.date,
    relative_to: str | None = None,
    place: Place | None = None,
    path: str = "",
) -> SiteTerms:
    """A site on a day, by catalogue name, by path, or as a mapping.

    Args:
        reference: a name such as ``us-average``, a path to a YAML file, or what such a file says.
        as_of: the day whose price of electricity counts.
        relative_to: the file that names it, beside which a path is looked up; default the working folder.
        place: where the reference was said, for messages.
        path: dotted path of the field that said it.

    Raises:
        InputError: there is no such site, or its file has problems.
    """
    from costsim.inputs.catalogue import find

    if isinstance(reference, str):
        site, facts = read_site(find("sites", reference, relative_to or "", place, path))
    elif isinstance(reference, Source):
        site, facts = read_site(reference, path)
    else:
        site, facts = read_site(Source(dict(reference), place.file if place else ""), path)
    price, fact_path, note = _price_on(site, as_of)
    found = {"electricity": fact_path, "carbon": "carbon", "pue": "pue"}
    known = {key: facts[inner] for key, inner in found.items() if inner in facts}
    return SiteTerms(site.name, price, site.carbon, site.pue, known, note)


def _price_on(site: Site, as_of: datetime.date) -> tuple[float | Range, str, str]:
    """Price of electricity on a day, the path of its fact, and a note."""
    if not isinstance(site.electricity, tuple):
        return site.electricity, "electricity", ""
    past = [index for index, step in enumerate(site.electricity) if step.since <= as_of]
    index = past[-1] if past else 0
    step = site.electricity[index]
    note = "" if past else f"no electricity price of {site.name} on or before {as_of}: the earliest, of {step.since}"
    return step.price, f"electricity.{index}.price", note
