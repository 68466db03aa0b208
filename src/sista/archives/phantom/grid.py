"""The pixel grid of a square film in film coordinates: x and y run from 0 to 1, origin top left, whatever the size in pixels."""

from __future__ import annotations

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=16)
def axis(size: int) -> np.ndarray:
    """Pixel centres along one side, float32 [size], read-only."""
    centres = ((np.arange(size) + 0.5) / size).astype(np.float32)
    centres.flags.writeable = False
    return centres


def ramp(field: np.ndarray | float) -> np.ndarray:
    """The field held between 0 and 1 (np.clip, but quick on small arrays)."""
    return np.minimum(np.maximum(field, 0), 1)


def span(low: float, high: float, size: int) -> slice:
    """The pixels whose cell touches [low, high], at least one, inside the film."""
    start = min(max(int(low * size), 0), size - 1)
    return slice(start, max(start + 1, min(size, int(high * size) + 1)))


def _taps(positions: np.ndarray, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Indices and weights of the quadratic B-spline through `count` knots at positions in [0, 1]."""
    at = positions * count - 0.5
    centre = np.rint(at)
    off = (at - centre).astype(np.float32)
    middle = centre.astype(np.intp)
    indices = [np.clip(middle + step, 0, count - 1) for step in (-1, 0, 1)]
    half = np.float32(0.5)
    weights = [half * (half - off) ** 2, np.float32(0.75) - off * off, half * (half + off) ** 2]
    return indices, weights


@lru_cache(maxsize=32)
def _film_taps(size: int, count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return _taps(axis(size), count)


def _stretch(coarse: np.ndarray, taps: tuple[list[np.ndarray], list[np.ndarray]]) -> np.ndarray:
    indices, weights = taps
    out = coarse[indices[0]] * weights[0][:, None]
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        out += coarse[index] * weight[:, None]
    return out


def smooth_field(coarse: np.ndarray, v: np.ndarray, u: np.ndarray) -> np.ndarray:
    """A coarse float32 grid read as a smooth field at heights `v` and widths `u` in [0, 1]; float32 [len(v), len(u)]."""
    rows = _stretch(coarse, _taps(v, coarse.shape[0]))
    return np.ascontiguousarray(_stretch(np.ascontiguousarray(rows.T), _taps(u, coarse.shape[1])).T)


def over_film(coarse: np.ndarray, size: int) -> np.ndarray:
    """A coarse float32 grid read as a smooth field over the whole film, float32 [size, size]."""
    rows = _stretch(coarse, _film_taps(size, coarse.shape[0]))
    return np.ascontiguousarray(_stretch(np.ascontiguousarray(rows.T), _film_taps(size, coarse.shape[1])).T)
