"""An encoder by its specification."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sista.errors import SistaError
from sista.metrics.result import encoder_hash
from sista.models.backbone import load_backbone, open_backbone
from sista.models.image_encoder import ImageEncoder


def test_a_run_its_floor_and_another_size(run_path: Path) -> None:
    trained, floor, again = (open_backbone(run_path, untrained=untrained) for untrained in (False, True, True))
    assert trained.origin["kind"] == "sista"
    assert trained.origin["sha256"] != floor.origin["sha256"] == again.origin["sha256"]
    assert open_backbone(run_path, untrained=True, seed=1).origin["sha256"] != floor.origin["sha256"]
    other = load_backbone(run_path, image_size=96)
    assert (other.image_size, other.training) == (96, False)
    films = torch.randn(1, 1, 64, 64)
    torch.testing.assert_close(other(films).pooled, trained.encoder(films).pooled)


def test_what_a_hub_name_stands_for_is_the_source(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, **_: str(run_path / "model"))
    assert encoder_hash(open_backbone("owner/model").source) == encoder_hash(open_backbone(run_path).source) == encoder_hash(run_path)
    assert encoder_hash(run_path) is not None


def test_timm_names() -> None:
    state = torch.random.get_rng_state()
    a, b = (load_backbone(name, untrained=True, image_size=64) for name in ("timm:test_resnet", "test_resnet"))
    assert all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_file_in_an_architecture(tmp_path: Path) -> None:
    state = {
        "img_encoder_q.model." + name: tensor for name, tensor in ImageEncoder("test_resnet", image_size=64).model.state_dict().items()
    }
    save_file(state, tmp_path / "mgca.safetensors")
    opened = open_backbone(f"{tmp_path}/mgca.safetensors@test_resnet", image_size=64)
    assert opened.origin["kind"] == "foreign"
    assert opened.origin["tensors"]["layout"] == "MGCA"
    assert opened.encoder.image_size == 64
    with pytest.raises(SistaError, match=r"mgca.safetensors@resnet50"):
        load_backbone(tmp_path / "mgca.safetensors" / "x" / "mgca.safetensors")
    with pytest.raises(SistaError, match="does not fit"):
        load_backbone(f"{tmp_path}/mgca.safetensors@test_vit", image_size=64)


def test_what_is_nothing_is_refused() -> None:
    with pytest.raises(SistaError, match=r"resnet50"):
        load_backbone("resnet_50")
    with pytest.raises(SistaError, match="multiple of its patch size"):
        load_backbone("test_vit", untrained=True, image_size=100)
