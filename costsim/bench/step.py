"""A training step with a time stamp at each border of its components, and the numbers of a step without them.

The graph is cut at two tensors: after the embedding and before the head. A cut is a ``detach``, which copies nothing;
the backward pass runs in three pieces, each fed with the gradient that the one before left at the cut. Gradients are
those of the uncut step, bit by bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch

from costsim.bench.decoder import Decoder


@dataclass(frozen=True)
class StepTimes:
    """Seconds of one step by component, in the order of ``record.COMPONENTS``, and of the host to issue it."""

    components: tuple[float, ...]
    host: float

    @property
    def seconds(self) -> float:
        """The whole step."""
        return sum(self.components)


def timed_step(
    model: Decoder,
    update: Callable[[], None],
    tokens: torch.Tensor,
    targets: torch.Tensor,
    mark: Callable[[], Any],
) -> tuple[list[Any], torch.Tensor]:
    """Run one step.

    Args:
        model: whose parts are called one by one.
        update: the optimizer's step, which clears the gradients after it.
        tokens: (batch, sequence).
        targets: (batch, sequence).
        mark: makes a time stamp, or records an event in the device's queue.

    Returns:
        The eight stamps at the borders of the seven components, and the loss.
    """
    marks = [mark()]
    embedded = model.embedding(tokens)
    marks.append(mark())
    entering = embedded.detach().requires_grad_()
    leaving = model.blocks(entering)
    marks.append(mark())
    read = leaving.detach().requires_grad_()
    loss = model.head(read, targets)
    marks.append(mark())
    loss.backward()
    marks.append(mark())
    leaving.backward(read.grad)
    marks.append(mark())
    embedded.backward(entering.grad)
    marks.append(mark())
    update()
    marks.append(mark())
    return marks, loss


def spans(stamps: Sequence[float]) -> tuple[float, ...]:
    """Differences of neighbours."""
    return tuple(after - before for before, after in pairwise(stamps))
