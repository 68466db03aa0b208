"""Miniatures of COVIDx releases."""

import json
from pathlib import Path

import pytest

from sista.archives.build import build
from sista.archives.covidx import Covidx
from sista.errors import SistaError
from tests.archives.miniature import film, refusals, same_after_pickling, text

TRAIN = """1 a.png pneumonia cohen
1 a.png pneumonia cohen
2 b (1).png normal rsna
3 c.png COVID-19 ricord
9 late.png normal rsna

4 missing.png normal rsna
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    text(tmp_path / "train_COVIDx9A.txt", TRAIN)
    text(tmp_path / "test_COVIDx9A.txt", "9 t.png COVID-19 rsna\n")
    for name in ("train/a.png", "train/b (1).png", "train/c.png", "train/late.png", "test/t.png"):
        film(tmp_path / name)
    return tmp_path


def test_three_classes(release: Path) -> None:
    archive = Covidx(release)
    assert archive.label_names == ("COVID-19", "Pneumonia", "Normal")
    assert archive[0].labels == {"COVID-19": 0.0, "Pneumonia": 1.0, "Normal": 0.0}
    assert archive[1].films[0].source == release / "train" / "b (1).png"
    assert (archive[2].labels["COVID-19"], archive[2].split, archive[2].subject_id) == (1.0, "train", "ricord/3")
    assert (archive[5].study_id, archive[5].split) == ("test/t.png", "test")


def test_counts_and_refusals(release: Path) -> None:
    archive = Covidx(release)
    counts = archive.counts()
    assert counts["classes"] == 3
    assert counts["rows_per_split"] == {"train": 6, "test": 1}
    assert counts["positives"]["train"] == {"covid-19": 1, "normal": 3, "pneumonia": 1}
    assert counts["left_out"] == {"duplicate file": 1, "patient of a later list": 1}
    assert (counts["studies"], counts["subjects"]) == (5, 5)
    reasons = refusals(archive)
    assert reasons[3] == "patient of a later list: rsna/9 (late.png of train)"
    assert reasons[4] == f"no such file: {release / 'train' / 'missing.png'}"
    same_after_pickling(archive)


def test_two_classes_with_commas_and_a_header(tmp_path: Path) -> None:
    text(tmp_path / "train.txt", "patient id,file,class,source\n1,a.png,positive,cohen\n2,b.png,negative,rsna\n")
    text(tmp_path / "val.txt", "3,v.png,negative\n")
    text(tmp_path / "test.txt", "4 t.png positive ricord\n")
    for name in ("train/a.png", "train/b.png", "val/v.png", "test/t.png"):
        film(tmp_path / name)
    archive = Covidx(tmp_path)
    assert archive.label_names == ("COVID-19",)
    assert [(study.split, study.labels["COVID-19"]) for study in archive] == [("train", 1), ("train", 0), ("valid", 0), ("test", 1)]
    assert archive[2].scanner is None


def test_a_label_file_as_root_is_that_of_train_and_its_neighbour_that_of_test(tmp_path: Path) -> None:
    text(tmp_path / "train_COVIDx9A.txt", "1 a.png pneumonia cohen\n2 b.png normal cohen\n3 c.png COVID-19 cohen\n")
    text(tmp_path / "test_COVIDx9A.txt", "4 t.png normal cohen\n")
    expected = {"train": 3, "test": 1}
    assert Covidx(tmp_path / "train_COVIDx9A.txt").counts()["rows_per_split"] == Covidx(tmp_path).counts()["rows_per_split"] == expected
    text(tmp_path / "train.txt", "1 a.png pneumonia cohen\n")
    assert Covidx(tmp_path / "train_COVIDx9A.txt").counts()["rows_per_split"] == expected


def test_label_files_may_be_gzipped(tmp_path: Path) -> None:
    text(tmp_path / "train.txt.gz", "\ufeff1 a.png positive cohen\n")
    text(tmp_path / "test.txt.gz", "2 b.png negative cohen\n")
    assert Covidx(tmp_path).counts()["positives"] == {"train": {"negative": 0, "positive": 1}, "test": {"negative": 1, "positive": 0}}


def test_label_files_of_two_releases_do_not_mix(tmp_path: Path) -> None:
    text(tmp_path / "train.txt", "1 a.png pneumonia cohen\n")
    text(tmp_path / "test.txt", "2 b.png positive cohen\n")
    with pytest.raises(SistaError, match="mix pneumonia, positive"):
        Covidx(tmp_path)


def test_a_line_that_is_none_and_a_choice_of_lists(release: Path) -> None:
    text(release / "train_COVIDx8A.txt", "1 a.png pneumonia cohen\n1;a.png;normal;x\n")
    with pytest.raises(SistaError, match="choose one with train_list"):
        Covidx(release)
    with pytest.raises(SistaError, match=r"train_COVIDx8A\.txt, line 2"):
        Covidx(release, train_list=release / "train_COVIDx8A.txt")
    assert len(Covidx(release, train_list=release / "train_COVIDx9A.txt")) == 6


def test_the_patient_of_a_film_of_rsna_is_that_of_the_nih_where_the_mapping_lies_there(release: Path) -> None:
    """Its lines have an image for a patient: two of one patient, in train and in test, would be no leak."""
    text(release / "train_COVIDx9A.txt", "aa-1 a.png pneumonia rsna\n5 c.png COVID-19 cohen\n")
    text(release / "test_COVIDx9A.txt", "bb-2 t.png normal RSNA\n")
    without = Covidx(release)
    assert without.counts()["left_out"]["patient of a later list"] == 0
    assert without.notes[0].startswith("2 film(s) of RSNA's count as patients of their own")
    mapping = [{"subset_img_id": "aa-1", "img_id": "00000061_000.png"}, {"subset_img_id": "bb-2", "img_id": "00000061_004.png"}]
    text(release / "pneumonia-challenge-dataset-mappings_2018.json", json.dumps(mapping))
    archive = Covidx(release)
    assert archive.notes == ()
    assert refusals(archive)[0] == "patient of a later list: nih_00000061 (a.png of train)"
    assert [archive[n].subject_id for n in (1, 2)] == ["cohen/5", "nih_00000061"]


def test_one_id_of_two_sources_is_two_patients_and_of_lists_without_sources_one(tmp_path: Path) -> None:
    text(tmp_path / "train.txt", "1 a.png positive cohen\n1 b.png negative sirm\n")
    text(tmp_path / "test.txt", "1 t.png positive ricord\n")
    assert Covidx(tmp_path).counts()["left_out"]["patient of a later list"] == 0
    text(tmp_path / "test.txt", "1 t.png positive\n")
    assert Covidx(tmp_path).counts()["left_out"]["patient of a later list"] == 2


def test_parts_that_number_their_files_alike_keep_all_their_films(tmp_path: Path) -> None:
    for part in ("train", "test"):
        text(tmp_path / f"{part}.txt", "".join(f"{part}{n} {n}.png {'positive' if n % 2 else 'negative'} cohen\n" for n in range(4)))
        for n in range(4):
            film(tmp_path / part / f"{n}.png", width=16 + n)
    facts = build(Covidx(tmp_path / "train.txt"), tmp_path / "corpus", size=32, progress=False)
    assert (facts["splits"], facts["left_out"]) == ({"train": 4, "valid": 0, "test": 4}, 0)
