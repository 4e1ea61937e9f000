"""Validating what was read: strict models, and every problem at once, each with its place and a suggestion."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args, get_origin

import pydantic
from pydantic_core import CoreSchema, core_schema

from costsim.errors import InputError, Problem
from costsim.inputs.kinds import FieldError, Kind, nearest, shown
from costsim.inputs.source import SETTING, Path, Place, Source, dotted, split

__all__ = ["ByShape", "Date", "FieldError", "Items", "Strict", "validate"]

MAX_PROBLEMS = 100
Item = TypeVar("Item")
Model = TypeVar("Model", bound=pydantic.BaseModel)


class Strict(pydantic.BaseModel):
    """Base of every model of an input file: immutable, no unknown keys, no conversions, no infinities."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        str_max_length=10_000,
        defer_build=True,  # only the models that are validated against are built, not each of their parts as well
    )


class _DateMark:
    """Makes a field read ``2024-02-01``, which YAML 1.2 leaves as text."""

    def read(self, value: object) -> datetime.date:
        if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
            return value
        if isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
            try:
                return datetime.date.fromisoformat(value)
            except ValueError:
                raise FieldError(
                    f"{shown(value)} is no day of the calendar", allowed="expected year-month-day"
                ) from None
        raise FieldError(f"{shown(value)} is no date", allowed="expected a date such as 2024-02-01")

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        return {"type": "string", "format": "date"}


DATE = _DateMark()
Date: TypeAlias = Annotated[datetime.date, DATE]
"""A date, written ``2024-02-01``."""

Items: TypeAlias = Annotated[tuple[Item, ...], pydantic.Field(strict=False)]
"""A list of a file, as an immutable tuple: ``Items[Price]``."""


@dataclass(frozen=True)
class ByShape:
    """Marks a union whose member is chosen by the shape of the value, so that only that member's errors are told.

    ``Annotated[str | Accelerator, ByShape("a catalogue name, a path or a mapping")]``. Shapes are text, number, flag,
    list, range (a mapping with the key ``distribution``), mapping and null; each member takes those that it can read,
    and the first that takes a shape has it. Of several models, the first with all the keys it requires is taken.

    Attributes:
        allowed: what is accepted, in words.
    """

    allowed: str = ""

    def __get_pydantic_core_schema__(self, source: Any, handler: pydantic.GetCoreSchemaHandler) -> CoreSchema:
        """A tagged union with one tag a member."""
        members = list(get_args(source))
        by_shape: dict[str, list[tuple[str, Any]]] = {}
        choices = {}
        for index, member in enumerate(members):
            tag = f"<{index}>"
            choices[tag] = handler.generate_schema(member)
            for shape in _shapes(member):
                by_shape.setdefault(shape, []).append((tag, member))

        def choose(value: Any) -> str | None:
            candidates = by_shape.get(_shape(value), [])
            fitting = [tag for tag, member in candidates if _has_keys(member, value)]
            return fitting[0] if fitting else candidates[0][0] if candidates else None

        words = self.allowed or f"expected {' or '.join(shape for shape in by_shape if shape not in ('null', 'model'))}"
        return core_schema.tagged_union_schema(
            choices, choose, custom_error_type="shape", custom_error_message=words.replace("{", "(").replace("}", ")")
        )


def _shape(value: object) -> str:
    """The shape of a value of a file."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, str):
        return "text"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, Mapping):
        return "range" if "distribution" in value else "mapping"
    return "list" if isinstance(value, list | tuple) else "model"


def _shapes(member: Any) -> tuple[str, ...]:
    """The shapes that a member of a union can read."""
    for mark in getattr(member, "__metadata__", ()):
        if isinstance(mark, Kind):
            return ("text", "number", "range") if mark.ranges else ("text", "number")
        if isinstance(mark, _DateMark):
            return ("text",)
    if get_origin(member) is Annotated:
        return _shapes(get_args(member)[0])
    plain = get_origin(member) or member
    if plain is Literal:
        return tuple({_shape(value) for value in get_args(member)})
    if plain is type(None):
        return ("null",)
    if plain in (list, tuple):
        return ("list",)
    if plain in (str, bool, int, float):
        return {str: ("text",), bool: ("flag",), int: ("number",), float: ("number",)}[plain]
    return ("mapping", "model") if isinstance(plain, type) else ("mapping",)


def _has_keys(member: Any, value: object) -> bool:
    """Whether a mapping has the keys that a model requires; true for what is no model."""
    models = _models(member)
    if len(models) != 1 or not isinstance(value, Mapping):
        return True
    return all((info.alias or name) in value for name, info in models[0].model_fields.items() if info.is_required())


def validate(model: type[Model], source: Source, prefix: str = "") -> Model:
    """Make a model of what was read.

    Args:
        model: the model.
        source: what was read.
        prefix: dotted path that messages put before the paths of the source.

    Raises:
        InputError: every problem, in the order of the file.
    """
    try:
        return model.model_validate(source.value)
    except pydantic.ValidationError as error:
        details: list[Any] = error.errors(include_url=False)
    places = [(*_order(detail, source), index) for index, detail in enumerate(details)]
    chosen = [details[index] for *_, index in sorted(places)[:MAX_PROBLEMS]]
    problems = [problem for detail in chosen for problem in _problems(detail, model, source, prefix)]
    problems.sort(key=lambda problem: (problem.file != source.file, problem.file, problem.line, problem.column))
    if len(details) > MAX_PROBLEMS:
        problems.append(Problem(f"and {len(details) - MAX_PROBLEMS:,} more problems", file=source.file))
    raise InputError(problems)


def _order(detail: Mapping[str, Any], source: Source) -> tuple[bool, str, int, int]:
    """Sorts pydantic's errors as their places: those of the file itself first."""
    place = _place(source, _real_path(detail["loc"], source.value, _is_about_key(detail)), detail["type"])
    return place.file != source.file, place.file, place.line, place.column


def _place(source: Source, path: Path, kind: str, key: bool = False) -> Place:
    """Where to point: for a missing key of a section that came from another file, at the file that lacks it.

    What a setting lacks is told at the setting.
    """
    place = source.position(path, key)
    elsewhere = place.file != source.file and not place.file.startswith(SETTING)
    return source.position(()) if kind == "missing" and elsewhere else place


def _is_about_key(detail: Mapping[str, Any]) -> bool:
    return detail["type"] in ("missing", "extra_forbidden")


def _problems(detail: Mapping[str, Any], model: type[pydantic.BaseModel], source: Source, prefix: str) -> list[Problem]:
    """Our problems of one of pydantic's errors."""
    kind, value = detail["type"], detail.get("input")
    path = _real_path(detail["loc"], source.value, _is_about_key(detail))
    named = f"{prefix}." if prefix and path else prefix

    def at(path: Path, message: str, allowed: str = "", suggestion: str = "", key: bool = False) -> Problem:
        place = _place(source, path, kind, key)
        return place.problem(message, named + dotted(path), allowed, suggestion)

    if kind == "missing":
        return [at(path, "this key is missing")]
    if kind == "extra_forbidden":
        names = _names(m for m in _models_at(model, path[:-1]) if path[-1] not in _names([m]))  # of the member chosen
        allowed = f"the keys here are {', '.join(names)}" if names and len(names) <= 30 else ""
        suggestion = nearest(str(path[-1]), names)
        return [at(path, "unknown key", "" if suggestion else allowed, suggestion, key=True)]
    failure = detail.get("ctx", {}).get("error")
    if isinstance(failure, FieldError):
        return [at((*path, *split(p.path)), p.message, p.allowed, p.suggestion) for p in failure.problems]
    if kind == "literal_error":
        accepted = [text or number for text, number in _LITERALS.findall(detail["ctx"]["expected"])]
        suggestion = nearest(value, accepted) if isinstance(value, str) else ""
        return [at(path, f"{shown(value)} is not accepted", f"one of {', '.join(accepted)}", suggestion)]
    if kind.startswith("union_tag"):
        key = str(detail["ctx"]["discriminator"]).strip("'")
        tags = _tags(_models_at(model, path), key)
        allowed = f"one of {', '.join(tags)}"
        if "tag" not in detail["ctx"]:
            return [at((*path, key), "this key is missing", allowed)]
        tag = str(detail["ctx"]["tag"])
        return [at((*path, key), f"{shown(tag)} is not accepted", allowed, nearest(tag, tags))]
    return [at(path, *_plain_words(kind, detail, value))]


_LITERALS = re.compile(r"'((?:[^'\\]|\\.)*)'|([0-9]+)")
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping of keys and values",
    "model_type": "a mapping of keys and values",
    "model_attributes_type": "a mapping of keys and values",
}


def _plain_words(kind: str, detail: Mapping[str, Any], value: object) -> tuple[str, str]:
    """Message, and what is allowed, for pydantic's other errors."""
    if kind in _EXPECTED:
        return f"{shown(value)} is not {_EXPECTED[kind]}", ""
    if kind == "shape":
        return f"{shown(value)} is not accepted here", str(detail["msg"])
    if kind == "string_too_long":
        return f"a text of {len(str(value)):,} characters", f"at most {detail['ctx']['max_length']:,}"
    if kind == "value_error":
        return str(detail["ctx"]["error"]), ""
    return f"{shown(value)}: {detail['msg'][:1].lower()}{detail['msg'][1:]}", ""


def _real_path(loc: Iterable[str | int], value: Any, last_is_absent: bool) -> Path:
    """Where an error is in the file: pydantic's location without the tags of unions."""
    steps = list(loc)
    path: list[str | int] = []
    for index, step in enumerate(steps):
        try:
            value = value[step]
        except (LookupError, TypeError):
            if not (last_is_absent and index == len(steps) - 1):
                continue
        path.append(step)
    return tuple(path)


def _models(annotation: Any) -> list[type[pydantic.BaseModel]]:
    """The models named anywhere in a type."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _models_at(model: type[pydantic.BaseModel], path: Path) -> list[type[pydantic.BaseModel]]:
    """The models that may stand at a path."""
    models = [model]
    for step in path:
        fields = [info for m in models for name, info in m.model_fields.items() if step in (name, info.alias)]
        if fields:
            models = [found for info in fields for found in _models(info.annotation)]
    return models


def _tags(models: Iterable[type[pydantic.BaseModel]], key: str) -> list[str]:
    """What the discriminating key of a union's members may say."""
    fields = [model.model_fields[key] for model in models if key in model.model_fields]
    return list(dict.fromkeys(str(tag) for info in fields for tag in get_args(info.annotation)))


def _names(models: Iterable[type[pydantic.BaseModel]]) -> list[str]:
    """The keys of models, as written in files."""
    return list(dict.fromkeys(info.alias or name for m in models for name, info in m.model_fields.items()))
