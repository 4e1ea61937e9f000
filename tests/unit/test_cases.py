"""Rows of published steps as the model sees them, the speeds that they print, and rows that are no run's."""

from __future__ import annotations

import math
import warnings

import pytest

from costsim.evidence.cases import UnpredictableError, case, ineligible
from costsim.evidence.columns import blanked, is_answer
from costsim.evidence.measured import flops_of_token, tokens_per_second
from costsim.evidence.predictions import predict
from costsim.evidence.shapes import architecture
from costsim.evidence.table import shipped

ROW = {
    "id": "one", "source_group": "somebody", "model": "llama3-8b", "layers": "32", "d_model": "4096", "n_heads": "32",
    "n_kv_heads": "8", "head_dim": "128", "d_ff": "14336", "gated_ffn": "true", "vocab": "128256",
    "tied_embeddings": "false", "total_params_b": "8.03", "hardware": "H100", "n_devices": "64",
    "framework": "Megatron-LM", "tp": "2", "pp": "2", "cp": "1", "ep": "1", "sharding": "ZeRO-1", "recompute": "none",
    "seq_len": "4096", "micro_batch": "1", "global_batch_seqs": "128", "precision": "bf16", "step_time_s": "2",
    "date": "2025", "interconnect": "8x400Gb IB",
}  # fmt: skip
MIXTURE = ROW | {
    "model": "mixtral-8x7b", "moe_experts": "8", "moe_top_k": "2", "moe_d_ff": "14336", "moe_shared": "0",
    "moe_dense_layers": "0", "total_params_b": "46.7", "ep": "8",
}  # fmt: skip
OPEN = ROW | dict.fromkeys(("tp", "pp", "cp", "ep", "micro_batch", "global_batch_seqs", "recompute"), "")
ROWS = [(kind, row.cells) for kind in ("throughput", "memory") for row in shipped(kind).rows]
SEQUENCE = 4096


# --- what a row may not see -------------------------------------------------------------------------------------------

OF_A_MEASUREMENT = (
    "time",
    "per_s",
    "tflops",
    "mfu",
    "hfu",
    "peak_mem",
    "minutes",
    "derived",
    "reported",
    "consistency",
)
"""Parts of the names of columns that hold an answer, told apart from the lists of the code."""
OF_A_CHIP = {"bf16_dense_peak_tflops", "peak_tflops_assumed"}


@pytest.mark.parametrize("kind", ["throughput", "memory"])
def test_columns_that_sound_like_a_measurement_are_answers(kind) -> None:
    header = set(shipped(kind).rows[0].cells)
    told = {name for name in header if any(part in name for part in OF_A_MEASUREMENT)} - OF_A_CHIP
    assert len(told) >= (2 if kind == "memory" else 12) - 1
    assert {name for name in told if not is_answer(kind, name)} == set()


def nonsense(kind, row: dict[str, str]) -> dict[str, str]:
    """A row with other answers, and other figures wherever its texts might repeat them."""
    figures = {"quote": "9", "note": "9", "flag_reason": "9"}
    return {
        name: "123.4" if is_answer(kind, name) else "".join("9" if c.isdigit() else c for c in cell)
        if name in figures else cell
        for name, cell in row.items()
    }  # fmt: skip


def test_no_shipped_row_is_read_by_its_answer() -> None:
    """All that a prediction rests on, `case`, is the same without the answer and with a wrong one, for every row."""
    compared = 0
    for kind, row in ROWS:
        if ineligible(row):
            assert ineligible(blanked(row, kind))
            continue
        plain, other = case(blanked(row, kind)), case(blanked(nonsense(kind, row), kind))
        drop = {"quote", "note", "flag_reason"}
        assert {k: v for k, v in vars(plain).items() if k != "row"} == {
            k: v for k, v in vars(other).items() if k != "row"
        }, row["id"]
        assert plain.run == other.run
        assert {k: v for k, v in plain.row.items() if k not in drop} == {
            k: v for k, v in other.row.items() if k not in drop
        }
        compared += 1
    assert compared > 700


# --- speeds -----------------------------------------------------------------------------------------------------------

UNPRINTED = ROW | {"step_time_s": ""}


@pytest.mark.parametrize(
    ("printed", "speed"),
    [
        ({"step_time_s": "2"}, 128 * SEQUENCE / 2 / 64),
        ({"step_time_incl_eval_s": "4"}, 128 * SEQUENCE / 4 / 64),
        ({"seqs_per_s": "64"}, SEQUENCE),
        ({"tok_per_s": "640000"}, 10_000),
        ({"tok_per_s_per_device": "9000", "tok_per_s": "1"}, 9000),
        ({"derived_tok_per_s_per_device": "8000"}, 8000),
        ({}, None),
        ({"mfu_pct": "40"}, None),  # of a peak that nobody prints
        ({"tok_per_s_per_device": "nan"}, None),
    ],
)
def test_printed_speeds(printed: dict[str, str], speed: float | None) -> None:
    found = tokens_per_second(UNPRINTED | printed, 64, SEQUENCE, 128)
    assert found == (None if speed is None else pytest.approx(speed))


def test_a_step_of_an_unknown_batch_has_no_speed() -> None:
    assert tokens_per_second(ROW, 64, SEQUENCE, None) is None


# Llama 3 8B by hand: 6 FLOPs for each weight in a product, and 12 L s d for the scores and values of the full square.
HIDDEN, LAYERS, WIDE, VOCAB, KEYS = 4096, 32, 14336, 128256, 1024
PRODUCTS = 6 * (LAYERS * (2 * HIDDEN**2 + 2 * HIDDEN * KEYS + 3 * HIDDEN * WIDE) + HIDDEN * VOCAB)
SQUARE = 12 * LAYERS * SEQUENCE * HIDDEN
FULL, CAUSAL = PRODUCTS + SQUARE, PRODUCTS + SQUARE / 2


@pytest.mark.parametrize(
    ("said", "flops"),
    [
        ({}, FULL),
        ({"flops_convention_detected": "full"}, FULL),
        ({"flops_convention_detected": "causal"}, CAUSAL),
        ({"flops_convention_detected": "non-causal"}, FULL),
        ({"flops_convention_detected": "causal (attention too small to tell causal from full)"}, CAUSAL),
        ({"flops_convention_detected": "full (attention too small to tell causal from full)"}, FULL),
        ({"flops_convention_detected": "none (ratio to causal 1.23, to full 1.15)"}, FULL),
        ({"tflops_convention": "model FLOPs, full (non-causal) attention"}, FULL),
        ({"tflops_convention": "causal, model FLOPs"}, CAUSAL),
        ({"tflops_convention": "Megatron formula", "framework": "NeMo Megatron-Bridge 26.06"}, CAUSAL),
        ({"tflops_convention": "full", "framework": "NeMo Megatron-Bridge 26.06"}, FULL),
        ({"tflops_convention": "hardware FLOPs with recomputation"}, FULL * 4 / 3),
        ({"flops_convention_detected": "full; x 4/3"}, FULL * 4 / 3),
        ({"flops_convention_detected": "causal; hardware"}, CAUSAL * 4 / 3),
        ({"hfu_pct": "50"}, FULL * 4 / 3),
        ({"hfu_pct": "50", "mfu_pct": "40"}, FULL),
    ],
)
def test_flops_of_a_token_by_convention(said: dict[str, str], flops: float) -> None:
    assert flops_of_token(UNPRINTED | said, SEQUENCE) == pytest.approx(flops, rel=1e-9)


@pytest.mark.parametrize(
    ("said", "speed"),
    [
        ({"tflops_per_device": "400"}, 400e12 / FULL),
        ({"mfu_pct": "40", "peak_tflops_assumed": "1000"}, 400e12 / FULL),
        ({"mfu_pct": "40", "bf16_dense_peak_tflops": "989"}, 0.4 * 989e12 / FULL),
        ({"hfu_pct": "40", "peak_tflops_assumed": "1000"}, 400e12 / (FULL * 4 / 3)),
    ],
)
def test_speeds_of_rates_and_utilisations(said: dict[str, str], speed: float) -> None:
    assert tokens_per_second(UNPRINTED | said, 64, SEQUENCE, None) == pytest.approx(speed, rel=1e-9)


def test_a_utilisation_without_a_printed_peak_is_of_the_catalogues() -> None:
    """989.4 TFLOP/s in bf16 and twice that in fp8: H100 SXM data sheet, without sparsity."""
    plain = {"step_time_s": "", "mfu_pct": "40", "recompute": "none"}
    for precision, peak in (("bf16", 989.4e12), ("fp8", 1978.9e12)):
        ((made,), _, _) = predict("step", [ROW | plain | {"precision": precision}], "shipped")
        tokens = 128 * SEQUENCE
        assert made.measured == pytest.approx(tokens * FULL / 64 / (0.4 * peak), rel=1e-3)
        assert f"a share of the catalogue's {peak / 1e12:,.0f} TFLOP/s in {precision}" in made.notes[-1]
    ((own,), _, _) = predict("step", [ROW | plain | {"bf16_dense_peak_tflops": "500"}], "shipped")
    assert own.measured == pytest.approx(128 * SEQUENCE * FULL / 64 / (0.4 * 500e12), rel=1e-9)
    assert not any("catalogue" in note for note in own.notes)


# --- shapes -----------------------------------------------------------------------------------------------------------


def test_heads_that_do_not_divide_are_taken_as_full_attention() -> None:
    assert architecture(ROW | {"n_kv_heads": "7"}).kv_heads == 32
    assert architecture(ROW | {"n_kv_heads": ""}).kv_heads == 32
    assert architecture(ROW | {"n_kv_heads": "8"}).kv_heads == 8


def test_latent_attention() -> None:
    said = "q_lora1536,kv_lora512,nope128,rope64,v128"
    found = architecture(ROW | {"mla": said}).attention
    assert (found.kind, found.q_rank, found.kv_rank, found.nope_size, found.rope_size, found.v_size) == (
        "mla", 1536, 512, 128, 64, 128,
    )  # fmt: skip
    assert architecture(ROW | {"mla": "q_lora1536"}).attention.kind != "mla"


# --- rows that are no run's -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layers": "0"}, "layers is 0"),
        ({"n_heads": "0.5"}, "n_heads is 0.5"),
        ({"n_devices": "0"}, "n_devices is 0"),
        ({"n_devices": "-8"}, "n_devices is -8"),
        ({"global_batch_seqs": "0.5"}, "global_batch_seqs is 0.5"),
        ({"seq_len": "1e300"}, "expected a number from 1 to"),
        ({"tp": "128"}, "takes 256 devices, the run has 64"),
        ({"ep": "128", "moe_experts": "128"}, "takes 128 devices, the run has 64"),
        ({"hardware": "Z9000"}, "unknown accelerator 'Z9000'"),
        ({"hardware": ""}, "hardware is blank"),
        ({"hardware": "H10O"}, "unknown accelerator 'H10O'; did you mean 'h100'?"),
        ({"layers": "32.5"}, "layers is 32.5; expected a whole number"),
        ({"n_kv_heads": "7"}, "n_kv_heads is 7, which does not divide n_heads, 32"),
        ({"n_heads": "30", "n_kv_heads": "", "head_dim": ""}, "n_heads is 30, which does not divide d_model, 4096"),
        ({"pp": "", "dp": "64"}, "the printed degrees, tp 2 x dp 64, take 128 devices, the run has 64"),
        ({"tp": "", "pp": "", "dp": "128"}, "dp 128, take 128 devices, the run has 64"),
        ({"precision": "bf61"}, "precision is 'bf61', which is not understood; expected bf16, fp16, fp8"),
        ({"precision": "bf61"}, "did you mean 'bf16'?"),
        ({"sharding": "ZeR0-1"}, "sharding is 'ZeR0-1'"),
        ({"recompute": "ful"}, "did you mean 'full'?"),
        ({"gated_ffn": "maybe"}, "gated_ffn is 'maybe', which is not understood; expected true, false, or blank"),
        ({"recompute": "ful", "gated_ffn": "ture"}, "did you mean 'true'?; recompute is 'ful'"),
        ({"hardware": "V100", "precision": "fp8"}, "no peak for fp8"),
        ({"moe_top_k": "9"}, "moe_top_k is 9, more than moe_experts, 8"),
        ({"moe_dense_layers": "40"}, "moe_dense_layers is 40, more than layers, 32"),
    ],
)
def test_what_no_run_has_is_skipped_with_its_reason(changes: dict[str, str], reason: str) -> None:
    done, omitted, skipped = predict("step", [MIXTURE | changes], "shipped")
    assert (done, omitted) == ([], [])
    assert reason in skipped[0].reason


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layers": "nan"}, "layers blank"),
        ({"vocab": "inf"}, "vocab blank"),
        ({"n_devices": "1e400"}, "no device count"),
    ],
)
def test_numbers_that_are_not_finite_are_blank(changes: dict[str, str], reason: str) -> None:
    assert reason in str(ineligible(ROW | changes))


def notes(changes: dict[str, str]) -> str:
    """What a row that is predicted all the same says of what was taken in place of a cell."""
    ((made,), _, _) = predict("step", [ROW | changes], "shipped")
    return "; ".join(made.notes)


@pytest.mark.parametrize(
    ("changes", "note"),
    [
        ({"framework": "Megatorn"}, "framework 'Megatorn' is not known (nearest: megatron-lm): predicted as"),
        ({"precision": "wide enough"}, "precision 'wide enough' is not known: taken for bf16"),
        ({"sharding": "in rings"}, "sharding 'in rings' is not known"),
        ({"recompute": "gelus"}, "recompute 'gelus' is not known"),
        ({"tied_embeddings": "perhaps"}, "tied_embeddings 'perhaps' is not known: taken for false"),
        ({"mla": "as in the paper"}, "mla 'as in the paper' is not known: taken for full attention"),
        ({"date": "soon"}, "date 'soon' is not known: software taken for that of 2024.0"),
        ({"date": "2024-13"}, "date '2024-13' is not known: software taken for that of 2024.5"),
        ({"date": ""}, "assumed: software of 2024, as no date is printed"),
        ({"gated_ffn": ""}, "assumed: a feed-forward without a gate"),
        ({"dp": "4"}, "the printed degrees multiply to 16, the run has 64"),
        ({"global_batch_tokens": "1000000"}, "a batch of 128 sequences, which is not the 1,000,000 tokens"),
        ({"moe_top_k": "2"}, "a dense model: moe_top_k is printed, moe_experts is not"),
    ],
)
def test_what_was_taken_in_place_of_a_cell_is_told(changes: dict[str, str], note: str) -> None:
    assert note in notes(changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"framework": "custom (Megatron fork)"}, {"framework": "xformers/FairScale"}, {"framework": ""},
        {"framework": "unknown"}, {"recompute": "partial (saved linear outputs)"}, {"recompute": "gelu only"},
        {"recompute": "no activation checkpointing"}, {"sharding": "2D (DP x TP) ZeRO-1"}, {"sharding": "DDP"},
        {"precision": "mixed (bf16)"}, {"precision": "BF16 mixed"}, {"precision": "bfloat16"}, {"precision": "-"},
        {"gated_ffn": "SwiGLU"}, {"gated_ffn": "No"}, {"date": "Nov 2023"}, {"date": "2023/11"}, {"dp": "16"},
        {"hardware": "NVIDIA H100 80GB"}, {"hardware": "v5p"}, {"hardware": "AMD Instinct MI300X"},
    ],
    ids=str,
)  # fmt: skip
def test_what_people_write_is_understood(changes: dict[str, str]) -> None:
    assert "not understood" not in notes(changes)
    assert "printed degrees" not in notes(changes)


def test_a_framework_that_is_not_known_is_predicted_as_one_that_is_not_named() -> None:
    ((strange,), _, _), ((blank,), _, _) = (
        predict("step", [ROW | {"framework": said}], "shipped") for said in ("Frobnicator 3", "")
    )
    assert (strange.predicted, strange.quantiles) == (blank.predicted, blank.quantiles)
    assert [(cell.column, cell.value) for cell in strange.unread] == [("framework", "Frobnicator 3")]
    assert blank.unread == ()


@pytest.mark.parametrize("chip", ["MI250X", "Trn1"])
def test_halves_of_a_device_may_be_counted(chip: str) -> None:
    """64 modules are 128 dies or cores: 2 x 64 of them is no contradiction."""
    row = ROW | {"hardware": chip, "pp": "", "dp": "64", "precision": "bf16", "step_time_s": "8"}
    ((made,), _, skipped) = predict("step", [row], "shipped")
    assert not skipped
    assert "printed degrees" not in str(made.notes)


NUMBERS = (
    "layers", "d_model", "n_heads", "n_kv_heads", "head_dim", "d_ff", "vocab", "moe_experts", "moe_top_k", "moe_shared",
    "moe_d_ff", "moe_dense_layers", "total_params_b", "device_mem_gb", "n_devices", "tp", "pp", "vpp", "cp", "ep", "dp",
    "seq_len", "micro_batch", "grad_accum", "global_batch_seqs", "global_batch_tokens", "step_time_s", "mfu_pct",
)  # fmt: skip
TEXTS = ("hardware", "interconnect", "framework", "sharding", "recompute", "precision", "note", "model", "mla", "date")


def finite_or_refused(row: dict[str, str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        done, omitted, skipped = predict("step", [row], "shipped")
    assert len(done) + len(omitted) + len(skipped) == 1
    for made in done:
        assert 0 < made.predicted < math.inf
        assert all(0 < value < math.inf for value in made.quantiles.values())


@pytest.mark.parametrize("row", [MIXTURE, OPEN], ids=["experts", "open"])
@pytest.mark.parametrize("cell", ["0", "-1", "nan", "1e400", "1e308", "1e-300", "1", "3.7", "٣"])
def test_no_number_breaks_a_prediction(row: dict[str, str], cell: str) -> None:
    for column in NUMBERS:
        finite_or_refused(row | {column: cell})


@pytest.mark.parametrize("row", [MIXTURE, OPEN], ids=["experts", "open"])
@pytest.mark.parametrize(
    "cell",
    [
        "", "\x00", "🦙" * 50, "x" * 20000, "1x" * 10000, "9" * 5000 + "x" + "9" * 5000 + "Gb", "NVL0", "0x400Gb",
        "FSDP 0", "0 slices", "99999 slices", "FSDP " + "9" * 400, "kv_lora" + "9" * 400 + ",v9", "kv_lora0,v0",
        "24.99", "full", "ulysses without cp", "async-tp no comm overlap qkv", "fp4 int8",
    ],
    ids=lambda cell: ascii(cell[:12]),
)  # fmt: skip
def test_no_text_breaks_a_prediction(row: dict[str, str], cell: str) -> None:
    for column in TEXTS:
        finite_or_refused(row | {column: cell})


@pytest.mark.parametrize(("said", "domain"), [("DP across 32 slices", 2), ("DP across 99999 slices", 1), ("", 8)])
def test_a_slice_has_a_device_at_least(said: str, domain: float) -> None:
    assert case(ROW | {"sharding": said}).network.scale_up_domain == domain


def test_unpredictable_is_told_from_a_fault() -> None:
    with pytest.raises(UnpredictableError):
        case(ROW | {"hardware": "Z9000"})
