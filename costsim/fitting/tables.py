"""Tables of measured kernels that ship with costsim, as columns of numbers."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

HARDWARE: Mapping[str, str] = {
    "a100_sxm": "a100-80gb-sxm",
    "h100_sxm": "h100-sxm",
    "h200_sxm": "h200-sxm",
    "b200_sxm": "b200",
    "b300_sxm": "b300",
    "gb200": "gb200-nvl72",
    "gb300": "gb300-nvl72",
    "l40s": "l40s",
    "rtx_pro_6000_server": "rtx-pro-6000",
}
"""Names of GPUs in the tables of aiconfigurator, and their hardware files."""

FOUND: Mapping[str, str] = {
    "Gaudi 2": "gaudi2",
    "Gaudi 3": "gaudi3",
    "A100 SXM": "a100-80gb-sxm",
    "A100 PCIe": "a100-80gb-pcie",
    "GH200 SXM": "gh200-144gb",
    "H100 SXM": "h100-sxm",
    "H200 SXM": "h200-sxm",
    "B200 SXM": "b200",
    "B300 SXM": "b300",
    "GB200 SXM": "gb200-nvl72",
    "MI355X": "mi355x",
    "MI325X": "mi325x",
    "MI300X": "mi300x",
}
"""Names of accelerators in the sweep for the largest matrix rate, and their hardware files."""


@dataclass(frozen=True)
class Table:
    """Rows of one file.

    Attributes:
        text: columns by name, as written.
    """

    text: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return next(iter(self.text.values())).size

    def number(self, column: str) -> Array:
        """A column of numbers.

        Raises:
            KeyError: there is no such column.
            ValueError: a cell is no number.
        """
        return self.text[column].astype(np.float64)

    def where(self, mask: NDArray[np.bool_]) -> Table:
        """The rows for which ``mask`` holds."""
        return Table({name: column[mask] for name, column in self.text.items()})

    def groups(self, *columns: str) -> Iterator[tuple[tuple[str, ...], Table]]:
        """Rows that share the values of some columns, by first appearance."""
        keys = list(zip(*(self.text[column].tolist() for column in columns), strict=True))
        for key in dict.fromkeys(keys):
            yield key, self.where(np.array([row == key for row in keys]))


def table(name: str) -> Table:
    """One of the shipped tables.

    Args:
        name: such as ``gemm``.
    """
    text = files("costsim").joinpath("data", "kernels", f"{name}.csv").read_text(encoding="utf-8")
    header, *rows = csv.reader(text.splitlines())
    return Table({key: np.array(column) for key, column in zip(header, zip(*rows, strict=True), strict=True)})
