"""Step time, memory and money of a dense model, written again in plain Python, against what `plan` says.

The oracle follows docs/step-time.md and docs/economics.md and the papers they name, with every constant given here and
none read from the catalogue; numbers go in, numbers come out, one layout at a time, with ``if`` where the library has
arrays.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from costsim.plan import plan

MODEL = {
    "layers": 24,
    "hidden_size": 2048,
    "heads": 16,
    "kv_heads": 4,
    "head_size": 128,
    "ffn_size": 5632,
    "vocab_size": 50304,
    "gated_ffn": True,
    "tied_embeddings": False,
}
CHIP = {
    "peak": 300e12, "vector": 300e12, "bandwidth": 2e12, "memory": 60e9, "efficiency": 0.7, "thin": 0.8, "launch": 4e-6,
    "link": 250e9, "domain": 8, "link_latency": 2e-6, "card": 25e9, "hop": 5e-6, "node": 8, "watts": 900.0,
}  # fmt: skip
STACK = {
    "matmul": 0.92, "attention_efficiency": 0.45, "attention_backward": 2.6, "unfused_attention": 0,
    "memory_efficiency": 0.55, "elementwise": 0.6, "logits_bytes": 17, "accumulate_bytes": 7, "accumulate_fused": 0,
    "grouped_matmul": 0.7, "expert_imbalance": 1.1,
    "host_seconds": 0.0004, "host_tensor_growth": 0.5, "tensor_overlap": 0.35, "data_overlap": 0.02,
    "gather_overlap": 0.3, "context_overlap": 0.1, "expert_overlap": 0.3, "pipeline_exposed": 0.4,
    "scale_up_efficiency": 0.65, "scale_out_efficiency": 0.6, "ring_latency": 0.25, "straggler": 0.008,
    "recompute_selective": 0.07, "selective_kept": 0.5, "activation_factor": 1.1, "weight_bytes": 2,
    "gradient_bytes": 4, "layer_gradient_bytes": 1.5, "update_bytes": 9, "pipeline_outputs": 1,
    "low_precision_storage": 0, "communication_gradient_bytes": 2, "logits_memory_bytes": 6, "overhead_bytes": 1.5e9,
    "allocator_slack": 0.04, "memory_spread": 0.09, "offload_link": 20e9, "offload_memory": 30e9,
}  # fmt: skip
OPTIMIZER_BYTES = 12  # fp32 master copy and two fp32 moments
ACTIVATION_BYTES = 2  # a bf16 element


def oracle(layout: dict[str, Any], sequence: int, batch: int) -> tuple[dict[str, float], dict[str, float]]:
    """Exposed seconds of a step by cause, and bytes of the fullest device by kind."""
    m, c, s = MODEL, CHIP, STACK
    t, p, v, cp, dp = (layout[k] for k in ("tensor", "pipeline", "virtual_pipeline", "context", "data"))
    layers, h, ffn, vocab = m["layers"], m["hidden_size"], m["ffn_size"], m["vocab_size"]
    q_width, kv_width = m["heads"] * m["head_size"], m["kv_heads"] * m["head_size"]
    micro = batch // (dp * layout["micro_batch"])
    rows = layout["micro_batch"] * sequence / cp
    spread = t if layout["sequence_parallel"] else 1
    again = {"none": 0.0, "selective": s["recompute_selective"], "full": 1.0}[layout["recompute"]]
    passes = 3 if layout["recompute"] == "full" else 2
    rate = min(c["efficiency"] * s["matmul"], 0.97)
    slow_memory = c["bandwidth"] * s["memory_efficiency"]

    # -- kernels: four-norm of arithmetic and traffic, and a launch
    def product(k: float, n: float, peak: float = c["peak"]) -> float:
        arithmetic = 2 * rows * k * n / (peak * rate)
        traffic = 2 * (rows * k + k * n + rows * n) / (c["bandwidth"] * c["thin"])
        return (arithmetic**4 + traffic**4) ** 0.25 + c["launch"]

    products = product(h, (q_width + 2 * kv_width) / t) + product(q_width / t, h)
    products += product(h, 2 * ffn / t) + product(ffn / t, h)
    causal = 2 * (2 * q_width) * sequence / 2 * rows / t  # scores and values, half of the square
    core = causal / (c["vector"] * s["attention_efficiency"]) + c["launch"]
    compute = products * (3 + again) + core * (1 + s["attention_backward"] + again)
    traffic = s["elementwise"] * (22 * h / spread + 6 * ffn / t)
    per_layer = h * (q_width + 2 * kv_width) + q_width * h + 3 * h * ffn
    held = max(_parameters(per_layer, layout, stage) for stage in range(p))
    most, least = math.ceil(layers / p), math.floor(layers / p)
    summed = held / most * s["accumulate_bytes"] / (c["bandwidth"] * c["thin"])
    memory = rows * traffic * (2.6 + again) / slow_memory + summed
    launched = 2 * s["host_seconds"] * (1 + s["host_tensor_growth"] * math.log2(t) / 3)

    def paced(device: float, host: float) -> float:  # six-norm of device and host
        return (device**6 + host**6) ** (1 / 6)

    waiting = paced(compute + memory, launched * passes / 2) - (compute + memory)
    # the same layer without what is run again
    plain_compute = products * 3 + core * (1 + s["attention_backward"])
    plain = paced(plain_compute + rows * traffic * 2.6 / slow_memory + summed, launched)

    # -- collectives: rings inside a domain at the link, across at the cards that the group owns there
    def gather(nbytes: float, ranks: int, stride: int) -> tuple[float, float]:
        local = min(max(c["domain"] // stride, 1), ranks)
        domains = math.ceil(ranks / local)
        bandwidth = c["link"] * s["scale_up_efficiency"]
        if domains > 1:
            bandwidth = min(bandwidth, local * c["card"] * s["scale_out_efficiency"])
        latency = 7 * c["link_latency"] + ((domains - 1) * s["ring_latency"] + math.log2(domains)) * c["hop"]
        return (ranks - 1) / ranks * nbytes / bandwidth + latency, latency

    def reduce(nbytes: float, ranks: int) -> float:  # hierarchical: links inside, trees over the cards between domains
        local = min(c["domain"], ranks)
        domains = math.ceil(ranks / local)
        inside = 2 * (local - 1) / local * nbytes / (c["link"] * s["scale_up_efficiency"])
        between = 2 * (domains - 1) / domains * nbytes / (local * c["card"] * s["scale_out_efficiency"])
        return max(inside, between) + 2 * 7 * c["link_latency"] + 2 * math.log2(domains) * c["hop"]

    tensor = 0.0
    if t > 1:  # two all-reduces, or a gather and a scatter for each
        nbytes = rows * h * 2
        one_way = 2 * (2 * gather(nbytes, t, 1)[0] if layout["sequence_parallel"] else reduce(nbytes, t))
        tensor = passes * one_way * (1 - s["tensor_overlap"])
    context = 0.0
    if cp > 1:
        ring = gather(cp * rows * 2 * kv_width / max(1, min(t, m["kv_heads"])) * 2, cp, t)[0]
        hidden = s["context_overlap"] * (core + waiting / (1 + s["attention_backward"]))
        context = max(0.0, ring - hidden) + max(0.0, 2 * ring - s["attention_backward"] * hidden)

    # -- the head, on the last stage
    arithmetic = 2 * rows * h * vocab / t / (c["vector"] * rate)
    bytes_moved = 2 * (rows * h + rows * vocab / t + h * vocab / t) / (c["bandwidth"] * c["thin"])
    head_compute = 3 * ((arithmetic**4 + bytes_moved**4) ** 0.25 + c["launch"])
    head_memory = rows * vocab / t * s["logits_bytes"] / slow_memory

    # -- the pipeline: the heaviest stage sets the pace
    layer, head = compute + memory + tensor + context + waiting, head_compute + head_memory
    with_head = least * layer + head > most * layer
    n = least if with_head else most
    stage = n * layer + (head if with_head else 0.0)
    bubble = (p - 1) / v * (layers * layer + head) / p
    if p > 1:
        inside = t * cp * dp < c["domain"]
        speed = c["link"] * s["scale_up_efficiency"] if inside else c["card"] * s["scale_out_efficiency"]
        delay = 7 * c["link_latency"] if inside else c["hop"]
        bubble += 2 * micro * v * (rows * h * 2 / t / speed + delay) * s["pipeline_exposed"]

    # -- replicas
    replicas = dp * cp
    forward = (n * (plain + tensor * 2 / passes + context) + (head if with_head else 0.0)) / 3
    backward = stage - forward
    data = 0.0
    if replicas > 1:

        def whole(nbytes: float) -> float:
            seconds, latency = gather(held * nbytes, replicas, t)
            return seconds + (most - 1) * latency * s["ring_latency"]

        scatter, collect = whole(s["communication_gradient_bytes"]), whole(ACTIVATION_BYTES)
        if layout["sharding"] == "full":
            for transfer, busy in ((collect, forward), (collect + scatter, backward)):
                data += micro * max(transfer - s["gather_overlap"] * busy, 0.15 * min(transfer, busy))
        else:
            window = s["data_overlap"] * max(1.0, min(micro, p) * (1 - 1 / v))
            data = max(0.0, scatter - window * backward) + max(0.0, collect - window * forward)
    mine = held / (1 if layout["sharding"] == "none" else replicas)
    if layout["offload"] == "optimizer":
        update = mine * ((s["gradient_bytes"] + s["weight_bytes"]) / s["offload_link"] + 26 / s["offload_memory"])
    else:
        update = mine * 26 / slow_memory
    seconds = {
        "compute": micro * (n * compute + (head_compute if with_head else 0)),
        "memory_bound": micro * (n * memory + (head_memory if with_head else 0)),
        "tensor_comm": micro * n * tensor,
        "pipeline_bubble": bubble,
        "data_comm": data,
        "expert_comm": 0.0,
        "context_comm": micro * n * context,
        "optimizer": update,
        "host": micro * n * waiting,
    }
    nodes = max(1.0, t * p * cp * dp / c["node"])
    seconds["straggler"] = s["straggler"] * math.sqrt(2 * math.log(nodes)) * sum(seconds.values())
    return seconds, _bytes(per_layer, layout, rows, micro, spread)


def _layers(p: int) -> list[int]:
    """Layers of each stage: one fewer at both ends where two are missing, else on the last stages."""
    most = math.ceil(MODEL["layers"] / p)
    missing = most * p - MODEL["layers"]
    short = [0, p - 1] if missing == 2 else list(range(p - missing, p))
    return [most - (stage in short) for stage in range(p)]


def _parameters(per_layer: int, layout: dict[str, Any], stage: int) -> float:
    """Parameters of one rank of a stage; norms are whole on each tensor rank."""
    h, p, layers = MODEL["hidden_size"], layout["pipeline"], _layers(layout["pipeline"])[stage]
    ends = ((stage == 0) + (stage == p - 1)) * MODEL["vocab_size"] * h
    return (layers * per_layer + ends) / layout["tensor"] + 2 * h * layers + (h if stage == p - 1 else 0)


def _bytes(per_layer: int, layout: dict[str, Any], rows: float, micro: int, spread: int) -> dict[str, float]:
    """Bytes by kind on the fullest of all stages."""
    stages = [_stage_bytes(per_layer, layout, rows, micro, spread, r) for r in range(layout["pipeline"])]
    fullest = max(stages, key=lambda kinds: math.fsum(kinds.values()))
    fragments = STACK["allocator_slack"] * math.fsum(fullest.values())
    return {**fullest, "fragments": fragments, "overhead": STACK["overhead_bytes"]}


def _stage_bytes(
    per_layer: int, layout: dict[str, Any], rows: float, micro: int, spread: int, stage: int
) -> dict[str, float]:
    m, s = MODEL, STACK
    t, p, v, h = layout["tensor"], layout["pipeline"], layout["virtual_pipeline"], m["hidden_size"]
    replicas = layout["data"] * layout["context"]
    zero = ("none", "optimizer", "gradients", "full").index(layout["sharding"])
    held, layers, last = _parameters(per_layer, layout, stage), _layers(p)[stage], stage == p - 1
    vocabulary = m["vocab_size"] * h
    ends = ((stage == 0) + last) * vocabulary
    gathered = 2 * (2 * per_layer + ends) / t if zero == 3 else 0.0
    made = s["layer_gradient_bytes"] * (per_layer + last * vocabulary) / t
    owned = held / (replicas if zero >= 1 else 1) * (layout["offload"] == "none")

    q_width, kv_width = m["heads"] * m["head_size"], m["kv_heads"] * m["head_size"]
    split = 2 * q_width + 2 * kv_width + 3 * m["ffn_size"]  # queries, output, keys, values; gate, up and their product
    whole = rows * 2 * (split / t + 4 * h / spread) * s["activation_factor"]
    if layout["context"] > 1:  # attention's result in both orders of its exchange
        whole += rows * 2 * q_width / t
    state = rows * 2 * h / spread
    kept = {"none": whole, "selective": state + (whole - state) * s["selective_kept"], "full": state}
    stored = kept[layout["recompute"]]
    flight = p - stage if v == 1 else ((v - 1) * p + 2 * (p - stage - 1) + 1) / v
    held_states = (layers * stored + (state * s["pipeline_outputs"] if p > 1 else 0.0)) * min(micro, flight)
    backward = whole - stored + rows * 2 * (2 * m["ffn_size"] / t + 2 * h)
    head = rows * (m["vocab_size"] / t * s["logits_memory_bytes"] + 2 * h * (2 + 2 / spread))
    activations = held_states + max(backward, head if last else 0.0)
    return {
        "weights": s["weight_bytes"] * held / (replicas if zero == 3 else 1) + gathered,
        "gradients": s["gradient_bytes"] * held / (replicas if zero >= 2 else 1) + made,
        "optimizer": OPTIMIZER_BYTES * owned,
        "activations": max(activations, s["update_bytes"] * owned - gathered - made),
    }


def scenario(layout: dict[str, Any], sequence: int, batch: int) -> dict[str, Any]:
    """The same case as the program takes it."""
    c = CHIP
    stack = {**STACK, "host_seconds": f"{STACK['host_seconds']} s", "overhead_bytes": f"{STACK['overhead_bytes']} B"}
    links = {"switch": STACK["scale_up_efficiency"], "mesh": 0.5, "torus": 0.5}
    bus = {key: f"{STACK[key]} B/s" for key in ("offload_link", "offload_memory")}
    kernel = {"efficiency": c["efficiency"], "memory_efficiency": c["thin"], "launch": f"{c['launch']} s"}
    return {
        "costsim": 1,
        "name": "oracle",
        "start": "2025-01-01",
        "model": MODEL,
        "training": {"tokens": TOKENS, "sequence_length": sequence, "global_batch_sequences": batch},
        "cluster": {
            "accelerator": {
                "name": "chip",
                "released": "2024-01-01",
                "peak_flops": {"bf16": f"{c['peak']} FLOP/s"},
                "memory": {"capacity": f"{c['memory']} B", "bandwidth": f"{c['bandwidth']} B/s"},
                "scale_up": {
                    "bandwidth": f"{c['link']} B/s", "domain": c["domain"], "latency": f"{c['link_latency']} s",
                },
                "scale_out": {"bandwidth": f"{c['card']} B/s", "latency": f"{c['hop']} s"},
                "per_node": c["node"],
                "power": {"system": f"{c['watts']} W"},
                "kernels": {"matmul": {"bf16": kernel}},
            },
            "accelerators": layout["tensor"] * layout["pipeline"] * layout["context"] * layout["data"],
            "stack": {**stack, **bus, "scale_up_efficiency": links},
            "layout": layout,
            "failures": {
                "interruptions_per_accelerator_hour": RATE,
                "restart": "10 min",
                "checkpoint_write": "60 s",
                "checkpoint_every": "auto",
            },
        },
        "cost": {
            "basis": "own",
            "rent": {"usd_per_accelerator_hour": 2.0, "discount": "10%"},
            "own": {
                "usd_per_accelerator": 20_000, "server_factor": 1.5, "network_share": 0.2, "life": "4 years",
                "residual": "5%", "capital_cost": "8%", "method": "capital_recovery", "occupancy": 0.9,
                "operation": "4%", "age": "6 months",
            },
            "amortised": {"progress": 0.14},
            "site": {"electricity": "0.08 USD/kWh", "carbon": "250 gCO2/kWh", "pue": 1.25},
            "power_utilisation": 0.8,
            "research_multiplier": 3,
            "staff": "40%",
            "data": "100k USD",
            "contingency": 0,
        },
        "uncertainty": {"draws": 0},
    }  # fmt: skip


TOKENS, RATE = 20_000_000_000, 4e-5
SPLIT = {"virtual_pipeline": 1, "context": 1, "sequence_parallel": False, "recompute": "none", "offload": "none"}
LAYOUTS: dict[str, dict[str, Any]] = {
    "data": {**SPLIT, "tensor": 1, "pipeline": 1, "data": 32, "sharding": "optimizer", "micro_batch": 4},
    "one": {**SPLIT, "tensor": 1, "pipeline": 1, "data": 1, "sharding": "none", "micro_batch": 2},
    "tensor and pipeline": {
        **SPLIT, "tensor": 4, "pipeline": 4, "virtual_pipeline": 2, "data": 4, "sharding": "optimizer",
        "sequence_parallel": True, "micro_batch": 1, "recompute": "selective",
    },
    "uneven stages": {**SPLIT, "tensor": 2, "pipeline": 5, "data": 4, "sharding": "none", "micro_batch": 2},
    "stages inside a node": {**SPLIT, "tensor": 2, "pipeline": 2, "data": 2, "sharding": "gradients", "micro_batch": 4},
    "context": {
        **SPLIT, "tensor": 2, "pipeline": 1, "context": 4, "data": 8, "sharding": "optimizer", "micro_batch": 2,
        "sequence_parallel": True, "recompute": "full",
    },
    "sharded": {**SPLIT, "tensor": 1, "pipeline": 1, "data": 64, "sharding": "full", "micro_batch": 1},
    "offloaded": {
        **SPLIT, "tensor": 1, "pipeline": 1, "data": 16, "sharding": "optimizer", "micro_batch": 2,
        "offload": "optimizer",
    },
    "tensor over nodes": {**SPLIT, "tensor": 16, "pipeline": 1, "data": 4, "sharding": "optimizer", "micro_batch": 8},
}  # fmt: skip
SEQUENCE, BATCH = 4096, 128


@pytest.mark.parametrize("name", LAYOUTS)
def test_step_and_memory(name: str) -> None:
    layout = LAYOUTS[name]
    made = plan(scenario(layout, SEQUENCE, BATCH)).to_dict()
    seconds, nbytes = oracle(layout, SEQUENCE, BATCH)
    assert {k: v for k, v in made["layout"].items() if k in layout} == layout
    found = {key.removesuffix("_seconds"): value for key, value in made["step"]["breakdown"].items()}
    assert found == pytest.approx(seconds, rel=1e-9, abs=1e-12)
    assert made["step"]["step_seconds"] == pytest.approx(math.fsum(seconds.values()), rel=1e-9)
    held = {key: made["memory"][f"{key}_bytes"] for key in nbytes}
    assert held == pytest.approx(nbytes, rel=1e-9)
    peak = math.fsum(nbytes.values())
    assert made["memory"]["peak_bytes"] == pytest.approx(peak, rel=1e-9)
    z = math.log(CHIP["memory"] / peak) / STACK["memory_spread"]
    chance = 0.5 * math.erfc(-z / math.sqrt(2))
    assert made["memory"]["fit_probability"] == pytest.approx(chance, abs=1e-6)


def test_the_layouts_of_the_oracle_reach_every_term() -> None:
    every = [oracle(layout, SEQUENCE, BATCH)[0] for layout in LAYOUTS.values()]
    for term in every[0]:
        assert term == "expert_comm" or max(seconds[term] for seconds in every) > 0, term


def test_run_and_money() -> None:
    layout = LAYOUTS["tensor and pipeline"]
    made = plan(scenario(layout, SEQUENCE, BATCH)).to_dict()
    n, step = 64, math.fsum(oracle(layout, SEQUENCE, BATCH)[0].values())
    run, cost = made["run"], made["cost"]

    # FLOPs: 6 for each weight that multiplies (the head once, the embedding not), and causal attention
    h, layers = MODEL["hidden_size"], MODEL["layers"]
    per_layer = h * 128 * (16 + 2 * 4) + 16 * 128 * h + 3 * h * MODEL["ffn_size"]
    weights = layers * per_layer + h * MODEL["vocab_size"]
    total = weights + h * MODEL["vocab_size"] + (2 * layers + 1) * h
    assert made["model"]["parameters"] == total
    flops_per_token = 6 * weights + 3 * layers * 2 * (2 * 16 * 128) * SEQUENCE / 2
    assert made["compute"]["flops_per_token"] == pytest.approx(flops_per_token, rel=1e-12)
    assert made["step"]["mfu"] == pytest.approx(flops_per_token * SEQUENCE * BATCH / step / n / CHIP["peak"], rel=1e-9)

    # time: Young's interval, first order
    per_second = n * RATE / 3600
    lost = math.sqrt(2 * 60 * per_second) + 600 * per_second
    days = TOKENS / (SEQUENCE * BATCH) * step / 86400 * (1 + lost)
    hours = days * 24 * n
    assert run["wall_clock_days"] == pytest.approx(days, rel=1e-9)
    assert run["accelerator_hours"] == pytest.approx(hours, rel=1e-9)
    kwh = n * 900 / 1000 * 0.8 * 1.25 * days * 24
    assert run["energy_kwh"] == pytest.approx(kwh, rel=1e-9)
    assert run["carbon_tonnes"] == pytest.approx(kwh * 250 / 1e6, rel=1e-9)

    # money: 20,000 USD a chip, 1.5 with its server, a fifth of the whole is network
    price = 20_000 * 1.5 / 0.8
    annuity = 0.08 / (1 - 1.08**-4)
    capital = price * (0.95 * annuity + 0.05 * 0.08) / 8766
    operation = price * 0.04 / 8766
    own = hours * (capital + operation) / 0.9 + kwh * 0.08
    assert cost["bases"]["purchase_usd"] == pytest.approx(n * price, rel=1e-12)
    assert cost["bases"]["rent_usd"] == pytest.approx(hours * 1.8, rel=1e-9)
    assert cost["bases"]["own_usd"] == pytest.approx(own, rel=1e-9)
    value = price * 10 ** (-0.14 * 0.5)
    epoch = hours * value * 0.14 * math.log(10) / 8766 + kwh * 0.08
    assert cost["bases"]["amortised_usd"] == pytest.approx(epoch, rel=1e-3)  # the run's own wear is left out here
    assert cost["total_usd"] == pytest.approx(own, rel=1e-9)
    assert cost["programme_usd"] == pytest.approx((3 * own + 100_000) / 0.6, rel=1e-9)


def test_a_run_of_one_hour_by_hand() -> None:
    """8 accelerators at 40 % of 300 TFLOP/s for an hour, rented at 2 USD: 16 dollars.

    8 x 0.4 x 300e12 x 3600 s = 3.456e18 FLOP.
    """
    base = scenario(LAYOUTS["data"], SEQUENCE, BATCH)
    base["cluster"] |= {"accelerators": 8, "mfu": 0.4, "goodput": 1, "layout": "auto"}
    base["cost"] = {"rent": {"usd_per_accelerator_hour": 2.0}, "research_multiplier": 1, "staff": 0, "contingency": 0}
    weights = plan(base).to_dict()["compute"]["flops_per_token"]
    base["training"]["tokens"] = round(3.456e18 / weights)
    made = plan(base).to_dict()
    assert made["run"]["wall_clock_days"] * 24 == pytest.approx(1, rel=1e-6)
    assert made["run"]["accelerator_hours"] == pytest.approx(8, rel=1e-6)
    assert made["cost"]["total_usd"] == pytest.approx(16, rel=1e-6)
    assert made["cost"]["programme_usd"] == pytest.approx(16, rel=1e-6)
