"""The page on protocols: its commands and its example run, and its table names every protocol with its status."""

import re
import shlex
from pathlib import Path

import pytest

from sista.protocols import PROTOCOLS, STATUS, protocol
from tests.protocols import synthetic as made

PAGE = (Path(__file__).parents[2] / "docs/protocols.md").read_text()
COMMANDS = re.findall(r"^    sista protocol ?(.*)$", PAGE, re.MULTILINE)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made.rsna(1_000, 225, 300).to_csv("stage_2_train_labels.csv", index=False)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_page_run(command, here):
    words = shlex.split(command)
    options = dict(zip((word.lstrip("-") for word in words[1::2]), words[2::2], strict=True))
    result = protocol(*words[:1], **options)
    assert result
    if "out" in options:
        assert Path(options["out"], "train.txt").exists()


def test_the_example_runs(here, capsys):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "docs/protocols.md", "exec"), {})
    assert "{'train': 700, 'valid': 150, 'test': 150}" in capsys.readouterr().out


def test_the_table_names_every_protocol_with_its_sizes_and_status():
    rows = {cells[0].strip("`"): cells for cells in ([cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines())}
    for name, one in PROTOCOLS.items():
        assert rows[name][2] == f"{one.sizes.train:,} / {one.sizes.valid:,} / {one.sizes.test:,}"
        assert rows[name][3] == one.status
    assert all(f"**{status}**" in PAGE for status in STATUS)
