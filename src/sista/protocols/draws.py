"""The draws that splits are made of: scikit-learn's shuffle as the published code calls it, and whole patients in a hashed order."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from sista.errors import SistaError
from sista.protocols.protocol import Sizes

Item = TypeVar("Item")


def shuffle_split(
    items: Sequence[Item], test_size: int | float, seed: int, strata: Sequence[str] | None = None
) -> tuple[list[Item], list[Item]]:
    """`train_test_split(items, test_size=..., random_state=seed, stratify=strata)`: (rest, test), in scikit-learn's order.

    An int is a number of rows; of a float the test gets the ceiling. Raises SistaError where there are too few rows.
    """
    from sklearn.model_selection import train_test_split

    try:
        rest, test = train_test_split(np.arange(len(items)), test_size=test_size, random_state=seed, stratify=strata)
    except ValueError as error:
        raise SistaError(f"{len(items)} rows are too few for this split: {error}") from error
    return [items[i] for i in rest], [items[i] for i in test]


def two_shuffles(
    items: Sequence[Item], held_out: int | float, seed: int, strata: Sequence[str] | None = None
) -> tuple[list[Item], list[Item], list[Item]]:
    """(rest, first half, second half): a shuffle that holds out `held_out`, and another of the same seed that halves it."""
    strata_of = dict(zip(range(len(items)), strata, strict=True)) if strata is not None else None
    rest, held = shuffle_split(range(len(items)), held_out, seed, strata)
    first, second = shuffle_split(held, 0.5, seed, [strata_of[i] for i in held] if strata_of else None)
    return [items[i] for i in rest], [items[i] for i in first], [items[i] for i in second]


def sizes_for(n: int, sizes: Sizes) -> Sizes:
    """The published sizes when n images are at hand as published, else valid and test in the same proportion (rounded)."""
    if n == sizes.total:
        return sizes
    valid, test = (round(n * part / sizes.total) for part in (sizes.valid, sizes.test))
    return Sizes(n - valid - test, valid, test)


def whole_patients(subjects: Sequence[str], sizes: Sizes, salt: str) -> list[str]:
    """The split of each image: patients in the order of a hash of salt and id fill test, then valid, to exactly the size where they fit.

    A patient whose images no longer fit goes on to the next subset, and all others to train. A subset can stay smaller than its size
    only when no patient with few enough images is left.
    """
    images = dict.fromkeys(subjects, 0)
    for subject in subjects:
        images[subject] += 1
    room = {"test": sizes.test, "valid": sizes.valid}
    split_of = {}
    for subject in sorted(images, key=lambda one: hashlib.sha256(f"{salt}\0{one}".encode()).digest()):
        split = next((split for split, left in room.items() if images[subject] <= left), "train")
        split_of[subject] = split
        if split != "train":
            room[split] -= images[subject]
    return [split_of[subject] for subject in subjects]


def sample_rows(train: Sequence[str], strata: Sequence[str], share: float) -> tuple[str, ...]:
    """MGCA's share for classification: `DataFrame.sample(frac=share, random_state=42)` on the training rows; strata are not looked at."""
    import pandas as pd

    return tuple(pd.Series(list(train)).sample(frac=share, random_state=42))


def stratified_rows(train: Sequence[str], strata: Sequence[str], share: float) -> tuple[str, ...]:
    """BenchX's share: the rest of a stratified `train_test_split(test_size=1 - share, random_state=42)`."""
    return tuple(shuffle_split(train, round(1 - share, 2), 42, strata)[0])


def stratified_part(train: Sequence[str], strata: Sequence[str], share: float) -> tuple[str, ...]:
    """BenchX's share of Object-CXR: the test part of a stratified `train_test_split(test_size=share, random_state=42)`."""
    return tuple(shuffle_split(train, share, 42, strata)[1])
