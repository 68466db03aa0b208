"""MGCA: multi-granularity cross-modal alignment of instances, tokens and prototypes (arXiv 2210.06044)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.methods.method import Cutoff, Method, StepResult, pair_statistics, shown_patches
from sista.models.dual_encoder import DualEncoder
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.prototypes import PrototypeAlignment
from sista.objectives.token_alignment import TokenAlignment
from sista.objectives.token_attention import TokenAligner


@dataclass(frozen=True)
class MgcaSettings:
    """MGCA's three terms.

    Args:
        instance_weight: lambda 1, of the instance term (ITA).
        token_weight: lambda 2, of the token term (CTA); 0 leaves it out.
        prototype_weight: lambda 3, of the prototype term (CPA); 0 leaves it out.
        temperature: of the instance logits; fixed.
        token_temperature: of the attention and of the logits of the token term.
        weighted: words count by how much they tell (finding, place, severity, affirmed), or all alike.
        mask_repeats: equal words of a report are not each other's negatives; the paper has them as negatives.
        prototypes: how many.
        prototype_temperature: of the predicted assignments.
        epsilon: of Sinkhorn-Knopp.
        iterations: of Sinkhorn-Knopp.
        freeze_steps: batches for which the prototypes get no gradient; the release takes the first epoch.
        wrong_films: a control: the token term sees the patches of the pair before in the batch, by chance of another study.
    """

    instance_weight: float = 1.0
    token_weight: float = 1.0
    prototype_weight: float = 1.0
    temperature: float = 0.07
    token_temperature: float = 0.1
    weighted: bool = False
    mask_repeats: bool = False
    prototypes: int = 500
    prototype_temperature: float = 0.2
    epsilon: float = 0.05
    iterations: int = 3
    freeze_steps: int = 0
    wrong_films: bool = False


class Mgca(Method):
    """L = lambda_1 L_ITA + lambda_2 L_CTA + lambda_3 L_CPA.

    ITA: symmetric InfoNCE. CTA: each word's softmax view of the patches contrasted within its report, each patch's view of the words within
    its film, both directions each, half and half. CPA: either side predicts the other's Sinkhorn-Knopp assignment to the prototypes.
    Every term is a mean over its directions; the released code adds some of them up and has other weights than the paper: its total is
    2 ITA + 1.4 CTA + 0.5 CPA in these terms.

    Differences: words and patches count alike, where the paper weighs them by the encoders' last attention to the first token (a ResNet's
    patches count alike there too); `weighted` is another way to weigh words. Padding takes no part in a report's contrast. The cross
    attention is the released default, plain cosines without learned projections. Inferred: the scale of each term, that is 1/2 over
    directions.
    """

    Settings: ClassVar[type] = MgcaSettings
    settings: MgcaSettings
    above_zero: ClassVar[tuple[str, ...]] = (
        "temperature",
        "token_temperature",
        "prototype_temperature",
        "epsilon",
        "prototypes",
        "iterations",
    )
    not_below_zero: ClassVar[tuple[str, ...]] = ("instance_weight", "token_weight", "prototype_weight", "freeze_steps")

    def __init__(self, encoder: DualEncoder, settings: MgcaSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment("identity", temperature=settings.temperature)
        self.token = TokenAlignment(
            "within",
            TokenAligner("softmax", temperature=settings.token_temperature),
            settings.token_temperature,
            words=None,
            weighted=settings.weighted,
            mask_repeats=settings.mask_repeats,
            mirror=1.0,
        )
        self.prototype = PrototypeAlignment(
            encoder.dim,
            settings.prototypes,
            settings.epsilon,
            settings.iterations,
            settings.prototype_temperature,
            settings.freeze_steps,
        )

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch."""
        s = self.settings
        e = self.encoder(images, batch.pieces, batch.piece_mask, batch.piece_word, batch.word_mask)
        instance, targets, _ = self.instance(e.image, e.text, batch.teacher, batch.report_key)
        loss, terms = s.instance_weight * instance, {"instance": instance}
        log = pair_statistics(targets, batch, self.instance.temperature) if statistics else {}
        if s.token_weight:
            patches = shown_patches(e.patches, s.wrong_films)
            words = (e.words, patches, batch.word_mask, batch.word_type, batch.word_weight)
            both, looks = self.token(*words, diagnose=statistics, report_key=batch.report_key)
            terms["token"] = both / 2
            loss, log = loss + s.token_weight * terms["token"], {**log, **looks}
        if s.prototype_weight:
            terms["prototype"], used = self.prototype(e.image, e.text)
            loss, log = loss + s.prototype_weight * terms["prototype"], {**log, **used} if statistics else log
        return StepResult(loss, terms, log)
