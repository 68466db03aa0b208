"""Reports against films through their words: every word looks at every film of the batch (GLoRIA)."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sista.objectives.contrastive import FLOOR, contrast_rows
from sista.objectives.precision import full_precision
from sista.objectives.targets import Targets, identity_targets
from sista.objectives.token_attention import EPS, softmax_weights

KEPT = 2**26
"""C x M x L x P numbers of all chunks that are kept for the backward pass at most, some three times over: 0.9 GB in float32."""


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
    products: torch.dtype | None = None,
    kept: int = KEPT,
) -> Float[Tensor, ""]:
    """InfoNCE of the `local_scores` Z / temperature over the batch, the mean of both directions (GLoRIA, ICCV 2021).

    A report without words takes no part, neither as a row nor as a column; without any words the loss is 0.
    """
    options = (attention_temperature, word_temperature, score_temperature, chunk, products, kept)
    scores = local_scores(words, word_mask, patches, *options) / temperature
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
    products: torch.dtype | None = None,
    kept: int = KEPT,
) -> Float[Tensor, "n m"]:
    """Z_if = log sum_l exp( w_l . c_lf / score_temperature ), l over the words of report i, c_lf their views of film f.

    s[l,p] = softmax_l( w_l . p_p / word_temperature ), c_lf = normalise( sum_p softmax_p( s[l,p] / attention_temperature ) p_p ).
    Vectors are L2-normalised. The first softmax, over the words of the report at each patch, stands in the released code and not in the
    equation; `word_temperature` 0 leaves it out: s[l,p] = w_l . p_p. A report without words scores the same, very low, on all films.

    `chunk` reports at a time, those of like length together (on a CPU cut to the longest of them), meet all films. Where all chunks'
    C x M x L x P numbers are more than `kept`, each chunk's are computed anew in the backward pass: memory does not grow with the number
    of reports beyond that, and the gradient is exact. `chunk` 0: all at once, nothing computed twice.

    `products` is the type in which words meet patches and views are gathered, the two products that are nearly all of the work; softmaxes
    and Z are float32 (or the inputs' float64) all the same. None: theirs too.
    """

    def score(some: Tensor, mask: Tensor, films: Tensor) -> Tensor:
        return _score(some, mask, films, (attention_temperature, word_temperature, score_temperature), products)

    if chunk <= 0 or chunk >= len(words):
        return score(words, word_mask, patches)
    reach = (word_mask * torch.arange(1, word_mask.shape[1] + 1, device=words.device)).amax(dim=1)  # where a report's last word stands
    order = reach.argsort(descending=True)
    ends = reach[order][::chunk].clamp(min=1)
    # a GPU would have to be waited for, and minds padding less
    longest = ends.tolist() if words.device.type == "cpu" else [words.shape[1]] * len(ends)
    anew = chunk * sum(longest) * len(patches) * patches.shape[1] > kept
    parts = []
    for some, most in zip(order.split(chunk), longest, strict=True):
        theirs = words[some].narrow(1, 0, most), word_mask[some].narrow(1, 0, most), patches
        parts.append(checkpoint(score, *theirs, use_reentrant=False, preserve_rng_state=False) if anew else score(*theirs))
    return torch.cat(parts)[order.argsort()]


def _score(words: Tensor, mask: Tensor, films: Tensor, temperatures: tuple[float, float, float], products: torch.dtype | None) -> Tensor:
    attention, word, score = temperatures
    flat = words.flatten(0, 1)  # all words of all reports
    scores = _product(flat / word if word else flat, films.mT, products)
    if word:
        scores = scores.unflatten(1, mask.shape).masked_fill(~mask[:, :, None], FLOOR).softmax(dim=2).flatten(1, 2)
    views = _product(softmax_weights(scores, attention), films, products).unflatten(1, mask.shape)
    lengths = torch.linalg.vector_norm(views, dim=3).clamp(min=EPS)
    fits = (views * words).sum(dim=3) / (lengths * score)  # not the views themselves: D times fewer numbers are divided
    return fits.masked_fill(~mask, FLOOR).logsumexp(dim=2).T


def _product(left: Tensor, right: Tensor, dtype: torch.dtype | None) -> Tensor:
    return left @ right if dtype is None else (left.to(dtype) @ right.to(dtype)).to(left.dtype)
