"""Which device and which number format a run uses."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal, get_args

import torch

from sista.errors import SistaError

Precision = Literal["auto", "bf16", "fp32"]


def choose_device(name: str) -> torch.device:
    """`auto` is the first CUDA device where there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SistaError(f"device {name!r} is unknown to torch; choose auto, cpu, cuda or cuda:N") from error
    if device.type not in ("cpu", "cuda"):
        raise SistaError(f"device {name!r}: sista runs on cpu and cuda; choose auto, cpu, cuda or cuda:N")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SistaError(f"device {name!r}: torch sees no CUDA device here; choose auto or cpu")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SistaError(f"device {name!r}: torch sees {torch.cuda.device_count()} CUDA devices here, counted from 0")
    return device


def choose_precision(name: str, device: torch.device) -> str:
    """`auto` is bf16 on CUDA cards that compute in it (Ampere and later), and on CPUs with AMX or AVX512-BF16, else fp32.

    benchmarks/precision.py measures the gain.
    """
    if name not in get_args(Precision):
        raise SistaError(f"precision {name!r}: choose auto, bf16 or fp32")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if _cpu_gains_from_bf16() else "fp32"


def _cpu_gains_from_bf16() -> bool:
    probes = (getattr(torch.cpu, "_is_amx_tile_supported", None), getattr(torch.cpu, "_is_avx512_bf16_supported", None))
    return any(probe() for probe in probes if probe is not None)


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Mixed precision when `precision` is bf16, nothing otherwise."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
