"""A small decoder in torch, written from the papers and apart from costsim: an oracle for parameters and FLOPs."""

from __future__ import annotations

from typing import Any

from costsim.training.architecture import Architecture


def build(a: Architecture, device: str = "meta") -> Any:
    """The decoder with the main model in ``main`` and multi-token prediction modules in ``extra``."""
    import torch
    from torch import nn

    def linear(inputs: int, outputs: int, bias: bool = False) -> Any:
        return nn.Linear(inputs, outputs, bias=bias, device=device)

    def tensor(*shape: int) -> Any:
        return nn.Parameter(torch.empty(*shape, device=device).normal_(std=0.1))

    class Norm(nn.Module):
        def __init__(self, size: int, bias: bool = False) -> None:
            super().__init__()
            self.weight = tensor(size)
            self.bias = tensor(size) if bias else None

        def forward(self, x: Any) -> Any:
            x = x * torch.rsqrt((x * x).mean(-1, keepdim=True) + 1e-6) * self.weight
            return x if self.bias is None else x + self.bias

    def attend(q: Any, k: Any, v: Any) -> Any:
        """Causal attention over (batch, heads, sequence, size), by plain products of the full square."""
        scores = torch.matmul(q, k.transpose(-1, -2)) * q.shape[-1] ** -0.5
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool, device=q.device).triu(1)
        return torch.matmul(scores.masked_fill(mask, -1e9).softmax(-1), v)

    class GroupedAttention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            wide, narrow = a.heads * a.head_size, a.kv_heads * a.head_size
            self.q, self.k, self.v = (linear(a.hidden_size, n, a.biases.qkv) for n in (wide, narrow, narrow))
            self.o = linear(wide, a.hidden_size, a.biases.output)
            if a.qk_norm != "none":
                sizes = (a.head_size, a.head_size) if a.qk_norm == "head" else (wide, narrow)
                self.q_norm, self.k_norm = (Norm(size) for size in sizes)
            if a.attention_sinks:
                self.sinks = tensor(a.heads)
            if a.relative_positions:
                self.relative = linear(a.hidden_size, wide)

        def forward(self, x: Any) -> Any:
            q, k, v = self.q(x), self.k(x), self.v(x)
            if a.qk_norm == "full":
                q, k = self.q_norm(q), self.k_norm(k)
            q, k, v = (t.unflatten(-1, (-1, a.head_size)).transpose(1, 2) for t in (q, k, v))
            if a.qk_norm == "head":
                q, k = self.q_norm(q), self.k_norm(k)
            k, v = (t.repeat_interleave(a.heads // a.kv_heads, dim=1) for t in (k, v))
            return self.o(attend(q, k, v).transpose(1, 2).flatten(-2))

    class LatentAttention(nn.Module):
        """Multi-head latent attention, DeepSeek-V2 §2.1."""

        def __init__(self) -> None:
            super().__init__()
            m = a.attention
            query = a.heads * (m.nope_size + m.rope_size)
            if m.q_rank:
                self.q = nn.Sequential(linear(a.hidden_size, m.q_rank), Norm(m.q_rank), linear(m.q_rank, query))
            else:
                self.q = linear(a.hidden_size, query)
            self.down = linear(a.hidden_size, m.kv_rank + m.rope_size)
            self.norm = Norm(m.kv_rank)
            self.up = linear(m.kv_rank, a.heads * (m.nope_size + m.v_size))
            self.o = linear(a.heads * m.v_size, a.hidden_size, a.biases.output)

        def forward(self, x: Any) -> Any:
            m = a.attention
            latent, shared = self.down(x).split([m.kv_rank, m.rope_size], dim=-1)
            both = self.up(self.norm(latent)).unflatten(-1, (a.heads, -1))
            k, v = both.split([m.nope_size, m.v_size], dim=-1)
            k = torch.cat([k, shared.unsqueeze(2).expand(-1, -1, a.heads, -1)], dim=-1)
            q = self.q(x).unflatten(-1, (a.heads, -1))
            return self.o(attend(*(t.transpose(1, 2) for t in (q, k, v))).transpose(1, 2).flatten(-2))

    class FeedForward(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            bias = a.biases.ffn
            self.up, self.down = linear(a.hidden_size, size, bias), linear(size, a.hidden_size, bias)
            self.gate = linear(a.hidden_size, size, bias) if a.gated_ffn else None

        def forward(self, x: Any) -> Any:
            up = self.up(x)
            return self.down(torch.relu(up) if self.gate is None else torch.nn.functional.silu(self.gate(x)) * up)

    class Mixture(nn.Module):
        """Routed experts in stacked tensors, shared experts, a router."""

        def __init__(self) -> None:
            super().__init__()
            e = a.experts
            assert e is not None
            wide = (2 if a.gated_ffn else 1) * e.ffn_size
            self.router = linear(a.hidden_size, e.routed, e.router_bias)
            self.routed = nn.ParameterDict(
                {"up": tensor(e.routed, a.hidden_size, wide), "down": tensor(e.routed, e.ffn_size, a.hidden_size)}
            )
            if a.biases.ffn:
                self.routed["up_bias"] = tensor(e.routed, wide)
                self.routed["down_bias"] = tensor(e.routed, a.hidden_size)
            self.shared = nn.ModuleList(FeedForward(e.shared_ffn_size) for _ in range(e.shared))
            self.shared_gate = linear(a.hidden_size, 1) if e.shared_gate else None

        def forward(self, x: Any) -> Any:
            e = a.experts
            assert e is not None
            weights, chosen = self.router(x).softmax(-1).topk(e.active, dim=-1)
            out = torch.zeros_like(x)
            for index in range(e.routed):
                rows = (chosen == index).any(-1)
                up = x[rows] @ self.routed["up"][index]
                if a.gated_ffn:
                    gate, up = up.chunk(2, dim=-1)
                    up = torch.nn.functional.silu(gate) * up
                scale = (weights * (chosen == index)).sum(-1)[rows].unsqueeze(-1)
                out[rows] = out[rows] + (up @ self.routed["down"][index]) * scale
            gate = self.shared_gate(x).sigmoid() if self.shared_gate is not None else 1.0
            return out + sum((gate * expert(x) for expert in self.shared), torch.zeros_like(x))

    class Layer(nn.Module):
        def __init__(self, mixture: bool) -> None:
            super().__init__()
            self.attention = LatentAttention() if a.attention.kind == "mla" else GroupedAttention()
            self.ffn = Mixture() if mixture else FeedForward(a.ffn_size)
            self.norms = nn.ModuleList(Norm(a.hidden_size, a.norm_bias) for _ in range(a.norms_per_layer))

        def forward(self, x: Any) -> Any:
            norms = [*self.norms, *[torch.nn.Identity()] * 2]
            x = x + self.attention(norms[0](x))
            return x + self.ffn(norms[1](x))

    class Main(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens = nn.Embedding(a.vocab_size, a.hidden_size, device=device)
            self.positions = (
                nn.Embedding(a.learned_positions, a.hidden_size, device=device) if a.learned_positions else None
            )
            outer = int(a.embedding_norm) + int(a.final_norm)
            self.outer_norms = nn.ModuleList(Norm(a.hidden_size, a.norm_bias) for _ in range(outer))
            e = a.experts
            mixtures = [e is not None and i >= e.dense_layers and (i + 1) % e.every == 0 for i in range(a.layers)]
            self.layers = nn.ModuleList(Layer(mixture) for mixture in mixtures)
            self.head = linear(a.hidden_size, a.vocab_size, a.biases.head)
            if a.tied_embeddings:
                self.head.weight = self.tokens.weight

    class Extra(nn.Module):
        """A multi-token prediction module, DeepSeek-V3 §2.2; it shares the embedding and the head."""

        def __init__(self) -> None:
            super().__init__()
            self.join = linear(2 * a.hidden_size, a.hidden_size)
            self.norms = nn.ModuleList(Norm(a.hidden_size, a.norm_bias) for _ in range(3))
            self.layer = Layer(a.experts is not None)

        def forward(self, x: Any, ahead: Any) -> Any:
            return self.layer(self.join(torch.cat([self.norms[0](x), self.norms[1](ahead)], dim=-1)))

    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.main = Main()
            self.extra = nn.ModuleList(Extra() for _ in range(a.multi_token_prediction))

        def forward(self, tokens: Any) -> Any:
            main, x = self.main, self.main.tokens(tokens)
            if main.positions is not None:
                x = x + main.positions(torch.arange(tokens.shape[-1], device=tokens.device))
            embedded = x
            for layer in main.layers:
                x = layer(x)
            loss = main.head(x).float().logsumexp(-1).mean()
            for extra in self.extra:
                x = extra(x, embedded)
                loss = loss + main.head(extra.norms[2](x)).float().logsumexp(-1).mean()
            return loss

    return Decoder()


def count(module: Any) -> int:
    """Parameters of a module, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())
