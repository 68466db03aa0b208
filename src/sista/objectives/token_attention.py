"""How a word looks at the patches of a film: from scores to a few weights, and to the word's own view of the film."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from sista.errors import SistaError, nearest
from sista.objectives.contrastive import FLOOR
from sista.objectives.precision import full_precision

EPS = 1e-6  # of the min-max range and of the weight sum: a constant row gets weights of 0, not 0/0


def minmax_weights(scores: Float[Tensor, "*rows p"], sigma: float | Tensor | None = None) -> Float[Tensor, "*rows p"]:
    """u = (s - min) / (max - min + eps), 0 where u < sigma, a = u / (sum u + eps), over the last axis (SPARC, arXiv 2401.09865).

    `sigma` None is SPARC's 1/P, which keeps 97 % of the patches and more; it may differ by row, [*rows,1]. A constant row gives 0. The
    range is multiplied out, a = x / (sum x + eps (max - min + eps)) with x = s - min: half the work in the backward pass.
    """
    sigma = 1.0 / scores.shape[-1] if sigma is None else sigma
    low = scores.amin(dim=-1, keepdim=True)
    high = scores.amax(dim=-1, keepdim=True)
    span = high - low + EPS
    above = scores - low
    kept = above.masked_fill(above < sigma * span, 0.0)
    return kept * (kept.sum(dim=-1, keepdim=True) + EPS * span).reciprocal()


def topk_weights(scores: Float[Tensor, "*rows p"], k: int, temperature: float = 0.1) -> Float[Tensor, "*rows p"]:
    """softmax(s / temperature) over the k highest scores (all if k > P), 0 elsewhere; ties at the k-th are kept."""
    least = scores.detach().topk(min(k, scores.shape[-1]), dim=-1).values[..., -1:]
    return torch.softmax((scores / temperature).masked_fill(scores < least, FLOOR), dim=-1)


def softmax_weights(scores: Float[Tensor, "*rows p"], temperature: float = 0.1) -> Float[Tensor, "*rows p"]:
    """softmax(s / temperature): dense attention, the control."""
    return torch.softmax(scores / temperature, dim=-1)


def entmax_weights(scores: Float[Tensor, "*rows p"], alpha: float = 1.5, temperature: float = 0.1) -> Float[Tensor, "*rows p"]:
    """alpha-entmax of s / temperature: exact and sparse; alpha 2 is sparsemax (arXiv 1602.02068), 1.5 lies between it and softmax.

    p = [ (alpha - 1) z - tau ]_+ ^ (1 / (alpha - 1)), tau such that p sums to 1, found by sorting (arXiv 1905.05702).
    `SistaError` for another alpha.
    """
    if alpha not in (1.5, 2.0):
        raise SistaError(f"entmax: alpha {alpha:g} has no exact form here; use 1.5 or 2")
    weights: Tensor = _Entmax.apply(scores / temperature, alpha)
    return weights


class _Entmax(torch.autograd.Function):
    """The support is found without gradient; the Jacobian is known: dz = g dp - g sum(g dp) / sum(g), g = p^(2 - alpha)."""

    @staticmethod
    def forward(ctx, scores, alpha):
        z = (scores - scores.amax(dim=-1, keepdim=True)) * (alpha - 1)
        ranked = z.sort(dim=-1, descending=True).values
        size = torch.arange(1, z.shape[-1] + 1, device=z.device, dtype=z.dtype)
        mean = ranked.cumsum(dim=-1) / size
        if alpha == 2:
            tau = mean - 1 / size
        else:
            spread = ranked.square().cumsum(dim=-1) / size - mean.square()
            tau = mean - (1 / size - spread).clamp(min=0).sqrt()
        support = (tau <= ranked).sum(dim=-1, keepdim=True)
        weights = (z - tau.gather(-1, support - 1)).clamp(min=0) ** (1 / (alpha - 1))
        weights = weights / weights.sum(dim=-1, keepdim=True)  # rounding of the cumulative sums
        ctx.save_for_backward(weights)
        ctx.alpha = alpha
        return weights

    @staticmethod
    def backward(ctx, grad):
        (weights,) = ctx.saved_tensors
        slope = torch.where(weights > 0, weights ** (2 - ctx.alpha), torch.zeros_like(weights))
        scaled = slope * grad
        return scaled - slope * scaled.sum(dim=-1, keepdim=True) / slope.sum(dim=-1, keepdim=True), None


@full_precision
def minmax_sparse(words: Float[Tensor, "b l d"], patches: Float[Tensor, "b p d"], sigma: float | None = None) -> Float[Tensor, "b l p"]:
    """The weights a[l,p] of words on patches, from s[l,p] = w_l . p_p of L2-normalised words and patches."""
    return minmax_weights(words @ patches.mT, sigma)


# name -> weights of an aligner's scores
WEIGHTINGS: dict[str, Callable[[TokenAligner, Tensor], Tensor]] = {
    "minmax": lambda aligner, scores: minmax_weights(scores, aligner.sigma),
    "topk": lambda aligner, scores: topk_weights(scores, aligner.k, aligner.temperature),
    "sparsemax": lambda aligner, scores: entmax_weights(scores, 2.0, aligner.temperature),
    "entmax": lambda aligner, scores: entmax_weights(scores, 1.5, aligner.temperature),
    "softmax": lambda aligner, scores: softmax_weights(scores, aligner.temperature),
}


@dataclass(frozen=True)
class TokenAligner:
    """Gives every word its own view of a film: c_l = normalise( sum_p a[l,p] p_p ), s[l,p] = w_l . p_p.

    weighting    minmax, topk, sparsemax, entmax or softmax
    sigma        minmax: the share of the range below which a patch does not count; None: 1/P
    k            topk: patches kept
    temperature  topk, sparsemax, entmax, softmax: scores are divided by it
    """

    weighting: str = "minmax"
    sigma: float | None = 0.3
    k: int = 16
    temperature: float = 0.1

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise SistaError(f"unknown token weighting {self.weighting!r}: {nearest(self.weighting, WEIGHTINGS)}")
        if self.k < 1 or self.temperature <= 0 or (self.sigma is not None and not 0 <= self.sigma < 1):
            raise SistaError(
                f"token aligner: got k {self.k}, temperature {self.temperature:g}, sigma {self.sigma}; "
                "give k >= 1, a temperature above 0 and sigma from 0 to less than 1, where no patch would be left (or none, for 1/P)"
            )

    @full_precision
    def weigh(self, scores: Float[Tensor, "*rows p"], mask: Bool[Tensor, "*#rows p"] | None = None) -> Float[Tensor, "*rows p"]:
        """Weights over the last axis, each row summing to 1, or 0 for a constant row (minmax); 0 where `mask` is False."""
        if mask is None:
            return WEIGHTINGS[self.weighting](self, scores)
        if self.weighting == "minmax":  # an absent entry may not be the minimum
            scores = torch.where(mask, scores, scores.masked_fill(~mask, -FLOOR).amin(dim=-1, keepdim=True))
            present = mask.sum(dim=-1, keepdim=True).clamp(min=1)  # of the 1/P; padding is no entry
            return minmax_weights(scores, 1.0 / present if self.sigma is None else self.sigma) * mask
        return WEIGHTINGS[self.weighting](self, scores.masked_fill(~mask, FLOOR)) * mask

    @full_precision
    def __call__(
        self, words: Float[Tensor, "b l d"], patches: Float[Tensor, "b p d"], mask: Bool[Tensor, "b p"] | None = None
    ) -> tuple[Float[Tensor, "b l d"], Float[Tensor, "b l p"]]:
        """The grounded words c (L2-normalised; 0 where a word has no weights) and the weights a."""
        weights = self.weigh(words @ patches.mT, None if mask is None else mask[:, None, :])
        return unit(weights @ patches), weights


def unit(vectors: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d"]:
    """L2-normalised; a zero vector stays zero, with a gradient that stays in bounds."""
    return F.normalize(vectors, dim=-1, eps=EPS)
