"""Anti-aliased polylines: vessels, catheters, leads and the side marker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from sista.archives.phantom.grid import span
from sista.archives.phantom.thorax import Window

FINE_SIDE = 256  # sub-pixels along the film, at least; and at least two per pixel


class Canvas:
    """A window of the film on which strokes are drawn; the last stroke wins where they cross."""

    def __init__(self, rows: slice, cols: slice, size: int) -> None:
        self.rows, self.cols = rows, cols
        self._fine = max(2, -(-FINE_SIDE // size))
        fine = self._fine
        self._scale = size * fine
        self._left, self._top = cols.start * fine, rows.start * fine
        extent = ((cols.stop - cols.start) * fine, (rows.stop - rows.start) * fine)
        self._image = Image.new("L", extent)
        self._draw = ImageDraw.Draw(self._image)

    @classmethod
    def around(cls, points: Sequence[tuple[float, float]], margin: float, size: int) -> Canvas:
        """The canvas that holds film points with a margin."""
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return cls(span(min(ys) - margin, max(ys) + margin, size), span(min(xs) - margin, max(xs) + margin, size), size)

    def line(self, points: Sequence[tuple[float, float]], width: float, strength: float = 1.0) -> None:
        """A polyline through film points, `width` as a share of the film's side."""
        s, left, top = self._scale, self._left, self._top
        flat = [value for x, y in points for value in (x * s - left, y * s - top)]
        self._draw.line(flat, fill=int(255 * strength), width=max(1, round(width * s)), joint="curve" if width * s > 4 else None)

    def lines(self, paths: np.ndarray, width: float, strength: float) -> None:
        """Many polylines of one width, [n, points, 2]."""
        pixels = paths * self._scale - np.array((self._left, self._top))
        fill, thick = int(255 * strength), max(1, round(width * self._scale))
        for flat in pixels.reshape(len(pixels), -1).tolist():
            self._draw.line(flat, fill=fill, width=thick)

    def polygon(self, points: Sequence[tuple[float, float]], strength: float = 1.0) -> None:
        """A filled polygon through film points."""
        s, left, top = self._scale, self._left, self._top
        self._draw.polygon([(x * s - left, y * s - top) for x, y in points], fill=int(255 * strength))

    def window(self) -> Window:
        """What was drawn, 0..1."""
        fine = self._image.reduce(self._fine)
        return Window(self.rows, self.cols, np.asarray(fine, np.float32) * np.float32(1 / 255))


def smooth_path(points: Sequence[tuple[float, float]], steps: int = 6) -> list[tuple[float, float]]:
    """A Catmull-Rom curve through the points, as a polyline."""
    ends = [points[0], *points, points[-1]]
    path: list[tuple[float, float]] = []
    for (ax, ay), (bx, by), (cx, cy), (dx, dy) in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for step in range(steps):
            t = step / steps
            wa, wb = ((-t + 2) * t - 1) * t, (3 * t - 5) * t * t + 2
            wc, wd = ((-3 * t + 4) * t + 1) * t, (t - 1) * t * t
            path.append(((wa * ax + wb * bx + wc * cx + wd * dx) / 2, (wa * ay + wb * by + wc * cy + wd * dy) / 2))
    return [*path, points[-1]]
