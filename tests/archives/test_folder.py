"""A folder of films and texts."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sista.archives.folder import Folder
from sista.corpus.build import build_corpus
from sista.corpus.corpus import Corpus
from sista.corpus.study import StudyRefused
from sista.errors import SistaError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """p1: a film with its own report, and two films of one report; p2: a film without; one film at the top."""
    for number, place in enumerate(("p1/a.png", "p1/s2/front.png", "p1/s2/side.jpg", "p2/b.png", "c.png")):
        file = tmp_path / place
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (30, 30), dtype=np.uint8)).save(file)
    (tmp_path / "p1" / "a.txt").write_text("Small left pleural effusion.")
    (tmp_path / "p1" / "s2" / "report.txt").write_text("FINDINGS: The lungs are clear. IMPRESSION: Normal.")
    (tmp_path / "c.txt").write_text("Cardiomegaly is present.")
    return tmp_path


def test_studies_subjects_and_reports(root: Path) -> None:
    archive = pickle.loads(pickle.dumps(Folder(root)))
    studies = {archive[i].study_id: archive[i] for i in range(3)}
    assert set(studies) == {"c", "p1/a", "p1/s2"}
    with pytest.raises(StudyRefused, match=r"no report file: .*b\.png \(neither b\.txt nor report\.txt beside it\)"):
        archive[3]
    assert [film.film_id for film in studies["p1/s2"].films] == ["p1/s2/front.png", "p1/s2/side.jpg"]
    assert {study.subject_id for study in studies.values()} == {"c", "p1"}
    assert studies["p1/a"].report == "Small left pleural effusion."
    assert "5 films in 4 studies" in repr(archive)
    assert {Folder(root, "film")[i].subject_id for i in range(3)} == set(studies)


def test_it_builds(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("c") / "corpus"
    facts = build_corpus(Folder(root), out, size=24, workers=1, progress=False)
    assert (facts["rows"], facts["reasons"]) == (4, {"no report file": 1})
    assert len(Corpus.open(out).tokens) == 4


def test_endings_in_capitals(root: Path) -> None:
    plain = Folder(root)
    reports = [plain[i].report for i in range(3)]
    (root / "p1" / "a.txt").rename(root / "p1" / "a.TXT")
    (root / "p1" / "s2" / "report.txt").rename(root / "p1" / "s2" / "REPORT.TXT")
    (root / "c.png").rename(root / "c.PNG")
    capitals = Folder(root)
    assert [capitals[i].report for i in range(3)] == reports
    assert [len(capitals[i].films) for i in range(3)] == [1, 1, 2]


def test_a_film_called_report_keeps_its_own(root: Path) -> None:
    for name in ("REPORT.png", "z.PNG"):
        Image.fromarray(np.random.default_rng(9).integers(0, 255, (30, 30), dtype=np.uint8)).save(root / "p2" / name)
    (root / "p2" / "REPORT.txt").write_text("Edema.")
    archive = Folder(root)
    whose = {key: [film.name for film in films] for key, (text, films) in archive._studies.items() if text == root / "p2" / "REPORT.txt"}
    assert whose == {"p2/REPORT": ["REPORT.png"]}


def test_a_film_beside_a_folder_of_its_name_is_a_study_of_its_own(root: Path) -> None:
    Image.fromarray(np.random.default_rng(9).integers(0, 255, (30, 30), dtype=np.uint8)).save(root / "p1" / "s2.png")
    (root / "p1" / "s2.txt").write_text("Edema.")
    archive = Folder(root)
    studies = [archive[i] for i, key in enumerate(archive._keys) if "s2" in key]
    assert [(study.study_id, len(study.films)) for study in studies] == [("p1/s2", 2), ("p1/s2.png", 1)]
    assert [study.report for study in studies] == ["FINDINGS: The lungs are clear. IMPRESSION: Normal.", "Edema."]


def test_films_alone(root: Path) -> None:
    for text in root.rglob("*.txt"):
        text.unlink()
    archive = Folder(root)
    assert archive.has_reports is False
    assert [archive[i].report for i in range(len(archive))] == [""] * 5


def test_films_that_all_lie_in_one_folder_are_told_to_be_of_one_subject(root: Path, tmp_path: Path) -> None:
    assert not [note for note in Folder(root).notes if "one subject" in note]
    flat = tmp_path / "flat" / "images"
    flat.mkdir(parents=True)
    for name in "ab":
        Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save(flat / f"{name}.png")
    assert Folder(flat.parent).notes[1].startswith("all 2 films are below images, and so of one subject")
    assert len(Folder(flat.parent, "film").notes) == 1


def test_mistakes(root: Path, tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="no such folder"):
        Folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SistaError, match="no film below it"):
        Folder(tmp_path / "empty")
    with pytest.raises(SistaError, match="choose folder or film"):
        Folder(root, "patient")


def test_content_changes_the_description(root: Path) -> None:
    before = Folder(root).describe()
    (root / "c.txt").write_text("Another report.")
    after = Folder(root).describe()
    assert after != before
    (root / "c.txt").write_text("Another rep0rt.")  # as long as it was
    assert Folder(root).describe() not in (before, after)
