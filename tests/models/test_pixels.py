"""Weights made for other pixels give, on our films, what they give on theirs."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from sista.errors import SistaError
from sista.models.backbone import open_backbone
from sista.models.foreign import load_foreign
from sista.models.foreign_keys import HALF
from sista.models.image_encoder import ImageEncoder
from sista.models.pixels import fold_pixels, require_plain
from tests.models.test_foreign import ours, pixels, shaken, theirs

# the tensor behind the first convolution, where padding at the border has not spread yet
STEMS = {
    "resnet18": "bn1",
    "densenet121": "features.norm0",
    "efficientnet_b0": "bn1",
    "regnety_002": "stem.bn",
    "mobilenetv3_small_050": "bn1",
    "convnext_atto": "stem.0",
    "vit_tiny_patch16_224": "patch_embed.proj",
}


def behind(model: Any, name: str, images: torch.Tensor) -> torch.Tensor:
    found: list[torch.Tensor] = []
    handle = model.get_submodule(name).register_forward_hook(lambda module, given, result: found.append(result))
    with torch.no_grad():
        model(images)
    handle.remove()
    return found[0]


def way_of(model: Any) -> tuple:
    return model.pretrained_cfg["mean"], model.pretrained_cfg["std"]


@pytest.mark.parametrize("name", STEMS)
def test_every_family_has_a_place_for_them(name: str) -> None:
    size = {"img_size": 64} if "vit" in name else {}
    full = shaken(timm.create_model(name, num_classes=0, **size))
    encoder = ImageEncoder(name, image_size=64).eval()
    assert load_foreign(encoder, full.state_dict()).pixels == way_of(full)
    film = pixels(64)
    got, wanted = behind(encoder.model, STEMS[name], ours(film)), behind(full, STEMS[name], theirs(film, way_of(full)))
    inside = (..., slice(None)) if "vit" in name or "convnext" in name else (..., slice(4, -4), slice(4, -4))
    torch.testing.assert_close(got[inside], wanted[inside], rtol=1e-3, atol=1e-3)


def test_without_a_bias_they_go_into_the_positions() -> None:
    full = shaken(timm.create_model("vit_base_patch16_clip_224", num_classes=0, img_size=64, depth=1))
    encoder = ImageEncoder("vit_base_patch16_clip_224", image_size=64, options={"depth": 1}).eval()
    assert load_foreign(encoder, full.state_dict()).missing == ()
    film = pixels(64)
    with torch.no_grad():
        torch.testing.assert_close(encoder(ours(film)).pooled, full(theirs(film, way_of(full))), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "resnet18"])
def test_those_of_timm_are_the_same_by_name_and_by_file(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = shaken(timm.create_model(name))
    save_file(full.state_dict(), tmp_path / "weights.safetensors")
    make = timm.create_model

    def from_file(*arguments: Any, **keywords: Any) -> Any:
        overlay = {"pretrained_cfg_overlay": {"file": str(tmp_path / "weights.safetensors")}} if keywords.get("pretrained") else {}
        return make(*arguments, **keywords, **overlay)

    monkeypatch.setattr(timm, "create_model", from_file)
    by_name, by_file = open_backbone(f"timm:{name}"), open_backbone(f"{tmp_path / 'weights.safetensors'}@{name}")
    assert by_name.origin["sha256"] == by_file.origin["sha256"]
    film = pixels(224, 1)
    if "vit" in name:
        wanted = full.forward_head(full.forward_features(theirs(film, way_of(full))), pre_logits=True)
        torch.testing.assert_close(by_name.encoder(ours(film)).pooled, wanted, rtol=1e-3, atol=1e-3)


def test_where_they_have_no_place_it_is_said() -> None:
    encoder = ImageEncoder("efficientnet_b0_gn", image_size=64)
    with pytest.raises(SistaError, match=r"'efficientnet_b0_gn': behind conv_stem stands neither a bias nor a batch norm.*take a ResNet"):
        load_foreign(encoder, timm.create_model("efficientnet_b0_gn").state_dict())
    with pytest.raises(SistaError, match=r"'two': its pixels .* have no first convolution to go into"):
        fold_pixels({}, ("one", "other"), HALF, "two")


def test_weights_for_other_patches_are_refused() -> None:
    encoder = ImageEncoder("vit_small_patch16_224", image_size=64)
    before = encoder.model.patch_embed.proj.bias.clone()
    with pytest.raises(SistaError, match=r"without patch_embed\.proj\.weight its features mean nothing"):
        load_foreign(encoder, timm.create_model("vit_small_patch32_224", num_classes=0, img_size=64).state_dict())
    assert torch.equal(encoder.model.patch_embed.proj.bias, before)


@pytest.mark.parametrize("name", ["resnetv2_50x1_bit", "nf_resnet26"])
def test_where_weights_are_standardised_at_each_call_other_pixels_are_refused(name: str) -> None:
    model = timm.create_model(name, num_classes=0)
    with pytest.raises(SistaError, match="standardises its first convolution's weights"):
        require_plain(model, model.pretrained_cfg["first_conv"], name)
    require_plain(timm.create_model("resnet18"), "conv1", "resnet18")
