"""Every image encoder keeps one contract."""

import pytest
import torch

from sista.errors import SistaError
from sista.models.image_encoder import ImageEncoder

NAMES = ["sista_compact", "sista_vit", "test_resnet", "test_vit", "test_convnext", "test_efficientnet"]


@pytest.mark.parametrize("name", NAMES)
def test_contract(name: str) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(name, image_size=96).eval()
    images = torch.randn(2, 1, 96, 96)
    features = encoder(images)
    rows, columns = features.grid
    assert features.pooled.shape == (2, encoder.width)
    assert features.patches.shape == (2, rows * columns, encoder.patch_width)
    assert features.grid == encoder.grid
    assert torch.equal(encoder.pooled(images), features.pooled)
    pyramid = encoder.pyramid(images)
    sides = [level.shape[-1] for level in pyramid]
    assert sides == sorted(sides, reverse=True)
    assert len(pyramid) == 1 or len(set(sides)) > 1
    again = ImageEncoder(**encoder.describe()).eval()
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(images).pooled, features.pooled)


@pytest.mark.parametrize("name", NAMES)
def test_patches_are_in_row_order(name: str) -> None:
    """A bright spot in the top right moves the top right patch most."""
    torch.manual_seed(0)
    encoder = ImageEncoder(name, image_size=96).eval()
    dark = torch.zeros(1, 1, 96, 96)
    spot = dark.clone()
    spot[..., 2:14, 82:94] = 5.0
    change = (encoder(spot).patches - encoder(dark).patches).norm(dim=-1)[0]
    rows, columns = encoder.grid
    hottest = int(change.argmax())
    assert hottest // columns < rows / 2
    assert hottest % columns >= columns / 2


def test_patch_stride_picks_the_stage() -> None:
    coarse = ImageEncoder("test_resnet", image_size=64, patch_stride=16)
    fine = ImageEncoder("test_resnet", image_size=64, patch_stride=8)
    assert (coarse.grid, fine.grid) == ((4, 4), (8, 8))


def test_compact_takes_other_sizes() -> None:
    encoder = ImageEncoder("sista_compact", image_size=64).eval()
    assert encoder(torch.randn(1, 1, 96, 64)).grid == (12, 8)


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SistaError, match="resnet50"):
        ImageEncoder("resnet_50", image_size=64)


def test_a_film_size_that_a_transformer_cannot_take() -> None:
    with pytest.raises(SistaError, match=r"'sista_vit' takes no films of 100 px .*choose a multiple of its patch size"):
        ImageEncoder("sista_vit", image_size=100)
