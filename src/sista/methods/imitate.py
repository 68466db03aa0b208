"""IMITATE-style: InfoNCE whose targets know that some reports are alike (arXiv 2310.07355)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.methods.instance_method import InstanceMethod
from sista.methods.method import Cutoff, StepResult, pair_statistics
from sista.models.dual_encoder import DualEncoder
from sista.objectives.contrastive import symmetric_contrast
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.prior_targets import prior_targets
from sista.objectives.similarity import mark_same, report_similarity


@dataclass(frozen=True)
class ImitateSettings:
    """The clinical-prior contrast.

    Args:
        temperature: of the logits, fixed.
        weight: of the prior beside the own pair; the release has the temperature here.
        ratio: exp smoothing, how fast it rises with the similarity.
        smoothing: exp, or sigmoid, which gives unlike pairs half the weight too.
    """

    temperature: float = 0.07
    weight: float = 0.07
    ratio: float = 0.2
    smoothing: str = "exp"


class Imitate(InstanceMethod):
    """IMITATE-style: CE of z = v . t / T with the targets Y = I + w (1 - exp(-a c)), c_ij the correlation of reports (arXiv 2310.07355).

    Read in the release (github.com/cheliu-computation/IMITATE-TMI2024: T 0.07, w = T, a 0.2), its mean of both directions here in place of
    their sum. Differences: the release correlates the vectors of its own frozen text encoder, here c is the teacher's cosine, 1 for equal
    reports. Left out, hence "-style": findings and impression against two levels of the image encoder, with a weight that falls over
    the epochs; the term between two views of a film; the smoothings gau and lap, which give alike pairs less than unlike ones.
    """

    Settings: ClassVar[type] = ImitateSettings
    settings: ImitateSettings
    above_zero: ClassVar[tuple[str, ...]] = ("temperature",)
    not_below_zero: ClassVar[tuple[str, ...]] = ("weight", "ratio")

    def __init__(self, encoder: DualEncoder, settings: ImitateSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment("identity", temperature=settings.temperature)
        prior_targets(torch.eye(1), settings.weight, settings.ratio, settings.smoothing)  # refuses an unknown smoothing

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch."""
        image, text = self.embed(batch, images)
        own = self.settings
        similarity = mark_same(report_similarity(batch.teacher), batch.report_key)
        targets = prior_targets(similarity, own.weight, own.ratio, own.smoothing)
        loss = symmetric_contrast(image, text, targets, self.instance.temperature)
        log = pair_statistics(targets, batch, self.instance.temperature) if statistics else {}
        return StepResult(loss, {"instance": loss}, log)
