"""Scores on the valid split while a run goes on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from sista.corpus.corpus import Corpus
from sista.errors import SistaError
from sista.methods.method import Method
from sista.metrics.retrieval import retrieval_metrics
from sista.models.precision import autocast

PAIRS = 128  # of a batch


@torch.inference_mode()
def validate(
    corpus: Corpus, learner: Method, rows: np.ndarray, teacher: str, view: Callable[[Tensor], Tensor], precision: str, device: torch.device
) -> dict[str, float]:
    """The loss and its terms, the share of removed pairs, the wrong-film gap, and recall at 10 of image-report retrieval.

    Names begin with `valid_`. The loss is the mean of batches of 128 pairs in the order of the corpus, without augmentation, with fixed
    draws. A loss grows with its batch, so that an incomplete last batch takes part in retrieval alone, unless it is the only one; a last
    pair alone, which has nothing to be contrasted with, is left out, and fewer than 2 give nothing.
    """
    learner.eval()
    sums: dict[str, list[float]] = {}
    image, text = [], []
    for start in range(0, len(rows) - 1, PAIRS):
        batch = corpus.batch(rows[start : start + PAIRS], teacher=teacher).to(device)
        images = view(batch.images).contiguous(memory_format=torch.channels_last)
        with autocast(precision, device):
            result = learner(batch, images, torch.Generator(device).manual_seed(start), statistics=True)
            vectors = learner.encoder(images, batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)
        if not bool(torch.isfinite(vectors.image).all() and torch.isfinite(vectors.text).all()):
            raise SistaError("vectors of the valid split are not finite; lower --optimizer.learning_rate, or give --run.precision fp32")
        image.append(vectors.image.float().cpu())
        text.append(vectors.text.float().cpu())
        if start and len(batch) < PAIRS:
            continue
        for name, value in {"loss": result.loss, **result.terms, **result.statistics}.items():
            sums.setdefault(name, []).append(float(value))
    learner.train()
    if not image:
        return {}
    recall = retrieval_metrics(torch.cat(image).numpy(), torch.cat(text).numpy())
    means = {f"valid_{name}": float(np.mean(values)) for name, values in sums.items()}
    return {**means, "valid_i2t_r10": recall["i2t/exact"].recall(10), "valid_t2i_r10": recall["t2i/exact"].recall(10)}
