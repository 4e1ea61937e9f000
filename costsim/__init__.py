"""What it costs to pretrain a language model, how long it takes, and whether that money comes back.

``from costsim import load_scenario, plan, compare, search_layouts, validate``: ``plan`` takes a path, a catalogue name,
a mapping or a Scenario and returns a ``Plan``; ``Plan.to_dict()`` is its JSON. Errors are subclasses of
``CostsimError``.

Names are imported when they are first used, so that ``import costsim`` costs nothing.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from costsim.compare import compare
    from costsim.errors import CostsimError
    from costsim.inputs.scenario import Scenario, load_scenario
    from costsim.plan import Plan, plan
    from costsim.ranked import search_layouts
    from costsim.validate import validate

    __version__: str

__all__ = [
    "CostsimError", "Plan", "Scenario", "__version__", "compare", "load_scenario", "plan", "search_layouts", "validate",
]  # fmt: skip

_HOMES = {
    "CostsimError": "costsim.errors",
    "Plan": "costsim.plan",
    "Scenario": "costsim.inputs.scenario",
    "compare": "costsim.compare",
    "load_scenario": "costsim.inputs.scenario",
    "plan": "costsim.plan",
    "search_layouts": "costsim.ranked",
    "validate": "costsim.validate",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from costsim.version import version

        return version()
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'costsim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)


class _Package(ModuleType):
    """The package with ``plan``, ``compare`` and ``validate`` as functions, although modules of those names are inside.

    Importing ``costsim.plan`` would otherwise put the module in the place of the function. ``from costsim.plan import
    ...`` finds the module as ever.
    """

    @property
    def plan(self) -> Any:
        return __getattr__("plan")

    @plan.setter
    def plan(self, module: ModuleType) -> None:
        """Ignore the module that the import system puts here."""

    @property
    def compare(self) -> Any:
        return __getattr__("compare")

    @compare.setter
    def compare(self, module: ModuleType) -> None:
        """Ignore the module that the import system puts here."""

    @property
    def validate(self) -> Any:
        return __getattr__("validate")

    @validate.setter
    def validate(self, module: ModuleType) -> None:
        """Ignore the module that the import system puts here."""


sys.modules[__name__].__class__ = _Package
