"""From a study to rows: borders cropped with their regions, spacing and tags of DICOM films kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sista.corpus.build import build_corpus
from sista.corpus.corpus import Corpus
from sista.corpus.films.pixels import crop_borders
from sista.corpus.films.radiograph import Display, decode_film, read_radiograph, resize_film
from sista.corpus.films.views import is_frontal
from sista.corpus.rows import RowSettings, study_rows
from sista.corpus.study import Film, Region, Study
from tests.corpus.tiny_archive import TinyArchive

SETTINGS = RowSettings(40, "png", "frontal", 1, (0.8, 0.1, 0.1), "sista", ())


def bordered() -> Study:
    """An 80 x 80 film in a black border of 20 pixels left and 40 above, with a bright square whose region is exact."""
    pixels = np.zeros((120, 100), dtype=np.uint8)
    pixels[40:, 20:] = np.random.default_rng(0).integers(90, 110, (80, 80))
    pixels[60:80, 40:70] = 255
    mask = np.zeros(pixels.shape, dtype=bool)
    mask[60:80, 40:70] = True
    return Study("s", "p", "Small left effusion.", (Film("f", pixels, "PA", (Region("effusion", 40, 60, 30, 20, "effusion", mask),)),))


@pytest.mark.parametrize("crop", [False, True])
def test_regions_follow_their_film(crop: bool) -> None:
    settings = RowSettings(**{**SETTINGS.__dict__, "crop_borders": crop, "size": 40 if crop else 60})
    (row,), left_out = study_rows(bordered(), settings)
    assert not left_out
    assert (row["width"], row["height"]) == ((40, 40) if crop else (50, 60))
    region = row["regions"][0]
    x, y, width, height = (round(region[name]) for name in ("x", "y", "width", "height"))
    assert (x, y, width, height) == ((10, 10, 15, 10) if crop else (20, 30, 15, 10))
    film, mask = decode_film(row["image"]), decode_film(region["mask"])
    assert mask.shape == film.shape
    assert film[mask].mean() > 235  # the rim is mixed with what lies beside it
    assert film[~mask].mean() < 115
    np.testing.assert_array_equal(np.flatnonzero(mask.any(axis=0))[[0, -1]], [x, x + width - 1])


def test_what_is_left_of_a_cropped_jpeg_is_not_enlarged(tmp_path: Path) -> None:
    """Read at a quarter first, the film within its borders would have fewer pixels than it is to have."""
    pixels = np.zeros((1024, 1024), dtype=np.uint8)
    pixels[300:556, 400:656] = np.random.default_rng(0).integers(90, 250, (256, 256))
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    study = Study("s", "p", "Clear.", (Film("f", tmp_path / "a.jpg", "PA"),))
    (row,), _ = study_rows(study, RowSettings(**{**SETTINGS.__dict__, "crop_borders": True, "size": 128}))
    kept, _ = crop_borders(read_radiograph(tmp_path / "a.jpg"))
    np.testing.assert_array_equal(decode_film(row["image"]), resize_film(kept, 128)[0])


def test_boxes_end_where_the_cropped_film_ends() -> None:
    study = bordered()
    film = study.films[0]
    assert isinstance(film.source, np.ndarray)
    boxes = (Region("in the border", 2, 50, 10, 40), Region("straddling", 10, 50, 40, 40), Region("inside", 40, 60, 30, 20))
    (row,), _ = study_rows(
        replace(study, films=(replace(film, regions=boxes),)), RowSettings(**{**SETTINGS.__dict__, "crop_borders": True})
    )
    found = {one["finding"]: tuple(one[name] for name in ("x", "y", "width", "height")) for one in row["regions"]}
    assert found == {"straddling": (0, 5, 15, 20), "inside": (10, 10, 15, 10)}


def test_a_box_far_beyond_the_film_leaves_it_out() -> None:
    study = bordered()
    for box in (Region("x", 80, 60, 30, 20), Region("x", 40, -10, 30, 20)):
        rows, left_out = study_rows(replace(study, films=(replace(study.films[0], regions=(box,)),)), SETTINGS)
        assert not rows
        assert left_out[0].reason.startswith("box outside the film: ")
    (row,), _ = study_rows(replace(study, films=(replace(study.films[0], regions=(Region("x", 69, 60, 32, 20),)),)), SETTINGS)
    assert row["regions"][0]["x"] + row["regions"][0]["width"] == row["width"]  # a pixel beyond is cut off


def test_a_region_drawn_on_another_field_leaves_the_film_out() -> None:
    """A mask that is turned, as of a film that was, would be stretched over it; smaller and larger copies are of the same field."""
    study = bordered()
    film = study.films[0]  # 100 x 120
    assert isinstance(film.source, np.ndarray)
    mask = np.zeros(film.source.shape[::-1], dtype=bool)
    mask[10:30, 10:30] = True
    for region in (Region("x", 10, 10, 20, 20, "", mask), Region("x", 10, 10, 20, 20, canvas=(1024, 1024))):
        rows, (out,) = study_rows(replace(study, films=(replace(film, regions=(region,)),)), SETTINGS)
        assert not rows
        assert out.reason.startswith("region drawn on another field: ")
    larger = np.repeat(np.repeat(film.source > 0, 2, 0), 2, 1)
    for region in (Region("x", 5, 5, 10, 10, canvas=(49, 60)), Region("x", 10, 10, 20, 20, "", larger)):
        rows, left_out = study_rows(replace(study, films=(replace(film, regions=(region,)),)), SETTINGS)
        assert (len(rows), left_out) == (1, [])


def test_settings_of_display_enter_the_build(tmp_path: Path) -> None:
    build_corpus(TinyArchive(6), tmp_path / "c", size=32, workers=1, progress=False, display=Display("percentile"), crop_borders=True)
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.facts["display"] == {"window": "percentile", "frame": None}
    assert corpus.column("pixel_spacing") == [None] * len(corpus)


def test_spacing_and_tags_of_a_dicom_film(data: Path) -> None:
    file = data / "dicom" / "cr_chest_mono2_8bit_jpeg.dcm"
    if not file.is_file():
        pytest.skip(f"{file.name} is not here")
    (row,), left_out = study_rows(Study("s", "p", "Clear lungs.", (Film("f", file),)), SETTINGS)
    assert not left_out
    tags = {entry["name"]: entry["value"] for entry in row["film_tags"]}
    assert "PatientName" not in tags
    assert tags["Modality"] in ("CR", "DX", "DR")
    if row["pixel_spacing"] is not None:
        assert min(row["pixel_spacing"]) > 1  # 40 px over a chest


@pytest.mark.filterwarnings("ignore:Invalid value for VR CS")
def test_the_view_of_a_dicom_header_counts_where_the_archive_gives_none(tmp_path: Path) -> None:
    pytest.importorskip("pydicom")
    from tests.corpus.films import dicom_made

    films = {}
    for view in ("PA", "LATERAL", "RL", "LL", "", "L", "Lateral"):
        films[view] = tmp_path / f"{view}.dcm"
        films[view].write_bytes(dicom_made.to_bytes(dicom_made.dataset(dicom_made.film(12), 12, ViewPosition=view)))

    def rows(view: str = "", views: str = "frontal") -> tuple[list[str], list[str]]:
        given = tuple(Film(name, file, view) for name, file in films.items())
        found, left_out = study_rows(Study("s", "p", "Clear lungs.", given), replace(SETTINGS, views=views))
        return [row["view"] for row in found], [f"{out.film} {out.reason}" for out in left_out]

    assert rows() == (["PA", ""], [f"{view} lateral view" for view in ("LATERAL", "RL", "LL", "L", "Lateral")])
    assert rows(views="all") == (["PA", "LATERAL", "RL", "LL", "", "L", "LATERAL"], [])
    assert rows("AP") == (["AP"] * 7, [])  # the archive knows better


@pytest.mark.parametrize(
    "view",
    [
        "LATERAL",
        "LL",
        "RL",
        "left lateral",
        "XTABLE LATERAL",
        "RAO",
        "LLO",
        "OBLIQUE",
        "SWIMMERS",
        "LAT",
        "L",
        "LLAT",
        "X-TABLE",
        "cross table",
    ],
)
def test_views_that_are_not_frontal(view: str) -> None:
    assert not is_frontal(view)


@pytest.mark.parametrize("view", ["", "PA", "AP", "AP L", "FRONTAL", "AP AXIAL", "LLD", "RLD", "PA LLD"])
def test_views_that_are(view: str) -> None:
    assert is_frontal(view)
