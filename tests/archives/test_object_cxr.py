"""A miniature of Object-CXR."""

from pathlib import Path

import numpy as np
import pytest

from sista.archives.object_cxr import ObjectCxr
from sista.errors import SistaError
from tests.archives.miniature import film, refusals, same_after_pickling, text
from tests.archives.test_drawings import slow_mask


@pytest.fixture
def release(tmp_path: Path) -> Path:
    text(
        tmp_path / "train.csv",
        "image_name,annotation\n1.jpg,0 2 3 10 8;2 4 4 20 4 20 15 5 12\n2.jpg,\n2.jpg,\n3.jpg,1 2 2 12 10\n4.jpg,7 1 2\n5.jpg,0 1 1 2 2\n",
    )
    text(tmp_path / "dev.csv", "image_path,annotation\n/path/1.jpg,0 1 1 4 4\n")
    for name in ("train/1.jpg", "train/2.jpg", "train/3.jpg", "train/4.jpg", "dev/1.jpg"):
        film(tmp_path / name, width=24, height=20)
    return tmp_path


def test_boxes_and_masks_are_exact(release: Path) -> None:
    archive = ObjectCxr(release)
    study = archive[0]
    rectangle, polygon = study.films[0].regions
    assert (rectangle.x, rectangle.y, rectangle.width, rectangle.height) == (2, 3, 8, 5)
    assert (polygon.x, polygon.y, polygon.width, polygon.height) == (4, 4, 16, 11)
    assert rectangle.mask is not None
    assert polygon.mask is not None
    assert rectangle.mask.sum() == 8 * 5
    from sista.archives.drawings import read_drawings

    assert np.array_equal(polygon.mask, slow_mask(read_drawings("2 4 4 20 4 20 15 5 12")[0], 20, 24))
    assert study.labels == {"Foreign object": 1.0}
    assert ObjectCxr(release, masks=False)[0].films[0].regions[0].mask is None


def test_another_table_is_not_ignored(release: Path) -> None:
    with pytest.raises(SistaError, match=r"labels\.csv: would not be read; give its folder, where train\.csv and dev\.csv and test\.csv"):
        ObjectCxr(text(release / "labels.csv", "image_name,annotation\n1.jpg,\n"))
    by_table = ObjectCxr(release / "train.csv")
    assert [by_table[n].films[0].film_id for n in (0, 5)] == ["train/1.jpg", "dev/1.jpg"]
    assert len(by_table) == len(ObjectCxr(release))


def test_splits_counts_and_refusals(release: Path) -> None:
    archive = ObjectCxr(release)
    assert [archive[index].split for index in (0, 1, 5)] == ["train", "train", "valid"]
    assert archive[1].labels == {"Foreign object": 0.0}
    assert archive[0].study_id != archive[5].study_id
    counts = archive.counts()
    assert counts["rows_per_split"] == {"train": 6, "valid": 1}
    assert counts["shapes"] == {"rectangle": 3, "ellipse": 1, "polygon": 1}
    assert (counts["studies"], counts["positive_studies"], counts["boxes"]) == (5, 4, 5)
    assert counts["left_out"] == {"duplicate film": 1, "unreadable annotation": 1}
    reasons = refusals(archive)
    assert reasons[3].startswith("unreadable annotation: 4.jpg")
    assert reasons[4].startswith("no such file: ")
    assert set(reasons) == {3, 4}
    same_after_pickling(archive)


def test_a_film_that_is_no_image_is_refused(release: Path) -> None:
    (release / "train/1.jpg").write_bytes(b"no jpeg")
    assert refusals(ObjectCxr(release))[0].startswith("unreadable image: ")
