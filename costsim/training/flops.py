"""Floating-point operations of training: the 6ND rule, exact model FLOPs, and the hardware's with recomputation.

Convention of exact model FLOPs: a multiply-add is two FLOPs; a backward pass is two forward passes; only matrix
products count. Weights count at 6 a token (the head once, the input embedding not, of the experts the active ones,
the shared ones and the router); attention products at ``12 L s H d`` for the full square and half of it when causal,
which is the default here. Recomputation is left out of model FLOPs and included in hardware FLOPs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from costsim.quantities import declare
from costsim.training.architecture import (
    Architecture,
    attention_flops_per_token,
    head_weights,
    matmul_parameters_active,
    parameters,
)

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num

_NARAYANAN = "Narayanan et al. 2021 (arXiv 2104.04473) §5.1; PaLM (arXiv 2204.02311) appendix B"


@declare(
    "compute.flops_6nd",
    label="6ND FLOPs",
    unit="FLOP",
    formula="6 * {model.active_parameters} * {training.tokens}",
    source="Hoffmann et al. 2022 (arXiv 2203.15556): N counts embeddings (Kaplan et al. 2020 leave them out)",
)
def flops_6nd(active_parameters: Num, tokens: Num) -> Num:
    """Training FLOPs by the rule 6ND, with N all parameters that a token uses, embeddings included."""
    return 6.0 * active_parameters * tokens


@declare(
    "compute.attention_flops_per_token",
    label="attention FLOPs per token",
    unit="FLOP/token",
    formula="forward and backward score and value products of causal attention, 6 L s H d a token for a full layer, "
    "averaged over {training.sequence_length}",
    source=_NARAYANAN + "; causal attention at half",
)
def training_attention_flops_per_token(a: Architecture, sequence_length: Num, causal: bool = True) -> Num:
    """FLOPs of the attention products of one token in training: three times the forward pass."""
    return 3.0 * attention_flops_per_token(a, sequence_length, causal)


@declare(
    "compute.flops_per_token",
    label="model FLOPs per token",
    unit="FLOP/token",
    formula="6 * {model.matmul_parameters} + {compute.attention_flops_per_token}",
    source=_NARAYANAN,
)
def flops_per_token(a: Architecture, sequence_length: Num, causal: bool = True) -> Num:
    """Exact model FLOPs of training on one token: forward and backward, without recomputation.

    Args:
        a: the model; its multi-token prediction modules are included.
        sequence_length: tokens of a training sequence.
        causal: count causal attention at half; False counts the full square, as many published figures do.
    """
    return 6.0 * matmul_parameters_active(a) + training_attention_flops_per_token(a, sequence_length, causal)


@declare(
    "compute.model_flops",
    label="model FLOPs",
    unit="FLOP",
    formula="{compute.flops_per_token} * {training.tokens}",
    source=_NARAYANAN,
)
def model_flops(flops_per_token: Num, tokens: Num) -> Num:
    """Exact model FLOPs of a whole run."""
    return flops_per_token * tokens


@declare(
    "compute.recomputed_forward_fraction",
    label="forward pass recomputed",
    unit="fraction",
    formula="the share of the forward pass's FLOPs that {layout.recompute} recomputation runs again",
    source="Korthikanti et al. 2022 (arXiv 2205.05198) §5",
)
def recomputed_forward_fraction(a: Architecture, sequence_length: Num, layers: Num, attention: Num) -> Num:
    """Share of the forward pass's model FLOPs that recomputation runs again; the head is never repeated.

    Args:
        a: the model.
        sequence_length: tokens of a training sequence.
        layers: share of the layers' weight products that is repeated: 1 with full recomputation.
        attention: share of the attention products that is repeated: 1 with full and with selective recomputation.
    """
    products = attention_flops_per_token(a, sequence_length)
    weights = 2.0 * matmul_parameters_active(a)
    heads = 2.0 * head_weights(a) * (1 + a.multi_token_prediction)
    return ((weights - heads) * layers + products * attention) / (weights + products)


@declare(
    "compute.hardware_flops",
    label="hardware FLOPs",
    unit="FLOP",
    formula="{compute.model_flops} * (1 + {compute.recomputed_forward_fraction} / 3)",
    source="Korthikanti et al. 2022 (arXiv 2205.05198) appendix A",
)
def hardware_flops(model_flops: Num, recomputed_fraction: Num) -> Num:
    """FLOPs that the hardware runs: model FLOPs and the recomputed share of the forward pass, a third of the model's.

    Args:
        model_flops: exact model FLOPs.
        recomputed_fraction: share of the forward pass's FLOPs that is run again; 0 without recomputation.
    """
    return model_flops * (1.0 + recomputed_fraction / 3.0)


def compute_section(
    a: Architecture,
    tokens: Num,
    sequence_length: Num,
    recompute_forward_flops_fraction: Num,
    *,
    phases: Sequence[tuple[Num, Num]] = (),
) -> dict[str, Num]:
    """Make the ``compute`` section of a plan.

    Args:
        a: the model.
        tokens: tokens trained on in the whole run.
        sequence_length: tokens of a training sequence.
        recompute_forward_flops_fraction: share of the forward pass's FLOPs that is run again.
        phases: (tokens, sequence length) of each phase; where given, attention is their mean weighted by tokens.
    """
    parts = list(phases) or [(tokens, sequence_length)]
    weight = sum((count for count, _ in parts), 0.0)
    attention = sum((count * training_attention_flops_per_token(a, s) for count, s in parts), 0.0) / weight
    per_token = 6.0 * matmul_parameters_active(a) + attention
    total = model_flops(per_token, tokens)
    return {
        "compute.flops_6nd": flops_6nd(parameters(a).active, tokens),
        "compute.attention_flops_per_token": attention,
        "compute.flops_per_token": per_token,
        "compute.model_flops": total,
        "compute.recomputed_forward_fraction": recompute_forward_flops_fraction,
        "compute.hardware_flops": hardware_flops(total, recompute_forward_flops_fraction),
    }
