"""``costsim validate``: the scoreboard."""

from typing import Annotated

import typer

from costsim.cli import options

HELP = """\
\b
Examples:
  costsim validate                         step times
  costsim validate --what memory
  costsim validate --row thr-vtrain-multi-002
  costsim validate --evidence my-runs.csv  a table with the same columns
  costsim validate -o scoreboard.md

Predictions never see what was measured. The table says how far off they were, by source, beside the best constant MFU
for that chip, and how often their intervals held the truth; it ends with 1 where a stated bar is missed, with 2 where
no row can be predicted.
"""


def validate(
    what: Annotated[
        str | None,
        typer.Option(
            "--what", metavar="step|memory|hours|serving", help="What to hold against it; default by the evidence."
        ),
    ] = None,
    evidence: Annotated[
        str | None, typer.Option("--evidence", metavar="FILE", help="A CSV file, or -; default the shipped tables.")
    ] = None,
    row: Annotated[str | None, typer.Option("--row", metavar="ID", help="One row in detail.")] = None,
    format_: options.Format = None,
    output: options.Output = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Score predictions of published measurements; exit with 1 where a bar is missed."""
    from costsim.cli.streams import deliver, screen
    from costsim.render import formats

    kind = formats.choose(format_, output)
    from costsim.validate import unusable
    from costsim.validate import validate as predictions_held

    found = predictions_held(what, evidence, row)
    shown = screen() if output in (None, "-") else formats.FILE_SCREEN
    deliver(formats.validation_text(found, kind, shown, quiet=quiet), output, force=force)
    if (problem := unusable(found)) is not None:
        raise problem
    if not found["passed"]:
        raise typer.Exit(1)
