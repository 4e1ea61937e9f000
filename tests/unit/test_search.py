"""The layout search against brute force, its rules, and its preferences."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from training_cases import CHIP, LLAMA_8B, LLAMA_70B, NETWORK, STACK, layout, stack

from costsim.training import enumeration, search
from costsim.training.architecture import Architecture, Experts
from costsim.training.device import Workload
from costsim.training.memory import fits
from costsim.training.schedule import step

WORK = Workload(4096.0, 256.0)
MEGATRON = enumeration.Space(True, True, True, [1], [0, 1, 2], True, {})


def candidates(a, accelerators, space=MEGATRON, work=WORK):
    batch = float(work.global_batch_sequences)
    return enumeration.enumerate_layouts(a, accelerators, 8.0, float(work.sequence_length), batch, space)


def test_every_candidate_uses_the_whole_cluster_and_the_whole_batch():
    found = candidates(LLAMA_70B, 64)
    assert len(found) > 20
    assert np.all(found.layouts.accelerators == 64)
    done = found.layouts.data * found.layouts.micro_batch * found.layouts.gradient_accumulation
    assert np.all(done == 256)


def test_enumeration_equals_brute_force():
    # Only tensor, pipeline and micro-batch vary here, so that loops by hand stay short.
    fixed = {"virtual_pipeline": 1.0, "context": 1.0, "recompute": 0.0, "expert": 1.0}
    space = enumeration.Space(True, True, True, [1], [0], True, fixed)
    found = candidates(LLAMA_70B, 32, space)
    got = {
        (float(t), float(p), float(m))
        for t, p, m in zip(found.layouts.tensor, found.layouts.pipeline, found.layouts.micro_batch, strict=True)
    }
    want = set()
    stages = {*[d for d in range(1, 65) if 80 % d == 0 or 82 % d == 0], *[2**i for i in range(7)]}
    for t, p, m in product([1, 2, 4, 8], stages, [2**i for i in range(7)]):
        if 32 % (t * p) or p > 80 or (p - 1) * np.ceil(80 / p) >= 81:
            continue
        data = 32 // (t * p)
        accumulation = 256 / (data * m)
        if accumulation < 1 or accumulation % 1 or (p > 1 and accumulation < p and accumulation < 256 / data):
            continue
        want.add((float(t), float(p), float(m)))
    assert got == want


def test_the_best_is_the_fastest_that_fits():
    found = candidates(LLAMA_70B, 64)
    ranking = search.rank(LLAMA_70B, CHIP, NETWORK, STACK, WORK, found)
    seconds = step(LLAMA_70B, CHIP, NETWORK, STACK, found.layouts, WORK).seconds
    chance = fits(LLAMA_70B, CHIP, STACK, found.layouts, WORK)
    likely = np.asarray(chance) >= 0.9
    assert likely.any()
    best = float(np.min(np.asarray(seconds)[likely]))
    assert ranking.best_fits
    assert ranking.seconds[ranking.order[0]] == pytest.approx(best)
    assert list(ranking.seconds[ranking.order[: likely.sum()]]) == sorted(np.asarray(seconds)[likely])


def test_given_keys_are_kept():
    space = enumeration.Space(False, False, False, [1], [0], False, {"tensor": 4.0, "pipeline": 2.0, "recompute": 2.0})
    found = candidates(LLAMA_8B, 64, space)
    assert set(found.layouts.tensor) == {4.0}
    assert set(found.layouts.pipeline) == {2.0}
    assert set(found.layouts.recompute) == {2.0}


def test_refusals_are_counted_by_reason():
    found = candidates(LLAMA_8B, 48)
    assert found.refused["degrees do not multiply to the cluster"] > 0
    assert all(n > 0 for n in found.refused.values())


def test_experts_divide_over_expert_ranks():
    a = Architecture(8, 1024, 8, 8, 128, 4096, 1000, experts=Experts(60, 4, 512))
    found = candidates(a, 16)
    assert set(found.layouts.expert) <= {1.0, 2.0, 4.0}


def test_nothing_fits_is_said_with_the_likeliest_first():
    huge = Architecture(80, 65536, 64, 8, 1024, 262144, 128256)
    ranking = search.rank(huge, CHIP, NETWORK, STACK, WORK, candidates(huge, 8))
    assert not ranking.best_fits
    assert ranking.probability[ranking.order[0]] == max(ranking.probability)
    assert search.nearest_that_fits(ranking.best, ranking) is None


def test_the_nearest_that_fits_changes_least():
    given = layout(64, WORK, tensor=1.0, sharding=1.0)
    ranking = search.rank(LLAMA_70B, CHIP, NETWORK, STACK, WORK, candidates(LLAMA_70B, 64))
    near = search.nearest_that_fits(given, ranking)
    assert near is not None
    assert float(fits(LLAMA_70B, CHIP, STACK, near, WORK)) >= 0.5
    far = search.changes(given, ranking.candidates.layouts)
    usable = ranking.probability >= 0.5
    assert float(search.changes(given, near)) == float(np.min(far[usable]))


def test_chunks_do_not_change_the_ranking(monkeypatch):
    found = candidates(LLAMA_70B, 64)
    whole = search.rank(LLAMA_70B, CHIP, NETWORK, STACK, WORK, found)
    monkeypatch.setattr(search, "CHUNK", 7)
    parts = search.rank(LLAMA_70B, CHIP, NETWORK, STACK, WORK, found)
    assert np.array_equal(whole.order, parts.order)
    assert np.array_equal(whole.seconds, parts.seconds)


def test_a_stack_without_tensor_parallelism_gets_none():
    space = enumeration.Space(False, False, False, [3], [0, 2], False, {})
    found = candidates(LLAMA_8B, 64, space)
    assert set(found.layouts.tensor) == {1.0}
    assert set(found.layouts.sharding) == {3.0}
    ranking = search.rank(LLAMA_8B, CHIP, NETWORK, stack(), WORK, found)
    assert ranking.best_fits
