"""Times of collectives between the ranks of a layout: rings, and the α–β law.

Bytes are those of the whole buffer that a rank ends with (all-gather), starts with (reduce-scatter) or holds
(all-reduce), as in nccl-tests ``doc/PERFORMANCE.md``. Sources: Thakur, Rabenseifner and Gropp 2005, §4; the sharing of
network cards between groups: SimuMax 1.2 ``docs/system.md``, checked on Megatron-LM runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from costsim.training.device import Network, Stack
from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class Group:
    """Ranks that communicate, and the path between them.

    Attributes:
        size: ranks of the group.
        bandwidth: bytes/s of one rank in a ring through all of them.
        latency: fixed seconds of one collective.
    """

    size: Num
    bandwidth: Num
    latency: Num


def group(size: Num, stride: Num, network: Network, stack: Stack) -> Group:
    """The path of ``size`` ranks placed ``stride`` ranks apart.

    Inside a scale-up domain a ring runs at the link. Across domains it runs at the network cards that the group owns
    there: a group with g ranks in a domain drives g cards, up to the link itself.

    Args:
        size: ranks of the group.
        stride: distance between neighbouring ranks of the group, in ranks.
        network: the links.
        stack: how well collectives use them.

    Returns:
        The group, broadcast over its arguments.
    """
    local = np.clip(np.floor(network.scale_up_domain / stride), 1.0, size)
    domains = np.ceil(size / local)
    link = network.scale_up_bandwidth * network.scale_up_efficiency
    cards = local * network.scale_out_bandwidth * stack.scale_out_efficiency
    bandwidth = np.where(domains > 1, np.minimum(link, cards), link)
    hops = (domains - 1) * stack.ring_latency + np.log2(domains)
    latency = np.where(size > 1, network.scale_up_latency + hops * network.scale_out_latency, 0.0)
    return Group(size, bandwidth, latency)


def all_gather(nbytes: Num, ranks: Group) -> Num:
    """Seconds of a ring all-gather (or reduce-scatter) of ``nbytes``: (n−1)/n · bytes / bandwidth + α."""
    return (ranks.size - 1) / ranks.size * nbytes / ranks.bandwidth + ranks.latency


def all_reduce(nbytes: Num, ranks: Group) -> Num:
    """Seconds of a ring all-reduce of ``nbytes``: 2 (n−1)/n · bytes / bandwidth + 2 α."""
    return 2 * all_gather(nbytes, ranks)


def send(nbytes: Num, stride: Num, network: Network, stack: Stack) -> Num:
    """Seconds to hand ``nbytes`` to a rank ``stride`` ranks away."""
    inside = stride < network.scale_up_domain
    bandwidth = np.where(
        inside,
        network.scale_up_bandwidth * network.scale_up_efficiency,
        network.scale_out_bandwidth * stack.scale_out_efficiency,
    )
    return nbytes / bandwidth + np.where(inside, network.scale_up_latency, network.scale_out_latency)


def distinct(ranks: Num, choices: Num) -> Num:
    """Expected distinct ranks that hold ``choices`` experts picked at random: r (1 − (1 − 1/r)^k)."""
    return ranks * (1 - (1 - 1 / ranks) ** choices)


def all_to_all(bytes_per_token: Num, tokens: Num, choices: Num, ranks: Group, network: Network, stack: Stack) -> Num:
    """Seconds for each rank to send its tokens to the ranks that hold their experts (one direction).

    A token crosses the network once for each distinct domain and the scale-up links once for each distinct rank
    (DeepSeek-V3 2024, §3.2.1); the slower of the two paths sets the time.

    Args:
        bytes_per_token: of one copy.
        tokens: that a rank holds.
        choices: experts that a token visits.
        ranks: the expert group.
        network: the links.
        stack: how well they are used.
    """
    domains = np.maximum(1.0, ranks.size / np.minimum(ranks.size, network.scale_up_domain))
    far = distinct(domains, choices) * (domains - 1) / domains
    near = distinct(ranks.size, choices) * (ranks.size - 1) / ranks.size
    volume = bytes_per_token * tokens
    over_network = volume * far / (network.scale_out_bandwidth * stack.scale_out_efficiency)
    over_links = volume * near / (network.scale_up_bandwidth * network.scale_up_efficiency)
    return np.maximum(over_network, over_links) + ranks.latency
