"""Report labellers with weights: a transformers sequence classifier, or one head per observation on an encoder, as CheXbert."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sista.errors import SistaError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CHEXBERT = (
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)
"""The heads of CheXbert in order (Smit et al., EMNLP 2020): 13 of four classes (blank, positive, negative, uncertain), the last of two."""
_VALUES = {2: (0.0, 1.0), 4: (np.nan, 1.0, 0.0, -1.0)}
_MOST_PIECES = 512
_HEAD = "linear_heads."


class HfLabeller:
    """Reports to labels [N, K] by a model: 1 present, 0 denied, -1 uncertain, NaN silent; equal reports are read once.

    A sequence classifier (its config says so in `architectures`) is read as multi-label: K logits, present where the sigmoid is above
    `threshold`, absent elsewhere; `names` are its `id2label`. Any other folder must hold weights with `linear_heads.0.weight` and on, as
    CheXbert's `chexbert.pth`: heads of four classes (blank, positive, negative, uncertain) or two (absent, present) on the class token;
    `names` are `observations` of the config, else the 14 of CheXbert. Beside the weights lie config.json and the tokenizer.

    Args:
        name: a model on the Hugging Face Hub, or a folder.
        batch_size: reports at a time.
        threshold: probability from which a sequence classifier's observation is present.
    """

    def __init__(self, name: str, batch_size: int = 32, threshold: float = 0.5) -> None:
        self.name, self.batch_size, self.threshold = name, batch_size, threshold
        try:
            self._load()
        except SistaError:
            raise
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise SistaError(
                f"labeller hf:{name}: the model cannot be loaded ({reason}). Give a local folder with config.json, tokenizer and weights, "
                "or use the labeller 'rules', which needs none."
            ) from None

    def _load(self) -> None:
        import torch
        from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

        config = AutoConfig.from_pretrained(self.name)
        self._tokenizer = AutoTokenizer.from_pretrained(self.name)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._heads: list[tuple[Tensor, Tensor]] = []
        self._longest = min(_MOST_PIECES, getattr(config, "max_position_embeddings", _MOST_PIECES))
        if any("ForSequenceClassification" in kind for kind in config.architectures or ()):
            if config.problem_type == "single_label_classification":
                raise SistaError(
                    f"labeller hf:{self.name}: it chooses one label per text; a labeller of findings needs a multi-label model"
                )
            self.names: tuple[str, ...] = tuple(config.id2label[k] for k in sorted(config.id2label))
            model = AutoModelForSequenceClassification.from_pretrained(self.name)
        else:
            state = _state(self.name)
            count = sum(key.startswith(_HEAD) and key.endswith(".weight") for key in state)
            self.names = tuple(getattr(config, "observations", None) or CHEXBERT)
            if count != len(self.names):
                raise SistaError(
                    f"labeller hf:{self.name}: {count} heads (linear_heads.N.weight) for {len(self.names)} observations; give a sequence "
                    "classifier, or a CheXbert-like model whose config names one observation per head"
                )
            self._heads = [(state[f"{_HEAD}{n}.weight"].to(self._device), state[f"{_HEAD}{n}.bias"].to(self._device)) for n in range(count)]
            if odd := sorted({len(bias) for _, bias in self._heads} - set(_VALUES)):
                raise SistaError(f"labeller hf:{self.name}: heads of {odd} classes; expected 2 (absent, present) or 4 (blank first)")
            model = AutoModel.from_config(config)
            missing = model.load_state_dict(
                {key.removeprefix("bert."): value for key, value in state.items() if not key.startswith(_HEAD)}, strict=False
            ).missing_keys
            if lost := [key for key in missing if not key.startswith("pooler") and not key.endswith("position_ids")]:
                raise SistaError(f"labeller hf:{self.name}: the weights lack {len(lost)} tensors of the encoder ({lost[0]}, ...)")
        self._model = model.eval().to(self._device)

    def __call__(self, reports: Sequence[str]) -> np.ndarray:
        """float32 [N, K] in the order of `names`."""
        import torch

        unique = sorted(set(reports), key=lambda text: (len(text), text))
        done: dict[str, np.ndarray] = {}
        for start in range(0, len(unique), self.batch_size):
            some = unique[start : start + self.batch_size]
            inputs = self._tokenizer(some, padding=True, truncation=True, max_length=self._longest, return_tensors="pt").to(self._device)
            with torch.inference_mode():
                done.update(zip(some, self._read(self._model(**inputs)), strict=True))
        return np.array([done[text] for text in reports], dtype=np.float32).reshape(len(reports), len(self.names))

    def _read(self, output: Any) -> np.ndarray:
        if not self._heads:
            return (output.logits.sigmoid() > self.threshold).float().cpu().numpy()
        token = output.last_hidden_state[:, 0]
        columns = []
        for weight, bias in self._heads:
            chosen = (token @ weight.T + bias).argmax(dim=1).cpu().numpy()
            columns.append(np.array(_VALUES[len(bias)], dtype=np.float32)[chosen])
        return np.stack(columns, axis=1)


def _state(name: str) -> dict[str, torch.Tensor]:
    """Tensors by name of the first file with heads (those of the bare encoder may lie beside CheXbert's), else of the first file."""
    folder = Path(name)
    if not folder.is_dir():
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(name))
    files = [file for pattern in ("*.safetensors", "*.pth", "*.bin") for file in sorted(folder.glob(pattern))]
    if not files:
        raise SistaError(f"labeller hf:{name}: no weights (*.safetensors, *.pth, *.bin) in {folder}")
    states = (_tensors(file) for file in files)
    return next((state for state in states if f"{_HEAD}0.weight" in state), None) or _tensors(files[0])


def _tensors(path: Path) -> dict[str, torch.Tensor]:
    """Of a training checkpoint its `model_state_dict`, without the `module.` of DataParallel."""
    import torch
    from safetensors.torch import load_file

    state: Any = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("model_state_dict", state)
    return {key.removeprefix("module."): value for key, value in state.items()}
