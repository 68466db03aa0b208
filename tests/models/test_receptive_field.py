"""The centres of patches' receptive fields, held to the pixels that reach a patch."""

from typing import Any

import pytest
import torch
from timm.layers import BlurPool2d, create_conv2d
from torch import Tensor, nn

from sista.models.image_encoder import ImageEncoder
from sista.models.receptive_field import PatchCentres, Reduction, patch_centres, reductions


def _seen(model: nn.Module, size: int, cell: int) -> tuple[float, float]:
    """The middle of the pixels that reach the cell in row and column `cell`: (down, right)."""
    images = torch.zeros(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    model.double()(images)[0, :, cell, cell].sum().backward()
    assert images.grad is not None
    found = images.grad[0, 0].nonzero().double() + 0.5
    down, right = ((found[:, axis].min() + found[:, axis].max()) / 2 for axis in (0, 1))
    return float(down), float(right)


def _centres(model: nn.Module, size: int) -> tuple[PatchCentres, int]:
    with torch.no_grad(), reductions(model.double()) as (down, right):
        cells = model(torch.zeros(1, 1, size, size, dtype=torch.float64)).shape[-1]
    assert patch_centres(down, size, cells) == patch_centres(right, size, cells)
    return patch_centres(right, size, cells), cells


class _Merging(nn.Module):
    """2 x 2 cells side by side, by reshaping alone."""

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_unshuffle(x, 2)


class _PaddedToMultiple(nn.Module):
    """Zeros to the right and below, outside any layer that would tell."""

    def __init__(self, of: int) -> None:
        super().__init__()
        self.of = of

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, -x.shape[-1] % self.of, 0, -x.shape[-2] % self.of))


STACKS = {
    "padded by one": [nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 1, 1)],
    "patch embedding": [nn.Conv2d(1, 2, 8, 8)],
    "a ResNet's stem": [nn.Conv2d(1, 2, 7, 2, 3), nn.AvgPool2d(3, 2, 1), nn.Conv2d(2, 2, 1, 2)],
    "not padded": [nn.Conv2d(1, 2, 3, 2), nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3, 2)],
    "dilated": [nn.Conv2d(1, 2, 3, 2, 2, dilation=2), nn.AvgPool2d(2)],
    "TensorFlow's padding": [create_conv2d(1, 2, 3, stride=2, padding="same"), create_conv2d(2, 2, 5, stride=2, padding="same")],
    "merged patches": [nn.Conv2d(1, 2, 4, 4), _Merging(), nn.Conv2d(8, 2, 3, 2, 1)],
    "blurred": [nn.Conv2d(1, 2, 3, 1, 1), BlurPool2d(2, stride=2), nn.Conv2d(2, 2, 3, 2, 1)],
    "rounded up": [nn.Conv2d(1, 2, 3), nn.AvgPool2d(4, 4, ceil_mode=True)],
}


@pytest.mark.parametrize("name", STACKS)
def test_patches_look_where_pixels_reach_them(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(*STACKS[name])
    centres, cells = _centres(model, 64)
    for cell in (cells // 2 - 1, cells // 2):
        where = centres.first + centres.step * cell
        assert _seen(model, 64, cell) == (where, where)


def test_a_stack_of_padded_convolutions_begins_at_the_edge_and_a_patch_embedding_in_the_middle_of_its_patch() -> None:
    assert _centres(nn.Sequential(*STACKS["padded by one"]), 64)[0] == PatchCentres(0.5, 4.0)
    assert _centres(nn.Sequential(*STACKS["patch embedding"]), 64)[0] == PatchCentres(4.0, 8.0)


def test_a_film_that_is_no_multiple_of_the_stride_has_patches_a_stride_apart() -> None:
    model = nn.Sequential(*[nn.Conv2d(1, 1, 3, 2, 1) for _ in range(3)])
    assert _centres(model, 65) == (PatchCentres(0.5, 8.0), 9)  # the last at pixel 64.5, the other edge


@pytest.mark.parametrize("size", [60, 57, 64])
def test_a_film_padded_at_its_end_by_the_model_has_whole_patches(size: int) -> None:
    model = nn.Sequential(_PaddedToMultiple(8), nn.Conv2d(1, 2, 8, 8), _PaddedToMultiple(3), nn.Conv2d(2, 2, 3, 3))
    assert _centres(model, size) == (PatchCentres(12.0, 24.0), 3)
    assert _seen(model, size, 1) == (36.0, 36.0)


def test_merged_patches_of_an_odd_map_are_whole() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 4, 4), _PaddedToMultiple(2), _Merging())
    assert _centres(model, 28) == (PatchCentres(4.0, 8.0), 4)
    assert _seen(model, 28, 1) == (12.0, 12.0)


def test_what_no_padding_explains_is_in_equal_shares() -> None:
    assert patch_centres([], 10, 7) == PatchCentres(10 / 14, 10 / 7)


def test_two_paths_are_one_between_them_and_layers_on_the_side_are_none() -> None:
    paths = [Reduction(16, 8, 2, 0.0), Reduction(16, 8, 2, 0.5), Reduction(16, 2, 8, 3.5), Reduction(8, 1, 8, 3.5)]
    assert patch_centres(paths, 16, 8) == PatchCentres(0.75, 2.0)


def test_without_a_layer_cells_are_even() -> None:
    assert patch_centres([], 32, 8) == PatchCentres(2.0, 4.0)
    assert patch_centres([], 8, 8) == PatchCentres(0.5, 1.0)


def test_each_axis_is_its_own() -> None:
    layer = nn.Conv2d(1, 1, (3, 8), (2, 8), (1, 0))
    with torch.no_grad(), reductions(layer) as (down, right):
        assert layer(torch.zeros(1, 1, 32, 64)).shape[-2:] == (16, 8)
    assert patch_centres(down, 32, 16) == PatchCentres(0.5, 2.0)
    assert patch_centres(right, 64, 8) == PatchCentres(4.0, 8.0)


def test_hooks_are_gone_afterwards_also_when_a_pass_fails() -> None:
    layer = nn.Conv2d(1, 1, 3, 2, 1)
    with pytest.raises(RuntimeError, match="channels"), reductions(layer):
        layer(torch.zeros(1, 2, 8, 8))
    assert not layer._forward_hooks
    assert not any(one._forward_hooks for one in ImageEncoder("sista_compact", image_size=64).modules())


@pytest.mark.parametrize(
    ("name", "size", "options", "first", "step"),
    [
        ("sista_compact", 64, {}, 0.5, 8.0),
        ("sista_compact", 8, {}, 0.5, 8.0),  # one cell
        ("sista_vit", 64, {}, 0.5, 16.0),
        ("test_vit", 160, {}, 8.0, 16.0),
        ("test_vit", 200, {"options": {"dynamic_img_pad": True}}, 8.0, 16.0),  # padded to 208
        ("resnet18", 64, {"patch_stride": 32}, 0.5, 32.0),
        ("resnet18", 64, {"patch_stride": 4}, 0.5, 4.0),
        ("test_convnext", 96, {}, 8.0, 16.0),
        ("pvt_v2_b0", 128, {"patch_stride": 32}, 0.5, 32.0),  # its attention makes keys of fewer cells
        ("ecaresnet26t", 64, {"patch_stride": 4}, 0.5, 4.0),  # one-dimensional convolutions beside
        ("vit_tiny_r_s16_p8_224", 224, {}, 17.5, 32.0),  # a convolutional stem with TensorFlow's padding
        ("swin_tiny_patch4_window7_224", 224, {}, 8.0, 16.0),
        ("swin_tiny_patch4_window7_224", 72, {}, 8.0, 16.0),  # of nine cells five, by a padded one
    ],
)
def test_an_encoder_tells_its_centres(name: str, size: int, options: dict[str, Any], first: float, step: float) -> None:
    assert ImageEncoder(name, image_size=size, **options).centres == (PatchCentres(first, step),) * 2


def test_patches_that_are_not_square_have_centres_of_either_axis() -> None:
    encoder = ImageEncoder("test_vit", image_size=128, options={"patch_size": (16, 8)})
    assert encoder.grid == (8, 16)
    assert encoder.centres == (PatchCentres(8.0, 16.0), PatchCentres(4.0, 8.0))
