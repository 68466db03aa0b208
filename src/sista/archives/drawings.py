"""Rectangles, ellipses and polygons drawn on a film: from Object-CXR's text to exact boxes and masks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KINDS = {"0": "rectangle", "1": "ellipse", "2": "polygon"}


@dataclass(frozen=True)
class Drawing:
    """One closed shape.

    `points` [n, 2] are x, y in pixels: two corners of a rectangle or of the box of an ellipse, or the points of a polygon.
    """

    kind: str
    points: np.ndarray

    def box(self) -> tuple[float, float, float, float]:
        """x, y, width, height: the plain bounds of the points, which for all three kinds are the bounds of the shape."""
        (left, top), (right, bottom) = self.points.min(axis=0), self.points.max(axis=0)
        return float(left), float(top), float(right - left), float(bottom - top)

    def mask(self, height: int, width: int) -> np.ndarray:
        """The pixels [height, width] whose centre lies in the shape; a polygon that crosses itself is filled by the even-odd rule."""
        x, y, across, down = self.box()
        left, right = int(np.clip(np.floor(x), 0, width)), int(np.clip(np.ceil(x + across), 0, width))
        top, bottom = int(np.clip(np.floor(y), 0, height)), int(np.clip(np.ceil(y + down), 0, height))
        centres_x, centres_y = np.arange(left, right)[None, :] + 0.5, np.arange(top, bottom)[:, None] + 0.5
        mask = np.zeros((height, width), dtype=bool)
        if self.kind == "ellipse" and across and down:
            inside = ((2 * (centres_x - x) / across - 1) ** 2 + (2 * (centres_y - y) / down - 1) ** 2) <= 1
        elif self.kind == "polygon":
            inside = self._crossings(centres_x, centres_y)
        else:
            inside = (centres_x >= x) & (centres_x <= x + across) & (centres_y >= y) & (centres_y <= y + down)
        mask[top:bottom, left:right] = inside
        return mask

    def _crossings(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether a ray from (x, y) to the left crosses the polygon an odd number of times."""
        inside = np.zeros((y.shape[0], x.shape[1]), dtype=bool)
        for (x1, y1), (x2, y2) in zip(self.points, np.roll(self.points, -1, axis=0), strict=True):
            if y1 != y2:
                spans = (y1 <= y) != (y2 <= y)
                inside ^= spans & (x > x1 + (y - y1) / (y2 - y1) * (x2 - x1))
        return inside


def read_drawings(annotation: str) -> list[Drawing]:
    """The shapes of `type x1 y1 x2 y2 ...;type x1 y1 ...`: 0 rectangle, 1 ellipse (two corners each), 2 polygon (three points or more).

    Raises ValueError that quotes the shape which cannot be read.
    """
    drawings = []
    for part in filter(None, (piece.strip() for piece in annotation.split(";"))):
        kind, *words = part.split()
        try:
            numbers = np.array(words, dtype=np.float64)
        except ValueError:
            numbers = np.array([np.nan])
        right = len(numbers) % 2 == 0 and (len(numbers) >= 6 if kind == "2" else len(numbers) == 4)
        if kind not in KINDS or not right or not np.isfinite(numbers).all():
            raise ValueError(f"shape {part[:60]!r}: expected 0 or 1 and four numbers, or 2 and three points or more")
        drawings.append(Drawing(KINDS[kind], numbers.reshape(-1, 2)))
    return drawings
