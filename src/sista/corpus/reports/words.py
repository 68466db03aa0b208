"""Words of a report by character offsets, so that they are the same whichever tokenizer cuts them into pieces."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+(?:'[^\W_]+)?")
_STOP_WORDS = """
a an the of in on at to and or with is are was were be been being has have had this that these those there it its as
by for from than then which who seen noted identified demonstrated present shows show appear appears again also since
into within over
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def word_spans(text: str) -> list[tuple[int, int]]:
    """The (start, end) offsets of each word: letters and digits, decimals in one; a hyphen parts two words."""
    return [match.span() for match in _WORD.finditer(text)]


def words_of_pieces(offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]) -> np.ndarray:
    """For each piece [P] the word that it belongs to, or -1 for punctuation and for special tokens (empty offsets).

    A piece belongs to the first word that it overlaps; a leading space inside a piece's offsets does no harm.
    """
    result = np.full(len(offsets), -1, dtype=np.int64)
    word = 0
    for piece, (start, end) in enumerate(offsets):
        while word < len(spans) and spans[word][1] <= start:
            word += 1
        if word < len(spans) and end > spans[word][0] and end > start:
            result[piece] = word
    return result


def word_type(word: str, negated: bool = False) -> int:
    """A stable positive 31-bit number for a lower-cased word and its polarity: "effusion" and "no effusion" differ."""
    return max(1, zlib.crc32((word.lower() + ("\0negated" if negated else "")).encode()) & 0x7FFFFFFF)
