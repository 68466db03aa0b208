"""What the methods share that contrast whole films with whole reports and nothing else."""

from __future__ import annotations

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.methods.method import Method, StepResult, pair_statistics
from sista.objectives.instance_alignment import InstanceAlignment


class InstanceMethod(Method):
    """A method whose loss is one `InstanceAlignment`; a subclass makes it in `__init__`."""

    instance: InstanceAlignment

    def embed(self, batch: Batch, images: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors [B,D] of the films and of the reports."""
        image, _, _ = self.encoder.encode_images(images)
        text, _ = self.encoder.encode_texts(batch.pieces, batch.piece_mask, batch.piece_word, 0)
        return image, text

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch."""
        image, text = self.embed(batch, images)
        loss, targets, _ = self.instance(image, text, batch.teacher, batch.report_key)
        log = pair_statistics(targets, batch, self.instance.temperature) if statistics else {}
        return StepResult(loss, {"instance": loss}, log)
