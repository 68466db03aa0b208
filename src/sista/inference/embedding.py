"""A corpus split through a pre-trained model: films and reports as vectors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.inference.pretrained import PretrainedModel


@dataclass(frozen=True)
class SplitVectors:
    """N pairs of a corpus: `rows` [N]; `pooled` [N,C], `image` [N,D] and `text` [N,D] vectors; `subjects` [N]."""

    rows: np.ndarray
    pooled: np.ndarray
    image: np.ndarray
    text: np.ndarray
    subjects: np.ndarray


def embed_rows(model: PretrainedModel, corpus: Corpus, rows: np.ndarray, texts: bool = True) -> SplitVectors:
    """Embed the films, and unless `texts` is off the reports, of the given rows."""
    films = model.encode_films(image for images in film_batches(model, corpus, rows) for image in images)
    text = model.encode_texts(corpus.reports(rows)) if texts else np.zeros((len(rows), model.encoder.dim), dtype=np.float32)
    return SplitVectors(rows, films.pooled, films.image, text, corpus.values("subject_id", rows))


def film_batches(model: PretrainedModel, corpus: Corpus, rows: np.ndarray, size: int = 128) -> Iterator[Tensor]:
    """Prepared films [b,1,s,s] of the given rows, in order."""
    for start in range(0, len(rows), size):
        yield eval_view(corpus.films(rows[start : start + size]), model.image_size)
