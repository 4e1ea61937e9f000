"""A stand-in for the predictions: errors that depend on a row's id alone, so that scores are the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from costsim.evidence.predicted import Omitted, Predicted, Regime, What

Z = {"p5": -1.6449, "p10": -1.2816, "p25": -0.6745, "p75": 0.6745, "p90": 1.2816, "p95": 1.6449}
SPREAD = {"known_stack": 0.08, "new_source": 0.12, "new_stack": 0.15, "shipped": 0.1}
COLUMNS = {"step": "step_time_s", "memory": "peak_mem_gib", "hours": "device_hours_used"}
UNITS = {"step": 1.0, "memory": 2.0**30, "hours": 1.0}


def deviate(text: str) -> float:
    """A number of a standard normal distribution, drawn by a text."""
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return float(np.random.default_rng(seed).standard_normal())


def predict(
    what: What, rows: Sequence[Mapping[str, str]], regime: Regime
) -> tuple[list[Predicted], list[Omitted], list[Omitted]]:
    """Predict rows with a measured value, known layers and devices; rows on Trainium are skipped."""
    found: list[Predicted] = []
    ineligible: list[Omitted] = []
    skipped: list[Omitted] = []
    for row in rows:
        text = row.get(COLUMNS[what], "")
        if not text:
            ineligible.append(Omitted(row["id"], "no measured value"))
        elif not row.get("layers"):
            ineligible.append(Omitted(row["id"], "no shape"))
        elif row.get("hardware") == "Trn1":
            skipped.append(Omitted(row["id"], "no hardware of the catalogue is called 'Trn1'"))
        else:
            found.append(predicted(what, row, float(text) * UNITS[what], regime))
    return found, ineligible, skipped


def predicted(what: What, row: Mapping[str, str], measured: float, regime: Regime) -> Predicted:
    sigma = SPREAD[regime]
    centre = measured * float(np.exp(sigma * deviate(f"{regime} {row['id']}")))
    subset: dict[str, object] = {}
    if what == "step":
        subset = {"has_layout": bool(row.get("tp")), "experts": bool(row.get("moe_experts"))}
    elif what == "memory":
        subset = {"counter": "reserved" if "reserved" in row.get("memory_kind", "") else "allocated"}
    return Predicted(
        row=row,
        regime=regime,
        measured=measured,
        predicted=centre,
        quantiles={name: centre * float(np.exp(sigma * z)) for name, z in Z.items()},
        subset=subset,
        ideal=None if what == "memory" else measured * float(np.exp(-0.9 + 0.3 * deviate(f"ideal {row['id']}"))),
        constant_key=(row.get("hardware", ""), row.get("precision", "")),
        notes=(f"{row.get('hardware', '')} as it is called",),
        fit_probability=0.95 if what == "memory" else None,
    )
