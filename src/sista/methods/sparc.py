"""SPARC: global InfoNCE and words against the words of their own report through sparse views of the film (arXiv 2401.09865)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.methods.method import Cutoff, Method, StepResult, pair_statistics, shown_patches
from sista.models.dual_encoder import DualEncoder
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.token_alignment import TokenAlignment
from sista.objectives.token_attention import TokenAligner


@dataclass(frozen=True)
class SparcSettings:
    """SPARC's two terms.

    Args:
        global_weight: of the InfoNCE between films and reports.
        token_weight: of the fine-grained term; 0 leaves it out.
        temperature: of the global logits, at the start.
        learn_temperature: train it, clamped to 0.01 to 1.
        token_temperature: of the word logits; fixed.
        sigma: share of a word's range of scores below which a patch does not count; 0: the published 1/P.
        mask_repeats: equal words of a report are not each other's negatives; the paper has them as negatives.
        wrong_films: a control: the token term sees the patches of the pair before in the batch, by chance of another study.
    """

    global_weight: float = 0.5
    token_weight: float = 1.0
    temperature: float = 0.07
    learn_temperature: bool = True
    token_temperature: float = 0.1
    sigma: float = 0.0
    mask_repeats: bool = False
    wrong_films: bool = False


class Sparc(Method):
    """L = lambda_g L_global + lambda_f L_fine; L_fine contrasts each word's view of the film with the words of its report.

    a = minmax(w_l . p_p) over patches, 0 below 1/P, normalised to sum 1; c_l = sum_p a[l,p] p_p; both directions, mean over the words,
    then over the reports. It is the token term of `sista-paper`, which leaves repeated words out of the negatives. The contrast can be
    solved without the film: see `wrong_film_gap` in the log. Differences: whole words in place of word pieces; one fixed temperature in
    the fine term. Inferred: the weights 0.5 and 1, and both temperatures.
    """

    Settings: ClassVar[type] = SparcSettings
    settings: SparcSettings
    above_zero: ClassVar[tuple[str, ...]] = ("temperature", "token_temperature")
    not_below_zero: ClassVar[tuple[str, ...]] = ("global_weight", "token_weight", "sigma")

    def __init__(self, encoder: DualEncoder, settings: SparcSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment("identity", temperature=settings.temperature, learn_temperature=settings.learn_temperature)
        self.token = TokenAlignment(
            "within",
            TokenAligner("minmax", settings.sigma or None),
            settings.token_temperature,
            words=None,
            weighted=False,
            mask_repeats=settings.mask_repeats,
        )

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch."""
        s = self.settings
        e = self.encoder(images, batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)
        instance, targets, _ = self.instance(e.image, e.text, batch.teacher, batch.report_key)
        log = pair_statistics(targets, batch, self.instance.temperature) if statistics else {}
        if s.token_weight == 0:
            return StepResult(s.global_weight * instance, {"instance": instance}, log)
        patches = shown_patches(e.patches, s.wrong_films)
        token, looks = self.token(e.words, patches, batch.word_mask, batch.word_type, diagnose=statistics, report_key=batch.report_key)
        return StepResult(s.global_weight * instance + s.token_weight * token, {"instance": instance, "token": token}, {**log, **looks})
