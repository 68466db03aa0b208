"""Near-duplicates: films by the distance of their 64-bit hashes and then their pixels, texts by MinHash and then their word triples."""

from __future__ import annotations

import hashlib
import re
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np

from sista.corpus.equal import first_equal

DISTANCE = 3  # bits of 64 in which the hashes of near-duplicate films may differ; four bands of 16 bits find every such pair
MOST = 50_000  # pairs that are looked at more closely
ALIKE_TEXT = 0.8  # Jaccard similarity of the word triples of near-duplicate texts
_BANDS, _ROWS = 8, 4  # of MinHash: texts of similarity 0.9 share a band with probability 0.9998, of 0.5 with 0.4, of 0.3 with 0.06
_GUESS = 0.6  # share of equal minima below which a pair is not looked at more closely
_NEIGHBOURS = 8  # texts before it in a band with which each is compared
_WORD, _DIGIT = re.compile(r"[^\W_]+"), re.compile(r"\d")
_SEEDS = np.random.default_rng(0).integers(1, 2**63, size=(2, _BANDS * _ROWS), dtype=np.uint64) | np.uint64(1)


Keep = Callable[[np.ndarray, np.ndarray], np.ndarray]


def near_pairs(hashes: np.ndarray, distance: int = DISTANCE, most: int = MOST, keep: Keep | None = None) -> tuple[np.ndarray, bool]:
    """Pairs [P, 2] int64 of places, first below second, whose 64-bit hashes differ in at most `distance` (< 4) bits, in order.

    Also says whether the search stopped at `most` pairs. keep: places [Q], places [Q] -> bool [Q], a cheap second look at candidates,
    for hashes of films that are all alike, as chest films are, often meet by chance. Of N hashes it takes memory of order N + `most`.
    """
    found = [np.zeros((0, 2), dtype=np.int64)]
    count = 0
    for first, second in _close(hashes, distance):
        if keep is not None:
            kept = keep(first, second)
            first, second = first[kept], second[kept]
        found.append(np.stack([np.minimum(first, second), np.maximum(first, second)], axis=1))
        count += len(first)
        if count >= most:
            break
    pairs = np.concatenate(found)
    return pairs[np.lexsort(pairs.T[::-1])][:most], count >= most


def _close(hashes: np.ndarray, distance: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Places of hashes within the distance, each pair once: in the first of four bands of 16 bits in which the two agree."""
    for band in range(4):
        values = ((hashes >> np.uint64(16 * band)) & np.uint64(0xFFFF)).astype(np.int64)
        earlier = [np.uint64(0xFFFF << 16 * other) for other in range(band)]
        order = np.argsort(values, kind="stable")
        edges = np.flatnonzero(np.diff(values[order], prepend=-1, append=-1).astype(bool))
        for begin, end in pairwise(edges):
            bucket = order[begin:end]
            step = max(1, 2_000_000 // len(bucket))
            for start in range(0, len(bucket) - 1, step):
                differing = hashes[bucket[start : start + step]][:, None] ^ hashes[bucket[start:]][None, :]
                near = np.triu(np.bitwise_count(differing) <= distance, 1)
                for mask in earlier:
                    near &= (differing & mask) != 0
                i, j = np.nonzero(near)
                yield bucket[start + i], bucket[start + j]


def near_texts(texts: Sequence[str], groups: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which of N different texts have a near twin in their own group and which in another: bool [N], bool [N], and the pairs [P, 2] int64
    that said so.

    groups [N]: bits, for a text may stand in several groups. Digits count as equal. Each text is compared with its few neighbours in each
    band, so that a thousand texts alike cost no million comparisons; every one of them still finds a twin. Of a text 200 bytes are kept;
    those that are compared are looked up in `texts` again.
    """
    within, across = np.zeros(len(texts), bool), np.zeros(len(texts), bool)
    pairs = array("q")
    minima = np.zeros((len(texts), _BANDS * _ROWS), dtype=np.uint32)
    for place, text in enumerate(texts):
        minima[place] = _minhash(text)
    triples = lru_cache(maxsize=4096)(lambda place: frozenset(_triples(texts[place])))
    for band in range(_BANDS):
        for bucket in _buckets(minima[:, _ROWS * band : _ROWS * (band + 1)]):
            for number, second in enumerate(bucket):
                for first in bucket[max(0, number - _NEIGHBOURS) : number]:
                    one, two = int(groups[first]), int(groups[second])
                    same, other = bool(one & two), one != two or one.bit_count() > 1
                    if (not same or within[[first, second]].all()) and (not other or across[[first, second]].all()):
                        continue
                    if (minima[first] == minima[second]).mean() < _GUESS:
                        continue
                    a, b = triples(first), triples(second)
                    if len(a & b) >= ALIKE_TEXT * len(a | b):
                        pairs.extend((first, second))
                        within[[first, second]] |= same
                        across[[first, second]] |= other
    return within, across, np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _buckets(rows: np.ndarray) -> Iterator[list[int]]:
    """The places of equal rows, where there are two or more, in the order of their first."""
    first = first_equal(np.ascontiguousarray(rows).view(f"S{rows.shape[1] * rows.itemsize}")[:, 0])
    order = np.argsort(first, kind="stable")
    edges = np.flatnonzero(np.diff(first[order], prepend=-1, append=-1))
    for begin, end in pairwise(edges.tolist()):
        if end - begin > 1:
            yield order[begin:end].tolist()


def _triples(text: str) -> list[str]:
    """The word triples of a text, lower case, digits as one sign; of a shorter text its words as one."""
    words = _WORD.findall(_DIGIT.sub("0", text.lower()))
    return [" ".join(words[i : i + 3]) for i in range(max(1, len(words) - 2))]


@lru_cache(maxsize=65536)
def _number(triple: str) -> int:
    return int.from_bytes(hashlib.blake2b(triple.encode(), digest_size=8).digest(), "big")


def _minhash(text: str) -> np.ndarray:
    """The least hash of a text's triples under each permutation, uint32 [32]; two texts agree in a share of them that is near to their
    similarity."""
    numbers = np.array([_number(triple) for triple in _triples(text)], dtype=np.uint64)
    return ((numbers[:, None] * _SEEDS[0] + _SEEDS[1]) >> np.uint64(32)).min(axis=0).astype(np.uint32)


def confirmed(pairs: np.ndarray, film: Callable[[int], np.ndarray], least: float = 0.98) -> list[tuple[int, int]]:
    """The pairs whose films [32, 32], as `film(row)` gives them, correlate by at least `least`."""
    get = lru_cache(maxsize=1024)(lambda row: _standardised(film(row)))
    return [(int(a), int(b)) for a, b in pairs if float((get(int(a)) * get(int(b))).sum()) >= least]


def _standardised(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.astype(np.float64) - pixels.mean()
    return pixels / max(1e-9, float(np.linalg.norm(pixels)))
