"""Other people's checkpoints: every published layout by code, the account of their tensors, and what must be refused."""

from argparse import Namespace
from collections import defaultdict
from pathlib import Path, PurePosixPath

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from sista.corpus.films import augmentation
from sista.errors import SistaError
from sista.models import pixels as own_pixels
from sista.models.foreign import load_foreign, read_state
from sista.models.foreign_keys import HALF, IMAGENET, RAW
from sista.models.image_encoder import ImageEncoder


def shaken(model: nn.Module, seed: int = 0) -> nn.Module:
    """A model whose every tensor, running statistics included, has its own values."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                spread = 0.1 * torch.randn(tensor.shape, generator=generator)
                tensor.copy_(
                    1 + spread.abs() if name.endswith("running_var") else tensor + spread * (tensor.std() if tensor.numel() > 1 else 1)
                )
    return model.eval()


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return shaken(torchvision.models.resnet18())


def named(model: nn.Module, prefix: str, children: bool = False) -> dict[str, torch.Tensor]:
    body = nn.Sequential(*list(model.children())[:-1]) if children else model
    others = {"text_encoder_q.model.embeddings.word_embeddings.weight": torch.zeros(7, 3), "logit_scale": torch.zeros(())}
    return {**{prefix + name: tensor for name, tensor in body.state_dict().items()}, **others}


def pixels(size: int = 96, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def ours(film: torch.Tensor) -> torch.Tensor:
    return (film - augmentation.MEAN) / augmentation.STD


def theirs(film: torch.Tensor, way: tuple) -> torch.Tensor:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in way)
    return (film.expand(-1, 3, -1, -1) - mean) / std


def test_the_normalisation_is_that_of_the_corpus() -> None:
    assert (own_pixels.MEAN, own_pixels.STD) == (augmentation.MEAN, augmentation.STD)


@pytest.mark.parametrize(
    ("layout", "prefix", "children"),
    [
        ("MGCA", "img_encoder_q.model.", False),
        ("GLoRIA", "gloria.img_encoder.model.", False),
        ("ConVIRT in MGCA's code", "img_encoder.model.", False),
        ("ConVIRT in BenchX", "visual.model.", False),
        ("ConVIRT-pytorch", "res_features.", True),
        ("MedKLIP", "module.res_features.", True),
        ("BioViL", "encoder.encoder.", False),
        ("MedCLIP", "vision_model.model.", False),
        ("FaNe", "image_encoder.model.", False),
        ("timm, torchvision or transformers", "", False),
        ("unknown", "somebody.elses.trunk.", False),
    ],
)
def test_published_layouts_are_found(resnet: nn.Module, layout: str, prefix: str, children: bool) -> None:
    encoder = ImageEncoder("resnet18", image_size=96)
    report = load_foreign(encoder, named(resnet, prefix, children))
    assert report.layout == layout
    assert (report.missing, report.mismatched) == ((), {})
    assert len(report.used) == 100  # of resnet18: 20 convolutions, 20 batch norms of 4
    assert "text_encoder_q.model.embeddings.word_embeddings.weight" in report.unused
    assert list(report.adapted.values()) == ["three channels summed to one"]
    assert torch.equal(encoder.model.state_dict()["layer4.1.conv2.weight"], resnet.state_dict()["layer4.1.conv2.weight"])
    assert (layout == "FaNe" or layout == "unknown") != report.verified


def test_features_are_theirs(resnet: nn.Module) -> None:
    """MGCA's pixels have mean 0.5 as ours, so that even padding is the same grey."""
    encoder = ImageEncoder("resnet18", image_size=96).eval()
    assert load_foreign(encoder, named(resnet, "img_encoder_q.model.")).pixels == HALF
    film = pixels()
    body = nn.Sequential(*list(resnet.children())[:-1])
    torch.testing.assert_close(encoder(ours(film)).pooled, body(theirs(film, HALF)).flatten(1), rtol=1e-3, atol=1e-3)


def test_other_pixels_differ_at_the_border_only(resnet: nn.Module) -> None:
    encoder = ImageEncoder("resnet18", image_size=96).eval()
    assert load_foreign(encoder, named(resnet, "encoder.encoder.")).pixels == RAW
    film = pixels()
    got, wanted = encoder.model.bn1(encoder.model.conv1(ours(film))), resnet.bn1(resnet.conv1(theirs(film, RAW)))
    torch.testing.assert_close(got[..., 3:-3, 3:-3], wanted[..., 3:-3, 3:-3], rtol=1e-4, atol=1e-4)


def old_transformers_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """transformers 4 wrote ViT so; 5 reads both."""
    changes = {
        ".attention.q_proj.": ".attention.attention.query.",
        ".attention.k_proj.": ".attention.attention.key.",
        ".attention.v_proj.": ".attention.attention.value.",
        ".attention.o_proj.": ".attention.output.dense.",
        ".mlp.fc1.": ".intermediate.dense.",
        ".mlp.fc2.": ".output.dense.",
    }
    result = {}
    for name, tensor in state.items():
        for new, old in changes.items():
            name = name.replace(new, old)
        result["vit." + name.replace("layers.", "encoder.layer.", 1)] = tensor
    return result


@pytest.mark.parametrize("kind", ["transformers 5", "transformers 4", "torchvision", "timm in MGCA"])
def test_vision_transformers(kind: str) -> None:
    """Without padding the features are equal everywhere, whatever the pixels."""
    film = pixels(224, 1)
    encoder = ImageEncoder("vit_tiny_patch16_224", image_size=224).eval()
    settings = encoder.model.pretrained_cfg
    way = (settings["mean"], settings["std"])
    if kind.startswith("transformers"):
        from transformers import ViTConfig, ViTModel

        shape = ViTConfig(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, intermediate_size=768, layer_norm_eps=1e-6)
        model = shaken(ViTModel(shape))
        wanted = model(theirs(film, way)).last_hidden_state[:, 0]
        state = model.state_dict() if kind.endswith("5") else old_transformers_names(model.state_dict())
    elif kind == "torchvision":
        model, way = shaken(torchvision.models.VisionTransformer(224, 16, 12, 3, 192, 768)), IMAGENET  # as its weights are released
        model.heads = nn.Identity()
        wanted, state = model(theirs(film, way)), model.state_dict()
    else:
        import timm

        model, way = shaken(timm.create_model("vit_tiny_patch16_224", num_classes=0)), HALF
        wanted, state = model(theirs(film, way)), {"img_encoder_q.model." + name: tensor for name, tensor in model.state_dict().items()}
    report = load_foreign(encoder, state)
    assert report.missing == ()
    torch.testing.assert_close(encoder(ours(film)).pooled, wanted, rtol=1e-3, atol=1e-3)


def test_transformers_resnet(resnet: nn.Module) -> None:
    from transformers import ResNetConfig, ResNetModel

    sizes = [64, 128, 256, 512]
    model = shaken(ResNetModel(ResNetConfig(embedding_size=64, hidden_sizes=sizes, depths=[2, 2, 2, 2], layer_type="basic")))
    encoder = ImageEncoder("resnet18", image_size=96).eval()
    state = {"resnet." + name: tensor for name, tensor in model.state_dict().items()}
    report = load_foreign(encoder, state)
    assert (report.layout, report.missing, report.dialect) == ("transformers", (), "transformers ResNet")
    film = torch.full((1, 1, 96, 96), 0.5)
    got = encoder.model.bn1(encoder.model.conv1(ours(film)))[..., 8:-8, 8:-8]
    torch.testing.assert_close(
        got, model.embedder.embedder.normalization(model.embedder.embedder.convolution(theirs(film, IMAGENET)))[..., 8:-8, 8:-8]
    )


def test_positions_are_resampled() -> None:
    large, small = (ImageEncoder("test_vit", image_size=size) for size in (160, 96))
    report = load_foreign(small, large.model.state_dict())
    assert report.adapted["pos_embed"] == "positions resampled from 10 x 10 to 6 x 6"
    assert report.missing == ()


def test_a_truncated_checkpoint_is_refused_and_changes_nothing(resnet: nn.Module) -> None:
    encoder = ImageEncoder("resnet18", image_size=96)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    state = {name: tensor for name, tensor in named(resnet, "img_encoder_q.model.").items() if ".layer4." not in name}
    with pytest.raises(SistaError, match=r"75 of its 100 tensors.*MGCA.*layer4\.0\.bn1"):
        load_foreign(encoder, state)
    assert all(torch.equal(before[name], tensor) for name, tensor in encoder.state_dict().items())
    report = load_foreign(encoder, state, least=0.7)
    assert len(report.missing) == 25
    assert "25 of the encoder's missing" in str(report)


def test_a_foreign_one_is_refused(resnet: nn.Module) -> None:
    encoder = ImageEncoder("resnet18", image_size=96)
    with pytest.raises(SistaError, match="0 of its 100 tensors"):
        load_foreign(encoder, {f"bert.encoder.layer.{n}.attention.self.query.weight": torch.zeros(8, 8) for n in range(12)})
    with pytest.raises(SistaError, match="of another shape"):
        load_foreign(ImageEncoder("resnet34", image_size=96), {**torchvision.models.resnet50().state_dict()})
    wide = {name: tensor.repeat(2, *[1] * (tensor.ndim - 1)) if tensor.ndim else tensor for name, tensor in resnet.state_dict().items()}
    with pytest.raises(SistaError, match="0 of its 100 tensors found"):
        load_foreign(encoder, wide)


class Configuration:
    def __init__(self) -> None:
        self.depth = {"a": [1, 2]}


class AttributeDict(dict):
    """As Lightning keeps hyper-parameters."""


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_read_state_opens_wrappers_and_runs_nothing(tmp_path: Path) -> None:
    tensors = {"conv1.weight": torch.arange(3.0), "bn1.bias": torch.ones(2)}
    save_file(tensors, tmp_path / "a.safetensors")
    torch.save(tensors, tmp_path / "b.pth")
    settings = AttributeDict(args=Namespace(lr=1e-4, out=PurePosixPath("/data")), model=Configuration(), counts=defaultdict(list, a=[1]))
    torch.save({"epoch": 3, "state_dict": tensors, "hyper_parameters": settings}, tmp_path / "c.ckpt")
    torch.save({"model": {"state_dict": tensors}, "optimizer": {"state": {}}}, tmp_path / "d.pt")
    for file in ("a.safetensors", "b.pth", "c.ckpt", "d.pt"):
        read = read_state(tmp_path / file)
        assert read.keys() == tensors.keys()
        assert torch.equal(read["conv1.weight"], tensors["conv1.weight"])


def test_read_state_refuses(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.ones(1)}, "trap": Trap(tmp_path / "sprung")}, tmp_path / "trap.pth")
    (tmp_path / "damaged.pth").write_bytes(b"PK\x03\x04 no zip")
    (tmp_path / "nothing.pth").touch()
    (tmp_path / "damaged.safetensors").write_bytes(b"12")
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    for file, message in [
        ("damaged.pth", "convert"),
        ("trap.pth", "no code"),
        ("nothing.pth", "damaged"),
        ("damaged.safetensors", "no whole"),
        ("empty.pth", "no named"),
        ("gone.pth", "no check"),
    ]:
        with pytest.raises(SistaError, match=message):
            read_state(tmp_path / file)
    assert not (tmp_path / "sprung").exists()
