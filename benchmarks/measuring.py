"""What the benchmarks share: variants timed in turn in one process, their ratios, the machine, the JSON file and the table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from sista import versions

MB = 2**20
EXTRA = ("opencv-python-headless", "simplejpeg", "onnx", "onnxruntime")


def run_arguments(parser: argparse.ArgumentParser) -> None:
    """--device, --precision and --out, the same in each benchmark."""
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--out", type=Path)


def interleave(
    variants: Mapping[str, Callable[[], Any]], rounds: int, device: torch.device, before: Callable[[str], Any] | None = None, warm: int = 1
) -> dict[str, list[float]]:
    """Seconds of each variant in each round: all in turn, every other round in reverse order, after `warm` rounds that do not count.

    before: called with the variant's name ahead of each, outside of the clock.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for turn in range(rounds + warm):
        for name in names if turn % 2 else reversed(names):
            if before is not None:
                before(name)
            taken = timed(variants[name], device)
            if turn >= warm:
                seconds[name].append(taken)
    return seconds


def timed(run: Callable[[], Any], device: torch.device) -> float:
    """Wall seconds of a call, the device's work included."""
    synchronise(device)
    begin = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - begin


def synchronise(device: torch.device) -> None:
    """Wait for the device; nothing on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratios(seconds: Mapping[str, Sequence[float]], base: str) -> dict[str, dict[str, float]]:
    """Of each variant the ratio to `base`, round by round: median, least and largest."""
    result = {}
    for name, values in seconds.items():
        each = [mine / theirs for mine, theirs in zip(values, seconds[base], strict=True)]
        result[name] = {"median": round(statistics.median(each), 3), "least": round(min(each), 3), "largest": round(max(each), 3)}
    return result


def summary(values: Sequence[float]) -> dict[str, float]:
    """Median and least seconds."""
    return {"median_s": float(f"{statistics.median(values):.4g}"), "least_s": float(f"{min(values):.4g}")}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """b of value = a size^b, by least squares on the logarithms."""
    import numpy as np

    return round(float(np.polyfit(np.log(sizes), np.log(values), 1)[0]), 3)


def peak_of(run: Callable[[], Any], device: torch.device) -> float | None:
    """Largest memory that torch held on a GPU during a call, in MB, weights included; None on a CPU."""
    if device.type != "cuda":
        return None
    synchronise(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    synchronise(device)
    return round(torch.cuda.max_memory_allocated(device) / MB, 1)


def facts(device: torch.device) -> dict[str, Any]:
    """The command, the machine, its load now, versions."""
    found = {name: version(name) for name in EXTRA if _installed(name)}
    return {
        "command": "python " + " ".join(sys.argv),
        "date": time.strftime("%Y-%m-%d"),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU {platform.machine()}",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "amx": bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)()),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_at_start": round(os.getloadavg()[0], 2),
        "versions": {**versions(), **found},
    }


def write(out: Path | None, result: Mapping[str, Any]) -> None:
    """Write the JSON file where one is wanted."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")


def table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[Any]]) -> None:
    """Print a Markdown table, one row a name."""
    print(f"\n| {title} | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for name, values in rows.items():
        print(f"| {name} | " + " | ".join("" if value is None else str(value) for value in values) + " |", flush=True)


def _installed(name: str) -> bool:
    from importlib.metadata import PackageNotFoundError

    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True
