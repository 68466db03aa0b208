"""GLoRIA: global InfoNCE and attention-weighted words against all films of the batch (Huang et al., ICCV 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.methods.method import Cutoff, Method, StepResult, pair_statistics, shown_patches
from sista.models.dual_encoder import DualEncoder
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.local_alignment import local_contrast
from sista.objectives.precision import autocast_dtype


@dataclass(frozen=True)
class GloriaSettings:
    """GLoRIA's two terms.

    Args:
        global_weight: of the InfoNCE between films and reports.
        local_weight: of the InfoNCE over the words' scores; 0 leaves it out.
        temperature: of the logits of both terms (released: 1 / temp3).
        attention_temperature: of a word's softmax over patches (released: 1 / temp1).
        word_temperature: of the softmax over words before it; 0 leaves that softmax out, as the paper's equation does.
        score_temperature: of the log-sum-exp over a report's words (released: 1 / temp2).
        chunk: reports that meet all films at a time; smaller needs less memory and changes nothing else. 0: all at once.
        wrong_films: a control: the token term sees the patches of the pair before in the batch, by chance of another study.
    """

    global_weight: float = 1.0
    local_weight: float = 1.0
    temperature: float = 0.1
    attention_temperature: float = 0.25
    word_temperature: float = 0.1
    score_temperature: float = 0.2
    chunk: int = 4
    wrong_films: bool = False


class Gloria(Method):
    """L = L_global + L_local, both symmetric InfoNCE over the batch.

    L_local contrasts Z_if = log sum_l exp( cos(w_l, c_lf) / T2 ), the words of report i each with its own view c_lf of film f. Temperatures
    are those released. Differences: words are whole words, their pieces summed, of the last layer and not of the last four; the space has
    the encoder's `dim` and not 768; the two directions are averaged, not added; the global report vector is the text encoder's, not the
    mean of its words. Inferred: the attention takes cosines, which the released softmax over words (of products of long vectors) would
    leave flat, and so divides them by `word_temperature`. Inside autocast the products of words and patches are in its type; softmaxes,
    scores and the contrast are float32.
    """

    Settings: ClassVar[type] = GloriaSettings
    settings: GloriaSettings
    above_zero: ClassVar[tuple[str, ...]] = ("temperature", "attention_temperature", "score_temperature")
    not_below_zero: ClassVar[tuple[str, ...]] = ("global_weight", "local_weight", "word_temperature", "chunk")

    def __init__(self, encoder: DualEncoder, settings: GloriaSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment("identity", temperature=settings.temperature)

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch."""
        s = self.settings
        e = self.encoder(images, batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)
        instance, targets, _ = self.instance(e.image, e.text, batch.teacher, batch.report_key)
        log = pair_statistics(targets, batch, self.instance.temperature) if statistics else {}
        if s.local_weight == 0:
            return StepResult(s.global_weight * instance, {"instance": instance}, log)
        token = local_contrast(
            e.words,
            shown_patches(e.patches, s.wrong_films),
            batch.word_mask,
            s.temperature,
            s.attention_temperature,
            s.word_temperature,
            s.score_temperature,
            s.chunk,
            products=autocast_dtype(images.device),
        )
        return StepResult(s.global_weight * instance + s.local_weight * token, {"instance": instance, "token": token}, log)
