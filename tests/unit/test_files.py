"""Writing results: all of a file or none, only over files of our own, whatever interrupts."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from costsim import files
from costsim.errors import OutputError

ROOT = Path(__file__).parents[2]
OURS = '{\n  "schema": "costsim.plan/1",\n  "n": 1\n}\n'
AS_ROOT = pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(files.TEMPORARY_PREFIX)]


def test_a_new_file_has_the_text_and_the_usual_permissions(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    files.write_text(target, "é\n")
    assert target.read_bytes() == "é\n".encode()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~mask
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "  \n",
        OURS,
        "path,value,unit,p5,p50,p95\n",
        "path,kind,unit,A,B\n",
        "catalogue,name,bf16\n",
        "<!-- costsim plan -->\n# x\n",
        "My run\n\nCost  $1\n\ncostsim plan · seed 0\n",
        "X\n" * 9000 + "costsim compare\n",
    ],
)
def test_what_costsim_wrote_is_replaced(tmp_path: Path, content: str) -> None:
    target = tmp_path / "result"
    target.write_text(content)
    target.chmod(0o600)
    files.write_text(target, OURS)
    assert target.read_text() == OURS
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "content",
    ['{"schema": "other/1"}', "my notes\n", "a,b\n1,2\n", "# costsim is great\n", "costsim plan\nand my own notes\n",
     "\0\1\2", "{}"],
)  # fmt: skip
def test_anything_else_is_left_alone_unless_forced(tmp_path: Path, content: str) -> None:
    target = tmp_path / "mine"
    target.write_text(content)
    with pytest.raises(OutputError, match="--force replaces it"):
        files.write_text(target, OURS)
    assert target.read_text() == content
    files.write_text(target, OURS, force=True)
    assert target.read_text() == OURS


def test_folders_and_missing_folders_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"):
        files.write_text(tmp_path, "x")
    with pytest.raises(OutputError, match="there is no folder"):
        files.write_text(tmp_path / "no" / "such" / "plan.json", "x")
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="Not a directory"):
        files.write_text(tmp_path / "file" / "plan.json", "x")


@pytest.mark.parametrize("name", ["a\0b.json", "x" * 300 + ".json"])
def test_impossible_names_are_explained(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        files.write_text(tmp_path / name, "x")


def test_text_that_is_no_unicode_is_explained_and_harms_nothing(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    target.write_text(OURS)
    with pytest.raises(OutputError, match="cannot be written"):
        files.write_text(target, "\ud800")
    assert target.read_text() == OURS
    assert leftovers(tmp_path) == []


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    target, link = tmp_path / "plan.json", tmp_path / "link.json"
    link.symlink_to(target)
    files.write_text(link, OURS)  # dangling: the file is made
    files.write_text(link, OURS + "\n")
    assert link.is_symlink()
    assert target.read_text() == OURS + "\n"


def test_devices_are_written_to_and_not_replaced() -> None:
    files.write_text("/dev/null", "x" * 10)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_full_device_is_an_error() -> None:
    with pytest.raises(OutputError, match="No space left"):
        files.write_text("/dev/full", "x" * 100)


@AS_ROOT
def test_read_only_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    target.write_text(OURS)
    target.chmod(0o400)
    with pytest.raises(OutputError, match="read-only"):
        files.write_text(target, "x")
    target.chmod(0o600)
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        files.write_text(target, "x")
    tmp_path.chmod(0o700)
    assert target.read_text() == OURS


def test_new_files_never_replace(tmp_path: Path) -> None:
    target = tmp_path / "run.yaml"
    files.write_new(target, "a: 1\n")
    with pytest.raises(OutputError, match="is there already"):
        files.write_new(target, "b: 2\n")
    assert target.read_text() == "a: 1\n"
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError, match="is there already"):
        files.write_new(tmp_path / "dangling.yaml", "b: 2\n")
    with pytest.raises(OutputError, match="there is no folder"):
        files.write_new(tmp_path / "no" / "run.yaml", "x")


@pytest.mark.parametrize("call", ["write_text", "write_new"])
def test_a_full_disk_leaves_the_old_file_and_no_half_one(tmp_path: Path, call: str) -> None:
    """A limit on the size of files stands for the full disk: the write fails in the middle."""
    target = tmp_path / "plan.json"
    if call == "write_text":
        target.write_text(OURS)
    program = (
        "import resource, sys\n"
        "from costsim import errors, files\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"try: files.{call}(sys.argv[1], 'x' * 100_000)\n"
        "except errors.OutputError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(target)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "File too large" in done.stdout
    assert leftovers(tmp_path) == []
    assert target.read_text() == OURS if call == "write_text" else not target.exists()


def test_a_killed_process_leaves_a_whole_file(tmp_path: Path) -> None:
    """Kill a process that rewrites a file again and again: what is there is always one of its whole versions."""
    target = tmp_path / "plan.json"
    target.write_text(OURS)
    program = (
        "import json, sys\n"
        "from costsim import files\n"
        "for n in range(10**9):\n"
        "    text = json.dumps({'schema': 'costsim.plan/1', 'rows': [n] * 100_000})\n"
        "    files.write_text(sys.argv[1], text)\n"
    )
    for attempt in range(5):
        child = subprocess.Popen([sys.executable, "-c", program, str(target)], cwd=ROOT)
        until = time.monotonic() + 20
        before = target.stat().st_ino
        while target.stat().st_ino == before and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.007 * attempt)
        child.send_signal(signal.SIGKILL)
        child.wait()
        rows = json.loads(target.read_text())["rows"]
        assert len(set(rows)) == 1
        assert len(rows) == 100_000
    assert len(leftovers(tmp_path)) <= 5


def test_two_processes_that_write_at_once_leave_one_whole_file(tmp_path: Path) -> None:
    target = tmp_path / "plan.json"
    program = (
        "import json, sys\n"
        "from costsim import files\n"
        "for _ in range(30):\n"
        "    files.write_text(sys.argv[1], json.dumps({'schema': 'costsim.plan/1', 'rows': [sys.argv[2]] * 20_000}))\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, str(target), name], cwd=ROOT) for name in "ab"]
    assert [child.wait() for child in children] == [0, 0]
    assert len(set(json.loads(target.read_text())["rows"])) == 1
    assert leftovers(tmp_path) == []
