"""The step that bench times: gradients, loss and parameters, against a plain step, numpy and closed forms."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from costsim.bench import training  # noqa: E402
from costsim.bench.decoder import Decoder, token_loss, unsupported  # noqa: E402
from costsim.bench.devices import open_device  # noqa: E402
from costsim.bench.record import COMPONENTS  # noqa: E402
from costsim.bench.statistics import Rule  # noqa: E402
from costsim.bench.step import spans, timed_step  # noqa: E402
from costsim.inputs.bench import bench_file  # noqa: E402
from costsim.training.architecture import Architecture, Attention, Biases, Experts, parameters  # noqa: E402

SMALL = Architecture(2, 64, 4, 2, 16, 176, 320)
SHAPES = {
    "llama": SMALL,
    "tied": replace(SMALL, tied_embeddings=True),
    "gpt2": replace(
        SMALL, kv_heads=4, gated_ffn=False, norm_bias=True, biases=Biases(True, True, True), learned_positions=32,
        tied_embeddings=True, embedding_norm=True,
    ),
    "parallel": replace(SMALL, parallel_attention=True, norms_per_layer=1, biases=Biases(head=True)),
    "gemma": replace(SMALL, norms_per_layer=4, qk_norm="head", head_size=32),
    "olmo": replace(SMALL, norms_per_layer=0, final_norm=False, qk_norm="full"),
}  # fmt: skip


def batch(a: Architecture, length: int = 32):
    text = torch.randint(0, a.vocab_size, (3, length + 1), generator=torch.Generator().manual_seed(1))
    return text[:, :-1], text[:, 1:]


def numpy_loss(logits: np.ndarray, targets: np.ndarray) -> float:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    log_share = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return float(-np.take_along_axis(log_share, targets[..., None], -1).mean())


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cut_step_leaves_the_gradients_of_an_uncut_one(name, dtype) -> None:
    torch.manual_seed(0)
    model = Decoder(SHAPES[name], 32).to(dtype)
    tokens, targets = batch(SHAPES[name])
    loss = model(tokens, targets)
    loss.backward()
    plain = {key: value.grad.clone() for key, value in model.named_parameters()}
    model.zero_grad()
    stamps = iter(range(100))
    marks, cut_loss = timed_step(model, lambda: None, tokens, targets, lambda: next(stamps))
    assert torch.equal(cut_loss, loss)
    assert spans(marks) == (1,) * len(COMPONENTS)
    for key, value in model.named_parameters():
        assert torch.equal(value.grad, plain[key]), key
        assert value.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_are_those_that_costsim_counts(name) -> None:
    model = Decoder(SHAPES[name], 32)
    assert sum(p.numel() for p in model.parameters()) == parameters(SHAPES[name]).total


def test_no_token_sees_what_comes_after_it() -> None:
    model = Decoder(SMALL, 32)
    tokens, _ = batch(SMALL)
    changed = tokens.clone()
    changed[:, 20:] = (changed[:, 20:] + 1) % SMALL.vocab_size
    with torch.no_grad():
        before, after = (model.blocks(model.embedding(text)) for text in (tokens, changed))
    assert torch.equal(before[:, :20], after[:, :20])
    assert not torch.allclose(before[:, 20:], after[:, 20:])


def test_rotary_attention_sees_distances_only() -> None:
    """Moved along by any number of tokens, queries meet keys as before."""
    from costsim.bench.decoder import _rotated

    model = Decoder(SMALL, 64)
    q, k = torch.randn(2, 1, 1, 10, SMALL.head_size)
    scores = [
        _rotated(q, model.cos[s : s + 10], model.sin[s : s + 10])
        @ _rotated(k, model.cos[s : s + 10], model.sin[s : s + 10]).transpose(-1, -2)
        for s in (0, 37)
    ]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("token", "loss"), [(0, 0.034), (2, 4.234)])
def test_the_loss_of_the_seeds_own_example(token, loss) -> None:
    logits = torch.tensor([[6.0, 1.5, 1.8, 1.2]])
    assert float(token_loss(logits, torch.tensor([token]))) == pytest.approx(loss, abs=5e-4)


def test_the_steps_loss_is_numpys() -> None:
    torch.manual_seed(0)
    model = Decoder(SMALL, 32)
    tokens, targets = batch(SMALL)
    with torch.no_grad():
        states = model.blocks(model.embedding(tokens))
        logits = model.head.linear(model.head.norm(states)).numpy()
        loss = float(model(tokens, targets))
    assert loss == pytest.approx(numpy_loss(logits, targets.numpy()), rel=1e-6)
    sharp = torch.randn(50, 7) * 200  # far beyond what exponentials can hold
    drawn = torch.randint(0, 7, (50,))
    assert float(token_loss(sharp, drawn)) == pytest.approx(numpy_loss(sharp.numpy(), drawn.numpy()), rel=1e-5)


@pytest.mark.parametrize("name", SHAPES)
def test_a_new_model_knows_nothing(name) -> None:
    torch.manual_seed(0)
    a = SHAPES[name]
    assert float(Decoder(a, 32)(*batch(a)).detach()) == pytest.approx(math.log(a.vocab_size), abs=0.1)


def test_the_loss_falls_when_it_is_trained_on_text() -> None:
    text = (
        "What it costs to pretrain a language model, how long it takes, and whether that money comes back. "
        "A model learns what comes next, and a loss of ln(vocabulary) is that of one that knows nothing. "
    ) * 6
    tokens = torch.tensor(list(text.encode())).unsqueeze(0)
    a = replace(SMALL, vocab_size=256)
    torch.manual_seed(0)
    model = Decoder(a, 512)
    optimizer, _ = training.adamw(list(model.parameters()), 3e-3)

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    losses = []
    for start in range(40):
        piece = tokens[:, start : start + 257]
        _, loss = timed_step(model, update, piece[:, :-1], piece[:, 1:], lambda: 0.0)
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(math.log(256), abs=0.1)
    letters = np.unique(list(text.encode()), return_counts=True)[1] / len(text.encode())
    unigram = float(-(letters * np.log(letters)).sum())
    assert losses[-1] < unigram  # it has learned more than how often each letter comes
    assert losses[-1] < losses[20] < losses[0]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_measured_step_adds_up(dtype) -> None:
    backend = open_device("cpu")
    rule = Rule(seconds=0.2, warmup_seconds=0.1)
    found = training.measure(backend, SMALL, 32, 2, dtype, rule, bench_file().noise)
    assert tuple(found.components) == COMPONENTS
    for place, seconds in enumerate(found.timing.samples):
        parts = sum(part.samples[place] for part in found.components.values())
        assert parts == pytest.approx(seconds, rel=1e-9)
    assert found.first_loss == pytest.approx(math.log(320), abs=0.1)
    assert found.last_loss < found.first_loss
    assert len(found.timing.samples) >= 3
    assert torch.get_default_dtype() == torch.float32  # nothing stays changed


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"attention": Attention("mla", kv_rank=8, rope_size=8, nope_size=8, v_size=8)}, "latent"),
        ({"experts": Experts(4, 2, 32)}, "mixture of experts"),
        ({"attention": Attention("sliding_window", 16)}, "windowed attention"),
        ({"multi_token_prediction": 1}, "multi-token"),
    ],
)
def test_what_the_decoder_lacks_is_said(changed, words) -> None:
    assert words in "; ".join(unsupported(replace(SMALL, **changed), 32))


def test_a_window_that_holds_the_sequence_changes_nothing() -> None:
    assert unsupported(replace(SMALL, attention=Attention("sliding_window", 32)), 32) == []
