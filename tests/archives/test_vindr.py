"""Miniatures of VinDr-CXR as Kaggle and as PhysioNet give it."""

from pathlib import Path

import numpy as np
import pytest

from sista.archives.build import build
from sista.archives.vindr import VinDr, merged
from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from tests.archives.miniature import film, refusals, same_after_pickling, text

KAGGLE = """image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
a,No finding,14,R1,,,,
a,No finding,14,R2,,,,
a,Nodule/Mass,8,R3,10,10,20,20
b,Cardiomegaly,3,R8,691,1375,1653,1831
b,Cardiomegaly,3,R9,700,1380,1650,1830
b,Cardiomegaly,3,R9,700,1380,1650,1830
b,Cardiomegaly,3,R10,1,1,1,9
b,ILD,5,R10,5,6,7,9
c,No finding,14,R1,,,,
c,No finding,14,R2,,,,
c,No finding,14,R3,,,,
"""
PHYSIONET = {
    "annotations/annotations_train.csv": ("image_id,rad_id,class_name,x_min,y_min,x_max,y_max\na,R1,Edema,1,2,5,9\na,R2,Edema,1,2,6,9\n"),
    "annotations/annotations_test.csv": "image_id,class_name,x_min,y_min,x_max,y_max\nt,Edema,3,4,5,6\nu,No finding,,,,\n",
    "annotations/image_labels_train.csv": (
        "image_id,rad_ID,Edema,Pneumonia,Other diseases,No finding\n"
        "a,R1,1,0,1,0\na,R2,1,0,1,0\na,R3,0,0,0,1\nb,R1,0,0,0,1\nb,R2,0,0,0,1\nb,R3,0,1,0,0\n"
    ),
    "annotations/image_labels_test.csv": "image_id,Edema,Pneumonia,Other disease,No finding\nt,1,0,1,0\nu,0,0,0,1\n",
}


@pytest.fixture
def kaggle(tmp_path: Path) -> Path:
    text(tmp_path / "train.csv", KAGGLE)
    film(tmp_path / "train/a.dicom")
    film(tmp_path / "train/b.dicom")
    return tmp_path


def test_the_majority_of_three_readers_decides_and_the_votes_are_kept(kaggle: Path) -> None:
    archive = VinDr(kaggle)
    single, agreed = archive[0], archive[1]
    assert not any(single.labels.values())
    assert single.films[0].regions == ()
    assert archive.votes(0)["Nodule/Mass"] == 1
    assert {name for name, value in agreed.labels.items() if value} == {"Cardiomegaly"}
    assert (archive.votes(1)["Cardiomegaly"], archive.votes(1)["readers"], archive.votes(1)["ILD"]) == (3, 3, 1)
    boxes = [(one.finding, one.x, one.y, one.width, one.height) for one in agreed.films[0].regions]
    assert boxes == [("Cardiomegaly", 695.5, 1377.5, 956, 453)]
    each = [(one.x, one.y, one.width, one.height) for one in VinDr(kaggle, merge=0)[1].films[0].regions]
    assert each == [(691, 1375, 962, 456), (700, 1380, 950, 450)]
    assert VinDr(kaggle, merge=0).describe() != archive.describe()
    assert (agreed.split, agreed.films[0].view, len(agreed.labels)) == (None, "PA", 14)


def test_boxes_of_one_lesion_become_one() -> None:
    corners = np.array([[0, 0, 10, 10], [2, 0, 12, 10], [4, 0, 14, 10], [40, 40, 50, 50], [0, 0, 10, 10]], dtype=float)
    findings = np.array([3, 3, 3, 3, 1])
    # the first overlaps the third by 6 / 14 = 0.43 only, and is joined to it by the second (8 / 12 = 0.67)
    assert merged(corners, findings, 0.5) == [(3, (2, 0, 12, 10)), (3, (40, 40, 50, 50)), (1, (0, 0, 10, 10))]
    assert len(merged(corners, findings, 0.7)) == len(merged(corners, findings, 0)) == 5
    assert merged(corners[:0], findings[:0], 0.4) == []
    with pytest.raises(SistaError, match="merge is 40"):
        VinDr(Path("anywhere"), merge=40)


def test_counts_and_refusals(kaggle: Path) -> None:
    archive = VinDr(kaggle)
    counts = archive.counts()
    assert (counts["rows"], counts["studies"], counts["boxes"], counts["boxes_with_majority"]) == (11, 3, 4, 2)
    assert counts["films_per_readers"] == {"3": 3}
    assert counts["positives"]["No finding"] == 2
    assert counts["left_out"] == {"repeated row": 1, "box without extent": 1, "box without a majority": 2}
    assert refusals(archive) == {2: f"no such file: {kaggle / 'train' / 'c.dicom'}"}
    same_after_pickling(archive)


def test_physionet_has_a_test_set_and_global_labels(tmp_path: Path) -> None:
    for name, content in PHYSIONET.items():
        text(tmp_path / name, content)
    for name in ("train/a", "train/b", "test/t", "test/u"):
        film(tmp_path / f"{name}.dicom")
    archive = VinDr(tmp_path)
    assert archive.label_names == ("Edema", "Pneumonia", "Other diseases")
    found = {study.study_id: (study.split, study.labels) for study in archive}
    assert found["a"] == ("train", {"Edema": 1.0, "Pneumonia": 0.0, "Other diseases": 1.0})
    assert found["b"] == ("train", {"Edema": 0.0, "Pneumonia": 0.0, "Other diseases": 0.0})
    assert found["t"] == ("test", {"Edema": 1.0, "Pneumonia": 0.0, "Other diseases": 1.0})
    assert found["u"] == ("test", {"Edema": 0.0, "Pneumonia": 0.0, "Other diseases": 0.0})
    votes = {archive[index].study_id: archive.votes(index) for index in range(len(archive))}
    assert votes["a"] == {"readers": 3, "Edema": 2, "Pneumonia": 0, "Other diseases": 2}
    assert votes["b"]["Pneumonia"] == 1
    assert votes["u"]["readers"] == 1
    assert archive.counts()["films_per_readers"] == {"1": 2, "3": 2}
    same_after_pickling(archive)


@pytest.mark.parametrize("damaged", [b"", b"image_id,caf\xe9\n"])
def test_a_damaged_table_of_labels_is_named(tmp_path: Path, damaged: bytes) -> None:
    for name, content in PHYSIONET.items():
        text(tmp_path / name, content)
    (tmp_path / "annotations/image_labels_train.csv").write_bytes(damaged)
    with pytest.raises(SistaError, match=r"image_labels_train\.csv: .*download it again"):
        VinDr(tmp_path)


def test_boxes_on_a_smaller_copy_of_unknown_size_leave_the_film_out(kaggle: Path) -> None:
    film(kaggle / "train/b.png", 512, 512)
    (kaggle / "train/b.dicom").unlink()
    (kaggle / "train/a.dicom").unlink()
    film(kaggle / "train/a.png")
    film(kaggle / "train/c.png")
    build(VinDr(kaggle), kaggle / "corpus", size=32, progress=False)
    assert len(Corpus.open(kaggle / "corpus")) == 2
    assert "box outside the film: " in (kaggle / "corpus/left_out.csv").read_text()


def test_an_unknown_class_is_named(kaggle: Path) -> None:
    text(kaggle / "train.csv", KAGGLE.replace("ILD", "IDL"))
    with pytest.raises(SistaError, match="unknown class_name 'IDL'"):
        VinDr(kaggle)
