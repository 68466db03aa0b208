"""What a cell of a table says."""

import numpy as np
import pytest

from sista.benchmark.grid.table import over_cell


@pytest.mark.parametrize(
    ("seeds", "films", "text", "bold"),
    [
        ((0.01, 0.02, 0.03), (0.005, 0.04), "+0.020 (+0.010 to +0.030)", True),
        ((0.01, 0.02, 0.03), (-0.01, 0.04), "+0.020 (+0.010 to +0.030)", False),
        ((-0.05, -0.02, 0.01), (-0.03, -0.01), "-0.020 (-0.050 to +0.010)", False),
        ((0.01, 0.02, 0.03), (np.nan, np.nan), "+0.020 (+0.010 to +0.030)", True),
        ((np.nan, 0.02, np.nan), (0.01, 0.04), "+0.020", False),
        ((0.003, 0.034, 0.065), (-0.013, -0.009), "+0.034 (+0.003 to +0.065)", False),  # films of other seeds may say the contrary
        ((-0.03, -0.02, -0.01), (-0.013, -0.009), "-0.020 (-0.030 to -0.010)", True),
    ],
)
def test_a_gain_is_claimed_where_seeds_and_films_agree(
    seeds: tuple[float, float, float], films: tuple[float, float], text: str, bold: bool
) -> None:
    row: dict[str, float] = {"seeds": 3, "missing": 0, "over_seeds": 3}
    row |= dict(zip(("over_low", "over", "over_high", "over_films_low", "over_films_high"), (*seeds, *films), strict=True))
    assert over_cell(row) == (text, bold)
