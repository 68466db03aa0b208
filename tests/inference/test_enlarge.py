"""Maps drawn where patches look."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from sista.inference.enlarge import enlarge
from sista.models.receptive_field import PatchCentres


@pytest.mark.parametrize("side", [4, 16, 37])
def test_an_even_grid_is_enlarged_as_torch_does(side: int) -> None:
    maps = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    even = interpolate(maps[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0].numpy()
    np.testing.assert_allclose(enlarge(maps.numpy(), [PatchCentres(8.0, 16.0)] * 2, 64, side), even, atol=1e-6)


def test_a_patch_is_drawn_at_its_centre_also_on_a_film_of_another_size() -> None:
    maps = np.zeros((1, 4, 4), dtype=np.float32)
    maps[0, 2, 1] = 1
    for first in (0.5, 8.5, 15.5):
        for scale in (1, 3):
            large = enlarge(maps, [PatchCentres(first, 16.0)] * 2, 64, 64 * scale)
            row, column = np.unravel_index(large[0].argmax(), large[0].shape)
            middle = (np.array([row, column]) + 0.5) / scale
            assert np.abs(middle - [first + 32, first + 16]).max() <= 0.5
            assert large.max() == pytest.approx(1, abs=0.04)


def test_axes_may_differ() -> None:
    maps = np.zeros((1, 2, 4), dtype=np.float32)
    maps[0, 1, 1] = 1
    large = enlarge(maps, [PatchCentres(8.5, 16.0), PatchCentres(0.5, 8.0)], 32, 32)[0]
    assert (large.argmax() // 32, large.argmax() % 32) == (24, 8)


def test_beyond_the_outermost_patches_their_values_stay() -> None:
    maps = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    large = enlarge(maps, [PatchCentres(2.5, 4.0)] * 2, 8, 8)[0]
    assert (large[:3, :3] == 0).all()
    assert (large[6:, 6:] == 3).all()
    assert large.dtype == np.float32


def test_no_map_gives_none() -> None:
    assert enlarge(np.zeros((0, 4, 4), dtype=np.float32), [PatchCentres(8.0, 16.0)] * 2, 64, 32).shape == (0, 32, 32)
