"""Maps of patches drawn over the film, each patch where it looks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sista.models.receptive_field import PatchCentres


def enlarge(maps: np.ndarray, centres: Sequence[PatchCentres], size: int, side: int) -> np.ndarray:
    """Maps [N,h,w] of films of `size` pixels as float32 [N,side,side], see `enlarge_at`.

    With the centres of an even grid it is what torch's `interpolate` gives without aligned corners.
    """
    places = (np.arange(side) + 0.5) * size / side
    return enlarge_at(maps, centres, places, places)


def enlarge_at(maps: np.ndarray, centres: Sequence[PatchCentres], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Maps [N,h,w] at places of the film that the encoder saw, rows [H] and columns [W] in its pixels, as float32 [N,H,W]: bilinear between
    the centres of patches, and beyond the outermost ones theirs. centres: down and right."""
    down, right = (
        _weights((places - one.first) / one.step, cells)
        for places, one, cells in zip((rows, columns), centres, maps.shape[1:], strict=True)
    )
    return down @ maps.astype(np.float32, copy=False) @ right.T


def _weights(places: np.ndarray, cells: int) -> np.ndarray:
    """How much each of the cells counts at places in units of cells, [len(places), cells]; each row's sum is 1."""
    apart = np.abs(np.clip(places, 0, cells - 1)[:, None] - np.arange(cells))
    return np.clip(1 - apart, 0, None).astype(np.float32)
