"""What is impossible or implausible is told, with what to do."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from costsim.bench.record import Bandwidth, Conditions, Device, Gemm, Record, Software, Step, Verdict
from costsim.bench.reference import known_as, reference
from costsim.bench.result import to_dict
from costsim.bench.sanity import check, headline_step, judged, step_flops, step_rate
from costsim.bench.search import climb
from costsim.bench.statistics import timing
from costsim.inputs import catalogue
from costsim.inputs.accelerator import load_accelerator
from costsim.inputs.bench import bench_file
from costsim.training.architecture import Architecture
from costsim.training.flops import flops_per_token

SHAPE = Architecture(2, 4096, 32, 8, 128, 14336, 32000)
GOOD = Verdict("good")
H100 = Device("cuda", "NVIDIA H100 80GB HBM3", "h100-sxm", memory_bytes=85_000_000_000)
KNOWN = reference(H100, "bf16")


def step(mfu: float, **changed) -> Step:
    made = Step(
        timing([1.0] * 8), Conditions(), GOOD, SHAPE, 4096, 1, "bf16", {}, first_loss=math.log(32000), last_loss=5.0
    )
    seconds = step_flops(made) / (mfu * KNOWN.peak)
    return replace(made, timing=timing([seconds] * 8), **changed)


def product(share: float) -> Gemm:
    seconds = 2 * 8192**3 / (share * KNOWN.peak)
    return Gemm(timing([seconds] * 8), Conditions(), GOOD, 8192, 8192, 8192, "forward", "bf16")


PRODUCT = product(0.75)


def record(*steps: Step, gemms=(PRODUCT,), device=H100, bandwidths=()) -> Record:
    software = Software("0", "2", "3", "Linux")
    return Record("default", "2026-01-01", "bf16", device, software, GOOD, None, gemms, (), bandwidths, (), steps)


def texts(made: Record, known=KNOWN) -> str:
    return "\n".join(f"{finding.level}: {finding.text}" for finding in check(made, known))


def test_the_catalogue_is_known_by_its_drivers_names_only() -> None:
    assert KNOWN is not None
    assert KNOWN.peak == 989.4e12
    assert KNOWN.largest_found == pytest.approx(794.5e12, rel=2e-3)  # the published MAMF
    for name in ("NVIDIA H100 80GB HBM3 MIG 3g.40gb", "NVIDIA H100", "NVIDIA GeForce GTX 1080", "Intel Xeon", ""):
        assert known_as(name, 0) is None
    assert known_as("nvidia  h100 80gb hbm3", 85_000_000_000) == "h100-sxm"
    assert known_as("NVIDIA H100 80GB HBM3", 42_000_000_000) is None  # a part of one is another device


def test_no_two_hardware_files_have_a_drivers_name() -> None:
    names = [name.casefold() for file in catalogue.names("hardware") for name in load_accelerator(file)[0].driver_names]
    assert len(names) == len(set(names)) > 30


def test_a_plausible_bench_has_no_findings() -> None:
    assert check(record(step(0.45)), KNOWN) == []


def test_mfu_above_one_refuses_and_names_the_peak() -> None:
    made = record(step(1.3), gemms=(product(1.4),))
    assert "error: MFU 1.30 is not possible: the dense bf16 peak of NVIDIA H100 SXM 80 GB, 989.4 TFLOP/s" in texts(made)
    assert "warning: a matrix product reached 1.40 of the dense bf16 peak" in texts(made)
    assert "sparse or dense" in texts(made)
    refused = judged(made, check(made, KNOWN), accept=True)  # accepting noise accepts no impossible number
    assert refused.verdict.status == "refused"
    assert "989.4" in refused.verdict.reasons[0]


def test_far_below_what_others_found_lists_causes() -> None:
    capped = replace(H100, power_limit_watts=350.0, power_default_watts=700.0)
    found = texts(record(step(0.2), gemms=(product(0.4),), device=capped))
    assert "50% of the 794.5 that others found (MAMF)" in found
    for cause in ("its power cap of 350 W instead of 700 W", "MIG", "BLAS", "--full"):
        assert cause in found
    assert "MAMF" not in texts(record(step(0.2), gemms=(product(0.65),)))


def test_a_cache_is_not_the_memory() -> None:
    seconds = 2**31 / (1.2 * KNOWN.bandwidth)
    copy = Bandwidth(timing([seconds] * 8), Conditions(), GOOD, "copy", 2**31, 2**31, 2**25)
    assert "1.20 of the data sheet's bandwidth" in texts(record(step(0.4), bandwidths=(copy,)))


def test_a_step_cannot_beat_the_best_product() -> None:
    assert "faster than every product" in texts(record(step(0.8)))


def test_losses_that_do_not_start_or_fall() -> None:
    assert "instead of ln(vocabulary) = 10.373" in texts(record(step(0.4, first_loss=11.0)))
    assert "the loss did not fall" in texts(record(step(0.4, last_loss=10.5)))
    assert "error" in texts(record(step(0.4, first_loss=math.nan)))


def test_without_a_peak_there_is_no_word_of_one() -> None:
    assert check(record(step(3.0), gemms=(product(4.0),), device=Device("cuda", "Some GPU")), None) == []


def test_the_headline_is_the_named_models_step() -> None:
    slow = step(0.3, role="target")
    assert headline_step(record(step(0.5), slow)) is slow
    assert headline_step(record()) is None


def test_the_headline_does_not_follow_what_was_fastest() -> None:
    for first, second in ((0.3, 0.5), (0.5, 0.3)):
        made = record(step(first), step(second), step(0.9, ranks=2))
        assert step_rate(headline_step(made)) == pytest.approx(first * KNOWN.peak)


def test_the_first_of_the_shipped_shapes_has_the_most_flops() -> None:
    for place in ("cpu", "gpu"):
        for tier in getattr(bench_file().shapes, place):
            flops = [
                float(flops_per_token(shape.architecture(), shape.sequence)) * shape.sequence * shape.micro_batch
                for shape in tier.steps
            ]
            assert flops[0] == max(flops)


def test_what_became_of_the_file_that_was_asked_for_is_told() -> None:
    made = record(step(0.4))
    refused = replace(made, verdict=Verdict("refused", ("busy", "spread")))
    assert to_dict(made, KNOWN, [], None)["output"] is None
    assert to_dict(made, KNOWN, [], "a.yaml", "a.yaml")["output"]["written"]
    told = {"file": "a.yaml", "written": False, "samples": "a.samples.jsonl"}
    reasons = ((refused, "the measurements were refused: busy"), (record(), "no training step was measured"))
    for one, reason in reasons:
        assert to_dict(one, KNOWN, [], None, "a.yaml")["output"] == told | {"reason": reason}


def test_acceptance_is_told() -> None:
    refused = replace(record(step(0.4)), verdict=Verdict("refused", ("busy",)))
    assert judged(refused, []).verdict.status == "refused"
    accepted = judged(refused, [], accept=True).verdict
    assert accepted.status == "noisy"
    assert accepted.reasons[1] == "busy"
    assert "--accept-noisy" in accepted.reasons[0]


def test_the_search_climbs_to_the_top() -> None:
    seen = []

    def rate(sides):
        seen.append(sides)
        return (
            100.0 - sum(abs(math.log(side / best)) for side, best in zip(sides, (4096, 8192, 2048), strict=True)) * 10
        )

    best, top = climb(rate, (2048, 2048, 2048), 256, 16384, lambda: True)
    assert best == (4096, 8192, 2048)
    assert top == pytest.approx(100.0)
    assert len(seen) == len(set(seen)) < 60
    assert climb(rate, (2048, 2048, 2048), 256, 16384, lambda: False)[0] == (2048, 2048, 2048)
