"""ConVIRT: InfoNCE at a fixed temperature, more of it from film to report (arXiv 2010.00747)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.errors import SistaError
from sista.methods.instance_method import InstanceMethod
from sista.methods.method import Cutoff, StepResult, pair_statistics
from sista.models.dual_encoder import DualEncoder
from sista.objectives.contrastive import info_nce
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.targets import identity_targets


@dataclass(frozen=True)
class ConvirtSettings:
    """ConVIRT.

    Args:
        temperature: of the logits, fixed.
        image_to_text: lambda, the weight of the films' loss over the reports; the reports' loss over the films has the rest.
    """

    temperature: float = 0.1
    image_to_text: float = 0.75


class Convirt(InstanceMethod):
    """L = lambda l(v->t) + (1 - lambda) l(t->v), lambda = 0.75, T = 0.1 (arXiv 2010.00747, equations 2 to 4).

    The paper draws one sentence of the report at each step; here the whole report is read, some of its sentences with
    `augment.shorten`. Its films are flipped in augmentation, ours never. Reports that say the same are negatives, as in the paper.
    """

    Settings: ClassVar[type] = ConvirtSettings
    settings: ConvirtSettings

    def __init__(self, encoder: DualEncoder, settings: ConvirtSettings, cutoff: Cutoff) -> None:
        if not 0.0 <= settings.image_to_text <= 1.0:
            raise SistaError(f"convirt: image_to_text is {settings.image_to_text:g}; it is a share: give 0 to 1")
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment("identity", temperature=settings.temperature)

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch."""
        image, text = self.embed(batch, images)
        temperature = self.instance.temperature
        loss = info_nce(image, text, temperature, image_to_text=self.settings.image_to_text)
        log = pair_statistics(identity_targets(len(batch), device=image.device), batch, temperature) if statistics else {}
        return StepResult(loss, {"instance": loss}, log)
