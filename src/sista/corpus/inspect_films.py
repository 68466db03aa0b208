"""One pass over the stored films of a corpus: digests, tiny thumbnails, brightness, shape; and the films that stand out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from sista.corpus.corpus import Corpus
from sista.corpus.films.radiograph import decode_film
from sista.errors import SistaError

DOWN, ACROSS = 8, 9  # a thumbnail, as the difference hash needs it
FAR = 6.0  # robust standard deviations (of the median absolute deviation) from the median that make an outlier
# quantity: (least distance from the median that counts, decimals shown); without it a corpus of equal films would have outliers
_LEAST = {"brightness": (25.0, 0), "contrast": (15.0, 0), "aspect": (0.25, 2)}
_BLOCK = 8192  # films at a time in arithmetic on all of them
_UNLIKE = -0.3  # correlation with the mean film below which a film is unlike all others, most often inverted


@dataclass(frozen=True)
class FilmScan:
    """What is kept of N films, 92 bytes each.

    digests [N] uint64: of the stored bytes. thumbs [N, 8, 9] uint8. brightness, contrast [N]: mean and standard deviation of the pixels,
    0 to 255. aspect [N]: width over height of the source.
    """

    digests: np.ndarray
    thumbs: np.ndarray
    brightness: np.ndarray
    contrast: np.ndarray
    aspect: np.ndarray


def stored_films(corpus: Corpus) -> Iterator[tuple[int, dict[str, Any]]]:
    """(row, its image bytes, source_width and source_height) in order of the rows, one part mapped at a time: memory stays flat."""
    names, row = ("image", "source_width", "source_height", "film_id"), 0
    for batch in corpus.stored.batches(names):
        for place in range(len(batch)):
            yield row, {name: batch.column(name)[place] for name in names}
            row += 1


def scan_films(corpus: Corpus) -> FilmScan:
    """Read every film once."""
    count = len(corpus)
    scan = FilmScan(
        np.zeros(count, np.uint64),
        np.zeros((count, DOWN, ACROSS), np.uint8),
        *(np.zeros(count, np.float32) for _ in range(3)),
    )
    for row, cells in stored_films(corpus):
        data = cells["image"].as_buffer()
        scan.digests[row] = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
        try:
            pixels = decode_film(memoryview(data))
        except OSError as error:
            raise SistaError(
                f"{corpus.path}: film {cells['film_id'].as_py()} (row {row}) cannot be decoded ({error}); the corpus is damaged, "
                "build it again"
            ) from None
        scan.thumbs[row] = np.asarray(Image.fromarray(pixels).resize((ACROSS, DOWN), Image.Resampling.BOX))
        scan.brightness[row], scan.contrast[row] = pixels.mean(), pixels.std()
        scan.aspect[row] = cells["source_width"].as_py() / max(1, cells["source_height"].as_py())
    return scan


def difference_hashes(thumbs: np.ndarray) -> np.ndarray:
    """dHash: [N, 8, 9] grey values to [N] uint64, one bit per pixel that is brighter than its left neighbour.

    It does not change with brightness and contrast, and by a few bits with size, compression or a small crop.
    """
    bits = thumbs[:, :, 1:] > thumbs[:, :, :-1]
    return np.packbits(bits.reshape(len(thumbs), 64), axis=1).view(">u8").astype(np.uint64).reshape(-1)


def outliers(scan: FilmScan) -> dict[str, list[tuple[int, float]]]:
    """Quantity -> (row, value) of the films that lie far from the others, the farthest first.

    brightness, contrast, aspect: more than `FAR` robust standard deviations from the median. unlike: correlation with the mean film of
    the corpus, where clearly negative.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for name, (least, decimals) in _LEAST.items():
        values = getattr(scan, name).astype(np.float64)
        distance = np.abs(values - np.median(values))
        limit = max(least, FAR * 1.4826 * float(np.median(distance)))
        rows = np.flatnonzero(distance > limit)
        rows = rows[np.argsort(-distance[rows], kind="stable")]
        found[name] = [(int(row), round(float(values[row]), decimals)) for row in rows]
    alike = _to_mean(scan.thumbs)
    rows = (
        np.flatnonzero(alike < _UNLIKE) if len(alike) and np.median(alike) > -_UNLIKE else np.zeros(0, int)
    )  # else no film is like another
    rows = rows[np.argsort(alike[rows], kind="stable")]
    found["unlike"] = [(int(row), round(float(alike[row]), 2)) for row in rows]
    return found


class Likeness:
    """How alike two films are by their thumbnails [N, 8, 9], once what all films share is taken out: called with places [Q], [Q], it
    gives correlations [Q].

    The mean of the corpus' thumbnails is taken out, for any two chest films correlate; with fewer than 30 films there is none to speak of.
    """

    def __init__(self, thumbs: np.ndarray) -> None:
        self._thumbs = thumbs
        self._mean = np.zeros(DOWN * ACROSS, np.float32)
        if len(thumbs) >= 30:
            blocks = (self._centred(np.arange(start, min(start + _BLOCK, len(thumbs)))) for start in range(0, len(thumbs), _BLOCK))
            self._mean = sum(block.sum(axis=0) for block in blocks) / np.float32(len(thumbs))

    def _centred(self, rows: np.ndarray) -> np.ndarray:
        some = self._thumbs[rows].reshape(len(rows), -1).astype(np.float32)
        return _unit(some - some.mean(axis=1, keepdims=True))

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        result = np.zeros(len(first), np.float32)
        for start in range(0, len(first), _BLOCK):
            part = slice(start, start + _BLOCK)
            left, right = (_unit(self._centred(rows[part]) - self._mean) for rows in (first, second))
            result[part] = (left * right).sum(axis=1)
        return result


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _to_mean(thumbs: np.ndarray) -> np.ndarray:
    """Correlation [N] of each thumbnail with the mean of all."""
    flat = thumbs.reshape(len(thumbs), -1)
    mean = flat.mean(axis=0, dtype=np.float64)
    mean -= mean.mean()
    result = np.zeros(len(flat))
    for start in range(0, len(flat), _BLOCK):
        some = flat[start : start + _BLOCK].astype(np.float32)
        some -= some.mean(axis=1, keepdims=True)
        scale = np.linalg.norm(some, axis=1) * np.linalg.norm(mean)
        result[start : start + _BLOCK] = np.divide(some @ mean, scale, out=np.zeros(len(some)), where=scale > 0)
    return result
