"""The layout, memory and step sections of a plan: their quantities, declared beside what makes them."""

from __future__ import annotations

from costsim.quantities import declare
from costsim.training.device import Chip, Stack
from costsim.training.layout import Layout
from costsim.training.memory import Memory, fit_probability
from costsim.training.schedule import Step
from costsim.uncertainty.ranges import Num

LAYOUT_LABELS = {
    "tensor": "Tensor parallel",
    "pipeline": "Pipeline stages",
    "virtual_pipeline": "Chunks per stage",
    "context": "Context parallel",
    "expert": "Expert parallel",
    "expert_tensor": "Expert tensor parallel",
    "data": "Data parallel",
    "micro_batch": "Micro-batch",
    "gradient_accumulation": "Micro-batches per replica",
}
for _key, _label in LAYOUT_LABELS.items():
    declare(
        f"layout.{_key}",
        label=_label,
        unit="count",
        formula="{cluster.accelerators} / ({layout.tensor} * {layout.pipeline} * {layout.context})"
        if _key == "data"
        else "{step.sequences} / ({layout.data} * {layout.micro_batch})"
        if _key == "gradient_accumulation"
        else "given, or chosen by the layout search",
        source="Narayanan et al. 2021, section 3",
    )
declare(
    "layout.recompute_share",
    label="Layers recomputed",
    unit="fraction",
    formula="given, or the least share of a stage's layers that fits {accelerator.memory.usable} where it recomputes",
    source="docs/layouts.md",
)

declare(
    "layout.shard_ranks",
    label="Ranks that share states",
    unit="count",
    formula="given; 0 where sharding splits over all replicas",
    source="Rajbhandari et al. 2020; Zhao et al. 2023, PyTorch FSDP, section 3.2.2 (hybrid sharding)",
)

_MEMORY = {
    "weights_bytes": (
        "Weights",
        "parameters of the fullest rank, {stack.weight_bytes} bytes each, sharded or not; and what sharding gathers",
    ),
    "gradients_bytes": (
        "Gradients",
        "parameters of the fullest rank, {stack.gradient_bytes} bytes each, sharded or not; and those that a layer "
        "and the head make before they are added, {stack.layer_gradient_bytes} bytes each",
    ),
    "optimizer_bytes": (
        "Optimizer",
        "parameters of the fullest rank, {stack.optimizer_bytes} bytes each, sharded or not",
    ),
    "activations_bytes": (
        "Activations",
        "tensor-by-tensor sum over the layers and micro-batches in flight on the fullest stage, and the larger of the "
        "loss and the layer whose backward pass runs; or the optimizer's temporary buffers where they are larger",
    ),
    "fragments_bytes": (
        "Fragments",
        "{stack.allocator_slack} * ({memory.weights_bytes} + {memory.gradients_bytes} + {memory.optimizer_bytes}"
        " + {memory.activations_bytes})",
    ),
    "overhead_bytes": ("Context and buffers", "{stack.overhead_bytes}"),
}
for _key, (_label, _formula) in _MEMORY.items():
    declare(
        f"memory.{_key}",
        label=_label,
        unit="byte",
        formula=_formula,
        source="Rajbhandari et al. 2020, section 3; Korthikanti et al. 2022, section 4",
        better="lower",
    )
declare(
    "memory.capacity_bytes",
    label="Usable memory",
    unit="byte",
    formula="{accelerator.memory.usable}",
    source="hardware file",
)

_BREAKDOWN = {
    "compute_seconds": ("Compute", "matrix products and attention at the stack's efficiency, recomputation included"),
    "memory_bound_seconds": ("Memory-bound", "norms, activations, residuals and loss at the memory bandwidth"),
    "tensor_comm_seconds": ("Tensor communication", "all-reduces between tensor ranks that are not hidden"),
    "pipeline_bubble_seconds": ("Pipeline bubble", "(p - 1) / v of a stage's time, and hand-over between stages"),
    "data_comm_seconds": ("Data communication", "gradient and weight collectives over replicas that are not hidden"),
    "expert_comm_seconds": ("Expert communication", "dispatch and combine of experts that are not hidden"),
    "context_comm_seconds": ("Context communication", "exchange of keys and values that is not hidden"),
    "optimizer_seconds": ("Optimizer", "26 bytes a parameter of the rank's shard at the memory bandwidth"),
    "host_seconds": ("Host", "device idle while the host launches kernels"),
    "straggler_seconds": ("Stragglers", "{stack.straggler} of the step per sqrt(2 ln nodes)"),
}
for _key, (_label, _formula) in _BREAKDOWN.items():
    declare(
        f"step.breakdown.{_key}",
        label=_label,
        unit="s",
        formula=_formula,
        source="docs/step-time.md",
        better="lower",
    )


def layout_section(layout: Layout) -> dict[str, object]:
    """The layout in the scenario's words, keyed by JSON path."""
    return {f"layout.{key}": value for key, value in layout.described().items()}


@declare(
    "memory.peak_bytes",
    label="Peak memory",
    unit="byte",
    formula="{memory.weights_bytes} + {memory.gradients_bytes} + {memory.optimizer_bytes} + {memory.activations_bytes}"
    " + {memory.fragments_bytes} + {memory.overhead_bytes}",
    source="sum of the terms",
    better="lower",
)
def memory_section(used: Memory, chip: Chip, stack: Stack) -> dict[str, Num]:
    """Terms of the fullest accelerator's memory and the chance that they fit, keyed by JSON path."""
    terms = {f"memory.{key}": value for key, value in vars(used).items()}
    peak = used.peak_bytes
    return terms | {
        "memory.peak_bytes": peak,
        "memory.capacity_bytes": chip.memory_bytes,
        "memory.fit_probability": fit_probability(peak, chip.memory_bytes, stack.memory_spread),
    }


@declare(
    "step.step_seconds",
    label="Step time",
    unit="s",
    formula=" + ".join(f"{{step.breakdown.{key}}}" for key in _BREAKDOWN),
    source="sum of exposed times",
    better="lower",
    when_given={
        "cluster.mfu": "{compute.flops_per_token} * {step.tokens} / "
        "({cluster.mfu} * {cluster.accelerators} * {accelerator.peak_flops})"
    },
)
def step_seconds(terms: Step, factor: Num) -> Num:
    """Seconds of a step: the terms, times the residual of the model (1 at the centre)."""
    return terms.seconds * factor


def assumed_step_seconds(flops_of_step: Num, mfu: Num, accelerators: Num, peak_flops: Num) -> Num:
    """Seconds of a step when the MFU is assumed: its FLOPs over the rate that it implies."""
    return flops_of_step / (mfu * accelerators * peak_flops)


@declare(
    "step.tokens",
    label="Tokens per step",
    unit="tokens",
    formula="{step.sequences} * {training.sequence_length}",
    source="definition",
)
@declare(
    "step.sequences",
    label="Sequences per step",
    unit="count",
    formula="{layout.data} * {layout.micro_batch} * {layout.gradient_accumulation}",
    source="definition",
)
@declare(
    "step.tokens_per_second",
    label="Tokens per second",
    unit="tokens/s",
    formula="{step.tokens} / {step.step_seconds}",
    source="definition",
    better="higher",
)
@declare(
    "step.tokens_per_second_per_accelerator",
    label="Tokens per second per accelerator",
    unit="tokens/s",
    formula="{step.tokens_per_second} / {cluster.accelerators}",
    source="definition",
    better="higher",
)
@declare(
    "step.model_flops_per_second_per_accelerator",
    label="Model FLOP/s per accelerator",
    unit="FLOP/s",
    formula="{compute.flops_per_token} * {step.tokens_per_second_per_accelerator}",
    source="causal attention counted at half",
    better="higher",
)
@declare(
    "step.mfu",
    label="MFU",
    unit="fraction",
    formula="{step.model_flops_per_second_per_accelerator} / {accelerator.peak_flops}",
    source="Chowdhery et al. 2022 (PaLM), Appendix B, with causal attention at half",
    better="higher",
)
@declare(
    "step.hfu",
    label="HFU",
    unit="fraction",
    formula="{step.mfu} * {compute.hardware_flops} / {compute.model_flops}",
    source="Korthikanti et al. 2022, section 6.3",
    better="higher",
)
def rates(
    seconds: Num,
    sequences: Num,
    sequence_length: Num,
    accelerators: Num,
    flops_per_token: Num,
    peak_flops: Num,
    hardware_share: Num,
) -> dict[str, Num]:
    """What a step time means, keyed by JSON path.

    Args:
        seconds: of a step.
        sequences: of a step.
        sequence_length: tokens of a sequence.
        accelerators: of the cluster.
        flops_per_token: exact model FLOPs.
        peak_flops: dense peak of the stated precision.
        hardware_share: hardware FLOPs over model FLOPs, at least 1.
    """
    tokens = sequences * sequence_length
    per_second = tokens / seconds
    achieved = flops_per_token * per_second / accelerators
    return {
        "step.step_seconds": seconds,
        "step.sequences": sequences,
        "step.tokens": tokens,
        "step.tokens_per_second": per_second,
        "step.tokens_per_second_per_accelerator": per_second / accelerators,
        "step.model_flops_per_second_per_accelerator": achieved,
        "step.mfu": achieved / peak_flops,
        "step.hfu": achieved / peak_flops * hardware_share,
    }


def breakdown_section(terms: Step, factor: Num) -> dict[str, Num]:
    """Exposed seconds by cause, keyed by JSON path; they add up to the step."""
    return {f"step.breakdown.{key}": value * factor for key, value in vars(terms).items()}
