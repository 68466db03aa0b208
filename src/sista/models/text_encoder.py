"""Any transformers text model behind one contract: a pooled vector and one vector a word piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sista.errors import SistaError, nearest
from sista.models.packing import ATTENTION, Packing, register

WORTH_PACKING = 0.95  # a batch of which more than this share is real pieces goes through as it is
# Randomly initialised BERTs by name: hidden size, layers, heads, feed-forward size.
SIZES = {"compact": (128, 2, 4, 256), "small": (256, 4, 4, 1024), "base": (768, 12, 12, 3072)}

BEHIND_PADDING = ("roberta", "xlm-roberta", "camembert", "mpnet", "longformer", "data2vec-text")  # places count from the padding's id on
# Kinds of models that take a mask [b,1,t,t] as it is, and texts packed in one row; and what they add to a piece's position
PLAIN_KINDS = {"bert": 0, "electra": 0, "roberta": 1, "xlm-roberta": 1}


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
        if getattr(self.model.config, "is_encoder_decoder", False) or not hasattr(self.model.config, "hidden_size"):
            kind = self.model.config.model_type
            raise SistaError(
                f"text encoder {name!r} is a {kind}, no encoder of texts alone; choose one such as BERT, RoBERTa, ELECTRA or MPNet"
            )
        self.width: int = self.model.config.hidden_size
        self.packs = True
        rows = self.model.get_input_embeddings().num_embeddings
        if rows < vocabulary:
            raise SistaError(
                f"text encoder {name!r} knows {rows} tokens but the tokenizer has {vocabulary}; build the corpus with --tokenizer {name}"
            )

    @property
    def longest(self) -> int:
        """The most pieces that one text may have; models that state no number take any."""
        config = self.model.config
        places = int(getattr(config, "max_position_embeddings", 0) or 0)
        first = (config.pad_token_id or 0) + 1 if config.model_type in BEHIND_PADDING else 0
        return places - first if places > 0 else 10**9

    def forward(self, pieces: Int[Tensor, "b t"], mask: Bool[Tensor, "b t"]) -> TextFeatures:
        """Pooled vectors and piece vectors of padded token ids. On the CPU padding is not computed where the model can do without."""
        can_pack = self.packs and pieces.device.type == "cpu" and self.model.config._attn_implementation == ATTENTION
        hidden = self._packed(pieces, mask) if can_pack else self._hidden(pieces, mask)
        if self.pooling == "cls":
            return TextFeatures(hidden[:, 0], hidden)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return TextFeatures((hidden * weight).sum(1) / weight.sum(1).clamp(min=1), hidden)

    def _hidden(self, pieces: Tensor, mask: Tensor) -> Tensor:
        whole = _takes_whole_mask(self.model.config)
        given = mask[:, None, None, :].expand(-1, 1, mask.shape[1], -1) if whole else mask.long()
        return self.model(input_ids=pieces, attention_mask=given).last_hidden_state

    def _packed(self, pieces: Tensor, mask: Tensor) -> Tensor:
        if not 0 < mask.sum() <= WORTH_PACKING * mask.numel():
            return self._hidden(pieces, mask)
        packing, config = Packing.of(mask), self.model.config
        first = PLAIN_KINDS[config.model_type] and config.pad_token_id + 1
        row = packing.pack(pieces)
        found = self.model(
            input_ids=row, position_ids=packing.position[None] + first, token_type_ids=torch.zeros_like(row), packing=packing
        )
        return packing.unpack(found.last_hidden_state)

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
    return _is_plain(config) and config._attn_implementation in ("sdpa", ATTENTION)


def _is_plain(config: Any) -> bool:
    from transformers import masking_utils

    known = hasattr(masking_utils, "create_bidirectional_mask")  # transformers before it have other masks
    return known and config.model_type in PLAIN_KINDS and not getattr(config, "is_decoder", False)


def _attention(config: Any) -> dict[str, str]:
    """On CPUs plain products, which beat the fused kernel (benchmarks/attention.py), and no padding; else what transformers chooses."""
    if torch.cuda.is_available() or not _is_plain(config):
        return {}
    register()
    return {"attn_implementation": ATTENTION}


def _create(name: str, vocabulary: int, config: dict[str, Any] | None, dropout: float) -> Any:
    from transformers import AutoConfig, AutoModel, BertConfig

    if config is None and name in SIZES:
        width, layers, heads, inner = SIZES[name]
        fresh: Any = BertConfig(
            vocab_size=vocabulary,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=inner,
            max_position_embeddings=512,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        return AutoModel.from_config(fresh, **_attention(fresh))
    if config is not None:
        kind = dict(config)
        fresh = AutoConfig.for_model(kind.pop("model_type"), **kind)
        return AutoModel.from_config(fresh, **_attention(fresh)).float()
    try:  # weights are float32, whatever a checkpoint was stored in; what is computed in bf16 is autocast's to say
        return AutoModel.from_pretrained(name, **_attention(AutoConfig.from_pretrained(name))).float()
    except (OSError, ValueError) as error:
        raise SistaError(
            f"text encoder {name!r} could not be loaded: neither a size ({nearest(name, SIZES)}) nor a transformers model "
            f"at that path or name ({str(error).splitlines()[0]})"
        ) from error
