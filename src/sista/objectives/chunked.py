"""A term over reports, each with a few films, in the memory of a few reports at a time: same sum, same gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

# term(words [c,k,d], films [c,f,p,d], rows): the 0-d sum over the reports of `rows`
Term = Callable[[Tensor, Tensor, slice], Tensor]


def sum_over_reports(
    term: Term, words: Float[Tensor, "b k d"], patches: Float[Tensor, "m p d"], films: Int[Tensor, "b f"], chunk: int
) -> Float[Tensor, ""]:
    """Sum of `term` over all reports, `chunk` of them at a time; report b sees the patches of its films[b].

    No chunk's activations are kept: where a gradient is wanted, it is taken chunk by chunk on the way forward and held ready, which
    needs no second forward pass. It can be taken once, and not differentiated again.
    """
    total: Tensor = _Sum.apply(words, patches, films, term, chunk, torch.is_grad_enabled())
    return total


def films_of(patches: Float[Tensor, "m p d"], films: Int[Tensor, "b f"]) -> Float[Tensor, "b f p d"]:
    """patches[films], whose gradient is the same number for number each time.

    Where a film is taken several times, the gradient of plain indexing is summed in the order in which threads happen to come on a CPU
    (and several times slower), that of index_select on a GPU.
    """
    if patches.device.type != "cpu":
        return patches[films]
    return patches.index_select(0, films.flatten()).unflatten(0, films.shape)


def _add(total: Tensor, films: Tensor, gradient: Tensor) -> None:
    if total.device.type == "cpu":
        total.index_add_(0, films.flatten(), gradient.flatten(0, 1))
    else:
        total.index_put_((films,), gradient, accumulate=True)


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx, words, patches, films, term, chunk, wanted):
        total = words.new_zeros(())
        of_words, of_patches = (torch.zeros_like(x) if wanted and x.requires_grad else None for x in (words, patches))
        for start in range(0, len(words), chunk):
            rows = slice(start, min(start + chunk, len(words)))
            some, seen = words[rows].detach(), films_of(patches.detach(), films[rows])
            with torch.set_grad_enabled(wanted):
                some.requires_grad_(of_words is not None)
                seen.requires_grad_(of_patches is not None)
                part = term(some, seen, rows)
            total += part.detach()
            if part.requires_grad:
                leaves = [x for x in (some, seen) if x.requires_grad]
                found = list(torch.autograd.grad(part, leaves, allow_unused=True, materialize_grads=True))
                if of_patches is not None:
                    _add(of_patches, films[rows], found.pop())
                if of_words is not None:
                    of_words[rows] = found.pop()
        ctx.held = (of_words, of_patches)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        if ctx.held is None:
            raise RuntimeError("the gradient of a sum over chunks was taken already; compute the loss again")
        of_words, of_patches = ctx.held
        ctx.held = None  # scaled in place: a second copy of the patches' gradient would be the largest tensor of a step
        return *(None if x is None else x.mul_(grad) for x in (of_words, of_patches)), None, None, None, None
