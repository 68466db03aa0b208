"""What to watch while SIA and STA train: 0-d tensors, no gradient, nothing read back from the device."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sista.objectives.targets import Targets, own_pairs


@torch.no_grad()
def target_statistics(targets: Targets | Float[Tensor, "b m"], own: Int[Tensor, " b"] | None = None) -> dict[str, Tensor]:
    """Shares of the off-diagonal pairs that are positives, ignored, negatives; of Targets or of signs +1, -1.

    Off the diagonal means not the own pair (column `own`, default i). Soft targets are all positives.
    """
    if isinstance(targets, Targets):
        positives, negatives = targets.positives, targets.negatives
    else:
        positives, negatives = targets > 0, targets < 0
    off = ~own_pairs(positives.shape[0], positives.shape[1], own, positives.device)
    count = off.sum().clamp(min=1)
    shares = {"positives": positives, "ignored": ~positives & ~negatives, "negatives": negatives}
    return {name: (pairs & off).sum() / count for name, pairs in shares.items()}


@torch.no_grad()
def removed_pair_quality(
    targets: Targets | Float[Tensor, "b m"],
    truth_key: Int[Tensor, " b"],
    truth_key_columns: Int[Tensor, " m"] | None = None,
    own: Int[Tensor, " b"] | None = None,
) -> dict[str, Tensor]:
    """Precision and recall of the removed pairs (off-diagonal, not a negative) as a guess at "equal true findings".

    Pairs with an unknown truth (-1) do not count. Nothing removed: precision 1; nothing to find: recall 1.
    """
    negatives = targets.negatives if isinstance(targets, Targets) else targets < 0
    columns = truth_key if truth_key_columns is None else truth_key_columns
    known = (truth_key >= 0)[:, None] & (columns >= 0)[None, :] & ~own_pairs(negatives.shape[0], negatives.shape[1], own, negatives.device)
    equal = (truth_key[:, None] == columns[None, :]) & known
    removed = ~negatives & known
    found = (removed & equal).sum()
    return {"precision": _share(found, removed.sum()), "recall": _share(found, equal.sum())}


@torch.no_grad()
def moved_target_quality(
    targets: Targets,
    truth_key: Int[Tensor, " b"],
    truth_key_columns: Int[Tensor, " m"] | None = None,
    own: Int[Tensor, " b"] | None = None,
) -> dict[str, Tensor]:
    """share: how much of the targets lies on other pairs than the own one; precision: how much of that on pairs of equal true findings.

    It is what soft targets, which remove no pair, do about false negatives. Pairs with an unknown truth (-1) do not count in the precision;
    nothing moved: precision 1.
    """
    weights = targets.weights
    columns = truth_key if truth_key_columns is None else truth_key_columns
    moved = weights * ~own_pairs(weights.shape[0], weights.shape[1], own, weights.device)
    known = moved * ((truth_key >= 0)[:, None] & (columns >= 0)[None, :])
    equal, of_known = (known * (truth_key[:, None] == columns[None, :])).sum(), known.sum()
    precision = torch.where(of_known > 0, equal / of_known, torch.ones_like(equal))
    return {"share": moved.sum() / weights.sum(), "precision": precision}


@torch.no_grad()
def attention_statistics(weights: Float[Tensor, "b l p"], mask: Bool[Tensor, "b l"]) -> dict[str, Tensor]:
    """Mean over the valid words of the patches kept (weight above 0) and of the entropy -sum a log a in nats (at most log P)."""
    words = mask.sum().clamp(min=1)
    kept = (weights > 0).sum(dim=2)
    entropy = -torch.xlogy(weights, weights).sum(dim=2)
    return {
        "patches_per_word": (kept * mask).sum() / words,
        "attention_entropy": torch.where(mask, entropy, torch.zeros_like(entropy)).sum() / words,
    }


@torch.no_grad()
def wrong_film_gap(
    loss_fn: Callable[[Tensor, Tensor], Tensor],
    words: Float[Tensor, "b l d"],
    patches: Float[Tensor, "b p d"],
    report_key: Int[Tensor, " b"] | None = None,
) -> Float[Tensor, ""]:
    """Loss with the patches of another report's film, `wrong_films`, minus loss with the right ones.

    Near 0: the term is solved without looking at the film. `loss_fn(words, patches)` must draw the same samples both times. Without
    `report_key` all reports are taken as different.
    """
    key = torch.arange(len(patches), device=patches.device) if report_key is None else report_key
    return loss_fn(words, patches[wrong_films(key)]) - loss_fn(words, patches)


@torch.no_grad()
def wrong_films(report_key: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
    """For each row the nearest before it (before the first comes the last) with another key: not a film of the same study, or told alike.

    Where all keys are equal, the row before.
    """
    count = len(report_key)
    place = torch.arange(count, device=report_key.device)
    before = (place[:, None] - 1 - place[None, :]) % count  # its last column is the row itself
    other = report_key[before] != report_key[:, None]
    return before.gather(1, other.to(torch.uint8).argmax(dim=1, keepdim=True))[:, 0]


def _share(part: Tensor, whole: Tensor) -> Tensor:
    return torch.where(whole > 0, part / whole.clamp(min=1), torch.ones_like(part, dtype=torch.float32))
