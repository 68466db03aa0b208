"""Any transformers text model behind one contract: a pooled vector and one vector a word piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sista.errors import SistaError, nearest

LENGTH_GROUPS = 4
SHORT_OF_LONGEST = 0.85  # a batch whose shortest text is longer than this share of the longest is not worth parting
# Randomly initialised BERTs by name: hidden size, layers, heads, feed-forward size.
SIZES = {"compact": (128, 2, 4, 256), "small": (256, 4, 4, 1024), "base": (768, 12, 12, 3072)}

WHOLE_MASKS = ("bert", "roberta", "xlm-roberta", "electra")  # kinds of models that take a mask [b,1,t,t] as it is


@dataclass(frozen=True)
class TextFeatures:
    """pooled [B,C]; pieces [B,T,C], the last hidden states."""

    pooled: Float[Tensor, "b c"]
    pieces: Float[Tensor, "b t c"]


class TextEncoder(nn.Module):
    """A transformers model by name or path, or a fresh BERT of one of `SIZES`.

    `pooling` is "mean" over real pieces or "cls", the first piece.
    """

    def __init__(self, name: str, *, vocabulary: int, pooling: str = "mean", config: dict[str, Any] | None = None, dropout: float = 0.1):
        super().__init__()
        if pooling not in ("mean", "cls"):
            raise SistaError(f"text pooling {pooling!r}: choose 'mean' or 'cls'")
        self.name, self.pooling = name, pooling
        self.model = _create(name, vocabulary, config, dropout)
        self.width: int = self.model.config.hidden_size
        self._whole_mask = _takes_whole_mask(self.model.config)
        rows = self.model.get_input_embeddings().num_embeddings
        if rows < vocabulary:
            raise SistaError(
                f"text encoder {name!r} knows {rows} tokens but the tokenizer has {vocabulary}; build the corpus with --tokenizer {name}"
            )

    @property
    def longest(self) -> int:
        """The most pieces that one text may have."""
        return int(getattr(self.model.config, "max_position_embeddings", 10**9))

    def forward(self, pieces: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> TextFeatures:
        """Pooled vectors and piece vectors of padded token ids. On the CPU texts of like length pass together: less padding is computed."""
        hidden = self._by_length(pieces, mask) if pieces.device.type == "cpu" else self._hidden(pieces, mask)
        if self.pooling == "cls":
            return TextFeatures(hidden[:, 0], hidden)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return TextFeatures((hidden * weight).sum(1) / weight.sum(1).clamp(min=1), hidden)

    def _hidden(self, pieces: Tensor, mask: Tensor) -> Tensor:
        given = mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1) if self._whole_mask else mask.long()
        return self.model(input_ids=pieces, attention_mask=given).last_hidden_state

    def _by_length(self, pieces: Tensor, mask: Tensor) -> Tensor:
        lengths = mask.sum(dim=1)
        if int(lengths.min()) > SHORT_OF_LONGEST * pieces.shape[1]:
            return self._hidden(pieces, mask)
        order = lengths.argsort(stable=True)
        parts = []
        for some in order.chunk(LENGTH_GROUPS):
            longest = int(lengths[some].max())
            hidden = self._hidden(pieces[some, :longest], mask[some, :longest])
            parts.append(nn.functional.pad(hidden, (0, 0, 0, pieces.shape[1] - longest)))
        return torch.cat(parts).index_select(0, order.argsort())

    def checkpoint_activations(self) -> None:
        """Compute the activations within layers again in the backward pass instead of keeping them. `SistaError` where the model cannot."""
        try:
            if hasattr(self.model, "activation_checkpointing_enable"):  # its name of late
                self.model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
            else:
                self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        except ValueError as error:
            raise SistaError(f"text encoder {self.name!r} has no activation checkpointing; leave model.checkpointing off") from error

    def describe(self) -> dict[str, Any]:
        """What `TextEncoder(**...)` needs to make the same architecture again, without a hub."""
        rows = self.model.get_input_embeddings().num_embeddings
        return {"name": self.name, "vocabulary": rows, "pooling": self.pooling, "config": self.model.config.to_dict()}


def _takes_whole_mask(config: Any) -> bool:
    """Whether a mask [b,1,t,t] will do. Of a mask [b,t] the fused attention asks the device if it is all ones, and the host waits."""
    from transformers import masking_utils

    known = hasattr(masking_utils, "create_bidirectional_mask")  # transformers before it refuse masks of four dimensions
    plain = config.model_type in WHOLE_MASKS and not getattr(config, "is_decoder", False)
    return known and plain and config._attn_implementation == "sdpa"


def _create(name: str, vocabulary: int, config: dict[str, Any] | None, dropout: float) -> Any:
    from transformers import AutoConfig, AutoModel, BertConfig

    if config is not None:
        kind = dict(config)
        return AutoModel.from_config(AutoConfig.for_model(kind.pop("model_type"), **kind))
    if name in SIZES:
        width, layers, heads, inner = SIZES[name]
        return AutoModel.from_config(
            BertConfig(
                vocab_size=vocabulary,
                hidden_size=width,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                intermediate_size=inner,
                max_position_embeddings=512,
                hidden_dropout_prob=dropout,
                attention_probs_dropout_prob=dropout,
            ),
            attn_implementation="eager" if not torch.cuda.is_available() else "sdpa",  # on CPUs plain products beat the fused kernel
        )
    try:
        return AutoModel.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise SistaError(
            f"text encoder {name!r} could not be loaded: neither a size ({nearest(name, SIZES)}) nor a transformers model "
            f"at that path or name ({str(error).splitlines()[0]})"
        ) from error
