"""Which of many texts are equal, without holding them: 128-bit digests in an array, 16 bytes a text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import islice

import numpy as np

_AT_ONCE = 4096


def same_as(texts: Iterable[str]) -> np.ndarray:
    """For each text [N] int64 the place of the first that equals it; its own place, where it is the first.

    >>> same_as(["a", "b", "a"])
    array([0, 1, 0])
    """
    return first_equal(_digests(texts))


def first_equal(values: np.ndarray) -> np.ndarray:
    """For each of any values [N] int64 the place of the first that equals it."""
    _, first, group = np.unique(values, return_index=True, return_inverse=True)
    return first[group]


def distinct(same: np.ndarray) -> int:
    """How many different texts there are, given what `same_as` says."""
    return int((same == np.arange(len(same))).sum())


def _digests(texts: Iterable[str]) -> np.ndarray:
    """BLAKE2b of 16 bytes each, as byte strings of equal length, which NumPy sorts and compares."""
    blocks, texts = [b""], iter(texts)
    while block := b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in islice(texts, _AT_ONCE)):
        blocks.append(block)
    return np.frombuffer(b"".join(blocks), dtype="S16")
