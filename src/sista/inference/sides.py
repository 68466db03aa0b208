"""Hard negatives: the same finding on the other side. Does a film's vector fit its own phrase better than the mirrored one?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.corpus.study import Region
from sista.inference.pretrained import PretrainedModel

OTHER = {"left": "right", "right": "left"}
SIDE = re.compile(r"\b(left|right)\b", re.IGNORECASE)


def mirrored(text: str) -> str:
    """The text with left and right exchanged; "" where it names no side, or both."""
    named = {side.lower() for side in SIDE.findall(text)}
    if len(named) != 1:
        return ""
    return SIDE.sub(lambda found: OTHER[found[0].lower()].capitalize() if found[0][0].isupper() else OTHER[found[0].lower()], text)


def own_side(
    model: PretrainedModel, corpus: Corpus, asked: Sequence[tuple[int, Region, str]], regions: Iterable[tuple[int, Region]]
) -> np.ndarray:
    """For each (row, region, text) 1 where film . text is above film . mirrored text, 0 below, 0.5 where they are equal; 0.5 is chance.

    NaN where the text names no side, or `regions` (row, region), all that are known of the films, have the finding twice on that film: the
    other side may be true as well.
    """
    count = Counter((row, region.name) for row, region in regions)
    usable = [n for n, (row, region, text) in enumerate(asked) if mirrored(text) and count[row, region.name] == 1]
    result = np.full(len(asked), np.nan)
    if not usable:
        return result
    rows, place = np.unique([asked[n][0] for n in usable], return_inverse=True)
    films = model.encode_films(
        film for start in range(0, len(rows), 128) for film in eval_view(corpus.films(rows[start : start + 128]), model.image_size)
    ).image
    texts = [asked[n][2] for n in usable]
    own, other = (np.einsum("nd,nd->n", films[place], model.encode_texts(some)) for some in (texts, [mirrored(text) for text in texts]))
    result[usable] = np.where(own == other, 0.5, own > other)
    return result
