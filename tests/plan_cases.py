"""Scenarios as mappings, for tests of whole plans: a small one, one with every section, and both with parts changed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

SMALL: dict[str, Any] = {
    "costsim": 1,
    "name": "small",
    "model": "gpt2",
    "training": {"tokens": "10B", "sequence_length": 1024, "global_batch_sequences": 512, "precision": "bf16"},
    "cluster": {
        "accelerator": "a100-80gb-sxm",
        "accelerators": 8,
        "layout": {"tensor": 1, "pipeline": 1, "sharding": "optimizer", "micro_batch": 16, "recompute": "none"},
    },
    "cost": {"rent": {"usd_per_accelerator_hour": 1.75}, "research_multiplier": 2, "staff": "20%", "contingency": 0},
    "uncertainty": {"draws": 0},
}
"""One node, points only, no sections but the required ones."""

FULL: dict[str, Any] = {
    **SMALL,
    "name": "full",
    "question": "Is it repaid?",
    "start": "2026-01-01",
    "model": "llama-3.1-8b",
    "training": {
        "tokens": "1T",
        "unique_tokens": "800B",
        "sequence_length": 8192,
        "global_batch_sequences": 256,
        "precision": "bf16",
        "optimizer": {"name": "adamw", "moments": "bf16"},
    },
    "cluster": {
        "accelerator": "h100-sxm",
        "accelerators": 128,
        "stack": "megatron-core",
        "layout": {"tensor": 2, "pipeline": 2, "context": 1, "sharding": "optimizer", "micro_batch": 1},
    },
    "cost": {
        "basis": "rent",
        "rent": {"usd_per_accelerator_hour": "2 to 3 USD/h"},
        "own": {"usd_per_accelerator": "25k to 30k USD"},
        "site": {"electricity": "0.05 to 0.09 USD/kWh", "carbon": "300 gCO2/kWh", "pue": 1.2},
        "research_multiplier": "2 to 6",
        "staff": "30%",
        "data": "1M USD",
        "storage": "2%",
        "network": {"usd": "10k USD", "share": "1%"},
        "contingency": "5%",
    },
    "serving": {
        "accelerator": "h100-sxm",
        "accelerators_per_replica": 1,
        "precision": "fp8",
        "input_tokens": 2000,
        "output_tokens": 500,
        "speed": "40 tokens/s",
        "cached_share": "50%",
        "batch_share": "10%",
        "occupancy": "40% to 60%",
        "usd_per_accelerator_hour": 2.5,
    },
    "demand": {
        "peak": "10B to 200B tokens/day",
        "ramp": {"kind": "logistic", "midpoint": "3 months", "width": "1 month"},
        "life": "18 months",
        "launch_delay": "2 months",
        "paid_share": "90%",
    },
    "price": {"input": "0.2 USD/Mtok", "output": "0.8 USD/Mtok", "cached_input": "20%", "batch": "50%"},
    "finance": {
        "discount_rate": "10%",
        "debt": {"share": "50%", "rate": "9%", "due": "24 months"},
        "cash": "1M USD",
        "fixed_costs": "20k USD/month",
    },
    "uncertainty": {"draws": 400, "seed": 3},
}
"""Every section, with ranges; in some draws the programme is never repaid."""


def changed(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a scenario with parts replaced, by dotted path; ``...`` takes a part out."""
    made: dict[str, Any] = copy.deepcopy(dict(base))
    for path, value in changes.items():
        *parents, last = path.split(".")
        here: Any = made
        for parent in parents:
            if isinstance(here, list):
                here = here[int(parent)]
                continue
            if not isinstance(here.get(parent), dict | list):
                here[parent] = {}
            here = here[parent]
        if value is ...:
            here.pop(last, None)
        elif isinstance(here, list):
            here[int(last)] = value
        else:
            here[last] = copy.deepcopy(value)
    return made
