"""Step time: one micro-batch through a layer, layers through a stage, stages through a step.

``step`` adds exposed times only, so that its terms sum to the step: matrix products and attention, memory-bound passes,
tensor, context, expert and data communication that is not hidden, the pipeline's bubble and hand-over, the optimizer,
the host and stragglers. Every argument may be an array of layouts or of draws.

Sources: 1F1B and interleaving: Narayanan et al. 2021, §2.2; sequence parallelism and recompute: Korthikanti et al.
2022, §4–5; sharded data parallelism: Rajbhandari et al. 2020, §7; overlap with a tax: Calculon, SC'23.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from costsim.training import collectives as comm
from costsim.training import kernels
from costsim.training.architecture import Architecture, attention_flops_per_token, kv_width, moe_layers
from costsim.training.device import Chip, Network, Stack, Workload
from costsim.training.layout import Layout
from costsim.training.stages import heaviest
from costsim.uncertainty.ranges import Num

HOST_ORDER = 6  # how sharply the slower of device and host sets a layer's time
ELEMENTWISE_PASSES = 2.6  # forward and backward traffic of element-wise kernels over the forward's


@dataclass(frozen=True)
class Step:
    """Exposed seconds of one optimizer step; the fields add up to the step.

    Attributes:
        compute_seconds: matrix products and attention, recomputation included.
        memory_bound_seconds: norms, activations, residuals, embedding and loss traffic.
        tensor_comm_seconds: tensor-parallel collectives not hidden.
        pipeline_bubble_seconds: idle stages and hand-over between stages.
        data_comm_seconds: gradient and weight collectives over replicas not hidden.
        expert_comm_seconds: dispatch and combine of experts not hidden.
        context_comm_seconds: exchange of keys and values not hidden.
        optimizer_seconds: the update.
        host_seconds: device idle because the host launches too slowly.
        straggler_seconds: waiting for the slowest node.
    """

    compute_seconds: Num
    memory_bound_seconds: Num
    tensor_comm_seconds: Num
    pipeline_bubble_seconds: Num
    data_comm_seconds: Num
    expert_comm_seconds: Num
    context_comm_seconds: Num
    optimizer_seconds: Num
    host_seconds: Num
    straggler_seconds: Num

    @property
    def seconds(self) -> Num:
        """The whole step."""
        return sum(vars(self).values(), start=np.float64(0.0))


@dataclass(frozen=True)
class Pass:
    """Exposed seconds of one layer (or one end of the model) for one micro-batch, forward and backward together.

    ``repeated`` is the part of their sum that recomputation adds.
    """

    compute: Num = 0.0
    memory: Num = 0.0
    tensor: Num = 0.0
    expert: Num = 0.0
    context: Num = 0.0
    host: Num = 0.0
    repeated: Num = 0.0

    @property
    def seconds(self) -> Num:
        """All terms."""
        return self.compute + self.memory + self.tensor + self.expert + self.context + self.host


def tokens_of_rank(layout: Layout, work: Workload) -> Num:
    """Tokens of one micro-batch that a rank holds after the sequence is split."""
    return layout.micro_batch * work.sequence_length / layout.context


def recomputed_share(layout: Layout, stack: Stack) -> Num:
    """Share of a layer's matrix products that is run again in the backward pass."""
    recompute = np.asarray(layout.recompute)
    of_layer = np.select([recompute >= 2, recompute >= 1], [stack.recompute_full, stack.recompute_selective], 0.0)
    return of_layer * layout.recompute_share


def recomputed_core(layout: Layout, stack: Stack) -> Num:
    """Share of the attention core that is run again: all of it where its scores were written to memory."""
    again = np.maximum(stack.recompute_selective, stack.unfused_attention)
    recompute = np.asarray(layout.recompute)
    return np.select([recompute >= 2, recompute >= 1], [1.0, again], 0.0) * layout.recompute_share


def forward_compute(a: Architecture, chip: Chip, stack: Stack, layout: Layout, work: Workload) -> tuple[Num, Num]:
    """Forward seconds of one mean layer: (products, attention core)."""
    rows = tokens_of_rank(layout, work)
    products = kernels.products_seconds(kernels.attention_products(a), rows, layout.tensor, chip, stack, work)
    sparse_share = moe_layers(a) / a.layers
    if sparse_share < 1:
        dense = kernels.products_seconds(kernels.ffn_products(a, a.ffn_size), rows, layout.tensor, chip, stack, work)
        products = products + (1 - sparse_share) * dense
    if a.experts is not None:
        e = a.experts
        pairs = rows * e.active * layout.expert_tensor / layout.tensor
        local = e.routed / layout.expert
        sparse = kernels.experts_seconds(a, pairs, local, layout.expert_tensor, chip, stack, work)
        router = kernels.matmul_seconds(rows / layout.tensor, a.hidden_size, e.routed, chip, stack, work)
        shared: Num = 0.0
        if e.shared:
            blocks = kernels.ffn_products(a, e.shared * e.shared_ffn_size)
            shared = kernels.products_seconds(blocks, rows, layout.tensor, chip, stack, work)
        products = products + sparse_share * (sparse + router + shared)
    flops = attention_flops_per_token(a, work.sequence_length) / a.layers * rows / layout.tensor
    core = kernels.attention_core_seconds(a, flops, rows, work.sequence_length, layout.tensor, chip, stack)
    return products, core


def layer_pass(
    a: Architecture, chip: Chip, network: Network, stack: Stack, layout: Layout, work: Workload, summed: Num = 0.0
) -> Pass:
    """One micro-batch through one mean layer: forward, backward, recomputation and the sum of its gradients.

    Args:
        a: the model's shape.
        chip: the device's rates.
        network: its links.
        stack: the software's priors.
        layout: floats or arrays.
        work: sequence length, batch, bytes.
        summed: parameters of a rank whose gradients are added to those of earlier micro-batches, for each layer.
    """
    rows = tokens_of_rank(layout, work)
    again = recomputed_share(layout, stack)
    products, core = forward_compute(a, chip, stack, layout, work)
    core_again = recomputed_core(layout, stack)
    compute = products * (3 + again) + core * (1 + stack.attention_backward + core_again)
    traffic = kernels.elementwise_bytes_per_token(a, layout.tensor, layout.sequence_parallel, stack)
    if a.experts is not None:  # tokens are gathered, permuted and combined
        traffic = (
            traffic + stack.permute_bytes * a.hidden_size * a.experts.active * moe_layers(a) / a.layers / layout.tensor
        )
    forward_memory = rows * traffic / (chip.memory_bandwidth * stack.memory_efficiency)
    memory = forward_memory * (ELEMENTWISE_PASSES + again) + accumulation(chip, stack, summed, products)
    extra = products * again + core * core_again + forward_memory * again
    launches = 1 + (stack.host_experts - 1) * moe_layers(a) / a.layers
    host = 2 * launches * stack.host_seconds * (1 + stack.host_tensor_growth * np.log2(layout.tensor) / 3)
    passes = 1 + np.where(np.asarray(layout.recompute) >= 2, layout.recompute_share * stack.recompute_full / 2, 0.0)
    device = compute + memory
    paced = kernels.smooth_max(device, passes * host, HOST_ORDER)
    tensor = tensor_exchange(a, network, stack, layout, work)
    once = kernels.smooth_max(device - extra, host, HOST_ORDER) + tensor
    return Pass(
        compute,
        memory,
        tensor * passes,
        expert_exchange(a, network, stack, layout, work),
        context_exchange(a, network, stack, layout, work, core, paced - device),
        paced - device,
        paced + tensor * passes - once,
    )


def tensor_exchange(a: Architecture, network: Network, stack: Stack, layout: Layout, work: Workload) -> Num:
    """Exposed seconds of a layer's tensor-parallel collectives, forward and backward (Narayanan 2021, §3.2).

    Two all-reduces of the activations each way, or an all-gather and a reduce-scatter for each where the sequence is
    split. A sparse feed-forward block has none of its own: its tokens are dispatched straight from the split sequence.
    """
    ranks = comm.group(layout.tensor, 1.0, network, stack)
    nbytes = tokens_of_rank(layout, work) * a.hidden_size * work.activation_bytes
    blocks = 1 + 1 - moe_layers(a) / a.layers
    split = comm.all_gather(nbytes, ranks) + comm.reduce_scatter(nbytes, ranks)
    once = np.where(np.asarray(layout.sequence_parallel) > 0, split, comm.all_reduce(nbytes, ranks))
    return np.where(layout.tensor > 1, 2 * blocks * once * (1 - stack.tensor_overlap), 0.0)


def expert_exchange(a: Architecture, network: Network, stack: Stack, layout: Layout, work: Workload) -> Num:
    """Exposed seconds of a mean layer's dispatch and combine, forward and backward (DeepSeek-V3 2024, §3.2)."""
    if a.experts is None:
        return 0.0
    ranks = comm.group(layout.expert, 1.0, network, stack)
    tokens = tokens_of_rank(layout, work) / layout.tensor
    once = comm.all_to_all(
        a.hidden_size * work.activation_bytes, tokens, float(a.experts.active), ranks, network, stack
    )
    share = moe_layers(a) / a.layers
    exposed = 4 * once * share * stack.expert_imbalance * (1 - stack.expert_overlap)
    return np.where(layout.expert > 1, exposed, 0.0)


def context_exchange(
    a: Architecture, network: Network, stack: Stack, layout: Layout, work: Workload, core: Num, waiting: Num
) -> Num:
    """Exposed seconds of a layer's ring of keys and values (Liu 2023): forward once, backward twice the volume.

    Hidden behind the attention core, and behind what the device waits for the host.
    """
    heads = np.maximum(1.0, np.minimum(layout.tensor, float(a.kv_heads)))
    nbytes = layout.context * tokens_of_rank(layout, work) * 2 * kv_width(a) / heads * work.activation_bytes
    ranks = comm.group(layout.context, layout.tensor, network, stack)
    forward = comm.all_gather(nbytes, ranks)
    hidden = stack.context_overlap * (core + waiting / (1 + stack.attention_backward))
    exposed = np.maximum(0.0, forward - hidden) + np.maximum(0.0, 2 * forward - stack.attention_backward * hidden)
    return np.where(layout.context > 1, exposed, 0.0)


def head_pass(a: Architecture, chip: Chip, stack: Stack, layout: Layout, work: Workload) -> Pass:
    """One micro-batch through the vocabulary head and the cross-entropy, on the last stage."""
    rows = tokens_of_rank(layout, work)
    wide = Workload(work.sequence_length, work.global_batch_sequences, work.activation_bytes, work.activation_bytes)
    dense = chip.vector_flops * kernels.matmul_efficiency(chip, stack)
    columns = a.vocab_size / layout.tensor
    flops = 2 * rows * a.hidden_size * columns
    nbytes = wide.activation_bytes * (rows * (a.hidden_size + columns) + a.hidden_size * columns)
    product = kernels.smooth_max(flops / dense, nbytes / (chip.memory_bandwidth * chip.matmul_memory_efficiency))
    loss = rows * columns * stack.logits_bytes / (chip.memory_bandwidth * stack.memory_efficiency)
    return Pass(compute=3 * (product + chip.launch_seconds), memory=loss)


def stage_layers(a: Architecture, layout: Layout) -> tuple[Num, Num]:
    """Layers of the heaviest stage and of the last one, which also holds the head.

    Where layers do not divide evenly the ends get fewer (Llama 3 2024, §3.3.2: 126 layers on 16 stages, 7 at the ends).
    """
    layers = a.layers + a.multi_token_prediction
    return np.ceil(layers / layout.pipeline), np.floor(layers / layout.pipeline)


def data_exchange(
    a: Architecture,
    network: Network,
    stack: Stack,
    layout: Layout,
    work: Workload,
    held: tuple[Num, Num],
    forward: Num,
    backward: Num,
) -> Num:
    """Exposed seconds of gradient and weight collectives over replicas, per step; where it was measured, as that says.

    Args:
        a: the model's shape.
        network: the links.
        stack: overlap and bytes.
        layout: the layout.
        work: the step.
        held: parameters of the heaviest rank: shared by all, and routed experts.
        forward: seconds of one micro-batch's forward through the heaviest stage.
        backward: the same, backward.
    """
    dense, sparse = held
    replicas, shard = layout.data * layout.context, layout.shard_size
    whole = comm.group(shard, layout.tensor, network, stack)
    copies = comm.group(replicas / shard, layout.tensor * shard, network, stack)
    few = comm.group(layout.expert_data, layout.expert * layout.expert_tensor, network, stack)
    buckets = np.maximum(1.0, stage_layers(a, layout)[0])

    def both(collective: Callable[[Num, comm.Group], Num], nbytes: Num) -> Num:
        """Seconds of one collective of shared and of expert weights, layer by layer."""
        dense_time = collective(dense * nbytes, whole) + (buckets - 1) * whole.latency * stack.ring_latency
        sparse_time = np.where(layout.expert_data > 1, collective(sparse * nbytes, few), 0.0)
        return dense_time + (sparse_time if a.experts is not None else 0.0)

    scatter = both(comm.reduce_scatter, stack.communication_gradient_bytes)
    gather = both(comm.all_gather, work.activation_bytes)
    between = np.where(
        replicas > shard, comm.all_reduce(dense / shard * stack.communication_gradient_bytes, copies), 0.0
    )
    # Interleaved chunks finish their last backward one after another: the first can be reduced while others compute.
    in_flight = np.minimum(layout.gradient_accumulation, layout.pipeline)
    window = np.maximum(1.0, in_flight * (1 - 1 / layout.virtual_pipeline)) * stack.data_overlap
    at_end = np.maximum(0.0, scatter + between - window * backward) + np.maximum(0.0, gather - window * forward)

    def exposed(transfer: Num, compute: Num) -> Num:
        return np.maximum(transfer - stack.gather_overlap * compute, 0.15 * np.minimum(transfer, compute))

    behind = exposed(gather + scatter, backward)
    sharded = layout.gradient_accumulation * (exposed(gather, forward) + behind)
    # The last backward that hides the exchange between copies hides that within them too: it cannot hide both whole.
    left = np.maximum(0.0, stack.data_overlap * backward - (gather + scatter - behind))
    sharded = sharded + np.maximum(0.0, between - left)
    time = np.where(np.asarray(layout.sharding) >= 3, sharded, at_end)
    if network.exchange is not None:
        measured = network.exchange.seconds(a, float(work.activation_bytes), layout)
        time = np.where(network.exchange.covers(a, layout), measured, time)
    return np.where(replicas > 1, time, 0.0)


def optimizer_seconds(chip: Chip, stack: Stack, layout: Layout, held: tuple[Num, Num]) -> Num:
    """Seconds to read and write weights, gradients and moments of a rank's shard: 26 bytes a parameter, plus the norm.

    Offloaded, gradients go to the host and weights come back over its bus, and the update runs at host memory's speed
    (Ren et al. 2021, ZeRO-Offload, section 4).

    Args:
        chip: its memory.
        stack: bytes, and the host's speeds.
        layout: sharding and offload.
        held: parameters of the heaviest rank: shared by all, and routed experts.

    Source: SimuMax 1.2 optimizer model (read and write of moments and master copy, gradient and 16-bit copy).
    """
    dense, sparse = held
    split = np.where(np.asarray(layout.sharding) >= 1, layout.shard_size, 1.0)
    split_sparse = np.where(np.asarray(layout.sharding) >= 1, layout.expert_data, 1.0)
    updated = dense / split + sparse / split_sparse
    on_device = OPTIMIZER_TRAFFIC / (chip.memory_bandwidth * stack.memory_efficiency)
    moved = (stack.gradient_bytes + stack.weight_bytes) / stack.offload_link
    on_host = moved + OPTIMIZER_TRAFFIC / stack.offload_memory
    return updated * np.where(np.asarray(layout.offload) > 0, on_host, on_device)


OPTIMIZER_TRAFFIC = 26.0


def accumulation(chip: Chip, stack: Stack, summed: Num, products: Num) -> Num:
    """Seconds to add a micro-batch's gradients to the sum; only what their products do not hide where they are fused.

    Args:
        chip: its memory.
        stack: bytes, and whether the addition is fused.
        summed: parameters whose gradients are added.
        products: seconds of the products that make them.
    """
    traffic = summed * stack.accumulate_bytes / (chip.memory_bandwidth * chip.matmul_memory_efficiency)
    fused = kernels.smooth_max(products, traffic) - products
    return np.where(np.asarray(stack.accumulate_fused) > 0, fused, traffic)


def step(a: Architecture, chip: Chip, network: Network, stack: Stack, layout: Layout, work: Workload) -> Step:
    """Exposed seconds of one optimizer step.

    Args:
        a: the model's shape.
        chip: the device's rates.
        network: its links.
        stack: the software's priors.
        layout: floats or arrays.
        work: sequence length, batch, bytes.

    Returns:
        Terms that add up to the step, broadcast over the arguments.
    """
    held = heaviest(a, layout)
    most, last = stage_layers(a, layout)
    layer = layer_pass(a, chip, network, stack, layout, work, sum(held) / most)
    head = head_pass(a, chip, stack, layout, work)
    head_sets = last * layer.seconds + head.seconds > most * layer.seconds
    layers = np.where(head_sets, last, most)
    heads = np.where(head_sets, 1.0, 0.0)
    micro = layout.gradient_accumulation

    def through(of_layer: Num, of_head: Num) -> Num:
        return micro * (layers * of_layer + heads * of_head)

    stage = layers * layer.seconds + heads * head.seconds
    mean_stage = ((a.layers + a.multi_token_prediction) * layer.seconds + head.seconds) / layout.pipeline
    bubble = (layout.pipeline - 1) / layout.virtual_pipeline * mean_stage
    handed = tokens_of_rank(layout, work) * a.hidden_size * work.activation_bytes
    handed = handed / layout.tensor  # each tensor rank sends its share, gathered again over the fast links
    stride = layout.tensor * layout.context * layout.data
    hop = comm.send(handed, stride, network, stack) * stack.pipeline_exposed
    hops = np.where(layout.pipeline > 1, 2 * micro * layout.virtual_pipeline * hop, 0.0)
    forward = (stage - layers * layer.repeated) / 3
    backward = stage - forward
    data = data_exchange(a, network, stack, layout, work, held, forward, backward)
    update = optimizer_seconds(chip, stack, layout, held)
    terms = (
        through(layer.compute, head.compute),
        through(layer.memory, head.memory),
        through(layer.tensor, 0.0),
        bubble + hops,
        data,
        through(layer.expert, 0.0),
        through(layer.context, 0.0),
        update,
        through(layer.host, 0.0),
    )
    nodes = np.maximum(1.0, layout.accelerators / network.node)
    slower = stack.straggler * np.sqrt(2 * np.log(nodes))
    return Step(*terms, slower * sum(terms, start=np.float64(0.0)))
