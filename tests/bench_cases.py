"""A bench that is over in seconds: the shipped protocol with tiny shapes and short times."""

from __future__ import annotations

from typing import Any

from costsim.inputs import bench as protocol

STEPS = ((64, 1, 176, 512, 32, 2), (32, 1, 96, 512, 64, 1), (48, 1, 128, 1024, 32, 1))
_KEYS = ("hidden_size", "heads", "ffn_size", "vocab_size", "sequence", "micro_batch")


def small() -> Any:
    """The small protocol."""
    shipped = protocol.bench_file()
    steps = tuple(protocol.StepShape(kv_heads=1, **dict(zip(_KEYS, step, strict=True))) for step in STEPS)
    shapes = shipped.shapes.model_copy(update={"cpu": (protocol.Tier(steps=steps),)})
    short = {
        "step_seconds": 0.1,
        "kernel_seconds": 0.02,
        "bandwidth_seconds": 0.05,
        "caches": 1,
        "budget_seconds": 0.001,
    }
    modes = {name: getattr(shipped.modes, name).model_copy(update=short) for name in ("quick", "default", "full")}
    return shipped.model_copy(
        update={
            "shapes": shapes,
            "modes": shipped.modes.model_copy(update=modes),
            "products": shipped.products.model_copy(update={"cpu": (64, 32)}),
        }
    )


def install() -> None:
    """Let every bench of this process use the small protocol."""
    made = small()
    protocol.bench_file = lambda: made  # type: ignore[assignment]
    from costsim.bench import session, tasks

    session.bench_file = tasks.bench_file = protocol.bench_file
