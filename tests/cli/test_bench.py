"""``costsim bench`` as its user meets it, on tiny shapes; what the numbers are is no test's business."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch")

from bench_cases import STEPS

from costsim.bench import journal

ROOT = Path(__file__).parents[2]
START = """
import sys; sys.path.insert(0, {tests!r})
import bench_cases; bench_cases.install()
{more}
from costsim.cli.app import run
sys.exit(run(sys.argv[1:]))
"""


def start(*words: str, more: str = "", env=None) -> subprocess.Popen:
    program = START.format(tests=str(ROOT / "tests"), more=more)
    return subprocess.Popen(
        [sys.executable, "-c", program, "bench", *words], cwd=ROOT, text=True, env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def bench(*words: str, more: str = "", env=None) -> tuple[int, str, str]:
    process = start(*words, more=more, env=env)
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def letters(text: str) -> str:
    """A page without its line breaks, which part long paths."""
    return "".join(text.split())


CALM = """
from costsim.bench import noise
from costsim.bench.record import Verdict
noise.verdict = lambda *_: Verdict("good")
noise.crowded = lambda *_: False
"""
BUSY = CALM.replace('"good"', '"refused", ("for 98% of the time some task waited for a processor",)')


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One bench, its JSON and its files."""
    file = tmp_path_factory.mktemp("bench") / "box.yaml"
    code, out, err = bench("--quick", "--dtype", "fp32", "--format", "json", "-o", str(file), more=CALM)
    assert (code, err) == (0, "")
    return json.loads(out), file


def test_the_result_has_everything_that_was_measured(measured) -> None:
    found, file = measured
    assert found["schema"] == "costsim.bench/1"
    assert found["dtype"] == "fp32"
    assert len(found["steps"]) == 3
    assert found["headline"]["mfu"] is None  # nobody knows the peak of this processor
    assert found["headline"]["flops_per_second"] > 0
    assert found["verdict"] == {"status": "good", "reasons": []}
    assert found["energy"]["source"] in ("counter", "none")
    assert found["calibration"] == str(file)
    assert found["output"]["written"]
    assert found["headline"]["step"]["hidden_size"] == STEPS[0][0]
    for kind in ("products", "linear_layers", "bandwidth", "optimizer"):
        assert all(row["low"] <= row["seconds"] <= row["high"] for row in found[kind]), kind
        assert found[kind], kind
    assert "costsim-calibration/1" in file.read_text(encoding="utf-8")


def test_a_bench_that_is_over_is_not_resumed(measured) -> None:
    code, _, err = bench("--quick", "--dtype", "fp32", "-o", str(measured[1]), "--resume", more=CALM)
    assert code == 2
    assert "its bench came to its end: nothing is left to resume; without --resume it is measured anew" in err


def test_every_sample_is_kept_beside_the_file(measured) -> None:
    found, file = measured
    kept = journal.read(journal.path_beside(str(file)))
    assert kept is not None
    assert kept.complete
    steps = [entry.item for entry in kept.entries if entry.key.startswith("step")]
    assert [len(step.timing.samples) for step in steps] == [row["samples"] for row in found["steps"]]


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_fits(measured, width) -> None:
    from costsim.render.measurements import render
    from costsim.render.text import Screen

    found, _ = measured
    text = render(found, Screen(width))
    assert max(len(line) for line in text.splitlines()) <= width
    for word in ("Sustained", "MFU", "Products", "Memory", "Energy", "Verdict", "Next", "blocks", "update"):
        assert word in text
    assert "none: no peak of this device is known" in text


@pytest.mark.parametrize(("kind", "start_"), [("csv", "kind,name,dtype"), ("markdown", "<!-- costsim bench -->")])
def test_other_formats(measured, kind, start_) -> None:
    from costsim.render.formats import bench_text
    from costsim.render.text import Screen

    assert bench_text(measured[0], kind, Screen()).startswith(start_)


def test_a_busy_machine_is_refused(tmp_path) -> None:
    file = tmp_path / "box.yaml"
    code, out, _ = bench("--quick", "--dtype", "fp32", "-o", str(file), more=BUSY)
    assert code == 1
    assert "refused: for 98% of the time some task waited for a processor" in " ".join(out.split())
    assert "end the other programs" in out
    told = f"{file} was not written: the measurements were refused: for 98% of the time some task waited"
    assert letters(told) in letters(out)
    assert letters(f"what was measured is in {journal.path_beside(str(file))}") in letters(out)
    assert not file.exists()

    first = journal.read(journal.path_beside(str(file)))
    code, _, _ = bench("--quick", "--dtype", "fp32", "-o", str(file), "--resume", more=BUSY)
    second = journal.read(journal.path_beside(str(file)))
    assert code == 1
    assert len(second.entries) == 2 * len(first.entries) - 1  # what was refused is measured again; energy never is

    code, _, err = bench("--quick", "--dtype", "fp32", "-o", str(file), "--format", "csv", more=BUSY)
    assert code == 1
    assert f"{file}: was not written: the measurements were refused" in err

    kept = journal.read(journal.path_beside(str(file)))
    again = ("--quick", "--dtype", "fp32", "-o", str(file), "--accept-noisy", "--resume", "--format", "json")
    code, out, _ = bench(*again, more=BUSY)
    assert code == 0
    found = json.loads(out)
    assert found["verdict"]["status"] == "noisy"
    assert found["output"] == {"file": str(file), "written": True, "reason": "", "samples": found["output"]["samples"]}
    assert "--accept-noisy" in file.read_text(encoding="utf-8")
    assert journal.read(journal.path_beside(str(file))) == kept  # nothing was measured again


CROWDED = BUSY.replace("False", "True")


def test_a_busy_machine_is_given_up_early_and_gone_on_with_later(tmp_path) -> None:
    file = tmp_path / "box.yaml"
    code, out, _ = bench("--quick", "--dtype", "fp32", "-o", str(file), "--format", "json", more=CROWDED)
    found = json.loads(out)
    assert (code, found["cut"], found["verdict"]["status"]) == (1, "busy machine", "refused")
    assert (len(found["linear_layers"]), found["steps"]) == (3, [])  # a product and three layers: four in a row
    assert not file.exists()
    code, out, _ = bench("--quick", "--dtype", "fp32", "-o", str(file), "--format", "json", "--resume", more=CALM)
    found = json.loads(out)
    assert (code, found["verdict"]["status"], len(found["steps"])) == (0, "good", 3)
    assert file.exists()


def wait_for_lines(path: Path, count: int, process: subprocess.Popen) -> None:
    for _ in range(600):
        if path.exists() and len(path.read_text(encoding="utf-8").splitlines()) >= count:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("nothing was measured")


SLOW = CALM + """
from costsim.bench import session
import time
inner = session._measure
def slowly(*words):
    inner(*words)
    time.sleep(0.3)
session._measure = slowly
"""  # fmt: skip


def test_a_killed_bench_is_resumed(tmp_path) -> None:
    file = tmp_path / "box.yaml"
    samples = tmp_path / "box.samples.jsonl"
    process = start("--quick", "--dtype", "fp32", "-o", str(file), more=SLOW)
    wait_for_lines(samples, 5, process)
    process.kill()
    process.communicate()
    with samples.open("a", encoding="utf-8") as stream:
        stream.write('{"kind": "step", "key": "cut sho')  # as a kill in the middle of a line leaves it
    kept = samples.read_text(encoding="utf-8").splitlines()[1:4]

    code, _, err = bench("--quick", "--dtype", "fp32", "-o", str(file), more=CALM)
    assert code == 2
    assert "--resume continues it" in err
    code, _, err = bench("--quick", "--dtype", "bf16", "-o", str(file), "--resume", more=CALM)
    assert code == 2
    assert "is of another bench" in err

    code, out, _ = bench("--quick", "--dtype", "fp32", "-o", str(file), "--resume", "--format", "json", more=CALM)
    assert code == 0
    assert file.exists()
    assert len(json.loads(out)["steps"]) == 3
    assert any(note.startswith("resumed: ") for note in json.loads(out)["notes"])
    assert samples.read_text(encoding="utf-8").splitlines()[1:4] == kept


def test_an_interrupt_keeps_what_is_measured(tmp_path) -> None:
    file = tmp_path / "box.yaml"
    more = SLOW.replace("time.sleep(0.3)", "time.sleep(10) if words[-1].key.startswith('step') else None")
    process = start("--quick", "--dtype", "fp32", "-o", str(file), "--format", "json", more=more)
    wait_for_lines(tmp_path / "box.samples.jsonl", 9, process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    found = json.loads(out)
    assert process.returncode == 130
    assert found["output"]["written"]
    assert "the same command with --resume goes on" in page(found)
    assert not found["complete"]
    assert found["verdict"]["status"] == "partial"
    assert "interrupted" in found["verdict"]["reasons"][0]
    assert found["linear_layers"]


def page(found) -> str:
    """The words of its page."""
    from costsim.render.measurements import render
    from costsim.render.text import Screen

    return " ".join(render(found, Screen()).split())


def test_what_a_bench_that_was_cut_short_is_good_for_is_told(measured) -> None:
    found = copy.deepcopy(measured[0]) | {"complete": False}
    found["verdict"] = {"status": "partial", "reasons": ["interrupted: not everything was measured"]}
    said = page(found)
    assert "the same command with --resume goes on with what is left" in said
    assert letters(f"--set 'cluster.calibration={{file: {measured[1]}, accept: true}}'") in letters(said)
    assert "was not written" not in said

    found |= {"calibration": None, "verdict": {"status": "refused", "reasons": ["busy"]}}
    found["output"] |= {"written": False, "reason": "the measurements were refused: busy"}
    said = page(found)
    assert "was not written: the measurements were refused: busy" in said
    assert "--resume goes on with what is left, and measures again what was refused" in said
    assert "-o FILE keeps measurements" in page(found | {"output": None})


@pytest.mark.parametrize("width", [80, 120])
def test_steps_and_collectives_of_several_ranks_fit(measured, width) -> None:
    from costsim.render.measurements import render
    from costsim.render.text import Screen

    found = copy.deepcopy(measured[0])
    one = found["steps"][0] | {"hidden_size": 8192, "sequence": 16384, "layers": 1, "compiled": True}
    found["steps"].append(one | {"parallel": "fsdp2", "ranks": 8, "components": {}})
    operations = ("all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all", "send")
    shared = {"ranks": 8, "scope": "cluster", "seconds": 0.0123}
    found["collectives"] = [shared | {"operation": name, "nbytes": 2**30} for name in operations]
    text = render(found, Screen(width))
    assert max(map(len, text.splitlines())) <= width
    assert all(name.replace("_", "-") in text for name in operations)
    assert "1 layer," in " ".join(text.split())


def test_a_dry_run_measures_nothing(tmp_path) -> None:
    file = tmp_path / "box.yaml"
    code, out, _ = bench("--dry-run", "--dtype", "fp32", "--model", "gpt2", "-o", str(file))
    assert code == 0
    assert "training step, 768 wide, 1 x 1,024 tokens, 50,257 words" in out
    assert "are free" in out
    assert letters(f"written to {file}, its samples to {journal.path_beside(str(file))}") in letters(out)
    code, out, _ = bench("--dry-run", "--dtype", "fp32", "--format", "markdown")
    assert code == 0
    assert "None" not in out
    code, out, _ = bench("--dry-run", "--dtype", "fp32", "-q")
    assert code == 0
    assert "training step" not in out
    assert list(tmp_path.iterdir()) == []


def test_a_bare_shape_in_a_file_is_a_model(tmp_path) -> None:
    shape = tmp_path / "tiny.yaml"
    shape.write_text("{layers: 9, hidden_size: 96, heads: 2, ffn_size: 200, vocab_size: 700}", encoding="utf-8")
    code, out, _ = bench("--dry-run", "--dtype", "fp32", "--model", str(shape), "--sequence", "48")
    assert code == 0
    assert "training step, 96 wide, 1 x 48 tokens, 700 words" in out


@pytest.mark.parametrize("kind", ["table", "markdown", "json"])
def test_a_dry_run_tells_of_a_size_down(kind) -> None:
    small = "from costsim.bench.devices import Backend; Backend.free_bytes = lambda self: 18 << 30"
    words = ("--dry-run", "--dtype", "bf16", "--model", "llama-3.1-8b", "--sequence", "8192", "--format", kind)
    code, out, _ = bench(*words, more=small)
    assert code == 0
    assert "llama-3.1-8b is measured at 1 x" in " ".join(out.split())


def test_without_torch_it_says_what_to_install() -> None:
    code, out, err = bench(
        "--quick", more="import importlib.util, costsim.bench.run as r; r.find_spec = lambda name: None"
    )
    assert (code, out) == (2, "")
    assert "pip install 'costsim[bench]'" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--quick", "--full"], "exclude each other"),
        (["--device", "cuda:99"], "no device 'cuda:99'"),
        (["--device", "tpu"], "here: "),
        (["--dtype", "fp7"], "no number format 'fp7'"),
        (["--dtype", "tf32", "--device", "cpu"], "NVIDIA"),
        (["--model", "mixtral-8x7b"], "a mixture of experts"),
        (["--model", "no-such-model"], "unknown model"),
        (["--sequence", "128"], "belongs to a model"),
        (["--sequence", "0", "--model", "gpt2"], "--sequence: '0' is out of bounds; must be between 1 and"),
        (["--sequence", "-5", "--model", "gpt2"], "--sequence: '-5' is out of bounds; must be between 1 and"),
        (["--device", ""], "--device: '' is no name"),
        (["--dtype", ""], "--dtype: '' is no name"),
        (["--dry-run", "--resume", "-o", "box.yaml"], "--resume: does not go with --dry-run"),
        (["--dry-run", "--accept-noisy"], "--accept-noisy: does not go with --dry-run"),
        (["--dry-run", "-o", "no-such-folder/box.yaml"], "there is no folder"),
        (["--resume", "-o", "no-such.yaml"], "there is no unfinished bench to resume"),
        (["--resume"], "-o FILE"),
        (["-o", "box.json"], "a calibration is YAML"),
        (["-o", "no-such-folder/box.yaml"], "there is no folder"),
        (["-o", "/proc/box.yaml"], "/proc/box.yaml: cannot be written"),
        (["--format", "xml"], "no format 'xml'"),
    ],
)
def test_bad_usage_is_told_before_anything_runs(words, told) -> None:
    code, out, err = bench(*words)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
