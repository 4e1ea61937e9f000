"""``costsim prices import``: a cloud's catalogue as a price book."""

from typing import Annotated

import typer

from costsim.cli import options

HELP = """\
Reads a SkyPilot-style catalogue (CSV: AcceleratorName, AcceleratorCount, Price, SpotPrice, Region) and writes a price
book, which a scenario takes by its key 'prices'. Prices of zero or beyond reason, spot prices that copy the on-demand
ones, rows cut short and unknown accelerators are refused, each with its line.

\b
Examples:
  costsim prices import aws.csv --provider aws --as-of 2026-09-15 -o mine.yaml
  costsim plan my-run.yaml --set prices=mine.yaml
"""

DEFAULT_URL = "https://github.com/skypilot-org/skypilot-catalog"


def prices(
    action: Annotated[str, typer.Argument(metavar="import", help="What to do: import.")],
    catalogue: Annotated[str, typer.Argument(metavar="CATALOGUE", help="A CSV file.")],
    as_of: Annotated[str, typer.Option("--as-of", metavar="DATE", help="The day that the prices are of.")],
    provider: Annotated[
        str | None, typer.Option("--provider", metavar="NAME", help="Who asks them; default the column cloud.")
    ] = None,
    url: Annotated[str, typer.Option("--url", metavar="URL", help="Where the file is from.")] = DEFAULT_URL,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write to a file: .yaml or .yml.")
    ] = None,
    force: options.Force = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Write the book, and say what was refused and why."""
    from costsim.cli.streams import complain, deliver
    from costsim.errors import InputError, Problem
    from costsim.inputs.kinds import nearest, shown
    from costsim.inputs.price_import import check_day, read_catalogue
    from costsim.render.book import book_yaml, check_output

    if action != "import":
        suggestion = nearest(action, ["import"])
        raise InputError(Problem(f"cannot {shown(action)} prices", "prices", allowed="import", suggestion=suggestion))
    day = check_day(as_of)
    check_output(output)
    found = read_catalogue(catalogue, provider)
    deliver(book_yaml(found.prices, catalogue.rsplit("/", 1)[-1], day, url), output, force=force)
    if found.refused and not quiet:
        complain(str(InputError(list(found.refused))))
    if not quiet:
        best = f"{len(found.prices)} written, the best of each accelerator, term and provider"
        complain(f"{found.rows} rows: {found.usable} usable prices, {best}; {len(found.refused)} refused")
