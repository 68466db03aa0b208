"""The benchmark of memory: what it committed, and that it still runs."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def check_result(result: dict[str, Any]) -> None:
    cut = result["killed_and_resumed"]
    assert cut["same_bytes"]
    assert not any(kill["had_finished"] for kill in cut["kills"])
    assert all(run["rows"] == run["studies"] for run in result["runs"])
    assert all({"reading", "finishing", "checking"} <= set(run["peak_mb"]) for run in result["runs"])


def test_the_committed_result_is_flat() -> None:
    result = json.loads((ROOT / "results" / "build_scale.json").read_text())
    check_result(result)
    assert [run["studies"] for run in result["runs"]] == [10_000, 100_000]
    growth = result["growth_kb_per_study"]
    assert abs(growth["reading"]["largest_worker_anonymous"]) < 0.2  # kB per study, of 90,000: workers stay as they are
    assert growth["reading"]["parent_anonymous"] < 0.1
    for stage in ("finishing", "teaching", "checking"):  # numbers of rows in arrays grow; films, ids and texts never do
        assert growth[stage]["parent_anonymous"] < 0.6


@pytest.mark.slow
def test_it_runs(tmp_path: Path) -> None:
    out = tmp_path / "scale.json"
    command = [sys.executable, str(ROOT / "benchmarks" / "build_scale.py"), "--counts", "600", "3000", "--out", str(out)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    check_result(json.loads(out.read_text()))
