"""Accelerators: the model of a hardware file, and loading one by name, path or mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

import pydantic

from costsim.errors import InputError, Problem
from costsim.inputs.fields import Date, FieldError, Items, Strict, validate
from costsim.inputs.hardware import (
    Collectives,
    Generation,
    Kernels,
    MatmulKernel,
    Memory,
    Origin,
    Ownership,
    PeakFlops,
    Power,
    Precision,
    Price,
    ScaleOut,
    ScaleUp,
    Section,
)
from costsim.inputs.quantity import Count, nearest, shown
from costsim.inputs.source import Place, Source
from costsim.inputs.sourced import Fact, split_sourced

__all__ = [
    "Accelerator",
    "Collectives",
    "MatmulKernel",
    "Origin",
    "Precision",
    "Price",
    "load_accelerator",
    "read_accelerator",
]

_KERNEL_FALLBACK: Mapping[str, tuple[str, ...]] = {
    "fp32": ("tf32", "bf16", "fp16"),
    "tf32": ("bf16", "fp16", "fp32"),
    "fp16": ("bf16",),
    "bf16": ("fp16",),
    "fp8": ("int8", "bf16", "fp16"),
    "fp4": ("fp8", "bf16"),
    "int8": ("fp8", "bf16", "fp16"),
}
"""Whose kernels stand in for those of a precision that has none of its own, nearest first."""


class Accelerator(Strict):
    """An accelerator, as its hardware file states it, in SI units and US dollars."""

    costsim: Literal[1] = 1
    name: str = "custom"
    title: str = ""
    aliases: Items[str] = ()
    driver_names: Items[str] = ()
    vendor: str = ""
    kind: Literal["gpu", "tpu", "asic", "cpu"] = "gpu"
    generation: Generation = "other"
    released: Date | None = None
    peak_flops: PeakFlops
    memory: Memory
    scale_up: ScaleUp
    scale_out: ScaleOut | None = None
    per_node: Count | None = None
    power: Power = pydantic.Field(default_factory=Power.model_construct)
    purchase: Ownership | None = None
    kernels: Kernels = pydantic.Field(default_factory=Kernels.model_construct)
    prices: Items[Price] = ()
    sources: dict[str, Origin] = pydantic.Field(default_factory=dict)

    @pydantic.model_validator(mode="after")
    def _sources_hold(self) -> Accelerator:
        """Every source that is named is listed, and no price is from after the day its source was read."""
        problems = []
        for path, section in _sections(self, ""):
            named = section.source
            if named and named not in self.sources and not named.startswith(("https://", "http://")):
                close = nearest(named, self.sources)
                problem = Problem(f"unknown source {shown(named)}", f"{path}.source", suggestion=close)
                problems.append(problem if close else _allowing(problem, "a key of 'sources', or a URL"))
        for index, price in enumerate(self.prices):
            origin = self.sources.get(price.source)
            if origin and price.date > origin.accessed:
                message = f"this price is of {price.date}, and its source was read on {origin.accessed}"
                problems.append(Problem(message, f"prices.{index}.date", allowed="a day on or before that"))
        if problems:
            raise FieldError(problems)
        return self

    @property
    def label(self) -> str:
        """What tables call it."""
        return self.title or self.name

    @property
    def accelerators_per_node(self) -> int:
        """Accelerators of a node; the fast domain where the file does not say."""
        return self.scale_up.domain if self.per_node is None else self.per_node

    def peak(self, precision: str) -> float:
        """Dense peak in FLOP/s of matrix products of a precision.

        Raises:
            InputError: the chip has none at that precision.
        """
        rates = self.peak_flops.rates()
        if precision not in rates:
            has = f"it has {', '.join(rates)}"
            if precision in get_args(Precision):
                raise InputError(Problem(f"{self.label} has no peak rate for {precision}", allowed=has))
            suggestion = nearest(precision, rates)
            raise InputError(Problem(f"unknown precision {shown(precision)}", allowed=has, suggestion=suggestion))
        return rates[precision]

    def matmul_kernel(self, precision: str) -> MatmulKernel | None:
        """Prior of matrix products of a precision, else that of the nearest precision with one, else None."""
        kernels = self.kernels.matmul
        for name in (precision, *_KERNEL_FALLBACK.get(precision, ())):
            kernel = getattr(kernels, name, None)
            if isinstance(kernel, MatmulKernel):
                return kernel
        return None

    def attention_peak(self) -> float:
        """Peak in FLOP/s that the attention prior is a share of: BF16, else FP16, else the fastest of 32 bits."""
        rates = self.peak_flops.rates()
        return next(rates[name] for name in ("bf16", "fp16", "tf32", "fp32", *rates) if name in rates)

    def left_out(self) -> list[str]:
        """Dotted paths of facts that a plan replaces by something weaker because the file leaves them out."""
        parts: dict[str, Any] = {
            "memory.usable": self.memory.usable,
            "scale_up.latency": self.scale_up.latency if self.scale_up.domain > 1 else 0.0,
            "scale_out": self.scale_out,
            "scale_out.latency": self.scale_out.latency if self.scale_out else 0.0,
            "per_node": self.per_node,
            "power.tdp": self.power.tdp,
            "power.system": self.power.system,
            "purchase": self.purchase,
            "kernels.matmul": self.kernels.matmul,
            "kernels.attention": self.kernels.attention,
        }
        return [path for path, value in parts.items() if value is None]


def _allowing(problem: Problem, allowed: str) -> Problem:
    return Problem(problem.message, problem.path, allowed=allowed)


def _sections(model: pydantic.BaseModel, path: str) -> Iterator[tuple[str, Section]]:
    """Every section of a file with its dotted path, prices among them."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        items = enumerate(value) if isinstance(value, tuple) else ((None, value),)
        for index, item in items:
            if isinstance(item, Section):
                inner = ".".join(str(part) for part in (path, name, index) if part not in ("", None))
                yield inner, item
                yield from _sections(item, inner)


def read_accelerator(source: Source, prefix: str = "") -> tuple[Accelerator, dict[str, Fact]]:
    """An accelerator from what was read.

    Args:
        source: a hardware file, or the part of a scenario that describes one.
        prefix: dotted path of that part, for messages.

    Returns:
        The accelerator, and where each of its numbers comes from, by dotted path.

    Raises:
        InputError: every problem of the file.
    """
    plain, facts = split_sourced(source)
    return validate(Accelerator, plain, prefix), facts


def load_accelerator(
    reference: str | Mapping[str, Any] | Source,
    relative_to: str | None = None,
    place: Place | None = None,
    path: str = "",
) -> tuple[Accelerator, dict[str, Fact]]:
    """An accelerator by catalogue name or alias, by path, or as a mapping.

    Args:
        reference: a name such as ``h100-sxm``, a path to a YAML file, or what such a file says.
        relative_to: the file that names it, beside which a path is looked up; default the working folder.
        place: where the reference was said, for messages.
        path: dotted path of the field that said it.

    Returns:
        The accelerator, and where each of its numbers comes from, by dotted path.

    Raises:
        InputError: there is no such accelerator, or its file has problems.
    """
    from costsim.inputs.catalogue import find

    if isinstance(reference, Source):
        return read_accelerator(reference, path)
    if isinstance(reference, Mapping):
        return read_accelerator(Source(dict(reference), place.file if place else ""), path)
    return read_accelerator(find("hardware", reference, relative_to or "", place, path))
