"""Defects of other predictors of training time, memory and cost, each as a test that costsim does not have it.

Tested elsewhere, and not again here:

- memory, in ``test_memory.py``: the square of the sequence stored with fused attention (Calculon, EleutherAI);
  gradients not divided by tensor and pipeline ranks (EleutherAI); active in place of all experts (llmfit #230);
  activations of experts as of a dense block (Megatron-LM #1784, #6782);
- stages, in ``test_stages.py``: uneven stages averaged (Megatron-Bridge #5077); routed experts divided by tensor ranks
  (Megatron-LM #4050, #4687, Megatron-Bridge #3744);
- hardware files, in ``test_hardware_facts.py``: sparse peaks, links per node, GB for GiB, one by one;
- the bubble's size, in ``test_schedule.py``; overlap and every other direction, in ``test_step_properties.py``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import yaml
from plan_cases import FULL, SMALL, changed
from training_cases import CHIP, GPT_22B, LLAMA_8B, LLAMA_70B, NETWORK, STACK, WORK, layout, stack

from costsim.evidence.predictions import predict
from costsim.evidence.table import shipped
from costsim.inputs.build import Drawn, build
from costsim.inputs.catalogue import data_text
from costsim.inputs.scenario import load_scenario
from costsim.plan import plan
from costsim.training import schedule
from costsim.training.architecture import Experts, parameters
from costsim.training.device import Workload
from costsim.training.layout import Layout

MIXTRAL = replace(LLAMA_8B, vocab_size=32000, experts=Experts(8, 2, 14336))
EXPOSED = stack(data_overlap=0.0, gather_overlap=0.0, straggler=0.0)
ALONE = replace(NETWORK, scale_up_domain=1.0, scale_out_latency=0.0, scale_up_latency=0.0)
"""Every accelerator with a network card of its own and nothing faster."""


def step(a, lay, *, chip=CHIP, network=NETWORK, software=STACK, work=WORK):
    return schedule.step(a, chip, network, software, lay, work)


def seconds(a, lay, **parts):
    return float(step(a, lay, **parts).seconds)


# --- sharded weights: llm-analysis ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharding", [0.0, 1.0, 2.0])
def test_weights_are_gathered_for_every_micro_batch_under_full_sharding_only(sharding):
    # It gathered them layer by layer at every ZeRO stage: 175 to 190 % too slow.
    few, many = layout(8, Workload(8192.0, 16.0)), layout(8, Workload(8192.0, 160.0))

    def data(lay, kind):
        return float(step(LLAMA_8B, replace(lay, sharding=kind), network=ALONE, software=EXPOSED).data_comm_seconds)

    assert data(many, sharding) == pytest.approx(data(few, sharding), rel=1e-12)
    assert data(many, 3.0) == pytest.approx(10 * data(few, 3.0), rel=1e-12)


def test_gathered_weights_are_those_of_a_tensor_rank():
    p = parameters(LLAMA_70B)
    data = {
        tensor: float(
            step(
                LLAMA_70B,
                layout(8 * int(tensor), tensor=tensor, sharding=3.0),
                network=ALONE,
                software=EXPOSED,
            ).data_comm_seconds
        )
        for tensor in (1.0, 8.0)
    }
    assert data[8.0] == pytest.approx(data[1.0] / 8, rel=1e-3)  # norms are whole on each
    # Each of 64 micro-batches: two gathers of 2 bytes, a scatter of 4; 7/8 of them over one card at 0.64.
    assert data[1.0] == pytest.approx(64 * 7 / 8 * 8 * p.total / (50e9 * 0.64), rel=1e-9)


@pytest.mark.parametrize("sharding", [0.0, 1.0, 3.0])
def test_time_falls_steadily_with_efficiency(sharding):
    # A larger efficiency made some of its runs slower.
    lay = layout(64, tensor=4.0, sharding=sharding)
    times = [seconds(LLAMA_70B, lay, software=stack(matmul=0.05 * n)) for n in range(2, 25)]
    assert times == sorted(times, reverse=True)


def test_groups_that_share_a_node_share_its_network_cards():
    # Calculon gave every data-parallel group the cards of the whole node. Eight ranks of a node in one group drive
    # eight cards; with eight tensor ranks, each of eight groups has one.
    assert NETWORK.scale_up_domain == 8
    slow = replace(NETWORK, scale_out_bandwidth=5e9, scale_up_latency=0.0, scale_out_latency=0.0)
    held = (1e9, 0.0)

    def data(lay):
        return float(schedule.data_exchange(LLAMA_8B, slow, EXPOSED, lay, WORK, held, 0.0, 0.0))

    together, apart = data(Layout(data=64.0)), data(Layout(tensor=8.0, data=64.0))
    assert apart == pytest.approx(8 * together, rel=1e-12)


# --- answers that predictions must not see: llm-analysis, LLMCarbon ---------------------------------------------------


@pytest.mark.parametrize("regime", ["shipped", "known_stack", "new_source", "new_stack"])
def test_a_prediction_does_not_change_with_what_was_measured(regime):
    # Both were "validated" with the FLOP/s that the papers report as an input.
    rows = [dict(row.cells) for row in shipped("throughput").rows][::29]
    slower = [r | {c: f"{0.7 * float(r[c]):.6g}" for c in SPEED if numeric(r.get(c, ""))} for r in rows]
    one, other = (predict("step", table, regime)[0] for table in (rows, slower))
    assert len(one) == len(other) > 10
    for before, after in zip(one, other, strict=True):
        assert after.predicted == before.predicted
        assert after.quantiles == before.quantiles
    assert any(after.measured != before.measured for before, after in zip(one, other, strict=True))


SPEED = ("step_time_s", "seqs_per_s", "tok_per_s", "tok_per_s_per_device", "tflops_per_device", "mfu_pct", "hfu_pct")


def numeric(text: str) -> bool:
    return text.replace(".", "", 1).isdigit()


# --- names and sizes: BudSim ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bloom-176b", "deepseek-v3"])
def test_the_name_of_a_model_does_not_matter(name, tmp_path):
    # "BLOOM-176B" had an MFU of 0.283 and the same shape called "my-176B" 0.382. (The scenario's name:
    # test_names_do_not_matter.)
    fields = yaml.safe_load(data_text(f"models/{name}.yaml")[1])
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({k: v for k, v in fields.items() if k != "aliases"} | {"name": "x", "title": "X"}))
    said = {"cluster.accelerators": 512, "cluster.accelerator": "h100-sxm", "cluster.layout": "auto"}
    one, other = (plan(changed(SMALL, said | {"model": m}), draws=0).point.values for m in (name, str(mine)))
    assert one == other


MODELS = ["gpt2-xl", "llama-3.1-8b", "llama-3.1-70b", "mixtral-8x7b", "deepseek-v2-lite", "gemma-2-27b"]
CHIPS = {"a100-80gb-sxm": 312e12, "h100-sxm": 989.4e12, "tpu-v5p": 459e12, "mi300x": 1307.4e12}


def test_step_time_and_mfu_agree():
    # BudSim multiplied one of them, not the other, by a factor of the number of accelerators ("phase 14").
    dice = random.Random(7)
    for _ in range(100):
        model, (name, peak) = dice.choice(MODELS), dice.choice(sorted(CHIPS.items()))
        said = {
            "model": model,
            "cluster.accelerator": name,
            "cluster.accelerators": 2 ** dice.randint(3, 10),
            "training.sequence_length": dice.choice([1024, 4096]),
            "training.global_batch_sequences": 1024,
            "cluster.layout": {"tensor": 1, "pipeline": 1, "micro_batch": 1},
        }
        found = plan(changed(SMALL, said), draws=0).point.values
        model_flops = found["compute.flops_per_token"] * found["step.tokens"]
        available = found["step.step_seconds"] * peak * said["cluster.accelerators"]
        assert found["step.mfu"] == pytest.approx(model_flops / available, rel=1e-9), said
        parts = [v for k, v in found.items() if k.startswith("step.breakdown.")]
        assert sum(parts) == pytest.approx(found["step.step_seconds"], rel=1e-9)
        assert 0 < found["step.mfu"] < found["step.hfu"] + 1e-12 < 1


def test_nothing_jumps_with_the_number_of_accelerators():
    # Weak scaling from 2 to 32,768 nodes: rings end at once the buffer, hops and stragglers grow with the logarithm.
    times = [seconds(LLAMA_8B, Layout(tensor=8.0, data=float(2**n), gradient_accumulation=4.0)) for n in range(1, 16)]
    growth = [b / a for a, b in pairwise(times)]
    assert all(0.999 < g < 1.05 for g in growth), growth


# --- parts that were left out, or counted too often: llm-analysis, Calculon -------------------------------------------


def test_stages_wait_for_each_other():
    # llm-analysis has no bubble: eight stages with eight micro-batches lose 7/8 of their work again.
    work = Workload(4096.0, 8.0)
    lay = Layout(pipeline=8.0, gradient_accumulation=8.0)
    terms = step(GPT_22B, lay, work=work, software=stack(straggler=0.0, pipeline_exposed=0.0))
    busy = float(terms.compute_seconds + terms.memory_bound_seconds + terms.host_seconds)
    assert float(terms.pipeline_bubble_seconds) == pytest.approx(7 / 8 * busy, rel=0.1)


@pytest.mark.parametrize("recompute", [0.0, 1.0, 2.0])
def test_overlap_with_recomputation_hides_and_does_not_add(recompute):
    # Calculon's 1.7B run went from 2.90 to 5.51 s as overlap was turned on.
    lay = layout(64, tensor=2.0, recompute=recompute)
    times = [seconds(LLAMA_8B, lay, software=stack(data_overlap=0.1 * n, gather_overlap=0.1 * n)) for n in range(11)]
    assert times == sorted(times, reverse=True)
    assert times[-1] < times[0]


def test_fused_attention_reads_and_writes_no_scores():
    one_long = layout(8, Workload(131072.0, 8.0))
    many_short = layout(8, Workload(2048.0, 512.0), micro_batch=64.0)
    traffic = [
        float(step(LLAMA_8B, lay, work=work).memory_bound_seconds)
        for lay, work in ((one_long, Workload(131072.0, 8.0)), (many_short, Workload(2048.0, 512.0)))
    ]
    assert traffic[0] == pytest.approx(traffic[1], rel=1e-3)
    passes = [
        float(step(LLAMA_8B, lay, work=work, software=stack(unfused_attention=1.0)).compute_seconds)
        for lay, work in ((one_long, Workload(131072.0, 8.0)), (many_short, Workload(2048.0, 512.0)))
    ]
    assert passes[0] > 5 * passes[1]


@pytest.mark.parametrize("tied", [False, True])
def test_the_vocabulary_takes_time(tied):
    # Calculon has no time of the embedding and the head.
    small = replace(LLAMA_8B, vocab_size=32000, tied_embeddings=tied)
    large = replace(small, vocab_size=256000)
    lay = Layout(gradient_accumulation=4.0)
    more = [
        getattr(step(large, lay), k) - getattr(step(small, lay), k) for k in ("compute_seconds", "memory_bound_seconds")
    ]
    tokens = 4 * WORK.sequence_length
    at_peak = 6 * tokens * 4096 * (256000 - 32000) / CHIP.matmul_flops
    assert at_peak < float(more[0]) < 2 * at_peak
    assert float(more[1]) > tokens * (256000 - 32000) * STACK.logits_bytes / CHIP.memory_bandwidth


def test_the_update_is_done_once_a_step():
    # Calculon's total efficiency counted the optimizer's work for every micro-batch.
    def update(turns, **keys):
        return float(step(LLAMA_8B, Layout(data=8.0, gradient_accumulation=turns, **keys)).optimizer_seconds)

    assert update(1.0) == update(64.0) > 0
    assert update(64.0, sharding=3.0) == pytest.approx(update(1.0, sharding=0.0) / 8, rel=1e-12)
    point = [
        plan(changed(SMALL, {"training.global_batch_sequences": b}), draws=0).point.values for b in (128, 128 * 64)
    ]
    assert point[0]["compute.flops_per_token"] == point[1]["compute.flops_per_token"]  # of MFU: of the model alone


def test_all_experts_are_summed_and_updated():
    # Active parameters in place of all: time of the optimizer as well as memory (llmfit #230).
    lay = Layout()
    sparse, dense = (float(step(a, lay).optimizer_seconds) for a in (MIXTRAL, replace(MIXTRAL, experts=None)))
    ratio = parameters(MIXTRAL).total / parameters(replace(MIXTRAL, experts=None)).total
    assert sparse / dense == pytest.approx(ratio, rel=1e-9)
    assert ratio > 5


# --- units, from the file to the core: a calculator on HF Spaces, llm-analysis, SimuMax -------------------------------


@pytest.mark.parametrize(
    ("name", "precision", "peak", "memory", "card", "link"),
    [
        ("a100-80gb-sxm", "bf16", 312e12, 80, 25e9, 300e9),
        ("h100-sxm", "bf16", 989.4e12, 80, 50e9, 450e9),
        ("h100-sxm", "fp8", 1978.9e12, 80, 50e9, 450e9),
    ],
)
def test_peaks_are_dense_and_links_are_of_one_accelerator(name, precision, peak, memory, card, link):
    # 624 and 1,979 TFLOP/s were taken for 16 bits; 400 GB/s between nodes for one GPU; 80 GB for 80 GiB.
    said: Mapping[str, Any] = {
        "cluster.accelerator": name,
        "cluster.accelerators": 64,
        "training.precision": precision,
    }
    scenario = load_scenario(changed(FULL, said))
    training = build(scenario, Drawn.centre(scenario)).training
    assert training.peak_flops == pytest.approx(peak, rel=1e-3)
    assert float(training.chip.matmul_flops) == pytest.approx(peak, rel=1e-3)
    assert 0.97 * memory * 2**30 < float(training.chip.memory_bytes) <= memory * 2**30
    assert float(training.network.scale_out_bandwidth) == pytest.approx(card)
    assert float(training.network.scale_up_bandwidth) == pytest.approx(link)


def test_collectives_are_of_bytes_and_not_of_elements():
    # aiconfigurator's message sizes are elements: a scatter of 16-bit gradients takes half as long as of 32-bit ones.
    data = [
        float(
            schedule.data_exchange(
                LLAMA_8B, ALONE, replace(EXPOSED, communication_gradient_bytes=nbytes), Layout(data=8.0),
                replace(WORK, activation_bytes=0.0), (1e9, 0.0), 0.0, 0.0,
            )
        )
        for nbytes in (2.0, 4.0)
    ]  # fmt: skip
    assert data[1] == pytest.approx(2 * data[0], rel=1e-12)
    assert data[1] == pytest.approx(7 / 8 * 4e9 / (50e9 * 0.64), rel=1e-9)
