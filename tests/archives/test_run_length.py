"""Run-length codes against loops."""

import numpy as np
import pytest

from sista.archives.run_length import decode_run_length, mask_box


def encode(mask: np.ndarray, form: str) -> str:
    """Down the columns, pixel by pixel."""
    height, width = mask.shape
    flat = [bool(mask[place % height, place // height]) for place in range(height * width)]
    runs, place = [], 0
    while place < len(flat):
        if flat[place]:
            start = place
            while place < len(flat) and flat[place]:
                place += 1
            runs.append((start, place - start))
        else:
            place += 1
    words, end = [], 0
    for start, length in runs:
        words += [start - end if form == "relative" else start + 1, length]
        end = start + length
    return " ".join(map(str, words))


@pytest.mark.parametrize("form", ["relative", "absolute"])
@pytest.mark.parametrize("seed", range(6))
def test_decoding_undoes_a_loop_that_encodes(form: str, seed: int) -> None:
    draw = np.random.default_rng(seed)
    mask = draw.random((int(draw.integers(2, 9)), int(draw.integers(2, 11)))) < 0.4
    mask[0, 0] = seed % 2 == 0
    mask[-1, -1] = True
    assert np.array_equal(decode_run_length(encode(mask, form), *mask.shape, form), mask)


def test_runs_go_down_the_columns() -> None:
    mask = decode_run_length("2 3", 4, 3)
    assert np.argwhere(mask).tolist() == [[0, 1], [2, 0], [3, 0]]


@pytest.mark.parametrize("code", ["1", "1 2 3", "", "a b", "0 0", "-1 2", "10 3", "0 4 8 1", "99999999999999999999 1"])
def test_codes_that_are_none_are_refused(code: str) -> None:
    with pytest.raises(ValueError):
        decode_run_length(code, 4, 3)


def test_an_absolute_code_starts_at_one() -> None:
    assert decode_run_length("1 1", 2, 2, "absolute").tolist() == [[True, False], [False, False]]
    with pytest.raises(ValueError):
        decode_run_length("0 1", 2, 2, "absolute")


def test_the_box_is_the_smallest_around_the_mask() -> None:
    mask = np.zeros((9, 8), dtype=bool)
    mask[2:5, 3] = mask[4, 3:7] = True
    assert mask_box(mask) == (3, 2, 4, 3)
