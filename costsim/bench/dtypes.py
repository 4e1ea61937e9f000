"""Number formats: what torch calls them, which of them a device has, and what they are made of."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import torch

from costsim.bench.devices import Backend
from costsim.bench.record import Dtype
from costsim.errors import InputError, Problem
from costsim.inputs.kinds import nearest

_TORCH = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}
_CPU_BF16 = r"^(flags|Features)\s*:.*\b(avx512_bf16|amx_bf16|bf16)\b"


def torch_dtype(dtype: Dtype) -> torch.dtype:
    """The dtype of tensors: TF32 is FP32 in memory."""
    return _TORCH[dtype]


def choose(asked: str | None, backend: Backend) -> Dtype:
    """The format that is asked for, else BF16 where the device multiplies in it, else FP32.

    Raises:
        InputError: there is no such format, or not on this device.
    """
    found = next((known for known in get_args(Dtype) if known == asked), None)
    if asked is not None and found is None:
        allowed = f"one of {', '.join(get_args(Dtype))} (fp16 needs loss scaling, and takes the time of bf16)"
        problem = Problem(f"no number format '{asked}'", "--dtype", allowed=allowed)
        raise InputError([Problem(problem.message, problem.path, allowed=allowed, suggestion=nearest(asked, _TORCH))])
    if found == "tf32" and backend.kind != "cuda":
        raise InputError(Problem("tf32 is a format of NVIDIA's GPUs", "--dtype", allowed="here: fp32, bf16"))
    return found or ("bf16" if multiplies_bf16(backend) else "fp32")


def multiplies_bf16(backend: Backend) -> bool:
    """Whether the device has products of BF16, rather than emulating them."""
    if backend.kind == "cpu":
        with contextlib.suppress(OSError):
            return re.search(_CPU_BF16, Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE) is not None
        return False
    if backend.kind == "mps":
        return True
    return bool(torch.cuda.is_bf16_supported(including_emulation=False))


@contextlib.contextmanager
def computing(dtype: Dtype, device: torch.device) -> Iterator[None]:
    """New tensors have this format on this device, and FP32 products their full precision unless TF32 is asked for."""
    before, precision = torch.get_default_dtype(), torch.get_float32_matmul_precision()
    torch.set_default_dtype(torch_dtype(dtype))
    torch.set_float32_matmul_precision("high" if dtype == "tf32" else "highest")
    try:
        with device:
            yield
    finally:
        torch.set_default_dtype(before)
        torch.set_float32_matmul_precision(precision)
