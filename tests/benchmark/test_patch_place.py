"""Where patches look by their gradient, and by what the encoder says."""

import sys
from pathlib import Path

import pytest
import torch

from sista.models.image_encoder import ImageEncoder

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from patch_place import derived, offset


@pytest.mark.parametrize(
    ("name", "options", "half"),
    [("sista_compact", {}, 3.5), ("sista_vit", {"patch_block": 0}, 7.5), ("test_vit", {}, 0.0), ("test_convnext", {}, 0.0)],
)
def test_the_gradient_is_centred_where_the_encoder_says_that_patches_look(name: str, options: dict[str, int], half: float) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(name, image_size=128, **options)
    assert derived(encoder) == -half
    assert offset(encoder, 1) == pytest.approx((-half, -half), abs=0.8)
