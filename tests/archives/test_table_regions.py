"""Masks and boxes of one's own table reach the corpus in the right place, and what is wrong with them is said."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sista.archives.build import build
from sista.archives.table import Table
from sista.corpus.check import check
from sista.corpus.check_archive import check_archive
from sista.corpus.corpus import Corpus
from sista.corpus.study import StudyRefused
from sista.errors import SistaError


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Four films of 80 x 100 px: a mask of the film's size, one of half its size, an empty one, none; boxes on the first and the last."""
    random = np.random.default_rng(0)
    for name in "abcd":
        Image.fromarray(random.integers(0, 255, (80, 100), np.uint8)).save(tmp_path / f"{name}.png")
    mask = np.zeros((80, 100), np.uint8)
    mask[20:40, 50:80] = 255
    mask[40:50, 50:80] = 127  # V7's "ignore"
    Image.fromarray(mask).save(tmp_path / "mask-a.png")
    Image.fromarray(mask[::2, ::2]).save(tmp_path / "mask-b.png")
    Image.fromarray(np.zeros((80, 100), np.uint8)).save(tmp_path / "mask-c.png")
    rows = {
        "image": [f"{name}.png" for name in "abcd"],
        "lung mask": ["mask-a.png", "mask-b.png", "mask-c.png", ""],
        "opacity": [1, 0, "", 1],
    }
    pd.DataFrame(rows).to_csv(tmp_path / "films.csv", index=False)
    boxes = [
        ("a.png", "opacity", 10, 20, 30, 40),
        ("a.png", "opacity", 50, 5, 9.5, 10),
        ("b.png", "opacity", "", "", "", ""),
        ("d.png", "opacity", 0, 0, 5, 6),
    ]
    pd.DataFrame(boxes, columns=["image", "label", "x", "y", "width", "height"]).to_csv(tmp_path / "boxes.csv", index=False)
    return tmp_path / "films.csv"


def test_masks_and_boxes(table: Path) -> None:
    archive = Table(table, label_columns=["opacity"], masks={"lung": "lung mask"}, boxes=table.parent / "boxes.csv")
    regions = [archive[i].films[0].regions for i in range(4)]
    drawn = [(lung.finding, lung.x, lung.y, lung.width, lung.height) for lung in (regions[0][0], regions[1][0])]
    assert drawn == [("lung", 50, 20, 30, 20), ("lung", 25, 10, 15, 10)]  # in pixels of each one's mask
    assert regions[0][0].mask is not None
    assert regions[0][0].mask.sum() == 600
    assert [(r.finding, r.x, r.y, r.width, r.height) for r in regions[0][1:]] == [("opacity", 10, 20, 30, 40), ("opacity", 50, 5, 9.5, 10)]
    assert (len(regions[1]), regions[2], len(regions[3])) == (1, (), 1)
    again = pickle.loads(pickle.dumps(archive))
    assert again[3].films[0].regions == regions[3]
    assert archive.describe()["boxes"] != archive.describe()["content"]
    assert (archive.describe()["films_with_boxes"], archive.describe()["boxes_of_unknown_films"]) == (3, 0)
    with (table.parent / "boxes.csv").open("a") as file:
        file.write("z.png,opacity,1,1,1,1\n")
    assert len(archive.notes) == 1  # of the mask that was not drawn
    one_more = Table(table, boxes=table.parent / "boxes.csv")
    assert one_more.describe()["boxes_of_unknown_films"] == 1
    assert len(one_more.notes) == 1
    assert "1 image of" in one_more.notes[0]
    assert "such as 'z.png', named by no row of" in one_more.notes[0]


def test_boxes_of_unknown_films_are_told(table: Path, tmp_path: Path) -> None:
    with (table.parent / "boxes.csv").open("a") as file:
        file.write("z.png,opacity,1,1,1,1\n")
    archive = Table(table, boxes=table.parent / "boxes.csv")
    built = build(archive, tmp_path / "corpus", size=50, progress=False)
    for notes in (built["notes"], check(tmp_path / "corpus")["notes"], check_archive(archive)["notes"]):
        assert "z.png" in notes[0]


def test_they_reach_a_corpus(table: Path, tmp_path: Path) -> None:
    build(Table(table, masks={"lung": "lung mask"}, boxes=table.parent / "boxes.csv"), tmp_path / "corpus", size=50, progress=False)
    corpus = Corpus.open(tmp_path / "corpus")
    first, second = (corpus.regions(row) for row in (0, 1))
    assert [region.finding for region in first] == ["lung", "opacity", "opacity"]
    for lung in (first[0], second[0]):
        assert lung.mask is not None
        assert lung.mask[10 + 5 : 20 + 5, 25:40].mean() > 0.95  # 50 x 40 px in the middle of a square of 50
        assert lung.mask.sum() == pytest.approx(150, abs=15)
        assert (lung.x, lung.y, lung.width, lung.height) == (25, 10 + 5, 15, 10)


def test_the_box_of_a_mask_fits_a_dicom_too(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from tests.corpus.films import dicom_made

    (tmp_path / "a.dcm").write_bytes(dicom_made.to_bytes(dicom_made.dataset(dicom_made.film(12, height=160, width=200), 12)))
    mask = np.zeros((80, 100), np.uint8)
    mask[20:40, 50:80] = 255
    Image.fromarray(mask).save(tmp_path / "a.png")
    (tmp_path / "films.csv").write_text("image,lung\na.dcm,a.png\n")
    (tmp_path / "boxes.csv").write_text("image,label,x,y,width,height\na.dcm ,other,100,40,60,40\n")
    build(Table(tmp_path / "films.csv", masks={"lung": "lung"}, boxes=tmp_path / "boxes.csv"), tmp_path / "corpus", size=50, progress=False)
    for region in Corpus.open(tmp_path / "corpus").regions(0):
        assert (region.x, region.y, region.width, region.height) == (25, 10 + 5, 15, 10)


def test_what_films_without_a_mask_are_taken_for_is_told(table: Path) -> None:
    """As without the finding, unless a label of that name says who looked."""
    (note,) = Table(table, masks={"Lung": "lung mask"}).notes
    assert note.startswith("films without a mask of 'Lung': 1, which count as without it; where nobody looked, give a label column 'Lung'")
    frame = pd.read_csv(table, dtype=str, keep_default_na=False)
    frame.assign(lung=["1", "1", "0", ""]).to_csv(table, index=False)
    assert Table(table, masks={"Lung": "lung mask"}, label_columns=["lung"]).notes == []
    frame.assign(**{"lung mask": ["", "mask-b.png", "", ""]}, image=["a.png", "b.png", "", "d.png"]).to_csv(table, index=False)
    assert (
        Table(table, masks={"Lung": "lung mask"}).notes[0].startswith("films without a mask of 'Lung': 2,")
    )  # a row without a film is none


def test_a_mask_that_is_missing_or_damaged_leaves_the_film_out(table: Path) -> None:
    (table.parent / "mask-a.png").unlink()
    (table.parent / "mask-b.png").write_bytes(b"no mask")
    archive = Table(table, masks={"lung": "lung mask"})
    with pytest.raises(StudyRefused, match=r"mask not found: mask-a\.png"):
        archive[0]
    with pytest.raises(StudyRefused, match=r"mask cannot be read: mask-b\.png"):
        archive[1]


@pytest.mark.parametrize(("kind", "most", "half"), [(np.uint8, 1, 127), (np.uint16, 255, 32767)])
def test_a_mask_that_nothing_of_is_bright_enough_is_not_taken_for_empty(table: Path, kind: type, most: int, half: int) -> None:
    drawn = np.zeros((20, 20), dtype=kind)
    drawn[4:8, 4:8] = most
    Image.fromarray(drawn).save(table.parent / "mask-a.png")
    with pytest.raises(StudyRefused, match=rf"mask without a region: mask-a\.png \(its largest value is {most}, .* above {half}\)"):
        Table(table, masks={"lung": "lung mask"})[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("image,label,x,y,w,height\na.png,o,1,1,1,1\n", "no column 'width'"),
        ("image,label,x,y,width,height\na.png,o,1,1,0,1\n", r"row 2: x, y, width, height '1', '1', '0', '1' are no box"),
        ('image,label,x,y,width,height\na.png,o,"10,5",none,n/a,?\n', r"row 2: x, y, width, height '10,5', 'none', 'n/a', '\?' are no box"),
        ("image,label,x,y,width,height\na.png,o,1,1,,1\n", "row 2"),
        ("image,label,x,y,width,height\nz.png,o,1,1,1,1\n", r"no image of it, such as 'z\.png'"),
    ],
)
def test_boxes_that_cannot_be(table: Path, text: str, message: str) -> None:
    (table.parent / "boxes.csv").write_text(text)
    with pytest.raises(SistaError, match=message):
        Table(table, boxes=table.parent / "boxes.csv")
    with pytest.raises(SistaError, match="no column 'lung'"):
        Table(table, masks={"lung": "lung"})
