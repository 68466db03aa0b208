"""A miniature of MIMIC-CXR and MIMIC-CXR-JPG: two roots, joined."""

import zipfile
from pathlib import Path

import pytest

from sista.archives.chexpert import OBSERVATIONS
from sista.archives.mimic_cxr import MimicCxr
from sista.archives.zipped import ZippedTexts
from sista.corpus.study import StudyRefused
from sista.errors import SistaError
from tests.archives.miniature import film, refusals, same_after_pickling, text

REPORTS = {
    "p10/p10000032/s50414267": " FINAL REPORT\n FINDINGS:\n There is no focal consolidation.\n \n IMPRESSION:\n No acute process.\n",
    "p10/p10000032/s53189527": " FINAL REPORT\n COMPARISON:  ___.\n",
    "p10/p10000764/s57375967": " FINDINGS:\n PA and lateral views. Hilar \u00e9largissement.\n",
    "p11/p11000001/s51111111": "",
    "p11/p11000001/s54444444": " IMPRESSION: Clear.\n",
}
METADATA = """dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,StudyTime
{films}
"""
FILMS = [  # film, subject, study, view, date, time
    ("f1", 10000032, 53189527, "AP", 21800626, "165500.312"),
    ("f2", 10000032, 50414267, "PA", 21800506, "213014.531"),
    ("f3", 10000032, 50414267, "LATERAL", 21800506, "213014.531"),
    ("f3", 10000032, 50414267, "LATERAL", 21800506, "213014.531"),
    ("f4", 10000764, 57375967, "LL", 21331019, "80000"),
    ("f5", 11000001, 51111111, "", 21000101, "90000"),
    ("f6", 11000001, 52222222, "AP LLD", 21000101, "100000"),
    ("f7", 11000001, 53333333, "LAO", 21000101, "110000"),
    ("f8", 11000001, 54444444, "AP", 21000101, "20000"),
]


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    reports, images = tmp_path / "mimic-cxr", tmp_path / "mimic-cxr-jpg"
    for name, report in REPORTS.items():
        text(reports / "files" / f"{name}.txt", report)
    rows = [f"{one},{subject},{study},CHEST,{view},3056,2544,{date},{time}" for one, subject, study, view, date, time in FILMS]
    text(images / "mimic-cxr-2.0.0-metadata.csv.gz", METADATA.format(films="\n".join(rows)))
    splits = {10000032: "train", 10000764: "validate", 11000001: "test"}
    listed = [f"{one},{study},{subject},{splits[subject]}" for one, subject, study, *_ in FILMS if one != "f7"]
    text(images / "mimic-cxr-2.0.0-split.csv", "dicom_id,study_id,subject_id,split\n" + "\n".join(listed))
    label = "10000032,50414267" + "".join(
        "," + {"Pneumonia": "-1.0", "Edema": "0.0", "No Finding": "1.0"}.get(name, "") for name in OBSERVATIONS
    )
    text(images / "mimic-cxr-2.0.0-chexpert.csv.gz", "subject_id,study_id," + ",".join(OBSERVATIONS) + f"\n{label}\n{label}\n")
    for one, subject, study, *_ in FILMS:
        if one not in ("f3", "f8"):
            film(images / "files" / f"p{str(subject)[:2]}" / f"p{subject}" / f"s{study}" / f"{one}.jpg")
    return reports, images


@pytest.fixture
def zipped(roots: tuple[Path, Path], tmp_path: Path) -> Path:
    path = tmp_path / "zip" / "mimic-cxr-reports.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for number, (name, report) in enumerate(REPORTS.items()):
            archive.writestr(f"files/{name}.txt", report, zipfile.ZIP_STORED if number == 2 else zipfile.ZIP_DEFLATED)
    return path


def test_the_two_roots_are_joined(roots: tuple[Path, Path]) -> None:
    archive = MimicCxr(*roots)
    later, first, lateral = archive[0], archive[1], archive[2]
    assert (first.study_id, first.subject_id, first.split) == ("50414267", "10000032", "train")
    assert [(one.film_id, one.view) for one in first.films] == [("f2", "PA"), ("f3", "LATERAL")]
    assert first.films[0].source == roots[1] / "files/p10/p10000032/s50414267/f2.jpg"
    assert first.labels == {"Pneumonia": -1.0, "Edema": 0.0, "No Finding": 1.0}
    assert "No acute process." in first.report
    assert later.labels == {}
    assert (later.prior_id, first.prior_id, lateral.prior_id) == ("50414267", None, None)
    assert (lateral.split, [one.view for one in lateral.films]) == ("valid", ["LATERAL"])
    assert "COMPARISON" in later.report  # comparison only: left to the builder
    assert archive[3].report == ""
    assert archive[3].films[0].view == ""
    assert archive[3].prior_id == "54444444"  # 02:00 comes before 09:00
    assert archive.has_reports


def test_counts_and_refusals(roots: tuple[Path, Path]) -> None:
    archive = MimicCxr(*roots)
    counts = archive.counts()
    assert (counts["rows"], counts["studies"], counts["subjects"], counts["films"]) == (9, 7, 3, 8)
    assert counts["studies_per_split"] == {"train": 2, "valid": 1, "test": 3}
    assert counts["studies_with_prior"] == 4
    assert counts["views"] == {"unknown": 1, "AP": 3, "LATERAL": 2, "OBLIQUE": 1, "PA": 1}
    assert (counts["positives"]["No Finding"], counts["uncertain"]["Pneumonia"]) == (1, 1)
    assert counts["left_out"] == {"duplicate film": 1, "repeated label row": 1, "study without official split": 1}
    reasons = refusals(archive)
    assert reasons[4] == f"no such file: {roots[0] / 'files/p11/p11000001/s52222222.txt'}"
    assert reasons[5] == "no official split: study 53333333"
    assert reasons[6] == f"no such file: {roots[1] / 'files/p11/p11000001/s54444444/f8.jpg'}"
    assert set(reasons) == {4, 5, 6}
    same_after_pickling(archive)


@pytest.mark.parametrize("given", ["file", "folder"])
def test_the_zip_gives_the_same_studies(roots: tuple[Path, Path], zipped: Path, given: str) -> None:
    folder, archive = MimicCxr(*roots), MimicCxr(zipped if given == "file" else zipped.parent, roots[1])
    for index in (0, 1, 2, 3):
        assert archive[index] == folder[index]
    assert archive.counts()["left_out"]["study without report"] == 2
    assert refusals(archive)[4] == f"no such file: s52222222.txt in {zipped}"
    same_after_pickling(archive)


def test_a_damaged_member_refuses_its_study(zipped: Path) -> None:
    texts = ZippedTexts(zipped)
    assert len(texts) == 5
    assert "Hilar" in texts.read(57375967)
    data = bytearray(zipped.read_bytes())
    for name in (b"s50414267.txt", b"s57375967.txt"):  # one deflated, one stored
        data[data.find(name) + len(name) + 3] ^= 0xFF
    zipped.write_bytes(bytes(data))
    for number in (50414267, 57375967):
        with pytest.raises(StudyRefused, match=rf"unreadable report: s{number}\.txt"):
            texts.read(number)


def test_labels_can_be_chosen_or_left(roots: tuple[Path, Path]) -> None:
    bare = MimicCxr(*roots, labels="none")
    assert bare.label_names == ()
    assert bare[1].labels == {}
    same_after_pickling(bare)
    with pytest.raises(SistaError, match=r"expected mimic-cxr-2\.0\.0-negbio\.csv"):
        MimicCxr(*roots, labels="negbio")


def test_mistakes_are_named(roots: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="come apart from MIMIC-CXR-JPG"):
        MimicCxr(tmp_path, roots[1])
    with pytest.raises(SistaError, match="not a readable zip"):
        MimicCxr(text(tmp_path / "mimic-cxr-reports.zip", "no zip"), roots[1])
    split = roots[1] / "mimic-cxr-2.0.0-split.csv"
    content = split.read_text()
    text(split, content.replace("f2,50414267,10000032,train", "f2,50414267,10000032,test"))
    with pytest.raises(SistaError, match="study 50414267 stands in several splits"):
        MimicCxr(*roots)
    text(split, content.replace("validate", "holdout"))
    with pytest.raises(SistaError, match="split 'holdout'"):
        MimicCxr(*roots)
