"""The baseline: InfoNCE between films and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.methods.method import Cutoff, Method, StepResult, pair_statistics
from sista.models.dual_encoder import DualEncoder
from sista.objectives.instance_alignment import InstanceAlignment


@dataclass(frozen=True)
class IdentitySettings:
    """InfoNCE.

    Args:
        temperature: of the logits, at the start.
        learn_temperature: train it, clamped to 0.01 to 1; otherwise it stays.
    """

    temperature: float = 0.07
    learn_temperature: bool = True


class Identity(Method):
    """Symmetric InfoNCE, ConVIRT (arXiv 2010.00747) and CLIP (arXiv 2103.00020): a report is a positive of its own film only."""

    Settings: ClassVar[type] = IdentitySettings
    settings: IdentitySettings

    def __init__(self, encoder: DualEncoder, settings: IdentitySettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment("identity", temperature=settings.temperature, learn_temperature=settings.learn_temperature)

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch."""
        image, _, _ = self.encoder.encode_images(images)
        text, _ = self.encoder.encode_texts(batch.pieces, batch.piece_mask, batch.piece_word, 0)
        loss, targets, _ = self.instance(image, text, batch.teacher, batch.report_key)
        log = pair_statistics(targets, batch, self.instance.temperature) if statistics else {}
        return StepResult(loss, {"instance": loss}, log)
