"""``costsim bench``: calibrate this machine."""

from typing import TYPE_CHECKING, Annotated

import typer

from costsim.cli import options

if TYPE_CHECKING:
    from costsim.bench.request import Request

HELP = """\
\b
Examples:
  costsim bench -o my-box.yaml                     about a minute
  costsim bench --quick                            about 15 seconds
  costsim bench --model llama-3.1-8b -o my-box.yaml
  costsim bench --full --device cuda:1 --dtype bf16
  costsim bench --dry-run                          shapes and their memory
  costsim plan my-run.yaml --set cluster.calibration=my-box.yaml
  costsim bench show my-box.yaml                   what a file says
  costsim bench compare before.yaml after.yaml     ends with 1 if slower

Runs training steps of two layers, matrix products and copies in torch on this machine. Other programs beside it make
the numbers useless: then it says why, writes no calibration and ends with 1. Samples are kept beside the file of -o as
they come.
"""


def bench(
    context: typer.Context,
    quick: Annotated[bool, typer.Option("--quick", help="About 15 seconds.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Five to ten minutes.")] = False,
    device: Annotated[
        str | None, typer.Option("--device", metavar="NAME", help="cuda, cuda:1, mps or cpu; default the best here.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", metavar="bf16|fp32|tf32", help="Default bf16 where it is multiplied.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="NAME|PATH", help="Measure this model's layers too.")
    ] = None,
    sequence: Annotated[
        str | None,
        typer.Option("--sequence", metavar="N", help="Tokens of --model's sequences; default 4,096, on a CPU 1,024."),
    ] = None,
    compile_: Annotated[bool, typer.Option("--compile", help="With torch.compile.")] = False,
    accept_noisy: Annotated[
        bool,
        typer.Option(
            "--accept-noisy",
            help="Calibrate from disturbed measurements too; with --resume from those that were refused.",
        ),
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the bench of -o that was cut short.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be measured, and its memory.")] = False,
    format_: options.Shown = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write the calibration: .yaml.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Let -o replace a file not written by costsim, or a bench that was cut short."),
    ] = False,
    quiet: options.Quiet = False,
    _debug: options.Debug = False,
) -> None:
    """Measure this machine; exit with 1 where it was too disturbed to plan from."""
    if context.invoked_subcommand is not None:
        return
    from costsim.bench.request import Request, mode
    from costsim.cli import amounts
    from costsim.render import formats

    kind = formats.choose(format_, None)
    asked = Request(
        mode=mode(quick=quick, full=full),
        device=device,
        dtype=dtype,
        model=model,
        sequence=amounts.whole("--sequence", sequence, least=1),
        compiled=compile_,
        output=output,
        resume=resume,
        force=force,
        accept_noisy=accept_noisy,
        dry_run=dry_run,
    )
    if dry_run:
        _foretell(asked, kind, quiet=quiet)
    else:
        _measure(asked, kind, quiet=quiet)


def _foretell(asked: "Request", kind: str, *, quiet: bool) -> None:
    """Say what would be measured."""
    from costsim.bench import run
    from costsim.cli.streams import deliver, screen
    from costsim.render import formats

    deliver(formats.bench_plan_text(run.plan(asked), kind, screen(), quiet=quiet))


def _measure(asked: "Request", kind: str, *, quiet: bool) -> None:
    """Measure, and say what came of it; on every process of torchrun but the first, nothing is said.

    Raises:
        Exit: with 130 where it was interrupted, with 1 where it was refused.
    """
    from costsim.bench import run
    from costsim.cli.streams import complain, deliver, screen
    from costsim.render import formats
    from costsim.render.progress import Progress

    with Progress(quiet=quiet) as progress:
        found = run.bench(asked, progress)
    if found is None:
        return
    deliver(formats.bench_text(found, kind, screen(), quiet=quiet))
    became = found["output"]
    if kind == "csv" and became and not became["written"]:  # the other formats say so themselves
        complain(f"{became['file']}: was not written: {became['reason']}")
    if found["cut"] == "interrupt":
        raise typer.Exit(130)
    if found["cut"] or found["verdict"]["status"] == "refused":
        raise typer.Exit(1)


def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A calibration.")],
    format_: options.Shown = None,
    _debug: options.Debug = False,
) -> None:
    """Say what a calibration holds: coefficients, how sure they are, and what was measured."""
    from costsim.bench import held
    from costsim.cli.streams import deliver, screen
    from costsim.render import calibrations, formats

    deliver(calibrations.text(held.shown(file), formats.choose(format_, None), screen()))


def compare(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="The calibration to compare with.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="A later one, or that of a like device.")],
    format_: options.Shown = None,
    _debug: options.Debug = False,
) -> None:
    """Compare what two calibrations measured; exit with 1 where AFTER is slower by more than noise."""
    from costsim.bench import held
    from costsim.cli.streams import deliver, screen
    from costsim.render import calibrations, formats

    found = held.compared(before, after)
    deliver(calibrations.text(found, formats.choose(format_, None), screen()))
    if found["worse"]:
        raise typer.Exit(1)


COMMANDS = {"show": show, "compare": compare}
"""Commands under this one; without any of them it measures."""
