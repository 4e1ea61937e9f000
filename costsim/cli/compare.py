"""``costsim compare``: plans side by side."""

from typing import Annotated, Any

import typer

from costsim.cli import amounts, names, options

HELP = """\
\b
Examples:
  costsim compare rent-or-own-1024-h100 rent-or-own-1024-h100-owned
  costsim compare a.yaml b.yaml c.yaml --format markdown
  costsim compare a.yaml b.yaml -o comparison.csv

The first scenario is what the others are measured against; --set, --seed and --draws apply to all of them.
The exit code is 1 where one of them does not fit in memory.
"""


def compare(
    scenarios: Annotated[
        list[str],
        typer.Argument(metavar="SCENARIO SCENARIO...", autocompletion=names.scenarios, help="Two or more scenarios."),
    ],
    set_: options.Set = None,
    seed: options.Seed = None,
    draws: options.Draws = None,
    format_: options.Format = None,
    output: options.Output = None,
    force: options.Force = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> None:
    """Plan every scenario and show where they differ."""
    from costsim.cli.streams import complain, deliver, screen
    from costsim.errors import InputError, Problem
    from costsim.render import formats

    kind = formats.choose(format_, output)
    if len(scenarios) < 2:
        raise InputError(Problem("one scenario is nothing to compare", "compare", allowed="two scenarios or more"))
    if scenarios.count("-") > 1:
        raise InputError(Problem("standard input can be only one of the scenarios", "-"))
    from costsim.compare import compare as side_by_side
    from costsim.inputs.files import read_stdin_text
    from costsim.plan import plan

    text = read_stdin_text() if "-" in scenarios else None
    whole = amounts.whole("--seed", seed), amounts.draws(draws)
    plans = [
        plan(name, overrides=tuple(set_ or ()), seed=whole[0], draws=whole[1], stdin_text=text if name == "-" else None)
        for name in scenarios
    ]
    shown = screen() if output in (None, "-") else formats.FILE_SCREEN
    made = side_by_side(plans)
    deliver(formats.comparison_text(made, kind, shown, verbose=verbose), output, force=force)
    refused = [name for name, one in zip(scenarios, made["scenarios"], strict=True) if _does_not_fit(one)]
    if refused:
        complain("\n".join(f"the answer is no: {name} does not fit in memory" for name in refused))
        raise typer.Exit(1)


def _does_not_fit(made: dict[str, Any]) -> bool:
    return (made.get("memory") or {}).get("fits") is False
