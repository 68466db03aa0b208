"""Reports against films through their words: every word looks at every film of the batch (GLoRIA)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sista.objectives.contrastive import FLOOR, contrast_rows
from sista.objectives.precision import full_precision
from sista.objectives.targets import Targets, identity_targets
from sista.objectives.token_attention import softmax_weights, unit


@full_precision
def local_contrast(
    words: Float[Tensor, "b l d"],
    patches: Float[Tensor, "b p d"],
    word_mask: Bool[Tensor, "b l"],
    temperature: float = 0.1,
    attention_temperature: float = 0.25,
    word_temperature: float = 0.1,
    score_temperature: float = 0.2,
    chunk: int = 8,
) -> Float[Tensor, ""]:
    """InfoNCE of the `local_scores` Z / temperature over the batch, the mean of both directions (GLoRIA, ICCV 2021).

    A report without words takes no part, neither as a row nor as a column; without any words the loss is 0.
    """
    scores = local_scores(words, word_mask, patches, attention_temperature, word_temperature, score_temperature, chunk) / temperature
    told = word_mask.any(dim=1)
    own = identity_targets(len(words), device=words.device, dtype=scores.dtype)
    to_film = contrast_rows(scores, own)
    to_report = contrast_rows(scores.T, Targets(own.weights, own.allowed * told))
    losses = torch.where(told, (to_film + to_report) / 2, torch.zeros_like(to_film))
    return losses.sum() / told.sum().clamp(min=1)


@full_precision
def local_scores(
    words: Float[Tensor, "n l d"],
    word_mask: Bool[Tensor, "n l"],
    patches: Float[Tensor, "m p d"],
    attention_temperature: float = 0.25,
    word_temperature: float = 0.1,
    score_temperature: float = 0.2,
    chunk: int = 8,
) -> Float[Tensor, "n m"]:
    """Z_if = log sum_l exp( w_l . c_lf / score_temperature ), l over the words of report i, c_lf their views of film f.

    s[l,p] = softmax_l( w_l . p_p / word_temperature ), c_lf = normalise( sum_p softmax_p( s[l,p] / attention_temperature ) p_p ).
    Vectors are L2-normalised. The first softmax, over the words of the report at each patch, stands in the released code and not in the
    equation; `word_temperature` 0 leaves it out: s[l,p] = w_l . p_p. A report without words scores the same, very low, on all films.

    `chunk` reports at a time meet all films, and their C x M x L x P numbers are computed anew in the backward pass: memory does not grow
    with the number of reports, and the gradient is exact. 0: all at once, nothing computed twice.
    """

    def score(some: Tensor, mask: Tensor, films: Tensor) -> Tensor:
        return _score(some, mask, films, attention_temperature, word_temperature, score_temperature)

    if chunk <= 0 or chunk >= len(words):
        return score(words, word_mask, patches)
    parts = [
        checkpoint(score, some, mask, patches, use_reentrant=False, preserve_rng_state=False)
        for some, mask in zip(words.split(chunk), word_mask.split(chunk), strict=True)
    ]
    return torch.cat(parts)


def _score(words: Tensor, mask: Tensor, films: Tensor, attention: float, word: float, score: float) -> Tensor:
    flat = words.flatten(0, 1)  # all words of all reports
    if word:
        among_words = (films @ (flat / word).T).unflatten(2, mask.shape).masked_fill(~mask, FLOOR).softmax(dim=3)
        scores = among_words.flatten(2).mT
    else:
        scores = flat @ films.mT
    views = unit(softmax_weights(scores, attention) @ films).unflatten(1, mask.shape)
    fits = (views * words).sum(dim=3) / score
    return fits.masked_fill(~mask, FLOOR).logsumexp(dim=2).T
