"""A sheet of phantom films with each finding outlined and named, to be looked at.

python -m sista.archives.phantom.contact_sheet --out docs/images/phantom.png --seed 48

Also: --size, --rows, --columns, --site, --only FINDING (studies with that label, outlined alone), --plain (no outlines). Seed 48 is
shown because its first 24 studies hold every label.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sista.archives.phantom.findings import LABELS
from sista.archives.phantom.study import Phantom
from sista.corpus.study import Study
from sista.errors import SistaError, nearest

COLOURS = dict(
    zip(
        LABELS,
        ("#ffd23f", "#3ab7ff", "#ff5964", "#7cff6b", "#ff9f1c", "#c77dff", "#00e5c0", "#ff8fd8", "#a0c4ff", "#ffffff", "#ffb3a7"),
        strict=True,
    )
)
LINE = 11  # pixels of caption per finding


def outline(mask: np.ndarray) -> np.ndarray:
    """The outermost pixels of a mask."""
    inner = np.zeros_like(mask)
    inner[1:-1, 1:-1] = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    return mask & ~inner


def tile(study: Study, plain: bool, lines: int, only: str | None) -> Image.Image:
    """One film in colour with its outlines, and under it a caption line per finding."""
    film = study.films[0]
    pixels = np.asarray(film.source)
    side = pixels.shape[0]
    colour = np.repeat(pixels[:, :, None], 3, axis=2)
    if not plain:
        for region in film.regions:
            label = region.name
            if region.mask is not None and only in (None, label):
                colour[outline(region.mask)] = np.array(Image.new("RGB", (1, 1), COLOURS[label]))[0, 0]
    picture = Image.new("RGB", (side + 4, side + 4 + LINE * (lines + 1)), "#101010")
    picture.paste(Image.fromarray(colour), (2, 2))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=9)
    draw.text((3, side + 3), f"{study.study_id[-6:]} {film.view} {study.sex} {study.age:.0f} {study.scanner}", "#909090", font)
    names = [region.finding for region in film.regions]
    for row, name in enumerate(names[:lines] or ["normal"]):
        draw.text((3, side + 3 + LINE * (row + 1)), name.replace("/", " ").strip(), COLOURS.get(name.split("/")[0], "#d0d0d0"), font)
    return picture


def contact_sheet(phantom: Phantom, rows: int, columns: int, only: str | None = None, plain: bool = False) -> Image.Image:
    """The first rows x columns studies (of those with the label `only`, if given) on one sheet."""
    if only is not None and only not in (*LABELS, "normal"):
        raise SistaError(f"contact sheet: finding {only!r} is unknown: {nearest(only, LABELS)}")
    wanted: list[int] = []
    index = 0
    while len(wanted) < rows * columns and index < len(phantom):
        present = {f.label for f in phantom.case(index).visit.findings} or {"normal"}
        if only is None or only in present:
            wanted.append(index)
        index += 1
    lines = max((len(phantom.case(i).visit.findings) for i in wanted), default=0) or 1
    tiles = [tile(phantom[i], plain, min(lines, 5), only) for i in wanted]
    width, height = tiles[0].size
    sheet = Image.new("RGB", (columns * width, rows * height), "#101010")
    for place, picture in enumerate(tiles):
        sheet.paste(picture, (place % columns * width, place // columns * height))
    return sheet


def few_colours(sheet: Image.Image) -> Image.Image:
    """The sheet with 64 greys and the outline colours, which keeps the file small."""
    greys = [value for level in range(64) for value in (level * 255 // 63,) * 3]
    colours = [int(colour[at : at + 2], 16) for colour in COLOURS.values() for at in (1, 3, 5)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(greys + colours)
    return sheet.quantize(palette=palette, dither=Image.Dither.NONE)


def main(arguments: list[str] | None = None) -> None:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description="Write a sheet of phantom films with each finding outlined and named.")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=192, help="pixels a side of each film")
    parser.add_argument("--rows", type=int, default=4)
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--site", default="main")
    parser.add_argument("--only", metavar="FINDING", help="only studies with this label, or 'normal'")
    parser.add_argument("--plain", action="store_true", help="no outlines")
    given = parser.parse_args(arguments)
    phantom = Phantom(4000, given.seed, given.size, given.site)
    sheet = contact_sheet(phantom, given.rows, given.columns, given.only, given.plain)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    few_colours(sheet).save(given.out, optimize=True)


if __name__ == "__main__":
    main()
