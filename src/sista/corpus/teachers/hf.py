"""Any Hugging Face text encoder as teacher, frozen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sista.corpus.teachers import Reports, as_reports, normalised
from sista.errors import SistaError, nearest

_POOLINGS = ("cls", "mean", "pooler")


class TextEncoderTeacher:
    """Report vectors of a pre-trained text encoder: its class token, the mean of its pieces, or its pooler; [N, hidden size].

    name: a model's name or folder, with "#cls", "#mean" or "#pooler" behind it. SAT and FaNe use Bio_ClinicalBERT.
    """

    def __init__(self, name: str, batch_size: int = 32, max_pieces: int = 256) -> None:
        self.name, _, pooling = name.partition("#")
        self.pooling = pooling or "cls"
        if self.pooling not in _POOLINGS:
            raise SistaError(f"teacher hf:{name}: unknown pooling {self.pooling!r}: {nearest(self.pooling, _POOLINGS)}")
        self.batch_size, self.max_pieces = batch_size, max_pieces

    def fit(self, reports: Reports | Sequence[str]) -> TextEncoderTeacher:
        return self

    def vectors(self, reports: Reports | Sequence[str]) -> np.ndarray:
        import torch
        from transformers import AutoModel, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(self.name)
            model = AutoModel.from_pretrained(self.name).eval().float()
        except Exception as error:
            raise SistaError(
                f"teacher hf:{self.name}: the model cannot be loaded ({str(error).splitlines()[0][:160]}). Give a local folder, download "
                "it where there is a network and copy the cache, or use the teacher 'tfidf', which needs no weights."
            ) from None
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model.to(device)
        longest = min(self.max_pieces, getattr(model.config, "max_position_embeddings", self.max_pieces))
        texts = as_reports(reports).texts
        unique = sorted(set(texts), key=lambda text: (len(text), text))
        done: dict[str, np.ndarray] = {}
        for start in range(0, len(unique), self.batch_size):
            some = unique[start : start + self.batch_size]
            inputs = tokenizer(some, padding=True, truncation=True, max_length=longest, return_tensors="pt").to(device)
            with torch.inference_mode():
                output = model(**inputs)
            if self.pooling == "pooler":
                if getattr(output, "pooler_output", None) is None:
                    raise SistaError(f"teacher hf:{self.name}#pooler: this model has no pooler; use #cls or #mean")
                pooled = output.pooler_output
            elif self.pooling == "cls":
                pooled = output.last_hidden_state[:, 0]
            else:
                mask = inputs["attention_mask"].unsqueeze(-1)
                pooled = (output.last_hidden_state * mask).sum(1) / mask.sum(1)
            done.update(zip(some, pooled.float().cpu().numpy(), strict=True))
        return normalised(np.stack([done[text] for text in texts]))
