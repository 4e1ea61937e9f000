"""The schedule's constants that say what measured coefficients say: one schedule serves priors and calibrations.

Each coefficient of the component model (``components``) is a term of the schedule of one device, so its constants
follow by dividing; where several coefficients make one term, in the proportions of the shape that is planned. The
device's peak, memory and links stay as they are.
"""

from __future__ import annotations

from dataclasses import replace

from costsim.training.architecture import Architecture, parameters
from costsim.training.components import ATTENTION_BACKWARD, Coefficients, scores_per_flop
from costsim.training.device import Chip, Stack
from costsim.training.kernels import elementwise_bytes_per_token
from costsim.training.schedule import ELEMENTWISE_PASSES, OPTIMIZER_TRAFFIC

CHIP_CONSTANTS = ("matmul_efficiency", "matmul_memory_efficiency", "launch_seconds")
STACK_CONSTANTS = (
    "matmul",
    "attention_efficiency",
    "attention_backward",
    "unfused_attention",
    "memory_efficiency",
    "elementwise",
    "logits_bytes",
    "accumulate_bytes",
    "accumulate_fused",
)
"""What a calibration replaces."""
PRODUCTS_ONLY = ("matmul_efficiency", "matmul_memory_efficiency", "matmul")
"""Of these, what holds for the number format that was measured alone."""


def calibrated(
    c: Coefficients, a: Architecture, chip: Chip, stack: Stack, *, products: bool = True, host: bool = True
) -> tuple[Chip, Stack]:
    """Chip and stack as measured.

    Args:
        c: measured coefficients.
        a: the shape that is planned: of several coefficients in one term, each counts as it has of each.
        chip: the device; its peak, memory and bandwidth stay.
        stack: priors of what was not measured.
        products: whether the products that are planned have the number format that was measured; else the priors of
            their rate stay.
        host: whether the host's launches are in the measured times, as on a CPU; else the prior of the stack stays.
    """
    bandwidth = chip.memory_bandwidth
    memory = OPTIMIZER_TRAFFIC / (bandwidth * c.of("update"))
    reached = bandwidth * memory
    moved = c.of("hidden") * a.hidden_size + c.of("head") * (a.heads + a.kv_heads) + c.of("ffn") * a.ffn_size
    unfused = elementwise_bytes_per_token(a, 1.0, 0.0, replace(stack, elementwise=1.0))
    count = parameters(a)
    embedded = float(count.embedding)
    multiplied = float(count.total - count.embedding) + (a.hidden_size * a.vocab_size if a.tied_embeddings else 0.0)
    product_memory = c.bandwidth / bandwidth if products else chip.matmul_memory_efficiency
    beside = (c.of("weight") * multiplied + c.of("embedding") * embedded) / count.total
    vector = chip.matmul_flops if products else chip.vector_flops
    core = c.of("attention") + c.of("score") * scores_per_flop(a) / (1 + ATTENTION_BACKWARD)
    new_chip = replace(
        chip,
        matmul_efficiency=c.rate / chip.matmul_flops if products else chip.matmul_efficiency,
        matmul_memory_efficiency=product_memory,
        launch_seconds=c.of("launch"),
        vector_flops=vector,
    )
    new_stack = replace(
        stack,
        matmul=1.0 if products else stack.matmul,
        attention_efficiency=1 / (core * vector),
        attention_backward=ATTENTION_BACKWARD,
        unfused_attention=0.0,
        memory_efficiency=memory,
        elementwise=moved * reached / (ELEMENTWISE_PASSES * unfused),
        logits_bytes=c.of("logit") * reached,
        accumulate_bytes=beside * bandwidth * product_memory,
        accumulate_fused=0.0,
        host_seconds=0.0 if host else stack.host_seconds,
    )
    return new_chip, new_stack
