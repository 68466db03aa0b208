"""What of a dual encoder is exported: four small modules of tensors alone, each with the eager computation that it must equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sista.models.dual_encoder import DualEncoder

Tensors = tuple[Tensor, ...]


class FilmTower(nn.Module):
    """films [B,1,s,s] -> unit vectors [B,D] and patches [B,P,D]."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.image, self.image_head, self.patch_head = encoder.image, encoder.image_head, encoder.patch_head

    def forward(self, films: Tensor) -> tuple[Tensor, Tensor]:
        """Both of a batch of prepared films."""
        features = self.image(films)
        return self.image_head(features.pooled), self.patch_head(features.patches)


class TextTower(nn.Module):
    """pieces [B,T], mask [B,T] -> unit vectors [B,D]. All texts of a batch pass at once: no branch depends on their lengths."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.text, self.text_head = encoder.text, encoder.text_head

    def forward(self, pieces: Tensor, mask: Tensor) -> Tensor:
        """The vectors of padded token ids."""
        hidden = self.text._hidden(pieces, mask)
        if self.text.pooling == "cls":
            return self.text_head(hidden[:, 0])
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        return self.text_head((hidden * weight).sum(1) / weight.sum(1).clamp(min=1))


class PhraseTower(nn.Module):
    """pieces, mask, piece_word [B,T] and word_weight [B,L] -> [B,D], the weighted sum of the words' unit vectors; what `HeatMap` takes."""

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.text, self.word_head = encoder.text, encoder.word_head

    def forward(self, pieces: Tensor, mask: Tensor, piece_word: Tensor, word_weight: Tensor) -> Tensor:
        """The phrase vectors; weights of a text sum to 1 where the map is to be a mean of cosines."""
        hidden = self.text._hidden(pieces, mask)
        number = torch.arange(word_weight.shape[1], device=hidden.device)
        member = piece_word[:, None, :] == number[None, :, None]  # a product, which every runtime has fast, instead of a scatter
        words = self.word_head(member.to(hidden.dtype) @ hidden)
        return torch.einsum("bl,bld->bd", word_weight, words)


class HeatMap(nn.Module):
    """films [B,1,s,s], phrase vectors [B,D] -> maps [B,h,w] of the cosine with each patch less that with the mean film's."""

    mean: Tensor

    def __init__(self, encoder: DualEncoder) -> None:
        super().__init__()
        self.image, self.patch_head, self.grid = encoder.image, encoder.patch_head, encoder.image.grid
        self.register_buffer("mean", encoder.patch_mean(self.grid).detach().clone())

    def forward(self, films: Tensor, phrase: Tensor) -> Tensor:
        """The maps on the encoder's grid."""
        patches = self.patch_head(self.image(films).patches) - self.mean
        return torch.einsum("bpd,bd->bp", patches, phrase).unflatten(1, self.grid)


@dataclass(frozen=True)
class Program:
    """One exported module. `dynamic`: for each input the axes whose size is free, by name; `eager`: what it must equal."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    dynamic: tuple[dict[int, str], ...]
    eager: Callable[..., Tensors]

    @torch.no_grad()
    def expected(self, given: Tensors) -> Tensors:
        """What the encoder itself says of these inputs."""
        return self.eager(*given)


def programs_of(encoder: DualEncoder) -> list[Program]:
    """film, text, phrase and heat of an encoder on the CPU in evaluation mode."""

    def film(films: Tensor) -> Tensors:
        return encoder.encode_images(films)[:2]

    def text(pieces: Tensor, mask: Tensor) -> Tensors:
        return (encoder.text_head(encoder.text(pieces, mask).pooled),)

    def phrase(pieces: Tensor, mask: Tensor, piece_word: Tensor, word_weight: Tensor) -> Tensors:
        words = encoder.encode_texts(pieces, mask, piece_word, word_weight.shape[1])[1]
        return ((word_weight.unsqueeze(-1) * words).sum(1),)

    def heat(films: Tensor, vector: Tensor) -> Tensors:
        _, patches, grid = encoder.encode_images(films)
        return (((patches - encoder.patch_mean(grid)) @ vector.unsqueeze(-1)).view(len(films), *grid),)

    rows, tokens = {0: "batch"}, {0: "batch", 1: "length"}
    return [
        Program("film", FilmTower(encoder), ("films",), ("image", "patches"), (rows,), film),
        Program("text", TextTower(encoder), ("pieces", "mask"), ("text",), (tokens, tokens), text),
        Program(
            "phrase",
            PhraseTower(encoder),
            ("pieces", "mask", "piece_word", "word_weight"),
            ("phrase",),
            (tokens, tokens, tokens, {0: "batch", 1: "words"}),
            phrase,
        ),
        Program("heat", HeatMap(encoder), ("films", "phrase"), ("map",), (rows, rows), heat),
    ]


def random_inputs(encoder: DualEncoder, batch: int, length: int, seed: int = 0) -> dict[str, Tensor]:
    """Films of every gray level, texts of random pieces and lengths (the first of full length), words of two pieces, by input name."""
    generator = torch.Generator().manual_seed(seed)
    size = encoder.image.image_size
    lengths = torch.randint(2, length + 1, (batch,), generator=generator).index_fill(0, torch.tensor([0]), length)
    place = torch.arange(length).expand(batch, -1)
    mask = place < lengths[:, None]
    words = max(2, length // 2)
    weight = torch.rand(batch, words, generator=generator) * (torch.arange(words) < (lengths[:, None] - 1) // 2)
    vector = torch.randn(batch, encoder.dim, generator=generator)
    rows = encoder.text.model.get_input_embeddings().num_embeddings
    return {
        "films": torch.rand(batch, 1, size, size, generator=generator) * 4 - 2,
        "pieces": _no_padding(encoder, torch.randint(0, rows, (batch, length), generator=generator)),
        "mask": mask,
        "piece_word": torch.where(mask & (place > 0), (place - 1) // 2, -1),
        "word_weight": weight / weight.sum(1, keepdim=True).clamp(min=1e-6),
        "phrase": vector / vector.norm(dim=1, keepdim=True),
    }


def _no_padding(encoder: DualEncoder, pieces: Tensor) -> Tensor:
    """Pieces of which none is the padding: no tokenizer puts it into a text, and RoBERTa counts places by it."""
    padding = getattr(encoder.text.model.config, "pad_token_id", None)
    return (
        pieces if padding is None else torch.where(pieces == padding, (padding + 1) % max(2, encoder.text.model.config.vocab_size), pieces)
    )
