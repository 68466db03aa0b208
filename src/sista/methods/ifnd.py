"""IFND: clusters find the false negatives, more of them as training goes on (arXiv 2106.03719)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sista.corpus.batch import Batch
from sista.errors import SistaError, nearest
from sista.methods.instance_method import InstanceMethod
from sista.methods.method import Cutoff, StepResult, pair_statistics
from sista.models.dual_encoder import DualEncoder
from sista.objectives.cluster_targets import CLUSTER_MODES, cluster_targets
from sista.objectives.contrastive import symmetric_contrast
from sista.objectives.instance_alignment import InstanceAlignment
from sista.objectives.pseudo_labels import PseudoLabels
from sista.objectives.targets import identity_targets

SPACES = ("image", "text")


@dataclass(frozen=True)
class IfndSettings:
    """Incremental false-negative detection.

    Args:
        mode: what becomes of a false negative: eliminate, or attract (a positive).
        space: whose embeddings are clustered: image or text.
        clusters: numbers of clusters, all different, each a k-means of its own; the losses are averaged.
        memory: recent pairs whose embeddings are clustered.
        every: batches between two clusterings.
        ramp: batches until the acceptance rate is at its end; of the order of the run's length.
        acceptance: share of the labels accepted at the end, the surest ones; 0 is `clip`.
        concentration: temperature of a label's confidence.
        temperature: of the logits, at the start.
        learn_temperature: train it, clamped to 0.01 to 1.
    """

    mode: str = "eliminate"
    space: str = "image"
    clusters: str = "64,128,256"
    memory: int = 4096
    every: int = 100
    ramp: int = 2000
    acceptance: float = 1.0
    concentration: float = 0.1
    temperature: float = 0.07
    learn_temperature: bool = True


class Ifnd(InstanceMethod):
    """L = mean over the k-means of the contrast whose denominators lack the pairs with the same accepted pseudo-label (arXiv 2106.03719).

    Inferred, as we read of the paper its abstract and summaries: confidence is the softmax over centroids at the assigned one; the surest
    r(t) of the labels are accepted, r a straight line from 0; both of a pair must be accepted; each number of clusters gives a loss.
    Differences: film and report in place of two views of an image, the batch in place of a momentum queue; clustered are not all
    training images anew but the embeddings of the last `memory` pairs, as they were when they were seen.
    """

    Settings: ClassVar[type] = IfndSettings
    settings: IfndSettings

    def __init__(self, encoder: DualEncoder, settings: IfndSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        for name, known in (("mode", CLUSTER_MODES), ("space", SPACES)):
            if getattr(settings, name) not in known:
                raise SistaError(f"ifnd: unknown {name} {getattr(settings, name)!r}: {nearest(getattr(settings, name), known)}")
        self.instance = InstanceAlignment("identity", temperature=settings.temperature, learn_temperature=settings.learn_temperature)
        self.labels = PseudoLabels(
            encoder.dim,
            _numbers(settings.clusters),
            settings.memory,
            settings.every,
            settings.ramp,
            settings.acceptance,
            settings.concentration,
        )

    def forward(self, batch: Batch, images: Tensor, generator: torch.Generator, statistics: bool = False) -> StepResult:
        """The loss of one batch, whose embeddings are then remembered if training."""
        image, text = self.embed(batch, images)
        space = (image if self.settings.space == "image" else text).detach()
        alike = self.labels.alike(space)
        targets = [cluster_targets(pairs, self.settings.mode) for pairs in alike] or [identity_targets(len(image), device=image.device)]
        temperature = self.instance.temperature
        loss = torch.stack([symmetric_contrast(image, text, each, temperature) for each in targets]).mean()
        log = {}
        if statistics:
            each = [pair_statistics(one, batch, temperature) for one in targets]
            log = {name: torch.stack([one[name].float() for one in each]).mean() for name in each[0]}
            log["acceptance"] = loss.new_tensor(self.labels.accepted)
        if self.training:
            self.labels.update(space, generator)
        return StepResult(loss, {"instance": loss}, log)


def _numbers(text: str) -> tuple[int, ...]:
    """ "64,128" -> (64, 128); also in brackets, as YAML's lists arrive."""
    if not re.fullmatch(r"\s*\[?\s*\d+(\s*,\s*\d+)*\s*\]?\s*", text):
        raise SistaError(f"ifnd: clusters is {text!r}; give numbers with commas between them, like 64,128,256")
    return tuple(int(number) for number in re.findall(r"\d+", text))
