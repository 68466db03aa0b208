"""Where on the film the patches of an encoder look: the centres of their receptive fields, derived from its convolutions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, nn


class PatchCentres(NamedTuple):
    """Pixels from the film's edge (left or top) to the centre of the first patch's receptive field, and from each patch to the next.

    Of a linear patch embedding they are those of an even grid, half a patch and a patch. A convolution of stride 2 padded by a pixel
    begins at the edge itself, and so does a stack of them: its patches lie half a patch to the left of the even grid's, and above.
    """

    first: float
    step: float


class Reduction(NamedTuple):
    """One layer with a kernel that gave `after` cells of `before`: how far apart its kernels are, and in cells of its input how far the
    middle of the first one is from the middle of the first cell.
    """

    before: int
    after: int
    stride: int
    first: float


@contextmanager
def reductions(model: nn.Module) -> Iterator[list[Reduction]]:
    """All layers with a kernel that reduce the size of a map, in the order in which the passes inside the block meet them."""
    found: list[Reduction] = []

    def note(layer: Any, given: tuple[Any, ...], output: Any) -> None:
        if given and isinstance(given[0], Tensor) and isinstance(output, Tensor) and given[0].ndim == output.ndim == 4:
            before, after = given[0].shape[-1], output.shape[-1]
            if 1 < after < before:
                found.append(Reduction(before, after, _last(layer.stride), _first(layer, before, after)))

    hooks = [layer.register_forward_hook(note) for layer in model.modules() if _has_kernel(layer)]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def patch_centres(found: Sequence[Reduction], size: int, cells: int) -> PatchCentres:
    """Of a map of `cells` cells a side, made of a film of `size` pixels through reductions.

    From one size of map to the next it is the mean of all layers that led there (the two paths of a residual block; those that a model has
    on the side, such as reduced keys of attention, give smaller maps). Where no layer did (patches merged by reshaping), cells lie in the
    middle of what they were merged from.
    """
    first, step, now = 0.0, 1.0, size  # of pixels, from the middle of the first
    while now > cells:
        after = max((one.after for one in found if one.before == now and one.after >= cells), default=None)
        if after is None:
            after = max((one.before for one in found if cells <= one.before < now), default=cells)
            ways = [((now / after - 1) / 2, now / after)]
        else:
            ways = [(one.first, float(one.stride)) for one in found if (one.before, one.after) == (now, after)]
        first += step * sum(place for place, _ in ways) / len(ways)
        step *= sum(stride for _, stride in ways) / len(ways)
        now = after
    return PatchCentres(first + 0.5, step)


def _first(layer: Any, before: int, after: int) -> float:
    """The middle of the first kernel. Padding that the layer does not state is TensorFlow's, half of what is needed, rounded down."""
    extent = (_kernel(layer) - 1) * _last(getattr(layer, "dilation", 1))
    padding, stride = layer.padding, _last(layer.stride)
    left = 0 if isinstance(padding, str) else padding if isinstance(padding, int) else padding[-1]
    if not getattr(layer, "ceil_mode", False) and (before + 2 * left - extent - 1) // stride + 1 != after:
        left = max(0, (after - 1) * stride + extent + 1 - before) // 2
    return extent / 2 - left


def _has_kernel(layer: Any) -> bool:
    return _kernel(layer) is not None and getattr(layer, "stride", None) is not None and getattr(layer, "padding", None) is not None


def _kernel(layer: Any) -> Any:
    found = getattr(layer, "kernel_size", getattr(layer, "filt_size", None))  # timm's BlurPool2d has filt_size
    return None if found is None else _last(found)


def _last(value: Any) -> int:
    return int(value if isinstance(value, int) else value[-1])
