"""Which kind of file a YAML file is, by the keys at its top."""

from __future__ import annotations

from collections.abc import Mapping

from costsim.inputs.source import Source

SIGNS: Mapping[str, frozenset[str]] = {
    "scenario": frozenset({"training", "cluster", "question", "model"}),
    "hardware": frozenset({"peak_flops", "scale_up", "memory"}),
    "stack": frozenset({"matmul", "family", "host_seconds"}),
    "site": frozenset({"electricity", "carbon", "pue"}),
    "law": frozenset({"transfer", "loss_unit", "counts"}),
    "model": frozenset({"hidden_size", "published_parameters", "heads"}),
    "book": frozenset({"prices"}),
    "calibration": frozenset({"schema", "verdict", "software", "convention"}),
}
"""Top keys that tell the kind of a YAML file; the kind with the most of them is taken."""


def kind_of_file(source: Source) -> str:
    """What a YAML file describes: a scenario unless its keys say otherwise."""
    keys = _keys(source)
    return max(SIGNS, key=lambda kind: len(SIGNS[kind] & keys))


def looks_like(source: Source) -> str:
    """What a YAML file describes, with its article; empty where no key says it."""
    kind = kind_of_file(source)
    if not SIGNS[kind] & _keys(source):
        return ""
    return {"hardware": "a hardware file", "book": "a price book"}.get(kind, f"a {kind}")


def _keys(source: Source) -> set[str]:
    return set(source.value) if isinstance(source.value, dict) else set()
