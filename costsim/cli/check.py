"""``costsim check``: every problem of every file at once."""

from __future__ import annotations

from typing import Annotated

import typer

from costsim.cli import options

HELP = """Check files: scenarios, hardware, models, laws, stacks and sites. Every problem of every file is reported at once.

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
    debug: options.Debug = False,
) -> None:
    """Say of each file that it is ok, or what is wrong with it and where."""
    from dataclasses import asdict

    from costsim.cli.streams import complain, deliver
    from costsim.errors import InputError
    from costsim.inputs.scenario import check_file
    from costsim.render import flat, formats

    kind = formats.choose(format_, None, ("table", "json"))
    found = {name: check_file(name) for name in files}
    problems = [problem for rows in found.values() for problem in rows]
    if kind == "json":
        rows = [{"file": name, "ok": not rows, "problems": [asdict(row) for row in rows]} for name, rows in found.items()]
        deliver(flat.to_json({"schema": "costsim.check/1", "files": rows}))
        raise typer.Exit(2 if problems else 0)
    fine = [name for name, rows in found.items() if not rows]
    if fine and not quiet:
        deliver("".join(f"{name}: ok\n" for name in map(formats.clean, fine)))
    if problems:
        complain(str(InputError(problems)))
        raise typer.Exit(2)
