"""The scripts that measure speed run, on encoders so small that their figures mean nothing, and write what they say they write."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--image", "sista_compact", "--size", "64", "--text", "compact"]

SCRIPTS = {
    "step": ([*SMALL, "--batch", "8", "--rounds", "1", "--methods", "clip", "sista", "gloria"], "rows"),
    "loss": (["--terms", "sista, token term", "InfoNCE (clip)", "--batch", "16", "32", "--patches", "9", "--rounds", "1"], "terms"),
    "bucketing": (["--text", "compact", "--batch", "8", "--batches", "2", "--rounds", "1"], "training"),
    "scale": ([*SMALL, "--processes", "1", "2", "--batch", "8", "--steps", "1", "--rounds", "1"], "worlds"),
    "input": (
        [*SMALL, "--films", "48", "--full", "1", "--rounds", "1", "--batch", "8", "--batches", "2", "--step-rounds", "1"],
        "one thread",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, tmp_path: Path) -> None:
    arguments, key = SCRIPTS[name]
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *arguments, "--device", "cpu", "--out", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "out.json").read_text())
    assert found[key]
    assert found["command"].endswith("out.json")
    assert "|---" in done.stdout
