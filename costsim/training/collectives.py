"""Times of collectives between the ranks of a layout, by the topology that they run over.

Bytes are those of the whole buffer that a rank ends with (all-gather), starts with (reduce-scatter) or holds
(all-reduce, exchange), as in nccl-tests ``doc/PERFORMANCE.md``: t = α + traffic / bandwidth, the traffic (n−1)/n of the
buffer, twice that for an all-reduce.

Inside a scale-up domain the topology says how many of an accelerator's links a group can use, and measurements how much
of them a collective reaches; across domains, the network cards that the group owns do. Sources: Thakur, Rabenseifner
and Gropp 2005, §4 (rings, recursive halving); Sanders, Speck and Träff 2009 (two trees at full bandwidth, as NCCL has
them); the sharing of network cards between groups: SimuMax 1.2 ``docs/system.md``, checked on Megatron-LM runs; tori:
Austin et al. 2025, How to Scale Your Model, §3.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from costsim.training.device import Collective, Network, Stack
from costsim.uncertainty.ranges import Num


@dataclass(frozen=True)
class Group:
    """Ranks that communicate, and the paths between them.

    Attributes:
        size: ranks of the group.
        local: of them, in one scale-up domain.
        domains: that the group spans.
        link: bytes/s of one rank's links to the others in its domain.
        exchange_link: the same where every rank sends to every other.
        cards: bytes/s of the network cards that the group owns in a domain.
        hop: seconds of one hop between domains.
        levels: log₂ of the domains: such hops of a tree.
        ring_hops: such hops of an all-gather or reduce-scatter.
        steps: hops inside a torus, 1 elsewhere.
        network: the links.
    """

    size: Num
    local: Num
    domains: Num
    link: Num
    exchange_link: Num
    cards: Num
    hop: Num
    levels: Num
    ring_hops: Num
    steps: Num
    network: Network

    @cached_property
    def share(self) -> Num:
        """(n−1)/n: of the buffer, what comes from others."""
        return 1 - 1 / self.size

    @cached_property
    def gathering(self) -> tuple[Num, Num]:
        """Bandwidth and latency of an all-gather."""
        return self.ring(self.network.all_gather)

    @cached_property
    def scattering(self) -> tuple[Num, Num]:
        """Bandwidth and latency of a reduce-scatter."""
        return self.ring(self.network.reduce_scatter)

    @property
    def bandwidth(self) -> Num:
        """Bytes/s of one rank in an all-gather through all of them."""
        return self.gathering[0]

    @property
    def latency(self) -> Num:
        """Fixed seconds of one all-gather."""
        return self.gathering[1]

    def inside(self, operation: Collective | None, link: Num, phases: float = 1.0) -> tuple[Num, Num]:
        """Bandwidth and latency that a collective reaches inside the domain: as measured, else by the stack's share.

        Args:
            operation: what is measured of it.
            link: bytes/s that the topology allows.
            phases: passes through the ranks, each with its latency, where nothing is measured.
        """
        if operation is None:
            return link * self.network.scale_up_efficiency, phases * self.network.scale_up_latency * self.steps
        ranks = np.minimum(np.maximum(self.local, 2.0), operation.ranks)
        return link * (operation.share + operation.share_slope / ranks), operation.alpha + operation.hop * ranks

    def ring(self, operation: Collective | None) -> tuple[Num, Num]:
        """Bandwidth and latency of a ring through all ranks: the slower of links and cards, and the hops between."""
        link, latency = self.inside(operation, self.link)
        bandwidth = np.where(self.domains > 1, np.minimum(link, self.cards), link)
        return bandwidth, np.where(self.size > 1, latency + self.ring_hops * self.hop, 0.0)


def group(size: Num, stride: Num, network: Network, stack: Stack) -> Group:
    """The paths of ``size`` ranks placed ``stride`` ranks apart.

    A group with g ranks in a domain drives g network cards, up to the link itself: sibling groups use the others. In
    the domain, a switch gives each rank its whole link; a full mesh only the links to the g − 1 others; a torus the
    links along the axes that the group fills, twice where they wrap around, and a share of an axis that it does not
    fill.

    Args:
        size: ranks of the group.
        stride: distance between neighbouring ranks of the group, in ranks.
        network: the links.
        stack: how well collectives use them.

    Returns:
        The group, broadcast over its arguments.
    """
    local = np.minimum(np.maximum(np.floor(network.scale_up_domain / stride), 1.0), size)
    domains = np.ceil(size / local)
    levels = hops = np.log2(domains)
    if np.any(stack.ring_latency):
        hops = hops + (domains - 1) * stack.ring_latency
    link = exchange = network.scale_up_bandwidth
    steps: Num = 1.0
    if np.any(network.mesh):
        peers = np.where((local > 1) & (network.mesh > 0), (local - 1) * network.scale_up_per_peer, link)
        link = exchange = np.minimum(link, peers)
    elif np.any(network.axis_chips):
        axes = np.log(local) / np.log(network.axis_chips)
        extent = np.minimum(local, network.axis_chips)
        along = np.maximum(1.0, axes)
        link = np.minimum(link, network.scale_up_per_peer * np.maximum(1.0, network.axis_links * axes))
        # half of an axis sends half of its data over the cut: extent/4 hops with wrap-around, extent/2 without
        exchange = link * np.minimum(1.0, 4 / (along * extent))
        steps = np.maximum(1.0, extent * along / network.axis_links)
    cards = local * (network.scale_out_bandwidth * stack.scale_out_efficiency)
    hop = network.scale_out_latency
    return Group(size, local, domains, link, exchange, cards, hop, levels, hops, steps, network)


def all_gather(nbytes: Num, ranks: Group) -> Num:
    """Seconds of a ring all-gather of ``nbytes``: (n−1)/n · bytes / bandwidth + α."""
    bandwidth, latency = ranks.gathering
    return ranks.share * nbytes / bandwidth + latency


def reduce_scatter(nbytes: Num, ranks: Group) -> Num:
    """Seconds of a ring reduce-scatter of ``nbytes``: (n−1)/n · bytes / bandwidth + α."""
    bandwidth, latency = ranks.scattering
    return ranks.share * nbytes / bandwidth + latency


def all_reduce(nbytes: Num, ranks: Group) -> Num:
    """Seconds of a hierarchical all-reduce of ``nbytes``.

    Inside a domain of g ranks 2 (g−1)/g of the buffer passes the links; between d domains 2 (d−1)/d of it passes the
    group's cards, along two trees of 2 log₂ d hops, while the links work: the slower of both sets the time. A ring
    through all ranks moves no less over either and takes d − 1 hops for log₂ d, so it is never the faster.
    """
    link, latency = ranks.inside(ranks.network.all_reduce, ranks.link, phases=2.0)
    slower = np.maximum((1 - 1 / ranks.local) / link, (1 - 1 / ranks.domains) / ranks.cards)
    fixed = np.where(ranks.size > 1, latency + 2 * ranks.levels * ranks.hop, 0.0)
    return 2 * nbytes * slower + fixed


def exchange(nbytes: Num, ranks: Group) -> Num:
    """Seconds for every rank to send an equal part of its ``nbytes`` to every other (all-to-all).

    Of each rank's buffer (g−1)/n goes to the others of its domain, over the links at the rate that the topology's
    bisection allows, and 1 − 1/d leaves the domain, over the rank's share of the cards.
    """
    link, latency = ranks.inside(ranks.network.all_to_all, ranks.exchange_link)
    inner, outer = (ranks.local - 1) / ranks.size, 1 - 1 / ranks.domains
    slower = np.maximum(inner / link, outer * ranks.local / ranks.cards)
    return nbytes * slower + np.where(ranks.size > 1, latency + ranks.levels * ranks.hop, 0.0)


def send(nbytes: Num, stride: Num, network: Network, stack: Stack) -> Num:
    """Seconds to hand ``nbytes`` to the rank ``stride`` ranks away: over one link of a mesh or torus, else the card."""
    inside = stride < network.scale_up_domain
    link = np.minimum(network.scale_up_bandwidth, network.scale_up_per_peer)
    pair = network.all_to_all
    share = network.scale_up_efficiency if pair is None else pair.share + pair.share_slope / 2
    latency = network.scale_up_latency if pair is None else pair.alpha + pair.hop * 2
    bandwidth = np.where(inside, link * share, network.scale_out_bandwidth * stack.scale_out_efficiency)
    return nbytes / bandwidth + np.where(inside, latency, network.scale_out_latency)


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
    far = distinct(ranks.domains, choices) * (1 - 1 / ranks.domains)
    near = distinct(ranks.size, choices) * ranks.share
    link, latency = ranks.inside(network.all_to_all, ranks.exchange_link)
    slower = np.maximum(far / (network.scale_out_bandwidth * stack.scale_out_efficiency), near / link)
    fixed = np.where(ranks.size > 1, latency + ranks.ring_hops * ranks.hop, 0.0)
    return bytes_per_token * tokens * slower + fixed
