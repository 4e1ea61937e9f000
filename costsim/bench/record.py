"""What a bench measured, as plain records: seconds, bytes, joules, and the conditions they were measured in.

No torch here: the fit of coefficients, the calibration file and the tables read these without it. Every record is
written as one JSON line as soon as it is measured (``lines.py``), with all of its samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from costsim.training.architecture import Architecture

Mode = Literal["quick", "default", "full"]
Status = Literal["good", "noisy", "refused", "partial"]
Cut = Literal["interrupt", "busy machine", "lost rank"]
Dtype = Literal["fp32", "tf32", "bf16"]
Layout = Literal["forward", "dgrad", "wgrad"]

COMPONENTS = (
    "embedding_forward",
    "blocks_forward",
    "head_forward",
    "head_backward",
    "blocks_backward",
    "embedding_backward",
    "optimizer",
)
"""Parts of a step in the order in which they run; the head's include the last normalisation and the loss."""


@dataclass(frozen=True)
class Timing:
    """One thing timed many times.

    Attributes:
        seconds: the median, which is what long runs sustain.
        low: lower end of the 95 % interval of the median.
        high: its upper end.
        best: the 5th percentile.
        samples: every time after the warm-up, in order, in seconds.
        warmup: every time before that.
        outliers: samples more than 10 median absolute deviations from the median; they are counted, and stay in.
        settled: the interval reached the precision asked for before time ran out.
    """

    seconds: float
    low: float
    high: float
    best: float
    samples: tuple[float, ...]
    warmup: tuple[float, ...] = ()
    outliers: int = 0
    settled: bool = True

    @property
    def half_width(self) -> float:
        """Half of the interval over the median."""
        return (self.high - self.low) / 2 / self.seconds


@dataclass(frozen=True)
class Conditions:
    """What else the machine did meanwhile; None where this system does not tell.

    Attributes:
        pressure: share of the time in which some task waited for a processor (pressure stall information).
        cpu_share: processor time of this process over wall time and threads; of work on the CPU only.
        involuntary_per_second: context switches that this process did not ask for.
        steal: share of the time that a hypervisor gave to others.
        other_processes: processes of others on the accelerator.
        clock_share: the accelerator's clock over its highest.
        throttle: reasons the accelerator's driver gives for a lower clock.
        temperature_celsius: of the accelerator.
    """

    pressure: float | None = None
    cpu_share: float | None = None
    involuntary_per_second: float | None = None
    steal: float | None = None
    other_processes: int | None = None
    clock_share: float | None = None
    throttle: tuple[str, ...] = ()
    temperature_celsius: float | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a measurement can be planned from, and why not, in words."""

    status: Status
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measured:
    """What every measurement has: its times, the conditions, the verdict on them."""

    timing: Timing
    conditions: Conditions
    verdict: Verdict


@dataclass(frozen=True)
class Gemm(Measured):
    """One matrix product of m × k by k × n.

    Attributes:
        m: rows of the result: tokens of a forward product.
        n: its columns.
        k: what is summed over.
        layout: ``forward`` (x Wᵀ), ``dgrad`` (gradient of the input, g W) or ``wgrad`` (gᵀ x): which of the two
            operands is transposed in memory.
        dtype: of the operands.
    """

    m: int
    n: int
    k: int
    layout: Layout
    dtype: Dtype

    @property
    def flops_per_second(self) -> float:
        """Rate at the median time."""
        return 2 * self.m * self.n * self.k / self.timing.seconds


@dataclass(frozen=True)
class Linear(Measured):
    """Forward and backward of a chain of linear layers without biases: the anchor of the rate of matrix products.

    Attributes:
        tokens: rows.
        inputs: width of the input.
        outputs: width of the output.
        dtype: of weights and activations.
    """

    tokens: int
    inputs: int
    outputs: int
    dtype: Dtype

    @property
    def flops_per_second(self) -> float:
        """Rate at the median time: three products."""
        return 6 * self.tokens * self.inputs * self.outputs / self.timing.seconds


@dataclass(frozen=True)
class Bandwidth(Measured):
    """Memory read and written.

    Attributes:
        operation: ``copy`` (b = a).
        working_bytes: bytes of all arrays together, which decides whether a cache holds them.
        moved_bytes: bytes read plus written once.
        cache_bytes: of the last-level cache, 0 if unknown.
    """

    operation: Literal["copy"]
    working_bytes: int
    moved_bytes: int
    cache_bytes: int

    @property
    def bytes_per_second(self) -> float:
        """Rate at the median time."""
        return self.moved_bytes / self.timing.seconds


@dataclass(frozen=True)
class Optimizer(Measured):
    """One AdamW update alone.

    Attributes:
        parameters: how many were updated.
        weights: dtype of weights and gradients.
        states: dtype of the moments.
        kind: implementation: ``fused``, ``foreach`` or ``loop``.
    """

    parameters: int
    weights: Dtype
    states: Dtype
    kind: str


@dataclass(frozen=True)
class Step(Measured):
    """A training step, timed whole and by component.

    Attributes:
        architecture: the shape that was run (two layers, whatever the model has).
        sequence: tokens of a sequence.
        micro_batch: sequences of the step.
        dtype: of weights, activations and optimizer states; the loss is in fp32.
        components: times of ``COMPONENTS``, in seconds; they add up to the step.
        compiled: with torch.compile.
        role: ``designed`` for the fit, or ``target`` where a model was named.
        peak_bytes: peak memory in the step, None where the device does not tell.
        host_seconds: time the host took to issue a step (median); equal to the step on a CPU.
        first_loss: in nats per token, before any update.
        last_loss: the same after all updates on the same batch.
        ranks: processes that ran it together; times are the slowest rank's.
        parallel: how they did: ``none``, ``ddp`` or ``fsdp2``.
        rank_seconds: each rank's own median, where several ran it.
    """

    architecture: Architecture
    sequence: int
    micro_batch: int
    dtype: Dtype
    components: dict[str, Timing]
    compiled: bool = False
    role: Literal["designed", "target"] = "designed"
    peak_bytes: int | None = None
    host_seconds: float | None = None
    first_loss: float | None = None
    last_loss: float | None = None
    ranks: int = 1
    parallel: Literal["none", "ddp", "fsdp2"] = "none"
    rank_seconds: tuple[float, ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens of one step of one rank."""
        return self.sequence * self.micro_batch


@dataclass(frozen=True)
class Device:
    """The device under test.

    Attributes:
        kind: ``cpu``, ``cuda``, ``rocm`` or ``mps``.
        name: as the driver or the system names it.
        catalogue: name of its hardware file, None where no file is of this device.
        count: devices that were measured together.
        threads: of the CPU.
        memory_bytes: that the device has.
        cache_bytes: of its last-level cache, 0 if unknown.
        units: streaming multiprocessors, compute units or cores.
        identity: a hash of its serial or UUID, so that two files of one device can be told.
        power_limit_watts: as set, None if unknown.
        power_default_watts: as delivered.
        clock_max_hertz: highest clock of its units.
    """

    kind: Literal["cpu", "cuda", "rocm", "mps"]
    name: str
    catalogue: str | None = None
    count: int = 1
    threads: int = 1
    memory_bytes: int = 0
    cache_bytes: int = 0
    units: int = 0
    identity: str = ""
    power_limit_watts: float | None = None
    power_default_watts: float | None = None
    clock_max_hertz: float | None = None


@dataclass(frozen=True)
class Software:
    """What ran: versions and switches that change times."""

    costsim: str
    torch: str
    python: str
    system: str
    driver: str | None = None
    cuda: str | None = None
    hip: str | None = None
    nccl: str | None = None
    blas: str = ""
    attention: str = ""
    fp32_precision: str = "highest"
    malloc: str = "default"
    optimizer: str = ""


@dataclass(frozen=True)
class Energy:
    """Energy of a training step repeated for a while.

    Attributes:
        source: ``counter`` (read before and after), ``sampled_power`` (integrated), ``assumed`` (the device drew what
            its data sheet allows), or ``none``.
        counter: which one, or what was assumed, or why there is none, in words.
        joules_per_step: of ``step``; None without a source.
        watts: mean over the window.
        window_seconds: how long was measured.
        covers: what the counter counts: ``device`` or ``package``.
    """

    source: Literal["counter", "sampled_power", "assumed", "none"]
    counter: str
    joules_per_step: float | None = None
    watts: float | None = None
    window_seconds: float | None = None
    covers: str = "device"


@dataclass(frozen=True)
class Collective(Measured):
    """One collective of a group of ranks; times are the slowest rank's.

    Attributes:
        operation: ``all_reduce``, ``all_gather``, ``reduce_scatter``, ``broadcast``, ``all_to_all`` or ``send``.
        ranks: of the group.
        scope: ``node`` if all of them share a host, else ``cluster``.
        dtype: of the elements.
        nbytes: of the whole buffer (gathered, or before scattering).
        backend: ``gloo``, ``nccl`` or other.
        rank_seconds: each rank's own median.
    """

    operation: str
    ranks: int
    scope: Literal["node", "cluster"]
    dtype: str
    nbytes: int
    backend: str
    rank_seconds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Record:
    """Everything one bench measured.

    Attributes:
        mode: how much was asked for.
        created: start, ISO 8601 in UTC.
        dtype: that was asked for; others may be in the tables.
        device: under test.
        software: that ran.
        gemms: the table of matrix products.
        linears: anchors.
        bandwidths: of memory.
        optimizers: updates alone.
        steps: training steps.
        collectives: of ranks, under torchrun.
        energy: of a step.
        verdict: of all of it.
        cut: what ended it before everything was measured; None where nothing did.
        notes: what a reader should know: shapes that were made smaller, what was left out and why.
    """

    mode: Mode
    created: str
    dtype: Dtype
    device: Device
    software: Software
    verdict: Verdict
    cut: Cut | None = None
    gemms: tuple[Gemm, ...] = ()
    linears: tuple[Linear, ...] = ()
    bandwidths: tuple[Bandwidth, ...] = ()
    optimizers: tuple[Optimizer, ...] = ()
    steps: tuple[Step, ...] = ()
    collectives: tuple[Collective, ...] = ()
    energy: Energy = field(default_factory=lambda: Energy("none", "not measured"))
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether nothing was left out."""
        return self.cut is None
