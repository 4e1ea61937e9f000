"""What a bench does with what it measured: when it gives up, what it makes again, which of two measurements counts."""

from __future__ import annotations

import importlib
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest

pytest.importorskip("torch")

from calibration_cases import GOOD, QUIET, record, timing

from costsim.bench import session, tasks
from costsim.bench.journal import Entry
from costsim.bench.record import Collective, Conditions, Verdict
from costsim.bench.room import Work
from costsim.bench.tasks import Task
from costsim.inputs.bench import bench_file

torch = importlib.import_module("torch")
REFUSED, NOISY = Verdict("refused", ("other programs",)), Verdict("noisy", ("steal",))
BUSY = Conditions(pressure=0.9)
LAYER, STEP = record().linears[0], record().steps[0]
SETTING = SimpleNamespace(file=bench_file(), backend=SimpleNamespace(threads=2))
FEW = bench_file().noise.in_a_row


def entries(*items):
    return [Entry(str(number), item) for number, item in enumerate(items)]


def test_it_gives_up_after_a_few_in_a_row() -> None:
    busy = replace(LAYER, conditions=BUSY)
    assert session._crowded(SETTING, entries(LAYER, *[busy] * FEW))
    assert not session._crowded(SETTING, entries(*[busy] * (FEW - 1)))
    assert not session._crowded(SETTING, entries(*[busy] * (FEW - 1), LAYER, busy))


def test_what_ranks_do_together_is_no_other_program() -> None:
    busy = replace(LAYER, conditions=BUSY)
    between = Collective(timing(1e-3), BUSY, GOOD, "all_reduce", 2, "node", "bf16", 1024, "gloo")
    together = replace(STEP, conditions=BUSY, ranks=2)
    assert not session._crowded(SETTING, entries(*[between, together] * FEW))
    assert session._crowded(SETTING, entries(*[between, busy] * FEW))


def test_the_least_disturbed_counts_and_the_last_of_those() -> None:
    first, second = (replace(LAYER, timing=timing(seconds)) for seconds in (1.0, 2.0))
    worse = replace(LAYER, timing=timing(3.0), verdict=REFUSED)
    kept = session._best(
        [Entry("a", worse), Entry("a", first), Entry("b", first), Entry("b", second), Entry("b", worse)]
    )
    assert [entry.item for entry in kept] == [first, second]


def test_the_most_disturbed_is_made_again_first() -> None:
    made = [Task(key, key, 1.0, lambda _: None) for key in "0123"]
    noisy, refused = replace(LAYER, verdict=NOISY), replace(LAYER, verdict=REFUSED)
    assert [task.key for task in session._spoiled(made, entries(noisy, LAYER, refused, LAYER))] == ["2", "0"]
    assert session._spoiled(made, entries(noisy, refused, refused, LAYER)) == []


@pytest.mark.parametrize(
    ("items", "cut", "status", "words"),
    [
        ((LAYER, STEP), None, "good", ""),
        ((LAYER, replace(STEP, verdict=REFUSED)), None, "refused", "other programs"),
        ((LAYER, LAYER, replace(LAYER, verdict=REFUSED), STEP), None, "noisy", "1 of 3 measurements"),
        ((LAYER, STEP), "interrupt", "partial", "interrupted"),
        ((LAYER, STEP), "lost rank", "partial", "a rank was lost"),
        ((replace(LAYER, verdict=REFUSED),) * FEW, "busy machine", "refused", "other programs"),
    ],
)
def test_the_verdict_on_all(items, cut, status, words) -> None:
    found = session.overall(list(items), cut)
    assert found.status == status
    assert words in "; ".join(found.reasons)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")])
def test_a_step_without_room_is_measured_a_size_down(monkeypatch, error) -> None:
    tried = []

    def measure(backend, architecture, sequence, micro_batch, *rest, **more):
        tried.append((sequence, micro_batch))
        if sequence * micro_batch > 256:
            raise error
        return STEP

    monkeypatch.setattr(tasks.training, "measure", measure)
    released = []
    backend = SimpleNamespace(release=lambda: released.append(1), batch=1)
    setting = tasks.Setting(backend, record().device, "bf16", "quick")
    assert tasks._measured(setting, Work(STEP.architecture, 512, 2), "designed") is STEP
    assert tried == [(512, 2), (512, 1), (256, 1)]
    assert len(released) == 2
    assert ["did not fit and was measured at" in note for note in setting.notes] == [True, True]


def test_another_error_of_a_step_is_not_taken_for_want_of_room(monkeypatch) -> None:
    def measure(*args, **more):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(tasks.training, "measure", measure)
    setting = tasks.Setting(SimpleNamespace(release=lambda: None), record().device, "bf16", "quick")
    with pytest.raises(RuntimeError, match="shapes differ"):
        tasks._measured(setting, Work(STEP.architecture, 512, 2), "designed")


def test_conditions_of_a_quiet_machine_do_not_crowd() -> None:
    assert not session._crowded(SETTING, entries(*[replace(LAYER, conditions=QUIET)] * FEW))


@pytest.mark.parametrize(
    ("left", "needed", "share"), [(12, 10, 1.0), (6, 10, 0.6), (-1, 10, tasks.SLOWEST), (5, 0, 1.0)]
)
def test_measurements_hurry_where_time_runs_short(left, needed, share) -> None:
    assert tasks.pace(left, needed) == share


def test_a_task_takes_its_time_as_it_is_when_it_runs(monkeypatch) -> None:
    seen = []

    def gemm(backend, m, n, k, layout, dtype, rule, limits):
        seen.append(rule.seconds)
        return record().gemms[0]

    monkeypatch.setattr(tasks.kernels, "gemm", gemm)
    setting = tasks.Setting(SimpleNamespace(threads=2), record().device, "bf16", "quick")
    task = tasks._product(setting, (64, 64, 64), "forward", "bf16")
    usual = setting.fields.kernel_seconds
    for setting.pace in (1.0, 0.5):
        task.run(lambda _: None)
    assert seen == [usual, usual / 2]
    assert task.seconds == usual


def test_what_takes_its_time_for_other_reasons_is_not_hurried() -> None:
    setting = tasks.Setting(SETTING.backend, record().device, "bf16", "quick")
    assert setting.budget_seconds == setting.fields.budget_seconds
    assert replace(setting, compiled=True).budget_seconds == math.inf
    assert replace(setting, ranks=SimpleNamespace()).budget_seconds == math.inf
