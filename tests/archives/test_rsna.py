"""A miniature of the RSNA release."""

import json
from pathlib import Path

import pytest

from sista.archives.rsna import MAPPING, Rsna
from sista.errors import SistaError
from tests.archives.miniature import film, refusals, same_after_pickling, text

TABLE = """patientId,x,y,width,height,Target
a,,,,,0
b,264.0,152.0,213.0,379.0,1
b,562.0,152.0,256.0,453.0,1
b,562.0,152.0,256.0,453.0,1
c,,,,,1
d,NaN,NaN,NaN,NaN,0
a,,,,,0
e,10,10,5,5,1
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    text(tmp_path / "stage_2_train_labels.csv", TABLE)
    for patient in "abcd":
        film(tmp_path / "stage_2_train_images" / f"{patient}.dcm")
    return tmp_path


def test_a_film_has_one_study_with_all_its_boxes(release: Path) -> None:
    archive = Rsna(release)
    healthy, boxed, boxless = archive[0], archive[1], archive[2]
    assert healthy.labels == {"Pneumonia": 0.0}
    assert healthy.films[0].regions == ()
    boxes = [(one.x, one.y, one.width, one.height) for one in boxed.films[0].regions]
    assert boxes == [(264, 152, 213, 379), (562, 152, 256, 453)]
    assert boxed.labels == boxless.labels == {"Pneumonia": 1.0}
    assert boxless.films[0].regions == ()
    assert boxed.subject_id == boxed.study_id == "b"


def test_copies_of_another_format_are_read(release: Path) -> None:
    (release / "stage_2_train_images" / "b.dcm").unlink()
    film(release / "stage_2_train_images" / "b.png", 16, 16)
    assert Rsna(release)[1].films[0].source == release / "stage_2_train_images" / "b.png"


def test_counts_and_refusals(release: Path) -> None:
    archive = Rsna(release)
    counts = archive.counts()
    assert (counts["rows"], counts["studies"], counts["positive_studies"], counts["boxes"]) == (8, 5, 3, 3)
    assert counts["positive_without_box"] == 1
    assert counts["left_out"] == {"repeated row": 2, "box without numbers": 1, "box of a negative row": 0}
    assert refusals(archive) == {4: f"no such file: {release / 'stage_2_train_images' / 'e.dcm'}"}
    same_after_pickling(archive)


def test_with_the_mapping_the_subject_is_the_patient_of_the_nih(release: Path) -> None:
    without = Rsna(release).counts()
    assert (without["subjects"], without["films_of_unknown_patient"]) == (5, 5)
    mapping = [{"subset_img_id": one, "img_id": f"0000000{of}_00{one}.png"} for one, of in zip("abcd", "1121", strict=True)]
    text(release / MAPPING, json.dumps(mapping))
    archive = Rsna(release)
    assert [archive[index].subject_id for index in range(4)] == ["nih_00000001", "nih_00000001", "nih_00000002", "nih_00000001"]
    assert (archive.counts()["subjects"], archive.counts()["films_of_unknown_patient"]) == (3, 1)  # of e nothing is known
    same_after_pickling(archive)
    for damaged in ("[1]", "{}x", '[{"img_id": "1_2.png"}]'):
        text(release / MAPPING, damaged)
        with pytest.raises(SistaError, match=rf"{MAPPING}: expected a list of objects with subset_img_id and img_id"):
            Rsna(release)


def test_the_table_alone_can_be_counted(tmp_path: Path) -> None:
    assert Rsna(text(tmp_path / "labels.csv.gz", TABLE)).counts()["rows"] == 8


def test_another_target_is_named(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="other values than 0 and 1"):
        Rsna(text(tmp_path / "stage_2_train_labels.csv", TABLE.replace("5,5,1", "5,5,")))


def test_another_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="no column 'Target'"):
        Rsna(text(tmp_path / "stage_2_detailed_class_info.csv", "patientId,x,y,width,height,class\n"))
