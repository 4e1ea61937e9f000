"""The registry of output quantities: each is declared once, on the function that makes it.

A quantity's label, unit, formula and source are written here once, and every table, JSON, CSV, Markdown and
``--explain`` text reads them from the registry.

A formula is arithmetic text in which ``{path}`` names another quantity or an input, for example
``"{run.accelerator_hours} * {cost.usd_per_accelerator_hour}"``. Where it is pure arithmetic it can be evaluated, and
the tests do so: an explanation cannot drift away from the number that it explains.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

Function = TypeVar("Function", bound=Callable[..., object])
Better = Literal["lower", "higher", ""]
_PLACEHOLDER = re.compile(r"\{([a-z0-9_.*-]+)\}")


@dataclass(frozen=True)
class Quantity:
    """What is known of an output besides its value.

    Attributes:
        path: where it stands in the JSON of a plan, such as ``step.mfu``.
        label: what tables call it.
        unit: SI or USD unit, such as ``s``, ``byte``, ``FLOP``, ``USD``, ``USD/Mtok``, ``fraction``, ``count``.
        formula: arithmetic text with ``{path}`` placeholders.
        source: the paper and equation, or the convention, that the formula follows.
        better: which direction is better when plans are compared; empty when neither is.
        when_given: input that replaces the model behind the figure → the formula that holds then.
    """

    path: str
    label: str
    unit: str
    formula: str
    source: str
    better: Better = ""
    when_given: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Paths named by the formula, each once, in order."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.formula)))

    def with_given(self, values: Mapping[str, object]) -> Quantity:
        """The quantity by the formula that holds for these inputs."""
        for path, formula in self.when_given.items():
            if values.get(path) is not None:
                return replace(self, formula=formula, source=f"{path} is given", when_given={})
        return self


REGISTRY: dict[str, Quantity] = {}


def declare(
    path: str,
    *,
    label: str,
    unit: str,
    formula: str,
    source: str,
    better: Better = "",
    when_given: Mapping[str, str] | None = None,
) -> Callable[[Function], Function]:
    """Declare an output quantity beside the function that makes it.

    Stack the decorator when one function makes several quantities. A second declaration of a path is an error, so
    that no fact has two homes.

    Raises:
        ValueError: the path is declared already.
    """
    if path in REGISTRY:
        raise ValueError(f"quantity {path!r} is declared twice")
    REGISTRY[path] = Quantity(path, label, unit, formula, source, better, when_given or {})
    return lambda function: function
