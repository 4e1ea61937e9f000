"""``costsim check``: every problem of every file at once."""

from typing import Annotated

import typer

from costsim.cli import options

HELP = """\
Scenarios, hardware, models, laws, stacks, sites and calibrations are told apart by what is in them.

\b
Examples:
  costsim check my-run.yaml
  costsim check hardware/*.yaml --format json
"""


def check(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Files to check.")],
    format_: Annotated[
        str | None, typer.Option("--format", metavar="table|json", help="How the result looks; default table.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing of files that are fine.")] = False,
    _debug: options.Debug = False,
) -> None:
    """Say of each file that it is ok, or what is wrong with it and where."""
    from dataclasses import asdict

    from costsim.check import check_file
    from costsim.cli.streams import complain, deliver
    from costsim.errors import InputError
    from costsim.render import flat, formats
    from costsim.render.text import clean

    shape = formats.choose(format_, None, ("table", "json"))
    found = {name: check_file(name) for name in files}
    problems = [problem for of_file in found.values() for problem in of_file]
    if shape == "json":
        rows = [
            {"file": name, "ok": not of_file, "problems": list(map(asdict, of_file))} for name, of_file in found.items()
        ]
        deliver(flat.to_json({"schema": "costsim.check/1", "files": rows}))
    else:
        fine = [name for name, of_file in found.items() if not of_file and not quiet]
        deliver("".join(f"{clean(name)}: ok\n" for name in fine))
        if problems:
            complain(str(InputError(problems)))
    if problems:
        raise typer.Exit(2)
