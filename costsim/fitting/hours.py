"""What full runs take beside their steps: ``python -m costsim.fitting.hours`` writes ``data/fits/hours.json``."""

from __future__ import annotations

import json
import math

from costsim.evidence import run_cases
from costsim.evidence.cases import UnpredictableError
from costsim.evidence.hours_rows import bare_hours
from costsim.evidence.table import group_of, number, shipped
from costsim.fitting.folds import DIGITS, FOLDER
from costsim.inputs.run_errors import class_of

MADE_BY = "python -m costsim.fitting.hours"


def made() -> dict[str, object]:
    """The file: for each shipped run its id, class, organisation, and log of measured over bare hours."""
    runs = []
    for row in (r.cells for r in shipped("runs").rows):
        measured = number(row, "device_hours_used")
        if run_cases.ineligible(row) or measured is None:
            continue
        try:
            bare = bare_hours(row)
        except UnpredictableError:
            continue
        of_class = class_of(bare.run.scope, bare.run.case.experts)
        runs.append([row["id"], of_class, group_of(row), round(math.log(measured / bare.hours), DIGITS)])
    return {"costsim": 1, "made_by": MADE_BY, "runs": runs}


def lines(file: dict[str, object]) -> str:
    """JSON with a line for each run."""
    return json.dumps(file, separators=(",", ":")).replace('],["', '],\n["') + "\n"


def main() -> None:
    """Write the file."""
    FOLDER.joinpath("hours.json").write_text(lines(made()))


if __name__ == "__main__":
    main()
