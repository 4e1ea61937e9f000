"""``costsim layouts``: the search, ranked."""

from typing import Annotated

import typer

from costsim.cli import amounts, names, options

HELP = """\
\b
Examples:
  costsim layouts llama-3.1-405b
  costsim layouts my-run.yaml --top 20 --by cost
  costsim layouts my-run.yaml --by p90
  costsim layouts my-run.yaml --set cluster.accelerators=512 --format csv

Every legal layout of the cluster that the scenario's stack allows is tried; those that fit in memory come first. The
layout that the scenario itself gives is placed among them.
"""


def layouts(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", autocompletion=names.scenarios, help="A file, a catalogue name, or -.")
    ],
    top: Annotated[str | None, typer.Option("--top", metavar="N", help="How many to show; default 10.")] = None,
    by: Annotated[str, typer.Option("--by", metavar="time|cost|p90", help="What ranks those that fit.")] = "time",
    set_: options.Set = None,
    format_: options.Format = None,
    output: options.Output = None,
    force: options.Force = False,
    _debug: options.Debug = False,
) -> None:
    """Rank the layouts of a scenario's cluster; exit with 1 where none fits."""
    from costsim.cli.streams import deliver, screen
    from costsim.errors import InputError, Problem
    from costsim.inputs.files import read_stdin_text
    from costsim.inputs.kinds import nearest
    from costsim.ranked import ORDERS, search_layouts
    from costsim.render import formats

    kind = formats.choose(format_, output)
    order = next((known for known in ORDERS if known == by), None)
    if order is None:
        allowed = "time, cost or p90 (the 90th percentile of the step time)"
        raise InputError(Problem(f"'{by}' is not accepted", "--by", allowed=allowed, suggestion=nearest(by, ORDERS)))
    rows = amounts.whole("--top", top)
    if rows == 0:
        raise InputError(Problem("'0' shows nothing", "--top", allowed="1 or more"))
    found = search_layouts(
        scenario,
        top=rows or 10,
        by=order,
        overrides=tuple(set_ or ()),
        stdin_text=read_stdin_text() if scenario == "-" else None,
    )
    shown = screen() if output in (None, "-") else formats.FILE_SCREEN
    deliver(formats.layouts_text(found, kind, shown), output, force=force)
    if not found["fitting"]:
        raise typer.Exit(1)
