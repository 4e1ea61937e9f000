"""Options and help texts that commands share."""

from typing import Annotated

import typer

FORMATS = "table|json|csv|markdown"

Format = Annotated[
    str | None,
    typer.Option("--format", metavar=FORMATS, help="How the result looks; default table, or by -o's suffix."),
]
Shown = Annotated[
    str | None, typer.Option("--format", metavar=FORMATS, help="How the result looks on the screen; default table.")
]
Output = Annotated[
    str | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file: .json, .csv, .md or .txt.")
]
Force = Annotated[bool, typer.Option("--force", help="Let -o replace a file that costsim did not write.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set one input, dotted; can be given again.")
]
Seed = Annotated[str | None, typer.Option("--seed", metavar="N", help="Seed of the draws; default the scenario's.")]
Draws = Annotated[
    str | None, typer.Option("--draws", metavar="N", help="Draws for ranges, at most 10M; 0 plans at their centre.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="The answer only.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Everything, with every assumption.")]
Debug = Annotated[bool, typer.Option("--debug", help="On an error, show where in the program it happened.")]

EXIT_CODES = """\b
Exit codes:
  0    fine
  1    the answer is no: it does not fit, or is over --max-cost or --max-days,
       predictions miss their bars, the machine was too disturbed to measure,
       or bench compare found something slower
  2    bad usage, bad input, or a file that cannot be read or written
  70   a bug in costsim
  130  interrupted"""
