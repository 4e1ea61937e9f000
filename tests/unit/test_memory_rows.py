"""Peaks of memory of published runs: what a row's words mean, what a prediction sees, and who is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from costsim.evidence.columns import is_answer
from costsim.evidence.memory_rows import counter_of, placed, predict_memory
from costsim.evidence.predicted import Omitted, Predicted
from costsim.evidence.predictions import predict
from costsim.evidence.table import shipped

GIB = 2.0**30
LLAMA_8B = {
    "id": "one", "model": "llama3-8b", "layers": "32", "d_model": "4096", "n_heads": "32", "n_kv_heads": "8",
    "head_dim": "128", "d_ff": "14336", "gated_ffn": "true", "vocab": "128256", "tied_embeddings": "false",
    "total_params_b": "8.03", "hardware": "H100", "device_mem_gb": "80", "n_devices": "64",
    "framework": "Megatron-LM + TransformerEngine", "tp": "2", "pp": "2", "cp": "1", "sharding": "ZeRO-1",
    "recompute": "none", "seq_len": "4096", "micro_batch": "1", "global_batch_seqs": "128", "precision": "bf16",
    "status": "ok", "component": "total", "peak_mem_gib": "40", "memory_kind": "peak allocated", "date": "2025",
}  # fmt: skip
KORTHIKANTI_22B = LLAMA_8B | {
    "model": "22b", "layers": "48", "d_model": "6144", "n_heads": "64", "n_kv_heads": "64", "head_dim": "96",
    "d_ff": "24576", "gated_ffn": "false", "vocab": "51200", "tied_embeddings": "true", "total_params_b": "22",
    "hardware": "A100-80", "n_devices": "8", "framework": "Megatron-LM", "tp": "8", "pp": "1", "sharding": "none",
    "recompute": "none, tensor parallel only", "seq_len": "2048", "micro_batch": "4", "global_batch_seqs": "",
    "component": "activations", "memory_kind": "per-GPU GiB read off Fig. 1 data", "date": "2022-05",
}  # fmt: skip


def predicted(**changes):
    made = predict_memory(LLAMA_8B | changes, "shipped")
    assert isinstance(made, Predicted)
    return made


@pytest.mark.parametrize(
    ("said", "counter"),
    [
        ("peak allocated", "allocated"),
        ("torch.cuda.max_memory_allocated", "allocated"),
        ("max_memory_usage from MLPerf log (unit not stated, GB or GiB)", "allocated"),
        ("peak GiB (author measurement)", "allocated"),
        ("as printed (GB)", "allocated"),
        ("peak reserved (torchtitan log)", "reserved"),
        ("max_memory_reserved", "reserved"),
        ("GPU memory as printed in GB (converted)", "device"),
        ("printed in GB (converted)", "device"),
        ("max of first/last node, printed in GB (converted)", "device"),
        ("printed in MiB", "device"),
        ("nvidia-smi", "device"),
        ("", "device"),
    ],
)
def test_words_tell_the_counter(said, counter):
    assert counter_of({"memory_kind": said}) == counter


def test_each_counter_holds_the_one_before():
    allocated, reserved, device = (
        predicted(memory_kind=kind).predicted for kind in ("peak allocated", "peak reserved", "nvidia-smi")
    )
    assert allocated < reserved < device
    assert {predicted(memory_kind=kind).fit_probability for kind in ("peak allocated", "nvidia-smi")} == {
        predicted().fit_probability
    }  # what fits does not depend on what is printed


def test_the_answer_is_not_looked_at():
    rows = [row.cells for row in shipped("memory").rows]
    told = {made.row["id"]: made for made in predict("memory", rows, "shipped")[0] if made.measured is not None}
    other = [
        {
            key: ("9.87" if key == "peak_mem_gib" else "") if is_answer("memory", key) else cell
            for key, cell in row.items()
        }
        for row in rows
    ]
    for made in predict("memory", other, "shipped")[0]:
        if made.row["id"] in told:
            known = told[made.row["id"]]
            assert made.measured == 9.87 * GIB != known.measured
            assert (made.predicted, made.quantiles, made.fit_probability, made.notes) == (
                known.predicted, known.quantiles, known.fit_probability, known.notes,
            )  # fmt: skip
    assert len(told) > 60


def test_activations_of_korthikanti():
    """Formula 4 of the paper and its 22B: s b h L (10 + 24 / t + 5 a s / (h t)), in Table 2's full form."""
    s, b, h, layers, a, t = 2048, 4, 6144, 48, 64, 8
    made = predict_memory(KORTHIKANTI_22B, "shipped")
    assert made.subset == {"counter": "component"}
    assert made.predicted == pytest.approx(s * b * h * layers * (10 + 24 / t + 5 * a * s / (h * t)), rel=0.01)
    saved = predict_memory(KORTHIKANTI_22B | {"recompute": "selective + sequence parallel"}, "shipped")
    assert saved.predicted == pytest.approx(s * b * h * layers * 34 / t, rel=0.01)
    assert made.fit_probability is saved.fit_probability is None  # a part tells nothing of the whole


def test_states_of_korthikanti():
    made = predict_memory(KORTHIKANTI_22B | {"component": "params+grads+optimizer", "recompute": "any"}, "shipped")
    h, layers, vocab = 6144, 48, 51200
    assert made.predicted == pytest.approx(18 * (12 * h * h * layers + vocab * h) / 8, rel=0.01)


def test_a_run_out_of_memory_has_no_measurement():
    made = predicted(status="oom", peak_mem_gib="")
    assert made.measured is None
    assert made.predicted == predicted().predicted
    assert 0 <= made.fit_probability <= 1
    blank = predict_memory(LLAMA_8B | {"peak_mem_gib": ""}, "shipped")
    assert blank == Omitted("one", "no peak is printed")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"hardware": "Abacus 9000"}, "unknown accelerator"),
        ({"offload": "activation checkpoints to CPU"}, "offloaded"),
        ({"framework": "DeepSpeed ZeRO-3 + Ulysses", "tp": "", "pp": ""}, "tiled"),
        ({"tp": "", "pp": "", "layers": "400"}, "no tensor or pipeline degree"),
        ({"component": "checkpoint files"}, "no part"),
    ],
)
def test_what_cannot_be_predicted_is_skipped_with_its_reason(changes, reason):
    done, ineligible, skipped = predict("memory", [LLAMA_8B | changes], "shipped")
    assert not done
    assert not ineligible
    assert reason in skipped[0].reason


def test_no_shape_is_ineligible():
    assert "layers" in predict_memory(LLAMA_8B | {"layers": ""}, "shipped").reason


def test_each_shipped_row_is_in_one_list():
    rows = [row.cells for row in shipped("memory").rows]
    done, ineligible, skipped = predict("memory", rows, "shipped")
    named = [made.row["id"] for made in done] + [one.id for one in (*ineligible, *skipped)]
    assert sorted(named) == sorted(row["id"] for row in rows)


def test_share_of_blocks_recomputed_is_found():
    whole = {"framework": "fms-fsdp", "sharding": "FSDP", "tp": "1", "pp": "1"}
    sequences = {"micro_batch": "4", "global_batch_seqs": "256", "recompute": "selective"}
    case, layout, *_ = placed(LLAMA_8B | whole | sequences)
    assert "recompute" not in case.space.fixed
    assert 0 < float(layout.recompute_share) < 1
    made = predicted(framework="fms-fsdp", recompute="selective")
    assert any("recomputed" in note for note in made.notes)


def test_deepspeed_shards_its_optimizer():
    old = {"framework": "Megatron-DeepSpeed", "date": "2021", "precision": "fp16", "hardware": "V100"}
    assert float(placed(LLAMA_8B | old | {"sharding": "none"})[1].sharding) == 1.0


def test_missing_sequence_and_batch():
    _, layout, _, work = placed(LLAMA_8B | {"seq_len": "", "global_batch_seqs": "", "pp": "4"})
    assert float(work.sequence_length) == 2048
    assert float(layout.gradient_accumulation) >= 4  # the pipeline is full


def test_copies_of_gradients_are_of_the_shard():
    """InternEvo casts to 32 bits only what a rank owns: a run of 7B without recomputation fits in 80 GB, as it did."""
    rows = [row.cells for row in shipped("throughput").rows if row.cells["source_group"].startswith("internevo-7b")]
    asked = [made.fit_probability for made in predict("step", rows, "shipped")[0] if made.fit_probability is not None]
    assert len(asked) > 5
    assert min(asked) > 0.5


def test_no_shipped_run_is_refused():
    for what, table in (("memory", "memory"), ("step", "throughput")):
        made = predict(what, [row.cells for row in shipped(table).rows][:: 1 if what == "memory" else 5], "shipped")[0]
        asked = [one for one in made if one.fit_probability is not None and one.measured is not None]
        assert asked
        assert [one.row["id"] for one in asked if one.fit_probability < 0.1] == []


@given(micro=st.integers(1, 8), more=st.integers(1, 8), kind=st.sampled_from(("allocated", "reserved", "nvidia-smi")))
@settings(max_examples=20, deadline=None)
def test_more_sequences_take_more(micro, more, kind):
    few, many = (
        predicted(micro_batch=str(n), global_batch_seqs=str(64 * n), memory_kind=kind) for n in (micro, micro + more)
    )
    assert many.predicted > few.predicted
    assert many.fit_probability <= few.fit_probability
    ends = [few.quantiles[key] for key in ("p5", "p10", "p25", "p75", "p90", "p95")]
    assert ends == sorted(ends)
    assert ends[2] < few.predicted < ends[3]


@given(
    recompute=st.sampled_from((("full", "selective"), ("selective", "none"))),
    sharding=st.sampled_from(("ZeRO-1", "none")),
)
@settings(max_examples=8, deadline=None)
def test_recomputation_and_sharding_save(recompute, sharding):
    less, more = (predicted(recompute=mode, sharding=sharding).predicted for mode in recompute)
    assert less < more
    assert predicted(recompute=recompute[0], sharding="ZeRO-1").predicted <= less
