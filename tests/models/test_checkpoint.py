"""Checkpoints on disk: what was saved comes back; what is missing or damaged is named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sista.errors import SistaError
from sista.models.checkpoint import load_pretrained, save_pretrained, stored_tensors
from sista.models.dual_encoder import DualEncoder
from sista.models.image_encoder import ImageEncoder
from sista.models.text_encoder import TextEncoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    encoder = DualEncoder(ImageEncoder("test_vit", image_size=32), TextEncoder("compact", vocabulary=50), dim=8)
    save_pretrained(tmp_path / "run" / "model", encoder, {"method": "clip"})
    for name in ("tokenizer.json", "special.json"):
        (tmp_path / "run" / "model" / name).write_text("{}")
    return tmp_path / "run"


@pytest.mark.parametrize("inside", ["", "model"])
def test_round_trip(folder: Path, inside: str) -> None:
    torch.manual_seed(0)
    expected = DualEncoder(ImageEncoder("test_vit", image_size=32), TextEncoder("compact", vocabulary=50), dim=8).state_dict()
    torch.manual_seed(1)
    loaded = load_pretrained(folder / inside)
    assert loaded.card == {"method": "clip"}
    state = loaded.encoder.state_dict()
    assert set(state) == set(expected)
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_fresh_weights(folder: Path) -> None:
    torch.manual_seed(5)
    fresh = load_pretrained(folder, weights=False).encoder.state_dict()
    saved = load_pretrained(folder).encoder.state_dict()
    assert not torch.equal(fresh["image_head.last.weight"], saved["image_head.last.weight"])


@pytest.mark.parametrize("name", ["runs/my run", "runs/a--b", "runs/.x"])
def test_a_path_that_no_hub_could_have(name: str) -> None:
    with pytest.raises(SistaError, match="no checkpoint at runs/"):
        load_pretrained(name)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(SistaError, match="does not exist"):
        load_pretrained(tmp_path / "nowhere")


def test_missing_and_damaged_files_are_named(folder: Path) -> None:
    weights = folder / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(SistaError, match=r"model\.safetensors"):
        load_pretrained(folder)
    weights.unlink()
    with pytest.raises(SistaError, match=r"model\.safetensors missing"):
        load_pretrained(folder)
    (folder / "model" / "config.json").write_text("{")
    weights.write_bytes(b"")
    with pytest.raises(SistaError, match=r"config\.json"):
        load_pretrained(folder)


def test_a_configuration_that_lacks_a_part_and_a_folder_that_cannot_be_written_are_named(folder: Path, tmp_path: Path) -> None:
    encoder = load_pretrained(folder).encoder
    (folder / "model" / "config.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(SistaError, match=r"config\.json has no encoder and no card"):
        load_pretrained(folder)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SistaError, match="the model cannot be written"):
        save_pretrained(tmp_path / "file", encoder, {})


def test_other_format_is_refused(folder: Path) -> None:
    file = folder / "model" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format": 99}))
    with pytest.raises(SistaError, match="format 99"):
        load_pretrained(folder)


def test_tensors_that_a_model_uses_twice_are_stored_and_come_back(tmp_path: Path) -> None:
    """safetensors refuses shared memory: such an encoder trained, and could not be kept."""
    tied = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    tied[1].weight = tied[0].weight
    save_file(stored_tensors(tied.state_dict()), tmp_path / "tied.safetensors")
    held = load_file(tmp_path / "tied.safetensors")
    assert all(torch.equal(held[name], value) for name, value in tied.state_dict().items())
    assert set(held) == set(tied.state_dict())
