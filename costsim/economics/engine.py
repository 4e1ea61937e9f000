"""A serving engine: how far it stays from the peaks of its accelerators, and the fixed times that it takes.

The constants are fitted on published measurements (``python -m costsim.fitting.serving``); docs/economics.md explains
each. Everything is SI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num

AttentionOf = Literal["heads", "latent", "sparse"]
"""Of what kind a layer's attention is: of key-value heads; latent (MLA); latent with an index that chooses the keys."""


@dataclass(frozen=True)
class Roofline:
    """Fitted constants: how far engines stay from the peaks, and their fixed times.

    Attributes:
        memory_efficiency: share of the memory bandwidth reached by reading weights.
        flop_efficiency: share of the peak reached by decode, and by attention.
        layer_seconds: fixed time of a layer in a decode step (launches, small kernels), of this kind of model.
        allreduce_seconds: fixed time of an all-reduce.
        link_efficiency: share of the link bandwidth that all-reduces of a decode step reach.
        memory_fraction: share of the memory that an engine may fill.
        cache_efficiency: share of the memory bandwidth reached by reading KV cache; None for ``memory_efficiency``.
        prefill_efficiency: share of the peak reached by the products of prefill; None for ``flop_efficiency``.
        prefill_link_efficiency: of all-reduces of a prefill; None for ``link_efficiency``.
        sequence_seconds: of the host and the sampler in a decode step, for each sequence of an attention group.
        request_seconds: fixed time of a request.
        prompt_reads: passes over all weights that the prefill of a request is at least as long as; 1 where it is a
            pass of its own, 0 where prompts always share the passes of others.
        reserved_bytes: of what an engine may fill, taken by activations and graphs.
    """

    memory_efficiency: Num
    flop_efficiency: Num
    layer_seconds: Num
    allreduce_seconds: Num
    link_efficiency: Num
    memory_fraction: Num
    cache_efficiency: Num | None = None
    prefill_efficiency: Num | None = None
    prefill_link_efficiency: Num | None = None
    sequence_seconds: Num = 0.0
    request_seconds: Num = 0.0
    prompt_reads: Num = 0.0
    reserved_bytes: Num = 0.0


@dataclass(frozen=True)
class LayerTimes:
    """Fixed time of a layer by what it is made of: each part launches kernels, whatever the batch. Seconds.

    Attributes:
        attention: of key-value heads.
        latent: latent attention (MLA) in its place: more projections.
        index: beside that, of sparse attention that chooses its keys.
        norm: normalising queries and keys.
        feed_forward: of a dense layer.
        experts: router, permutation and grouped products in its place.
        shared: experts that every token uses, beside those.
    """

    attention: Num
    latent: Num
    index: Num
    norm: Num
    feed_forward: Num
    experts: Num
    shared: Num

    def of(self, attention: AttentionOf, *, qk_norm: bool, experts: bool, shared: bool) -> Num:
        """Fixed time of a layer of a model.

        Args:
            attention: its kind.
            qk_norm: whether queries and keys are normalised.
            experts: whether its feed-forward is a mixture of experts.
            shared: whether some of those are used by every token.
        """
        seconds = self.attention if attention == "heads" else self.latent
        seconds = seconds + (self.index if attention == "sparse" else 0.0) + (self.norm if qk_norm else 0.0)
        return seconds + (self.experts if experts else self.feed_forward) + (self.shared if shared else 0.0)
