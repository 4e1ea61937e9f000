"""The commands, and the one place where errors become messages and exit codes."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Annotated

os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")  # saves a search through every installed package

import typer

from costsim.cli import options
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

USAGE, BUG, INTERRUPTED = 2, 70, 130

COMMANDS = {
    "plan": "Plan a run: its cost, time, fit, loss and payback.",
    "layouts": "Rank the layouts of a cluster, and say why others were refused.",
    "compare": "Compare scenarios: which inputs differ, and what that changes.",
    "bench": "Measure this machine, and calibrate plans with it.",
    "validate": "Hold predictions against published measurements, and score them.",
    "show": "Show the catalogue: what is known, and from where.",
    "prices": "Import prices of a cloud's catalogue as a price book.",
    "check": "Check files, and report every problem of each at once.",
    "new": "Write a commented starter scenario that can be planned as it is.",
    "schema": "Print the JSON Schema of a kind of file, for editors.",
}


def build(argv: Sequence[str]) -> typer.Typer:
    """The commands, of which only those that a command line names are imported: help and mistakes need no more.

    Shell completion asks for all of them, through the environment. The options of the bare ``costsim`` are left out
    where a command comes first, because typer reads even absent ones with pydantic, which takes half of a start.
    """
    completing = "_COSTSIM_COMPLETE" in os.environ
    named = set(COMMANDS) if completing else {name for name in COMMANDS if name in argv}
    bare = completing or not argv or argv[0] not in COMMANDS
    app = typer.Typer(
        help=HELP,
        epilog=options.EXIT_CODES,
        add_completion=bare,
        add_help_option=bare,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback()(_root)
    for name, summary in COMMANDS.items():
        if name in named:
            module = import_module(f"costsim.cli.{name}")
            told = f"{summary}\n\n{module.HELP}"
            if inner := getattr(module, "COMMANDS", None):
                app.add_typer(_group(getattr(module, name), inner, told), name=name)
            else:
                app.command(name, help=told, epilog=options.EXIT_CODES)(getattr(module, name))
        else:
            app.command(name, help=summary)(_not_named)
    return app


def _group(alone: Callable[..., None], inner: Mapping[str, Callable[..., None]], told: str) -> typer.Typer:
    """A command that does something on its own, and has others under it."""
    group = typer.Typer(
        help=told, epilog=options.EXIT_CODES, invoke_without_command=True, rich_markup_mode=None, add_completion=False
    )
    group.callback()(alone)
    for name, command in inner.items():
        group.command(name, epilog=options.EXIT_CODES)(command)
    return group


def _root(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False) -> None:
    """Options of the bare command; `run` has answered ``--version`` already."""


def _not_named() -> None:
    """Stands for a command that this command line does not name."""


def run(argv: Sequence[str]) -> int:
    """Run a command line and return its exit code; errors become messages on standard error.

    ``--version`` and ``--debug`` are understood wherever they stand; ``-v`` adds to the version what costsim runs on.
    """
    prepare()
    debug = "--debug" in argv
    argv = [word for word in argv if word != "--debug"]
    try:
        if "--version" in argv:
            deliver(f"{_versions(detailed=bool({'-v', '--verbose'} & set(argv)))}\n")
            return 0
        result = build(argv)(args=argv, prog_name="costsim", standalone_mode=False)
        if result == INTERRUPTED:
            complain("interrupted")
        return result if isinstance(result, int) else 0
    except typer.TyperException as error:
        return _told(_usage(error), USAGE, debug)
    except CostsimError as error:
        return _told(str(error), error.exit_code, debug) if error.exit_code != BUG else _told(_bug(error), BUG, debug)
    except KeyboardInterrupt:
        return _told("interrupted", INTERRUPTED, debug)
    except MemoryError:
        return _told("costsim: not enough memory; fewer draws need less (--draws)", USAGE, debug)
    except SystemExit:  # typer's answer to a reader of its help that went away
        return 0
    except Exception as error:
        return _told(_bug(error), BUG, debug)


def _told(message: str, code: int, debug: bool) -> int:
    """Report an error, with a traceback where that was asked for, and return the exit code."""
    if debug:
        import traceback

        complain(traceback.format_exc().rstrip())
    complain(message)
    return code


def _usage(error: typer.TyperException) -> str:
    """One line on what is wrong with a command line, or the help where no command was given."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "costsim"
    message = error.format_message()
    if message.startswith("Usage:"):
        return message
    near = getattr(error, "possibilities", None)
    if near:
        message = f"{error.message}. Did you mean {' or '.join(sorted(near))}?"
    message = " ".join(message.split()).rstrip(".")
    return f"{command}: {message[:1].lower()}{message[1:]} (see {command} --help)"


def _bug(error: Exception) -> str:
    return (
        f"costsim: internal error: {type(error).__name__}: {error}\n"
        f"This is a bug in costsim. Please report it with the command, the scenario and this line: "
        f"{_versions(detailed=True)}\n--debug shows where it happened."
    )


def _versions(*, detailed: bool = False) -> str:
    import costsim

    own = f"costsim {costsim.__version__}"
    if not detailed:
        return own
    import platform
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("numpy", "pydantic", "typer", "rich", "pyyaml", "torch"):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return f"{own} (Python {platform.python_version()}, {', '.join(found)}, {platform.platform(terse=True)})"
