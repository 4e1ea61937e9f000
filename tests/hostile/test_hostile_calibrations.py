"""A calibration with any one number changed by hand: refused with its file and key, or planned from without a NaN."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from calibration_cases import shared_record
from hypothesis import example, given, settings
from hypothesis import strategies as st

from costsim import plan
from costsim.bench import calibration
from costsim.errors import InputError, Problem

MADE: dict[str, Any] = yaml.safe_load(calibration.text(calibration.document(shared_record())))
BAD = (0, -1.0, 1e300, -1e300, 1e-300, 1e6, float("nan"), float("inf"), "text", None)


def scenario(calibrated: str, ranks: int = 1, sharding: str = "none") -> dict[str, object]:
    return {
        "costsim": 1,
        "name": "mine",
        "start": "2026-12-01",
        "model": {"hidden_size": 512, "layers": 6, "heads": 8, "ffn_size": 1408, "vocab_size": 12288},
        "training": {
            "tokens": "10M",
            "sequence_length": 512,
            "global_batch_sequences": 4 * ranks,
            "precision": "bf16",
        },
        "cluster": {
            "accelerator": {
                "kind": "cpu",
                "peak_flops": {"bf16": "4 TFLOP/s"},
                "memory": {"capacity": "24 GiB", "bandwidth": "40 GB/s"},
                "scale_up": {"domain": 2, "bandwidth": "10 GB/s"},
            },
            "accelerators": ranks,
            "layout": {"micro_batch": 4, "data": ranks, "sharding": sharding},
            "calibration": calibrated,
        },
        "cost": {"rent": {"usd_per_accelerator_hour": 0.1}},
    }


def numbers(tree: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    if isinstance(tree, dict | list):
        for key, inner in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from numbers(inner, (*path, key))
    elif isinstance(tree, int | float) and not isinstance(tree, bool):
        yield path


PATHS = list(numbers(MADE))


def changed(tree: Any, path: tuple[object, ...], value: object) -> Any:
    """A copy with one number replaced."""
    if not path:
        return value
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(tree[path[0]], path[1:], value)
    return copy


FIRST = ("fit", "coefficients", "matmul", "value")


@given(st.sampled_from(PATHS), st.sampled_from(BAD), st.sampled_from([(1, "none"), (2, "none"), (2, "full")]))
@example(FIRST, 1e300, (1, "none"))
@example(FIRST, 0, (1, "none"))
@example(("fit", "coefficients", "attention", "prior"), 1e-300, (1, "none"))
@example(("fit", "covariance", 2, 2), 1e300, (1, "none"))
@example(("fit", "covariance", 2, 2), 1e3, (1, "none"))
@example(("fit", "transfer"), 1e300, (2, "none"))
@example(("fit", "product_bandwidth"), 1e300, (1, "none"))
@example(("collectives", 1, "nbytes"), 2**16, (2, "none"))
@example(("collectives", 1, "seconds"), 1e-9, (2, "full"))
@example(("scaling", "fsdp_copy_seconds_per_byte"), 1e300, (2, "full"))
@settings(max_examples=80, deadline=None)
def test_any_one_number(tmp_path_factory, path, value, ranks):
    file = tmp_path_factory.getbasetemp() / "changed.yaml"
    file.write_text(yaml.safe_dump(changed(MADE, path, value)), encoding="utf-8")
    found, problems = outcome(scenario(str(file), *ranks))
    assert (found is None) == bool(problems)
    json.dumps(found, allow_nan=False)
    named = ["cluster.calibration", *(str(key) for key in path if isinstance(key, str))]
    assert all(problem.file == str(file) or problem.path == named[0] for problem in problems)
    assert not problems or any(name in str(problem) for problem in problems for name in named)


def outcome(asked: dict[str, object]) -> tuple[dict[str, Any] | None, Sequence[Problem]]:
    """The plan, or why there is none; a warning is an error in the tests, and any other end fails them."""
    try:
        return plan(asked, draws=100).to_dict(), ()
    except InputError as error:
        return None, error.problems


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("fit", "coefficients", "ffn", "value"), 1e300, "more than 1,000 times its prior"),
        (("fit", "coefficients", "update", "value"), 0, "an update takes time"),
        (("fit", "coefficients", "logit", "prior"), 1e300, "is no prior of logit on any device"),
        (("fit", "covariance", 3, 4), 1e300, "says nothing of a coefficient"),
        (("fit", "transfer"), 1e300, "less than or equal to 1"),
        (("scaling", "ddp"), 1e300, "less than or equal to 100"),
    ],
)
def test_the_bound_is_in_the_message_with_the_key(tmp_path, path, value, said):
    file = tmp_path / "changed.yaml"
    file.write_text(yaml.safe_dump(changed(MADE, path, value)), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        plan(scenario(str(file)))
    text = str(caught.value)
    assert said in text
    assert str(path[-2 if path[-1] in ("value", "prior") else 0]) in text
    assert text.startswith(f"{file}:")
