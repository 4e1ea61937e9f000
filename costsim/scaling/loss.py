"""The loss section of a plan: what the run will reach, and what the same compute could reach at best."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from costsim.quantities import declare
from costsim.scaling.laws import Law, counted_parameters, decades_beyond, in_range, predicted_loss, repeated
from costsim.scaling.optimal import optimal_parameters, optimal_tokens, size_band

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num


@declare(
    "loss.final_loss",
    label="Final loss",
    unit="nats/token",
    formula="({law.e} + ({law.a} / {law.parameters}**{law.alpha} + {law.b} / {law.tokens}**{law.beta})**{law.k})"
    " * {law.scale}",
    source="Hoffmann et al. 2022 (arXiv:2203.15556), equation 2, with repetition as in Muennighoff et al. 2023"
    " (arXiv:2305.16264), equation 5",
    better="lower",
)
def final_loss(law: Law, parameters: Num, tokens: Num, unique_tokens: Num) -> Num:
    """Loss after training, with repeated tokens at their reduced worth.

    Args:
        law: the law, at its centre or drawn.
        parameters: N as the law counts it.
        tokens: tokens seen.
        unique_tokens: distinct tokens among them; more than ``tokens`` means that none is repeated.
    """
    return predicted_loss(law, *repeated(law, parameters, tokens, unique_tokens))


def loss_section(
    law: Law,
    *,
    active_parameters: Num,
    non_embedding_parameters: Num,
    tokens: Num,
    unique_tokens: Num,
    flops_6nd: Num,
) -> dict[str, Num]:
    """Every number of the loss section, by its path in the JSON of a plan.

    Args:
        law: the law; drawn already where draws are wanted (``with_drawn_constants``, ``with_drawn_level``).
        active_parameters: parameters that a token passes; all of them in a dense model.
        non_embedding_parameters: the same without embeddings and output head.
        tokens: tokens seen in training.
        unique_tokens: distinct tokens among them.
        flops_6nd: the run's own compute, at which the optimum is taken.
    """
    counted = counted_parameters(
        law, active_parameters=active_parameters, non_embedding_parameters=non_embedding_parameters
    )
    best = optimal_parameters(law, flops_6nd)
    low, high = size_band(law, flops_6nd)
    return {
        "loss.final_loss": final_loss(law, counted, tokens, unique_tokens),
        "loss.optimal_parameters": best,
        "loss.optimal_tokens": optimal_tokens(flops_6nd, best),
        "loss.band.parameters_low": low,
        "loss.band.parameters_high": high,
    }


def formula_inputs(
    law: Law, *, active_parameters: Num, non_embedding_parameters: Num, tokens: Num, unique_tokens: Num
) -> dict[str, Num]:
    """Values of the ``{law.*}`` placeholders in the formulas of this section, by placeholder."""
    counted = counted_parameters(
        law, active_parameters=active_parameters, non_embedding_parameters=non_embedding_parameters
    )
    worth_parameters, worth_tokens = repeated(law, counted, tokens, unique_tokens)
    return {
        "law.e": law.E,
        "law.a": law.A,
        "law.b": law.B,
        "law.alpha": law.alpha,
        "law.beta": law.beta,
        "law.k": law.k,
        "law.scale": law.scale,
        "law.parameters": worth_parameters,
        "law.tokens": worth_tokens,
    }


def loss_text(law: Law, *, parameters: float, tokens: float) -> dict[str, str | bool]:
    """The fields of the loss section that are not numbers, by path.

    Args:
        law: the law at its centre.
        parameters: N as the law counts it.
        tokens: tokens seen in training.
    """
    return {
        "loss.law": law.name,
        "loss.unit": law.unit,
        "loss.in_range": bool(in_range(law, parameters, tokens)),
    }


def loss_notes(
    law: Law,
    *,
    parameters: float,
    tokens: float,
    unique_tokens: float,
    mixture_of_experts: bool,
    anchored: bool = False,
) -> tuple[str, ...]:
    """What a reader of the loss must know, in sentences, most important first.

    Args:
        law: the law at its centre.
        parameters: N as the law counts it.
        tokens: tokens seen in training.
        unique_tokens: distinct tokens among them.
        mixture_of_experts: whether only part of the model is active.
        anchored: whether runs on the user's own corpus set the level.
    """
    notes = []
    if not anchored:
        notes.append(
            f"loss: {law.name} is not anchored to your corpus and tokenizer; its level there is uncertain by about"
            f" a factor of {math.exp(1.645 * law.transfer.level):.2f} either way"
        )
    if not in_range(law, parameters, tokens):
        decades = float(decades_beyond(law, parameters, tokens))
        beyond = f", {decades:.1f} decades of compute beyond it" if decades > 0.0 else ""
        notes.append(f"loss: this run lies outside what {law.name} was fitted on{beyond}")
    if tokens > unique_tokens:
        _, worth = repeated(law, parameters, tokens, unique_tokens)
        effect = (
            "which this law does not model"
            if law.repetition is None
            else f"worth {100 * worth / tokens:.0f} % of fresh ones"
        )
        notes.append(f"loss: the tokens are repeated {tokens / unique_tokens:.1f} times, {effect}")
    if mixture_of_experts:
        notes.append("loss: the law was fitted on dense models; the active parameters stand in, which errs upwards")
    return tuple(notes)
