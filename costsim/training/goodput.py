"""From ideal time to billed time: failures, restarts, checkpoints, and the hours they cost.

First order in the time between failures (Young 1974, Daly 2006). With ``c`` the time to write a checkpoint, ``i`` the
interval between checkpoints, ``R`` the time to restart and ``M`` the mean time between interruptions of the whole
cluster, a useful hour costs ``w = c/i + i/(2M) + R/M`` more; the best interval is ``sqrt(2 c M)``; goodput is
``1/(1+w)``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from costsim.quantities import declare

if TYPE_CHECKING:
    from costsim.uncertainty.ranges import Num

FIRST_ORDER_LIMIT = 0.25
"""Lost time per useful hour above which the formula is out of its range.

It leaves out failures during checkpoints, restarts and repeated work: terms of the order of w squared, 3 % at 0.25.
"""


@dataclass(frozen=True)
class FailureTerms:
    """How often a cluster is interrupted and what that costs; SI.

    Attributes:
        interruptions_per_accelerator_hour: unexpected interruptions of the run for each accelerator-hour.
        restart: from an interruption to useful work, seconds, without the work repeated since the last checkpoint.
        checkpoint_write: time for which training stops while a checkpoint is written, seconds.
        checkpoint_every: seconds between checkpoints; None for the interval that loses least.
    """

    interruptions_per_accelerator_hour: Num
    restart: Num
    checkpoint_write: Num
    checkpoint_every: Num | None = None


def interruptions_per_second(accelerators: Num, terms: FailureTerms) -> Num:
    """Rate at which the whole cluster is interrupted: one accelerator is enough to stop a synchronous run."""
    return accelerators * terms.interruptions_per_accelerator_hour / 3600.0


@declare(
    "run.checkpoint_interval_seconds",
    label="checkpoint every",
    unit="s",
    formula="sqrt(2 * {cluster.failures.checkpoint_write} * 3600 / ({cluster.accelerators} * "
    "{cluster.failures.interruptions_per_accelerator_hour})), or what {cluster.failures.checkpoint_every} says",
    source="Young 1974 (doi 10.1145/361147.361115), equation 4; Daly 2006 (doi 10.1016/j.future.2004.11.016)",
)
def checkpoint_interval_seconds(accelerators: Num, terms: FailureTerms) -> Num:
    """Time between checkpoints, seconds: as told, else the one that loses least; +inf if nothing ever fails."""
    if terms.checkpoint_every is not None:
        return terms.checkpoint_every
    rate = np.asarray(interruptions_per_second(accelerators, terms), dtype=np.float64)
    with np.errstate(divide="ignore"):
        interval: Num = np.where(rate > 0, np.sqrt(2 * terms.checkpoint_write / rate), np.inf)[()]
    return interval


@declare(
    "run.overhead",
    label="time lost per useful hour",
    unit="fraction",
    formula="{cluster.failures.checkpoint_write} / {run.checkpoint_interval_seconds} + "
    "({run.checkpoint_interval_seconds} / 2 + {cluster.failures.restart}) * {cluster.accelerators} * "
    "{cluster.failures.interruptions_per_accelerator_hour} / 3600",
    source="Young 1974; Daly 2006, first order",
    better="lower",
    when_given={"cluster.goodput": "1 / {cluster.goodput} - 1"},
)
def overhead(accelerators: Num, terms: FailureTerms) -> Num:
    """Lost time per useful hour: writing checkpoints, repeating work, restarting. Tends to 0 with the failure rate."""
    rate = interruptions_per_second(accelerators, terms)
    if terms.checkpoint_every is None:
        # c/i + i*rate/2 at the best interval, written so that it is 0, not 0/0, where nothing fails.
        return np.sqrt(2 * terms.checkpoint_write * rate) + terms.restart * rate
    interval = terms.checkpoint_every
    return terms.checkpoint_write / interval + (interval / 2 + terms.restart) * rate


@declare(
    "run.goodput",
    label="goodput",
    unit="fraction",
    formula="1 / (1 + {run.overhead})",
    source="useful time over time; Young 1974, Daly 2006",
    better="higher",
)
def goodput(lost: Num) -> Num:
    """Useful time over all time, from lost time per useful hour."""
    return 1.0 / (1.0 + lost)


@declare(
    "run.steps",
    label="steps",
    unit="count",
    formula="{run.tokens} over the tokens of a step",
    source="one optimizer step takes the global batch",
)
@declare("run.tokens", label="tokens trained on", unit="tokens", formula="{training.tokens}", source="the scenario")
@declare(
    "run.mean_step_seconds",
    label="mean step time",
    unit="s",
    formula="{step.step_seconds}, or the mean over phases by their steps",
    source="phases differ in sequence length and batch",
    better="lower",
)
@declare(
    "run.ideal_days",
    label="ideal time",
    unit="d",
    formula="{run.steps} * {run.mean_step_seconds} / 86400",
    source="steps times step time",
    better="lower",
)
def ideal_days(steps: Num, step_seconds: Num) -> Num:
    """Days of the run if nothing ever stopped it."""
    return steps * step_seconds / 86400.0


@declare(
    "run.wall_clock_days",
    label="time",
    unit="d",
    formula="{run.ideal_days} / {run.goodput}",
    source="time over useful share",
    better="lower",
)
def wall_clock_days(ideal: Num, useful: Num) -> Num:
    """Days from first to last step, lost time included."""
    return ideal / useful


@declare(
    "run.accelerator_hours",
    label="accelerator-hours",
    unit="h",
    formula="{run.wall_clock_days} * 24 * {cluster.accelerators}",
    source="every accelerator is held for the whole run",
    better="lower",
)
def accelerator_hours(days: Num, accelerators: Num) -> Num:
    """Hours billed: the whole cluster for the whole wall-clock time."""
    return days * 24.0 * accelerators


@declare(
    "run.interruptions",
    label="interruptions",
    unit="count",
    formula="{run.accelerator_hours} * {cluster.failures.interruptions_per_accelerator_hour}",
    source="a constant rate for each accelerator-hour",
    better="lower",
)
def interruptions(hours: Num, per_accelerator_hour: Num) -> Num:
    """Expected unexpected interruptions of the run."""
    return hours * per_accelerator_hour


def run_section(
    steps: Num,
    step_seconds: Num,
    tokens: Num,
    accelerators: Num,
    failures: FailureTerms,
    goodput_given: Num | None = None,
) -> dict[str, Num]:
    """Make the ``run`` section of a plan, except its energy.

    Args:
        steps: optimizer steps of the run.
        step_seconds: mean time of a step.
        tokens: trained on.
        accelerators: in the cluster.
        failures: the failure model.
        goodput_given: assume it instead of the failure model; 1 where the step time already includes lost time.
    """
    lost = overhead(accelerators, failures) if goodput_given is None else 1.0 / goodput_given - 1.0
    useful = goodput(lost) if goodput_given is None else goodput_given
    ideal = ideal_days(steps, step_seconds)
    days = wall_clock_days(ideal, useful)
    hours = accelerator_hours(days, accelerators)
    section: dict[str, Num] = {
        "run.steps": steps,
        "run.tokens": tokens,
        "run.mean_step_seconds": step_seconds,
        "run.ideal_days": ideal,
        "run.overhead": lost,
        "run.goodput": useful,
        "run.wall_clock_days": days,
        "run.accelerator_hours": hours,
        "run.interruptions": interruptions(hours, failures.interruptions_per_accelerator_hour),
    }
    if goodput_given is None:
        section["run.checkpoint_interval_seconds"] = checkpoint_interval_seconds(accelerators, failures)
    return section


def failure_warnings(lost: Num, interval_seconds: Num) -> list[tuple[str, str]]:
    """Say where the first-order formula is out of its range.

    Args:
        lost: time lost per useful hour, by `overhead`; draws are judged by their median.
        interval_seconds: between checkpoints.

    Returns:
        Pairs of path and message; empty where the formula holds.
    """
    typical = float(np.median(lost))
    if typical <= FIRST_ORDER_LIMIT:
        return []
    minutes = float(np.median(interval_seconds)) / 60
    return [
        (
            "run.goodput",
            f"failures and checkpoints cost {100 * typical:.0f} % of the useful time (a checkpoint every"
            f" {minutes:.3g} min): above {100 * FIRST_ORDER_LIMIT:.0f} % the first-order formula is out of range and"
            " goodput is a rough guess; "
            "plan hot spares, faster checkpoints or a run that survives lost nodes, or state cluster.goodput",
        )
    ]
