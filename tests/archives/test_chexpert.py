"""A miniature of CheXpert."""

from pathlib import Path

import pytest

from sista.archives.chexpert import OBSERVATIONS, CheXpert
from sista.errors import SistaError
from tests.archives.miniature import film, refusals, same_after_pickling, text

HEADER = "Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(OBSERVATIONS) + "\n"


def row(path: str, plane: str = "Frontal", side: str = "AP", labels: str = "", sex: str = "Female", age: str = "68") -> str:
    values = dict(pair.split("=") for pair in labels.split(";") if pair)
    return f"{path},{sex},{age},{plane},{side}," + ",".join(values.get(name, "") for name in OBSERVATIONS) + "\n"


@pytest.fixture
def release(tmp_path: Path) -> Path:
    root = tmp_path / "CheXpert-v1.0-small"
    prefix = "CheXpert-v1.0-small/train"
    labels = "Edema=1.0;Cardiomegaly=-1.0;Pneumonia=0.0"
    text(
        root / "train.csv",
        HEADER
        + row(f"{prefix}/patient00001/study1/view1_frontal.jpg", labels=labels)
        + row(f"{prefix}/patient00001/study1/view2_lateral.jpg", "Lateral", "", labels)
        + row(f"{prefix}/patient00001/study1/view1_frontal.jpg", labels=labels)  # twice
        + row(f"{prefix}/patient00002/study1/view1_frontal.jpg", side="PA", labels="No Finding=1.0", sex="Unknown", age="")
        + row(f"{prefix}/patient00002/study2/view1_frontal.jpg", side="LL")
        + row(f"{prefix}/patient00003/study1/view1_lateral.jpg", "Lateral", "")  # lateral only
        + row(f"{prefix}/patient00004/study1/view1_frontal.jpg")  # no such file
        + row(f"{prefix}/patient00005/study1/view1_frontal.jpg", labels="Edema=1.0")
        + row(f"{prefix}/patient00005/study1/view2_frontal.jpg", labels="Edema=0.0"),  # contradicts
    )
    text(root / "valid.csv", HEADER + row("CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg", labels="Edema=0.0"))
    names = ["00001/study1/view1_frontal", "00001/study1/view2_lateral", "00002/study1/view1_frontal", "00002/study2/view1_frontal"]
    for name in [*names, "00003/study1/view1_lateral"]:
        film(root / f"train/patient{name}.jpg")
    film(root / "valid/patient64541/study1/view1_frontal.jpg")
    return root


def test_studies_views_labels_and_splits(release: Path) -> None:
    archive = CheXpert(release)
    first = archive[0]
    assert (first.study_id, first.subject_id, first.split) == ("patient00001/study1", "patient00001", "train")
    assert (first.age, first.sex) == (68, "Female")
    assert [one.view for one in first.films] == ["AP", "LATERAL"]
    assert first.labels == {"Edema": 1.0, "Cardiomegaly": -1.0, "Pneumonia": 0.0}
    second = archive[1]
    assert (second.films[0].view, second.age, second.sex) == ("PA", None, None)
    assert archive[2].films[0].view == ""
    assert [one.view for one in archive[3].films] == ["LATERAL"]
    assert archive[6].split == "valid"
    assert not archive.has_reports
    assert first.report == ""


def test_what_is_left_out_is_counted_or_refused(release: Path) -> None:
    archive = CheXpert(release)
    reasons = refusals(archive)
    assert sorted(reasons) == [4, 5]
    assert reasons[4].startswith("no such file: ")
    assert reasons[5] == "one study with different labels: patient00005/study1"
    counts = archive.counts()
    assert counts["rows_per_split"] == {"train": 9, "valid": 1}
    assert counts["frontal_per_split"] == {"train": 7, "valid": 1}
    assert (counts["rows"], counts["studies"], counts["subjects"], counts["films"]) == (10, 7, 6, 9)
    assert counts["positives"]["Edema"] == 3  # per row, as released
    assert counts["uncertain"]["Cardiomegaly"] == 2
    assert counts["left_out"] == {"duplicate film": 1}
    same_after_pickling(archive)


def test_labels_other_than_the_release_has_are_refused(release: Path) -> None:
    text(release / "valid.csv", HEADER + row("CheXpert-v1.0-small/valid/p/s/v.jpg", labels="Edema=2.0"))
    with pytest.raises(SistaError, match=r"valid\.csv: the labels hold 2\.0"):
        CheXpert(release)


def test_another_table_is_not_ignored(release: Path) -> None:
    other = text(release / "train_visualCheXbert.csv", HEADER + row("C/train/patient1/study1/v.jpg", labels="Edema=1.0"))
    with pytest.raises(SistaError, match=r"train_visualCheXbert\.csv: would not be read; give its folder, where train\.csv and valid\.csv"):
        CheXpert(other)
    assert len(CheXpert(release / "train.csv")) == len(CheXpert(release))


def test_one_table_is_enough_and_none_is_an_error(release: Path) -> None:
    (release / "train.csv").unlink()
    assert len(CheXpert(release)) == 1
    (release / "valid.csv").unlink()
    with pytest.raises(SistaError, match=r"expected train\.csv or valid\.csv"):
        CheXpert(release)
