"""Counts of the real tables of the other archives, where somebody has put them into shared/data; the sources are in docs/archives.md."""

import pytest

from sista.archives.chexpert import CheXpert
from sista.archives.covidx import Covidx
from sista.archives.rsna import Rsna
from sista.archives.siim import Siim
from sista.archives.vindr import VinDr
from tests.archives.miniature import real


def test_rsna() -> None:
    counts = Rsna(real("rsna")).counts()
    assert (counts["rows"], counts["studies"], counts["positive_studies"], counts["boxes"]) == (30227, 26684, 6012, 9555)


def test_siim() -> None:
    counts = Siim(real("siim")).counts()
    assert (counts["rows"], counts["studies"]) == (12954, 12047)
    assert (counts["negative_studies"], counts["positive_studies"], counts["several_rows"]) == (9378, 2669, 624)


def test_chexpert() -> None:
    counts = CheXpert(real("chexpert")).counts()
    assert counts["rows_per_split"] == {"train": 223414, "valid": 234}
    assert counts["frontal_per_split"] == {"train": 191027, "valid": 202}


def test_vindr_of_kaggle() -> None:
    counts = VinDr(real("vindr")).counts()
    assert (counts["rows"], counts["studies"], counts["films_per_readers"]) == (67914, 15000, {"3": 15000})


@pytest.mark.parametrize(
    ("release", "train"),
    [
        ("8A", {"covid-19": 2158, "normal": 7966, "pneumonia": 5475}),
        ("9A", {"covid-19": 16490, "normal": 8085, "pneumonia": 5555}),
    ],
)
def test_covidx(release: str, train: dict[str, int]) -> None:
    folder = real("covidx")
    test_list = next(iter(sorted(folder.glob("test_COVIDx*.txt"))), None)
    archive = Covidx(folder, train_list=real("covidx", f"train_COVIDx{release}.txt"), test_list=test_list)
    assert archive.counts()["positives"]["train"] == train
