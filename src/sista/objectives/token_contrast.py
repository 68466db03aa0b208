"""Words against the words of their own report, each seen through its own patches."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sista.errors import SistaError, nearest
from sista.objectives.contrastive import FLOOR
from sista.objectives.precision import full_precision
from sista.objectives.token_attention import TokenAligner, unit

DIRECTIONS = ("both", "grounded_to_word", "word_to_grounded")


@full_precision
def within_report_contrast(
    grounded: Float[Tensor, "b l d"],
    words: Float[Tensor, "b l d"],
    word_mask: Bool[Tensor, "b l"],
    word_type: Int[Tensor, "b l"] | None = None,
    temperature: float = 0.1,
    word_weight: Float[Tensor, "b l"] | None = None,
    directions: str = "both",
    skip_single: bool = False,
) -> Float[Tensor, ""]:
    """L_STA: z[l,m] = c_l . w_m / T over one report; mean over pairs of 1/2 ( mean_l CE(z[l,:], l) + mean_l CE(z[:,l], l) ).

    Vectors are L2-normalised (SPARC, arXiv 2401.09865; FaNe's sentence term with T = 0.07). Words of equal `word_type` are not each
    other's negatives. `word_weight` weighs the mean over the words. A report without a contrast (no word, one word, one word
    repeated) gives 0; `skip_single` leaves it out of the mean over pairs (FaNe) instead of counting it. `directions`: both,
    grounded_to_word or word_to_grounded; otherwise `SistaError`.

    Word identity and grid position alone can solve this contrast: watch `diagnostics.wrong_film_gap`, or use `cross_film`.
    """
    if directions not in DIRECTIONS:
        raise SistaError(f"unknown directions {directions!r}: {nearest(directions, DIRECTIONS)}")
    own = torch.eye(words.shape[1], dtype=torch.bool, device=words.device)
    other = word_mask[:, None, :] & word_mask[:, :, None] & ~own
    if word_type is not None:
        other = other & (word_type[:, None, :] != word_type[:, :, None])
    similarity = grounded @ words.mT / temperature
    logits = torch.where(other | own, similarity, torch.full_like(similarity, FLOOR))
    hit = similarity.diagonal(dim1=1, dim2=2)
    to_word, to_grounded = logits.logsumexp(dim=2) - hit, logits.logsumexp(dim=1) - hit
    losses = {"both": (to_word + to_grounded) / 2, "grounded_to_word": to_word, "word_to_grounded": to_grounded}[directions]

    share = word_mask.to(losses.dtype) if word_weight is None else word_weight.to(losses.dtype) * word_mask
    share = share / share.sum(dim=1, keepdim=True).clamp(min=1e-6)
    per_report = torch.where(word_mask, losses, torch.zeros_like(losses)).mul(share).sum(dim=1)
    if not skip_single:
        return per_report.mean()
    return per_report.sum() / other.any(dim=2).any(dim=1).sum().clamp(min=1)


@full_precision
def patch_to_word(
    words: Float[Tensor, "b l d"],
    patches: Float[Tensor, "b p d"],
    word_mask: Bool[Tensor, "b l"],
    aligner: TokenAligner,
    temperature: float = 0.1,
) -> Float[Tensor, ""]:
    """The mirror term: every patch looks at the words of its report, and its view is contrasted over the patches of its film.

    d_p = normalise( sum_l a[p,l] w_l ), z[p,q] = d_p . p_q / T, then as `within_report_contrast`. A report without words gives 0, and so
    does one in which no patch prefers a word to another (minmax: a single word).
    """
    grounded, weights = aligner(patches, words, word_mask)
    spoken_of = (weights > 0).any(dim=2).any(dim=1, keepdim=True).expand(patches.shape[:2])
    return within_report_contrast(grounded, patches, spoken_of, temperature=temperature)


@full_precision
def pool_sentences(
    words: Float[Tensor, "b l d"],
    word_mask: Bool[Tensor, "b l"],
    word_sentence: Int[Tensor, "b l"],
    count: int | None = None,
) -> tuple[Float[Tensor, "b s d"], Bool[Tensor, "b s"]]:
    """Mean of the words of each sentence, L2-normalised, [b,s,d], and which sentences exist, [b,s].

    `count` is S, the sentences kept per report: default L, so that no count has to be read back from the device.
    """
    count = words.shape[1] if count is None else count
    member = (word_sentence[:, None, :] == torch.arange(count, device=words.device)[None, :, None]) & word_mask[:, None, :]
    return unit(member.to(words.dtype) @ words), member.any(dim=2)
