"""Collective times against closed forms worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from training_cases import NETWORK, STACK

from costsim.training import collectives as comm


def test_ring_inside_a_domain_runs_at_the_link():
    ranks = comm.group(8.0, 1.0, NETWORK, STACK)
    # 450 GB/s x 0.75 = 337.5 GB/s; (8-1)/8 of 1 GB takes 2.5926 ms; plus 15 us
    assert float(comm.all_gather(1e9, ranks)) == pytest.approx(7 / 8 * 1e9 / 337.5e9 + 15e-6)


def test_all_reduce_is_two_all_gathers():
    ranks = comm.group(4.0, 1.0, NETWORK, STACK)
    assert comm.all_reduce(3e8, ranks) == pytest.approx(2 * comm.all_gather(3e8, ranks))


def test_a_group_shares_the_cards_that_it_owns():
    # Data ranks 8 apart own one card of each node: 50 GB/s x 0.64 = 32 GB/s. One apart they own all eight: 256 GB/s.
    lonely = comm.group(16.0, 8.0, NETWORK, STACK)
    packed = comm.group(16.0, 1.0, NETWORK, STACK)
    assert float(lonely.bandwidth) == pytest.approx(32e9)
    assert float(packed.bandwidth) == pytest.approx(256e9)


def test_cards_never_beat_the_link():
    fast = comm.group(16.0, 1.0, NETWORK.__class__(**{**vars(NETWORK), "scale_out_bandwidth": 400e9}), STACK)
    assert float(fast.bandwidth) == pytest.approx(450e9 * 0.75)


def test_one_rank_communicates_nothing():
    ranks = comm.group(1.0, 1.0, NETWORK, STACK)
    assert float(comm.all_gather(1e9, ranks)) == 0.0


def test_distinct_ranks_of_a_token():
    # Brute force: 4 ranks, 2 independent uniform choices; 16 equally likely pairs, 4 of one rank and 12 of two.
    assert comm.distinct(4.0, 2.0) == pytest.approx((4 * 1 + 12 * 2) / 16)
    assert comm.distinct(1.0, 8.0) == pytest.approx(1.0)


def test_all_to_all_takes_the_slower_path():
    ranks = comm.group(64.0, 1.0, NETWORK, STACK)
    slow = comm.all_to_all(14336.0, 4096.0, 8.0, ranks, NETWORK, STACK)
    inside = comm.all_to_all(14336.0, 4096.0, 8.0, comm.group(8.0, 1.0, NETWORK, STACK), NETWORK, STACK)
    assert slow > inside
    domains = 8.0
    volume = 14336.0 * 4096 * comm.distinct(domains, 8.0) * 7 / 8
    assert float(slow - ranks.latency) == pytest.approx(volume / 32e9)


def test_times_broadcast():
    sizes = np.array([1.0, 2.0, 8.0, 64.0])
    ranks = comm.group(sizes, 1.0, NETWORK, STACK)
    together = comm.all_gather(1e8, ranks)
    apart = [float(comm.all_gather(1e8, comm.group(float(n), 1.0, NETWORK, STACK))) for n in sizes]
    assert together == pytest.approx(apart)
