"""The tensors of one training step."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """B film-report pairs, T word pieces, L words and W words of whole reports (all the most of the batch).

    images        [B,1,S,S] uint8, bright = dense; augmentation and normalisation come after the transfer to the device. Where processes
                  share a batch, each has all of its texts and its own films only: [B/world,1,S,S]
    pieces        [B,T] int64 token ids, padded
    piece_mask    [B,T] bool, True on real pieces (special tokens included)
    piece_word    [B,T] int64, the word of its report that a piece belongs to; -1 for special tokens, punctuation, padding
    word_mask     [B,L] bool, True on real words
    word_type     [B,L] int64, equal numbers for equal (lower-case) words of equal polarity; 0 on padding
    word_weight   [B,L] float32, how much a word tells of the film (finding, place, severity, affirmed): 0 to 1
    word_sentence [B,L] int64, the sentence of its report that a word belongs to; 0 on padding
    report_type   [B,W] int64, word_type of the whole report, of the sentences too that are left out this time (`shorten`)
    teacher       [B,R] float32, L2-normalised report vectors of the teacher
    report_key    [B] int64, equal for pairs of one study or with the same cleaned report text
    truth_key     [B] int64, equal for equal true finding sets; -1 where the truth is unknown
    rows          [B] int64, the rows of the corpus
    """

    images: Tensor
    pieces: Tensor
    piece_mask: Tensor
    piece_word: Tensor
    word_mask: Tensor
    word_type: Tensor
    word_weight: Tensor
    word_sentence: Tensor
    report_type: Tensor
    teacher: Tensor
    report_key: Tensor
    truth_key: Tensor
    rows: Tensor

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        return replace(self, **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})

    def pinned(self) -> Batch:
        """The same batch in page-locked memory, from where a CUDA device fetches it while the host goes on."""
        return replace(self, **{f.name: getattr(self, f.name).pin_memory() for f in fields(self)})

    def __len__(self) -> int:
        return len(self.rows)
