"""An architecture as a replica that serves it sees it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from costsim.economics.engine import AttentionOf, LayerTimes, Roofline
from costsim.economics.replica import ServedModel
from costsim.inputs.accelerator import Accelerator
from costsim.training.architecture import (
    attended_keys,
    attention_flops_per_token,
    attention_output_width,
    kv_cache_elements_per_token,
    moe_layers,
    parameters,
    query_width,
)
from costsim.training.shape import Architecture

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num

LAYER_PARTS = tuple(field.name for field in fields(LayerTimes))
"""What a layer is made of, in the order of `LayerTimes`."""


@dataclass(frozen=True)
class ElementBytes:
    """Bytes of what a replica holds.

    Attributes:
        weight: of a weight outside the experts.
        expert_weight: of a weight in the experts.
        kv: of a cached element.
    """

    weight: float
    expert_weight: float
    kv: float


@dataclass(frozen=True)
class Sparing:
    """How a model looks at less than its whole context, beyond what an `Architecture` can say.

    Attributes:
        chosen_keys: keys that an index chooses for each query (DeepSeek sparse attention); 0 for all.
        every: one layer in so many attends to the context; the others carry a state of fixed size (linear attention).
    """

    chosen_keys: int = 0
    every: int = 1


def served_model(
    a: Architecture, input_tokens: float, output_tokens: float, each: ElementBytes, sparing: Sparing | None = None
) -> ServedModel:
    """The model as a replica sees it; lengths of windows are taken at the middle of the requests' lengths.

    Args:
        a: its shape.
        input_tokens: of a request.
        output_tokens: of a request.
        each: bytes of its elements.
        sparing: of its attention.
    """
    spare = sparing or Sparing()
    context = input_tokens + output_tokens / 2
    count, e, mla = parameters(a), a.experts, a.attention
    latent = mla.kind == "mla"
    seen = float(np.asarray(attended_keys(a, context, causal=False))) / context
    absorbed = a.heads * (2 * mla.kv_rank + mla.rope_size)  # MLA decodes in the latent space: DeepSeek-V2, section 2.1
    decode = 2.0 * seen * (absorbed if latent else query_width(a) + attention_output_width(a))
    prompt = 2.0 * attention_flops_per_token(a, input_tokens, multi_token_prediction=False) / input_tokens
    return ServedModel(
        parameters=float(count.total),
        active_parameters=float(count.active if a.tied_embeddings else count.active - count.embedding),
        expert_parameters=float(moe_layers(a) * e.routed * count.expert_each) if e is not None else 0.0,
        experts=float(e.routed) if e is not None else 0.0,
        experts_per_token=float(e.active) if e is not None else 0.0,
        layers=float(a.layers),
        hidden_size=float(a.hidden_size),
        kv_elements_per_token=float(np.asarray(kv_cache_elements_per_token(a, context))) / spare.every,
        kv_heads=1.0 if latent else float(a.kv_heads),
        decode_attention_flops=decode / spare.every,
        # Chosen keys are attended to in the latent space by prefill too: each query has keys of its own.
        prefill_attention_flops=(decode if spare.chosen_keys else float(prompt)) / spare.every,
        weight_bytes=each.weight,
        expert_weight_bytes=each.expert_weight,
        kv_bytes=each.kv,
        context_cap=float(spare.chosen_keys) if spare.chosen_keys else float("inf"),
        attention_parameters=float(a.layers * count.attention_per_layer),
    )


def attention_of(a: Architecture, sparing: Sparing | None = None) -> AttentionOf:
    """Of what kind a model's attention is, for the fixed time of a layer."""
    if a.attention.kind != "mla":
        return "heads"
    return "sparse" if sparing is not None and sparing.chosen_keys else "latent"


def engine_constants(r: Any, a: Architecture, overhead: Num, sparing: Sparing | None = None) -> Roofline:
    """Fitted constants for a model.

    Args:
        r: the constants, under the names of `costsim.inputs.serving.RooflineFields`; numbers or arrays.
        a: the model.
        overhead: factor on the fixed times of layers and all-reduces.
        sparing: of its attention.
    """
    e = a.experts
    layer = LayerTimes(**{name: getattr(r.layer, name) for name in LAYER_PARTS})
    seconds = layer.of(
        attention_of(a, sparing), qk_norm=a.qk_norm != "none", experts=e is not None, shared=bool(e and e.shared)
    )
    return Roofline(
        memory_efficiency=r.memory_efficiency,
        flop_efficiency=r.flop_efficiency,
        layer_seconds=overhead * seconds,
        allreduce_seconds=overhead * r.allreduce,
        link_efficiency=r.link_efficiency,
        memory_fraction=r.memory_fraction,
        cache_efficiency=r.cache_efficiency,
        prefill_efficiency=r.dense_prefill_efficiency if e is None else r.expert_prefill_efficiency,
        prefill_link_efficiency=r.prefill_link_efficiency,
        sequence_seconds=r.sequence,
        request_seconds=r.request,
        prompt_reads=r.prompt_reads,
        reserved_bytes=r.reserved,
    )


def serving_rate(chip: Accelerator, precision: str) -> str:
    """The precision whose rate a replica's products run at: that of the weights, or the next wider one of the chip."""
    order = ("fp4", "fp8", "int8", "bf16", "fp16", "tf32", "fp32")
    has = chip.peak_flops.rates()
    start = order.index(precision)
    return next((name for name in (precision, *order[start:], *order) if name in has), precision)


def replica_link(chip: Accelerator, accelerators: float) -> float:
    """Bandwidth between the accelerators of a replica, bytes/s: of the node's links, or of the network beyond it."""
    link = chip.scale_up.bandwidth if accelerators <= chip.scale_up.domain else None
    if link is None:
        link = chip.scale_out.bandwidth if chip.scale_out is not None else chip.memory.bandwidth
    return float(link)
