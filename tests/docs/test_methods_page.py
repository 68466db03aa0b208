"""The page of the methods: its example runs as it stands, and its table has every method."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sista.methods import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "methods.md").read_text()


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A folder with the page's example in the file that it names, run."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) < 60
    folder = tmp_path_factory.mktemp("own")
    (folder / "smooth_clip.py").write_text(code)
    return folder, _run(folder, "smooth_clip.py")


def test_the_example_trains(example):
    folder, printed = example
    steps, loss = re.fullmatch(r"(\d+) steps, loss (\d+\.\d+)", printed.splitlines()[-1]).groups()
    assert int(steps) >= 3
    assert float(loss) > 0
    assert (folder / "run" / "model" / "model.safetensors").is_file()


def test_the_command_line_knows_it(example):
    printed = _run(example[0], "-m", "sista", "methods", "smooth_clip:SmoothClip")
    assert "InfoNCE whose targets are" in printed
    assert "share" in printed


def test_its_checkpoint_loads_without_the_method(example):
    import sista

    assert sista.load(example[0] / "run").encoder.dim == 128
    assert "smooth_clip" not in sys.modules


def test_the_table_has_every_method():
    rows = set(re.findall(r"^\| `([\w-]+)` \|", PAGE, re.MULTILINE))
    assert rows == set(METHODS)


def _run(folder: Path, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(folder)}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout
