"""Import of a model's shape from a Hugging Face ``config.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from costsim.errors import InputError, Problem
from costsim.inputs.files import read_text
from costsim.inputs.hf_classic import CLASSIC
from costsim.inputs.hf_families import GATED
from costsim.inputs.hf_keys import Keys, kind_of
from costsim.inputs.kinds import nearest, shown
from costsim.training.architecture import Architecture
from costsim.training.shape import inconsistencies

FAMILIES = dict(sorted({**CLASSIC, **GATED}.items()))
MAX_DEPTH = 32
NESTED = ("text_config", "language_config", "llm_config")
TEXT_PART = {"gemma3": "gemma3_text", "llama4": "llama4_text"}


def import_config(path: Path) -> tuple[Architecture, str, list[str]]:
    """Read the shape of a model from a Hugging Face ``config.json``.

    Args:
        path: the file.

    Returns:
        The shape, a name for the model, and notes for the reader of a plan.

    Raises:
        InputError: the file cannot be read, is not JSON, is of an unknown model type, or lacks a key; all problems of
            its keys are told at once, each with the file and the key.
    """
    values = parse_json(read_text(path), str(path))
    keys, notes = _text_part(values, str(path))
    family = _family(keys)
    a = FAMILIES[family](keys)
    if not keys.problems:
        keys.problems += [Problem(text, keys.prefix + field, keys.file) for field, text in inconsistencies(a)]
    if keys.problems:
        raise InputError(keys.problems)
    if keys.defaulted:
        listed = ", ".join(f"{name} {value}" for name, value in keys.defaulted.items())
        notes.append(f"{path.name}: omitted, so at Hugging Face's default for {family}: {listed}")
    if a.multi_token_prediction:
        count = a.multi_token_prediction
        notes.append(f"{path.name}: prediction modules ({count}) are counted in FLOPs, not in parameters")
    return a, path.parent.name if path.stem == "config" and path.parent.name else path.stem, notes


def parse_json(text: str, file: str) -> Mapping[str, object]:
    """Parse a JSON object strictly.

    Raises:
        InputError: it is not JSON, repeats a key, holds NaN or infinity, is nested too deeply, or is no object.
    """
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"is not JSON: {error.msg}", "", file, error.lineno, error.colno)) from None
    except RecursionError:
        raise InputError(Problem(f"is nested more than {MAX_DEPTH} deep", file=file)) from None
    except ValueError as error:
        raise InputError(Problem(str(error), file=file)) from None
    if not isinstance(value, dict):
        raise InputError(Problem(f"must be an object, not {kind_of(value)}", file=file))
    if _depth(value) > MAX_DEPTH:
        raise InputError(Problem(f"is nested more than {MAX_DEPTH} deep", file=file))
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object, if no key is there twice."""
    values = dict(pairs)
    if len(values) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {shown(twice)} is there twice")
    return values


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not allowed")


def _depth(value: object) -> int:
    """How deeply objects and lists are nested, found without recursion."""
    depth, level = 0, [value]
    while level := [v for v in level if isinstance(v, dict | list)]:
        depth += 1
        level = [child for v in level for child in (v.values() if isinstance(v, dict) else v)]
    return depth


def _text_part(values: Mapping[str, object], file: str) -> tuple[Keys, list[str]]:
    """The keys of the language model, which a multimodal configuration keeps in an object of its own."""
    outer = values.get("model_type")
    name = next((name for name in NESTED if isinstance(values.get(name), dict)), None)
    if name is None or (isinstance(outer, str) and outer in FAMILIES):
        return Keys(values, file), []
    nested = values[name]
    assert isinstance(nested, dict)
    inner = {"model_type": TEXT_PART.get(str(outer), str(outer)), **nested}
    if "tie_word_embeddings" in values:
        inner.setdefault("tie_word_embeddings", values["tie_word_embeddings"])
    note = f"{Path(file).name}: the language model of a multimodal {outer}; its other parts are not counted"
    return Keys(inner, file, f"{name}."), [note]


def _family(keys: Keys) -> str:
    """The model type, if it is one of ours.

    Raises:
        InputError: it is missing, not text, or unknown.
    """
    value = keys.values.get("model_type")
    allowed = f"one of {', '.join(FAMILIES)}"
    if value is None:
        raise InputError(
            Problem("is missing: not a Hugging Face configuration?", "model_type", keys.file, allowed=allowed)
        )
    if not isinstance(value, str):
        problem = Problem(f"must be text, not {kind_of(value)}", f"{keys.prefix}model_type", keys.file, allowed=allowed)
        raise InputError(problem)
    if value not in FAMILIES:
        problem = Problem(f"unknown model type {shown(value)}", f"{keys.prefix}model_type", keys.file, allowed=allowed)
        raise InputError(replace(problem, suggestion=nearest(value, FAMILIES)))
    return value
