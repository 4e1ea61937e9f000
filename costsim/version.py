"""The version of costsim, wherever it runs from."""

from __future__ import annotations


def version() -> str:
    """The version of the installed package, or of the checkout it is run from."""
    from importlib import metadata

    try:
        return metadata.version("costsim")
    except metadata.PackageNotFoundError:
        import tomllib
        from pathlib import Path

        text = (Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8")
        return str(tomllib.loads(text)["project"]["version"])
