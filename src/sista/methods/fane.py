"""FaNe: several positives by report similarity, sentences with gated patches, hard negatives pushed apart (arXiv 2511.12215)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.methods.method import Cutoff, Method, StepResult, pair_statistics, shown_patches
from sista.models.dual_encoder import DualEncoder
from sista.objectives.diagnostics import wrong_film_gap
from sista.objectives.gated_pooling import GatedPooling, gate_sparsity
from sista.objectives.hard_negative import hard_negative_pair
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.token_contrast import pool_sentences, within_report_contrast


@dataclass(frozen=True)
class FaneSettings:
    """FaNe's four terms.

    Args:
        instance_weight: of the sigmoid loss with several positives (L_mp).
        sentence_weight: of the contrast of sentences within a report (L_tc).
        sparsity_weight: of the mean gate (L_spa).
        hard_negative_weight: of the hard negatives of each modality (L_hn).
        kappa: report similarity, its running offset taken out, from which a pair is a positive; suits a text encoder as teacher.
        temperature: of the sigmoid's logits at the start; learned, clamped to 0.01 to 1. Released: 0.1 / ln(1 / 0.07).
        bias: of the sigmoid's logits at the start; learned. Released: -10, where every negative costs about 10; SigLIP's start is +10.
        sentence_temperature: of the sentence logits.
        hard_temperature: of the hard negatives and of their weights.
        sentences: at most so many sentences of a report take part.
        wrong_films: a control: the sentences see the patches of the pair before in the batch, by chance of another study.
    """

    instance_weight: float = 1.0
    sentence_weight: float = 1.0
    sparsity_weight: float = 1.0
    hard_negative_weight: float = 1.0
    kappa: float = 0.95
    temperature: float = 0.1 / math.log(1 / 0.07)
    bias: float = -10.0
    sentence_temperature: float = 0.07
    hard_temperature: float = 0.07
    sentences: int = 16
    wrong_films: bool = False


class Fane(Method):
    """L = L_mp + l1 L_tc + l2 L_hn + l3 L_spa.

    L_mp = 1/B sum_ij softplus( h_ij ( -v_i . t_j / T + b ) ), h = +1 where S~ = (S - o) / (1 - o) reaches kappa, S the cosines of the
    teacher's report vectors and o their running offset. L_tc: symmetric InfoNCE between a sentence, the mean of its words, and its view of
    the film by `GatedPooling`, over the sentences of the report; reports of one sentence are left out of the mean. L_spa: the mean gate.
    L_hn: mean cosine of each film (report) to the others that are its negatives, the closest weighed most, over a temperature.

    Differences: the report vector is the text encoder's, the one that a checkpoint keeps, and not a pooling of the sentences; pairs with
    the same report text are positives always, and one at kappa is (>=); the logits' scale is learned as a logarithm. Report vectors are
    those of the run's teacher; published: `--teacher hf:emilyalsentzer/Bio_ClinicalBERT#pooler`. Inferred: unit vectors times sqrt(D) as
    the input of the pooling.
    """

    Settings: ClassVar[type] = FaneSettings
    settings: FaneSettings
    above_zero: ClassVar[tuple[str, ...]] = ("temperature", "sentence_temperature", "hard_temperature", "sentences")
    not_below_zero: ClassVar[tuple[str, ...]] = ("instance_weight", "sentence_weight", "sparsity_weight", "hard_negative_weight")

    def __init__(self, encoder: DualEncoder, settings: FaneSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment(
            "sigmoid",
            settings.kappa,
            temperature=settings.temperature,
            learn_temperature=True,
            adaptive_offset=True,
            bias=settings.bias,
        )
        self.pooling = GatedPooling(encoder.dim)

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch."""
        s = self.settings
        e = self.encoder(images, batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)
        instance, targets, _ = self.instance(e.image, e.text, batch.teacher, batch.report_key)
        loss, terms = s.instance_weight * instance, {"instance": instance}
        log: dict[str, Tensor] = {}
        if statistics and self.instance.bias is not None:
            log = {**pair_statistics(targets, batch, self.instance.temperature), "bias": self.instance.bias.detach()}
        if s.hard_negative_weight:
            terms["hard_negative"] = hard_negative_pair(e.image, e.text, targets.negatives, s.hard_temperature)
            loss = loss + s.hard_negative_weight * terms["hard_negative"]
        if s.sentence_weight or s.sparsity_weight:
            sentences, mask = pool_sentences(e.words, batch.word_mask, batch.word_sentence, s.sentences)
            patches = shown_patches(e.patches, s.wrong_films)
            views, _, gates = self.pooling(sentences, patches)
            terms["sentence"], terms["sparsity"] = self._contrast(views, sentences, mask), gate_sparsity(gates, mask)
            loss = loss + s.sentence_weight * terms["sentence"] + s.sparsity_weight * terms["sparsity"]
            if statistics:

                def term(sentences: Tensor, patches: Tensor) -> Tensor:
                    return self._contrast(self.pooling(sentences, patches)[0], sentences, mask)

                log["wrong_film_gap"] = wrong_film_gap(term, sentences, patches, batch.report_key)
        return StepResult(loss, terms, log)

    def _contrast(self, views: Tensor, sentences: Tensor, mask: Tensor) -> Tensor:
        return within_report_contrast(views, sentences, mask, temperature=self.settings.sentence_temperature, skip_single=True)
