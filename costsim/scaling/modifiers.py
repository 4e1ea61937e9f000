"""What repeated tokens and excess parameters are worth in a scaling law made for fresh data.

Source: Muennighoff et al. 2023, "Scaling Data-Constrained Language Models" (arXiv:2305.16264), equation 5 and
appendix A.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num


def decayed(amount: Num, base: Num, decay: float) -> Num:
    """Worth of an amount of which only a base is new, when each repetition is worth less: U + U R* (1 - e^(-R/R*)).

    Args:
        amount: what is used in all, such as tokens seen.
        base: what is new in it, such as unique tokens; at most ``amount``.
        decay: R*, the repetitions after which one more is worth 1/e of the first.

    Returns:
        The equivalent amount of new material, between ``base`` and ``base * (1 + decay)``.
    """
    repetitions = amount / base - 1.0
    return base - base * decay * np.expm1(-repetitions / decay)


def effective_tokens(tokens: Num, unique_tokens: Num, decay: float) -> Num:
    """Fresh tokens worth as much as ``tokens`` seen of ``unique_tokens``: D'.

    Four epochs are worth 93 % of fresh data, sixteen 66 %; no number of epochs is worth more than 16.4.

    Source: Muennighoff et al. 2023, equation 5, with R*_D = 15.387756.
    """
    return decayed(tokens, np.minimum(unique_tokens, tokens), decay)


def effective_parameters(parameters: Num, useful_parameters: Num, decay: float) -> Num:
    """Parameters worth as much as ``parameters`` when the data can make use of ``useful_parameters``: N'.

    Source: Muennighoff et al. 2023, equation 5, with R*_N = 5.309743.
    """
    return decayed(parameters, np.minimum(useful_parameters, parameters), decay)
