"""The regions of one's own films: mask images named in a table's columns, and boxes in a table of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError

from sista.archives.run_length import mask_box
from sista.corpus.study import Region, StudyRefused
from sista.corpus.tables import cell_text
from sista.errors import SistaError, nearest

SIDES = ("x", "y", "width", "height")


def mask_region(finding: str, file: Path) -> Region | None:
    """The region of a mask image: its pixels above half of the largest value of their kind (127 of 255); None where all are 0.

    The mask may be smaller or larger than the film, of the same field. Raises StudyRefused for a mask that cannot be read, and for one that
    is not 0 everywhere but nowhere above that half, such as one of 0 and 1: what it means is not for us to guess.
    """
    try:
        with Image.open(file) as opened:
            pixels = np.asarray(opened if opened.mode in ("1", "L", "I;16", "I") else opened.convert("L"))
    except FileNotFoundError:
        raise StudyRefused(f"mask not found: {file.name}") from None
    except (OSError, UnidentifiedImageError, ValueError, Image.DecompressionBombError) as error:
        raise StudyRefused(f"mask cannot be read: {file.name} ({type(error).__name__})") from None
    highest = 1 if pixels.dtype == bool else 255 if pixels.dtype == np.uint8 else 65535
    mask = pixels > highest // 2
    if not mask.any():
        if pixels.any():
            most = f"its largest value is {pixels.max()}, the region must be above {highest // 2}"
            raise StudyRefused(f"mask without a region: {file.name} ({most})")
        return None
    return Region(finding, *mask_box(mask), mask=mask)


def boxes_by_film(table: Path, frame: pd.DataFrame, image: str, label: str) -> dict[str, list[Region]]:
    """image -> its boxes; rows without a box (empty or NaN sides) say that a film has none.

    frame: the table's cells, columns `image`, `label`, x, y, width, height in pixels of the film, origin top left. Raises SistaError for a
    column that is missing and a box that is none.
    """
    for column in (image, label, *SIDES):
        if column not in frame.columns:
            raise SistaError(
                f"{table}: no column {column!r}: {nearest(column, frame.columns)}; boxes need {image}, {label}, {', '.join(SIDES)}"
            )
    found: dict[str, list[Region]] = {}
    sides = frame[list(SIDES)].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    given = frame[list(SIDES)].map(cell_text).to_numpy(str)
    for number, (name, finding, box, cells) in enumerate(zip(frame[image], frame[label], sides, given, strict=True)):
        regions = found.setdefault(cell_text(name), [])
        if all(cell.lower() in ("", "nan") for cell in cells):
            continue
        if not np.isfinite(box).all() or box[2] <= 0 or box[3] <= 0:
            raise SistaError(f"{table}, row {number + 2}: x, y, width, height {', '.join(map(repr, cells.tolist()))} are no box")
        regions.append(Region(cell_text(finding), *box.tolist()))
    return found


def table_regions(
    cells: Mapping[str, str], film: str, root: Path, masks: Mapping[str, str], boxes: Mapping[str, list[Region]]
) -> tuple[Region, ...]:
    """The regions of one row: the masks named in its cells (finding -> path, "" for none) and the film's boxes."""
    drawn = [mask_region(finding, root / cells[finding]) for finding in masks if cells[finding]]
    return (*(region for region in drawn if region is not None), *boxes.get(film, ()))
