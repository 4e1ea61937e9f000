"""Where the layouts of real runs stand in the search of their own clusters.

    python benchmarks/published_layouts.py [--evidence FILE]

Scenarios that print their layout, one by one; then published measurements with a printed layout, by source. For each:

* place: where the layout that was run stands among those that fit in the model's eyes, itself included;
* best/own: the step time of the model's best layout over that of the one that was run, both predicted. 1: the same.

What was run need not be the best: sweeps run every layout on purpose, and a run has reasons that are not its step time.
What the model puts far before it is either better or a fault of the model; the largest gaps are listed.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import costsim
from costsim.errors import InputError
from costsim.inputs.catalogue import names
from costsim.ranked import search_layouts
from costsim.render.sections import layout_words

EVIDENCE = Path(costsim.__file__).parent / "data" / "evidence" / "throughput.csv"
FRAMEWORKS = (
    ("vTrain", "megatron-2021"),
    ("Megatron-DeepSpeed", "megatron-2021"),
    ("Megatron-LM + TransformerEngine", "megatron-core"),
    ("Megatron-LM", "megatron-2021"),
    ("NeMo/Megatron", "mlperf-nvidia"),
    ("NeMo", "nemo"),
    ("Meta internal 4D", "megatron-core"),
    ("Megatron-Core", "megatron-core"),
    ("MegaScale", "megatron-core"),
    ("Composer", "fsdp"),
    ("InternEvo", "deepspeed"),
    ("FSDP", "torchtitan"),
    ("torchtitan", "torchtitan"),
    ("MaxText", "maxtext"),
)
"""Words of a framework's name, and the stack that stands for it; the first that matches."""
DEGREES = {"tp": "tensor", "pp": "pipeline", "vpp": "virtual_pipeline", "cp": "context", "ep": "expert"}
GAPS = 8


@dataclass(frozen=True)
class Place:
    """Where one run's layout stands.

    Attributes:
        label: of the run.
        rank: its place.
        fitting: layouts that fit, this one included.
        ratio: best step time over its own.
        fits: the probability that the own layout fits.
        own: the layout that was run, in words.
        best: the model's.
    """

    label: str
    rank: int
    fitting: int
    ratio: float
    fits: float
    own: str
    best: str


def placed(label: str, scenario: str | Mapping[str, Any]) -> Place:
    """Search the cluster of a run."""
    found = search_layouts(scenario, top=1)
    own, best = found["own"], found["layouts"][0]
    if own is None:
        raise InputError([])
    return Place(
        label,
        own["rank"],
        found["fitting"] + (not own["considered"]),
        best["step_seconds"] / own["step_seconds"],
        own["fit_probability"],
        ", ".join(layout_words(own["layout"])),
        ", ".join(layout_words(best["layout"])),
    )


def scenario_of(row: Mapping[str, str]) -> dict[str, Any]:
    """A row of evidence as a scenario.

    Raises:
        ValueError: what a scenario needs is not printed, or has no counterpart here.
    """
    stack = next((stack for word, stack in FRAMEWORKS if word in row["framework"]), None)
    if stack is None or not row["tp"] or not row["seq_len"] or row["mla"] or int(float(row["n_devices"] or 0)) < 16:
        raise ValueError("no stack, layout, sequence length or plain attention; or too few devices to choose from")
    number = {key: int(float(row[key])) for key in (*DEGREES, "n_devices", "seq_len", "micro_batch") if row[key]}
    batch = row["global_batch_seqs"] or float(row["global_batch_tokens"]) / number["seq_len"]
    model: dict[str, Any] = {
        "layers": int(row["layers"]),
        "hidden_size": int(row["d_model"]),
        "heads": int(row["n_heads"]),
        "kv_heads": int(row["n_kv_heads"]),
        "head_size": int(float(row["head_dim"])),
        "vocab_size": int(row["vocab"]),
        "gated_ffn": row["gated_ffn"] == "true",
        "tied_embeddings": row["tied_embeddings"] == "true",
    }
    if row["d_ff"]:
        model["ffn_size"] = int(row["d_ff"])
    if row["moe_experts"]:
        shared = int(row["moe_shared"] or 0)
        width = int(row["moe_d_ff"])
        model["experts"] = {"routed": int(row["moe_experts"]), "active": int(row["moe_top_k"]), "ffn_size": width}
        model["experts"] |= {"shared": shared, "shared_ffn_size": width} if shared else {}
    layout: dict[str, Any] = {name: number[key] for key, name in DEGREES.items() if key in number}
    layout |= {"micro_batch": number["micro_batch"]} if "micro_batch" in number else {}
    layout |= {"recompute": row["recompute"]} if row["recompute"] in ("none", "selective", "full") else {}
    layout |= {"sharding": "full"} if "FULL_SHARD" in row["sharding"] or "FSDP" in row["sharding"] else {}
    layout |= {"sharding": "optimizer"} if row["sharding"].startswith("ZeRO-1") else {}
    precision = "fp8" if row["precision"] in ("fp8", "mxfp8") else "fp16" if row["hardware"] == "V100" else "bf16"
    return {
        "costsim": 1,
        "name": row["id"],
        "start": "2024-01-01",
        "model": model,
        "training": {
            "tokens": "1T",
            "sequence_length": number["seq_len"],
            "global_batch_sequences": int(float(batch)),
            "precision": precision,
        },
        "cluster": {
            "accelerator": row["hardware"],
            "accelerators": number["n_devices"],
            "stack": stack,
            "layout": layout,
        },
        "cost": {"rent": {"usd_per_accelerator_hour": 1}},  # of no matter here
        "uncertainty": {"draws": 0},
    }


def of_scenarios() -> list[Place]:
    """Shipped scenarios whose layout is printed."""
    found = []
    for name in names("scenarios"):
        if isinstance(costsim.load_scenario(name).fields.cluster.layout, str):
            continue
        found.append(placed(name, name))
    return found


def of_evidence(path: Path) -> tuple[dict[str, list[Place]], int]:
    """Measurements by source group, and how many rows could not be placed."""
    groups: dict[str, list[Place]] = defaultdict(list)
    skipped = 0
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                place = placed(row["id"], scenario_of(row))
                groups[row["source_group"]].append(place)
            except (ValueError, InputError):
                skipped += 1
    return groups, skipped


def print_groups(groups: Mapping[str, list[Place]], skipped: int) -> None:
    """A line a source, then the runs with the largest gaps."""
    print("\n| source | runs | median place | median of fitting | within 10 % of the best | best/own, median | least |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    every = [place for places in groups.values() for place in places]
    for name, places in [*sorted(groups.items()), ("all", every)]:
        ratios = [p.ratio for p in places]
        near = sum(ratio >= 1 / 1.1 for ratio in ratios)
        middle = [statistics.median(x) for x in ([p.rank for p in places], [p.fitting for p in places], ratios)]
        line = f"| {name} | {len(places)} | {middle[0]:.0f} | {middle[1]:.0f} | {near} | {middle[2]:.2f} |"
        print(f"{line} {min(ratios):.2f} |")
    print(f"\n{skipped} rows are not placed: what a search needs is not printed, or the layout is not legal here.\n")
    for place in sorted(every, key=lambda p: p.ratio)[:GAPS]:
        print(f"* {place.label}: {place.ratio:.2f}; fits {place.fits:.0%}; ran {place.own}; best {place.best}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--evidence", type=Path, default=EVIDENCE)
    path = parser.parse_args().evidence
    print("| scenario | place | of | best/own | own fits | the model's best |\n|---|--:|--:|--:|--:|---|")
    for p in of_scenarios():
        print(f"| {p.label} | {p.rank:,} | {p.fitting:,} | {p.ratio:.2f} | {p.fits:.0%} | {p.best} |")
    if path.exists():
        print_groups(*of_evidence(path))


if __name__ == "__main__":
    main()
