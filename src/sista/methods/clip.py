"""CLIP, the baseline: InfoNCE between films and reports (arXiv 2103.00020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sista.methods.instance_method import InstanceMethod
from sista.methods.method import Cutoff
from sista.models.dual_encoder import DualEncoder
from sista.objectives.instance_alignment import InstanceAlignment


@dataclass(frozen=True)
class ClipSettings:
    """InfoNCE.

    Args:
        temperature: of the logits, at the start.
        learn_temperature: train it, clamped to 0.01 to 1; otherwise it stays.
    """

    temperature: float = 0.07
    learn_temperature: bool = True


class Clip(InstanceMethod):
    """L = 1/2 mean_i ( CE(z[i,:], i) + CE(z[:,i], i) ), z = v . t / T (arXiv 2103.00020): a report is a positive of its own film only.

    T is learned as log(1/T). The paper keeps T above 0.01; here it stays below 1 as well. Reports that say the same are negatives, as
    in the paper: all else is measured against this.
    """

    Settings: ClassVar[type] = ClipSettings
    settings: ClipSettings

    def __init__(self, encoder: DualEncoder, settings: ClipSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment("identity", temperature=settings.temperature, learn_temperature=settings.learn_temperature)
