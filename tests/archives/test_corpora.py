"""From a miniature of a release to a corpus on disk: with reports, without reports, without films."""

from pathlib import Path

import pytest

from sista.archives.build import build
from sista.archives.mimic_cxr import MimicCxr
from sista.archives.nih import Nih
from sista.archives.openi import OpenI
from sista.corpus.corpus import Corpus
from tests.archives.test_mimic_cxr import roots  # noqa: F401  a fixture
from tests.archives.test_nih import release  # noqa: F401
from tests.archives.test_openi import folder  # noqa: F401

QUIET = {"size": 16, "workers": 1, "progress": False}


def test_mimic_keeps_its_split_and_names_what_it_left_out(roots: tuple[Path, Path], tmp_path: Path) -> None:  # noqa: F811
    facts = build(MimicCxr(*roots), tmp_path / "corpus", min_words=1, **QUIET)
    assert facts["rows"] == 1  # one frontal film with text; the other study of the subject is comparison only
    assert facts["splits"]["train"] == 1
    reasons = facts["reasons"]
    assert (reasons["no such file"], reasons["empty report"], reasons["lateral view"], reasons["no official split"]) == (2, 2, 2, 1)


def test_films_without_reports_make_a_corpus_of_labels_and_boxes(release: Path, tmp_path: Path) -> None:  # noqa: F811
    out = tmp_path / "corpus"
    facts = build(Nih(release, valid_fraction=0.0), out, **QUIET)
    assert facts["rows"] == 3
    corpus = Corpus.open(out)
    assert not corpus.has_reports


def test_reports_without_films_make_a_corpus_of_text(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    facts = build(OpenI(folder, text_only=True), tmp_path / "corpus", min_words=1, **QUIET)
    assert facts["rows"] == 3
    assert facts["reasons"] == {"empty report": 1}


def test_the_command_line_builds_an_archive(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    from sista.cli import main

    arguments = ["--root", str(folder), "--text-only", "true", "--out", str(tmp_path / "corpus"), "--min-words", "1", "--progress", "false"]
    assert main(["build", "openi", *arguments]) == 0
    assert "rows: 3" in capsys.readouterr().out
