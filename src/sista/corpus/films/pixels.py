"""Gray pixels without a file: means of boxes, luminance, and the crop of black borders."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

STRIP = 1 << 20  # pixels worked on at a time, so that no wider copy of a whole film is ever held


def box_means(pixels: np.ndarray, factor: int) -> np.ndarray:
    """The mean of every `factor` x `factor` box [H // factor, W // factor], float32; rows and columns left over at the end are dropped.

    Sums are exact (32-bit integers; 16-bit samples allow a factor of up to 181 signed and 256 unsigned).
    """
    height, width = pixels.shape[0] // factor, pixels.shape[1] // factor
    total = np.int32 if pixels.dtype.kind == "i" else np.uint32
    boxes = pixels[: height * factor, : width * factor].reshape(height, factor, width * factor)
    rows = np.add.reduce(boxes, axis=1, dtype=total).reshape(height, width, factor)
    sums = rows[:, :, 0].copy()
    for column in range(1, factor):
        sums += rows[:, :, column]
    return sums.astype(np.float32) / np.float32(factor * factor)


def box_factor(height: int, width: int, size: int | None) -> int:
    """The whole factor at which boxes are averaged: it leaves twice `size` on the short side, else it is 1.

    Of the largest such factor (at most 64) and those down to half of it, the one that drops the smallest share of a side; the rest that
    is dropped moves the far edge by less than half a pixel of the final film, and by nothing where a factor divides both sides.
    """
    largest = 1 if size is None or size < 1 else max(1, min(64, min(height, width) // (2 * size)))
    return min(range(largest, largest // 2, -1), key=lambda factor: max(height % factor / height, width % factor / width))


def jpeg_draft(width: int, height: int, size: int | None) -> tuple[int, int]:
    """The width and height at which a JPEG is decoded when its long side will be `size`: 1/8, 1/4 or 1/2 by its DCT, else whole.

    The largest reduction that leaves 5/4 of the final film (a DCT scale is an average of whole boxes; the antialiased resize does the
    rest) and whose last, partly empty box moves the far edge by a quarter of a pixel of the final film at most. Against resizing the
    whole film the result differs by half a gray level in the mean (benchmarks/read_films.py).
    """
    scale = 1.0 if size is None else size / max(width, height)
    for factor in (8, 4, 2):
        shift = max(-width % factor, -height % factor) * scale
        if factor * 1.25 * scale <= 1 and shift <= 0.25 and min(width, height) >= factor:
            return width // factor, height // factor
    return width, height


def luminance(colour: np.ndarray) -> np.ndarray:
    """Gray [H, W] of red, green and blue [H, W, 3], in the same type: (19595 R + 38470 G + 7471 B + 32768) / 65536 (ITU-R 601, as PIL)."""
    height, width = colour.shape[:2]
    gray = np.empty((height, width), dtype=colour.dtype)
    for rows in strips(gray):
        red, green, blue = (colour[rows, :, channel].astype(np.uint64) for channel in range(3))
        gray[rows] = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
    return gray


def strips(pixels: np.ndarray) -> Iterator[slice]:
    """The rows of a film in strips of at most `STRIP` pixels."""
    height, width = pixels.shape
    rows = max(1, STRIP // max(1, width))
    return (slice(top, min(height, top + rows)) for top in range(0, height, rows))


def crop_borders(pixels: np.ndarray, dark: float = 0.02, specks: float = 0.005) -> tuple[np.ndarray, tuple[int, int]]:
    """The film without the black borders burned into it, and the (x, y) of its new origin in the old pixels.

    A row or column at an edge is border while at most the share `specks` of it is brighter than `dark` of the way from the film's
    darkest pixel to its 99.5th percentile. A box (x0, y0) of the whole film is (x0 - x, y0 - y) in the crop. A film that is dark
    everywhere is given back whole. The result is a view.
    """
    low, high = int(pixels.min()), float(np.percentile(pixels, 99.5))
    bright = pixels > low + dark * max(0.0, high - low)
    top, bottom = _lit(bright.mean(axis=1) > specks)
    if top == bottom:
        return pixels, (0, 0)
    left, right = _lit(bright[top:bottom].mean(axis=0) > specks)
    if left == right:
        return pixels, (0, 0)
    return pixels[top:bottom, left:right], (left, top)


def _lit(lines: np.ndarray) -> tuple[int, int]:
    lit = np.flatnonzero(lines)
    return (int(lit[0]), int(lit[-1]) + 1) if lit.size else (0, 0)
