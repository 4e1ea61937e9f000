"""Chips, links and stacks of plain numbers that several test files share."""

from __future__ import annotations

from dataclasses import replace

from costsim.training.architecture import Architecture
from costsim.training.device import Chip, Network, Stack, Workload
from costsim.training.layout import Layout

CHIP = Chip(
    matmul_flops=989.4e12,
    vector_flops=989.4e12,
    memory_bandwidth=3.35e12,
    memory_bytes=80 * 2.0**30,
    matmul_efficiency=0.765,
    matmul_memory_efficiency=0.78,
    launch_seconds=3.6e-6,
)
NETWORK = Network(
    scale_up_bandwidth=450e9,
    scale_up_domain=8.0,
    scale_up_latency=15e-6,
    scale_up_efficiency=0.75,
    scale_out_bandwidth=50e9,
    scale_out_latency=5e-6,
    node=8.0,
)
STACK = Stack(
    matmul=0.9,
    attention_efficiency=0.5,
    attention_backward=2.8,
    unfused_attention=0.0,
    memory_efficiency=0.5,
    elementwise=0.5,
    permute_bytes=6.0,
    logits_bytes=19.0,
    accumulate_bytes=6.0,
    accumulate_fused=1.0,
    host_seconds=0.3e-3,
    host_experts=2.0,
    host_tensor_growth=0.4,
    tensor_overlap=0.4,
    data_overlap=0.9,
    gather_overlap=0.85,
    context_overlap=0.6,
    expert_overlap=0.4,
    pipeline_exposed=0.2,
    scale_out_efficiency=0.64,
    ring_latency=0.0,
    grouped_matmul=0.95,
    grouped_half_width=500.0,
    expert_imbalance=1.05,
    straggler=0.006,
    recompute_full=1.0,
    recompute_selective=0.05,
    selective_kept=0.55,
    activation_factor=1.0,
    weight_bytes=2.0,
    gradient_bytes=4.0,
    optimizer_bytes=12.0,
    layer_gradient_bytes=2.0,
    update_bytes=0.0,
    pipeline_outputs=0.0,
    low_precision_storage=0.0,
    communication_gradient_bytes=4.0,
    logits_memory_bytes=6.0,
    states_in_precision=0.0,
    brief_gradients=0.0,
    gather_buffers=0.0,
    unfused_blocks=0.0,
    unfused_norms=0.0,
    repeated_keys=0.0,
    offload_link=25e9,
    offload_memory=25e9,
    overhead_bytes=2.0 * 2**30,
    allocator_slack=0.05,
    memory_spread=0.08,
    residual=0.18,
)
LLAMA_8B = Architecture(32, 4096, 32, 8, 128, 14336, 128256)
LLAMA_70B = Architecture(80, 8192, 64, 8, 128, 28672, 128256)
GPT_22B = Architecture(48, 6144, 64, 64, 96, 24576, 51200, gated_ffn=False, tied_embeddings=True)
WORK = Workload(8192.0, 512.0)


def stack(**changes: float) -> Stack:
    """The shared stack with some constants changed."""
    return replace(STACK, **changes)


def layout(accelerators: int, work: Workload = WORK, **keys: float) -> Layout:
    """A layout of that many ranks whose data parallelism and accumulation follow."""
    made = Layout(**keys)
    data = accelerators / (made.tensor * made.pipeline * made.context)
    return replace(made, data=data, gradient_accumulation=work.global_batch_sequences / (data * made.micro_batch))
