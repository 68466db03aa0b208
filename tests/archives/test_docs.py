"""docs/archives.md names every archive in every table, and its numbers are those of the tests."""

import re
from pathlib import Path

import pytest

from sista.archives.registry import ARCHIVES, archives
from tests.archives.miniature import real
from tests.archives.test_nih import OFFICIAL

DOCS = (Path(__file__).parents[2] / "docs" / "archives.md").read_text(encoding="utf-8")


def test_every_archive_stands_in_the_tables() -> None:
    for name in set(ARCHIVES) - {"phantom", "phantom-v1", "table", "folder"}:
        assert DOCS.count(f"| `{name}` |") == 4, name
        assert archives()[name]["obtain"].split()[0] in DOCS


def test_the_official_counts_stand_there() -> None:
    for finding, count in OFFICIAL.items():
        assert f"{finding} {count:,}" in DOCS or (finding == "No Finding" and f"{count:,} without finding" in DOCS)


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(real("openi"))
    (example,) = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
    exec(example, {})
    shown = capsys.readouterr().out
    assert "'studies': 3955" in shown
    assert "FINDINGS: The cardiac silhouette" in shown
