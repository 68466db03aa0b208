from __future__ import annotations

import numpy as np
import pytest

from sista.corpus.inspect_films import difference_hashes
from sista.corpus.twins import confirmed, near_pairs, near_texts


def slow_pairs(hashes: np.ndarray, distance: int) -> list[list[int]]:
    return [
        [i, j] for i in range(len(hashes)) for j in range(i + 1, len(hashes)) if bin(int(hashes[i]) ^ int(hashes[j])).count("1") <= distance
    ]


@pytest.mark.parametrize("distance", [0, 1, 3])
def test_near_pairs_are_those_of_two_loops(distance: int) -> None:
    rng = np.random.default_rng(distance)
    centres = rng.integers(0, 2**64, 12, dtype=np.uint64)
    hashes = np.repeat(centres, 6)
    for place in range(len(hashes)):
        for bit in rng.choice(64, rng.integers(0, 4), replace=False):
            hashes[place] ^= np.uint64(1) << np.uint64(bit)
    found, stopped = near_pairs(hashes, distance)
    assert found.tolist() == slow_pairs(hashes, distance)
    assert not stopped


def test_the_search_stops() -> None:
    found, stopped = near_pairs(np.zeros(100, np.uint64), most=50)
    assert stopped
    assert len(found) == 50
    assert near_pairs(np.zeros(0, np.uint64))[0].shape == (0, 2)


def test_the_hash_is_of_gradients() -> None:
    thumb = np.tile(np.arange(9, dtype=np.uint8), (1, 8, 1))
    assert difference_hashes(thumb)[0] == 2**64 - 1
    assert difference_hashes(thumb + np.uint8(40))[0] == 2**64 - 1
    assert difference_hashes(thumb[:, :, ::-1])[0] == 0
    falling = thumb.copy()
    falling[0, 0, 1:] = 0
    assert difference_hashes(falling)[0] == 2**56 - 1


def test_texts_alike() -> None:
    base = "the heart is normal in size and the lungs are clear without effusion or pneumothorax and the bones are intact today"
    texts = [
        base,
        base + " again",
        "large right pleural effusion with collapse of the lower lobe and shift",
        base.replace("today", "at 12:30"),
    ]
    within, across, pairs = near_texts(texts, [1, 2, 1, 1])
    assert within.tolist() == [True, False, False, True]
    assert across.tolist() == [True, True, False, False]
    assert all(2 not in pair for pair in pairs)
    assert len(near_texts([], [])[2]) == 0


def test_digits_do_not_tell_texts_apart() -> None:
    within, _, _ = near_texts(["a nodule of 12 mm at 08:30 today", "a nodule of 15 mm at 09:45 today"], [1, 1])
    assert within.all()


def test_pairs_are_confirmed_by_their_pixels() -> None:
    rng = np.random.default_rng(0)
    film = rng.integers(0, 200, (32, 32))
    films = [film, film + 30, rng.integers(0, 200, (32, 32)), np.zeros((32, 32))]
    pairs = np.array([[0, 1], [0, 2], [2, 3]])
    assert confirmed(pairs, lambda row: films[row]) == [(0, 1)]
