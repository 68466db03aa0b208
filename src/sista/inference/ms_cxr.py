"""MS-CXR as released: phrases of MIMIC-CXR reports with the boxes they speak of (Boecking et al., ECCV 2022; PhysioNet ms-cxr 0.1 and 1.1).

Two forms of one content are read. MS_CXR_Local_Alignment_v*.json is COCO-like: `images` (id, file_name DICOM_ID.jpg, width, height),
`categories` (id, name), `annotations` (image_id, category_id, bbox [x, y, w, h], label_text, a string or a list of one).
MS_CXR_Local_Alignment_v*.csv has a box a row: dicom_id, category_name, label_text, x, y, w, h, image_width, image_height and, in 1.1, path
and split. Boxes are in pixels of the released film.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sista.corpus.corpus import Corpus
from sista.corpus.study import Region
from sista.errors import SistaError
from sista.inference.regions import united

COLUMNS = ("dicom_id", "category_name", "label_text", "x", "y", "w", "h", "image_width", "image_height")


@dataclass(frozen=True)
class AnnotatedFilm:
    """The boxes of one film, in pixels of the film as released, of `width` x `height`; `region.finding` is MS-CXR's category."""

    width: float
    height: float
    regions: tuple[Region, ...]


def read_ms_cxr(file: Path) -> dict[str, AnnotatedFilm]:
    """dicom id -> its boxes, in the order of the file. Raises SistaError for a file of another form, or boxes that make no sense."""
    file = Path(file)
    try:
        rows = list(_from_csv(file) if file.suffix.lower() == ".csv" else _from_json(file))
    except FileNotFoundError as error:
        raise SistaError(f"no MS-CXR annotations at {file}: give MS_CXR_Local_Alignment_v*.json or .csv") from error
    except (LookupError, TypeError, ValueError, AttributeError, OSError) as error:
        raise SistaError(f"{file} is not MS-CXR's .json or .csv ({type(error).__name__}: {error})") from error
    films: dict[str, AnnotatedFilm] = {}
    for dicom_id, width, height, region in rows:
        sides = (region.width, region.height, width, height)
        if min(sides) <= 0 or not np.isfinite((region.x, region.y, *sides)).all():
            raise SistaError(f"{file}: film {dicom_id} has a box of {region.width:g} x {region.height:g} on {width:g} x {height:g} pixels")
        there = films.get(dicom_id)
        films[dicom_id] = AnnotatedFilm(width, height, ((*there.regions, region) if there else (region,)))
    if not films:
        raise SistaError(f"{file} has no box")
    return films


def corpus_regions(corpus: Corpus, films: Mapping[str, AnnotatedFilm], rows: np.ndarray) -> dict[int, tuple[Region, ...]]:
    """Corpus row -> its regions in pixels of the square film of `Corpus.films`; the boxes of one phrase become one region with their union.

    Films are matched by film id (the dicom id). Raises SistaError when none matches, and for a corpus whose films were cropped: where the
    released film's boxes lie on them is not known.
    """
    if corpus.facts.get("crop_borders"):
        raise SistaError(f"corpus {corpus.path} was built with --crop-borders, and the boxes are of whole films; build one without")
    found: dict[int, tuple[Region, ...]] = {}
    for row, film_id in zip(rows.tolist(), corpus.values("film_id", rows).tolist(), strict=True):
        if film_id not in films:
            continue
        film = films[film_id]
        width, height = (corpus.stored.cell(name, row).as_py() for name in ("width", "height"))
        left, top = (corpus.size - width) // 2, (corpus.size - height) // 2
        across, down = width / film.width, height / film.height
        spoken: dict[tuple[str, str], list[Region]] = {}
        for one in film.regions:
            moved = Region(one.finding, one.x * across + left, one.y * down + top, one.width * across, one.height * down, one.phrase)
            spoken.setdefault((one.finding, one.phrase), []).append(moved)
        found[row] = tuple(united(boxes, corpus.size) for boxes in spoken.values())
    if not found:
        example = next(iter(films))
        raise SistaError(f"corpus {corpus.path} has none of the {len(films)} annotated films in this split, such as {example!r}")
    return found


def _from_json(file: Path) -> Iterator[tuple[str, float, float, Region]]:
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["name"] for category in content["categories"]}
    for one in content["annotations"]:
        image = images[one["image_id"]]
        text = one["label_text"] if isinstance(one["label_text"], str) else one["label_text"][0]
        x, y, width, height = map(float, one["bbox"])
        region = Region(names[one["category_id"]].lower(), x, y, width, height, text.strip())
        yield Path(image["file_name"]).stem, float(image["width"]), float(image["height"]), region


def _from_csv(file: Path) -> Iterator[tuple[str, float, float, Region]]:
    with file.open(newline="", encoding="utf-8-sig") as opened:
        reader = csv.DictReader(opened)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ValueError(f"no column {', '.join(missing)}")
        for row in reader:
            box = [float(row[name]) for name in ("x", "y", "w", "h")]
            region = Region(row["category_name"].strip().lower(), box[0], box[1], box[2], box[3], row["label_text"].strip())
            yield row["dicom_id"].strip(), float(row["image_width"]), float(row["image_height"]), region
