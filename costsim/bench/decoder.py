"""The decoder that is timed: a dense GPT or Llama of any shape, in torch, as one writes it without own kernels.

It is cut in three (embedding, blocks, head with loss) so that a step can be timed by component; see ``step.py``.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from costsim.training.architecture import Architecture

ROTARY_BASE = 10_000.0  # Su et al. 2021 (arXiv 2104.09864) §3.2.2; it changes no time


def unsupported(a: Architecture, sequence: int) -> list[str]:
    """What of a shape this decoder does not have, in words; empty if it can be measured.

    A window that is at least the sequence changes nothing, so those models are measured.
    """
    windowed = a.attention.kind in ("sliding_window", "chunked") and a.attention.window < sequence
    lacks = {
        "a mixture of experts": a.experts is not None,
        "multi-head latent attention": a.attention.kind == "mla",
        f"windowed attention over more than its window ({a.attention.window} tokens)": windowed,
        "attention sinks": a.attention_sinks,
        "relative positions": a.relative_positions,
        "multi-token prediction": a.multi_token_prediction > 0,
    }
    return [words for words, there in lacks.items() if there]


def token_loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats per token, computed in fp32.

    Args:
        logits: (..., vocabulary).
        targets: (...), token numbers.
    """
    return functional.cross_entropy(logits.float().flatten(0, -2), targets.flatten())


def _norm(a: Architecture, size: int) -> nn.Module:
    return nn.LayerNorm(size) if a.norm_bias else nn.RMSNorm(size, eps=1e-6)


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions of (batch, heads, sequence, head size), by halves as in Llama's published code."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class SelfAttention(nn.Module):
    """Causal attention over grouped heads through ``scaled_dot_product_attention``."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.sizes = (a.heads * a.head_size, a.kv_heads * a.head_size, a.kv_heads * a.head_size)
        self.head_size, self.group, self.qk_norm = a.head_size, a.heads // a.kv_heads, a.qk_norm
        self.qkv = nn.Linear(a.hidden_size, sum(self.sizes), bias=a.biases.qkv)
        self.output = nn.Linear(self.sizes[0], a.hidden_size, bias=a.biases.output)
        if a.qk_norm != "none":
            widths = self.sizes[:2] if a.qk_norm == "full" else (a.head_size, a.head_size)
            self.query_norm, self.key_norm = (nn.RMSNorm(width, eps=1e-6) for width in widths)

    def forward(self, x: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor] | None) -> torch.Tensor:
        """Attend: (batch, sequence, hidden) to the same; ``rotation`` is cosine and sine, or None without rotary."""
        q, k, v = self.qkv(x).split(self.sizes, dim=-1)
        if self.qk_norm == "full":
            q, k = self.query_norm(q), self.key_norm(k)
        q, k, v = (t.unflatten(-1, (-1, self.head_size)).transpose(1, 2) for t in (q, k, v))
        if self.qk_norm == "head":
            q, k = self.query_norm(q), self.key_norm(k)
        if rotation is not None:
            q, k = _rotated(q, *rotation), _rotated(k, *rotation)
        # Flash kernels of GPUs read grouped heads as they are; elsewhere that would take the slow path with all scores.
        grouped = self.group > 1 and x.is_cuda and x.dtype != torch.float32
        if self.group > 1 and not grouped:
            k, v = (t.repeat_interleave(self.group, dim=1) for t in (k, v))
        options = {"enable_gqa": True} if grouped else {}
        out = functional.scaled_dot_product_attention(q, k, v, is_causal=True, **options)
        return self.output(out.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """SwiGLU with gate and up projection in one product, or GELU without a gate."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.gated = a.gated_ffn
        self.up = nn.Linear(a.hidden_size, a.ffn_size * (2 if a.gated_ffn else 1), bias=a.biases.ffn)
        self.down = nn.Linear(a.ffn_size, a.hidden_size, bias=a.biases.ffn)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Transform each token by itself."""
        up = self.up(x)
        if not self.gated:
            return self.down(functional.gelu(up))
        gate, up = up.chunk(2, dim=-1)
        return self.down(functional.silu(gate) * up)


class Block(nn.Module):
    """A pre-norm transformer block; attention and feed-forward in parallel where the model has them so."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.attention, self.ffn = SelfAttention(a), FeedForward(a)
        self.parallel = a.parallel_attention
        self.norms = nn.ModuleList(_norm(a, a.hidden_size) for _ in range(a.norms_per_layer))
        self.places = {0: (), 1: ("attention",), 2: ("attention", "ffn"), 4: ("attention", "after", "ffn", "last")}[
            a.norms_per_layer
        ]

    def _normalised(self, place: str, x: torch.Tensor) -> torch.Tensor:
        return self.norms[self.places.index(place)](x) if place in self.places else x

    def forward(self, x: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor] | None) -> torch.Tensor:
        """One block of the residual stream, (batch, sequence, hidden)."""
        read = self._normalised("attention", x)
        attended = self._normalised("after", self.attention(read, rotation))
        if self.parallel:
            second = self._normalised("ffn", x) if "ffn" in self.places else read
            return x + attended + self.ffn(second)
        x = x + attended
        return x + self._normalised("last", self.ffn(self._normalised("ffn", x)))


class Embedding(nn.Module):
    """Tokens, learned positions and the normalisation after them, where the model has those."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.tokens = nn.Embedding(a.vocab_size, a.hidden_size)
        self.positions = nn.Embedding(a.learned_positions, a.hidden_size) if a.learned_positions else None
        self.norm = _norm(a, a.hidden_size) if a.embedding_norm else None

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Embed (batch, sequence) token numbers."""
        x = self.tokens(tokens)
        if self.positions is not None:
            x = x + self.positions.weight[: tokens.shape[1]]
        return x if self.norm is None else self.norm(x)


class Head(nn.Module):
    """The last normalisation, the vocabulary head and the loss."""

    def __init__(self, a: Architecture) -> None:
        super().__init__()
        self.norm = _norm(a, a.hidden_size) if a.final_norm else None
        self.linear = nn.Linear(a.hidden_size, a.vocab_size, bias=a.biases.head)

    def forward(self, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of (batch, sequence, hidden) states, nats per token."""
        return token_loss(self.linear(x if self.norm is None else self.norm(x)), targets)


class Decoder(nn.Module):
    """A decoder-only transformer whose forward pass is its loss.

    Args:
        a: the shape, with nothing in it that ``unsupported`` lists.
        sequence: the longest sequence, for the table of rotary positions.
    """

    def __init__(self, a: Architecture, sequence: int) -> None:
        super().__init__()
        self.embedding = Embedding(a)
        self.layers = nn.ModuleList(Block(a) for _ in range(a.layers))
        self.head = Head(a)
        if a.tied_embeddings:
            self.head.linear.weight = self.embedding.tokens.weight
        self.rotary = not a.learned_positions
        if self.rotary:
            frequencies = ROTARY_BASE ** -(torch.arange(0, a.head_size, 2).float() / a.head_size)
            angles = torch.outer(torch.arange(sequence).float(), frequencies).repeat(1, 2)
            dtype = torch.get_default_dtype()
            self.register_buffer("cos", angles.cos().to(dtype), persistent=False)
            self.register_buffer("sin", angles.sin().to(dtype), persistent=False)
        self.apply(_initialise)

    def blocks(self, x: torch.Tensor) -> torch.Tensor:
        """All blocks, (batch, sequence, hidden) to the same."""
        length = x.shape[1]
        rotation = (self.cos[:length], self.sin[:length]) if self.rotary else None
        for layer in self.layers:
            x = layer(x, rotation)
        return x

    def forward(self, tokens: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss in nats per token of (batch, sequence) token numbers."""
        return self.head(self.blocks(self.embedding(tokens)), targets)


def _initialise(module: nn.Module) -> None:
    """Normal weights of GPT-2's standard deviation, 0.02; a head so small that the loss starts at ln(vocabulary)."""
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
    if isinstance(module, Head):  # after its parts: logits have a standard deviation of 0.1
        nn.init.normal_(module.linear.weight, std=0.1 * module.linear.in_features**-0.5)
