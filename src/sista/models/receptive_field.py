"""Where on the film the patches of an encoder look: the centres of their receptive fields, derived from its layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn

AXES = (-2, -1)  # down and right


class PatchCentres(NamedTuple):
    """Along one axis, in pixels: from the film's edge (left or top) to the centre of the first patch's receptive field, and on to the next.

    Of a linear patch embedding they are those of an even grid, half a patch and a patch. A convolution of stride 2 padded by a pixel on
    both sides begins at the edge itself, and so does a stack of them: its patches lie half a patch left of the even grid's, and above.
    """

    first: float
    step: float


class Reduction(NamedTuple):
    """One layer with a kernel, along one axis, that gave `after` cells of `before`: how far apart its kernels are, and in cells of its
    input how far the middle of the first one is from the middle of the first cell.
    """

    before: int
    after: int
    stride: int
    first: float


@contextmanager
def reductions(model: nn.Module) -> Iterator[tuple[list[Reduction], list[Reduction]]]:
    """All layers with a kernel that make a map smaller in the passes inside the block, (down, right); those within attention left out."""
    found = (list[Reduction](), list[Reduction]())

    def note(layer: Any, given: tuple[Any, ...], output: Any) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(output, Tensor) and given[0].ndim == output.ndim == 4:
            for of_axis, axis in zip(found, AXES, strict=True):
                before, after, stride = given[0].shape[axis], output.shape[axis], _of(layer.stride, axis)
                if after < before and (after > 1 or stride > 1):
                    of_axis.append(Reduction(before, after, stride, _first(layer, axis, before, after)))

    hooks = [layer.register_forward_hook(note) for layer in _on_the_way(model) if _has_kernel(layer)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def patch_centres(found: Sequence[Reduction], size: int, cells: int) -> PatchCentres:
    """Along an axis of a map of `cells` cells, made of a film of `size` pixels through reductions.

    From one size of map to the next it is the mean of all layers that led there, such as the two paths of a residual block; a map may have
    been padded at its end (right or below) to a multiple of the layer's stride. Where no layer did, as when patches are merged by
    reshaping, cells are what `_shares` says.
    """
    first, step, now = 0.0, 1.0, size  # of pixels, from the middle of the first
    while now > cells:
        if not any(one.before == now for one in found):
            now = min((one.before for one in found if now < one.before < now + one.stride), default=now)
        after = max((one.after for one in found if one.before == now and one.after >= cells), default=None)
        if after is None:
            after = max((one.before for one in found if cells <= one.before < now), default=cells)
            ways = [_shares(now, after)]
        else:
            ways = [(one.first, float(one.stride)) for one in found if (one.before, one.after) == (now, after)]
        first += step * sum(place for place, _ in ways) / len(ways)
        step *= sum(stride for _, stride in ways) / len(ways)
        now = after
    return PatchCentres(first + 0.5, step)


def _shares(before: int, after: int) -> tuple[float, float]:
    """The middle of the first of `after` equal shares, and on to the next, in cells: whole where less than a share's were padded on at the
    end.
    """
    padded = -(-before // after)
    share = padded if -(-before // padded) == after else before / after
    return (share - 1) / 2, float(share)


def _on_the_way(model: nn.Module) -> Iterator[nn.Module]:
    """All layers but those within attention, whose smaller keys are no way from the film to the patches."""
    yield model
    for child in model.children():
        if "attn" not in (name := type(child).__name__.lower()) and "attention" not in name:
            yield from _on_the_way(child)


def _first(layer: Any, axis: int, before: int, after: int) -> float:
    """The middle of the first kernel. Padding that the layer does not state is TensorFlow's, half of what is needed, rounded down."""
    extent = (_kernel(layer, axis) - 1) * _of(getattr(layer, "dilation", 1), axis)
    stride, left = _of(layer.stride, axis), 0 if isinstance(layer.padding, str) else _of(layer.padding, axis)
    if not getattr(layer, "ceil_mode", False) and (before + 2 * left - extent - 1) // stride + 1 != after:
        left = max(0, (after - 1) * stride + extent + 1 - before) // 2
    return extent / 2 - left


def _has_kernel(layer: Any) -> bool:
    return _kernel(layer, -1) is not None and getattr(layer, "stride", None) is not None and getattr(layer, "padding", None) is not None


def _kernel(layer: Any, axis: int) -> Any:
    found = getattr(layer, "kernel_size", getattr(layer, "filt_size", None))  # timm's BlurPool2d has filt_size
    return None if found is None else _of(found, axis)


def _of(value: Any, axis: int) -> int:
    return int(value if isinstance(value, int) else value[axis])
