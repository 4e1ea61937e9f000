"""What is known of a device besides what is measured here: its data sheet and the largest rate that others found.

A device is known only by a name that its driver reports and a hardware file lists. There is no nearest match: measured
against another device's peak, an MFU would be a number without meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from costsim.bench.record import Device, Dtype
from costsim.inputs import catalogue
from costsim.inputs.accelerator import load_accelerator
from costsim.inputs.yaml_source import read

MEMORY_TOLERANCE = 0.15  # a part of a GPU, or another edition of the same name, has other memory


@dataclass(frozen=True)
class Reference:
    """A device's entry in the catalogue.

    Attributes:
        name: of its hardware file.
        title: for people.
        peak: dense peak of the number format, FLOP/s.
        largest_found: the largest rate that a published sweep found (MAMF), FLOP/s; None if there is none.
        bandwidth: of its memory, bytes/s.
        watts: thermal design power.
    """

    name: str
    title: str
    peak: float
    largest_found: float | None
    bandwidth: float
    watts: float | None


def reference(device: Device, dtype: Dtype) -> Reference | None:
    """The entry of a device; None if the catalogue does not know it."""
    name = known_as(device.name, device.memory_bytes)
    if name is None:
        return None
    accelerator = load_accelerator(name)[0]
    rates = accelerator.peak_flops.rates()
    if dtype not in rates:
        return None
    found = _largest_found().get(name, {}).get(dtype)
    return Reference(
        name,
        accelerator.label,
        rates[dtype],
        None if found is None else found * rates[dtype],
        accelerator.memory.bandwidth,
        accelerator.power.tdp,
    )


def known_as(driver_name: str, memory_bytes: int) -> str | None:
    """The hardware file that lists a driver's name for the device, if its memory is about the same."""
    wanted = " ".join(driver_name.split()).casefold()
    for name in catalogue.names("hardware"):
        label, text = catalogue.text("hardware", name)
        if "driver_names:" not in text:
            continue
        listed = read(text, label).value
        names = listed.get("driver_names", []) if isinstance(listed, Mapping) else []
        if wanted in (str(each).casefold() for each in names):
            capacity = load_accelerator(name)[0].memory.capacity
            if not memory_bytes or abs(memory_bytes / capacity - 1) <= MEMORY_TOLERANCE:
                return name
    return None


def _largest_found() -> dict[str, dict[str, float]]:
    """Largest rates over the peak, by accelerator and number format, of ``data/kernels/fitted.yaml``."""
    label, text = catalogue.data_text("kernels/fitted.yaml")
    fitted: Any = read(text, label).value
    return {name: entry["largest_found"] for name, entry in fitted.items() if "largest_found" in entry}
