"""Two encoders and their projections into one space."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from sista.models.embeddings import Embeddings
from sista.models.image_encoder import ImageEncoder
from sista.models.passage import Passage
from sista.models.projection import Projection
from sista.models.text_encoder import TextEncoder


class DualEncoder(nn.Module):
    """An image encoder and a text encoder with a global and a local projection each, into a space of size `dim`.

    hidden: the width between the two layers of a projection; 0 makes it linear.
    """

    mean_patches: Tensor

    def __init__(self, image: ImageEncoder, text: TextEncoder, *, dim: int = 128, hidden: int = 0) -> None:
        super().__init__()
        self.image, self.text, self.dim, self.hidden = image, text, dim, hidden
        self.image_head = Projection(image.width, dim, hidden=hidden)
        self.patch_head = Projection(image.patch_width, dim, hidden=hidden)
        self.text_head = Projection(text.width, dim, hidden=hidden)
        self.word_head = Projection(text.width, dim, hidden=hidden, norm="layer")
        self.register_buffer("mean_patches", torch.zeros(*image.grid, dim))
        self.passage = Passage()

    def encode_images(self, images: Float[Tensor, "_ 1 h w"]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b p d"], tuple[int, int]]:
        """Unit vectors of films and their patches, and the patches' grid (rows, columns).

        Where a batch is shared among processes, `images` are this process's films and the vectors those of all films of the batch.
        """
        vectors, patches, grid, _ = self._films(images)
        return vectors, patches, grid

    def encode_texts(
        self, pieces: Int[Tensor, "b t"], piece_mask: Bool[Tensor, "b t"], piece_word: Int[Tensor, "b t"], words: int
    ) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b l d"]]:
        """Unit vectors of texts and of their first `words` words. Every process gives all texts of the batch, and gets all vectors."""

        def encode(pieces: Tensor, piece_mask: Tensor, piece_word: Tensor) -> tuple[Tensor, Tensor]:
            features = self.text(pieces, piece_mask)
            return self.text_head(features.pooled), self.word_head(sum_pieces(features.pieces, piece_word, words))

        vectors, of_words = self.passage.texts(encode, pieces, piece_mask, piece_word)
        return vectors, of_words

    def _films(self, images: Tensor, deepest_head: nn.Module | None = None) -> tuple[Tensor, Tensor, tuple[int, int], Tensor | None]:
        def encode(images: Tensor) -> tuple[Tensor, ...]:
            features = self.image(images)
            found = self.image_head(features.pooled), self.patch_head(features.patches).unflatten(1, features.grid)
            return found if deepest_head is None else (*found, deepest_head(features.deepest))

        vectors, patches, *deepest = self.passage.films(encode, images)
        return vectors, patches.flatten(1, 2), (patches.shape[1], patches.shape[2]), deepest[0] if deepest else None

    @contextmanager
    def passing(self, passage: Passage) -> Iterator[None]:
        """Within it, films and texts are encoded by `passage`: in chunks, or shared among processes."""
        before, self.passage = self.passage, passage
        try:
            yield
        finally:
            self.passage = before

    def checkpoint_activations(self) -> None:
        """Keep no activations within the encoders' blocks: they are computed again in the backward pass. `SistaError` where one cannot."""
        self.image.checkpoint_activations()
        self.text.checkpoint_activations()

    def compile_encoders(self) -> None:
        """Let torch.compile make kernels for both encoders, when they are first used."""
        self.image.compile()
        self.text.packs = False  # a row's length and its groups would be compiled anew at each step
        self.text.model.compile(dynamic=True)  # the longest text of a batch differs from step to step

    def forward(
        self,
        images: Float[Tensor, "_ 1 h w"],
        pieces: Int[Tensor, "b t"],
        piece_mask: Bool[Tensor, "b t"],
        piece_word: Int[Tensor, "b t"],
        word_mask: Bool[Tensor, "b l"],
        deepest_head: nn.Module | None = None,
    ) -> Embeddings:
        """Embeddings of B film-report pairs.

        deepest_head: a projection of the deepest patches [B,Q,F] to unit vectors [B,Q,D], which are then among them.
        """
        image, patches, grid, deepest = self._films(images, deepest_head)
        text, words = self.encode_texts(pieces, piece_mask, piece_word, word_mask.shape[1])
        return Embeddings(image, patches, grid, text, words, word_mask, deepest)

    def patch_mean(self, grid: tuple[int, int]) -> Float[Tensor, "p d"]:
        """The mean patch vector at each place of `grid` over training films (zeros until it was measured).

        Raw maps of cosines show where any film is bright; a patch's difference from the mean film is what a phrase can point at.
        """
        mean = self.mean_patches.permute(2, 0, 1)[None]
        if mean.shape[-2:] != grid:
            mean = F.interpolate(mean, size=grid, mode="bilinear", align_corners=False)
        return mean[0].flatten(1).T

    def describe(self) -> dict[str, Any]:
        """What `from_description` needs to make the same architecture again."""
        return {"image": self.image.describe(), "text": self.text.describe(), "dim": self.dim, "hidden": self.hidden}

    @classmethod
    def from_description(cls, description: dict[str, Any]) -> DualEncoder:
        """The architecture of `describe`, with fresh weights."""
        image, text = ImageEncoder(**description["image"]), TextEncoder(**description["text"])
        return cls(image, text, dim=description["dim"], hidden=description["hidden"])


def sum_pieces(pieces: Float[Tensor, "b t c"], piece_word: Int[Tensor, "b t"], words: int) -> Float[Tensor, "b l c"]:
    """The sum of each word's pieces, by one scatter. Pieces with word -1 (special, punctuation, padding) or >= `words` are left out."""
    batch, _, width = pieces.shape
    index = piece_word.masked_fill((piece_word < 0) | (piece_word >= words), words)  # the bin behind the last word: what is left out
    total = pieces.new_zeros(batch, words + 1, width).scatter_add(1, index.unsqueeze(-1).expand(-1, -1, width), pieces)
    return total[:, :words]
