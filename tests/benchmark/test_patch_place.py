"""Where patches look, and maps moved there."""

import sys
from pathlib import Path

import pytest
import torch
from torch.nn.functional import interpolate

from sista.models.image_encoder import ImageEncoder

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from patch_place import moved, offset


def test_maps_are_moved_by_so_many_pixels() -> None:
    maps = torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(0))
    large = interpolate(maps[:, None], size=(16, 16), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(moved(maps, 16, 0, 0), large)
    torch.testing.assert_close(moved(maps, 16, 2, -3)[:, 2:, :-3], large[:, :-2, 3:])


@pytest.mark.parametrize(("name", "half"), [("sista_compact", 3.5), ("test_vit", 0.0)])
def test_strided_convolutions_look_half_a_patch_left_and_up_and_a_linear_embedding_does_not(name: str, half: float) -> None:
    torch.manual_seed(0)
    down, right = offset(ImageEncoder(name, image_size=128), 1)
    assert (down, right) == pytest.approx((-half, -half), abs=0.6)
