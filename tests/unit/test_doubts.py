"""Figures of a row that contradict each other: what is impossible is skipped, the rest is predicted and said."""

from __future__ import annotations

import pytest

from costsim.evidence.columns import kind_of
from costsim.evidence.predictions import predict

ROW = {
    "id": "one", "source_group": "somebody", "layers": "32", "d_model": "4096", "n_heads": "32", "n_kv_heads": "8",
    "head_dim": "128", "d_ff": "14336", "gated_ffn": "true", "vocab": "128256", "hardware": "H100-SXM",
    "n_devices": "96", "framework": "Megatron-LM", "date": "2025", "tp": "1", "pp": "1", "dp": "", "micro_batch": "1",
    "grad_accum": "", "sharding": "ZeRO-1", "recompute": "none", "seq_len": "4096", "global_batch_seqs": "192",
    "precision": "bf16", "tok_per_s_per_device": "6400",
}  # fmt: skip
MIXTURE = ROW | {"moe_experts": "8", "moe_top_k": "2", "moe_d_ff": "2048", "d_ff": "8192", "ep": "8"}
MIXTURE |= {"tok_per_s_per_device": "9000"}
RUN = {
    key: ROW[key] for key in ("id", "layers", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff", "gated_ffn",
                              "vocab", "hardware", "date")
} | {"tokens_b": "1000", "n_devices": "256", "device_hours_used": "110000"}  # fmt: skip
NO_SPEED = {"tok_per_s_per_device": ""}


def notes(what: str, row: dict[str, str]) -> str:
    done, ineligible, skipped = predict(what, [row], "shipped")
    assert (ineligible, skipped) == ([], [])
    return "\n".join(done[0].notes)


DOUBTS = ("which does not divide", "whole micro-batches", "no multiple", "was not used", "are not the", "fraction",
          "one expert a token", "grad_accum", "not known", "not understood", "devices make")  # fmt: skip


@pytest.mark.parametrize(("what", "row"), [("step", ROW), ("step", MIXTURE), ("hours", RUN)])
def test_a_row_without_contradictions_has_no_doubts(what, row) -> None:
    said = notes(what, row)
    assert [doubt for doubt in DOUBTS if doubt in said] == []


@pytest.mark.parametrize(
    ("row", "changes", "reason"),
    [
        (ROW, {"pp": "48"}, "pp is 48, more than layers, 32"),
        (MIXTURE, {"ep": "16"}, "ep is 16, more than moe_experts, 8"),
        (ROW, NO_SPEED | {"mfu_pct": "140"}, "mfu_pct is 140: no chip does more than 100 %"),
        (ROW, {"hfu_pct": "101"}, "hfu_pct is 101"),
        (ROW, {"tok_per_s_per_device": "64000"}, "of the chip's peak, 989 TFLOP/s"),
        (ROW, {"tok_per_s_per_device": "64000", "precision": ""}, "of the chip's peak, 1,979 TFLOP/s"),
    ],
)
def test_what_cannot_be_is_skipped_with_its_reason(row, changes, reason) -> None:
    done, _, skipped = predict("step", [row | changes], "shipped")
    assert done == []
    assert reason in skipped[0].reason


@pytest.mark.parametrize(
    ("row", "changes", "note"),
    [
        (ROW, {"pp": "3"}, "pp 3 as printed, which does not divide layers, 32"),
        (ROW, {"tp": "3"}, "tp 3 as printed, which does not divide n_heads, 32"),
        (MIXTURE, {"ep": "6"}, "ep 6 as printed, which does not divide moe_experts, 8"),
        (ROW, {"global_batch_seqs": "8"}, "a batch of 96 sequences: the 8 of the row"),
        (ROW, {"global_batch_seqs": "240"}, "2.50 micro-batches a replica: the batch of 240 sequences is no multiple"),
        (ROW, {"dp": "96", "grad_accum": "16"}, "not micro_batch x grad_accum x dp, 1,536"),
        (ROW, {"step_time_s": "99"}, "tok_per_s_per_device, 6,400 tokens/s a device; step_time_s makes 82.7475"),
        (ROW, {"tflops_per_device": "999"}, "tflops_per_device, 999, was not used"),
        (ROW, {"total_params_b": "70"}, "the shape's 8.03B parameters, which are not the 70B of total_params_b"),
        (MIXTURE, {"moe_top_k": ""}, "one expert a token, as moe_top_k is blank"),
        (ROW, NO_SPEED | {"mfu_pct": "0.45"}, "mfu_pct is 0.45, below 1 %"),
        (ROW, {"tok_per_s_per_device": "23000", "precision": ""}, "of the peak in bf16, which was taken"),
        (ROW, NO_SPEED | {"tflops_per_device": "400", "tflops_convention": "ours"}, "tflops_convention 'ours'"),
    ],
)
def test_what_may_be_is_predicted_and_said(row, changes, note) -> None:
    assert note in notes("step", row | changes)


def test_one_result_in_several_units_is_no_contradiction() -> None:
    seconds = 192 * 4096 / 6400 / 96
    assert "was not used" not in notes("step", ROW | {"tok_per_s": f"{6400 * 96}", "step_time_s": f"{seconds:.3f}"})


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"reported_device_hours": "220000"}, "device_hours_used, 110,000; reported_device_hours, 220,000"),
        ({"reported_wallclock_days": "100"}, "100 days of 256 devices make 614,400"),
        ({"total_params_b": "70"}, "the shape's 8.03B parameters, which are not the 70B"),
    ],
)
def test_hours_that_disagree_are_said(changes, note) -> None:
    assert note in notes("hours", RUN | changes)


def test_more_active_parameters_than_there_are_is_skipped() -> None:
    bare = {key: RUN[key] for key in ("id", "hardware", "date", "tokens_b", "device_hours_used")}
    _, _, skipped = predict("hours", [bare | {"total_params_b": "3", "active_params_b": "30"}], "shipped")
    assert "active_params_b is 30, more than total_params_b, 3" in skipped[0].reason


MEMORY = {key: ROW[key] for key in ROW if key not in ("dp", "grad_accum", "tok_per_s_per_device")}
MEMORY |= {"peak_mem_gib": "60", "n_devices": "8", "tp": "8", "global_batch_seqs": "8"}


@pytest.mark.parametrize(
    ("said", "note"),
    [("", "as memory_kind is blank"), ("alocated", "'alocated': taken for memory used on the device")],
)
def test_a_counter_that_is_not_understood_is_said(said, note) -> None:
    assert note in notes("memory", MEMORY | {"memory_kind": said})
    assert "memory_kind" not in notes("memory", MEMORY | {"memory_kind": "peak allocated"})


def test_a_table_is_one_of_memory_by_its_peaks_alone() -> None:
    assert kind_of(list(MEMORY)) == "memory"
    assert kind_of([*MEMORY, "tok_per_s"]) == "throughput"
