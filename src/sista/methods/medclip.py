"""MedCLIP: how alike two studies' findings are is how much they should match (arXiv 2210.10163)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sista.methods.instance_method import InstanceMethod
from sista.methods.method import Cutoff
from sista.models.dual_encoder import DualEncoder
from sista.objectives.instance_alignment import InstanceAlignment


@dataclass(frozen=True)
class MedclipSettings:
    """MedCLIP.

    Args:
        label_temperature: of the labels' cosines in the softmax that makes targets of them; below 1 the targets are sharper.
        temperature: of the logits, at the start.
        learn_temperature: train it, clamped to 0.01 to 1.
    """

    label_temperature: float = 1.0
    temperature: float = 0.07
    learn_temperature: bool = True


class Medclip(InstanceMethod):
    """The semantic matching loss: Y = softmax_j( cos(l_i, l_j) / T_l ), L = 1/2 ( CE(Y, v->t) + CE(Y, t->v) ) (arXiv 2210.10163).

    l are multi-hot vectors of findings, so the run needs a teacher of labels. Differences: the paper mixes films and sentences that have
    no partner, and matches them by labels alone, here batches are of pairs; its labels are CheXpert's 14, ours have places as well. Report
    and film of one study, and equal reports, count as cosine 1. Inferred, for the paper was not at hand: a cosine with T_l = 1, which
    makes nearly flat targets.
    """

    Settings: ClassVar[type] = MedclipSettings
    settings: MedclipSettings
    above_zero: ClassVar[tuple[str, ...]] = ("label_temperature", "temperature")
    teachers: ClassVar[tuple[str, ...]] = ("labels", "rules", "oracle")

    def __init__(self, encoder: DualEncoder, settings: MedclipSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        self.instance = InstanceAlignment(
            "soft",
            beta=1.0,
            tau_s=settings.label_temperature,
            temperature=settings.temperature,
            learn_temperature=settings.learn_temperature,
        )
