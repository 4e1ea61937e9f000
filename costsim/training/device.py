"""What the step-time model knows of a chip, its network and the software stack: numbers only.

Everything here is SI: FLOP/s, bytes/s, bytes, seconds. A field may be a float or an array that broadcasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from costsim.uncertainty.ranges import Num

if TYPE_CHECKING:
    from costsim.training.ranks import Exchange


@dataclass(frozen=True)
class Chip:
    """One accelerator as a roofline sees it.

    Attributes:
        matmul_flops: dense peak of the precision of the matrix products, FLOP/s.
        vector_flops: dense peak of the 16-bit precision that attention runs in, FLOP/s.
        memory_bandwidth: device memory, bytes/s.
        memory_bytes: usable device memory, bytes.
        matmul_efficiency: share of ``matmul_flops`` that large matrix products reach.
        matmul_memory_efficiency: share of ``memory_bandwidth`` that matrix products reach.
        launch_seconds: fixed time of one kernel.
    """

    matmul_flops: Num
    vector_flops: Num
    memory_bandwidth: Num
    memory_bytes: Num
    matmul_efficiency: Num
    matmul_memory_efficiency: Num
    launch_seconds: Num


@dataclass(frozen=True)
class Collective:
    """What one collective reaches inside a scale-up domain, over n ranks.

    It reaches ``share + share_slope / n`` of the links and takes ``alpha + hop · n`` before the first byte; beyond the
    number of ranks that were measured, what those reach.

    Attributes:
        share: of the links, at many ranks.
        share_slope: lost share (below 0) times the ranks.
        alpha: seconds, the part that does not grow.
        hop: seconds that each rank adds.
        ranks: the most that were measured.
    """

    share: Num
    alpha: Num
    share_slope: Num = 0.0
    hop: Num = 0.0
    ranks: Num = float("inf")

    @classmethod
    def between(cls, pair: tuple[Num, Num], many: tuple[Num, Num], ranks: float) -> Collective:
        """From the (share, latency) of two ranks and of ``ranks``, more than two.

        Shares are linear in 1/n, as each rank's own part of the buffer costs time too; latencies are linear in n, the
        steps of a ring. Four ranks of the H100, between the two, then come out within 5 % of measured ones.
        """
        slope = (pair[0] - many[0]) / (1 / 2 - 1 / ranks)
        hop = (many[1] - pair[1]) / (ranks - 2)
        return cls(many[0] - slope / ranks, pair[1] - 2 * hop, slope, hop, ranks)


@dataclass(frozen=True)
class Network:
    """Links of one accelerator, one direction each.

    Attributes:
        scale_up_bandwidth: inside the domain (NVLink, ICI, Infinity Fabric), all links of an accelerator, bytes/s.
        scale_up_domain: accelerators that reach each other at that speed.
        scale_up_latency: fixed time of one collective inside the domain, seconds; of a torus, of one hop.
        scale_up_efficiency: share of the links that collectives reach where they were not measured.
        scale_out_bandwidth: between domains, per accelerator, bytes/s.
        scale_out_latency: time of one hop between domains, seconds.
        node: accelerators that share a host; failures and stragglers are counted in nodes.
        scale_up_per_peer: what one accelerator can send one neighbour, bytes/s: a link of a mesh or torus.
        mesh: 1 where every pair has its own link, else 0.
        axis_chips: of a torus, chips along each axis of the slice in use; 0 elsewhere.
        axis_links: of a torus, links along an axis that a collective can use at once: 2 with wrap-around, else 1.
        all_gather: as measured inside a domain; so are the others.
        reduce_scatter: the same.
        all_reduce: the same.
        all_to_all: the same.
        exchange: what was measured of steps that data-parallel ranks share; None where nothing was.
    """

    scale_up_bandwidth: Num
    scale_up_domain: Num
    scale_up_latency: Num
    scale_up_efficiency: Num
    scale_out_bandwidth: Num
    scale_out_latency: Num
    node: Num
    scale_up_per_peer: Num = float("inf")
    mesh: Num = 0.0
    axis_chips: Num = 0.0
    axis_links: Num = 2.0
    all_gather: Collective | None = None
    reduce_scatter: Collective | None = None
    all_reduce: Collective | None = None
    all_to_all: Collective | None = None
    exchange: Exchange | None = None


@dataclass(frozen=True)
class Stack:
    """How well a framework of a given year drives a chip: multipliers, exposed shares and overheads.

    Attributes:
        matmul: multiplier on the chip's ``matmul_efficiency``.
        attention_efficiency: share of ``vector_flops`` that the attention core reaches forward, causal FLOPs.
        attention_backward: time of the attention core's backward over its forward.
        unfused_attention: 1 where scores are written to memory (before flash attention), else 0.
        memory_efficiency: share of the memory bandwidth reached by element-wise kernels and the optimizer.
        elementwise: multiplier on the element-wise traffic of a layer (fusion below 1).
        permute_bytes: forward traffic to dispatch and combine a token, bytes per hidden element and active expert.
        logits_bytes: memory traffic of the cross-entropy, bytes per token and vocabulary entry.
        accumulate_bytes: traffic to add the gradient of a micro-batch to the accumulated one, bytes per parameter.
        accumulate_fused: 1 where the product that makes a gradient adds it too, so that its compute hides the traffic.
        host_seconds: time the host needs to launch one pass of one layer.
        host_experts: host time of a layer with experts over that of a dense one: it launches more kernels.
        host_tensor_growth: relative growth of ``host_seconds`` at tensor parallelism of 8.
        tensor_overlap: share of tensor-parallel communication hidden behind compute.
        data_overlap: share of the backward pass that can hide gradient communication.
        gather_overlap: share of fully sharded gathers that can hide behind compute.
        context_overlap: share of the attention time that can hide context-parallel exchange.
        expert_overlap: share of expert dispatch and combine hidden.
        pipeline_exposed: share of stage-to-stage transfers that is not hidden.
        scale_out_efficiency: share of the network bandwidth that collectives reach.
        ring_latency: share of the hop latency paid at every node of a ring (0 for tree or tuned collectives).
        grouped_matmul: efficiency of grouped products of wide experts over dense ones.
        grouped_half_width: inner width of an expert at which grouped products run at half of that.
        expert_imbalance: busiest expert rank over the mean.
        straggler: slowdown per sqrt(2 ln nodes).
        recompute_full: share of a layer's products repeated under full recomputation.
        recompute_selective: share of a layer's forward repeated under selective recomputation.
        selective_kept: share of a layer's activations that selective recomputation still stores.
        activation_factor: stored activations over the term-by-term count.
        weight_bytes: of the copy of a weight used in the step.
        gradient_bytes: of an accumulated gradient.
        optimizer_bytes: of master copy and moments, per parameter.
        layer_gradient_bytes: of a weight's gradient as a layer makes it, before it is added to those accumulated.
        update_bytes: of the optimizer's temporary buffers, per parameter that it updates.
        pipeline_outputs: hidden states that a stage keeps for each micro-batch in flight besides its layers' tensors.
        low_precision_storage: 1 where weights and stored inputs of products have the products' precision, else 0.
        communication_gradient_bytes: of a gradient on the wire.
        logits_memory_bytes: stored per token and vocabulary entry at the loss.
        states_in_precision: 1 where weights, gradients and moments have the precision of activations; the bytes above
            are then those at 16 bits.
        brief_gradients: 1 where a gradient lives from its making in the backward pass to the update, if a step has one
            micro-batch, and 0 where all of them are held throughout.
        gather_buffers: layers' worth of flat buffers that fully sharded gathers, and scatters, keep until the next one.
        unfused_blocks: 1 where rotation of queries and keys and a gate's activation are kernels of their own, whose
            results are kept.
        unfused_norms: 1 where RMS norms are several kernels, which keep two 32-bit tensors in place of their input.
        repeated_keys: 1 where attention reads keys and values repeated to the number of query heads.
        offload_link: of the host's bus, one direction, bytes/s an accelerator; for an offloaded optimizer.
        offload_memory: of host memory, bytes/s an accelerator's share.
        overhead_bytes: memory of context, communicators and workspaces.
        allocator_slack: bytes the allocator holds over those of tensors, less 1.
        memory_spread: standard deviation of log peak memory around the estimate.
        residual: standard deviation of log step time around the estimate.
    """

    matmul: Num
    attention_efficiency: Num
    attention_backward: Num
    unfused_attention: Num
    memory_efficiency: Num
    elementwise: Num
    permute_bytes: Num
    logits_bytes: Num
    accumulate_bytes: Num
    accumulate_fused: Num
    host_seconds: Num
    host_experts: Num
    host_tensor_growth: Num
    tensor_overlap: Num
    data_overlap: Num
    gather_overlap: Num
    context_overlap: Num
    expert_overlap: Num
    pipeline_exposed: Num
    scale_out_efficiency: Num
    ring_latency: Num
    grouped_matmul: Num
    grouped_half_width: Num
    expert_imbalance: Num
    straggler: Num
    recompute_full: Num
    recompute_selective: Num
    selective_kept: Num
    activation_factor: Num
    weight_bytes: Num
    gradient_bytes: Num
    optimizer_bytes: Num
    layer_gradient_bytes: Num
    update_bytes: Num
    pipeline_outputs: Num
    low_precision_storage: Num
    communication_gradient_bytes: Num
    logits_memory_bytes: Num
    states_in_precision: Num
    brief_gradients: Num
    gather_buffers: Num
    unfused_blocks: Num
    unfused_norms: Num
    repeated_keys: Num
    offload_link: Num
    offload_memory: Num
    overhead_bytes: Num
    allocator_slack: Num
    memory_spread: Num
    residual: Num


@dataclass(frozen=True)
class Workload:
    """One optimizer step.

    Attributes:
        sequence_length: tokens of a sequence.
        global_batch_sequences: sequences of a step over the whole cluster.
        matmul_bytes: bytes of an element in matrix products (2 for 16-bit, 1 for 8-bit, ...).
        activation_bytes: bytes of a stored activation.
    """

    sequence_length: Num
    global_batch_sequences: Num
    matmul_bytes: Num = 2.0
    activation_bytes: Num = 2.0
