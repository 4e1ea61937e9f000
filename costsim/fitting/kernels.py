"""Priors of kernels, fitted to the tables in ``costsim/data/kernels``: ``python -m costsim.fitting.kernels``.

Every fit minimises the mean absolute error of the logarithm, smoothed below 3 %, so that a few odd rows cannot carry
it. The laws are those of `costsim.training`: what is fitted is what a plan computes with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from costsim.fitting.tables import FOUND, HARDWARE, Array, Table, table
from costsim.inputs.accelerator import Accelerator, load_accelerator
from costsim.inputs.cluster import MATMUL_BYTES
from costsim.inputs.stack import load_stack
from costsim.training import kernels
from costsim.training.architecture import Architecture, Experts
from costsim.training.device import Chip, Stack, Workload

PRECISIONS = {
    "bfloat16": "bf16",
    "fp8": "fp8",
    "fp8_block": "fp8",
    "nvfp4": "fp4",
    "w4a8_mxfp4_mxfp8": "fp8",
}
"""Precision of the peak by the tables' names; MXFP4 weights with MXFP8 inputs run at the rate of 8 bits."""

SMOOTH = 0.03  # errors of the logarithm below this count quadratically: the timer's own scatter
LARGE = 1024  # a matrix product counts as large where no side is shorter (training's shapes)
LONG_PREFILL = 2048.0  # tokens of a sequence from which attention counts as large
LONG_KERNEL = 1e-4  # seconds at the peak from which a kernel counts as large
BUSY_EXPERT = 128.0  # tokens of an expert from which its products resemble training's


@dataclass(frozen=True)
class Matmul:
    """The matrix-product law of one GPU and dtype.

    Attributes:
        efficiency: share of the dense peak.
        memory_efficiency: share of the memory bandwidth.
        launch: seconds.
        mape: mean absolute relative error on large shapes.
        n: rows fitted.
        without_cast: efficiency once the cast of the input is counted apart; equal to ``efficiency`` for 16 bits.
    """

    efficiency: float
    memory_efficiency: float
    launch: float
    mape: float
    n: int
    without_cast: float


def robust(model: Callable[[Array], Array], measured: Array, start: Array, steps: int = 80) -> Array:
    """Parameters that minimise the smoothed mean absolute error of log ``model``.

    Gauss-Newton with weights 1/sqrt(r² + `SMOOTH`²), damped; derivatives by differences.

    Args:
        model: parameters of shape (p, 1) or (p, q, 1) to times of shape (n,) or (q, n).
        measured: times, shape (n,).
        start: first guess, shape (p,).
        steps: at most.

    Returns:
        Parameters, shape (p,).
    """
    x, nudge = start.astype(np.float64), 1e-5
    shifts = np.vstack([np.zeros(x.size), nudge * np.eye(x.size)])
    for _ in range(steps):
        logs = np.log(model((x + shifts).T[:, :, None]))
        error = np.log(measured) - logs[0]
        slopes = ((logs[1:] - logs[0]) / nudge).T
        weights = 1 / np.sqrt(error**2 + SMOOTH**2)
        normal = slopes.T @ (slopes * weights[:, None])
        normal += 1e-9 * np.trace(normal) * np.eye(x.size)
        step = np.clip(np.linalg.solve(normal, slopes.T @ (weights * error)), -0.5, 0.5)
        x = x + step
        if np.abs(step).max() < 1e-6:
            break
    return x


def share(logit: Array) -> Array:
    """A number between 0 and 1 from one without bounds."""
    return 1 / (1 + np.exp(-logit))


def plain_stack() -> Stack:
    """A stack whose multipliers of matrix products are 1: the kernels alone."""
    return replace(load_stack("generic").stack.constants(), matmul=1.0, grouped_half_width=0.0, expert_imbalance=1.0)


def chip_of(accelerator: Accelerator, precision: str, law: Array) -> Chip:
    """The chip with these efficiencies.

    Args:
        accelerator: its peak and memory.
        precision: of the peak.
        law: efficiency, memory efficiency and launch seconds, first axis 3.
    """
    return Chip(
        matmul_flops=accelerator.peak(precision),
        vector_flops=accelerator.attention_peak(),
        memory_bandwidth=accelerator.memory.bandwidth,
        memory_bytes=accelerator.memory.usable_bytes,
        matmul_efficiency=law[0],
        matmul_memory_efficiency=law[1],
        launch_seconds=law[2],
    )


def matmul(rows: Table, accelerator: Accelerator, precision: str, cast: float = 0.0) -> Matmul:
    """Fit the matrix-product law.

    Args:
        rows: columns ``m``, ``n``, ``k`` and ``latency_ms``.
        accelerator: for peak and bandwidth.
        precision: of the inputs; outputs have two bytes.
        cast: bytes/s at which a separate kernel reads 16-bit inputs and writes them in ``precision``; 0 without. With
            it, ``without_cast`` is the efficiency of the product itself.

    Returns:
        The law. The efficiency of a dtype that is timed with its cast includes the cast.
    """
    m, n, k = (rows.number(name) for name in ("m", "n", "k"))
    seconds = rows.number("latency_ms") / 1e3
    stack, work = plain_stack(), Workload(1.0, 1.0, MATMUL_BYTES[precision], 2.0)
    casting = (2 + MATMUL_BYTES[precision]) * m * k / cast if cast else np.zeros_like(m)

    def times(law: Array) -> Array:
        law = np.stack([share(law[0]), share(law[1]), np.exp(law[2])])
        return np.asarray(kernels.matmul_seconds(m, k, n, chip_of(accelerator, precision, law), stack, work))

    start = np.array([0.6, 0.8, np.log(4e-6)])
    found = robust(times, seconds, start)
    apart = robust(lambda law: times(law) + casting, seconds, start) if cast else found
    large = np.minimum(np.minimum(m, n), k) >= LARGE
    error = np.abs(times(found[:, None])[large] / seconds[large] - 1)
    efficiency, memory, without = (float(share(value)) for value in (found[0], found[1], apart[0]))
    return Matmul(efficiency, memory, float(np.exp(found[2])), float(error.mean()), len(rows), without)


def attention(rows: Table, accelerator: Accelerator) -> tuple[float, int] | None:
    """Median share of the 16-bit peak that large causal prefills reach, and their number.

    None where the rows mix in layers of a sliding window, whose window the table does not give: then some shares of
    the full triangle exceed the peak.
    """
    batch, length, heads, size = (rows.number(name) for name in ("batch_size", "isl", "num_heads", "head_dim"))
    flops = 2 * batch * length**2 * heads * size  # two products of 2 s² d, the lower triangle
    at_peak = flops / accelerator.attention_peak()
    shares = at_peak / (rows.number("latency_ms") / 1e3)
    large = (length >= LONG_PREFILL) & (at_peak >= LONG_KERNEL)
    if not large.any() or shares.max() > 1:
        return None
    return float(np.median(shares[large])), int(large.sum())


def grouped(rows: Table, accelerator: Accelerator, precision: str, law: Matmul) -> tuple[float, int, float] | None:
    """Efficiency of grouped products over the dense one, the rows it rests on, and the median relative error.

    None without enough rows. The tables time a whole block (permutation and activation too), hence the large error.

    By the law of `kernels.experts_seconds`, on experts with at least `BUSY_EXPERT` tokens, products of gated experts
    only.
    """
    tokens, hidden, inner, top, experts, tensor, expert = (
        rows.number(name)
        for name in ("num_tokens", "hidden_size", "inter_size", "topk", "num_experts", "moe_tp_size", "moe_ep_size")
    )
    gated = np.array(["nongated" not in kind for kind in rows.text["kernel_source"].tolist()])
    used = (tokens * top / experts >= BUSY_EXPERT) & gated
    if used.sum() < 8:
        return None
    pairs, held, ffn = (tokens * top / expert)[used], (experts / expert)[used], (inner / tensor)[used]
    seconds = rows.number("latency_ms")[used] / 1e3
    chip = chip_of(accelerator, precision, np.array([law.without_cast, law.memory_efficiency, law.launch]))
    work, plain = Workload(1.0, 1.0, MATMUL_BYTES[precision], 2.0), plain_stack()
    # one architecture of arrays: the law reads its hidden and expert sizes only
    shape = Architecture(1, hidden[used], 1, 1, 1, ffn, 1, experts=Experts(1, 1, ffn))

    def times(parameters: Array) -> Array:
        stack = replace(plain, grouped_matmul=np.exp(parameters[0]))
        return np.asarray(kernels.experts_seconds(shape, pairs, held, 1.0, chip, stack, work))

    found = robust(times, seconds, np.log([0.7]))
    error = np.abs(times(found[:, None]) / seconds - 1)
    return float(np.exp(found[0])), int(used.sum()), float(np.median(error))


def traffic_share(collective: str, ranks: float) -> float:
    """Share of the message that each rank sends, as nccl-tests ``doc/PERFORMANCE.md`` define the bus bandwidth."""
    return (2 if collective == "all_reduce" else 1) * (ranks - 1) / ranks


def collective(rows: Table) -> tuple[float, float]:
    """Fixed seconds and bus bandwidth in bytes/s of one collective over one number of ranks."""
    nbytes = 2 * rows.number("message_size")
    seconds = rows.number("latency_ms") / 1e3
    moved = nbytes * traffic_share(rows.text["op_name"][0], rows.number("num_gpus")[0])

    def times(law: Array) -> Array:
        return np.asarray(np.exp(law[0]) + moved / np.exp(law[1]))

    found = np.exp(robust(times, seconds, np.log([1e-5, 1e11])))
    return float(found[0]), float(found[1])


def accelerators() -> dict[str, Accelerator]:
    """The hardware files of the GPUs that the tables name, by the tables' name."""
    return {gpu: load_accelerator(name)[0] for gpu, name in HARDWARE.items()}


def all_matmuls(rows: Table, chips: dict[str, Accelerator]) -> dict[tuple[str, str], Matmul]:
    """The law of every (GPU, dtype) of the table.

    The cast of low precisions runs at the memory efficiency that the same GPU's 16-bit products reach.
    """
    found: dict[tuple[str, str], Matmul] = {}
    streams: dict[str, float] = {}
    for (gpu, dtype), part in rows.groups("gpu", "gemm_dtype"):
        chip = chips[gpu]
        found[gpu, dtype] = matmul(part, chip, PRECISIONS[dtype], streams.get(gpu, 0.0))
        if dtype == "bfloat16":
            streams[gpu] = chip.memory.bandwidth * found[gpu, dtype].memory_efficiency
    return found


def fit() -> dict[str, dict[str, object]]:
    """Everything in ``fitted.yaml``, by hardware file; see `costsim.fitting.report` for its form."""
    from costsim.fitting.report import collective_entry, matmul_entry, sampled, significant

    chips = accelerators()
    laws = all_matmuls(table("gemm"), chips)
    result: dict[str, dict[str, object]] = {name: {} for name in HARDWARE.values()}

    def put(name: str, *path: str, value: object) -> None:
        inner = result.setdefault(name, {})
        for key in path[:-1]:
            inner = inner.setdefault(key, {})  # type: ignore[assignment]
        inner[path[-1]] = value

    for (gpu, dtype), law in laws.items():
        put(HARDWARE[gpu], "matmul", dtype, value=matmul_entry(law))
    for (gpu, size), rows in table("attention_forward").groups("gpu", "head_dim"):
        if found := attention(rows, chips[gpu]):
            put(HARDWARE[gpu], "attention", f"head_{size}", value=sampled("efficiency", *found))
    for (gpu, dtype), rows in table("moe").groups("gpu", "moe_dtype"):
        precision = PRECISIONS.get(dtype)
        law_of = laws.get((gpu, dtype)) or laws.get((gpu, "fp8"))
        if precision is None or law_of is None:
            continue
        even = rows.text["distribution"] == "balanced"
        for routing, part in (("balanced", rows.where(even)), ("skewed", rows.where(~even))):
            if len(part) and (products := grouped(part, chips[gpu], precision, law_of)):
                put(HARDWARE[gpu], "grouped", dtype, routing, value=sampled("over_dense", *products))
    for (gpu, kind, ranks), rows in table("nccl").groups("gpu", "op_name", "num_gpus"):
        name = "all_to_all" if kind == "alltoall" else kind
        put(HARDWARE[gpu], "collectives", name, f"ranks_{ranks}", value=collective_entry(*collective(rows)))
    sweep = table("mamf")
    rates = sweep.number("max_achievable_tflops") * 1e12
    for board, dtype, rate in zip(sweep.text["accelerator"], sweep.text["dtype"], rates, strict=True):
        peak = load_accelerator(FOUND[board])[0].peak(dtype)
        put(FOUND[board], "largest_found", str(dtype), value=significant(rate / peak))
    return result


if __name__ == "__main__":
    from costsim.fitting.report import main

    main(fit())
