"""``costsim plan``: the main job."""

from typing import Annotated, Any

import typer

from costsim.cli import amounts, names, options

_LIMITS = {"--max-cost": "cost.total_usd", "--max-days": "run.wall_clock_days"}

HELP = """\
\b
Examples:
  costsim plan llama-3.1-405b
  costsim plan my-run.yaml --set cluster.accelerators=1024 --explain
  costsim plan my-run.yaml -o my-run.json
  costsim plan serve-a-million-users --sensitivity
  costsim plan my-run.yaml --max-cost 50M --max-days 60 -q
  cat my-run.yaml | costsim plan -

A scenario is named by its file, by its name in the catalogue (costsim show scenarios), or read from standard input
as -. Ranges in parentheses are 90 % intervals.
"""


def plan(
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", autocompletion=names.scenarios, help="A file, a catalogue name, or -.")
    ],
    explain: Annotated[bool, typer.Option("--explain", help="Add each figure's formula, inputs and sources.")] = False,
    sensitivity: Annotated[
        bool, typer.Option("--sensitivity", help="Add what drives cost, time and payback over the ranges.")
    ] = False,
    max_cost: Annotated[
        str | None, typer.Option("--max-cost", metavar="USD", help="Exit with 1 if the final run costs more: 50M.")
    ] = None,
    max_days: Annotated[
        str | None, typer.Option("--max-days", metavar="DAYS", help="Exit with 1 if the run takes longer: 60.")
    ] = None,
    set_: options.Set = None,
    seed: options.Seed = None,
    draws: options.Draws = None,
    format_: options.Format = None,
    output: options.Output = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    _debug: options.Debug = False,
) -> None:
    """Plan one scenario and say with the exit code whether the answer is yes."""
    from costsim.cli.streams import complain, deliver, screen
    from costsim.render import formats

    kind = formats.choose(format_, output)
    limits = amounts.usd("--max-cost", max_cost), amounts.days("--max-days", max_days)
    settings = {"seed": amounts.whole("--seed", seed), "draws": amounts.draws(draws)}
    made = _make(scenario, overrides=tuple(set_ or ()), explain=explain, sensitivity=sensitivity, **settings)
    shown = screen() if output in (None, "-") else formats.FILE_SCREEN
    deliver(formats.plan_text(made, kind, shown, quiet=quiet, verbose=verbose), output, force=force)
    reasons = _refusals(made, limits)
    if reasons:
        complain("\n".join(f"the answer is no: {reason}" for reason in reasons))
        raise typer.Exit(1)


def _make(scenario: str, **settings: Any) -> dict[str, Any]:
    from costsim.inputs.files import read_stdin_text
    from costsim.plan import plan as make

    text = read_stdin_text() if scenario == "-" else None
    made: dict[str, Any] = make(scenario, stdin_text=text, **settings).to_dict()
    return made


def _refusals(made: dict[str, Any], limits: tuple[float | None, ...]) -> list[str]:
    from costsim.render.figures import Figures, short, unit_of

    figures = Figures(made)
    reasons = [] if figures.get("memory.fits") is not False else ["it does not fit in memory"]
    for (option, path), limit in zip(_LIMITS.items(), limits, strict=True):
        value = figures.value(path)
        if value is not None and limit is not None and value > limit:
            reasons.append(f"{figures.number(path)} is over {option} {short(limit, unit_of(path))}")
    return reasons
