"""Typed reading of the keys of a Hugging Face ``config.json``, and the parts that many model types share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from costsim.errors import Problem
from costsim.training.architecture import Architecture, Attention, Biases

LARGEST: Final = 10**9


@dataclass
class Keys:
    """Typed reading of a configuration's keys; problems are gathered rather than raised one by one.

    Attributes:
        values: the configuration.
        file: its name, for problems.
        prefix: path of ``values`` within the file, such as ``text_config.``.
        problems: what was wrong so far.
        defaulted: keys that were omitted, and the value that Transformers gives them.
    """

    values: Mapping[str, object]
    file: str
    prefix: str = ""
    problems: list[Problem] = field(default_factory=list)
    defaulted: dict[str, object] = field(default_factory=dict)

    def wrong(self, key: str, message: str, allowed: str = "") -> None:
        """Note a problem of a key."""
        self.problems.append(Problem(message, self.prefix + key, self.file, allowed=allowed))

    def find(self, *names: str) -> tuple[str, object]:
        """The first of several spellings that is there and not null, or the first spelling and None."""
        return next(
            ((name, self.values[name]) for name in names if self.values.get(name) is not None), (names[0], None)
        )

    def count(self, *names: str, default: int | None = None, derived: int | None = None, least: int = 1) -> int:
        """A whole number, under any of several names; required unless it has a default.

        Args:
            names: spellings of the key, the usual one first.
            default: the family's fixed default; noted where it is used.
            derived: a default that follows from other keys.
            least: smallest value allowed.
        """
        name, value = self.find(*names)
        if value is None and derived is not None:
            return derived
        if value is None and default is not None:
            self.defaulted[name] = default
            return default
        if value is None:
            self.wrong(name, "is missing and has no default", "a whole number")
        elif isinstance(value, bool) or not isinstance(value, int):
            self.wrong(name, f"must be a whole number, not {kind_of(value)}")
        elif not least <= value <= LARGEST:
            self.wrong(name, f"{str(value)[:20]} is out of range", f"from {least} to {LARGEST}")
        else:
            return value
        return 1

    def optional(self, *names: str, default: int | None = None) -> int:
        """A whole number that may be null or 0 to say that the part is absent: 0 then."""
        if default is None or any(name in self.values and self.values[name] is None for name in names):
            return self.count(*names, derived=0, least=0)
        return self.count(*names, default=default, least=0)

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.wrong(name, f"must be true or false, not {kind_of(value)}")
            return default
        return value

    def refuse(self, name: str, why: str) -> None:
        """Note a problem if a flag is on."""
        if self.flag(name, default=False):
            self.wrong(name, why)


def kind_of(value: object) -> str:
    """What a JSON value is, in words."""
    names = {bool: "true or false", str: "text", int: "a whole number", float: "a fraction", list: "a list"}
    return names.get(type(value), "null" if value is None else "an object")


# --- parts that families share ----------------------------------------------------------------------------------------


def decoder(
    k: Keys, *, kv_heads: int | None = None, default_head_size: int | None = None, tied: bool = False
) -> Architecture:
    """The keys that Llama introduced and most families took over: gated feed-forward layers, RMS norms, no biases.

    Args:
        k: the configuration.
        kv_heads: the family's default of ``num_key_value_heads``; without one it is the number of heads.
        default_head_size: the family's default of ``head_dim``; without one the hidden size is divided among the heads.
        tied: the family's default of ``tie_word_embeddings``.
    """
    hidden, heads = k.count("hidden_size", "n_embed", "n_embd"), k.count("num_attention_heads", "n_head")
    return Architecture(
        layers=k.count("num_hidden_layers", "n_layer"),
        hidden_size=hidden,
        heads=heads,
        kv_heads=k.count("num_key_value_heads", default=kv_heads, derived=None if kv_heads else heads),
        head_size=head_size(k, hidden, heads, default_head_size),
        ffn_size=k.count("intermediate_size"),
        vocab_size=k.count("vocab_size"),
        tied_embeddings=k.flag("tie_word_embeddings", tied),
    )


def head_size(k: Keys, hidden: int, heads: int, default: int | None = None) -> int:
    """``head_dim``, or the family's default, or the hidden size shared among the heads."""
    if k.values.get("head_dim") is None and default is None and hidden % heads and not k.problems:
        k.wrong("num_attention_heads", f"a hidden size of {hidden} cannot be shared by {heads} heads, and no head_dim")
        return 1
    return k.count("head_dim", default=default, derived=None if default else hidden // heads)


def attention_bias(k: Keys, default: bool = False, output: bool = True) -> Biases:
    """``attention_bias`` on query, key and value and, mostly, the output; ``mlp_bias`` on the feed-forward layers."""
    bias = k.flag("attention_bias", default)
    return Biases(qkv=bias, output=bias and output, ffn=k.flag("mlp_bias", default=False))


def windows(k: Keys, layers: int, window: int, every: int = 1) -> Attention:
    """Sliding windows, in the order that ``layer_types`` gives where it is there, else one full layer in ``every``."""
    kinds = k.values.get("layer_types")
    if kinds is None:
        return Attention("sliding_window", window, every) if window and every <= layers else Attention()
    if not isinstance(kinds, list) or len(kinds) != layers or not all(isinstance(kind, str) for kind in kinds):
        k.wrong("layer_types", f"must be a list of {layers} texts, one a layer")
        return Attention()
    if unknown := sorted(set(kinds) - {"full_attention", "sliding_attention"}):
        k.wrong("layer_types", f"'{unknown[0]}' is not modelled", "full_attention and sliding_attention")
        return Attention()
    if "sliding_attention" not in kinds:
        return Attention()
    if not window:
        k.wrong("sliding_window", "is missing, though layer_types has sliding_attention")
    period = kinds.index("full_attention") + 1 if "full_attention" in kinds else layers + 1
    if period == 1 or any((kind == "full_attention") != ((i + 1) % period == 0) for i, kind in enumerate(kinds)):
        k.wrong("layer_types", "its order is not modelled", "every layer sliding, or the last of every group full")
    return Attention("sliding_window", window, period if period <= layers else 1)
