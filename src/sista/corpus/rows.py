"""From one study to the rows of a corpus: one row per film-report pair."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sista.corpus.films.pixels import crop_borders
from sista.corpus.films.radiograph import Display, encode_film, open_radiograph, resize_film, resize_mask
from sista.corpus.films.views import is_frontal
from sista.corpus.reports.report import clean_text
from sista.corpus.reports.sections import split_sections, training_text
from sista.corpus.reports.words import word_spans
from sista.corpus.splits import split_of
from sista.corpus.study import SPLITS, Film, NotAsked, Region, Study, StudyRefused
from sista.errors import SistaError

_OVER = 0.02  # of a film's side, by which a box may reach beyond it
_OTHER_SHAPE = 0.03  # of the ratio of a film's sides, by which that of the picture on which a region was drawn may differ
_REGION = pa.struct(
    [
        ("finding", pa.string()),
        ("x", pa.float32()),
        ("y", pa.float32()),
        ("width", pa.float32()),
        ("height", pa.float32()),
        ("phrase", pa.string()),
        ("mask", pa.binary()),
    ]
)
SCHEMA = pa.schema(
    [
        ("film_id", pa.string()),
        ("study_id", pa.string()),
        ("subject_id", pa.string()),
        ("split", pa.string()),
        ("image", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("source_width", pa.int32()),
        ("source_height", pa.int32()),
        ("view", pa.string()),
        ("report", pa.string()),
        ("findings", pa.string()),
        ("impression", pa.string()),
        ("labels", pa.list_(pa.float32())),
        ("true_findings", pa.list_(pa.string())),
        ("regions", pa.list_(_REGION)),
        ("age", pa.float32()),
        ("sex", pa.string()),
        ("scanner", pa.string()),
        ("prior_id", pa.string()),
        ("change", pa.list_(pa.struct([("finding", pa.string()), ("change", pa.string())]))),
        ("source", pa.string()),
        ("pixel_spacing", pa.list_(pa.float32())),
        ("film_tags", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))),
    ]
)
"""The columns of a corpus. image: JPEG or PNG bytes. labels: in the order of `label_names`, NaN unknown. regions: stored-film pixels.
pixel_spacing: (row, column) mm a pixel of the stored film, null where unknown. film_tags: the white-listed fields of a DICOM header."""


@dataclass(frozen=True)
class RowSettings:
    """What decides a row besides its study."""

    size: int
    image_format: str
    views: str
    min_words: int
    fractions: tuple[float, float, float]
    salt: str
    label_names: tuple[str, ...]
    has_reports: bool = True
    text_only: bool = False
    display: Display = field(default_factory=Display)
    crop_borders: bool = False


@dataclass(frozen=True)
class LeftOut:
    """A film (or a study without a usable one) that is not in the corpus, and why: "stable words: the particulars"."""

    study_id: str
    film: str
    source: str
    reason: str
    asked: bool = True  # False for what was to be left out: of another view, or in no list


def study_rows(study: Study, settings: RowSettings) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    """The rows of one study and what of it was left out."""
    sections = split_sections(study.report)
    report = clean_text(training_text(sections))
    reason = None
    if not study.films and not settings.text_only:
        reason = "no film"
    elif not settings.has_reports:
        reason = None
    elif not report:
        reason = "empty report"
    elif len(word_spans(report)) < settings.min_words:
        reason = f"report too short: fewer than {settings.min_words} words"
    if reason:
        return [], [LeftOut(study.study_id, "", _source_name(study.films[0].source) if study.films else "", reason)]
    if study.split is not None and study.split not in SPLITS:
        raise SistaError(f"study {study.study_id}: split {study.split!r}, expected one of {', '.join(SPLITS)} or none")
    unknown = set(study.labels) - set(settings.label_names)
    if unknown:
        raise SistaError(f"study {study.study_id}: label(s) {', '.join(sorted(unknown))} are not among the archive's label_names")
    common = {
        "study_id": study.study_id,
        "subject_id": study.subject_id,
        "split": study.split or split_of(study.subject_id, settings.fractions, settings.salt),
        "report": report,
        "findings": clean_text(sections.get("findings", "")),
        "impression": clean_text(sections.get("impression", "")),
        "labels": [float(study.labels.get(name, math.nan)) for name in settings.label_names],
        "true_findings": None if study.true_findings is None else sorted(study.true_findings),
        "age": study.age,
        "sex": study.sex,
        "scanner": study.scanner,
        "prior_id": study.prior_id,
        "change": [{"finding": finding, "change": change} for finding, change in sorted(study.change.items())],
    }
    if settings.text_only:
        return [{**common, **_NO_FILM, "film_id": study.study_id}], []
    rows, left_out = [], []
    for film in study.films:
        try:
            if film.not_asked:
                raise NotAsked(film.not_asked)
            _require_wanted(film.view, settings)
            rows.append({**common, **_film_columns(film, settings)})
        except StudyRefused as refused:
            asked = not isinstance(refused, NotAsked)
            left_out.append(LeftOut(study.study_id, film.film_id, _source_name(film.source), str(refused), asked))
    return rows, left_out


def _require_wanted(view: str, settings: RowSettings) -> None:
    if settings.views == "frontal" and not is_frontal(view):
        raise NotAsked("lateral view")


_NO_FILM: dict[str, Any] = {
    "image": None,
    "width": 0,
    "height": 0,
    "source_width": 0,
    "source_height": 0,
    "pixel_spacing": None,
    "film_tags": [],
    "view": "",
    "regions": [],
    "source": "",
}


def _film_columns(film: Film, settings: RowSettings) -> dict[str, Any]:
    # whole where borders are taken off: what is left may be small, and reading less would leave less than the film is to have
    opened = open_radiograph(film.source, None if settings.crop_borders else settings.size, settings.display)
    view = film.view or opened.tags.get("ViewPosition", "")
    _require_wanted(view, settings)
    if opened.pixels.min() == opened.pixels.max():
        raise StudyRefused(f"blank film: {_source_name(film.source)} (every pixel has the same value)")
    # what was read may be a reduction of the source: `coarse` source pixels a pixel, across and down
    coarse = (opened.source_width / opened.pixels.shape[1], opened.source_height / opened.pixels.shape[0])
    kept, (left, top) = crop_borders(opened.pixels) if settings.crop_borders else (opened.pixels, (0, 0))
    pixels, _ = resize_film(kept, settings.size)
    height, width = pixels.shape
    across, down = width / (kept.shape[1] * coarse[0]), height / (kept.shape[0] * coarse[1])
    place = _Place(left * coarse[0], top * coarse[1], across, down, width, height, opened.source_width, opened.source_height)
    return {
        "film_id": film.film_id,
        "image": encode_film(pixels, settings.image_format),
        "width": width,
        "height": height,
        "source_width": opened.source_width,
        "source_height": opened.source_height,
        "pixel_spacing": None if opened.pixel_spacing is None else [opened.pixel_spacing[0] / down, opened.pixel_spacing[1] / across],
        "film_tags": [{"name": name, "value": value} for name, value in sorted(opened.tags.items())],
        "view": view,
        "regions": [held for region in film.regions if (held := _region_columns(region, place, film.source)) is not None],
        "source": Path(_source_name(film.source)).name,  # no folder: the same files give the same corpus wherever they lie
    }


@dataclass(frozen=True)
class _Place:
    """Where the stored film lies in its source: origin in source pixels, stored pixels a source pixel, both sizes."""

    x: float
    y: float
    across: float
    down: float
    width: int
    height: int
    source_width: int
    source_height: int


def _region_columns(region: Region, place: _Place, source: Path | np.ndarray) -> dict[str, Any] | None:
    """The region on the stored film, cut off at its sides; None where it lay in a border that was cropped."""
    drawn = region.canvas or ((place.source_width, place.source_height) if region.mask is None else region.mask.shape[::-1])
    across, down = place.source_width / drawn[0], place.source_height / drawn[1]
    if not 1 - _OTHER_SHAPE < across / down < 1 + _OTHER_SHAPE:
        shapes = f"{drawn[0]} x {drawn[1]}, film {place.source_width} x {place.source_height}"
        raise StudyRefused(f"region drawn on another field: {_source_name(source)} ({region.finding} on {shapes}: turned, or cropped?)")
    x, y, width, height = region.x * across, region.y * down, region.width * across, region.height * down
    beyond = max(-x, x + width - place.source_width) / place.source_width, max(-y, y + height - place.source_height) / place.source_height
    if max(beyond) > _OVER:
        size = f"{place.source_width} x {place.source_height}"
        ends = f"from {x:.0f}, {y:.0f} to {x + width:.0f}, {y + height:.0f}"
        raise StudyRefused(f"box outside the film: {_source_name(source)} ({region.finding} {ends}, film {size}: a copy of another size?)")
    left, wide = _within((x - place.x) * place.across, width * place.across, place.width)
    top, high = _within((y - place.y) * place.down, height * place.down, place.height)
    if wide <= 0 or high <= 0:
        return None
    return {
        "finding": region.finding,
        "x": left,
        "y": top,
        "width": wide,
        "height": high,
        "phrase": region.phrase,
        "mask": None if region.mask is None else encode_film(_stored_mask(np.asarray(region.mask, dtype=bool), place)),
    }


def _within(start: float, length: float, most: int) -> tuple[float, float]:
    """A stretch cut off at 0 and `most`; as it is where it lies between, to the last digit."""
    if start >= 0 and start + length <= most:
        return start, length
    first, last = max(start, 0.0), min(start + length, float(most))
    return first, last - first


def _stored_mask(mask: np.ndarray, place: _Place) -> np.ndarray:
    across, down = mask.shape[1] / place.source_width, mask.shape[0] / place.source_height
    left, top = round(place.x * across), round(place.y * down)
    right, bottom = left + round(place.width / place.across * across), top + round(place.height / place.down * down)
    mask = mask[top:bottom, left:right]
    return mask if mask.shape == (place.height, place.width) else resize_mask(mask, place.width, place.height)


def _source_name(source: Path | np.ndarray) -> str:
    """The path of a film; for pixels without a file a digest of them, so that either can be traced."""
    if isinstance(source, np.ndarray):
        return "pixels sha256:" + hashlib.sha256(np.ascontiguousarray(source).tobytes()).hexdigest()[:16]
    return str(source)
