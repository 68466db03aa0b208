"""Several regions that one text speaks of, as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sista.corpus.study import Region
from sista.metrics.grounding import box_mask


def region_area(region: Region, side: int) -> np.ndarray:
    """Boolean [side,side]: the mask of a region on a square film, or its box where it has none."""
    return region.mask if region.mask is not None else box_mask((region.x, region.y, region.width, region.height), (side, side))


def united(regions: Sequence[Region], side: int) -> Region:
    """The union of regions on a square film, with the finding and the phrase of the first; one alone stays as it is."""
    first = regions[0]
    if len(regions) == 1:
        return first
    mask = np.logical_or.reduce([region_area(one, side) for one in regions])
    left, top = min(one.x for one in regions), min(one.y for one in regions)
    right, bottom = max(one.x + one.width for one in regions), max(one.y + one.height for one in regions)
    return Region(first.finding, left, top, right - left, bottom - top, first.phrase, mask)
