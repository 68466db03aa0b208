"""A miniature of the SIIM-ACR release."""

from pathlib import Path

import numpy as np
import pytest

from sista.archives.build import build
from sista.archives.siim import Siim
from sista.corpus.corpus import Corpus
from tests.archives.miniature import film, refusals, same_after_pickling, text

ONE, TWO, THREE, FOUR, FIVE = (f"1.2.276.0.7230010.3.1.4.{number}" for number in range(1, 6))
# 8 x 8: the first code sets rows 2-4 of column 0 and row 0 of column 1, the second rows 0-1 of column 7
TABLE = f"""ImageId, EncodedPixels
{ONE}, -1
{TWO}, 2 3 3 1
{TWO}, 56 2
{THREE}, 60 9
{FOUR}, -1
{FOUR}, 0 1
{FIVE},-1
{FIVE},-1
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    text(tmp_path / "train-rle.csv", TABLE)
    for number, image in enumerate([ONE, TWO, THREE, FOUR]):
        film(tmp_path / "dicom-images-train" / f"study{number}" / f"series{number}" / f"{image}.dcm")
    return tmp_path


def test_all_rows_of_a_film_make_one_exact_mask(release: Path) -> None:
    archive = Siim(release, film_size=8)
    study = archive[1]
    (region,) = study.films[0].regions
    expected = np.zeros((8, 8), dtype=bool)
    expected[2:5, 0] = expected[0, 1] = expected[0:2, 7] = True
    assert region.mask is not None
    assert np.array_equal(region.mask, expected)
    assert (region.x, region.y, region.width, region.height) == (0, 0, 8, 5)
    assert study.labels == {"Pneumothorax": 1.0}
    assert study.films[0].source == release / "dicom-images-train/study1/series1" / f"{TWO}.dcm"


def test_minus_one_is_negative_with_and_without_its_space(release: Path) -> None:
    archive = Siim(release, film_size=8)
    assert archive[0].labels == {"Pneumothorax": 0.0}
    assert archive[0].films[0].regions == ()
    assert archive[3].labels == {"Pneumothorax": 1.0}


def test_counts_and_refusals(release: Path) -> None:
    archive = Siim(release, film_size=8)
    counts = archive.counts()
    assert (counts["rows"], counts["studies"], counts["positive_studies"], counts["negative_studies"]) == (8, 5, 3, 2)
    assert counts["several_rows"] == 3
    assert counts["left_out"] == {"repeated row": 1, "-1 of a film with a mask": 1, "no EncodedPixels": 0}
    reasons = refusals(archive)
    assert reasons[2].startswith(f"unreadable mask: {THREE}")
    assert reasons[4].startswith("no such file: ")
    assert set(reasons) == {2, 4}
    same_after_pickling(archive)


def test_an_empty_cell_is_no_negative(release: Path) -> None:
    text(release / "train-rle.csv", f"ImageId,EncodedPixels\n{ONE},-1\n{TWO},\n{FOUR},\n{FOUR},0 1\n")
    archive = Siim(release, film_size=8)
    assert refusals(archive) == {1: f"no EncodedPixels: {TWO}; the release has -1 for no pneumothorax"}
    counts = archive.counts()
    assert (counts["positive_studies"], counts["negative_studies"], counts["left_out"]["no EncodedPixels"]) == (1, 1, 1)
    assert archive[2].labels == {"Pneumothorax": 1.0}


def test_a_mask_is_not_taken_for_the_film(release: Path) -> None:
    for folder in ("png", "mask"):
        film(release / folder / f"{ONE}.png")
        film(release / folder / f"{FIVE}.png")
    archive = Siim(release, film_size=8)
    assert archive[0].films[0].source == release / "dicom-images-train/study0/series0" / f"{ONE}.dcm"
    assert (
        refusals(archive)[4]
        == f"several files of one film: mask/{FIVE}.png and png/{FIVE}.png below {release}; give images=, the folder of the films"
    )
    assert Siim(release, images=release / "png", film_size=8)[4].films[0].source == release / "png" / f"{FIVE}.png"


def test_a_smaller_copy_of_a_film_keeps_its_box_on_its_mask(tmp_path: Path) -> None:
    text(tmp_path / "train-rle.csv", f"ImageId,EncodedPixels\n{ONE},{32 * 64 + 16} 16 48 16\n")  # columns 32 and 33 of 64, rows 16 to 31
    film(tmp_path / f"{ONE}.png", 32, 32)
    build(Siim(tmp_path, film_size=64), tmp_path / "corpus", size=32, progress=False)
    (region,) = Corpus.open(tmp_path / "corpus").regions(0)
    assert (region.x, region.y, region.width, region.height) == (16, 8, 1, 8)
    assert region.mask is not None
    assert np.argwhere(region.mask).tolist() == [[row, 16] for row in range(8, 16)]


def test_absolute_codes_and_a_header_without_space(tmp_path: Path) -> None:
    text(tmp_path / "stage_2_train.csv", "ImageId,EncodedPixels\nID_1,3 3 9 1\n")
    film(tmp_path / "stage_2_images" / "ID_1.dcm")
    mask = Siim(tmp_path, run_length="absolute", film_size=8)[0].films[0].regions[0].mask
    assert mask is not None
    assert np.argwhere(mask).tolist() == [[0, 1], [2, 0], [3, 0], [4, 0]]
