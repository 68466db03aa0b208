"""SAT, semantics-aware triage: reports say which pairs are positive, which negative, and which are left alone (IEEE TMI 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sista.methods.instance_method import InstanceMethod
from sista.methods.method import Cutoff
from sista.models.dual_encoder import DualEncoder
from sista.objectives.instance_alignment import InstanceAlignment


@dataclass(frozen=True)
class SatSettings:
    """Triage.

    Args:
        positive_share: share of random corpus pairs that count as positives.
        negative_share: share of random corpus pairs that are no negatives; between the two they are left alone.
        theta_p: the positives' cut-off as a similarity; 0: from positive_share. SAT: 0.98, with teacher hf:emilyalsentzer/Bio_ClinicalBERT.
        theta_n: the negatives' cut-off as a similarity; 0: from negative_share. SAT: 0.97, as above.
        temperature: of the logits.
        learn_temperature: train it, clamped to 0.01 to 1.
    """

    positive_share: float = 0.01
    negative_share: float = 0.03
    theta_p: float = 0.0
    theta_n: float = 0.0
    temperature: float = 0.1
    learn_temperature: bool = False


class Sat(InstanceMethod):
    """l_i = mean over positives j of -log exp z_ij / ( exp z_ij + sum_{k in N(i)} exp z_ik ), both directions, T = 0.1.

    "Improving Medical Vision-Language Contrastive Pretraining with Semantics-aware Triage", Liu et al., IEEE TMI 2023: P(i) has the reports
    with S_ij > theta_p, N(i) those with S_ij <= theta_n. Read in the release (github.com/liubo105/SAT), not in the paper. Differences:
    cut-offs are shares of random corpus pairs unless given, with >= in place of >; same study or equal report is always a positive.
    """

    Settings: ClassVar[type] = SatSettings
    settings: SatSettings

    def __init__(self, encoder: DualEncoder, settings: SatSettings, cutoff: Cutoff) -> None:
        super().__init__(encoder, settings)
        theta_p = settings.theta_p or cutoff(settings.positive_share)
        theta_n = settings.theta_n or min(cutoff(settings.negative_share), theta_p)
        self.instance = InstanceAlignment(
            "triage", theta_p, theta_n, temperature=settings.temperature, learn_temperature=settings.learn_temperature
        )
