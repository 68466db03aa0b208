"""A miniature of ChestX-ray14, and its real tables."""

from pathlib import Path

import numpy as np
import pytest

from sista.archives.build import build
from sista.archives.nih import Nih
from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from tests.archives.miniature import film, real, refusals, same_after_pickling, text

HEADER_2017 = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
)
ROWS = (
    "00000001_001.png,Cardiomegaly|Emphysema,1,1,058Y,M,PA,2894,2729,0.143,0.143,\n"
    "00000001_000.png,No Finding,0,1,057Y,M,PA,2682,2749,0.143,0.143,\n"
    "00000002_000.png,Infiltration,0,2,414Y,F,AP,2500,2048,0.171,0.171,\n"
    "00000002_000.png,Infiltration,0,2,414Y,F,AP,2500,2048,0.171,0.171,\n"
    "00000003_000.png,Hernia,0,3,011M,F,AP,2500,2048,0.171,0.171,\n"
    "00000004_000.png,Mass,0,4,30,F,AP,2500,2048,0.171,0.171,\n"
)
BOXES = (
    "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
    "00000002_000.png,Infiltrate,225.08,547.01,86.5,79.25,,,\n"
    "00000001_001.png,Cardiomegaly,10,20,30,40,,,\n"
    "00000001_001.png,Cardiomegaly,NaN,20,30,40,,,\n"
    "99999999_000.png,Mass,1,2,3,4,,,\n"
)
# The number of films per finding that the NIH gives for its release, as repeated by its data card at
# https://huggingface.co/datasets/alkzar90/NIH-Chest-X-ray-dataset ("Label distribution on the dataset") and counted from the table with
# zcat, cut and sort; 984 boxes on 880 films: our own count of the released list.
OFFICIAL = {
    "No Finding": 60361,
    "Infiltration": 19894,
    "Effusion": 13317,
    "Atelectasis": 11559,
    "Nodule": 6331,
    "Mass": 5782,
    "Pneumothorax": 5302,
    "Consolidation": 4667,
    "Pleural_Thickening": 3385,
    "Cardiomegaly": 2776,
    "Emphysema": 2516,
    "Edema": 2303,
    "Fibrosis": 1686,
    "Pneumonia": 1431,
    "Hernia": 227,
}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    text(tmp_path / "Data_Entry_2017.csv", HEADER_2017 + ROWS)
    text(tmp_path / "BBox_List_2017.csv.gz", BOXES)
    text(tmp_path / "train_val_list.txt", "00000001_000.png\n00000001_001.png\n00000004_000.png\n")
    text(tmp_path / "test_list.txt", "00000002_000.png")
    for path in ("images_001/images/00000001_000.png", "images_001/images/00000001_001.png", "images_012/00000002_000.png"):
        film(tmp_path / path, 16, 16)
    return tmp_path


def test_findings_boxes_priors_and_ages(release: Path) -> None:
    archive = Nih(release, valid_fraction=0.0)
    second, first, third = archive[0], archive[1], archive[2]
    assert {name for name, value in second.labels.items() if value} == {"Cardiomegaly", "Emphysema"}
    assert len(second.labels) == 14
    assert not any(first.labels.values())
    assert (second.prior_id, first.prior_id, second.study_id) == ("00000001_000", None, "00000001_001")
    assert (second.age, second.sex, second.films[0].view, second.subject_id) == (58, "M", "PA", "1")
    assert third.age is None
    (region,) = third.films[0].regions
    assert (region.finding, region.x, region.y, region.width, region.height) == ("Infiltration", 225.08, 547.01, 86.5, 79.25)
    assert len(second.films[0].regions) == 1
    assert [study.split for study in (second, first, third)] == ["train", "train", "test"]
    assert second.films[0].source == release / "images_001/images/00000001_001.png"


def test_counts_and_refusals(release: Path) -> None:
    archive = Nih(release)
    counts = archive.counts()
    assert (counts["rows"], counts["studies"], counts["subjects"], counts["boxes"], counts["boxed_films"]) == (6, 5, 4, 2, 2)
    assert counts["left_out"] == {"duplicate image": 1, "implausible age": 1, "box of an unknown image": 1, "box without numbers": 1}
    reasons = refusals(archive)
    assert reasons[3] == "in neither official list: 00000003_000.png"
    assert reasons[4].startswith("no such file: ")
    assert set(reasons) == {3, 4}
    same_after_pickling(archive)


def test_lists_may_be_gzipped_and_have_a_byte_order_mark(release: Path) -> None:
    plain = Nih(release, valid_fraction=0.0)
    (release / "train_val_list.txt").unlink()
    text(release / "train_val_list.txt.gz", "\ufeff00000001_000.png\n00000001_001.png\n00000004_000.png\n")
    assert Nih(release, valid_fraction=0.0).counts() == plain.counts()


def test_boxes_fit_smaller_copies_of_the_films(release: Path) -> None:
    film(release / "images_012/00000002_000.png", 256, 256)
    film(release / "images_001/images/00000001_001.png", 1024, 1024)
    build(Nih(release), release / "corpus", size=128, progress=False)
    corpus = Corpus.open(release / "corpus")
    boxes = {region.finding: region for row in range(len(corpus)) for region in corpus.regions(row)}
    found = [(one.x, one.y, one.width, one.height) for one in (boxes["Infiltration"], boxes["Cardiomegaly"])]
    assert np.allclose(found, np.array([(225.08, 547.01, 86.5, 79.25), (10, 20, 30, 40)]) / 8)


def test_valid_is_drawn_by_patient(release: Path) -> None:
    with pytest.raises(SistaError, match="valid_fraction is 7"):
        Nih(release, valid_fraction=7)
    assert {Nih(release, valid_fraction=1.0)[index].split for index in (0, 1)} == {"valid"}


def test_without_lists_and_boxes_and_with_the_newer_header(release: Path) -> None:
    for name in ("train_val_list.txt", "test_list.txt", "BBox_List_2017.csv.gz"):
        (release / name).unlink()
    text(release / "Data_Entry_2017_v2020.csv", HEADER_2017.replace("Gender", "Sex").replace("y],", "y]") + ROWS.replace(",\n", "\n"))
    archive = Nih(release)
    assert archive[0].split is None
    assert archive[0].sex == "M"
    assert archive.counts()["boxes"] == 0


def test_mistakes_are_named(release: Path) -> None:
    (release / "test_list.txt").unlink()
    with pytest.raises(SistaError, match="put both there"):
        Nih(release)
    text(release / "test_list.txt", "00000001_000.png")
    with pytest.raises(SistaError, match="in both official lists"):
        Nih(release)
    text(release / "Data_Entry_2017.csv", HEADER_2017 + ROWS.replace("Hernia", "Herna"))
    with pytest.raises(SistaError, match="unknown finding 'Herna'"):
        Nih(release)


def test_the_real_tables_give_the_official_counts() -> None:
    archive = Nih(real("nih", "tables"))
    counts = archive.counts()
    assert (counts["rows"], counts["studies"], counts["subjects"]) == (112120, 112120, 30805)
    assert (counts["boxes"], counts["boxed_films"]) == (984, 880)
    assert counts["positives"] == OFFICIAL
    assert not any(counts["left_out"].values())
