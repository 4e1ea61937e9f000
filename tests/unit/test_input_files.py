"""Reading files: what is refused before it can hang, fill the memory or end in a traceback."""

import io
import os
import sys
from pathlib import Path

import pytest

from costsim.errors import InputError
from costsim.inputs.files import MAX_BYTES, read_stdin_text, read_text


def refusal(path, **keywords):
    with pytest.raises(InputError) as caught:
        read_text(path, **keywords)
    return caught.value.problems[0]


def test_a_missing_file_suggests_its_neighbour(tmp_path):
    (tmp_path / "llama.yaml").write_text("a: 1")
    problem = refusal(tmp_path / "lama.yaml")
    assert problem.message == "no such file"
    assert problem.file == str(tmp_path / "lama.yaml")
    assert problem.suggestion == str(tmp_path / "llama.yaml")
    assert refusal(tmp_path / "none" / "x.yaml").suggestion == ""
    assert refusal(tmp_path / "none.yaml", label="chip").file == "chip"


def test_folders_pipes_and_devices_are_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path).message == "is a folder"
    assert refusal(tmp_path / "pipe").message == "is not a regular file"
    assert refusal("/dev/zero").message == "is not a regular file"


def test_nothing_is_left_open(tmp_path):
    (tmp_path / "a").write_text("x")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (tmp_path / "a", tmp_path / "a"):
        assert read_text(path) == "x"
    for path in (tmp_path, "/dev/zero"):
        refusal(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_unreadable_file(tmp_path):
    (tmp_path / "a").write_text("x")
    (tmp_path / "a").chmod(0)
    assert refusal(tmp_path / "a").message == "cannot be read: Permission denied"


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "a\x1b[31mb\0"])
def test_names_that_no_file_can_have(name):
    problem = refusal(name)
    assert problem.message.startswith("cannot be read")
    assert problem.file.isprintable()


def test_the_size_is_checked_before_reading(tmp_path):
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(2**40)  # a hole: a terabyte that takes no space
    assert refusal(path).message == "is larger than 1,048,576 bytes"
    path.write_bytes(b"x" * MAX_BYTES)
    assert len(read_text(path)) == MAX_BYTES


def test_what_is_not_utf8_says_where(tmp_path):
    path = tmp_path / "latin1"
    path.write_bytes("a: 1\nb: é".encode("latin-1"))
    problem = refusal(path)
    assert (problem.message, problem.line, problem.column) == ("is not UTF-8 text", 2, 4)
    path.write_bytes("a: 1".encode("utf-16"))
    assert refusal(path).message == "is not UTF-8 text"


def stdin(data):
    return io.TextIOWrapper(io.BytesIO(data))


def test_standard_input_has_the_same_limits(monkeypatch):
    monkeypatch.setattr(sys, "stdin", stdin(b"a: 1"))
    assert read_text("-") == "a: 1"
    monkeypatch.setattr(sys, "stdin", stdin(b"x" * (MAX_BYTES + 1)))
    with pytest.raises(InputError, match="<stdin>: is larger than"):
        read_stdin_text()
    monkeypatch.setattr(sys, "stdin", stdin(b"\xff"))
    with pytest.raises(InputError, match="<stdin>:1:1: is not UTF-8"):
        read_stdin_text()
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        read_stdin_text()


def test_a_closed_standard_input(monkeypatch):
    closed = stdin(b"")
    closed.buffer.close()
    monkeypatch.setattr(sys, "stdin", closed)
    with pytest.raises(InputError, match="<stdin>: cannot be read"):
        read_stdin_text()
