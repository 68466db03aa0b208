"""Every image encoder keeps one contract."""

import copy
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from sista.errors import SistaError
from sista.models.image_encoder import ImageEncoder

NAMES = ["sista_compact", "sista_vit", "test_resnet", "test_vit", "test_convnext", "test_efficientnet"]
HIERA = {"embed_dim": 16, "num_heads": 1, "stages": (1, 1, 2, 1)}  # it computes no stage behind the last that is asked for


@pytest.mark.parametrize(("name", "options"), [*((name, {}) for name in NAMES), ("hiera_tiny_224", HIERA)])
def test_contract(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    encoder = ImageEncoder(name, image_size=96, options=options).eval()
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


@pytest.mark.parametrize("name", ["sista_vit", "test_vit"])
def test_patch_block_picks_the_block_and_nothing_else(name: str) -> None:
    torch.manual_seed(0)
    last = ImageEncoder(name, image_size=96).eval()
    blocks = len(last.model.blocks)
    images = torch.randn(2, 1, 96, 96)
    expected = last.model.forward_intermediates(images, norm=True)[1]
    for block in (1, blocks - 1, blocks):
        encoder = ImageEncoder(**{**last.describe(), "patch_block": block}).eval()
        encoder.load_state_dict(last.state_dict())
        features = encoder(images)
        assert torch.equal(features.patches, expected[block - 1].flatten(2).transpose(1, 2))
        assert torch.equal(features.pooled, last(images).pooled)
        assert torch.equal(encoder.pyramid(images)[0], last.pyramid(images)[0])
        assert ImageEncoder(**encoder.describe()).patch_block == block


@pytest.mark.parametrize(("name", "options"), [("sista_vit", {}), ("test_vit", {}), ("test_vit", {"dynamic_img_size": True})])
def test_patches_of_the_stem_know_nothing_from_elsewhere(name: str, options: dict[str, bool]) -> None:
    """A bright spot in the top right reaches every patch of block 1, and of the stem only those beside it."""
    torch.manual_seed(0)
    stem = ImageEncoder(name, image_size=96, patch_block=0, options=options).eval()
    first = ImageEncoder(name, image_size=96, patch_block=1, options=options).eval()
    first.load_state_dict(stem.state_dict())
    dark = torch.zeros(1, 1, 96, 96)
    spot = dark.clone()
    spot[..., 2:14, 82:94] = 5.0
    reached = [(one(spot).patches - one(dark).patches)[0].abs().amax(dim=-1).view(one.grid) > 0 for one in (stem, first)]
    assert reached[0][:2, -2:].any()
    assert reached[0].sum() <= 4
    assert reached[1].all()
    assert torch.equal(stem(spot).pooled, first(spot).pooled)
    assert torch.equal(stem.pyramid(spot)[0], first.pyramid(spot)[0])
    copy.deepcopy(stem.train())  # nothing of a pass is kept
    assert ImageEncoder(**stem.describe()).patch_block == 0


def test_patches_of_a_hybrid_are_those_of_its_convolutions() -> None:
    """timm's transformers behind a ResNet: with patch_block 0 one token a patch, as the convolutions give it to the blocks."""
    torch.manual_seed(0)
    encoder = ImageEncoder("vit_tiny_r_s16_p8_224", image_size=96, patch_block=0).eval()
    film = torch.randn(1, 1, 96, 96)
    features = encoder(film)
    assert features.grid == (3, 3)
    assert features.patches.shape == features.deepest.shape == (1, 9, encoder.patch_width)
    assert torch.equal(features.patches, encoder.model.patch_embed(film).flatten(1, -2))
    assert not encoder.patches_are_deepest


def test_the_stem_is_trained_by_its_patches() -> None:
    encoder = ImageEncoder("sista_vit", image_size=96, patch_block=0)
    encoder(torch.randn(2, 1, 96, 96)).patches.square().sum().backward()
    trained = {name.split(".")[1] for name, weight in encoder.named_parameters() if weight.grad is not None and weight.grad.any()}
    assert trained == {"patch_embed"}


def test_two_threads_on_one_encoder_get_their_own_patches() -> None:
    encoder = ImageEncoder("sista_vit", image_size=96, patch_block=0).eval()
    films = torch.randn(2, 2, 1, 96, 96)

    def encode(number: int) -> torch.Tensor:
        with torch.inference_mode():
            return encoder(films[number]).patches

    alone = [encode(number) for number in (0, 1)]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(encode, [0, 1] * 20))
    assert all(torch.equal(one, alone[number % 2]) for number, one in enumerate(found))


@pytest.mark.parametrize("name", ["mixer_s32_224", "xcit_nano_12_p16_224"])
def test_no_tokens_before_the_blocks(name: str) -> None:
    with pytest.raises(SistaError, match=f"patch_block 0: image encoder '{name}' has no patch embedding that gives one token a patch"):
        ImageEncoder(name, image_size=224, patch_block=0)


@pytest.mark.parametrize(
    ("name", "block", "reason"),
    [
        ("sista_vit", 7, r"has 6 blocks, counted from 1 \(0: its patch embedding\)"),
        ("sista_vit", -1, r"has 6 blocks, counted from 1 \(0: its patch embedding\)"),
        ("sista_compact", 1, "is no plain vision transformer; it has patch_stride"),
    ],
)
def test_a_block_that_is_not_there(name: str, block: int, reason: str) -> None:
    with pytest.raises(SistaError, match=f"patch_block {block}: image encoder '{name}' {reason}"):
        ImageEncoder(name, image_size=96, patch_block=block)


def test_compact_takes_other_sizes() -> None:
    encoder = ImageEncoder("sista_compact", image_size=64).eval()
    assert encoder(torch.randn(1, 1, 96, 64)).grid == (12, 8)


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(SistaError, match="resnet50"):
        ImageEncoder("resnet_50", image_size=64)


def test_a_film_size_that_a_transformer_cannot_take() -> None:
    with pytest.raises(SistaError, match=r"'sista_vit' takes no films of 100 px .*choose a multiple of its patch size"):
        ImageEncoder("sista_vit", image_size=100)


def test_what_was_made_of_a_folder_of_weights_can_be_made_again_without_it(tmp_path: Path) -> None:
    saved = timm.create_model("test_vit", depth=2, num_classes=0)
    timm.models.save_for_hf(saved, str(tmp_path / "weights"), model_args={"depth": 2}, safe_serialization=True)
    encoder = ImageEncoder(f"local-dir:{tmp_path / 'weights'}", image_size=64, pretrained=True)
    described = json.loads(json.dumps(encoder.describe()))
    shutil.rmtree(tmp_path / "weights")
    again = ImageEncoder(**described)
    assert (again.name, len(again.model.blocks)) == ("test_vit", 2)
    again.load_state_dict(encoder.state_dict())
    assert again.describe() == described


def test_patches_that_go_through_a_neck_have_its_width() -> None:
    encoder = ImageEncoder("samvit_base_patch16", image_size=64)
    with torch.no_grad():
        found = encoder.eval()(torch.zeros(1, 1, 64, 64))
    assert found.patches.shape[2] == encoder.patch_width
    assert found.deepest.shape[2] == encoder.deepest_width


def test_a_film_size_that_breaks_a_model_is_told() -> None:
    with pytest.raises(SistaError, match="takes no films of 100 px"):
        ImageEncoder("twins_svt_small", image_size=100)
