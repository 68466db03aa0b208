from __future__ import annotations

from pathlib import Path
from typing import Any

from sista.archives.openi import OpenI
from sista.archives.registry import ARCHIVES
from sista.corpus.check_archive import check_archive
from sista.corpus.published import PUBLISHED, against_published
from tests.corpus.tiny_archive import TinyArchive


class Counted(TinyArchive):
    """An archive that says it is OpenI and counts a part of it."""

    def counts(self) -> dict[str, Any]:
        return {"studies": self.count}


def test_a_sample_is_read_as_the_builder_would() -> None:
    found = check_archive(TinyArchive(30, broken=(0,)), sample=10)
    assert (found["studies"], found["sample"]["studies"], found["sample"]["rows"]) == (30, 10, 9)
    assert found["sample"]["left_out"] == {"made to fail": 1}
    assert found["sample"]["examples"]["made to fail"] == "study number 0: made to fail: study 0"
    assert found["sample"]["views"] == {"PA": 9}
    assert found["sample"]["sections"] == {"findings": 9}
    assert found["sample"]["words"]["min"] >= 3
    assert (found["counts"], found["published"]) == ({}, {})
    assert found["notes"] == ["1 of 10 studies of the sample cannot be used; see left_out"]
    assert check_archive(TinyArchive(30, broken=(0,)), sample=0)["verdict"] == "usable"


def test_counts_that_are_not_published_are_named() -> None:
    found = check_archive(Counted(6, name="openi"), sample=2)
    assert found["published"]["counts"]["studies"] == {"found": 6, "published": 3955}
    assert "studies 6 (published 3955)" in found["notes"][0]
    assert found["verdict"] == "usable, with notes"


def test_nothing_usable_is_said() -> None:
    assert check_archive(TinyArchive(3, broken=(0, 1, 2)))["verdict"] == "not usable"
    assert check_archive(TinyArchive(0))["verdict"] == "not usable"


def test_of_several_releases_the_nearest_counts() -> None:
    train = {"covid-19": 16490, "normal": 8085, "pneumonia": 5555}
    found = against_published("covidx", {"positives": {"train": train}})
    assert (found["release"], found["agrees"]) == ("9A", True)
    assert against_published("phantom", {}) == {}
    assert set(PUBLISHED) <= set(ARCHIVES)


def test_the_real_openi_agrees(data: Path) -> None:
    archive = OpenI(data / "openi" / "NLMCXR_reports.tgz", text_only=True)
    found = check_archive(archive, sample=50)
    assert found["published"]["agrees"]
    assert found["sample"]["rows"] >= 48
