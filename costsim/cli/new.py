"""``costsim new``: a commented scenario to start from."""

from typing import Annotated

import typer

from costsim.cli import options

HELP = """\
A file that is there already is left alone.

\b
Examples:
  costsim new my-run          writes my-run.yaml
  costsim new runs/big.yaml   writes runs/big.yaml
"""


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the scenario, or of its file.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not say what to do next.")] = False,
    _debug: options.Debug = False,
) -> None:
    """Write the starter, and say how to go on."""
    from costsim.cli.starter import starter
    from costsim.cli.streams import complain, deliver
    from costsim.errors import InputError, Problem
    from costsim.files import write_new

    if not name.isprintable() or not name.strip():
        allowed = "characters that can be seen"
        raise InputError(Problem(f"the name {name!r} is none for a scenario", "new", allowed=allowed))
    path = name if name.endswith((".yaml", ".yml")) else f"{name}.yaml"
    write_new(path, starter(path))
    deliver(f"{path}\n")
    if not quiet:
        complain(f"next: costsim plan {path}")
