"""Every problem of a file, whatever kind of file it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from costsim.errors import InputError, Problem
from costsim.inputs import catalogue
from costsim.inputs.accelerator import read_accelerator
from costsim.inputs.book import read_book
from costsim.inputs.calibration import read_calibration
from costsim.inputs.hf_config import import_config
from costsim.inputs.law import read_law
from costsim.inputs.model import load_model
from costsim.inputs.scenario import load_scenario
from costsim.inputs.signs import kind_of_file
from costsim.inputs.site import read_site
from costsim.inputs.stack import load_stack
from costsim.inputs.yaml_source import Source, read_path
from costsim.plan import plan


def check_file(path: str) -> list[Problem]:
    """Every problem of a file: a scenario, hardware, a model, a law, a stack, a site, prices or a calibration.

    A name that ends in ``.json`` is a Hugging Face config.json.

    Args:
        path: the file; the catalogue name of a scenario; or ``-``.
    """
    try:
        _check(path)
    except InputError as error:
        return list(error.problems)
    return []


def _check(path: str) -> None:
    if path.casefold().endswith(".json"):
        import_config(Path(path))
        return
    source = read_path(path) if catalogue.is_path(path) and path != "-" else None
    kind = kind_of_file(source) if source is not None else "scenario"
    readers: Mapping[str, Callable[[Source], object]] = {
        "hardware": read_accelerator,
        "site": read_site,
        "book": read_book,
        "calibration": read_calibration,
        "law": read_law,
        "stack": lambda _: load_stack(path),
        "model": lambda _: load_model(path),
    }
    if source is not None and kind in readers:
        readers[kind](source)
        return
    plan(load_scenario(path), draws=0)  # loaded as it stands, whose own number of draws may be wrong
