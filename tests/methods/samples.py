"""A small batch, small encoders around it, and the two directions of a contrast in loops."""

import math
from dataclasses import replace

import numpy as np
import torch

from sista.corpus.batch import Batch
from sista.corpus.corpus import Corpus
from sista.corpus.films.augmentation import eval_view
from sista.methods import make_method, settings_of
from sista.methods.method import Method, StepResult
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.text_encoder import TextEncoder


def small_batch(corpus_path, pairs=12, unique=False, teacher="labels"):
    """The first pairs of the corpus; `unique` makes no two of them the same report."""
    batch = Corpus.open(corpus_path).batch(np.arange(pairs), teacher=teacher)
    return replace(batch, report_key=torch.arange(pairs)) if unique else batch


def learner(method: str, cutoff=lambda share: 0.99, **given) -> Method:
    """A method around small encoders with weights that are always the same."""
    torch.manual_seed(0)
    encoder = DualEncoder(ImageEncoder("sista_compact", image_size=64), TextEncoder("compact", vocabulary=2000, dropout=0.0), dim=16)
    return make_method(method, encoder, cutoff, settings_of(method, given)).train()


def step(method: Method, batch: Batch, seed: int = 0) -> StepResult:
    return method(batch, eval_view(batch.images, 64), torch.Generator().manual_seed(seed), statistics=True)


def result(batch: Batch, method: str, **given) -> StepResult:
    return step(learner(method, **given), batch)


def cosines(method: Method, batch: Batch) -> np.ndarray:
    """v_i . t_j in float64."""
    with torch.no_grad():
        image, text = method.embed(batch, eval_view(batch.images, 64))
    return image.double().numpy() @ text.double().numpy().T


def cross_entropy(logits: np.ndarray, wanted: np.ndarray) -> float:
    """Mean over rows i of - sum_j wanted_ij log softmax_j(logits_i), term by term."""
    total = 0.0
    for i in range(len(logits)):
        below = sum(math.exp(z) for z in logits[i])
        total -= sum(wanted[i, j] * math.log(math.exp(logits[i, j]) / below) for j in range(len(logits)))
    return total / len(logits)


def finite_in_bf16(batch: Batch, method: str, **given) -> None:
    """One step in bf16 autocast: the loss and every gradient are finite, and every encoder has one."""
    small = learner(method, **given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = step(small, batch).loss
    assert loss.dtype == torch.float32
    loss.backward()
    gradients = [p.grad for p in small.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)
    assert any(g.abs().sum() > 0 for g in gradients)
