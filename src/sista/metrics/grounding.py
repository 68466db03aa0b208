"""Does a heat map point at the finding? Pointing game, contrast-to-noise ratio and IoU of one map against one mask or box.

All take a heat map [h,w] (larger = more likely here) and a region on the same grid: a boolean mask [h,w], or a box
(x, y, width, height) in cells, origin top left, of which every cell counts whose centre it covers. Bring map and region to one size
first. NaN stands for "no region" (or, for the contrast, "nothing but region"); `bootstrap_mean` leaves it out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import distance_transform_edt


def pointing_game(heat: ArrayLike, region: ArrayLike, tolerance: float = 0) -> float:
    """1 when the hottest cell lies in the region, or within `tolerance` cells of it, else 0; NaN for an empty region.

    Several equally hot cells count by the share of them that hit, so a flat map scores `chance`. Zhang et al., IJCV 2018 (tolerance 15 px).
    """
    values, mask = _on_one_grid(heat, region)
    return float(_widened(mask, tolerance)[values == values.max()].mean()) if mask.any() else float("nan")


def chance(region: ArrayLike, shape: tuple[int, int] | None = None, tolerance: float = 0) -> float:
    """What `pointing_game` gives to a random cell: the region's share of the grid; `shape` (h, w) is needed for a box."""
    mask = _as_mask(region, shape)
    return float(_widened(mask, tolerance).mean()) if mask.any() else float("nan")


def contrast_to_noise(heat: ArrayLike, region: ArrayLike) -> float:
    """(mean inside - mean outside) / sqrt(variance inside + variance outside), population variances; negative when it points away.

    BioViL (Boecking et al., ECCV 2022) without its absolute value. Unchanged by a shift or a positive scale of the map. NaN when the
    region is empty or everything, or when both variances are zero.
    """
    values, mask = _on_one_grid(heat, region)
    inside, outside = values[mask], values[~mask]
    if not len(inside) or not len(outside):
        return float("nan")
    spread = inside.var() + outside.var()
    tiny = np.finfo(np.float64).eps * np.abs(values).max()
    return float((inside.mean() - outside.mean()) / np.sqrt(spread)) if spread > tiny**2 else float("nan")


def iou_at(heat: ArrayLike, region: ArrayLike, thresholds: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5)) -> float:
    """Mean over `thresholds` of |heat > t and region| / |heat > t or region|; NaN for an empty region. Thresholds are in the map's unit."""
    values, mask = _on_one_grid(heat, region)
    if not mask.any():
        return float("nan")
    hot = values > np.asarray(thresholds, dtype=np.float64)[:, None, None]
    return float(((hot & mask).sum(axis=(1, 2)) / (hot | mask).sum(axis=(1, 2))).mean())


def box_mask(box: Sequence[float], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The cells of a grid (h, w) whose centre lies in the box (x, y, width, height), or else the one cell at the box's centre: [h,w]."""
    x, y, width, height = (float(number) for number in box)
    if width <= 0 or height <= 0:
        return np.zeros(shape, dtype=bool)
    rows, columns = np.arange(shape[0]) + 0.5, np.arange(shape[1]) + 0.5
    mask = ((rows >= y) & (rows < y + height))[:, None] & ((columns >= x) & (columns < x + width))
    centre = int(np.floor(y + height / 2)), int(np.floor(x + width / 2))
    if not mask.any() and 0 <= centre[0] < shape[0] and 0 <= centre[1] < shape[1]:
        mask[centre] = True
    return mask


def _as_mask(region: ArrayLike, shape: tuple[int, int] | None) -> NDArray[np.bool_]:
    given = np.asarray(region)
    if given.shape == (4,):
        if shape is None:
            raise ValueError("a box needs the grid's shape=(height, width)")
        return box_mask([float(number) for number in given], shape)
    if given.ndim != 2 or (shape is not None and given.shape != shape):
        raise ValueError(f"region of shape {given.shape}: expected a mask {shape or '[h,w]'} or a box (x, y, width, height)")
    if given.dtype != bool and not np.isin(given, (0, 1)).all():
        raise ValueError(f"mask values {given.min()} to {given.max()}: expected bool, or 0 and 1")
    return given.astype(bool)


def _on_one_grid(heat: ArrayLike, region: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values = np.asarray(heat, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"heat map of shape {values.shape}, {int((~np.isfinite(values)).sum())} values not finite: expected finite [h,w]")
    return values, _as_mask(region, (values.shape[0], values.shape[1]))


def _widened(mask: NDArray[np.bool_], tolerance: float) -> NDArray[np.bool_]:
    return np.asarray(distance_transform_edt(~mask) <= tolerance) if tolerance > 0 and mask.any() else mask
