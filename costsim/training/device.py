"""What the step-time model knows of a chip, its network and the software stack: numbers only.

Everything here is SI: FLOP/s, bytes/s, bytes, seconds. A field may be a float or an array that broadcasts.
"""

from __future__ import annotations

from dataclasses import dataclass

from costsim.uncertainty.ranges import Num


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
class Network:
    """Links of one accelerator, one direction each.

    Attributes:
        scale_up_bandwidth: inside the domain (NVLink, ICI, Infinity Fabric), bytes/s.
        scale_up_domain: accelerators that reach each other at that speed.
        scale_up_latency: fixed time of one collective inside the domain, seconds.
        scale_up_efficiency: share of the link that ring collectives reach.
        scale_out_bandwidth: between domains, per accelerator, bytes/s.
        scale_out_latency: time of one hop between domains, seconds.
        node: accelerators that share a host; failures and stragglers are counted in nodes.
    """

    scale_up_bandwidth: Num
    scale_up_domain: Num
    scale_up_latency: Num
    scale_up_efficiency: Num
    scale_out_bandwidth: Num
    scale_out_latency: Num
    node: Num


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
        logits_bytes: memory traffic of the cross-entropy, bytes per token and vocabulary entry.
        host_seconds: time the host needs to launch one pass of one layer.
        host_tensor_growth: relative growth of ``host_seconds`` at tensor parallelism of 8.
        tensor_overlap: share of tensor-parallel communication hidden behind compute.
        data_overlap: share of the backward pass that can hide gradient communication.
        gather_overlap: share of fully sharded gathers that can hide behind compute.
        context_overlap: share of the attention time that can hide context-parallel exchange.
        expert_overlap: share of expert dispatch and combine hidden.
        pipeline_exposed: share of stage-to-stage transfers that is not hidden.
        scale_out_efficiency: share of the network bandwidth that collectives reach.
        ring_latency: share of the hop latency paid at every node of a ring (0 for tree or tuned collectives).
        grouped_matmul: efficiency of grouped expert products over dense ones.
        expert_imbalance: busiest expert rank over the mean.
        straggler: slowdown per sqrt(2 ln nodes).
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
    logits_bytes: Num
    host_seconds: Num
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
    expert_imbalance: Num
    straggler: Num
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
