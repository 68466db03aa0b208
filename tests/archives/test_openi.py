"""A miniature of OpenI, and its real reports."""

import io
import tarfile
from pathlib import Path

import pytest

from sista.archives.openi import OpenI
from sista.archives.openi_terms import labels_of
from sista.corpus.reports.sections import split_sections, training_text
from sista.errors import SistaError
from tests.archives.miniature import film, real, refusals, same_after_pickling, text


def report(number: int, sections: dict[str, str], major: str = "", automatic: str = "", images: str = "") -> str:
    abstract = "".join(f'<AbstractText Label="{label}">{body}</AbstractText>' for label, body in sections.items())
    terms = "".join(
        f"<{kind}>{term}</{kind}>" for kind, all_ in (("major", major), ("automatic", automatic)) for term in all_.split(";") if term
    )
    parents = "".join(f'<parentImage id="{image}"/>' for image in images.split())
    return (
        f'<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR{number}"/><MedlineCitation><Article><Abstract>{abstract}'
        f"</Abstract></Article></MedlineCitation><MeSH>{terms}</MeSH>{parents}</eCitation>"
    )


FULL = {"COMPARISON": "None.", "INDICATION": "Cough", "FINDINGS": "Heart &lt; normal.\n  XXXX lungs.", "IMPRESSION": "Normal."}
REPORTS = {
    "10.xml": report(10, {"FINDINGS": "Large effusion."}, "Pleural Effusion/left;Opacity/lung", "pleural effusions", "CXR10_IM-0002-1001"),
    "2.xml": report(2, FULL, "normal", "", "CXR2_IM-0001-3001 CXR2_IM-0001-4001"),
    "3.xml": report(3, {"COMPARISON": "Two days earlier", "FINDINGS": "", "IMPRESSION": ""}, "No Indexing"),
    "4.xml": report(4, {"IMPRESSION": "Clear."}, "", "", "CXR4_IM-0003-1001"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in REPORTS.items():
        text(tmp_path / "ecgen-radiology" / name, content)
    film(tmp_path / "png" / "CXR2_IM-0001-3001.png")
    film(tmp_path / "png" / "CXR2_IM-0001-4001.png")
    film(tmp_path / "png" / "10_IM-0002-1001.dcm.png")
    return tmp_path


@pytest.fixture
def tgz(tmp_path: Path) -> Path:
    path = tmp_path / "NLMCXR_reports.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, content in REPORTS.items():
            member = tarfile.TarInfo(f"ecgen-radiology/{name}")
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return path


def test_studies_have_sections_films_views_and_labels(folder: Path) -> None:
    table = text(
        folder / "projections.csv", "uid,filename,projection\n2,2_IM-0001-3001.dcm.png,Frontal\n2,2_IM-0001-4001.dcm.png,Lateral\n"
    )
    archive = OpenI(folder, folder / "png", projections=table)
    assert [report.study_id for report in archive.reports] == ["CXR2", "CXR3", "CXR4", "CXR10"]
    study = archive[0]
    assert study.report == "COMPARISON: None.\nINDICATION: Cough\nFINDINGS: Heart < normal. XXXX lungs.\nIMPRESSION: Normal."
    assert [(one.film_id, one.view) for one in study.films] == [("CXR2_IM-0001-3001", "FRONTAL"), ("CXR2_IM-0001-4001", "LATERAL")]
    assert study.labels["No Finding"] == 1.0
    effusion = archive[3]
    assert {name for name, value in effusion.labels.items() if value} == {"Pleural Effusion", "Lung Opacity"}
    assert effusion.films[0].source == folder / "png" / "10_IM-0002-1001.dcm.png"
    assert archive[1].labels == {}
    assert archive.reports[3].major == ("Pleural Effusion/left", "Opacity/lung")
    assert archive.reports[3].automatic == ("pleural effusions",)
    assert refusals(archive) == {2: f"no such file: {folder / 'png' / 'CXR4_IM-0003-1001.png'}"}
    same_after_pickling(archive)


def test_the_dicom_release_has_a_folder_per_report(folder: Path) -> None:
    film(folder / "dcm" / "2" / "2_IM-0001-3001.dcm")
    film(folder / "dcm" / "10" / "10_IM-0002-1001.dcm")
    archive = OpenI(folder, folder / "dcm")
    assert archive[0].films[0].source == folder / "dcm" / "2" / "2_IM-0001-3001.dcm"
    assert archive[3].films[0].source == folder / "dcm" / "10" / "10_IM-0002-1001.dcm"


def test_ids_that_name_their_report_twice_are_found_in_the_copy_of_kaggle(tmp_path: Path) -> None:
    text(tmp_path / "1.xml", report(1, FULL, images="CXR1_1_IM-0001-3001 CXR1_1_IM-0001-4001"))
    film(tmp_path / "1_IM-0001-3001.dcm.png")
    film(tmp_path / "1_IM-0001-4001.dcm.png")
    table = text(tmp_path / "p.csv", "uid,filename,projection\n1,1_IM-0001-3001.dcm.png,Lateral\n1,1_IM-0001-4001.dcm.png,Frontal\n")
    films = OpenI(tmp_path, tmp_path, projections=table)[0].films
    assert [(one.source.name, one.view) for one in films if isinstance(one.source, Path)] == [
        ("1_IM-0001-3001.dcm.png", "LATERAL"),
        ("1_IM-0001-4001.dcm.png", "FRONTAL"),
    ]


def test_a_comparison_alone_is_no_text_to_train_on(folder: Path) -> None:
    archive = OpenI(folder, text_only=True)
    assert archive.without_text == ["CXR3"]
    assert training_text(split_sections(archive[1].report)) == ""


def test_the_tgz_gives_the_same_reports_without_unpacking(folder: Path, tgz: Path) -> None:
    packed, unpacked = OpenI(tgz, text_only=True), OpenI(folder / "ecgen-radiology", text_only=True)
    assert packed.reports == unpacked.reports
    assert [study.films for study in packed] == [(), (), (), ()]
    counts = packed.counts()
    assert (counts["studies"], counts["with_findings"], counts["with_impression"], counts["indexed"]) == (4, 2, 2, 2)
    assert (counts["films"], counts["images_named"]) == (0, 4)
    same_after_pickling(packed)


def test_labels_follow_the_first_part_of_the_manual_terms() -> None:
    assert labels_of(["Hydropneumothorax/left", "Technical Quality of Image Unsatisfactory "])["Pneumothorax"] == 1.0
    assert labels_of(["Spine/degenerative"]) == dict.fromkeys(labels_of(["normal"]), 0.0)
    assert labels_of([]) == labels_of(["No Indexing"]) == {}


def test_hidden_twins_of_a_mac_are_no_reports(folder: Path) -> None:
    before = len(OpenI(folder, text_only=True))
    (folder / "._1.xml").write_bytes(b"\x00\x05\x16\x07")
    assert len(OpenI(folder, text_only=True)) == before
    with pytest.raises(SistaError, match="leave images and projections out"):
        OpenI(folder, images=folder, text_only=True)


def test_mistakes_are_named(folder: Path, tgz: Path) -> None:
    with pytest.raises(SistaError, match="text_only=true"):
        OpenI(tgz)
    with pytest.raises(SistaError, match="no such file or folder"):
        OpenI(folder / "nowhere", text_only=True)
    with pytest.raises(SistaError, match="no XML file"):
        OpenI(folder / "png", text_only=True)
    with pytest.raises(SistaError, match="download it again"):
        OpenI(text(folder / "broken.tgz", "no tar"), text_only=True)
    text(folder / "copy" / "2.xml", REPORTS["2.xml"])
    with pytest.raises(SistaError, match=r"1 report id\(s\) twice \(CXR2\)"):
        OpenI(folder, text_only=True)
    text(folder / "copy" / "2.xml", REPORTS["2.xml"][:80])
    with pytest.raises(SistaError, match=r"2\.xml: not a readable XML report"):
        OpenI(folder, text_only=True)


def test_the_real_reports_give_the_published_counts() -> None:
    archive = OpenI(real("openi", "NLMCXR_reports.tgz"), text_only=True)
    counts = archive.counts()
    assert (counts["studies"], counts["with_findings"], counts["with_impression"]) == (3955, 3425, 3921)
    assert counts["images_named"] == 7470
    assert len(set(archive.without_text)) == 28
    trained = [index for index in range(len(archive)) if training_text(split_sections(archive[index].report))]
    assert len(trained) == 3955 - 28
    assert {archive.reports[index].study_id for index in range(len(archive))} - {
        archive.reports[index].study_id for index in trained
    } == set(archive.without_text)
