"""Broken and hostile files: each is refused with the words of ``expected.txt``, fast and in little memory."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from costsim.errors import InputError
from costsim.inputs import quantity as q
from costsim.inputs.fields import Strict, validate
from costsim.inputs.yaml_source import read, read_path

HERE = Path(__file__).parent
FILES = sorted(path.name for path in (HERE / "files").iterdir())
EXPECTED = (HERE / "expected.txt").read_text(encoding="utf-8").splitlines()

MEBIBYTE = 2**20
REPEATED = [
    "[",
    "{",
    "{a: ",
    "- ",
    "? ",
    "[],",
    "- a\n",
    "-\n",
    "a,",
    "a: 1\n",
    "a:\n ",
    ": ",
    "&a ",
    "*a ",
    "!",
    "!!a ",
]
REPEATED += ["|\n", "'", '"', "#", "\n", " ", "%TAG ! !\n", "---\n", "<<: ", "é", "0", "x"]


class Model(Strict):
    name: str | None = None
    tokens: q.Tokens | None = None
    price: q.UsdPerHourRange | None = None
    share: q.FractionRange | None = None
    size: q.Bytes | None = None
    flag: bool | None = None


def refusal(load):
    with pytest.raises(InputError) as caught:
        load()
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_refused_with_these_words(name):
    lines = refusal(lambda: validate(Model, read_path(HERE / "files" / name, name)))
    assert lines == [line for line in EXPECTED if line.startswith(f"{name}:")]
    assert all(line.isprintable() for line in lines)


def test_every_expectation_has_its_file():
    assert sorted({line.split(":")[0] for line in EXPECTED}) == FILES


@pytest.mark.parametrize("before", ["", "a: ", "[", '"'])
@pytest.mark.parametrize("unit", REPEATED, ids=repr)
def test_a_mebibyte_of_anything_ends_soon(unit, before):
    text = (before + unit * MEBIBYTE)[: MEBIBYTE // 2]
    start = time.perf_counter()
    refusal(lambda: validate(Model, read(text, "f")))
    assert time.perf_counter() - start < 2


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak is read from Linux's /proc")
def test_the_memory_for_the_most_values_is_bounded():
    # Not ru_maxrss: a process starts with that of the one that it was forked from.
    code = (
        "from pathlib import Path\n"
        "from costsim.errors import InputError\n"
        "from costsim.inputs.yaml_source import read\n"
        "read('[' + '[],' * 99_000 + ']', 'f')\n"
        "try:\n    read('[' + '[],' * 340_000, 'f')\n"
        "except InputError:\n    print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 10 * 1024 < int(run.stdout) < 300 * 1024  # in KiB


def test_unusual_text_that_is_fine():
    source = read('name: "naïve 模型 👩‍💻"\nprice: 5\u00a0USD/h\n"tokens": 1e6\nflag:\n', "f")
    made = validate(Model, source)
    assert (made.name, made.price, made.tokens, made.flag) == ("naïve 模型 👩‍💻", 5.0, 1e6, None)
