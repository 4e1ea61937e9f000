"""The commands, and the one place where errors become messages and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # saves a search through every installed package

import typer

from costsim.cli import check, compare, new, options, plan, schema, show
from costsim.cli.streams import complain, deliver, prepare
from costsim.errors import CostsimError

HELP = """What it costs to pretrain a language model, how long it takes, and whether that money comes back.

\b
Examples:
  costsim plan llama-3.1-405b             the main job
  costsim new my-run                      a commented scenario to start from
  costsim plan my-run.yaml --explain      every figure with formula and source
  costsim compare my-run.yaml other.yaml  side by side
  costsim show hardware h100-sxm          what is known, and from where

costsim COMMAND --help says more about a command. Nothing is ever sent over a network.
"""

app = typer.Typer(
    name="costsim",
    help=HELP,
    epilog=options.EXIT_CODES,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["--help", "-h"]},
)
_COMMANDS = {
    "plan": plan.plan,
    "compare": compare.compare,
    "show": show.show,
    "check": check.check,
    "new": new.new,
    "schema": schema.schema,
}
for _module, _name in ((plan, "plan"), (compare, "compare"), (show, "show"), (check, "check"), (new, "new"), (schema, "schema")):
    app.command(_name, help=_module.HELP, epilog=options.EXIT_CODES)(_COMMANDS[_name])


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", is_eager=True, help="Show the version; with -v also of libraries."),
) -> None:
    if version:
        deliver(_versions(detailed=False) + "\n")
        raise typer.Exit


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code; no error leaves this function but an interrupt of the handler."""
    prepare()
    debug = "--debug" in argv
    if argv[:1] == ["--version"] and set(argv[1:]) & {"-v", "--verbose"}:
        argv, detailed = argv[:1], True
    else:
        detailed = False
    try:
        if detailed:
            deliver(_versions(detailed=True) + "\n")
            return 0
        result = app(args=list(argv), prog_name="costsim", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except typer.TyperException as error:
        return _usage(error, debug)
    except CostsimError as error:
        return _failure(error, debug) if error.exit_code != 70 else _bug(error, debug)
    except (KeyboardInterrupt, typer.Abort):
        complain("interrupted")
        return 130
    except MemoryError as error:
        return _failure(CostsimError("not enough memory; fewer draws need less (--draws)"), debug, error)
    except SystemExit:  # typer, when the reader of its help went away
        return 0
    except Exception as error:
        return _bug(error, debug)
