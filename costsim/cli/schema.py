"""``costsim schema``: JSON Schema for editors."""

from typing import Annotated

import typer

from costsim.cli import options

MODELS = {
    "scenario": ("costsim.inputs.scenario", "ScenarioFields"),
    "hardware": ("costsim.inputs.accelerator", "Accelerator"),
    "model": ("costsim.inputs.model", "ModelFile"),
    "law": ("costsim.inputs.law", "LawFile"),
    "stack": ("costsim.inputs.stack", "StackFile"),
    "site": ("costsim.inputs.site", "Site"),
    "calibration": ("costsim.inputs.calibration", "CalibrationFile"),
}

HELP = """\
\b
Examples:
  costsim schema scenario -o scenario.schema.json
  costsim schema hardware

As the first line of a YAML file: # yaml-language-server: $schema=FILE
"""


def schema(
    kind: Annotated[str, typer.Argument(metavar="|".join(MODELS), help="The kind of file.")],
    output: options.Output = None,
    force: options.Force = False,
    _debug: options.Debug = False,
) -> None:
    """Print the schema of one kind."""
    import json
    from importlib import import_module

    from costsim.cli.streams import deliver
    from costsim.errors import InputError, Problem
    from costsim.inputs.kinds import nearest

    if kind not in MODELS:
        allowed = ", ".join(MODELS)
        raise InputError(Problem(f"no kind '{kind}'", "schema", allowed=allowed, suggestion=nearest(kind, MODELS)))
    module, name = MODELS[kind]
    made = getattr(import_module(module), name).model_json_schema()
    title = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"costsim {kind}"}
    deliver(
        json.dumps({**title, **made, "title": title["title"]}, indent=2, allow_nan=False) + "\n", output, force=force
    )
