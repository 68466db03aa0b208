"""One contrastive kernel for every kind of targets: InfoNCE, elimination, triage, soft targets."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sista.errors import SistaError
from sista.objectives.precision import full_precision
from sista.objectives.targets import Targets, identity_targets

Gather = Callable[[Tensor], Tensor]

FLOOR = -1e4  # log 0: e^-1e4 is 0 in every float type, and, unlike -inf, has a finite gradient and no inf - inf


def identity(local: Tensor) -> Tensor:
    """The gather of a single process."""
    return local


@full_precision
def contrast_rows(logits: Float[Tensor, "b m"], targets: Targets) -> Float[Tensor, " b"]:
    """Loss of each row: l_i = sum_j Y_ij ( log D_ij - z_ij ), D_ij = sum_k max(A_ik, [k = j]) exp z_ik.

    Every positive j stands in its own denominator in full; the others enter with the weights A. Written as
    D_ij = D_i + (1 - A_ij) exp z_ij with D_i = sum_k A_ik exp z_ik, so that it costs B x M and not B x M x M.
    With A = 1 and Y = I it is the cross-entropy; a row without negatives and with one positive gives 0.
    """
    weights, allowed = targets.weights.to(logits.dtype), targets.allowed.to(logits.dtype)
    shared = torch.logsumexp(logits + allowed.log().clamp(min=FLOOR), dim=1, keepdim=True)
    denominator = torch.logaddexp(shared, logits + torch.log1p(-allowed).clamp(min=FLOOR))
    return (weights * (denominator - logits)).sum(dim=1)


def contrast(logits: Float[Tensor, "b m"], targets: Targets) -> Float[Tensor, ""]:
    """Mean over the rows of `contrast_rows`."""
    return contrast_rows(logits, targets).mean()


@full_precision
def symmetric_contrast(
    image: Float[Tensor, "b d"],
    text: Float[Tensor, "b d"],
    targets: Targets,
    temperature: float | Float[Tensor, ""],
    gather: Gather = identity,
) -> Float[Tensor, ""]:
    """1/2 ( image to text + text to image ) contrast of L2-normalised embeddings, z = v . t / temperature.

    Targets [b,m] come from the similarity of reports and so serve both directions. `gather` turns this process's b rows into all m
    columns (with gradient where wanted); with it, build the targets with `own`.
    """
    return _both_ways(image, text, gather(image), gather(text), targets, temperature)


@full_precision
def info_nce(
    image: Float[Tensor, "b d"],
    text: Float[Tensor, "b d"],
    temperature: float | Float[Tensor, ""] = 0.07,
    gather: Gather = identity,
    own: Int[Tensor, " b"] | None = None,
    image_to_text: float = 0.5,
) -> Float[Tensor, ""]:
    """InfoNCE (ConVIRT, CLIP): the own pair against all others, `image_to_text` of it from image to text and the rest back.

    With `gather` say which of the gathered columns are this process's own pairs: rank * b + arange(b). `SistaError` if not said.
    """
    all_images, all_texts = gather(image), gather(text)
    require_own(own, len(image), len(all_images))
    targets = identity_targets(len(image), len(all_texts), own, image.device)
    return _both_ways(image, text, all_images, all_texts, targets, temperature, image_to_text)


def require_own(own: Tensor | None, pairs: int, gathered: int) -> None:
    """SistaError where more pairs were gathered than this process has, and nobody says which are its own."""
    if own is None and gathered != pairs:
        raise SistaError(f"{gathered} gathered pairs, {pairs} of this process; say which are its own: own = rank * batch + arange(batch)")


def _both_ways(
    image: Tensor,
    text: Tensor,
    all_images: Tensor,
    all_texts: Tensor,
    targets: Targets,
    temperature: float | Tensor,
    image_to_text: float = 0.5,
) -> Tensor:
    to_text = contrast(image @ all_texts.T / temperature, targets)
    to_image = contrast(text @ all_images.T / temperature, targets)
    return image_to_text * to_text + (1.0 - image_to_text) * to_image
