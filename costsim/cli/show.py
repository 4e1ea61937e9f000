"""``costsim show``: what the catalogue holds."""

from typing import Annotated

import typer

from costsim.cli import names, options

HELP = """\
Hardware, models, laws, stacks, sites and scenarios are listed, or one of them with every number in it.

\b
Examples:
  costsim show hardware
  costsim show hardware h100-sxm
  costsim show laws besiroglu-2024 --format json
"""


def show(
    kind: Annotated[
        str, typer.Argument(metavar="|".join(names.KINDS), autocompletion=names.kinds, help="What to show.")
    ],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="One entry, with every number in it.")] = None,
    format_: options.Format = None,
    output: options.Output = None,
    force: options.Force = False,
    _debug: options.Debug = False,
) -> None:
    """List a kind, or show one entry of it."""
    from costsim.cli.streams import deliver, screen
    from costsim.errors import InputError, Problem
    from costsim.render import formats

    chosen = formats.choose(format_, output)
    if kind not in names.KINDS:
        from costsim.inputs.kinds import nearest

        near = nearest(kind, names.KINDS)
        raise InputError(Problem(f"no kind '{kind}'", "show", allowed=", ".join(names.KINDS), suggestion=near))
    shown = screen() if output in (None, "-") else formats.FILE_SCREEN
    deliver(formats.catalogue_text(kind, name, chosen, shown), output, force=force)
