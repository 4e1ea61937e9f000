"""The layout search against brute force, its rules, and its preferences."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_cases import CHIP, LLAMA_8B, LLAMA_70B, NETWORK, STACK, layout, stack

from costsim.training import enumeration, search
from costsim.training.architecture import Architecture, Experts
from costsim.training.device import Workload
from costsim.training.memory import fits, memory
from costsim.training.schedule import stage_layers, step

WORK = Workload(4096.0, 256.0)
MEGATRON = enumeration.Space(True, True, True, [1], [0, 1, 2], True, {})


def candidates(a, accelerators, space=MEGATRON, work=WORK):
    batch = float(work.global_batch_sequences)
    return enumeration.enumerate_layouts(a, accelerators, 8.0, float(work.sequence_length), batch, space)


MIXTURE = Architecture(8, 1024, 8, 8, 128, 4096, 1000, experts=Experts(64, 4, 512))
SMALL = candidates(LLAMA_70B, 64)


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
    ranking = search.rank(LLAMA_70B, CHIP, NETWORK, STACK, WORK, candidates(LLAMA_70B, 64))
    layouts = ranking.candidates.layouts
    seconds = step(LLAMA_70B, CHIP, NETWORK, STACK, layouts, WORK).seconds
    chance = fits(LLAMA_70B, CHIP, STACK, layouts, WORK)
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


def test_every_combination_is_legal_or_counted_as_refused():
    for a, accelerators in ((LLAMA_8B, 48), (LLAMA_70B, 64), (MIXTURE, 16)):
        axes = enumeration.options(a, accelerators, 8.0, 256.0, MEGATRON)
        found = candidates(a, accelerators)
        assert len(found) + sum(found.refused.values()) == prod(len(values) for values in axes.values())


def test_the_order_of_crossing_changes_nothing():
    """The product of all keys, each combination judged by itself, in plain Python."""
    axes = enumeration.options(MIXTURE, 16, 8.0, 64.0, MEGATRON)
    work = Workload(8192.0, 64.0)
    want = set()
    for values in product(*(axes[key] for key in enumeration.AXES)):
        k = dict(zip(enumeration.AXES, values, strict=True))
        t, p, c, v, e, m = (
            k[key] for key in ("tensor", "pipeline", "context", "virtual_pipeline", "expert", "micro_batch")
        )
        if 16 % (t * p * c) or p > 8 or (p - 1) * -(-8 // p) >= 9:
            continue
        data, chunk = 16 / (t * p * c), -(-8 // p)
        micro = 64 / (data * m)
        too_short = c > 1 and (8192 / c < 4096 or 8192 % (2 * c))
        if too_short or (v > 1 and (p == 1 or chunk % v)) or 16 / p % e or micro < 1 or micro % 1:
            continue
        if (p > 1 and micro < p and micro < 64 / data) or (v > 1 and micro % p):
            continue
        want.add((t, p, c, v, e, m, k["recompute"]))
    found = candidates(MIXTURE, 16, work=work).layouts
    keys = ("tensor", "pipeline", "context", "virtual_pipeline", "expert", "micro_batch", "recompute")
    rows = [tuple(float(x) for x in row) for row in zip(*(getattr(found, key) for key in keys), strict=True)]
    assert len(rows) == len(set(rows))
    assert set(rows) == want


def test_a_search_equals_brute_force():
    """Each layout by itself: of every mode, the least whole number of layers that fits, none where none is needed."""
    space = enumeration.Space(True, True, False, [1], [0, 1, 2], True, {})
    found = candidates(LLAMA_70B, 32, space)
    times: dict[tuple[float, ...], float] = {}
    layouts = found.layouts
    for index in range(len(found)):
        whole = layouts.at(index)
        layers = float(stage_layers(LLAMA_70B, whole)[0])
        tries = [replace(whole, recompute_share=n / layers) for n in range(1, int(layers) + 1)]
        fitting = [one for one in tries if float(fits(LLAMA_70B, CHIP, STACK, one, WORK)) >= 0.9]
        needless = float(fits(LLAMA_70B, CHIP, STACK, replace(whole, recompute=0.0), WORK)) >= 0.9
        if whole.recompute and needless:
            continue
        taken = (fitting or [whole])[0] if whole.recompute else whole
        seconds = float(step(LLAMA_70B, CHIP, NETWORK, STACK, taken, WORK).seconds)
        times[tuple(round(x, 9) for x in vars(taken).values())] = seconds
    ranking = search.rank(LLAMA_70B, CHIP, NETWORK, STACK, WORK, found)
    made = ranking.candidates.layouts
    got = {
        tuple(round(x, 9) for x in vars(made.at(i)).values()): float(ranking.seconds[i])
        for i in range(len(ranking.candidates))
    }
    assert len({key[-2] for key in got}) > 5  # shares between none and all do occur
    assert got == pytest.approx(times, rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(index=st.integers(0, 10**6), spread=st.floats(0.02, 0.3), gib=st.floats(30, 200))
def test_the_share_that_is_recomputed_is_the_least_that_fits(index, spread, gib):
    chip, soft = replace(CHIP, memory_bytes=gib * 2**30), stack(memory_spread=spread)
    layouts = SMALL.layouts
    one = replace(layouts.at(index % len(SMALL)), recompute=1.0 + index % 2)
    share, peak = search.least_share(LLAMA_70B, chip, soft, one, WORK)
    layers = float(stage_layers(LLAMA_70B, one)[0])
    count = round(float(share) * layers)
    assert float(share) * layers == pytest.approx(count, abs=1e-9)

    def chance(layers_again):
        return float(fits(LLAMA_70B, chip, soft, replace(one, recompute_share=layers_again / layers), WORK))

    assert float(peak) == pytest.approx(
        float(memory(LLAMA_70B, soft, replace(one, recompute_share=float(share)), WORK).peak_bytes), rel=1e-12
    )
    assert 1 <= count <= layers
    if count < layers:
        assert chance(count) >= 0.9 - 1e-6
    if count > 1:
        assert chance(count - 1) < 0.9 + 1e-6 or chance(layers) < 0.9


@settings(max_examples=40, deadline=None)
@given(index=st.integers(0, 10**6))
def test_a_layout_alone_and_in_an_array_is_the_same(index):
    ranking = search.rank(MIXTURE, CHIP, NETWORK, STACK, WORK, candidates(MIXTURE, 32))
    place = index % len(ranking.candidates)
    one = ranking.candidates.layouts.at(place)
    alone = search.step_seconds(MIXTURE, CHIP, NETWORK, STACK, WORK, one)
    assert float(alone) == pytest.approx(ranking.seconds[place], rel=1e-12)
    assert float(fits(MIXTURE, CHIP, STACK, one, WORK)) == pytest.approx(ranking.probability[place], rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    key=st.sampled_from(["tensor", "pipeline", "micro_batch", "recompute", "virtual_pipeline", "expert"]),
    place=st.integers(0, 10**6),
)
def test_a_given_key_is_kept_and_never_makes_the_best_faster(key, place):
    free = search.rank(MIXTURE, CHIP, NETWORK, STACK, WORK, candidates(MIXTURE, 32))
    value = float(getattr(free.candidates.layouts.at(place % len(free.candidates)), key))
    given_key = search.rank(
        MIXTURE, CHIP, NETWORK, STACK, WORK, candidates(MIXTURE, 32, replace(MEGATRON, fixed={key: value}))
    )
    assert set(getattr(given_key.candidates.layouts, key)) == {value}
    best, kept = free.order[0], given_key.order[0]
    if given_key.probability[kept] >= 0.9:
        assert free.probability[best] >= 0.9
        assert free.seconds[best] <= given_key.seconds[kept] * (1 + 1e-12)


def test_a_recomputation_that_is_given_covers_all_layers():
    found = candidates(LLAMA_70B, 64, replace(MEGATRON, fixed={"recompute": 2.0}))
    ranking = search.rank(LLAMA_70B, CHIP, NETWORK, STACK, WORK, found)
    assert set(ranking.candidates.layouts.recompute_share) == {1.0}
    found = candidates(LLAMA_70B, 64, replace(MEGATRON, fixed={"recompute": 2.0, "recompute_share": 0.25}))
    assert set(found.layouts.recompute_share) == {0.25}


def test_interleaving_takes_micro_batches_in_multiples_of_the_stages_unless_chunks_are_given():
    work = Workload(4096.0, 24.0)
    layouts = candidates(LLAMA_70B, 64, work=work).layouts
    assert not np.any((layouts.virtual_pipeline > 1) & (layouts.gradient_accumulation % layouts.pipeline != 0))
    fixed = {"tensor": 8.0, "pipeline": 8.0, "virtual_pipeline": 2.0, "micro_batch": 2.0}
    assert len(candidates(LLAMA_70B, 64, replace(MEGATRON, fixed=fixed), work))


def test_heads_that_are_no_power_of_two_are_split_in_a_pod():
    wide = replace(LLAMA_8B, heads=48, kv_heads=48)
    assert 12.0 in enumeration.options(wide, 6144, 4096.0, 2048.0, MEGATRON)["tensor"]
    assert enumeration.options(wide, 6144, 8.0, 2048.0, MEGATRON)["tensor"] == [1.0, 2.0, 4.0, 8.0]


@pytest.mark.parametrize("a", [LLAMA_70B, MIXTURE], ids=["dense", "experts"])
@pytest.mark.parametrize("accelerators", [32, 64, 128, 256])
def test_twice_the_accelerators_are_no_slower(a, accelerators):
    """At an equal batch, as long as there are micro-batches left to spread."""
    small = search.rank(a, CHIP, NETWORK, STACK, WORK, candidates(a, accelerators))
    large = search.rank(a, CHIP, NETWORK, STACK, WORK, candidates(a, 2 * accelerators))
    assert small.probability[small.order[0]] >= 0.9
    assert large.probability[large.order[0]] >= 0.9
    assert small.seconds[small.order[0]] / 2.1 <= large.seconds[large.order[0]] <= small.seconds[small.order[0]]


@pytest.mark.parametrize("fixed", [{}, {"recompute": 2.0}])
def test_no_legal_layout_is_an_empty_ranking(fixed):
    found = candidates(LLAMA_8B, 7, replace(MEGATRON, fixed={"tensor": 4.0, **fixed}))
    ranking = search.rank(LLAMA_8B, CHIP, NETWORK, STACK, WORK, found)
    assert len(found) == len(ranking.candidates) == len(ranking.order) == 0
    assert found.refused


def test_a_layout_that_moves_the_batch_pays_for_it():
    """A batch of 100 sequences on 24 ranks: 24 x 4 = 96 is 4 % off, 3 x 33 = 99 is 1 % off."""
    work = Workload(4096.0, 100.0)
    space = replace(MEGATRON, fixed={"tensor": 1.0, "pipeline": 1.0, "micro_batch": 1.0, "recompute": 0.0})
    found = enumeration.enumerate_layouts(LLAMA_8B, 24, 8.0, 4096.0, 100.0, space, exact_batch=False)
    wide = found.layouts.at(int(np.flatnonzero(np.asarray(found.layouts.context) == 1)[0]))
    assert (wide.data, wide.gradient_accumulation) == (24, 4)
    seconds = float(step(LLAMA_8B, CHIP, NETWORK, STACK, wide, work).seconds)
    priced = search.step_seconds(LLAMA_8B, CHIP, NETWORK, STACK, work, wide)
    assert float(priced) == pytest.approx(seconds * 100 / 96 * 1.04, rel=1e-12)
    assert float(search.rounding(work, replace(wide, data=3.0, gradient_accumulation=33.0))) == pytest.approx(1.01)
    assert float(search.rounding(work, replace(wide, data=20.0, gradient_accumulation=5.0))) == 1.0


def test_states_are_sharded_over_no_more_ranks_than_there_are():
    found = candidates(LLAMA_8B, 64, replace(MEGATRON, sharding=[0, 1], fixed={"shard_ranks": 16.0}))
    assert len(found)
    assert np.all(found.layouts.data * found.layouts.context % 16 == 0)
    assert set(found.layouts.sharding) == {1.0}
    assert found.refused["fewer replicas than shard_ranks"] > 0
    assert found.refused["shard_ranks without sharding"] > 0
