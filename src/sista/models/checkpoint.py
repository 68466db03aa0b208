"""A dual encoder on disk: safetensors and JSON, beside its tokenizer's two JSON files. Never pickle."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sista.errors import SistaError
from sista.models.dual_encoder import DualEncoder

FORMAT = 1
FILES = ("config.json", "model.safetensors", "tokenizer.json", "special.json")


@dataclass(frozen=True)
class Pretrained:
    """A dual encoder, where it came from, and what its checkpoint says of it (`method`, `label_names`, `temperature`, versions, ...)."""

    encoder: DualEncoder
    folder: Path
    card: dict[str, Any]


def save_pretrained(folder: Path, encoder: DualEncoder, card: dict[str, Any]) -> None:
    """Write `model.safetensors` and `config.json` into `folder`; the caller adds the tokenizer. The configuration comes last."""
    tensors = stored_tensors(encoder.state_dict())
    description = {"format": FORMAT, "encoder": encoder.describe(), "card": card}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        (folder / "config.json").write_text(json.dumps(description, indent=2, default=str) + "\n")
    except (SafetensorError, OSError) as error:
        raise SistaError(f"{folder}: the model cannot be written ({error}); make room there, or mend what is in the way") from error


def stored_tensors(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a state dict as safetensors takes them: on the CPU, whole, and each with memory of its own, also where a model uses
    one parameter twice."""
    stored: dict[str, Tensor] = {}
    seen = set[int]()
    for name, tensor in state.items():
        one = tensor.detach().cpu().contiguous()
        place = one.untyped_storage().data_ptr()
        stored[name] = one.clone() if place in seen else one
        seen.add(place)
    return stored


def load_pretrained(path: str | Path, weights: bool = True) -> Pretrained:
    """Read a checkpoint from a folder, a run's folder, or a Hub repository by name.

    weights: False gives the same architecture with fresh weights.
    """
    folder = _locate(path)
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise SistaError(
            f"{folder} is no sista checkpoint: {', '.join(missing)} missing; give the folder that `sista pretrain --out` wrote"
        )
    try:
        description = json.loads((folder / "config.json").read_text())
    except json.JSONDecodeError as error:
        raise SistaError(f"{folder / 'config.json'} is damaged ({error}); use another checkpoint") from error
    if description.get("format") != FORMAT:
        raise SistaError(f"{folder} has checkpoint format {description.get('format')!r}; this version of sista reads format {FORMAT}")
    if lacking := [name for name in ("encoder", "card") if name not in description]:
        raise SistaError(f"{folder / 'config.json'} has no {' and no '.join(lacking)}; use another checkpoint")
    encoder = DualEncoder.from_description(description["encoder"])
    if weights:
        try:
            encoder.load_state_dict(load_file(folder / "model.safetensors"))
        except (SafetensorError, RuntimeError) as error:
            raise SistaError(f"{folder / 'model.safetensors'} does not fit its configuration ({error}); use another checkpoint") from error
    return Pretrained(encoder.eval(), folder, description["card"])


def _locate(path: str | Path) -> Path:
    folder = Path(path)
    for candidate in (folder / "model", folder):
        if (candidate / "config.json").is_file():
            return candidate
    if folder.exists():
        return folder
    name = str(path)
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise SistaError(f"no checkpoint at {path}: the folder does not exist; give a run's folder or a Hub name such as owner/model")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise SistaError(f"no checkpoint at {path}, neither as a folder nor on the Hub ({str(error).splitlines()[0]})") from error
