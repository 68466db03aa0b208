"""Run-length encoded masks, column by column, as Kaggle's competitions give them."""

from __future__ import annotations

import numpy as np

FORMS = ("relative", "absolute")


def decode_run_length(code: str, height: int, width: int, form: str = "relative") -> np.ndarray:
    """A boolean mask [height, width] from pairs of numbers that run down the columns, first column first.

    relative: each pair is the gap since the end of the run before (since pixel 0 for the first) and the run's length.
    absolute: each pair is the run's first pixel, counted from 1, and its length.

    Raises ValueError for an odd count, a number that is none, a length below 1, or a run that leaves the film.
    """
    if form not in FORMS:
        raise ValueError(f"form {form!r}: expected one of {', '.join(FORMS)}")
    words = [int(word) for word in code.split()]
    if any(abs(word) > height * width for word in words):
        raise ValueError(f"a number beyond the {height * width} pixels of a film of {width} x {height}")
    numbers = np.array(words, dtype=np.int64)
    if not len(numbers) or len(numbers) % 2:
        raise ValueError(f"{len(numbers)} numbers; expected pairs")
    first, lengths = numbers[::2], numbers[1::2]
    if (lengths < 1).any() or (first < 0).any():
        raise ValueError("a run with a negative start or a length below 1")
    starts = np.cumsum(first + np.concatenate([[0], lengths[:-1]])) if form == "relative" else first - 1
    ends = starts + lengths
    if starts.min() < 0 or ends.max() > height * width:
        raise ValueError(f"a run from pixel {starts[ends.argmax()]} to {ends.max()}, but a film of {width} x {height} has {height * width}")
    steps = np.zeros(height * width + 1, dtype=np.int32)
    np.add.at(steps, starts, 1)
    np.add.at(steps, ends, -1)
    return (np.cumsum(steps[:-1]) > 0).reshape(width, height).T


def mask_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """x, y, width and height of the smallest box around the set pixels of a mask that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
